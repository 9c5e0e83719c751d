package client

import (
	"context"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// TaskOption changes how one task is submitted: see [Session.Submit], [Session.SubmitFunc] and [Session.Call].
type TaskOption func(*taskConfig)

// taskConfig is what the options of one task say.
type taskConfig struct {
	options  protocol.TaskOptions
	deadline time.Time // when the task is given up; zero: never
	byCaller bool      // which is when the caller's ctx ends
	after    []*Task
	stream   *stream // whom its words are for; nil: nobody
	err      error   // of an option
}

// taskConfigOf gathers options; nil when there are none, so that a plain task costs nothing.
func taskConfigOf(opts []TaskOption) *taskConfig {
	if len(opts) == 0 {
		return nil
	}
	cfg := &taskConfig{}
	if err := apply("submit", cfg, opts); err != nil {
		cfg.err = err
	}
	return cfg
}

// refuse notes that an option cannot be.
func (c *taskConfig) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = protocol.Errorf(protocol.CodeInvalid, "submit", format, args...)
	}
}

// WithTimeout gives the task up when it has no result d after its submission, the wait for credit and for other tasks
// included. It ends with its result when that has come, otherwise with [ErrDeadline]: by the word of the fabric, which has
// ended it, or since it has surely not been begun; or with [ErrIndeterminate] as well, when it was sent and the fabric
// has not answered in time. It goes before the time of [WithTaskTimeout] and what the service says, which hold without it;
// d may be longer than these.
func WithTimeout(d time.Duration) TaskOption {
	return func(c *taskConfig) {
		if c.options.Timeout = d; d <= 0 {
			c.refuse("WithTimeout: %v is not above 0", d)
		}
	}
}

// WithRunLimit ends the task with [ErrDeadline] when an execution of it takes longer than d. The context of its hook ends
// then; an instance whose hook does not heed that is killed after its service's grace. Without it, the limit is that of
// [WithTaskRunLimit], or what the service says.
func WithRunLimit(d time.Duration) TaskOption {
	return func(c *taskConfig) {
		if c.options.Run = d; d <= 0 {
			c.refuse("WithRunLimit: %v is not above 0", d)
		}
	}
}

// WithPriority has the task begun before those of its session whose priority is lower, and after those whose is higher.
// Without it, it is 0. What has begun is not interrupted.
func WithPriority(p int8) TaskOption { return func(c *taskConfig) { c.options.Priority = p } }

// WithRetry says how often the task is run again, and when; what r leaves out is as [WithSessionRetry] says, or the
// service. Codes of failures (On) cannot be said for one task.
func WithRetry(r protocol.Retry) TaskOption {
	return func(c *taskConfig) {
		switch err := r.Validate("submit", "WithRetry: "); {
		case err != nil && c.err == nil:
			c.err = err
		case r.On != nil:
			c.refuse("WithRetry: on: %q cannot be said for one task; WithSessionRetry can", r.On)
		}
		o := &c.options
		o.Attempts, o.HostLosses = uint8(min(r.Attempts, 255)), uint8(min(r.HostLosses, 255))
		o.Backoff, o.MaxBackoff = time.Duration(r.Backoff), time.Duration(r.MaxBackoff)
	}
}

// After has the task wait in this process until the tasks named, of any session of the same client, have succeeded. When
// one of them has ended otherwise the task fails with [ErrDependency]; where that is known at once, its submission does.
// It counts against its session's credit while it waits, and takes its sequence when it is sent.
func After(tasks ...*Task) TaskOption {
	return func(c *taskConfig) { c.after = append(c.after, tasks...) }
}

// limited gives the config of a task with its deadline; nil when there is nothing to be said of it. Of a Call the end of
// ctx is one.
func (c *taskConfig) limited(ctx context.Context, s *Session, call bool) (*taskConfig, error) {
	var until time.Time
	if call {
		until, _ = ctx.Deadline()
	}
	if c == nil {
		if until.IsZero() && s.taskTimeout == 0 {
			return nil, nil //nolint:nilnil // there is nothing to be said of a plain task
		}
		c = &taskConfig{}
	}
	if c.err != nil {
		return nil, c.err
	}
	for i, t := range c.after {
		if t == nil || t.session.client != s.client {
			return nil, protocol.Errorf(protocol.CodeInvalid, "submit", "After: task %d is not one of this client", i)
		}
	}
	if d := c.options.Timeout; d > 0 {
		c.deadline = time.Now().Add(d)
	} else if s.taskTimeout > 0 {
		c.deadline = time.Now().Add(s.taskTimeout)
	}
	if !until.IsZero() && (c.deadline.IsZero() || until.Before(c.deadline)) {
		c.deadline, c.byCaller, c.options.AtMost = until, true, c.options.Timeout == 0
	}
	return c, nil
}

// start hands a task to the engine of which there is more to be said than its payload; c may be nil. The caller holds the
// client's mu.
func (c *taskConfig) start(s *Session, t *Task, payload []byte, h zmqx.Handle) (protocol.TaskID, error) {
	task := engine.Task{Payload: payload, Ordered: s.ordered != nil && (t == nil || t.ordered)}
	if h != 0 {
		task.Payload, task.Handle, task.Size = nil, h, len(payload)
	}
	now := time.Now()
	if c != nil {
		task.Options, task.Options.Timeout = c.options, 0
		if !c.deadline.IsZero() {
			if task.Options.Timeout = c.deadline.Sub(now); task.Options.Timeout <= 0 {
				return 0, tooLate()
			}
		}
		var err error
		if task.After, err = c.forerunners(); err != nil {
			return 0, err
		}
	}
	ref, err := s.core.Start(now, &task)
	if err != nil {
		return 0, err
	}
	return ref.ID(), nil
}

// forerunners gives the slots of the tasks to be waited for that have not ended. The error is that of one which has failed.
// The caller holds the client's mu.
func (c *taskConfig) forerunners() (slots []uint32, err error) {
	for _, t := range c.after {
		switch {
		case t.unfinished():
			slots = append(slots, t.id.Slot())
		case t.finished && t.err != nil:
			return nil, protocol.Errorf(protocol.CodeDependency, "submit", "task %v, for which it is to wait, ended with: %v; %s", t.id, t.err, notSent[2:])
		}
	}
	return slots, nil
}
