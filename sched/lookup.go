package sched

import (
	"github.com/weft-fabric/weft/sched/resource"
)

// Lookup answers questions about a scheduler that a broker has beside its decisions. Make it with [Look]; it stays right when
// the scheduler changes.
type Lookup struct{ s *Scheduler }

// Look gives the answers about a scheduler.
func Look(s *Scheduler) Lookup { return Lookup{s} }

// Space names the dimensions of all vectors.
func (l Lookup) Space() resource.Space { return l.s.space }

// Extend adds further dimensions: space begins with those that there are.
func (s *Scheduler) Extend(space resource.Space) {
	s.now++
	s.settled = false
	s.space = space
	c, n := &s.cluster, space.Len()
	s.classes.reopenAll(s.now)
	s.classes.rooms = newRooms(n)
	c.norm = append(c.norm, make([]double, n-c.dims)...)
	c.dims, c.stale = n, true
	for _, b := range c.bands {
		b.dims = n
	}
	c.freshen()
	s.tree.dims = n
	for _, q := range s.tree.all {
		q.widen(n)
	}
}

// widen makes room for the amounts of so many dimensions, which are found anew when the scheduler settles.
func (q *queue) widen(dims int) {
	q.guaranteed, q.inverse, q.exact = make([]float64, dims), make([]float64, dims), make([]double, dims)
	q.most, q.limit = make([]float64, dims), make([]int64, dims)
}

// Queue tells how a queue is configured; ok is false when there is none of that name.
func (l Lookup) Queue(name string) (q Queue, ok bool) {
	s := l.s
	found := s.tree.named[name]
	if found == nil {
		return Queue{}, false
	}
	return found.Queue, true
}

// Within says whether a queue is another one or is below it.
func (l Lookup) Within(name, above string) bool {
	s := l.s
	for q := s.tree.named[name]; q != nil; q = q.parent {
		if q.Name == above {
			return true
		}
	}
	return false
}

// Before says whether the next decision would be tried for one request before the other. Of one that is not known nothing
// is said.
func (l Lookup) Before(one, other string) bool {
	s := l.s
	a, b := s.requests[one], s.requests[other]
	if a == nil || b == nil {
		return false
	}
	ledger{s}.settle()
	x, y := a.service.leaf.queue, b.service.leaf.queue
	if x == y {
		ledger{s}.refresh(x.leaf)
		k, o := a.key(), b.key()
		return k.less(&o)
	}
	for x.depth > y.depth {
		x = x.parent
	}
	for y.depth > x.depth {
		y = y.parent
	}
	for x.parent != y.parent {
		x, y = x.parent, y.parent
	}
	k, o := x.key(), y.key()
	return k.less(&o)
}

// Obstacle is what keeps a request from one more container, whatever nodes there are.
type Obstacle struct {
	Barrier Barrier // QueueMax, UserLimit or Reserved; NoBarrier: there is none
	Queue   string  // whose maximum, limit or order it is
	// Over is by how much one more container would exceed what may be held, where it is a maximum; otherwise the container.
	Over resource.Vector
}

// Obstacle tells what keeps a request from one more container other than the nodes: the first thing, from its leaf to the
// root. It is cheaper than [Scheduler.Explain].
func (l Lookup) Obstacle(id string) Obstacle {
	s := l.s
	r := s.requests[id]
	if r == nil || r.lacks() == 0 {
		return Obstacle{}
	}
	ledger{s}.settle()
	f, ask := r.service.leaf, &r.class.ask
	ledger{s}.refresh(f)
	if f.queue.Reserve && len(f.ahead(r)) > 0 {
		return Obstacle{Barrier: Reserved, Queue: f.queue.Name, Over: *ask}
	}
	if !f.policy.allows(f, ask, r.service.user) {
		return Obstacle{Barrier: UserLimit, Queue: f.queue.Name, Over: *ask}
	}
	for _, q := range f.limits {
		if q.within(ask) {
			continue
		}
		o := Obstacle{Barrier: QueueMax, Queue: q.Name}
		for d, limit := range q.limit {
			o.Over[d] = max(q.used[d]+ask[d]-limit, 0)
		}
		return o
	}
	return Obstacle{}
}

// Stands tells what stands between a request and one more container of it on a node. One that waits for the place that it
// prefers is told of others that they are not that place.
func (l Lookup) Stands(id, node string) Barrier {
	s := l.s
	r, n := s.requests[id], s.cluster.byName[node]
	if r == nil || n == nil {
		return WrongNode
	}
	ledger{s}.settle()
	r.class.refresh(&s.cluster)
	if r.delayed && !r.isAt(n) {
		return Preferred
	}
	return explainer{s}.barrier(r, n)
}

// Nodes is how many nodes there are.
func (l Lookup) Nodes() int { return len(l.s.cluster.order) }
