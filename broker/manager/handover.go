package manager

import (
	"slices"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
)

// How a session manager goes from one loop to another (docs/adr/0011-managers-move-between-loops.md). Everything that is
// the manager's own is handed over as it is: sessions with their seen sequences, queues, suspects and figures, the slab
// with the ids by which instances know their tasks, seats, and the conversations with its instances, which resume at the
// new loop. What belongs to a loop is settled: buffers, figures, and the conversation with each client, which may have
// other sessions here. That one stays: results that were said in it arrive by it; later ones by the client's
// conversation with the new loop.

// parcel is a manager on its way from one loop to another. The first takes no part of it up again.
type parcel struct {
	manager  *manager
	sessions []lodger
	clock    uint64
	stuck    stuckSeats
}

// lodger is a session in a parcel, with what is known of its client.
type lodger struct {
	*hosted
	client  uint64 // incarnation; 0: it has left
	allowed int64  // bytes of results that it takes
	gone    bool   // its end was told; only its seats are left
}

// handOver takes a manager out of the loop and gives it to the control loop, which has it taken in elsewhere.
func (c *Core) handOver(id uint32) {
	m := c.byID[id]
	if m == nil {
		return
	}
	c.settleAll() // nothing of the manager is in served, filled and late afterwards
	p := &parcel{manager: m, clock: c.clock, stuck: c.stuck.of(m)}
	for _, s := range m.all() {
		p.sessions = append(p.sessions, c.release(s))
	}
	for _, i := range m.instances {
		c.vacate(i.end)
		delete(c.instances, i.container)
		c.node.Detach(i.link)
	}
	c.ledger.forget(m)
	c.changed = slices.DeleteFunc(c.changed, func(s *hosted) bool { return s.manager == m })
	c.buffers.extract(&m.slab)
	delete(c.byID, id)
	c.managers = without(c.managers, m)
	m.core = nil
	c.note(session.Note{Moved: &session.Moved{Manager: id, State: p}})
}

// all gives the sessions of a manager, those first that live, then those that are over and wait for their seats to be
// given up.
func (m *manager) all() []*hosted {
	list := slices.Clone(m.sessions)
	for _, i := range m.instances {
		for _, t := range i.seats {
			if t.session.closed && !slices.Contains(list, t.session) {
				list = append(list, t.session)
			}
		}
	}
	return list
}

// release takes a session out of the loop.
func (c *Core) release(s *hosted) lodger {
	l := lodger{hosted: s, gone: c.sessions[s.number] != s}
	if !l.gone {
		cl := s.client
		lender{s}.withdraw()
		l.client, l.allowed = cl.other, cl.allowed
		cl.sessions = without(cl.sessions, s)
		if cl.recent == s {
			cl.recent = nil
		}
		cl.unlook(s)
		delete(c.sessions, s.number)
		c.bytes -= s.bytes
		c.kept -= s.kept.bytes
		c.data -= s.data.bytes
		s.figures()
	}
	s.told, s.client = false, nil
	if planted.Is(planted.DataLeftBehind) {
		s.data = data{}
	}
	return l
}

// takeIn makes a manager that another loop has handed over the loop's own.
func (c *Core) takeIn(state any) {
	p, ok := state.(*parcel)
	if !ok || c.byID[p.manager.id] != nil {
		return
	}
	m := p.manager
	m.core = c
	c.managers = append(c.managers, m)
	c.byID[m.id] = m
	c.clock = max(c.clock, p.clock)
	c.stuck = append(c.stuck, p.stuck...)
	c.buffers.admit(&m.slab)
	for _, l := range p.sessions {
		if !l.gone { // nothing is said to the client of one that is
			c.lodge(l)
		}
	}
	for _, i := range m.instances {
		c.node.Attach(i.link)
		i.heard = c.now
		c.ends[i.other] = i.end
		c.order = append(c.order, i.end)
		c.instances[i.container] = i
	}
	for _, s := range m.sessions {
		s.client.passStalled()
		if s.unfinished() > 0 {
			s.fill()
		}
	}
}

// lodge takes a session in. Its client may be here already, or come when it was referred.
func (c *Core) lodge(l lodger) {
	s := l.hosted
	c.sessions[s.number] = s
	c.bytes += s.bytes
	c.kept += s.kept.bytes
	c.data += s.data.bytes
	if l.client == 0 {
		s.client = keeper{s}.nobody(l.allowed)
		return
	}
	cl := c.clientOf(l.client)
	if cl.link.Other() == 0 {
		cl.allowed = l.allowed // until its HELLO says it again
	}
	s.client = cl
	if !s.closed {
		cl.sessions = append(cl.sessions, s)
	}
	lender{s}.promise()
}

// extract takes the buffers of a manager's tasks out. A buffer that tasks of other managers refer to as well stays, and
// the payloads in it are copied: no two loops may count the same one.
func (p *buffers) extract(s *slab) {
	refs := make(map[*buffer]int32)
	s.inline(func(t *slot) { refs[t.buf]++ })
	s.inline(func(t *slot) {
		if t.buf.refs != refs[t.buf] {
			b := p.copyOf(t.buf.data[t.off:t.off+t.size], t.buf.at)
			p.hold(b, t.size)
			p.drop(b, 0)
			refs[t.buf]--
			p.drop(t.buf, t.size)
			t.buf, t.off = b, 0
			refs[b] = 1
		}
	})
	p.account(s, -1)
}

// admit takes in the buffers of a manager's tasks.
func (p *buffers) admit(s *slab) { p.account(s, 1) }

// account adds what the tasks of a manager pin, or takes it off.
func (p *buffers) account(s *slab, sign int64) {
	counted := make(map[*buffer]bool)
	s.inline(func(t *slot) {
		p.live += sign * int64(t.size)
		if !counted[t.buf] {
			counted[t.buf] = true
			p.pinned += sign * int64(cap(t.buf.data))
		}
	})
}

// inline calls f for each task whose payload is in a buffer.
func (s *slab) inline(f func(t *slot)) {
	for i := range s.slots {
		if t := &s.slots[i]; t.buf != nil {
			f(t)
		}
	}
}
