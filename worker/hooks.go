package worker

import (
	"context"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// prepare makes the context of a hook that is about to run. The caller holds s.mu.
func (s *server) prepare(h *hand) {
	h.busy = true
	switch h.job.Kind {
	case instance.Exec:
		h.task.begin()
		if h.job.Limits != nil {
			h.task.ctx.limit(h.job.Limits.DueFrom(s.now))
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
		if h.busy && o.For(&h.job) || o.ForRun(&h.run) {
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
		h.exec()
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
func (h *hand) exec() {
	result, err := h.call()
	if !h.out.Panicked {
		h.judge(result, err)
	}
	h.returned()
}

// execRun runs OnTaskExec for at most that many tasks of a run, one after the other, until it is halted. odd says that the
// last one's outcome is in h.out. The caller does not hold s.mu.
func (h *hand) execRun(most uint32) (begun uint32, odd bool) {
	defer func() {
		if what := recover(); what != nil {
			h.panicked(what)
			odd = true
		}
	}()
	for {
		begun++
		h.run.Next(&h.job)
		result, err := h.server.service.OnTaskExec(h.task.ctx, &h.task)
		if err != nil || !h.run.Answer(&h.job, result) {
			h.judge(result, err)
			return begun, true
		}
		if begun == most || h.task.ctx.kept() || !h.begun.CompareAndSwap(begun, begun+1) {
			return begun, false
		}
	}
}

// judge puts what OnTaskExec returned into h.out.
func (h *hand) judge(result []byte, err error) {
	switch n := len(result); {
	case err != nil:
		h.out.Err = h.taskFailure(err)
	case int64(n) > h.job.MaxPayload:
		h.out.Err = protocol.Errorf(protocol.CodePayloadTooLarge, "result",
			"the result of task %s has %d bytes, at most %d are allowed", h.task.Key(), n, h.job.MaxPayload)
	case h.frame.whole(result):
		h.out.Handle, h.out.Size = h.job.Handle, uint32(n)
	case n >= protocol.InlinePayload:
		h.out.Handle, h.out.Size = h.server.payloads.New(result), uint32(n)
	default:
		h.out.Result = h.frame.keep(result)
	}
}

// panicked puts a panic of OnTaskExec into h.out.
func (h *hand) panicked(what any) {
	h.out.Err, h.out.Panicked = panicked(what, protocol.CodeTaskPanicked, "OnTaskExec"), true
	h.server.log.Error().Err(h.out.Err).Msg("OnTaskExec panicked; the instance drains")
}

// call calls OnTaskExec and catches its panic.
func (h *hand) call() (result []byte, err error) {
	defer func() {
		if what := recover(); what != nil {
			h.panicked(what)
		}
	}()
	return h.server.service.OnTaskExec(h.task.ctx, &h.task)
}

// taskFailure is what is said of a task that failed. One that was to end failed because of that, whatever its hook made
// of it. One that was broken off because the instance ends may run again.
func (h *hand) taskFailure(err error) *protocol.Error {
	f := failure(err, protocol.CodeTaskFailed, "OnTaskExec")
	if e := h.task.ctx.verdict(); e != nil {
		f = &protocol.Error{Code: e.Code, Op: e.Op, Msg: shorten(e.Msg + "; OnTaskExec returned: " + f.Msg)}
		return f
	}
	if f.Retry == 0 && h.server.hooks.Err() != nil {
		f.Retry = retryYes
	}
	return f
}
