package manager

import (
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// How tasks are ended before their time, because they are cancelled or their time is over (docs/architecture.md,
// "Cancel"). One that is not at an instance fails at once. One that is goes to state taskStopping: its instance is told
// (stage requested), says when the hook's context has ended (acknowledged), and answers when the hook has returned. When
// the service's grace passes before that, the instance is killed (killing). Until it has answered, or its instance is
// gone, the task counts as being there.

// stop is what is known of a task that is being ended.
type stop struct {
	why          *protocol.Error // with which it ends
	acknowledged bool            // its hook's context has ended
}

// endings ends tasks of a manager before their time.
type endings struct{ *manager }

// end ends a task because of e, and says whether it is at an instance and ends when that has stopped it. One that is
// being ended already goes on so.
func (m endings) end(k uint32, e *protocol.Error) (stopping bool) {
	t := &m.slab.slots[k]
	if t.seat == nil {
		if planted.Is(planted.CancelForgetsQueued) && t.state == taskQueued && m.withdraw(k) {
			m.finish(k)
		} else if m.withdraw(k) {
			m.giveUp(k, notBegun(t, e))
		}
		return false
	}
	if t.state == taskStopping {
		return true
	}
	t.move(taskStopping)
	m.slab.needExtra(k).stop = &stop{why: e}
	m.alarms.set(alarm{at: m.core.now.Add(time.Duration(m.service.Limits.Grace)), task: m.slab.wireID(k), kind: alarmGrace})
	if !planted.Is(planted.AbortNotSent) {
		t.seat.instance.link.Append(protocol.KindAbort, t.session.number, m.slab.wireID(k), protocol.Marshal(e))
	}
	t.session.touch()
	return true
}

// withdraw takes a task that waits out of its list, and says whether it was in one.
func (m endings) withdraw(k uint32) bool {
	t := &m.slab.slots[k]
	s := t.session
	switch t.state {
	case taskQueued:
		m.unqueue(k)
	case taskSuspect:
		m.slab.remove(&s.suspects, k)
	case taskDelayed:
		m.slab.remove(&s.delayed, k)
	case taskFree, taskFlying, taskRecalling, taskStopping, taskDone, taskFailed, taskStates:
		return false
	}
	return true
}

// notBegun gives the error of a task that ends while it waits: whether it was ever begun is worth knowing.
func notBegun(t *slot, e *protocol.Error) *protocol.Error {
	told := *e
	told.Msg += "; it was never begun"
	if t.attempts > 0 || t.losses > 0 {
		told.Msg = e.Msg + "; it was waiting to be run again"
	}
	return &told
}

// cancel ends a task of a session, or all that are unfinished.
func (m endings) cancel(s *hosted, o *session.Cancel) {
	if o.Sequence != 0 {
		if k := s.find(o.Sequence); k != 0 {
			m.one(s, k, o.Error)
		}
		return
	}
	asked, over := 0, 0
	for k := range s.tasks {
		switch before := m.slab.slots[k].state; {
		case before == taskStopping:
		case m.end(k, o.Error):
			asked++
		case m.slab.slots[k].state != before:
			over++
		}
	}
	if asked+over > 0 {
		s.happened(protocol.EventCancel, "all tasks, %d not at an instance and over, %d asked to stop: %s", over, asked, o.Error.Msg)
	}
}

// one cancels one task.
func (m endings) one(s *hosted, k uint32, e *protocol.Error) {
	t := &m.slab.slots[k]
	sequence, before := t.id.Sequence(), t.state
	if before == taskStopping {
		return
	}
	if m.end(k, e) {
		s.happened(protocol.EventCancel, "task %d is asked to stop on %s: %s", sequence, t.seat.instance.where(), e.Msg)
	} else if t.state != before {
		s.happened(protocol.EventCancel, "task %d was not at an instance and is over: %s", sequence, e.Msg)
	}
}

// cancel takes a client's word that it wants no result of a task, or, of those it has sent, of none.
func (cl *client) cancel(rec *protocol.Record) {
	s := cl.core.sessions[rec.Session]
	if s == nil || s.client != cl || s.closed {
		cl.misdirected(rec.Session)
		return
	}
	s.manager.handled()
	m, id := endings{s.manager}, protocol.TaskID(rec.Task)
	e := protocol.Errorf(protocol.CodeCancelled, "task", "cancelled by its client")
	if id == 0 {
		m.cancel(s, &session.Cancel{Session: s.number, Error: e})
		return
	}
	k := s.find(id.Sequence())
	switch {
	case k != 0 && m.slab.slots[k].id == id:
		m.one(s, k, e)
	case k == 0 && id.Sequence() > 0 && s.seen.add(id.Sequence()):
		// It comes later, if at all, and is a duplicate then.
		s.stats.Submitted++
		s.failed++
		s.cancelled++
		cl.fail(s, id, notBegun(&slot{}, e))
		s.touch()
	}
}

// stopping notes that the hook of a task was told to end, or, with no task, a hook of a session that was killed.
func (m endings) stopping(i *instance, rec *protocol.Record) {
	if rec.Task == 0 {
		m.core.stuck.add(i.seatOf(rec.Session), m.core.now)
		return
	}
	k := m.slab.flying(i, rec)
	if k == 0 {
		return
	}
	if t := &m.slab.slots[k]; t.state == taskStopping {
		x := m.slab.extraOf(k)
		if !x.stop.acknowledged {
			x.stop.acknowledged = true
			t.session.happened(protocol.EventCancel, "task %d: its hook's context has ended on %s", t.id.Sequence(), i.where())
		}
	}
}

// unanswered takes a task that was at an instance which is lost, and is in no list, when its fate follows from the past:
// one that was being ended is over, and one that was there when the instance was killed for another runs again as if it
// had not been.
func (m endings) unanswered(k uint32, i *instance) bool {
	t := &m.slab.slots[k]
	switch {
	case t.state == taskStopping:
		m.giveUp(k, m.slab.extraOf(k).stop.why)
	case i.killed && !planted.Is(planted.SparedCounted):
		m.putBack(k)
	default:
		return false
	}
	return true
}

// graceOver kills the instance of a task that has not stopped.
func (m endings) graceOver(k uint32) {
	t := &m.slab.slots[k]
	if t.state != taskStopping {
		return
	}
	i := t.seat.instance
	if planted.Is(planted.WrongInstanceKilled) {
		i = m.instances[0]
	}
	t.session.happened(protocol.EventCancel, "task %d has not stopped within %v (limits.grace): instance %s is killed",
		t.id.Sequence(), time.Duration(m.service.Limits.Grace), i.where())
	m.kill(i, "a hook did not return within the grace of its cancel (limits.grace)")
}

// kill has an instance ended at once. One that was started by hand is told to leave without waiting for its hooks: nobody
// can end its process.
func (m endings) kill(i *instance, reason string) {
	c := m.core
	if i.killed || i.isLost {
		return
	}
	if i.reserved {
		i.unreserve()
	}
	i.killed, i.killedAt = true, c.now
	if !i.byHand {
		c.note(session.Note{Kill: &session.Kill{Container: i.container, Reason: reason}})
		return
	}
	i.link.Append(protocol.KindLeave, 0, 0, protocol.Marshal(protocol.Errorf(protocol.CodeCancelled, "instance "+i.container, "%s", reason)))
}

// A session that is killed takes its tasks with it. What runs of it at an instance is counted there, from the instance's
// word that hooks were told to end to its answers to them, so that one whose hooks do not return is killed as well.

// stuckSeats are the seats of killed sessions with hooks that have not returned.
type stuckSeats []*seat

// add notes that one more hook of a killed session runs.
func (l *stuckSeats) add(t *seat, now time.Time) {
	if t == nil || t.state != seatLeaving || !t.session.killed {
		return
	}
	if t.stuck++; t.stuck == 1 {
		t.overdue = now.Add(time.Duration(t.instance.manager.service.Limits.Grace))
		*l = append(*l, t)
	}
}

// returned notes that a hook of a killed session has returned.
func (t *seat) returned() {
	if t != nil && t.stuck > 0 {
		t.stuck--
	}
}

// look kills instances with hooks that are overdue.
func (l *stuckSeats) look(now time.Time) {
	kept := (*l)[:0]
	for _, t := range *l {
		i := t.instance
		switch {
		case t.stuck == 0 || i.isLost || i.seatOf(t.session.number) != t:
		case now.Before(t.overdue):
			kept = append(kept, t)
		default:
			endings{i.manager}.kill(i, "a hook of a killed session did not return within the grace (limits.grace)")
		}
	}
	clear((*l)[len(kept):])
	*l = kept
}

// of takes out those that are at the instances of a manager.
func (l *stuckSeats) of(m *manager) (taken stuckSeats) {
	kept := (*l)[:0]
	for _, t := range *l {
		if t.instance.manager == m {
			taken = append(taken, t)
		} else {
			kept = append(kept, t)
		}
	}
	clear((*l)[len(kept):])
	*l = kept
	return taken
}
