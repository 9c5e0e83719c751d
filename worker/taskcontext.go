package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// taskContext is the context of tasks, one after the other. Most tasks never look whether theirs has ended: only for one
// that does, or whose time is limited, a context of the standard library is made, a child of its session's. It then
// stands for that task alone, and the next one gets a new taskContext; so who keeps the context of a task that is over
// finds it ended. It is safe for concurrent use, but for begin, limit and end.
type taskContext struct {
	task    *TaskContext // what [TaskOf] gives
	session atomic.Pointer[SessionContext]
	mu      sync.Mutex // to make the context once
	made    atomic.Pointer[madeContext]
}

// madeContext is a context that was made, with how to end it.
type madeContext struct {
	context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of its timer; nil: it has none
}

// begin has the context stand for a task of a session.
func (c *taskContext) begin(s *SessionContext) {
	if c.session.Load() != s {
		c.session.Store(s)
	}
}

// limit ends the context of a task that has just begun at due, unless that is zero.
func (c *taskContext) limit(due time.Time) {
	if due.IsZero() {
		return
	}
	s := c.session.Load()
	m := &madeContext{}
	m.Context, m.cancel = context.WithCancelCause(s.ctx)
	m.Context, m.stop = context.WithDeadlineCause(m.Context, due, errOverdue)
	c.made.Store(m)
}

// errOverdue is the cause of a context that has ended by itself.
var errOverdue error = protocol.Errorf(protocol.CodeDeadline, "task", "its time is over")

// kept says that it stands for one task alone: the next needs another, see end.
func (c *taskContext) kept() bool { return c.made.Load() != nil }

// end ends the task of a context that is kept, and gives the context of the next.
func (c *taskContext) end() *taskContext {
	m := c.made.Load()
	m.cancel(nil)
	if m.stop != nil {
		m.stop()
	}
	return &taskContext{task: c.task}
}

// abort ends the context because of why.
func (c *taskContext) abort(why error) { c.make().cancel(why) }

// make gives the context that was made, making it.
func (c *taskContext) make() *madeContext {
	if m := c.made.Load(); m != nil {
		return m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.made.Load(); m != nil {
		return m
	}
	m := &madeContext{}
	m.Context, m.cancel = context.WithCancelCause(c.session.Load().ctx)
	c.made.Store(m)
	return m
}

// current is the context that was made, or the session's.
func (c *taskContext) current() context.Context {
	if m := c.made.Load(); m != nil {
		return m.Context
	}
	return c.session.Load().ctx
}

// verdict is the error for which the task was to end, where it was told to end, or its time is over; nil otherwise.
func (c *taskContext) verdict() *protocol.Error {
	m := c.made.Load()
	if m == nil || m.Err() == nil {
		return nil
	}
	if e, ok := errors.AsType[*protocol.Error](context.Cause(m.Context)); ok && (e.Code == protocol.CodeDeadline || e.Code == protocol.CodeCancelled) {
		return e
	}
	return nil
}

// Deadline is as in context.Context.
func (c *taskContext) Deadline() (time.Time, bool) { return c.current().Deadline() }

// Done is as in context.Context.
func (c *taskContext) Done() <-chan struct{} { return c.make().Done() }

// Err is as in context.Context.
func (c *taskContext) Err() error { return c.current().Err() }

// Value is as in context.Context. By it the standard library finds the context that was made, so that contexts derived
// from this one need no goroutine, and have its cause.
func (c *taskContext) Value(key any) any {
	if key == any(taskKey{}) {
		c.make() // it is looked at: it stands for this task alone
		return c.task
	}
	return c.current().Value(key)
}
