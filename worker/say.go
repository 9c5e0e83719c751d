package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// taskKey is what TaskOf asks a context for.
type taskKey struct{}

// TaskOf gives the task that a context of OnTaskExec, or one derived from it, is of: for functions of [Func] and
// [Stateful], which get the context alone. ok is false for any other context. The task is valid until the function returns.
func TaskOf(ctx context.Context) (t *TaskContext, ok bool) {
	t, ok = ctx.Value(taskKey{}).(*TaskContext)
	return t, ok
}

// Progress tells how far the task has come: percent of its work, 0 to 100, and a text for people, of which at most 4 KiB
// travel. It may be said as often as is convenient: what is said within 100 ms of the last word waits for that time or
// for the end of the task, and the last word wins. It is seen by operators, and by the client when it asked for it. It
// does not wait, and is safe for concurrent use until OnTaskExec returns.
func (t *TaskContext) Progress(percent float64, text string) {
	s := t.session.server
	s.mu.Lock()
	t.hand.halt()
	news := instance.Progress(s.engine, time.Now(), &t.hand.job, percent, text)
	s.mu.Unlock()
	if news {
		s.wake.Ring()
	}
}

// Emit sends a part of the result to the client ahead of the result, which follows when OnTaskExec returns, whatever the
// parts were. part is copied. Parts arrive in order, once each, those of each attempt anew: what was sent by an attempt
// that fails stays sent. A part has at most 256 KiB, and no more than a result may have.
//
// Parts count against what the client takes: when it takes no more Emit waits, with about 256 KiB on their way, until
// ctx or the task's own context ends. The error is nil when the part is on its way: a *protocol.Error for a part that is
// too large or when the session manager is gone (CodeUnavailable); otherwise it wraps why the context has ended. Emit is
// safe for concurrent use until OnTaskExec returns.
func (t *TaskContext) Emit(ctx context.Context, part []byte) error {
	if most := min(protocol.MaxPartial, t.hand.job.MaxPayload); int64(len(part)) > most {
		return protocol.Errorf(protocol.CodePayloadTooLarge, "emit", "a part of %d bytes, at most %d are allowed: divide it, or return it as the result",
			len(part), most)
	}
	s := t.session.server
	for {
		for _, c := range [...]context.Context{ctx, t.ctx} {
			if c.Err() != nil {
				return fmt.Errorf("worker: emit: %w", context.Cause(c))
			}
		}
		open, err := s.emit(t.hand, part)
		if open == nil {
			return err
		}
		select {
		case <-open:
		case <-ctx.Done():
		case <-t.ctx.Done():
		case <-s.ended:
			return errOver
		}
	}
}

// emit sends a part, or gives what is closed when it is to be tried again.
func (s *server) emit(h *hand, part []byte) (open chan struct{}, err error) {
	defer s.wake.Ring()
	s.mu.Lock()
	defer s.mu.Unlock()
	h.halt()
	wait, err := instance.Emit(s.engine, &h.job, part)
	if wait == nil {
		return nil, err
	}
	open, _ = wait.Shell.(chan struct{})
	if open == nil {
		open = make(chan struct{})
		wait.Shell = open
	}
	s.stepAside()
	return open, nil
}

// granted wakes who waits in Emit. The driver calls it, holding s.mu.
func granted(streams []*instance.Stream) {
	for _, t := range streams {
		if open, _ := t.Shell.(chan struct{}); open != nil {
			close(open)
			t.Shell = nil
		}
	}
}

// errOver is what who waits for the broker is told when the instance is over.
var errOver error = protocol.Errorf(protocol.CodeUnavailable, "instance", "it is over")
