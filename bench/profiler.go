package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Every party, an instance too, which nobody can give orders, profiles itself from one signal to the other when it was
// started with a folder to put its profile in. The profile has the number of the process.

const (
	profilesFlag = "profiles"
	beginProfile = syscall.SIGUSR1
	endProfile   = syscall.SIGUSR2
)

// addProfiler lets every command profile itself.
func addProfiler(root *cobra.Command) {
	var folder string
	flags := root.PersistentFlags()
	flags.StringVar(&folder, profilesFlag, "", "folder for the profile of this process")
	flags.Lookup(profilesFlag).Hidden = true
	root.PersistentPreRun = func(*cobra.Command, []string) {
		if folder != "" {
			p := profiler{path: profileOf(folder, os.Getpid())}
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, beginProfile, endProfile)
			go p.obey(signals)
		}
	}
}

func profileOf(folder string, pid int) string {
	return filepath.Join(folder, strconv.Itoa(pid)+".pprof")
}

// begunFor is the file that a profile is written to while it is made.
func begunFor(path string) string { return path + ".begun" }

// profiler profiles this process.
type profiler struct {
	path string
	file *os.File // of the profile that is made; nil: none
}

// obey begins and ends profiles until there are no more signals. What fails is said on the standard error, where whoever
// waits in vain for the profile finds it.
func (p *profiler) obey(signals <-chan os.Signal) {
	for s := range signals {
		var err error
		switch {
		case s == beginProfile && p.file == nil:
			err = p.begin()
		case s == endProfile && p.file != nil:
			err = p.end()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}
}

func (p *profiler) begin() (err error) {
	// The file has its name when the profile has begun.
	if p.file, err = os.Create(p.path + ".new"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return errors.Join(pprof.StartCPUProfile(p.file), os.Rename(p.file.Name(), begunFor(p.path)))
}

func (p *profiler) end() error {
	pprof.StopCPUProfile()
	err := errors.Join(p.file.Close(), os.Rename(begunFor(p.path), p.path))
	p.file = nil
	return err
}

// profileAll begins or ends the profiles of processes, and returns when that is done.
func profileAll(ctx context.Context, folder string, list []process, s syscall.Signal) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not all processes have done so within %v", patience))
	defer stop()
	for _, p := range list {
		if err := syscall.Kill(p.pid, s); err != nil {
			return fmt.Errorf("profile %s: %w", p.name, err)
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, p := range list {
		path := profileOf(folder, p.pid)
		if s == beginProfile {
			path = begunFor(path)
		}
		for {
			_, err := os.Stat(path)
			if err == nil {
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("profile %s: %w", p.name, err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("profile %s: %w", p.name, context.Cause(ctx))
			}
		}
	}
	return nil
}
