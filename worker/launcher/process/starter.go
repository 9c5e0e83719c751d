package process

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// starter starts processes from one goroutine that is locked to its thread until close: the kernel sends the
// parent-death signal when the thread that forked ends, not when the process does.
type starter struct {
	requests chan startRequest
	done     chan struct{}
}

type startRequest struct {
	path  string
	args  []string
	attr  *os.ProcAttr
	reply chan startReply
}

type startReply struct {
	proc *os.Process
	err  error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest), done: make(chan struct{})}
	go s.run()
	return s
}

// start starts a process in a session of its own that dies with this one. The context bounds the wait for its turn. It
// must not be called after close.
func (s *starter) start(ctx context.Context, path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	attr.Sys = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	r := startRequest{path: path, args: args, attr: attr, reply: make(chan startReply, 1)}
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a := <-r.reply
	return a.proc, a.err
}

// close ends the goroutine; no process that it started may live.
func (s *starter) close() {
	close(s.requests)
	<-s.done
}

func (s *starter) run() {
	runtime.LockOSThread()
	defer close(s.done)
	defer runtime.UnlockOSThread()
	for r := range s.requests {
		sealDescriptors()
		proc, err := os.StartProcess(r.path, r.args, r.attr)
		r.reply <- startReply{proc, err}
	}
}

// sealDescriptors marks every descriptor from 3 up to be closed on exec: Go's are, but not those that this process
// itself inherited, or that a C library opened. Those handed to a child are duplicated without the mark after the
// fork. Where /proc cannot be read nothing is done.
func sealDescriptors() {
	names, err := readNames("/proc/self/fd")
	if err != nil {
		return
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd < 3 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC)
		}
	}
}

// readNames lists a folder without sorting.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return f.Readdirnames(-1)
}
