package client

import (
	"context"
	"errors"
	"slices"

	"github.com/weft-fabric/weft/protocol"
)

// Cancel gives the task up: Wait returns [ErrCancelled] from now on, unless the task was finished before, and its result
// is dropped when it comes. The fabric is told to end the task: what was not begun never will be, the context of a hook
// that runs it ends, and an instance that does not heed that is killed after its service's grace. [Task.Stopped] tells
// when that is done.
func (t *Task) Cancel() {
	c := t.session.client
	c.mu.Lock()
	if t.finished {
		t.take()
	} else {
		has := t.unfinished()
		t.abandon(protocol.Errorf(protocol.CodeCancelled, "task", "%s was cancelled by its client", t.id))
		if has {
			t.ref().Cancel()
		}
	}
	c.settle()
	t.consumed()
	t.session.taken(t.ID())
}

// settle passes on what a command to the engine has brought. The caller holds mu, which is given back.
func (c *Client) settle() {
	c.harvest()
	results := c.takeDone()
	ring := c.poke()
	c.mu.Unlock()
	c.hand(results)
	if ring {
		c.wake.Ring()
	}
}

// Stopped is closed when the fabric does nothing more for the task: it has ended, or was surely never begun, and no hook
// runs it any more; or its session is over, or the client closed. For a task that nobody gave up that is when it is finished.
func (t *Task) Stopped() <-chan struct{} {
	c := t.session.client
	c.mu.Lock()
	ring := false
	if t.stopped == nil {
		t.stopped = make(chan struct{})
		if t.answered {
			close(t.stopped)
		} else {
			ring = c.block()
		}
	}
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	return t.stopped
}

// stop notes that the fabric does nothing more for the task. The caller holds the client's mu.
func (t *Task) stop() {
	t.answered = true
	if t.stopped != nil {
		close(t.stopped)
		t.session.client.blocked--
	}
}

// abandon finishes an unfinished task with err and drops its result when it comes. The caller holds the client's mu.
func (t *Task) abandon(err error) {
	if t.unfinished() {
		t.id = t.ref().ID()
	}
	t.err, t.given = err, true
	t.finish()
}

// giveUp ends a Call whose ctx has ended. The channel of t is closed then, or about to be.
func (t *Task) giveUp(ctx context.Context) {
	c := t.session.client
	c.mu.Lock()
	has := t.unfinished()
	switch late := errors.Is(ctx.Err(), context.DeadlineExceeded); {
	case t.finished:
	case late && has:
		t.ref().Expire()
	case late: // its result is being copied
	default:
		t.abandon(contextError(ctx, "call", mayRunYet))
		if has {
			t.ref().Cancel()
		}
	}
	c.settle()
}

// explained gives the error of a Call. Where its task had the deadline of its ctx, the end of that is the end of ctx.
func (c *taskConfig) explained(err error) error {
	if c == nil || !c.byCaller || !errors.Is(err, ErrDeadline) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &causedError{err: protocol.AsError(err, "call"), cause: errors.Join(ErrDeadline, context.DeadlineExceeded)}
}

// sweep waits for the end of the tasks of a session that CancelAll was for.
type sweep struct {
	session *Session
	upTo    uint64
	done    chan struct{}
}

// CancelAll ends all tasks of the session that are unfinished, as the fabric does with one that [Task.Cancel] is called for:
// each ends with [ErrCancelled], or with its result when that was faster. It returns when none of them is unfinished any
// more, or when ctx ends; they are ended then all the same. The session goes on.
func (s *Session) CancelAll(ctx context.Context) error {
	c := s.client
	if ctx.Err() != nil {
		return contextError(ctx, "cancel all", "")
	}
	c.mu.Lock()
	if err := s.refusal(); err != nil { // it has no tasks
		c.mu.Unlock()
		return nil //nolint:nilerr // that is what was wanted
	}
	w := &sweep{session: s, upTo: s.core.CancelAll(), done: make(chan struct{})}
	if s.core.Ended(w.upTo) {
		c.settle()
		return nil
	}
	c.sweeps = append(c.sweeps, w)
	ring := c.block()
	c.settle()
	if ring {
		c.wake.Ring()
	}
	var err error
	select {
	case <-w.done:
	case <-ctx.Done():
		err = contextError(ctx, "cancel all", "; the tasks are cancelled all the same")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocked--
	c.sweeps = slices.DeleteFunc(c.sweeps, func(other *sweep) bool { return other == w })
	return err
}

// sweeps are those that somebody waits for. They are guarded by the client's mu.
type sweeps []*sweep

// tell tells who waits for tasks that have all ended.
func (l *sweeps) tell() {
	*l = slices.DeleteFunc(*l, func(w *sweep) bool {
		over := w.session.core.Ended(w.upTo)
		if over {
			close(w.done)
		}
		return over
	})
}

// Join waits until all tasks are finished, and gives the error of the first in their order that has failed, or that ctx has
// ended. Their results are given by [Task.Wait], not by [Session.Results].
func Join(ctx context.Context, tasks ...*Task) error {
	if i := slices.Index(tasks, nil); i >= 0 {
		return protocol.Errorf(protocol.CodeInvalid, "join", "task %d of %d is nil: its submission gave an error instead", i+1, len(tasks))
	}
	var first error
	for i, t := range tasks {
		_, err := t.Wait(ctx)
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return err
		}
		if err != nil && first == nil {
			first = &causedError{
				err:   protocol.Errorf(protocol.CodeOf(err), "join", "task %d of %d, %v: %v", i+1, len(tasks), t.ID(), err),
				cause: err,
			}
		}
	}
	return first
}
