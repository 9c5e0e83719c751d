package manager

import (
	"container/heap"
	"slices"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// extra is what few tasks have beside their slot. The plain path never makes one.
type extra struct {
	priority int8            // in its session
	deadline time.Time       // when the task is given up; zero: never
	run      time.Duration   // that it may execute; 0: as its session says
	begun    time.Time       // when its hook began, where the instance said so
	until    time.Time       // when it has executed for long enough, since it began
	stop     *stop           // in state taskStopping
	retry    *protocol.Retry // the policy that it came with; nil: its session's
	mishap   *mishap         // nil: no attempt has failed
	next     time.Time       // when it is queued again, in state taskDelayed
	stream   *stream         // what the task has said while it ran; nil: nothing
}

// extraOf gives the extra of a task, nil when it has none.
func (s *slab) extraOf(i uint32) *extra {
	if !s.slots[i].special {
		return nil
	}
	return s.extras[i]
}

// needExtra gives the extra of a task, which has one from now on.
func (s *slab) needExtra(i uint32) *extra {
	if x := s.extraOf(i); x != nil {
		return x
	}
	if s.extras == nil {
		s.extras = make(map[uint32]*extra)
	}
	x := &extra{}
	s.extras[i] = x
	s.slots[i].special = true
	return x
}

// dropExtra drops the extra of a task that has one.
func (s *slab) dropExtra(i uint32) {
	if t := s.extras[i].stream; t != nil {
		s.said -= t.held
	}
	delete(s.extras, i)
	s.slots[i].special = false
}

// optioned takes what a task says of itself. What cannot be read is as if it were not there.
func (m *manager) optioned(k uint32, rec *protocol.Record) {
	o, _ := rec.Options()
	retries{m}.own(k, &o)
	if o.Priority != 0 {
		m.slab.needExtra(k).priority = o.Priority
	}
	if o.Run > 0 {
		m.slab.needExtra(k).run = o.Run
	}
	if d := m.slab.slots[k].session.timeout; o.Timeout == 0 || o.AtMost && 0 < d && d < o.Timeout {
		o.Timeout = d
	}
	if o.Timeout > 0 {
		endings{m}.timed(k, o.Timeout)
	}
}

// alarmKind says what is due.
type alarmKind uint8

// The kinds of alarms.
const (
	alarmDeadline alarmKind = iota // the task is given up
	alarmRun                       // the task has executed for long enough
	alarmGrace                     // the task has had its time to stop
	alarmBackoff                   // the task's delay is over
)

// alarm is something that is due to a task at a time.
type alarm struct {
	at   time.Time
	task uint64 // wire id: an alarm of a task that is gone is of no effect
	kind alarmKind
}

// alarms is what is due to the tasks of a manager, the soonest first.
type alarms struct {
	heap  alarmHeap
	least int // alarms up to which it is not looked for those of tasks that are gone
}

// prunedFrom is how many alarms there are at least before it is looked which are of tasks that are gone.
const prunedFrom = 4096

// prune drops alarms of tasks that are gone, when there may be as many of them as of others: most tasks with a deadline
// are done long before it.
func (a *alarms) prune(s *slab) {
	if len(a.heap) <= max(a.least, prunedFrom) {
		return
	}
	a.heap = slices.DeleteFunc(a.heap, func(v alarm) bool { return s.find(v.task) == 0 })
	heap.Init(&a.heap)
	a.least = 2 * len(a.heap)
}

// set adds an alarm. It cannot be taken back: who is called by one looks whether it still holds.
func (a *alarms) set(v alarm) { heap.Push(&a.heap, v) }

// next is when the soonest is due, and whether there is any.
func (a *alarms) next() (time.Time, bool) {
	if len(a.heap) == 0 {
		return time.Time{}, false
	}
	return a.heap[0].at, true
}

// due takes the next alarm whose time has come.
func (a *alarms) due(now time.Time) (alarm, bool) {
	if at, ok := a.next(); !ok || now.Before(at) {
		return alarm{}, false
	}
	return heap.Pop(&a.heap).(alarm), true
}

// alarmHeap is a heap.Interface.
type alarmHeap []alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds v.
func (h *alarmHeap) Push(v any) { *h = append(*h, v.(alarm)) }

// Pop takes the last.
func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}

// ring does what is due to the manager's tasks.
func (m *manager) ring() {
	m.alarms.prune(&m.slab)
	for {
		v, ok := m.alarms.due(m.core.now)
		if !ok {
			return
		}
		k := m.slab.find(v.task)
		if k == 0 || m.slab.slots[k].answered() {
			continue
		}
		switch v.kind {
		case alarmDeadline:
			endings{m}.expire(k)
		case alarmRun:
			endings{m}.overrun(k)
		case alarmGrace:
			endings{m}.graceOver(k)
		case alarmBackoff:
			retries{m}.rested(k)
		}
	}
}
