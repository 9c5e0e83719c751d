package control

import (
	"time"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// statistics is what was counted of sessions that are over. What is being counted of those that are open, their managers
// know.
type statistics struct {
	c     *Core
	total ordered.Map[string, *protocol.Stats] // by name and version of the service
}

func totalKey(s *protocol.Service) string { return s.Name + " " + s.Version }

// over takes what was counted of a session that is about to be over.
func (t *statistics) over(n *session.Counted) {
	s, ok := t.c.sessions.open.Get(n.Session)
	if !ok {
		return
	}
	s.counted = n.Stats
	key := totalKey(&s.manager.service)
	total, ok := t.total.Get(key)
	if !ok {
		total = &protocol.Stats{}
		t.total.Set(key, total)
	}
	past := *n.Stats // of which nothing waits any more
	past.Waiting, past.Flying, past.Instances = 0, 0, 0
	total.Merge(&past)
}

// forget drops what was counted of a service that is deregistered.
func (t *statistics) forget(s *protocol.Service) { t.total.Delete(totalKey(s)) }

func getStats(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.GetStats](r)
	if err != nil {
		return err
	}
	switch {
	case (req.Session == 0) == (req.Service == ""):
		return protocol.Errorf(protocol.CodeInvalid, "get stats", "session: %d, service: %q; one of the two is to be given", req.Session, cut(req.Service))
	case req.Session != 0:
		return c.statistics.ofSession(p, r, req)
	default:
		return c.statistics.ofService(p, r, req)
	}
}

// ofSession answers with what was counted of a session, which its manager knows while it is open.
func (t *statistics) ofSession(p *party, r *protocol.Record, req *protocol.GetStats) error {
	s, over, err := t.c.sessions.find(req.Session, "get stats")
	if err != nil {
		return err
	}
	id := r.Task // the record is the party's frame, which is used again
	if over || s.manager.hosting == 0 {
		p.answer(t.c.out, 0, protocol.KindStats, id, t.complete(s, s.counted))
		return nil
	}
	t.c.queries.ask(s.manager, session.Query{Stats: req}, func(a *session.Answer) {
		switch {
		case a.Error == nil:
			p.answer(t.c.out, 0, protocol.KindStats, id, t.complete(s, a.Stats))
		case s.state.Over(): // meanwhile
			p.answer(t.c.out, 0, protocol.KindStats, id, t.complete(s, s.counted))
		default:
			p.refuse(t.c.out, id, a.Error)
		}
	})
	return nil
}

// complete adds what the manager of a session does not know. Where nothing was counted it is the beginning.
func (t *statistics) complete(s *sess, counted *protocol.Stats) *protocol.Stats {
	out := protocol.Stats{At: t.c.now, Slots: s.manager.service.Slots, Most: max(s.request.MaxInst, s.manager.service.Instances.Max)}
	if counted != nil {
		out = *counted
	}
	out.Since = s.opened
	if !s.running.IsZero() {
		out.Delay = s.running.Sub(s.opened)
	}
	if s.state.Over() {
		out.At, out.Waiting, out.Flying, out.Instances = s.ended, 0, 0, 0
	}
	return &out
}

// ofService answers with what was counted of all sessions of a service: those that are over, and those that are open,
// which takes an answer of each of their managers.
func (t *statistics) ofService(p *party, r *protocol.Record, req *protocol.GetStats) error {
	c := t.c
	entries, err := c.catalogue.Find(protocol.ServiceRef{Name: req.Service, Version: req.Version})
	if err != nil {
		return err
	}
	g := &gathering{party: p, id: r.Task}
	var asked []*manager
	for _, e := range entries {
		if past, ok := t.total.Get(totalKey(&e.Service)); ok {
			g.sum.Merge(past)
		}
		g.begin(e.Registered)
		g.slots, g.most = max(g.slots, e.Service.Slots), max(g.most, e.Service.Instances.Max)
		for m := range c.managers.of(e) {
			g.instances += m.count[fleet.Serving] + m.byHand[fleet.Serving]
			if m.hosting != 0 {
				asked = append(asked, m)
			}
		}
	}
	g.open = len(asked)
	for _, m := range asked {
		c.queries.ask(m, session.Query{Stats: req}, func(a *session.Answer) { g.add(c, a) })
	}
	if g.open == 0 {
		g.answer(c)
	}
	return nil
}

// gathering is an answer of which parts are to come.
type gathering struct {
	party *party
	id    uint64
	sum   protocol.Stats
	since time.Time
	open  int // parts to come
	err   *protocol.Error

	instances, most, slots int
}

// begin notes when one of the services was registered, as the beginning of the count.
func (g *gathering) begin(at time.Time) {
	if g.since.IsZero() || at.Before(g.since) {
		g.since = at
	}
}

// add takes one part, and answers when it was the last.
func (g *gathering) add(c *Core, a *session.Answer) {
	if a.Error != nil {
		g.err = a.Error
	} else {
		g.sum.Merge(a.Stats)
	}
	if g.open--; g.open == 0 {
		g.answer(c)
	}
}

func (g *gathering) answer(c *Core) {
	if g.err != nil {
		g.party.refuse(c.out, g.id, g.err)
		return
	}
	g.sum.Since, g.sum.At, g.sum.Delay = g.since, c.now, 0
	g.sum.Instances, g.sum.Most, g.sum.Slots = g.instances, max(g.sum.Most, g.most), max(g.sum.Slots, g.slots)
	g.party.answer(c.out, 0, protocol.KindStats, g.id, &g.sum)
}
