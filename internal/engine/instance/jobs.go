package instance

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// JobKind says which hook a job is.
type JobKind uint8

// The kinds of jobs.
const (
	Exec    JobKind = iota // OnTaskExec
	Create                 // OnCreateService
	Bind                   // OnSessionBind
	Unbind                 // OnSessionUnbind
	Destroy                // OnDestroyService
)

// Job is one hook that is to run now. The shell runs it and calls [Engine.Done].
type Job struct {
	Kind    JobKind
	Session *Session // of Exec, Bind and Unbind

	// Of Exec.
	ID         protocol.TaskID // the client's name for the task
	Attempt    uint8           // from 1
	Payload    []byte          // inline; it stays as it is for as long as it is referred to
	Handle     protocol.Handle // of an external payload, whose reference is now the shell's; else 0
	MaxPayload int64           // bytes that a result may have; the shell turns a larger one into a failure

	task uint64
	era  uint32
}

// Outcome is how a job ended.
type Outcome struct {
	// Err is why the hook failed; nil when it returned nil.
	Err *protocol.Error
	// Panicked says that the hook panicked, Err being the panic.
	Panicked bool
	// Result of Exec: its bytes, which are copied, or the handle of Size bytes, whose reference the engine takes over.
	Result []byte
	Handle protocol.Handle
	Size   uint32
}

// Next says whether there is a hook to run now, and puts it into job. At most the configured slots of jobs are under
// way at once. The next task is of the session that was served longest ago, so that one with few tasks
// waits for one task of each other at most; within a session tasks are first in, first out.
func (e *Engine) Next(job *Job) bool {
	if e.running >= e.cfg.Slots {
		return false
	}
	if len(e.active) > 0 && len(e.hooks) == 0 && e.state == Serving && e.lines[Data].link.Held() < MaxHeld {
		e.nextTask(job)
		return true
	}
	return e.nextHook(job)
}

func (e *Engine) nextTask(job *Job) {
	s := e.active[0]
	t := s.queue.pop()
	e.served++
	s.served = e.served
	switch last := len(e.active) - 1; {
	case s.queue.live == 0:
		e.active = slices.Delete(e.active, 0, 1)
	case last > 0:
		copy(e.active, e.active[1:])
		e.active[last] = s
	}
	s.running++
	e.running++
	*job = Job{
		Kind: Exec, Session: s, ID: t.id, Attempt: t.attempt, Payload: t.payload, Handle: t.handle,
		MaxPayload: e.maxPayload, task: t.task, era: e.era,
	}
}

func (e *Engine) nextHook(job *Job) bool {
	switch {
	case e.state == Creating && e.created == notBegun:
		e.created = underWay
		*job = Job{Kind: Create}
	case len(e.hooks) > 0:
		s := e.hooks[0]
		e.hooks = slices.Delete(e.hooks, 0, 1)
		*job = Job{Kind: Bind, Session: s, era: e.era}
		if s.seat == unbinding {
			job.Kind = Unbind
		}
		s.begun = true
		s.running++
	case e.state == Leaving && e.created == done && e.destroyed == notBegun && e.running == 0 && len(e.sessions) == 0:
		e.destroyed = underWay
		*job = Job{Kind: Destroy}
	default:
		return false
	}
	e.running++
	return true
}

// Done takes the outcome of a job.
func (e *Engine) Done(now time.Time, job *Job, out *Outcome) {
	e.running--
	if job.Kind == Exec {
		e.taskDone(now, job, out)
		return
	}
	switch job.Kind {
	case Create:
		e.createDone(now, out)
	case Bind:
		e.bindDone(job.Session, out)
	case Unbind:
		job.Session.running--
		e.drop(job.Session)
	case Destroy:
		e.destroyed = done
		if out.Err != nil {
			e.blame(out.Err)
		}
	case Exec:
	}
	e.advance(now)
}

func (e *Engine) taskDone(now time.Time, job *Job, out *Outcome) {
	s := job.Session
	s.running--
	data := &e.lines[Data]
	if job.era != e.era || !data.live() { // nobody waits for it
		data.node.Release(out.Handle)
	} else {
		switch {
		case out.Err != nil:
			data.node.Release(out.Handle)
			data.link.Append(protocol.KindFailure, s.Bind.Session, job.task, protocol.Marshal(out.Err))
		case out.Handle != 0:
			data.link.AppendExternal(protocol.KindResult, s.Bind.Session, job.task, out.Size, out.Handle)
		default:
			data.link.Append(protocol.KindResult, s.Bind.Session, job.task, out.Result)
		}
	}
	if out.Panicked {
		e.blame(out.Err)
		e.move(now, Panicked)
	}
	if s.seat != bound {
		e.settle(s)
	}
}

// Account notes that n tasks took d together. The manager learns of it with the next frame.
func (e *Engine) Account(n uint32, d time.Duration) {
	e.executed += n
	e.spent += uint64(max(d, 0))
}

func (e *Engine) createDone(now time.Time, out *Outcome) {
	if out.Err == nil {
		e.created = done
		e.move(now, Created)
		return
	}
	e.created = notBegun
	e.blame(out.Err)
	if e.state == Creating {
		e.lines[Control].link.Append(protocol.KindInstanceFailed, 0, 0, protocol.Marshal(out.Err))
	}
	e.move(now, CreateFailed)
}

func (e *Engine) bindDone(s *Session, out *Outcome) {
	s.running--
	lives := s.era == e.era && e.lines[Data].live()
	if out.Err != nil {
		for s.queue.live > 0 {
			e.lines[Data].node.Release(s.queue.pop().handle)
		}
		if lives {
			e.lines[Data].link.Append(protocol.KindRefused, s.Bind.Session, 0, protocol.Marshal(out.Err))
		}
		e.drop(s)
		return
	}
	s.take(bindDone)
	if lives {
		e.lines[Data].link.Append(protocol.KindBound, s.Bind.Session, 0, nil)
	}
	if s.seat == bound && s.queue.live > 0 {
		e.activate(s)
	}
	e.settle(s)
}

// Ready is how many jobs could begin now, at most.
func (e *Engine) Ready() int {
	n := len(e.hooks)
	switch e.state {
	case Creating, Leaving:
		n++
	case Serving:
		for _, s := range e.active {
			n += s.queue.live
		}
	case Connecting, Draining, Ended:
	}
	return min(n, e.cfg.Slots-e.running)
}
