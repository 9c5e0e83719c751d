package manager

import (
	"slices"

	"github.com/weft-fabric/weft/protocol"
)

// An instance whose agent attests that it lives may say nothing all the same: it was stopped, or its hook lets nothing
// else run. It gets nothing more then, and what it cannot have begun goes elsewhere. What it may be executing stays with
// it: a hook that runs for long is not dead.

// silences looks after the instances of a manager that say nothing.
type silences struct{ *manager }

// check finds the manager's instances that have fallen silent. While there are others, which may have come later,
// silent ones give up what they have not begun.
func (m silences) check() {
	silent, some := false, false
	for _, i := range m.instances {
		if !i.mute && i.isReady && !i.byHand && i.silent(m.core) {
			i.mute, some = true, true
		}
		silent = silent || i.mute
	}
	if !silent || m.serving() == 0 {
		return
	}
	for _, i := range m.instances {
		for _, t := range i.seats {
			if i.mute && t.flight > i.slots {
				m.takeBack(t)
			}
		}
	}
	if some {
		m.fillAll()
	}
}

// fillAll has all sessions look again where their tasks can go.
func (m silences) fillAll() {
	for _, s := range m.sessions {
		if s.unfinished() > s.flight.n {
			s.fill()
		}
	}
}

// silent says whether the other side was not heard of for the peer time-out.
func (e *end) silent(c *Core) bool { return c.now.Sub(e.heard) >= c.cfg.PeerTimeout }

// hearing is whether an instance is heard.
type hearing struct{ *instance }

// takeBack queues the tasks of a seat again that its instance cannot have begun, since it has as many before them as it
// executes at once. It is asked to give them up, should it be heard again; what it answers to them is too late.
func (m silences) takeBack(t *seat) {
	var back []uint32
	ahead := 0
	for k := t.session.flight.head; k != 0; k = m.slab.slots[k].next {
		if m.slab.slots[k].seat != t {
			continue
		}
		if ahead++; ahead > t.instance.slots {
			back = append(back, k)
		}
	}
	for _, k := range slices.Backward(back) { // the first of them is then first in the queue
		if state := m.slab.slots[k].state; state == taskFlying && m.recall(k, t.instance) || state == taskRecalling {
			m.land(k)
			m.rename(k)
			m.putBack(k)
		}
	}
}

// rename gives a task another name towards instances, so that nothing that was said of it by the one before concerns it.
func (m silences) rename(k uint32) {
	m.slab.slots[k].gen++
	if x := m.slab.extraOf(k); x != nil {
		if !x.deadline.IsZero() {
			m.alarms.set(alarm{at: x.deadline, task: m.slab.wireID(k), kind: alarmDeadline})
		}
		if x.stream != nil {
			x.stream.waits = false
		}
	}
}

// begins lets an instance that was heard again have tasks. Sessions that have a place there do not wait for one any more.
func (i hearing) begins() {
	m := i.manager
	i.mute = false
	for _, t := range i.seats {
		if s := t.session; s.waits {
			s.waits = false
			m.waiting = without(m.waiting, s)
		}
	}
	i.vacated()
	silences{m}.fillAll()
}

// heeded says whether the session has a seat at an instance that is heard.
func heeded(s *hosted) bool {
	return slices.ContainsFunc(s.seats, func(t *seat) bool { return !t.instance.mute })
}

// tooLate counts the answers in a frame of somebody who is no part of the fabric any more.
func tooLate(c *Core, records []byte) {
	r := protocol.NewReader(records)
	var rec protocol.Record
	for {
		if ok, err := r.Next(&rec); !ok || err != nil {
			return
		}
		if rec.Kind == protocol.KindResult || rec.Kind == protocol.KindFailure {
			if s := c.sessions[rec.Session]; s != nil {
				s.stats.Late++
				s.touch()
			}
		}
	}
}
