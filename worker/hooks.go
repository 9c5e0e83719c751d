package worker

import (
	"bytes"
	"context"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/internal/headroom"
	"github.com/weft-fabric/weft/protocol"
)

// prepare makes the context of a hook that is about to run. The caller holds s.mu.
func (s *server) prepare(h *hand) {
	h.busy = true
	switch h.job.Kind {
	case instance.Exec:
		t := &h.task
		t.session, _ = h.job.Session.Shell.(*SessionContext)
		t.ctx.begin(t.session)
		if h.job.Limits != nil {
			t.ctx.limit(h.job.Limits.DueFrom(s.now))
		}
		return
	case instance.Bind:
	case instance.Create, instance.Unbind, instance.Destroy:
		return
	}
	c := &SessionContext{
		bind: h.job.Session.Bind, server: s, bound: h.job.Session,
		log: s.log.With().Uint32("session", h.job.Session.Bind.Session).Logger(),
	}
	c.ctx, c.cancel = context.WithCancelCause(s.hooks)
	h.job.Session.Shell = c
}

// through notes that a hook has returned. The caller holds s.mu.
func (h *hand) through() {
	h.busy = false
	if h.job.Kind == instance.Exec && h.task.ctx.kept() {
		h.task.ctx = h.task.ctx.end()
	}
}

// abort ends the context of the task that an order names. The caller holds s.mu.
func (s *server) abort(o *instance.Order) {
	for _, h := range s.hands {
		if h.busy && o.For(&h.job) {
			h.task.ctx.abort(o.Err)
		}
	}
}

// Causes of the end of the context of hooks that are not those of a task.
var (
	errLetGo  error = protocol.Errorf(protocol.CodeSessionClosed, "session", "it was let go")
	errEnding error = protocol.Errorf(protocol.CodeClosed, "instance", "it is ending")
)

// run runs the hook of a job and puts how it ended into h.out. The caller does not hold s.mu.
func (s *server) run(h *hand) {
	h.out = instance.Outcome{}
	if h.job.Kind == instance.Exec {
		s.exec(h)
		return
	}
	var session *SessionContext
	if h.job.Session != nil {
		session, _ = h.job.Session.Shell.(*SessionContext)
	}
	switch h.job.Kind {
	case instance.Create:
		h.guard(protocol.CodeCreateFailed, "OnCreateService", func() error {
			return s.service.OnCreateService(s.hooks, &s.context)
		})
	case instance.Bind:
		h.guard(protocol.CodeBindFailed, "OnSessionBind", func() error {
			return s.service.OnSessionBind(session.ctx, session)
		})
		if h.out.Err != nil {
			session.cancel(errLetGo)
		}
	case instance.Unbind:
		ctx, cancel := context.WithTimeout(s.root, s.grace)
		h.guard(protocol.CodeInternal, "OnSessionUnbind", func() error {
			return s.service.OnSessionUnbind(ctx, session)
		})
		cancel()
		session.cancel(errLetGo)
	case instance.Destroy:
		ctx, cancel := context.WithTimeout(s.root, s.grace)
		h.guard(protocol.CodeInternal, "OnDestroyService", func() error {
			return s.service.OnDestroyService(ctx, &s.context)
		})
		cancel()
	case instance.Exec:
	}
	if h.out.Err != nil {
		s.log.Error().Err(h.out.Err).Msg("a hook failed")
	}
}

// guard calls a hook other than OnTaskExec.
func (h *hand) guard(code protocol.Code, op string, hook func() error) {
	defer func() {
		if what := recover(); what != nil {
			h.out.Err, h.out.Panicked = panicked(what, code, op), true
		}
	}()
	if err := hook(); err != nil {
		h.out.Err = failure(err, code, op)
	}
}

// exec runs OnTaskExec.
func (s *server) exec(h *hand) {
	job, t := &h.job, &h.task
	t.id, t.attempt, t.payload, t.job = job.ID, job.Attempt, job.Payload, job
	if job.Handle != 0 {
		t.payload = bytes.Clone(s.payloads.Bytes(job.Handle))
		headroom.Came(len(t.payload))
		s.payloads.Release(job.Handle)
	}
	result, err := s.call(h)
	t.payload, job.Payload = nil, nil
	switch n := len(result); {
	case h.out.Panicked:
		s.log.Error().Err(h.out.Err).Msg("OnTaskExec panicked; the instance drains")
	case err != nil:
		h.out.Err = s.taskFailure(t.ctx, err)
	case int64(n) > job.MaxPayload:
		h.out.Err = protocol.Errorf(protocol.CodePayloadTooLarge, "result",
			"the result of task %s has %d bytes, at most %d are allowed", t.Key(), n, job.MaxPayload)
	case n >= protocol.InlinePayload:
		h.out.Handle, h.out.Size = s.payloads.New(result), uint32(n)
	default:
		h.out.Result = result
	}
}

// call calls OnTaskExec and catches its panic.
func (s *server) call(h *hand) (result []byte, err error) {
	defer func() {
		if what := recover(); what != nil {
			h.out.Err, h.out.Panicked = panicked(what, protocol.CodeTaskPanicked, "OnTaskExec"), true
		}
	}()
	return s.service.OnTaskExec(h.task.ctx, &h.task)
}

// taskFailure is what is said of a task that failed. One that was to end failed because of that, whatever its hook made
// of it. One that was broken off because the instance ends may run again.
func (s *server) taskFailure(ctx *taskContext, err error) *protocol.Error {
	f := failure(err, protocol.CodeTaskFailed, "OnTaskExec")
	if e := ctx.verdict(); e != nil {
		f = &protocol.Error{Code: e.Code, Op: e.Op, Msg: shorten(e.Msg + "; OnTaskExec returned: " + f.Msg)}
		return f
	}
	if f.Retry == 0 && s.hooks.Err() != nil {
		f.Retry = retryYes
	}
	return f
}
