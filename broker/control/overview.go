package control

import (
	"cmp"
	"slices"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/protocol"
)

// mostWaiting is how many queues an overview names in which containers are wanted.
const mostWaiting = 20

// getOverview answers with the state of the fabric at a glance.
func getOverview(c *Core, p *party, r *protocol.Record) error {
	s := c.census()
	o := protocol.Overview{At: c.now, Brokers: []protocol.BrokerGlance{c.brokerGlance()}, Services: s.Services, Queues: c.queues.glance()}
	c.crew.glance(&o)
	for state, n := range s.Containers {
		switch fleet.State(state) {
		case fleet.Serving:
			o.Containers.Serving += n.N
		case fleet.Leaving:
			o.Containers.Leaving += n.N
		default:
			o.Containers.Starting += n.N
		}
	}
	for i, at := range []*int{&o.Sessions.Queued, &o.Sessions.Scheduled, &o.Sessions.Running, &o.Sessions.Closing} {
		*at = s.Sessions[i].N // in the order of openStates
	}
	p.answer(c.out, 0, protocol.KindOverview, r.Task, o)
	return nil
}

// brokerGlance is this broker at a glance.
func (c *Core) brokerGlance() protocol.BrokerGlance {
	b := protocol.BrokerGlance{Name: c.cfg.Broker, Role: "primary", Epoch: c.cfg.Epoch, Since: c.began, Loops: c.cfg.Loops, Uptime: c.now.Sub(c.began)}
	for _, m := range c.managers.byID.All() {
		if m.hosting != 0 {
			b.Managers++
			b.CPU += m.share.CPU
			b.Memory += m.share.Memory
		}
	}
	return b
}

// glance adds the nodes and their devices.
func (w *crew) glance(o *protocol.Overview) {
	for _, n := range w.fleet.Nodes() {
		if n.State != fleet.Up {
			o.Nodes.Gone++
			continue
		}
		o.Nodes.Up++
		if n.Cordoned {
			o.Nodes.Cordoned++
		}
		o.Nodes.Capacity, o.Nodes.Used = o.Nodes.Capacity.Plus(n.Capacity, 1), o.Nodes.Used.Plus(n.Used, 1)
		if n.Capacity.GPU > 0 && len(o.Devices) < protocol.MaxPage {
			o.Devices = append(o.Devices, protocol.DeviceGlance{Node: n.Name, GPUs: n.Capacity.GPU, Used: n.Used.GPU})
		}
	}
}

// glance is the queues at a glance.
func (t *queueing) glance() protocol.QueuesGlance {
	var g protocol.QueuesGlance
	for _, q := range t.infos() {
		g.Queues++
		if q.Depth == 0 {
			g.Running, g.Pending = q.Running, q.Pending
		}
		if !q.Leaf {
			continue
		}
		g.Leaves++
		if q.Draining {
			g.Draining++
		}
		if q.Pending > 0 {
			g.Waiting = append(g.Waiting, protocol.QueueWaiting{Queue: q.Queue.Name, Pending: q.Pending, Running: q.Running, Ratio: q.Ratio})
		}
	}
	slices.SortStableFunc(g.Waiting, func(a, b protocol.QueueWaiting) int { return cmp.Compare(b.Pending, a.Pending) })
	g.Waiting = g.Waiting[:min(len(g.Waiting), mostWaiting)]
	return g
}
