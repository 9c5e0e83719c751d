package client

import (
	"container/heap"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Task is a task of which more is to be said than its payload.
type Task struct {
	Payload []byte          // copied; below protocol.InlinePayload
	Handle  protocol.Handle // in place of Payload: a payload frame of Size bytes
	Size    int

	// Options are told to the manager. Timeout is for the whole of the task, from now on, and kept here as well: see
	// [Ref.Expire].
	Options protocol.TaskOptions
	// After are the slots of unfinished tasks of this client. It is sent when all of them have a result, and fails with
	// CodeDependency when one has not, which may be at once.
	After []uint32
	// Ordered gives the task a place among the ordered ones of its session: its completion leaves the engine after
	// theirs, and its credit comes back with Delivered.
	Ordered bool
}

// extra is what a task has beside its slot when there is more to be said of it than its payload.
type extra struct {
	Ref
	gone    bool // its slot is free, or another's
	options protocol.TaskOptions

	deadline time.Time     // when it is given up; zero: never
	margin   time.Duration // by which the manager gives it up earlier, so that what it says of it comes in time
	again    time.Time     // when it is written again; zero: it was not refused, or was written since
	refusals int
	refusal  *protocol.Error // the last one
	alarm    int             // its place in the engine's alarms + 1; 0: none

	mark      link.Mark       // the frame that it is in, when its payload is another
	cancelled bool            // the fabric was told to end it
	told      bool            // its completion is decided; what is to come is the fabric's answer
	outcome   *protocol.Error // of that completion

	payload    []byte   // while it is held
	waits      int      // tasks that it is held for
	dependants []*extra // tasks that are held for it

	ordered   bool
	done      *Completion // of an ordered one: waits for those before it
	delivered bool        // of an ordered one
	kept      bool        // of an ordered one: it was answered, and not delivered
}

// Ref is a task in a slot of its session. It is of use as long as the task is unfinished, and when it is ordered until it
// is delivered.
type Ref struct {
	session *Session
	at      uint32
}

// At gives the task in a slot, which must be one of s.
func (s *Session) At(slot uint32) Ref { return Ref{s, slot} }

// Slot is the number of the task's slot.
func (r Ref) Slot() uint32 { return r.at }

// ID is the id of the task; its sequence is 0 as long as the task waits for others.
func (r Ref) ID() protocol.TaskID { return r.slot().id }

func (r Ref) slot() *slot { return &r.session.engine.slots[r.at] }

// extra gives what the task has beside its slot.
func (r Ref) extra() *extra {
	t := r.slot()
	if t.extra == nil {
		t.extra = &extra{Ref: r}
	}
	return t.extra
}

// A manager gives a task up earlier than its client: by a tenth of the time that it has, and by maxMargin at most.
const maxMargin = 100 * time.Millisecond

// Start submits a task as [Engine.Submit] and [Engine.SubmitHandle] do.
func (s *Session) Start(now time.Time, task *Task) (Ref, error) {
	e := s.engine
	e.now = now
	size := len(task.Payload)
	if task.Handle != 0 {
		size = task.Size
	}
	if err := s.admit(size); err != nil {
		return Ref{}, err
	}
	r := s.At(s.take(uint32(size)))
	t, x := r.slot(), r.extra()
	t.id, t.handle = protocol.NewTaskID(0, r.at), task.Handle
	x.options = task.Options
	if d := task.Options.Timeout; d > 0 {
		x.deadline, x.margin = now.Add(d), min(d/10, maxMargin)
		e.alarms.arm(x)
	}
	if task.Ordered {
		x.ordered = true
		s.order = append(s.order, x)
	}
	var lost *resolved
	for _, of := range task.After {
		switch f := e.slots[of].session.At(of).extra(); {
		case !f.told:
			f.hold(x)
		case f.outcome != nil: // it waits to be told of
			x.waits++
			lost = &resolved{id: f.ID(), why: f.outcome}
		}
	}
	if x.waits > 0 {
		if task.Handle == 0 {
			x.payload = append(make([]byte, 0, size), task.Payload...)
		}
		s.held.push(e.slots, r.at)
		if lost != nil {
			x.proceed(lost)
		}
		return r, nil
	}
	s.enlist(r.at)
	s.write(t, task.Payload)
	return r, nil
}

// said gives the options as they are to be written now.
func (x *extra) said(now time.Time) *protocol.TaskOptions {
	if !x.deadline.IsZero() {
		x.options.Timeout = max(x.deadline.Sub(now)-x.margin, time.Microsecond)
	}
	return &x.options
}

// alarms is a heap of tasks by when something is due.
type alarms []*extra

// due is when something is due; zero: never.
func (x *extra) due() time.Time {
	switch {
	case x.told:
		return time.Time{}
	case !x.again.IsZero() && (x.deadline.IsZero() || x.again.Before(x.deadline)):
		return x.again
	}
	return x.deadline
}

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].due().Before(a[j].due()) }

func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].alarm, a[j].alarm = i+1, j+1
}

// Push is for package heap.
func (a *alarms) Push(v any) {
	x := v.(*extra) //nolint:forcetypeassert // nothing else is in the heap
	*a = append(*a, x)
	x.alarm = len(*a)
}

// Pop is for package heap.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	x.alarm = 0
	return x
}

// arm puts x where it belongs among the alarms.
func (a *alarms) arm(x *extra) {
	switch none := x.due().IsZero(); {
	case none && x.alarm > 0:
		heap.Remove(a, x.alarm-1)
	case none:
	case x.alarm > 0:
		heap.Fix(a, x.alarm-1)
	default:
		heap.Push(a, x)
	}
}

// ring does what is due of single tasks.
func ring(e *Engine, now time.Time) {
	for len(e.alarms) > 0 {
		x := e.alarms[0]
		if x.due().After(now) {
			return
		}
		if !x.deadline.IsZero() && !x.deadline.After(now) {
			x.Expire()
			continue
		}
		x.again = time.Time{}
		e.alarms.arm(x)
		x.slot().sent = false // whoever refused it has forgotten it
		x.session.write(x.slot(), nil)
	}
}
