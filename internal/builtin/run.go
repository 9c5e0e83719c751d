package builtin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// graceTime is what a command has between the request to end and the kill, and what its output has to end after it.
const graceTime = 2 * time.Second

// run runs one command to its end. What it started dies with it: its process group is killed when its first process has
// ended and its output too, or a moment after that. When ctx ends, the group is asked to end first, so that it can
// remove what it has begun. When this process dies the kernel kills the command, and the agent finds the rest.
func (s Setting) run(ctx context.Context, t Command) Outcome {
	path, err := find(t.Args[0], s.Dir, s.Env)
	if err != nil {
		return unstarted(err)
	}
	out, err := newOutputs(s.Limit)
	if err != nil {
		return unstarted(err)
	}
	cmd := &exec.Cmd{
		Path: path, Args: t.Args, Dir: s.Dir, Env: s.Env, WaitDelay: graceTime,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if len(t.Input) > 0 {
		cmd.Stdin = bytes.NewReader(t.Input)
	}
	cmd.Stdout, cmd.Stderr = out.child[0], out.child[1]
	// The kernel takes the end of the thread that forked for the end of the parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	out.started()
	if err != nil {
		out.finish()
		return unstarted(err)
	}
	await(ctx, cmd.Process.Pid, out.ended)
	err = cmd.Wait()
	o := Outcome{}
	o.Out, o.Err, o.Lost = out.finish()
	var bad *exec.ExitError
	if err != nil && !errors.As(err, &bad) && !errors.Is(err, exec.ErrWaitDelay) {
		o.Problem = err.Error()
	}
	o.Code = codeOf(cmd.ProcessState)
	return o
}

// await returns when the process has ended, and nothing of its group is left but itself, to be reaped.
func await(ctx context.Context, pid int, drained <-chan struct{}) {
	ended, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		_ = unix.Kill(-pid, unix.SIGTERM) // fails when there is nobody left
		timer := time.NewTimer(graceTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = unix.Kill(-pid, unix.SIGKILL)
		case <-ended:
		}
	}()
	for { // the process stays to be reaped, so that its number stays taken
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	close(ended)
	<-over
	timer := time.NewTimer(graceTime)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
}

// codeOf gives the exit code of a process as a shell does.
func codeOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return codeSignal + int(status.Signal())
	}
	return state.ExitCode()
}

// unstarted is the outcome of a command that could not be started.
func unstarted(err error) Outcome {
	code := codeNotExecutable
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		code = codeNotFound
	}
	return Outcome{Code: code, Problem: err.Error()}
}

// find finds the program of a command as a shell does: a name with a slash is a path, from the working folder; any
// other is looked for in the PATH of the command.
func find(name, dir string, env []string) (string, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("the working folder %q is not there: %w", dir, fs.ErrNotExist)
	}
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, executable(name)
	}
	path := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	for _, folder := range filepath.SplitList(path) {
		if file := filepath.Join(folder, name); filepath.IsAbs(file) && executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w in the agent's PATH", name, exec.ErrNotFound)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s: is a folder", path)
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// outputs gathers standard output and error of one process.
type outputs struct {
	own, child [2]*os.File
	ended      chan struct{} // closed when nobody can write any more

	mu   sync.Mutex
	kept [2][]byte
	room int
	lost int64
}

func newOutputs(limit int) (*outputs, error) {
	o := &outputs{ended: make(chan struct{}), room: limit}
	for i := range o.own {
		var err error
		if o.own[i], o.child[i], err = os.Pipe(); err != nil {
			for _, f := range o.open() {
				_ = f.Close()
			}
			return nil, err
		}
	}
	var readers sync.WaitGroup
	for i := range o.own {
		readers.Go(func() { _, _ = io.Copy(writer{o, i}, o.own[i]) }) // ends at the last writer's end, or at the deadline
	}
	go func() { readers.Wait(); close(o.ended) }()
	return o, nil
}

// open gives the files that were opened.
func (o *outputs) open() []*os.File {
	var all []*os.File
	for _, f := range append(o.own[:], o.child[:]...) {
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// started closes what only the process needs.
func (o *outputs) started() {
	for _, f := range o.child {
		_ = f.Close()
	}
}

// finish gives what was written, and frees o. Who still holds the pipes, out of reach, is not waited for.
func (o *outputs) finish() (out, errOut []byte, lost int64) {
	for _, f := range o.own {
		_ = f.SetReadDeadline(time.Now().Add(graceTime / 4))
	}
	<-o.ended
	for _, f := range o.own {
		_ = f.Close()
	}
	return o.kept[0], o.kept[1], o.lost
}

// writer keeps what one pipe brings, as long as there is room.
type writer struct {
	o    *outputs
	pipe int
}

// Write takes all of b.
func (w writer) Write(b []byte) (int, error) {
	o := w.o
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(b), o.room)
	o.kept[w.pipe] = append(o.kept[w.pipe], b[:n]...)
	o.room -= n
	o.lost += int64(len(b) - n)
	return len(b), nil
}
