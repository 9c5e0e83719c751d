package manager

import (
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// What happens when an instance is lost (docs/architecture.md, "Loss"). Its unanswered tasks become suspects and are run
// again one at a time, each alone on an instance, so that a task that ends its instance is told from those that were
// only there when it died.

// lost takes an instance out of use for good.
func (i *instance) lost(reason string) {
	m := i.manager
	if i.isLost {
		return
	}
	i.isLost = true
	if i.reserved {
		i.unreserve()
	}
	alone := i.flight == 1
	died := protocol.Errorf(protocol.CodeIndeterminate, "task", "instance %s was lost: %s", i.where(), reason)
	for _, t := range slices.Clone(i.seats) {
		s := t.session
		var next uint32
		for k := s.flight.head; k != 0; k = next {
			next = m.slab.slots[k].next
			if m.slab.slots[k].seat == t {
				m.suspect(k, alone, i, died)
			}
		}
		t.flight, t.bytes = 0, 0
		t.unseat()
		t.tell(protocol.EventLost, reason)
		if s.closed {
			s.settleEnd()
		} else if s.unfinished() > 0 {
			s.fill()
		}
	}
	i.forget()
	m.demand()
}

// suspect takes a task that was unanswered when its instance died. A crash counts as the task's attempt when it was
// alone there and a suspect already, and the instance can have begun it: it left, whether that was acknowledged or not,
// since who dies of a task may not come to acknowledge it. Any other counts as the loss of a host.
func (m *manager) suspect(k uint32, alone bool, i *instance, died *protocol.Error) {
	t := &m.slab.slots[k]
	s := t.session
	m.slab.remove(&s.flight, k)
	lender{s}.promise()
	t.seat = nil
	if (endings{m}).unanswered(k, i) {
		return
	}
	if planted.Is(planted.TaskLostWithHost) {
		m.finish(k)
		return
	}
	limits := retries{m}.policy(k)
	switch {
	case planted.Is(planted.AttemptNotCounted):
	case alone && t.suspect && i.last.Left():
		t.attempts++
	default:
		t.losses++
	}
	retries{m}.remember(k, i, died)
	switch {
	case int(t.attempts) >= limits.Attempts:
		retries{m}.bury(k, protocol.Errorf(protocol.CodeAttemptsSpent, "task", "it ended its instance, or failed, in each of %d attempts; at last %s", t.attempts, died.Msg))
	case int(t.losses) >= limits.HostLosses:
		retries{m}.bury(k, protocol.Errorf(protocol.CodeHostLossSpent, "task", "%d instances were lost under it; at last %s", t.losses, died.Msg))
	default:
		t.suspect = true
		t.move(taskSuspect)
		m.slab.pushBack(&s.suspects, k)
	}
}

// placeSuspects finds instances on which a session's suspects can run alone: at most half of those that serve, at
// least one.
func (s *hosted) placeSuspects() {
	m := s.manager
	for _, t := range s.seats {
		if t.instance.reserved && t.state == seatBound {
			t.instance.nextSuspect()
		}
	}
	if s.suspects.n == 0 {
		return
	}
	if m.reserving() < max(1, m.serving()/2) {
		var best *seat
		for _, t := range s.seats {
			if t.state == seatBound && t.instance.serves() && !t.instance.reserved && (best == nil || t.instance.flight < best.instance.flight) {
				best = t
			}
		}
		if best != nil {
			best.instance.reserved = true
			m.reserved++
			best.instance.nextSuspect()
			return
		}
	}
	if !heeded(s) {
		s.widen()
	}
}

// reserving is how many of the instances that serve are reserved.
func (m *manager) reserving() (n int) {
	for _, i := range m.instances {
		if i.reserved && i.serves() {
			n++
		}
	}
	return n
}

// nextSuspect runs the next suspect on a reserved instance that is empty, or gives the instance back to all.
func (i *instance) nextSuspect() {
	m := i.manager
	if !i.reserved || i.flight > 0 && !planted.Is(planted.SuspectBeside) || !i.serves() {
		return
	}
	var pick *seat
	for _, t := range i.seats {
		if t.state == seatBound && t.session.suspects.n > 0 && !t.session.suspended && (pick == nil || t.used < pick.used) {
			pick = t
		}
	}
	if pick == nil {
		i.unreserve()
		return
	}
	m.core.clock++
	pick.used = m.core.clock
	k := pick.session.suspects.head
	m.slab.remove(&pick.session.suspects, k)
	m.fly(k, pick)
}

// unreserve gives an instance back to all tasks, and lets suspects elsewhere have their turn.
func (i *instance) unreserve() {
	i.reserved = false
	i.manager.reserved--
	i.serve()
	for _, s := range i.manager.sessions {
		if s.suspects.n > 0 || (s.queue.n > 0 && i.seatOf(s.number) != nil) {
			s.fill()
		}
	}
}
