package manager

import (
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// How tasks find their instance. Whatever arrives in one pump is queued first; settle, in share.go, then gives each
// session that got tasks (fill) the free credit of its seats, most free first, and each instance whose credit came back
// (serve) to the sessions that wait there, in turns. While a session waits for credit, its seats are in the turns of
// their instances.

// fill notes that a session has tasks to dispatch.
func (s *hosted) fill() {
	c := s.manager.core
	if !s.dirty {
		s.dirty = true
		c.filled = append(c.filled, s)
	}
}

// serve notes that an instance may have credit.
func (i *instance) serve() {
	c := i.manager.core
	if !i.queued {
		i.queued = true
		c.served = append(c.served, i)
	}
}

// dispatch sends a session's tasks where there is credit.
func (s *hosted) dispatch() {
	if s.closed {
		return
	}
	if s.suspects.n > 0 && !s.suspended {
		s.placeSuspects()
	}
	lender{s}.promise()
	queued := s.queue.n
	for s.ready() > 0 {
		best, room := (*seat)(nil), 0
		for _, t := range s.seats {
			if t.state == seatBound {
				if r := t.room(); r > room {
					best, room = t, r
				}
			}
		}
		if best == nil {
			break
		}
		// A part of the room at a time, so that seats fill evenly; all of it when there is no other.
		n := room
		if len(s.seats) > 1 {
			n = max(1, room/4)
		}
		best.send(n)
	}
	if s.ready() > 0 {
		s.wait()
	}
	lender{s}.lineUp(s.queue.n < queued)
}

// wait puts a session whose tasks find no credit into the turns of its instances. Where it has nothing at all it may
// send one task beyond the credit, so that a session with few tasks does not wait behind one with many.
func (s *hosted) wait() {
	for _, t := range s.seats {
		if t.state != seatBound || !t.instance.serves() {
			continue
		}
		if t.flight == 0 && !t.instance.reserved && s.ready() > 0 {
			t.send(1)
		}
		if !t.turning {
			t.turning = true
			t.instance.turns = append(t.instance.turns, t)
		}
	}
	if s.ready() > 0 {
		s.widen()
	}
}

// serveTurns gives an instance's credit to the sessions that wait there.
func (i *instance) serveTurns() {
	i.settleSeats()
	i.invite()
	if i.reserved {
		i.nextSuspect()
	}
	for i.room() > 0 && len(i.turns) > 0 {
		t := i.turns[0]
		i.turns = i.turns[1:]
		s := t.session
		queued := s.queue.n
		if t.state == seatBound && !s.closed && s.ready() > 0 {
			share := i.room()
			if len(i.turns) > 0 {
				share = max(1, i.credit/16)
			}
			t.send(min(share, t.room()))
		}
		if s.queue.n < queued && s.ready() > 0 {
			i.turns = append(i.turns, t)
		} else {
			t.turning = false
			if !s.closed {
				lender{s}.lineUp(s.queue.n < queued)
			}
		}
	}
	// A seat that has nothing here gets its one task in any case.
	for _, t := range i.turns {
		if t.flight == 0 && t.state == seatBound && i.serves() && !i.reserved && t.session.ready() > 0 {
			t.send(1)
		}
	}
	if len(i.turns) == 0 {
		i.turns = nil
	}
}

// settleSeats lets seats go whose last task was answered.
func (i *instance) settleSeats() {
	for _, t := range i.seats {
		if t.state == seatYielding && t.flight == 0 {
			t.unbind()
		}
	}
}

// send dispatches up to n of a session's queued tasks to a seat.
func (t *seat) send(n int) {
	m := t.instance.manager
	c := m.core
	s := t.session
	c.clock++
	t.used = c.clock
	s.touch()
	out := dispatched{session: s}
	n = min(n, s.ready())
	for sent := 0; sent < n && (sent == 0 || t.instance.bytes < instanceBytes); sent++ {
		if run := (runs{c}).send(t, n-sent, &out); run > 0 {
			sent += run - 1
			continue
		}
		k := s.queue.take(&m.slab)
		if task := &m.slab.slots[k]; !out.more(task) {
			out.add(task)
		}
		m.fly(k, t)
	}
	out.settle()
	lender{s}.promise()
}

// room is the number of tasks that the seat may be given now. Before the size of any result is known it is what keeps
// the instance at work.
func (t *seat) room() int {
	room, s := t.instance.room(), t.session
	if (lender{s}).guess() == 0 {
		room = min(room, 2*t.instance.slots-t.flight)
	}
	return room
}

// fly dispatches one task that is in no list.
func (m *manager) fly(k uint32, t *seat) {
	task := &m.slab.slots[k]
	s, i := t.session, t.instance
	m.slab.pushBack(&s.flight, k)
	task.move(taskFlying)
	task.seat = t
	t.flight++
	t.bytes += int64(task.size)
	i.flight++
	i.bytes += int64(task.size)
	attempt := uint8(min(int(task.attempts)+int(task.losses)+1, 255))
	id := m.slab.wireID(k)
	if i.sample.task == 0 {
		i.sample = sample{id, m.core.now}
	}
	x := protocol.Execution{ID: task.id, Attempt: attempt}
	if task.special || s.run > 0 {
		endings{m}.bound(k, &x)
	}
	if x.Attempt > 1 {
		s.stats.Retried++
	}
	if task.handle != 0 {
		h := m.core.node.Retain(task.handle)
		i.link.AppendDispatchExternal(s.number, id, task.size, h, &x)
	} else {
		i.link.AppendDispatch(s.number, id, task.buf.data[task.off:task.off+task.size], &x)
	}
	if task.suspect {
		i.last = link.Last(i.link)
	}
}

// recallAll asks an instance to give back what it has not started.
func (i *instance) recallAll() {
	m := i.manager
	for _, t := range i.seats {
		for k := t.session.flight.head; k != 0; k = m.slab.slots[k].next {
			m.recall(k, i)
		}
	}
}

func (m *manager) recall(k uint32, i *instance) bool {
	t := &m.slab.slots[k]
	if t.state != taskFlying || t.seat == nil || t.seat.instance != i {
		return false
	}
	t.move(taskRecalling)
	i.link.Append(protocol.KindRecall, t.session.number, m.slab.wireID(k), nil)
	return true
}

// recalled queues a task again that an instance had not started, before the others of its session.
func (i *instance) recalled(rec *protocol.Record) {
	m := i.manager
	k := m.slab.flying(i, rec)
	if k == 0 {
		return
	}
	m.land(k)
	if (endings{m}).unanswered(k, i) {
		return
	}
	if planted.Is(planted.RecalledForgotten) {
		m.finish(k)
		return
	}
	suspect := m.slab.slots[k].suspect
	m.putBack(k)
	if s := m.slab.slots[k].session; !suspect && s.ready() > 0 {
		if t := s.freeSeat(i); t != nil {
			t.send(1) // it is first in the queue; by credit alone it might go back to where it was
		}
	}
}

// freeSeat gives a seat of the session at another instance that has a slot free, nil when there is none.
func (s *hosted) freeSeat(but *instance) *seat {
	for _, t := range s.seats {
		if i := t.instance; i != but && t.state == seatBound && i.flight < i.slots && i.room() > 0 {
			return t
		}
	}
	return nil
}

// putBack queues a task again that was dispatched and not begun. It is in no list.
func (m *manager) putBack(k uint32) {
	t := &m.slab.slots[k]
	s := t.session
	if t.suspect {
		t.move(taskSuspect)
		m.slab.pushFront(&s.suspects, k)
	} else {
		t.move(taskQueued)
		m.requeue(k)
	}
	s.fill()
}

// rebalance recalls tasks that wait behind others at one instance while another has a slot free, not more than it has
// slots. They go there when they come back.
func (m *manager) rebalance() {
	if len(m.instances) < 2 {
		return
	}
	for _, idle := range m.instances {
		if !idle.serves() || idle.reserved || idle.flight >= idle.slots {
			continue
		}
		var donor *instance
		for _, i := range m.instances {
			if i.serves() && !i.reserved && i.flight > i.slots && i.slow() && (donor == nil || i.flight > donor.flight) {
				donor = i
			}
		}
		if donor == nil {
			return
		}
		n := min(max(1, (donor.flight-donor.slots)/2), idle.slots-idle.flight)
		for _, t := range donor.seats {
			if t.flight == 0 || t.session.closed || !t.session.seatAt(idle) {
				continue
			}
			for k := t.session.flight.tail; k != 0 && n > 0; k = m.slab.slots[k].prev {
				if !m.slab.slots[k].suspect && m.recall(k, donor) {
					n--
				}
			}
		}
	}
}

// slow says whether tasks are worth taking from an instance: they are long, or not one has ended yet.
func (i *instance) slow() bool { return i.mean == 0 || i.mean >= creditTime/2 }

// seatAt says whether a session is bound to an instance, and has it bound where there is a place.
func (s *hosted) seatAt(i *instance) bool {
	if t := i.seatOf(s.number); t != nil {
		return t.state == seatBound
	}
	if i.hasPlace() {
		s.place(i)
	}
	return false
}
