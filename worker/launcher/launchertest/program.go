// Package launchertest is the suite that every launcher passes, and the program that runs in its containers.
package launchertest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/worker/launcher"
)

// programVariable is the environment variable that a container finds its Program in.
const programVariable = "LAUNCHERTEST_PROGRAM"

// Ready is the last line that a program writes before it waits or ends.
const Ready = "ready"

// Program is what a container of the suite does: it writes what it is asked for, a line each, then Ready, and then
// ends, or waits until it is told to end.
type Program struct {
	// Lines is how many lines "line 0", "line 1" … it writes, to standard output and error in turn.
	Lines int `json:",omitempty"`
	// Identity makes it write what it was handed: see IdentityLine.
	Identity bool `json:",omitempty"`
	// Descriptors makes it write "descriptors: [0 1 2]", those that it inherited.
	Descriptors bool `json:",omitempty"`
	// Variables are names of environment variables to write, as "KEY=VALUE", or "KEY is not set".
	Variables []string `json:",omitempty"`
	// Folder makes it write "folder: " and its working folder.
	Folder bool `json:",omitempty"`

	// Child makes it start a process that waits for ever, in its own process group, and write "child: PID".
	Child bool `json:",omitempty"`
	// Escape makes it start one that ignores SIGTERM in a session of its own, and write "escaped: PID".
	Escape bool `json:",omitempty"`
	// EscapeUnmarked does the same, for one without environment variables.
	EscapeUnmarked bool `json:",omitempty"`

	// IgnoreStop makes it take no notice of SIGTERM.
	IgnoreStop bool `json:",omitempty"`
	// Wait makes it wait until SIGTERM comes, or for ever.
	Wait bool `json:",omitempty"`
	// Code is its exit code, also when SIGTERM ended the wait.
	Code int `json:",omitempty"`
	// Signal is what it kills itself with instead of an exit code.
	Signal int `json:",omitempty"`
}

// World is what a program finds when it runs.
type World struct {
	Env         []string // KEY=VALUE
	Identity    []byte   // nil when there is none
	Descriptors []int    // inherited
	Folder      string
}

// Spec returns a container that runs the program by starting the test's own binary, whose TestMain has to call
// RunProgram first.
func (p Program) Spec(t testing.TB, id string) launcher.Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return launcher.Spec{ID: id, Command: self, Env: []string{programVariable + "=" + string(text)}}
}

// Of returns the program that a spec runs.
func Of(spec launcher.Spec) (Program, error) {
	var p Program
	for _, variable := range spec.Env {
		if text, ok := strings.CutPrefix(variable, programVariable+"="); ok {
			return p, json.Unmarshal([]byte(text), &p)
		}
	}
	return p, fmt.Errorf("container %s runs no program of launchertest", spec.ID)
}

// Writes returns the lines that the program writes in a world, without those about processes that it starts and
// without Ready.
func (p Program) Writes(w World) []string {
	var lines []string
	for i := range p.Lines {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	if p.Identity {
		lines = append(lines, IdentityLine(w.Identity))
	}
	if p.Descriptors {
		lines = append(lines, fmt.Sprint("descriptors: ", w.Descriptors))
	}
	for _, key := range p.Variables {
		line := key + " is not set"
		for _, variable := range w.Env {
			if strings.HasPrefix(variable, key+"=") {
				line = variable
			}
		}
		lines = append(lines, line)
	}
	if p.Folder {
		lines = append(lines, "folder: "+w.Folder)
	}
	return lines
}

// IdentityLine is what a program writes about its identity: the length and a hash.
func IdentityLine(identity []byte) string {
	if identity == nil {
		return "identity: none"
	}
	return fmt.Sprintf("identity: %d %x", len(identity), sha256.Sum256(identity))
}

// RunProgram runs this process's program and returns its exit code, if it was started as a container of the suite.
// TestMain should then end by syscall.Exit, which neither sleeps for the race detector nor writes about coverage.
func RunProgram() (code int, ran bool) {
	text, ok := os.LookupEnv(programVariable)
	if !ok {
		return 0, false
	}
	var p Program
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		fmt.Fprintln(os.Stderr, "bad program:", err)
		return 125, true
	}
	return p.run(), true
}

// run does what the program says in this process.
func (p Program) run() int {
	w := World{Env: os.Environ(), Descriptors: inherited()}
	w.Folder, _ = os.Getwd()
	var err error
	if w.Identity, err = launcher.ReadIdentity(os.LookupEnv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	stop, ignored := make(chan os.Signal, 1), make(chan os.Signal, 1)
	if p.IgnoreStop {
		signal.Notify(ignored, syscall.SIGTERM)
	} else if p.Wait {
		signal.Notify(stop, syscall.SIGTERM)
	}
	for i, line := range p.Writes(w) {
		fmt.Fprintln([]io.Writer{os.Stdout, os.Stderr}[i%2], line) //nolint:errcheck // the test looks for what arrives
	}
	if err := p.startOthers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	fmt.Println(Ready)
	if p.Wait {
		<-stop
	}
	if p.Signal != 0 {
		_ = syscall.Kill(os.Getpid(), syscall.Signal(p.Signal))
		select {} // until the signal is delivered
	}
	return p.Code
}

// startOthers starts the program's children and writes their numbers.
func (p Program) startOthers() error {
	forever, err := json.Marshal(Program{IgnoreStop: true, Wait: true})
	if err != nil {
		return err
	}
	variable := programVariable + "=" + string(forever)
	marked := append(slices.Clone(os.Environ()), variable)
	for _, other := range []struct {
		wanted   bool
		name     string
		env      []string
		ownGroup bool
	}{
		{p.Child, "child", marked, false},
		{p.Escape, "escaped", marked, true},
		{p.EscapeUnmarked, "escaped", []string{variable}, true},
	} {
		if !other.wanted {
			continue
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env, cmd.Stderr = other.env, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: other.ownGroup}
		said, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		if _, err := io.ReadFull(said, make([]byte, len(Ready))); err != nil {
			return fmt.Errorf("%s did not get ready: %w", other.name, err)
		}
		fmt.Printf("%s: %d\n", other.name, cmd.Process.Pid)
	}
	return nil
}

// inherited lists the descriptors that this process did not open itself: its own are closed on exec.
func inherited() []int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var fds []int
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	return fds
}
