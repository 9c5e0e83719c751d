package manager

import (
	"slices"

	"github.com/weft-fabric/weft/protocol"
)

// An instance whose agent attests that it lives may say nothing all the same: it was stopped, or its hook lets nothing
// else run. It gets nothing more then, and what it cannot have begun goes elsewhere. What it may be executing stays with
// it: a hook that runs for long is not dead.

// checkMute finds the manager's instances that have fallen silent.
func (m *manager) checkMute() {
	for _, i := range m.instances {
		if !i.mute && i.isReady && !i.byHand && i.silent(m.core) {
			hearing{i}.ends()
		}
	}
}

// silent says whether the other side was not heard of for the peer time-out.
func (e *end) silent(c *Core) bool { return c.now.Sub(e.heard) >= c.cfg.PeerTimeout }

// hearing is whether an instance is heard.
type hearing struct{ *instance }

// ends gives an instance nothing more until it is heard, and takes back what it has not begun.
func (i hearing) ends() {
	m := i.manager
	i.mute = true
	if m.serving() == 0 {
		return
	}
	for _, t := range slices.Clone(i.seats) {
		m.takeBack(t)
		t.session.fill()
	}
}

// takeBack queues the tasks of a seat again that its instance cannot have begun, since it has as many before them as it
// executes at once. It is asked to give them up, should it be heard again; what it answers to them is too late.
func (m *manager) takeBack(t *seat) {
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
			m.putBack(k)
		}
	}
}

// begins lets an instance that was heard again have tasks.
func (i hearing) begins() {
	i.mute = false
	i.vacated()
	for _, s := range i.manager.sessions {
		if s.unfinished() > s.flight.n {
			s.fill()
		}
	}
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
