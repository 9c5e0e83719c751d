package control

import (
	"slices"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// How managers are moved between loops (docs/adr/0011-managers-move-between-loops.md): the loop hands the manager over,
// which comes here as a value; it is given to the other loop, then what it was ordered meanwhile, and then its clients
// and instances are referred there.

// transit is the state of a manager that no loop has at the moment.
type transit struct {
	to   int
	next int             // where it is to go from there
	held []session.Order // in order
}

// holdsOf is the loop of which a manager holds its share: where it runs, or is going to.
func (m *manager) holdsOf() int {
	if m.transit != nil {
		return m.transit.to
	}
	return m.loop
}

// order gives an order that concerns a manager to the loop that has it, or will have it.
func (t *managers) order(m *manager, o session.Order) {
	if m.transit != nil {
		m.transit.held = append(m.transit.held, o)
		return
	}
	t.c.out.order(m.loop, o)
}

// refer tells a party where a manager is, for a session of it, or 0 to an instance. While it is on its way everybody is
// told when it has arrived.
func (t *managers) refer(p *party, position uint64, m *manager, number protocol.SessionNumber) {
	if m.transit == nil {
		t.c.lobby.refer(p, position, m.service.Name, number, m.loop)
	}
}

// move has a manager go to another loop. One that is on its way arrives before it goes on, if only to come back: what its
// clients send meanwhile to where it was is dropped there, and only a referral elsewhere makes them send it again.
//
// Its share of the loop goes with it; the error says that there is no room for it now, and nothing is done.
func (t *managers) move(m *manager, to int) error {
	switch {
	case m.transit != nil:
		if err := t.c.hosts.movable(m, to); err != nil {
			return err
		}
		m.transit.next = to
	case m.loop != to:
		if err := t.c.hosts.move(m, to); err != nil {
			return err
		}
		t.c.out.order(m.loop, session.Order{Move: &session.Move{Manager: m.hosting}})
		m.transit = &transit{to: to, next: to}
	}
	return nil
}

// moved takes a manager that its loop has handed over, and gives it to the one where it is to be.
func (t *managers) moved(n *session.Moved) {
	m, ok := t.c.hosts.running[n.Manager]
	if !ok || m.transit == nil {
		return
	}
	way := m.transit
	m.transit = nil
	t.c.hosts.changed = true
	from, to := &t.c.hosts.loops[m.loop], &t.c.hosts.loops[way.to]
	from.managers--
	to.managers++
	from.sessions -= m.sessions.Len()
	to.sessions += m.sessions.Len()
	m.loop, m.arrived = way.to, t.c.now
	t.order(m, session.Order{Adopt: &session.Adopt{State: n.State}})
	for _, o := range way.held {
		t.order(m, o)
	}
	for _, s := range m.sessions.All() {
		t.c.sessions.happened(s, protocol.EventMoved, "its session manager went to manager loop "+strconv.Itoa(m.loop))
		if !s.tenure.away {
			s.client.client.hostedBy(m.loop)
			t.c.sessions.refer(s)
		}
		for _, p := range s.tenure.left { // who hears there that it has it no more
			p.client.hostedBy(m.loop)
			t.refer(p.party, s.position, m, s.number)
		}
	}
	for _, c := range m.containers.All() {
		if c.Hosting != m.hosting { // it was let go before this manager was made
			continue
		}
		c.Loop = m.loop
		if p, ok := t.c.lobby.parties.Get(c.Instance); ok {
			t.refer(p, 0, m, 0)
		}
	}
	t.retireGone(m)
	if m.hosting != 0 {
		_ = t.move(m, way.next) // where there is no room any more it stays here
	}
	t.touch(m)
}

// hostedBy notes that a loop has, or had, a session of the client.
func (c *clientPart) hostedBy(loop int) {
	if !slices.Contains(c.loops, loop) {
		c.loops = append(c.loops, loop)
	}
}

func moveService(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.MoveService](r)
	if err != nil {
		return err
	}
	if req.Loop < 0 || req.Loop >= c.cfg.Loops {
		return protocol.Errorf(protocol.CodeInvalid, "move service", "loop: %d is not within 0 to %d, the manager loops of this broker", req.Loop, c.cfg.Loops-1)
	}
	entries, err := c.catalogue.Find(protocol.ServiceRef{Name: req.Name, Version: req.Version})
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		for m := range c.managers.of(e) {
			if m.hosting == 0 {
				continue
			}
			found = true
			if err := c.managers.move(m, req.Loop); err != nil {
				return err
			}
		}
	}
	if !found {
		return protocol.Errorf(protocol.CodeNotFound, "move service", "service %s has no session manager now; it gets one with its first session", req.Name)
	}
	p.answer(c.out, 0, protocol.KindDone, r.Task, nil)
	return nil
}

// When loops are relieved of managers. A loop takes some 10^6 tasks a second; below leastRate it is not worth while.
// What a move brings is judged by rates alone, which it does not change, so that the same manager is not moved back
// unless others become busy or idle; clearGain, patience and rest keep it from following every whim of the load.
const (
	lookEvery = 5 * time.Second
	leastRate = 20_000           // finished tasks a second of the busiest loop
	clearGain = 0.75             // what the busiest loop must come down to
	patience  = 3                // looks in a row
	rest      = 60 * time.Second // of a manager that was moved
)

// balance moves managers away from loops that have clearly more to do than others.
type balance struct {
	at   time.Time // of the last look
	loop int       // that was the busiest
	seen int       // how often in a row it was clearly so
}

// look compares the loops by what their managers finished since the last look.
func (b *balance) look(t *managers) {
	now := t.c.now
	since := now.Sub(b.at)
	if t.c.cfg.Loops < 2 || !b.at.IsZero() && since < lookEvery {
		return
	}
	first := b.at.IsZero()
	b.at = now
	loads := make([]float64, t.c.cfg.Loops)
	for _, m := range t.byID.All() {
		m.rate = float64(m.finished-m.counted) / since.Seconds()
		m.counted = m.finished
		loads[m.loop] += m.rate
	}
	if first {
		return
	}
	from, to := 0, 0
	for i, l := range loads {
		if l > loads[from] {
			from = i
		}
		if l < loads[to] {
			to = i
		}
	}
	best := t.bestOff(from, to, loads[from], loads[to])
	if best == nil || from != b.loop {
		b.seen = 0
	}
	b.loop = from
	if best == nil {
		return
	}
	if b.seen++; b.seen >= patience {
		b.seen = 0
		_ = t.move(best, to) // there was room a moment ago
	}
}

// bestOff gives the manager of a loop whose move to another one, with these loads, brings most; nil when none brings
// enough, or none has room there.
func (t *managers) bestOff(from, to int, most, least float64) (best *manager) {
	if most < leastRate {
		return nil
	}
	after := most * clearGain
	for _, m := range t.byID.All() {
		if m.loop != from || m.hosting == 0 || m.transit != nil || !t.c.hosts.shares.Movable(m.id, to) || !m.arrived.IsZero() && t.c.now.Sub(m.arrived) < rest {
			continue
		}
		if high := max(most-m.rate, least+m.rate); high <= after {
			best, after = m, high
		}
	}
	return best
}
