package sim

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
)

// unsettled says what is not finished of what was accepted; empty: nothing.
func (g *goals) unsettled() string {
	w := g.w
	if w.broker == nil || !w.broker.process.alive {
		return "the broker is down"
	}
	for _, s := range w.seats {
		c := s.client
		switch {
		case !c.process.alive:
			return fmt.Sprintf("%s is dead, and the next one did not come", c.process.name)
		case c.engine.Outstanding() > 0:
			return fmt.Sprintf("%s has %d tasks without an answer%s", c.process.name, c.engine.Outstanding(), firstOpen(c))
		case len(c.app.asked) > 0:
			return fmt.Sprintf("%s has %d requests without an answer", c.process.name, len(c.app.asked))
		}
		for _, session := range c.app.sessions {
			if !session.opened {
				return fmt.Sprintf("session %d of %s is neither open nor refused", session.index, c.process.name)
			}
			if n := engine.Awaited(session.session); n > 0 {
				return fmt.Sprintf("session %d of %s awaits %d answers of tasks of others", session.index, c.process.name, n)
			}
		}
	}
	for _, n := range w.nodes {
		if !n.agent.process.alive {
			return n.agent.process.name + " is dead, and the next one did not come"
		}
	}
	if up := w.broker.control.core.Inspect().Nodes; up != len(w.nodes) {
		return fmt.Sprintf("%d of %d nodes are known to the broker", up, len(w.nodes))
	}
	for _, h := range w.broker.shares.kept {
		if w.broker.shares.clientOf(h.client) == nil {
			return fmt.Sprintf("session %d (service %s) has no client", h.number, h.holder.service.name)
		}
	}
	for _, i := range w.instances {
		if n := len(i.data.open); n > 0 {
			return fmt.Sprintf("%s has %d questions about data of sessions without an answer", i.process.name, n)
		}
	}
	if w.open != 0 {
		return fmt.Sprintf("%d tasks are open, and no client waits for them", w.open)
	}
	return ""
}

func firstOpen(c *client) string {
	for _, t := range c.pending {
		if t != nil {
			return fmt.Sprintf(", such as %v of session %d, which the broker calls %d (service %s), executed %d times",
				t.id, t.session.index, t.session.session.Number(), t.session.service.name, t.executions)
		}
	}
	return ""
}

// unclosed says which session is not closed.
func (g *goals) unclosed() string {
	w := g.w
	for _, s := range w.seats {
		for _, session := range s.client.app.sessions {
			return fmt.Sprintf("session %d of %s, which the broker calls %d, does not end", session.index, s.client.process.name, session.session.Number())
		}
	}
	return ""
}

// unneeded says what is left though nobody needs it.
func (g *goals) unneeded() string {
	w := g.w
	hands := 0
	for _, h := range w.hands {
		if h.instance != nil && h.instance.process.alive {
			hands++
		}
	}
	for _, n := range w.nodes {
		if len(n.agent.all) > 0 || len(n.agent.core.Containers()) > 0 {
			return fmt.Sprintf("%s has %d containers, and knows of %v", n.agent.process.name, len(n.agent.all), n.agent.core.Containers())
		}
		if live := n.agent.process.table.live; live > 0 {
			return fmt.Sprintf("%s holds %d payload frames", n.agent.process.name, live)
		}
	}
	for _, m := range w.broker.managers {
		if i := m.core.Inspect(); i.Sessions > 0 || i.Tasks > 0 || i.Bytes > 0 || i.Kept > 0 || i.Promised > 0 || i.Pinned > 0 || i.Instances > hands ||
			i.Unconsumed > w.untold() {
			return fmt.Sprintf("%s holds %+v", m.actor.name, i)
		}
	}
	if i := w.broker.control.core.Inspect(); i.Sessions > 0 || i.Containers > hands {
		return fmt.Sprintf("%s holds %+v", w.broker.control.actor.name, i)
	}
	if live := w.broker.process.table.live; live > 0 {
		return fmt.Sprintf("%s holds %d payload frames", w.broker.process.name, live)
	}
	for _, s := range w.seats {
		if live := s.client.process.table.live; live > 0 {
			return fmt.Sprintf("%s holds %d payload frames", s.client.process.name, live)
		}
	}
	for _, h := range w.hands {
		h.leave = true
		if h.instance != nil {
			h.instance.terminate()
		}
	}
	if hands > 0 {
		return "instances that were started by hand do not end"
	}
	return ""
}

// untold is how many bytes of results a client may have consumed without having told so.
func (w *World) untold() int64 {
	credit := w.plan.resultCredit
	if credit == 0 {
		credit = protocol.DefaultResultCredit
	}
	return min(1<<20, credit/4)
}

// staying says who has not left.
func (g *goals) staying() string {
	w := g.w
	for _, s := range w.seats {
		if s.client.process.alive {
			return s.client.process.name + " does not end"
		}
	}
	for _, n := range w.nodes {
		if n.agent.process.alive {
			n.agent.put(core.Shutdown{Grace: time.Second}) // again to one that came late
			return n.agent.process.name + " does not end"
		}
	}
	if i := w.broker.control.core.Inspect(); i != (control.Inspection{Records: i.Records}) {
		return fmt.Sprintf("%s holds %+v", w.broker.control.actor.name, i)
	}
	for _, m := range w.broker.managers {
		if i := m.core.Inspect(); i != (manager.Inspection{}) {
			return fmt.Sprintf("%s holds %+v", m.actor.name, i)
		}
	}
	return ""
}
