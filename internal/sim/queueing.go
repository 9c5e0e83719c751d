package sim

import (
	"fmt"

	"github.com/weft-fabric/weft/protocol"
)

// queueing is what a seed draws of queues, places and node types, and the rules that follow: no queue ever holds more than
// its maximum, and containers run where their sessions want them.
type queueing struct {
	w      *World
	draw   source
	tree   []protocol.Queue // none: the queue that is there by itself
	leaves []string
	mixed  bool // sessions ask for queues, places and priorities of their own
}

// create draws the queues of a world. Where everything is to fit, none has a maximum.
func (q *queueing) create(w *World) {
	p := &w.plan
	q.w, q.draw = w, newSource(w.options.Seed, 6)
	s := &q.draw
	q.leaves = []string{"default"}
	q.mixed = !p.roomy && !p.crowded && !p.churning && s.n(2) == 0
	if s.n(2) == 0 || p.churning {
		return
	}
	limit := func(c *protocol.Queue, most int) int { // in containers; all services have those of one core
		if !q.mixed || s.n(2) == 0 {
			return most
		}
		most = s.between(1, most)
		c.Max = protocol.Amounts{"cpu": int64(most) * 1000}
		return most
	}
	leaf := func(name, parent, policy string, most int) protocol.Queue {
		l := protocol.Queue{Name: name, Parent: parent, Policy: policy}
		limit(&l, most)
		q.leaves = append(q.leaves, name)
		return l
	}
	q.leaves = nil
	all := p.nodes * p.places
	desk := protocol.Queue{Name: "desk", Parent: "all"}
	most := limit(&desk, all)
	byUser := "capacity"
	if !q.mixed { // each user has containers of its own there
		byUser = "fifo"
	}
	q.tree = []protocol.Queue{{Name: "all"}, desk, leaf("desk.a", "desk", "fair", most), leaf("desk.b", "desk", byUser, most)}
	urgent := leaf("urgent", "all", "fifo", all)
	urgent.Priority = 1
	q.tree = append(q.tree, urgent)
}

// config is what a broker is configured with.
func (q *queueing) config() *protocol.ApplyQueues {
	if q.tree == nil {
		return nil
	}
	return &protocol.ApplyQueues{Queues: q.tree}
}

// ofService draws the queue of a service, and what else it asks of its places.
func (q *queueing) ofService(s *protocol.Service) {
	s.Queue = pick(&q.draw, q.leaves...)
	if q.draw.n(4) == 0 {
		s.Requests[0].NodeType = protocol.NodeTypeCPU // others help out: it can never be that no node is there
	}
}

// ofSession draws what a session asks of its places, and gives the one node that may do, "" for any. Only where nothing
// disturbs the nodes is a place a must.
func (q *queueing) ofSession(spec *protocol.OpenSession, svc *service) (node string) {
	if !q.mixed {
		return ""
	}
	s := &q.draw
	if s.n(3) == 0 {
		spec.Queue = pick(s, q.leaves...)
	}
	if s.n(4) == 0 {
		spec.Priority = s.between(1, 2)
	}
	if s.n(3) == 0 {
		spec.Node = fmt.Sprintf("n%d", s.n(q.w.plan.nodes))
		if spec.Relax = len(svc.spec.Artefacts) == 0 || !q.w.plan.calm || q.w.plan.on.Has(InstanceTrouble) || s.n(2) == 0; !spec.Relax {
			return spec.Node
		}
	}
	return ""
}

// executes judges where the hook of a task runs.
func (q *queueing) executes(i *instance, t *task) {
	node := t.session.node
	if node == "" {
		return
	}
	q.w.tally.add(PlacesAsked)
	if i.container == nil || i.container.agent.node.name != node {
		q.w.fail("place", "%s executes task %v of session %d, which wants node %s only", i.process.name, t.id, t.session.index, node)
	}
}

// ofNode draws the type of a node.
func (q *queueing) ofNode(n *node) {
	n.kind = protocol.NodeTypeCPU
	if q.draw.n(3) == 0 {
		n.kind = protocol.NodeTypeGPU
	}
}

// holds judges what the control core has containers for.
func (q *queueing) holds(l *controlLoop) {
	w := q.w
	held := map[string]int64{}
	for h := range l.core.Holdings() {
		held[h.Queue] += h.Capacity.CPU
	}
	for i := len(q.tree) - 1; i >= 0; i-- { // children come after their parents
		c := &q.tree[i]
		if most, ok := c.Max["cpu"]; ok && held[c.Name] > most {
			w.fail("queue", "queue %s holds %d millicores, and at most %d are its", c.Name, held[c.Name], most)
		}
		if held[c.Name] > 0 && c.Max != nil {
			w.tally.add(QueuesLimited)
		}
		held[c.Parent] += held[c.Name]
	}
}
