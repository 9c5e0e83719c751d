package manager

import (
	"container/heap"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// extra is what few tasks have beside their slot. The plain path never makes one.
type extra struct {
	deadline time.Time // when the task is given up; zero: never
	priority int8      // in its session
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

// optioned takes what a task says of itself. What cannot be read is as if it were not there.
func (m *manager) optioned(k uint32, rec *protocol.Record) {
	o, ok := rec.Options()
	if !ok || o.Timeout <= 0 && o.Priority == 0 {
		return
	}
	x := m.slab.needExtra(k)
	x.priority = o.Priority
	if o.Timeout <= 0 {
		return
	}
	x.deadline = m.core.now.Add(o.Timeout)
	m.alarms.set(alarm{at: x.deadline, task: m.slab.wireID(k), kind: alarmDeadline})
}

// expire gives a task up whose deadline has come, unless it is at an instance.
func (m *manager) expire(k uint32) {
	t := &m.slab.slots[k]
	s := t.session
	switch t.state {
	case taskQueued:
		m.unqueue(k)
	case taskSuspect:
		m.slab.remove(&s.suspects, k)
	case taskFree, taskFlying, taskRecalling, taskStates:
		return
	}
	m.giveUp(k, protocol.Errorf(protocol.CodeDeadline, "task", "its time was over before it was begun"))
}

// alarmKind says what is due.
type alarmKind uint8

// The kinds of alarms.
const (
	alarmDeadline alarmKind = iota // the task is given up
)

// alarm is something that is due to a task at a time.
type alarm struct {
	at   time.Time
	task uint64 // wire id: an alarm of a task that is gone is of no effect
	kind alarmKind
}

// alarms is what is due to the tasks of a manager, the soonest first.
type alarms struct{ heap alarmHeap }

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
	for {
		v, ok := m.alarms.due(m.core.now)
		if !ok {
			return
		}
		k := m.slab.find(v.task)
		if k == 0 {
			continue
		}
		switch v.kind {
		case alarmDeadline:
			m.expire(k)
		}
	}
}
