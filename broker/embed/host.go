package embed

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/hosted"
	"github.com/weft-fabric/weft/worker/launcher"
)

// program is what a container runs, in a goroutine. It returns the exit code: soon when ctx ends, and at once when
// hosted.From(ctx) says that the container is killed.
type program func(ctx context.Context, c *container) int

// host is a launcher whose containers are goroutines of this process.
type host struct {
	programs map[string]program // by command; not changed after the first Start

	mu      sync.Mutex
	closed  bool
	living  map[string]*container // by id
	running sync.WaitGroup
}

var (
	_ launcher.Launcher  = (*host)(nil)
	_ launcher.Container = (*container)(nil)
)

func newHost() *host { return &host{programs: map[string]program{}, living: map[string]*container{}} }

// Start starts the program that the command names.
func (h *host) Start(ctx context.Context, spec launcher.Spec) (launcher.Container, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start container %s: %w", spec.ID, err)
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	run := h.programs[spec.Command]
	if run == nil {
		return nil, &launcher.StartError{
			ID: spec.ID, Path: spec.Command, Want: "a service that was given to embed.Start", Err: launcher.ErrMissing,
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, fmt.Errorf("start container %s: %w", spec.ID, launcher.ErrClosed)
	case h.living[spec.ID] != nil:
		return nil, fmt.Errorf("start container %s: %w", spec.ID, launcher.ErrDuplicate)
	}
	c := &container{spec: spec, killed: make(chan struct{}), done: make(chan struct{})}
	ctx, c.ask = context.WithCancel(hosted.With(context.Background(), hosted.Instance{Identity: spec.Identity, Killed: c.killed}))
	h.living[spec.ID] = c
	h.running.Go(func() {
		code := c.attend(ctx, run)
		h.mu.Lock()
		delete(h.living, spec.ID)
		h.mu.Unlock()
		c.end(code)
	})
	return c, nil
}

// Reap finds nothing: goroutines do not outlive their process.
func (h *host) Reap(ctx context.Context) ([]launcher.Leftover, error) { return nil, ctx.Err() }

// Close kills all containers.
func (h *host) Close() error {
	h.mu.Lock()
	h.closed = true
	for _, c := range h.living {
		c.Kill()
	}
	h.mu.Unlock()
	h.running.Wait()
	return nil
}

// kill kills the containers of all commands that begin so, and says how many.
func (h *host) kill(command string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.living {
		if strings.HasPrefix(c.spec.Command, command) {
			c.Kill()
			n++
		}
	}
	return n
}

// leaveAfter is how long a program that was killed has to return before it is left alone.
const leaveAfter = time.Second

// container is a program that runs in a goroutine.
type container struct {
	spec   launcher.Spec
	ask    context.CancelFunc // asks it to end
	killed chan struct{}      // closed when it is killed
	done   chan struct{}

	mu       sync.Mutex
	output   []string
	cause    launcher.Cause
	grace    time.Duration // of the Stop that counts
	deadline time.Time     // when grace is over
	timer    *time.Timer
	exit     launcher.Exit
}

// ID is the container's id.
func (c *container) ID() string { return c.spec.ID }

// PID is the number of the process that it shares with all others.
func (c *container) PID() int { return os.Getpid() }

// Done is closed when the program has returned, or is left alone.
func (c *container) Done() <-chan struct{} { return c.done }

// Exit says how it ended; zero before Done.
func (c *container) Exit() launcher.Exit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit
}

// Output returns the last lines that it said.
func (c *container) Output() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.output)
}

// say writes lines to the container's output.
func (c *container) say(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output = append(c.output, lines...)
	size := 0
	for i, line := range slices.Backward(c.output) {
		if size += len(line); size > launcher.OutputBytes || len(c.output)-i > launcher.OutputLines {
			c.output = slices.Delete(c.output, 0, i+1)
			return
		}
	}
}

// Stop ends the context of the program, and kills it when the grace is over.
func (c *container) Stop(grace time.Duration) {
	if grace <= 0 {
		c.Kill()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(grace)
	switch {
	case c.over():
	case c.timer == nil:
		c.cause, c.grace, c.deadline = launcher.Stopped, grace, deadline
		c.timer = time.AfterFunc(grace, func() { c.kill(launcher.Overdue) })
		c.ask()
	case deadline.Before(c.deadline):
		c.grace, c.deadline = grace, deadline
		c.timer.Reset(grace)
	}
}

// Kill ends the container now.
func (c *container) Kill() { c.kill(launcher.Killed) }

func (c *container) kill(cause launcher.Cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over() {
		c.cause = cause
		close(c.killed)
		c.ask()
	}
}

// over says whether it has ended or was killed. The caller holds mu.
func (c *container) over() bool {
	return c.exit.Reason != "" || c.cause == launcher.Killed || c.cause == launcher.Overdue
}

// attend runs the program and gives its exit code. It does not wait for long for one that was killed.
func (c *container) attend(ctx context.Context, run program) (code int) {
	returned := make(chan int, 1)
	go func() { returned <- run(ctx, c) }()
	select {
	case code = <-returned:
		return code
	case <-c.killed:
	}
	timer := time.NewTimer(leaveAfter)
	defer timer.Stop()
	select {
	case code = <-returned:
	case <-timer.C:
	}
	return code
}

// end says how it ended.
func (c *container) end(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	signal := 0
	if c.over() {
		signal = int(unix.SIGKILL)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.exit = launcher.NewExit(code, signal, c.cause, c.grace, slices.Clone(c.output))
	c.ask() // frees the context
	close(c.done)
}
