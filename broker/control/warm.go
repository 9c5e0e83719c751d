package control

import (
	"time"

	"github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/broker/fleet"
)

// A manager without sessions keeps its instances warm, on its loop or, after its retirement, without one. They are
// containers like all others to the scheduler. They end when their idle time is over, when their service is taken out
// of the catalogue, or when another service needs their room: also while sessions wait for the manager's share, since the
// manager that has it may be the one that needs the room.

// cool ends the warm instances of a manager that has had no session for its idle limit, and retires it. Those that were
// started by hand stay: it is for their user to end them.
func (t *managers) cool(m *manager) {
	if m.sessions.Len() > 0 || m.transit != nil || t.c.now.Sub(m.idleSince) < time.Duration(m.service.Limits.Idle) {
		return
	}
	for _, c := range m.containers.All() {
		if c.Node != nil {
			t.c.crew.retreat(c)
		}
	}
	if m.hosting != 0 {
		t.c.hosts.retire(m)
	}
}

// dissolve ends all that there is of a version of a service, which has no sessions.
func (t *managers) dissolve(e *catalogue.Entry) {
	for m := range t.of(e) {
		for _, c := range m.containers.All() {
			if c.Node == nil && c.Hosting == 0 { // nothing can be said to it; it is refused when it is next heard
				t.c.crew.end(c, "its service is not registered any more", nil)
			} else {
				t.c.crew.retreat(c)
			}
		}
		m.entry = nil
		delete(t.byKey, m.key)
		t.retireGone(m)
		t.touch(m)
	}
}

// retireGone retires a manager whose service is not in the catalogue any more, unless it is on its way: then when it has
// arrived.
func (t *managers) retireGone(m *manager) {
	if m.entry == nil && m.hosting != 0 && m.transit == nil {
		t.c.hosts.retire(m)
	}
}

// rehouse announces the instances of a manager that has been given its share, and refers those elsewhere to its loop.
func (w *crew) rehouse(m *manager) {
	for _, c := range m.containers.All() {
		p, ok := w.c.lobby.parties.Get(c.Instance)
		if !ok || c.Released || c.State != fleet.Running && c.State != fleet.Serving {
			continue
		}
		stays := c.Hosting != 0 && c.Loop == m.loop
		w.announce(m, c, &p.hello)
		if !stays {
			w.c.lobby.refer(p, 0, m.service.Name, 0, m.loop)
		}
	}
}

// retreat ends a container that nobody needs: one that serves is let go in order, any other is stopped.
func (w *crew) retreat(c *fleet.Container) {
	switch c.State {
	case fleet.Serving:
		w.letGo(c)
	case fleet.Asked, fleet.Starting, fleet.Running:
		w.stop(c)
	case fleet.Leaving, fleet.Exited:
	}
}
