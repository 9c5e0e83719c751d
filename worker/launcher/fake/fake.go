// Package fake is a launcher for tests: it starts nothing, and its containers behave as a test scripts them. Graces
// run on the time package's clock, so a test in a synctest bubble does not wait for them.
package fake

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/weft-fabric/weft/worker/launcher"
)

// firstPID is the process id of the first container; each further one has the next.
const firstPID = 1001

// Ending is how a container ends by its own doing.
type Ending struct {
	Code   int
	Signal int // takes the place of the code when it is not 0
}

// Behaviour is what one container does.
type Behaviour struct {
	// StartErr is what Start returns; the container never exists.
	StartErr error
	// Output are lines that the container has written as soon as it runs.
	Output []string
	// End is how it ends at once; nil: it runs until it is told to end.
	End *Ending
	// OnStop is how it ends when it is asked to stop; nil: by SIGTERM.
	OnStop *Ending
	// IgnoreStop makes it run on when it is asked to stop, until it is killed.
	IgnoreStop bool
}

// Script says what a container does. It is called by Start, for one container at a time.
type Script func(launcher.Spec) Behaviour

// Launcher is a launcher.Launcher in memory. Make one with New.
type Launcher struct {
	script Script

	mu         sync.Mutex
	closed     bool
	started    []launcher.Spec
	containers map[string]*Container // the latest of each id
	leftovers  []launcher.Leftover
}

var (
	_ launcher.Launcher  = (*Launcher)(nil)
	_ launcher.Container = (*Container)(nil)
)

// New makes a launcher. Without a script its containers run silently until they are told to end.
func New(script Script) *Launcher {
	if script == nil {
		script = func(launcher.Spec) Behaviour { return Behaviour{} }
	}
	return &Launcher{script: script, containers: map[string]*Container{}}
}

// Start makes a container that behaves as the script says.
func (l *Launcher) Start(ctx context.Context, spec launcher.Spec) (launcher.Container, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start container %s: %w", spec.ID, err)
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("start container %s: %w", spec.ID, launcher.ErrClosed)
	}
	if c := l.containers[spec.ID]; c != nil && !c.gone() {
		return nil, fmt.Errorf("start container %s: %w", spec.ID, launcher.ErrDuplicate)
	}
	behaviour := l.script(spec)
	if behaviour.StartErr != nil {
		return nil, behaviour.StartErr
	}
	c := &Container{
		id: spec.ID, pid: firstPID + len(l.started), behaviour: behaviour,
		output: slices.Clone(behaviour.Output), done: make(chan struct{}),
	}
	l.started = append(l.started, spec)
	l.containers[spec.ID] = c
	if behaviour.End != nil {
		c.End(*behaviour.End)
	}
	return c, nil
}

// Reap returns what Leave left, once.
func (l *Launcher) Reap(ctx context.Context) ([]launcher.Leftover, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.leftovers
	l.leftovers = nil
	return found, nil
}

// Close kills all containers.
func (l *Launcher) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.containers {
		c.Kill()
	}
	return nil
}

// Leave leaves something for Reap to find.
func (l *Launcher) Leave(leftovers ...launcher.Leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leftovers = append(l.leftovers, leftovers...)
}

// Started returns the specs of all containers that were started, in that order.
func (l *Launcher) Started() []launcher.Spec {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.started)
}

// Container returns the latest container with that id, running or not, or nil.
func (l *Launcher) Container(id string) *Container {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.containers[id]
}

// Container is a launcher.Container in memory, with End and Say for the test.
type Container struct {
	id        string
	pid       int
	behaviour Behaviour
	done      chan struct{}

	mu       sync.Mutex
	ended    bool
	output   []string
	stopped  bool
	grace    time.Duration
	deadline time.Time
	timer    *time.Timer
	exit     launcher.Exit
}

// ID is the container's id.
func (c *Container) ID() string { return c.id }

// PID is a number that no other container of the launcher has.
func (c *Container) PID() int { return c.pid }

// Done is closed when the container has ended.
func (c *Container) Done() <-chan struct{} { return c.done }

// Exit says how it ended; zero before Done.
func (c *Container) Exit() launcher.Exit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit
}

// Output returns the last lines it was made to say.
func (c *Container) Output() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last()
}

// Say makes the container write more lines.
func (c *Container) Say(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output = append(c.output, lines...)
}

// End makes the container end, by itself. Nothing happens if it has ended.
func (c *Container) End(e Ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(e, launcher.Itself)
}

// Stop ends the container as its behaviour says.
func (c *Container) Stop(grace time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch deadline := time.Now().Add(grace); {
	case c.ended:
	case grace <= 0:
		c.end(Ending{Signal: int(syscall.SIGKILL)}, launcher.Killed)
	case c.stopped:
		if deadline.Before(c.deadline) {
			c.grace, c.deadline = grace, deadline
			c.timer.Reset(grace)
		}
	case c.behaviour.IgnoreStop:
		c.stopped, c.grace, c.deadline = true, grace, deadline
		c.timer = time.AfterFunc(grace, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.end(Ending{Signal: int(syscall.SIGKILL)}, launcher.Overdue)
		})
	case c.behaviour.OnStop != nil:
		c.end(*c.behaviour.OnStop, launcher.Stopped)
	default:
		c.end(Ending{Signal: int(syscall.SIGTERM)}, launcher.Stopped)
	}
}

// Kill ends the container now.
func (c *Container) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(Ending{Signal: int(syscall.SIGKILL)}, launcher.Killed)
}

// end ends the container, if it has not. The caller holds mu.
func (c *Container) end(e Ending, cause launcher.Cause) {
	if c.ended {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.stopped && cause == launcher.Itself {
		cause = launcher.Stopped
	}
	c.ended = true
	c.exit = launcher.NewExit(e.Code, e.Signal, cause, c.grace, c.last())
	close(c.done)
}

// last returns the lines that are kept. The caller holds mu.
func (c *Container) last() []string {
	return slices.Clone(c.output[max(0, len(c.output)-launcher.OutputLines):])
}

// gone tells whether the container has ended.
func (c *Container) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}
