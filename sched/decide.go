package sched

import (
	"fmt"
	"math"
	"slices"
)

// outcome is what came of a try.
type outcome uint8

const (
	placed outcome = iota
	failed         // nothing can be placed there
	spent          // the budget is: nobody knows
)

// Next decides one placement; ok is false when nothing that is wanted can be placed now.
func (s *Scheduler) Next() (p Placement, ok bool) {
	p, ok, _ = s.NextWithin(math.MaxInt)
	return p, ok
}

// NextWithin is like [Scheduler.Next], but looks at about so many queues and requests at most; more says that it stopped
// for that reason, and that the next call goes on from there. So a caller can do other things in between. Thorough
// decisions and those of offers are not divided.
func (s *Scheduler) NextWithin(looks int) (p Placement, ok, more bool) {
	ledger{s}.settle()
	exact := s.thorough || s.offered != nil // every request that stands before the decision is looked at
	if s.idle == s.now && !exact {
		return Placement{}, false, false
	}
	s.budget, s.progress = looks, false
	var done Placement
	var came outcome
	if d := (decider{s}); exact {
		came = d.tryExactly(s.tree.root, &done)
	} else {
		came = d.try(s.tree.root, 0, &done)
	}
	if came == failed && s.offered == nil {
		s.idle = s.now
	}
	return done, came == placed, came == spent
}

// decider makes decisions.
type decider struct{ *Scheduler }

// try places one container below a queue; released is when something was given back last below a queue above with a
// maximum.
func (s decider) try(q *queue, released uint64, p *Placement) outcome {
	if s.spend() {
		return spent
	}
	if q.limited {
		released = max(released, q.released)
	}
	s.path = append(s.path[:q.depth], q)
	if q.leaf != nil {
		return s.tryLeaf(q.leaf, released, p)
	}
	if q.scanned < max(released, s.classes.opened) {
		s.rescan(q)
	}
	for q.active.len() > 0 {
		child := q.active.top()
		if !s.promising(child) {
			q.park(child)
			s.progress = true
			continue
		}
		came := s.try(child, released, p)
		if came != failed {
			return came
		}
		q.park(child)
		s.progress = true
	}
	q.fail(s.now)
	return failed
}

// rescan wakes the children of a queue in which something may be placed again.
func (s decider) rescan(q *queue) {
	q.scanned = s.now
	for i := len(q.parked) - 1; i >= 0; i-- {
		child := q.parked[i]
		if s.promising(child) {
			q.wake(child)
		}
	}
}

// spend counts one more look, and says whether there were enough: not before anything came of them that the next call
// need not do again.
func (s decider) spend() bool {
	s.budget--
	return s.budget < 0 && s.progress
}

// promising says whether something may be placed below a queue to whose parent the path leads.
func (s decider) promising(q *queue) bool {
	if q.blockers != 0 {
		for _, above := range s.path[:q.depth] {
			if q.blockers&(1<<above.depth) != 0 && above.released > q.failedAt {
				q.forgive()
			}
		}
	}
	return q.pending.set.beyond(&s.classes.open, &q.failed)
}

// tryLeaf places one container of a leaf.
func (s decider) tryLeaf(f *leaf, released uint64, p *Placement) outcome {
	ledger(s).refresh(f)
	for l := f.next(&s.classes, released, s.now); l != nil; l = f.next(&s.classes, released, s.now) {
		if s.spend() {
			return spent
		}
		r := l.waiting.top()
		if k := r.class; s.classes.closed(k) {
			f.park(l, noRoom, 0, s.now)
		} else if at := f.full(&k.ask); at != nil {
			f.park(l, atLimit, 1<<at.depth, s.now)
		} else if !f.policy.allows(f, &k.ask, l.key.user) {
			f.park(l, atLimit, 0, s.now)
		} else if n, none := s.node(r); n != nil {
			*p = s.put(r, n)
			return placed
		} else if none {
			s.classes.close(k)
			f.park(l, noRoom, 0, s.now)
		} else {
			f.park(l, noPlace, 0, s.now)
			s.stuck.add(l)
		}
		s.progress = true
	}
	s.failLeaf(f)
	return failed
}

// failLeaf notes that all that is wanted in a leaf was tried and failed.
func (s decider) failLeaf(f *leaf) {
	q := f.queue
	q.failed = q.pending.set
	q.failed.keep(&s.classes.open)
	q.failedAt, q.blockers = s.now, 0
	for _, l := range f.parked {
		if l.held != noPlace && len(f.limits) > 0 { // it may fail all the same when a node has room
			if at := f.full(&l.key.class.ask); at != nil {
				q.failed.set(l.key.class.bit)
				q.blockers |= 1 << at.depth
			}
		}
		q.blockers |= l.blockers
	}
	q.blockers &= 1<<q.depth - 1
	q.failed.clear(manyClasses)
}

// node finds the node for one more container of a request. Where it finds none, or the request waits for another place,
// none says whether no node at all has room for its class.
func (s decider) node(r *request) (n *node, none bool) {
	n, none = s.cluster.best(r)
	if n == nil || !r.relaxed || r.isAt(n) {
		return n, none
	}
	if s.delay && r.missed < r.lacks() {
		if !r.delayed {
			r.delayed = true
			s.delayed = append(s.delayed, r)
		}
		return nil, false
	}
	return n, false
}

// undelay forgets that a request waits for another place.
func (s decider) undelay(r *request) {
	if r.delayed {
		r.delayed = false
		s.delayed = slices.DeleteFunc(s.delayed, func(o *request) bool { return o == r })
	}
}

