package manager

import (
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// Tasks are given up for the time that they take only where somebody has set a limit: for a task from its arrival to its
// result, or for the execution alone; the task itself, its session, or its service.

// limitsOf gives what a session of the service says of the time of its tasks, or else the service.
func (m *manager) limitsOf(timeout, run time.Duration) (time.Duration, time.Duration) {
	if timeout == 0 {
		timeout = time.Duration(m.service.Limits.Timeout)
	}
	if run == 0 {
		run = time.Duration(m.service.Limits.Run)
	}
	return timeout, run
}

// timed gives a task its deadline.
func (m endings) timed(k uint32, timeout time.Duration) {
	x := m.slab.needExtra(k)
	x.deadline = m.core.now.Add(timeout)
	m.alarms.set(alarm{at: x.deadline, task: m.slab.wireID(k), kind: alarmDeadline})
}

// bound tells the instance to which a task goes how long it may take, and which attempt it is where one before has said
// something.
func (m endings) bound(k uint32, e *protocol.Execution) {
	e.Run = m.slab.slots[k].session.run
	if x := m.slab.extraOf(k); x != nil {
		if x.run > 0 {
			e.Run = x.run
		}
		x.begun = time.Time{}
		if !x.deadline.IsZero() {
			e.Timeout = max(x.deadline.Sub(m.core.now), time.Microsecond)
		}
		if x.stream != nil {
			held := x.stream.held
			e.Attempt = x.stream.begins(e.Attempt)
			m.slab.said += x.stream.held - held
		}
	}
	e.Watch = e.Run > 0
}

// started notes that the hook of a task has begun.
func (m endings) started(i *instance, rec *protocol.Record) {
	k := m.slab.flying(i, rec)
	if k == 0 {
		return
	}
	x := m.slab.needExtra(k)
	x.begun = m.core.now
	run := x.run
	if run == 0 {
		run = m.slab.slots[k].session.run
	}
	if run > 0 {
		x.until = x.begun.Add(run)
		m.alarms.set(alarm{at: x.until, task: m.slab.wireID(k), kind: alarmRun})
	}
}

// expire ends a task whose deadline has come.
func (m endings) expire(k uint32) {
	if t := &m.slab.slots[k]; t.state != taskStopping {
		m.late(k, "its time is over (timeout)")
	}
}

// overrun ends a task that has executed for as long as it may. The alarm may be of an attempt before.
func (m endings) overrun(k uint32) {
	x := m.slab.extraOf(k)
	t := &m.slab.slots[k]
	if t.seat != nil && t.state != taskStopping && !x.begun.IsZero() && !m.core.now.Before(x.until) {
		m.late(k, "it has executed for longer than it may (run)")
	}
}

// late ends a task whose time is over.
func (m endings) late(k uint32, why string) {
	t := &m.slab.slots[k]
	s, sequence := t.session, t.id.Sequence()
	if planted.Is(planted.FlyingDeadlineIgnored) && t.seat != nil {
		return
	}
	if m.end(k, protocol.Errorf(protocol.CodeDeadline, "task", "%s", why)) {
		s.happened(protocol.EventDeadline, "task %d is asked to stop on %s: %s", sequence, t.seat.instance.where(), why)
	} else {
		s.happened(protocol.EventDeadline, "task %d was not at an instance: %s", sequence, why)
	}
}
