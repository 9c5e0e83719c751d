package instance

import (
	"time"

	"github.com/weft-fabric/weft/internal/planted"
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
	Limits     *Limits         // of its time; nil: none

	task   uint64
	era    uint32
	stream *Stream // what it has said while it ran; nil: nothing
}

// Limits is how long a task may take. The manager ends what takes longer; that the task knows of it is a help.
type Limits struct {
	Due   time.Time     // when the manager gives it up; zero: never
	Run   time.Duration // that it may execute; 0: without limit
	watch bool          // the manager is to be told when it begins
}

// DueFrom is when a task has to be done that begins at now; zero: never.
func (l *Limits) DueFrom(now time.Time) time.Time {
	if l == nil {
		return time.Time{}
	}
	if l.Run <= 0 {
		return l.Due
	}
	return sooner(l.Due, now.Add(l.Run))
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
	if e.running >= e.cfg.Slots && (!planted.Is(planted.OneSlotMore) || e.running > e.cfg.Slots) {
		return false
	}
	switch {
	case e.life.forced:
		return false
	case e.roster.mayServe():
		e.roster.nextTask(job)
	case e.life.beginCreate():
		*job = Job{Kind: Create}
	case e.roster.nextHook(job):
	case e.idle() && e.life.beginDestroy():
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
	switch job.Kind {
	case Exec:
		e.taskDone(now, job, out)
		return
	case Create:
		e.createDone(now, out)
	case Bind:
		e.roster.bindDone(job.Session, out)
	case Unbind:
		e.roster.unbindDone(job.Session)
	case Destroy:
		e.life.destroyed = done
		if out.Err != nil {
			e.life.blame(out.Err)
		}
	}
	e.advance(now)
}

func (e *Engine) taskDone(now time.Time, job *Job, out *Outcome) {
	e.roster.taskDone(job, out)
	if out.Panicked {
		e.life.blame(out.Err)
		e.move(now, Panicked)
	}
	if s := job.Session; s.seat != bound {
		e.roster.settle(s)
	}
}

func (e *Engine) createDone(now time.Time, out *Outcome) {
	if out.Err == nil {
		e.life.created = done
		e.move(now, Created)
		return
	}
	e.life.created = notBegun
	e.life.blame(out.Err)
	if e.life.state == Creating {
		e.lines.at(Control).link.Append(protocol.KindInstanceFailed, 0, 0, protocol.Marshal(out.Err))
	}
	e.move(now, CreateFailed)
}

// Ready is how many jobs could begin now, at most.
func (e *Engine) Ready() int {
	n := len(e.roster.turns.hooks)
	switch e.life.state {
	case Creating, Leaving:
		n++
	case Serving:
		n += e.roster.turns.queued()
	case Connecting, Draining, Ended:
	}
	return min(n, e.cfg.Slots-e.running)
}

// tally is what was executed since the manager was told last.
type tally struct {
	tasks uint32
	spent uint64 // nanoseconds that they took
}

// report tells the manager.
func (t *tally) report(manager *wire) {
	if t.tasks == 0 {
		return
	}
	if manager.live() {
		manager.link.Append(protocol.KindExecuted, t.tasks, t.spent, nil)
	}
	*t = tally{}
}

// Account notes that n tasks took d together. The manager learns of it with the next frame.
func (e *Engine) Account(n uint32, d time.Duration) {
	e.tally.tasks += n
	e.tally.spent += uint64(max(d, 0))
}