// put has the request hold one more container, on the node.
func (s decider) put(r *request, n *node) Placement {
	k := r.class
	if r.relaxed && r.isAt(n) {
		r.missed = 0
	}
	s.undelay(r)
	s.decisions++
	i := s.containers.add(r, n)
	n.containers++
	s.cluster.take(n, &k.ask, 1)
	s.classes.taken(n)
	r.held++
	r.note(n, 1)
	ledger(s).hold(r.service, &k.ask, 1)
	if r.lacks() == 0 {
		r.service.leaf.quit(r)
	}
	if f := r.service.leaf; f.queue.Reserve {
		f.queue.touch() // another one may be the first in line now
	}
	return Placement{
		Container: s.containers.id(i), Request: r.id, Service: r.service.Name, Queue: r.service.leaf.queue.Name, Node: n.Name,
	}
}

// Offer has all decisions until [Scheduler.EndOffer] look at the idle resources of that node only. A relaxed request that
// prefers another place lets as many offers pass as it wants containers. The error says that the node is not known.
func (s *Scheduler) Offer(node string) error {
	n, ok := s.cluster.byName[node]
	if !ok {
		return fmt.Errorf("node %q is not known", node)
	}
	s.offered = n
	s.offers++
	return nil
}

// EndOffer ends what [Scheduler.Offer] began.
func (s *Scheduler) EndOffer() { s.offered = nil }

// Heartbeat has the relaxed requests that wait for another place count an offer of this node, where it has room for them.
func (s *Scheduler) Heartbeat(node string) {
	n, ok := s.cluster.byName[node]
	if !ok {
		return
	}
	ledger{s}.settle()
	for _, r := range s.delayed {
		if r.isAt(n) || !r.class.admits(n, &s.cluster) || r.spreads(n) {
			continue
		}
		if r.missed++; r.missed >= r.lacks() {
			s.now++
			ledger{s}.retry(r)
		}
	}
}

// SetThorough has every decision look at all that stands before it, without short cuts, so that [Scheduler.Tried] is exact.
// What is decided is the same.
func (s *Scheduler) SetThorough(yes bool) { s.thorough = yes }

// tryExactly is [Scheduler.try] without short cuts.
func (s decider) tryExactly(q *queue, p *Placement) outcome {
	if q.leaf != nil {
		return s.tryLeafExactly(q.leaf, p)
	}
	children := slices.Clone(q.children)
	slices.SortFunc(children, func(a, b *queue) int {
		x, y := a.key(), b.key()
		return x.compare(&y)
	})
	for _, child := range children {
		if came := s.tryExactly(child, p); came != failed {
			return came
		}
	}
	return failed
}

func (s decider) tryLeafExactly(f *leaf, p *Placement) outcome {
	ledger(s).refresh(f)
	for _, r := range f.inOrder(nil) {
		if f.full(&r.class.ask) == nil && f.policy.allows(f, &r.class.ask, r.service.user) {
			if n := s.nodeExactly(r); n != nil {
				*p = s.put(r, n)
				return placed
			}
		}
		r.tried = s.trials
		if f.queue.Reserve {
			return failed
		}
	}
	return failed
}

// nodeExactly is [Scheduler.node], within the offer if there is one.
func (s decider) nodeExactly(r *request) *node {
	if s.offered == nil {
		n, _ := s.node(r)
		return n
	}
	n, k := s.offered, r.class
	if !k.admits(n, &s.cluster) || !r.may(n) {
		return nil
	}
	if k.tierOf(n) == second && s.roomIn(first, r, n) {
		return nil // not while one of the kind that it asks for has room
	}
	switch {
	case !r.relaxed || r.isAt(n):
		return n
	case r.offer == s.offers: // it has let this offer pass, whatever else was decided since
		return nil
	case r.missed >= r.lacks():
		return n
	default:
		r.offer = s.offers
		r.missed++
		return nil
	}
}

// roomIn says whether a node of a tier has room for one more container of a request: at the place that the request names
// where n is there too, and anywhere otherwise.
func (s decider) roomIn(t tier, r *request, n *node) bool {
	for _, o := range s.cluster.order {
		if r.class.admits(o, &s.cluster) && r.class.tierOf(o) == t && !r.spreads(o) && (!r.isAt(n) || r.isAt(o)) {
			return true
		}
	}
	return false
}

// ResetTried forgets what [Scheduler.Tried] tells.
func (s *Scheduler) ResetTried() { s.trials++ }

// Tried lists the requests that were tried since [Scheduler.ResetTried], by decisions that were thorough or offers, and
// want containers still, in the order of submission.
func (s *Scheduler) Tried() []string {
	var ids []string
	for _, v := range s.inOrder() {
		for _, r := range v.inOrder() {
			if r.tried == s.trials && r.lacks() > 0 {
				ids = append(ids, r.id)
			}
		}
	}
	return ids
}

// inOrder lists the services by submission.
func (s *Scheduler) inOrder() []*service {
	var all []*service
	for _, q := range s.tree.all {
		if q.leaf != nil {
			all = append(all, q.leaf.members...)
		}
	}
	slices.SortFunc(all, func(a, b *service) int { return int(a.order - b.order) })
	return all
}

// inOrder lists the requests of a service by submission.
func (v *service) inOrder() []*request {
	all := slices.Clone(v.requests)
	slices.SortFunc(all, func(a, b *request) int { return int(a.order - b.order) })
	return all
}
