package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/worker/launcher"
)

// drainTime is how long the output of a container that ended is waited for. It matters only when a process that
// could not be found still holds the pipe.
const drainTime = 2 * time.Second

// container is one running process with all it starts.
type container struct {
	id    string
	owner string
	pid   int
	proc  *os.Process
	out   *output
	pipes *pipes
	talks sync.WaitGroup // the goroutines that copy output and identity
	done  chan struct{}

	mu       sync.Mutex
	ended    bool // the first process is gone, or about to be reaped: its number must not be used
	cause    launcher.Cause
	grace    time.Duration // of the Stop that counts
	deadline time.Time     // when grace is over
	timer    *time.Timer
	exit     launcher.Exit
}

var _ launcher.Container = (*container)(nil)

// ID is the container's id.
func (c *container) ID() string { return c.id }

// PID is the number of the container's first process.
func (c *container) PID() int { return c.pid }

// Done is closed when the container is gone.
func (c *container) Done() <-chan struct{} { return c.done }

// Output returns the last lines of output so far.
func (c *container) Output() []string { return c.out.lines() }

// Exit says how the container ended; zero before Done.
func (c *container) Exit() launcher.Exit {
	select {
	case <-c.done:
		return c.exit
	default:
		return launcher.Exit{}
	}
}

// Stop asks the container to end, and kills it after the grace.
func (c *container) Stop(grace time.Duration) {
	if grace <= 0 {
		c.Kill()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.cause == launcher.Killed || c.cause == launcher.Overdue {
		return
	}
	deadline := time.Now().Add(grace)
	if c.timer == nil {
		c.cause, c.grace, c.deadline = launcher.Stopped, grace, deadline
		c.signal(unix.SIGTERM)
		c.timer = time.AfterFunc(grace, func() { c.kill(launcher.Overdue) })
	} else if deadline.Before(c.deadline) {
		c.grace, c.deadline = grace, deadline
		c.timer.Reset(grace)
	}
}

// Kill ends the container now.
func (c *container) Kill() { c.kill(launcher.Killed) }

func (c *container) kill(cause launcher.Cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if c.cause == launcher.Itself || c.cause == launcher.Stopped {
		c.cause = cause
	}
	c.signal(unix.SIGKILL)
}

// signal signals the process group. The caller holds mu and has seen that the container has not ended. An error can
// only mean that nothing is left to be signalled.
func (c *container) signal(s syscall.Signal) { _ = unix.Kill(-c.pid, s) }

// talk starts to copy the container's output, and to hand it its identity.
func (c *container) talk(identity []byte) {
	c.talks.Go(func() {
		_, _ = io.Copy(c.out, c.pipes.output) // ends at the last writer's end, or at the deadline that attend sets
	})
	if c.pipes.identity != nil {
		c.talks.Go(func() {
			_, _ = c.pipes.identity.Write(identity) // fails when the container ends before it has read it
			_ = c.pipes.identity.Close()
		})
	}
}

// attend waits for the container's end, clears away what it left and says how it ended.
func (c *container) attend() {
	awaitEnd(c.pid)
	c.mu.Lock()
	c.signal(unix.SIGKILL) // the rest of the group; the number is safe until the process is reaped
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
	cause, grace := c.cause, c.grace
	c.mu.Unlock()

	_, sweepErr := sweep(context.Background(), func(p process) bool {
		if p.group == c.pid || p.session == c.pid {
			return true
		}
		owner, id, ok := p.marks()
		return ok && owner == c.owner && id == c.id
	})
	state, waitErr := c.proc.Wait()
	_ = c.pipes.output.SetReadDeadline(time.Now().Add(drainTime))
	if c.pipes.identity != nil {
		_ = c.pipes.identity.SetWriteDeadline(time.Now())
	}
	c.talks.Wait()
	c.pipes.closeOwn()
	logErr := c.out.close()

	code, signal := -1, 0
	if status, ok := waitStatus(state); ok && status.Signaled() {
		signal = int(status.Signal())
	} else if ok {
		code = status.ExitStatus()
	}
	c.exit = launcher.NewExit(code, signal, cause, grace, c.out.lines())
	if waitErr != nil {
		c.exit.Reason = fmt.Sprintf("ended, but how could not be observed: %v", waitErr)
	}
	if sweepErr != nil {
		c.exit.Reason += fmt.Sprintf("; not all it started could be killed: %v", sweepErr)
	}
	if logErr != nil {
		c.exit.Reason += fmt.Sprintf("; its log is incomplete: %v", logErr)
	}
}

// waitStatus is the status of a process that was reaped.
func waitStatus(state *os.ProcessState) (syscall.WaitStatus, bool) {
	if state == nil {
		return 0, false
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	return status, ok
}

// awaitEnd returns when a child has ended, and leaves it to be reaped, so that its number stays taken.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
