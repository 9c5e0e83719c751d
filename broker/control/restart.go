package control

import (
	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/protocol"
)

// restartService has the instances of a service replaced by such as its program is now. Those that were started by hand
// stay: it is for their user to end them.
func restartService(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.RestartService](r)
	if err != nil {
		return err
	}
	entries, err := c.catalogue.Find(protocol.ServiceRef{Name: req.Name, Version: req.Version})
	if err != nil {
		return err
	}
	for _, e := range entries {
		for m := range c.managers.of(e) {
			if !req.Idle || m.sessions.Len() == 0 {
				c.managers.renew(m)
			}
		}
	}
	p.answer(c.out, 0, protocol.KindDone, r.Task, nil)
	return nil
}

// renewal is the replacement of the containers that a manager had at a moment.
type renewal struct {
	under bool // way
	size  int  // how many served when the last one was let go
}

// renew has all containers of a manager replaced, one after the other.
func (t *managers) renew(m *manager) {
	m.renewal = renewal{under: true}
	for _, c := range m.containers.All() {
		c.Outdated = c.Node != nil
	}
	t.touch(m)
}

// renewNext lets the next container go that is to be replaced, when the one before has been: nothing is on its way in or
// out, and as many serve as before or as are wanted. What serves nobody need not wait. When the new ones do not come up,
// or find no room, those that are left go on.
func (t *managers) renewNext(m *manager) {
	if !m.renewal.under {
		return
	}
	var next *fleet.Container
	for _, c := range m.containers.All() {
		switch {
		case !c.Outdated || c.State == fleet.Leaving:
		case m.sessions.Len() == 0 || c.State != fleet.Serving:
			t.c.crew.retreat(c)
		case next == nil:
			next = c
		}
	}
	serving := m.count[fleet.Serving]
	switch {
	case next == nil:
		m.renewal = renewal{}
	case m.count[fleet.Leaving] == 0 && serving == m.count.live() && serving >= min(m.want, m.renewal.size):
		m.renewal.size = serving
		t.c.crew.letGo(next)
	}
}
