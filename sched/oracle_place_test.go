package sched_test

import (
	"math/big"
	"slices"

	"github.com/weft-fabric/weft/sched/resource"
)

// decision is what the oracle would do next: request nil is nothing. Tried are the requests that it looked at and
// could not place before it came to that.
type decision struct {
	request *oRequest
	node    *oNode
	tried   []*oRequest
}

// decide searches the tree, depth first. With an offer there is no other node than that.
func (w *world) decide(offer *oNode) decision {
	var d decision
	w.search(w.queues[0], offer, &d)
	return d
}

// search is level 1. It says whether it has found something.
func (w *world) search(q *oQueue, offer *oNode, d *decision) bool {
	children := w.children(q)
	if len(children) == 0 {
		return w.searchLeaf(q, offer, d)
	}
	slices.SortStableFunc(children, w.compareQueues)
	for _, c := range children {
		if w.search(c, offer, d) {
			return true
		}
	}
	return false
}

// compareQueues says which of two siblings is tried first: by priority, then who is below its min, then by ratio.
func (w *world) compareQueues(a, b *oQueue) int {
	if a.priority != b.priority {
		return b.priority - a.priority
	}
	if x, y := w.belowMin(a), w.belowMin(b); x != y {
		return trueFirst(x)
	}
	x, y := w.usage(a), w.usage(b)
	if x.beyond != y.beyond {
		return trueFirst(y.beyond)
	}
	return x.ratio.Cmp(y.ratio)
}

func trueFirst(first bool) int {
	if first {
		return -1
	}
	return 1
}

// searchLeaf is levels 2 and 3.
func (w *world) searchLeaf(q *oQueue, offer *oNode, d *decision) bool {
	var line []*oService
	for _, s := range w.svcs {
		if s.queue == q && s.wants() {
			line = append(line, s)
		}
	}
	if q.policy == "fair" {
		slices.SortStableFunc(line, func(a, b *oService) int { return w.dominant(a).Cmp(w.dominant(b)) })
	}
	for _, s := range line {
		requests := slices.Clone(s.requests)
		slices.SortStableFunc(requests, func(a, b *oRequest) int { return b.priority - a.priority })
		for _, r := range requests {
			if r.wanted == 0 {
				continue
			}
			if n := w.choose(r, offer); n != nil {
				d.request, d.node = r, n
				return true
			}
			d.tried = append(d.tried, r)
			if q.reserve {
				return false
			}
		}
	}
	return false
}

// choose finds the node for one container of a request, if queue and user may have it and there is one.
func (w *world) choose(r *oRequest, offer *oNode) *oNode {
	if !w.belowMaxima(r) || !w.withinUserLimit(r) {
		return nil
	}
	// A preferred place goes before others, and within a place a node of the type that is asked for; a node of the other
	// type has its turn only when no node has room that is of the type and at least as much where the request is to run.
	preferred := func(n *oNode) bool { return r.prefers(n) }
	anywhere := func(n *oNode) bool { return true }
	for _, place := range []func(*oNode) bool{preferred, anywhere} {
		right, other := w.best(r, offer, place, false), w.best(r, offer, place, true)
		if right == nil && w.best(r, nil, place, false) == nil {
			right = other
		}
		if right != nil && !r.prefers(right) && (offer != nil || w.delay) && r.missed < r.wanted {
			w.waiting[r] = true
			right = nil
		}
		if right != nil {
			return right
		}
	}
	return nil
}

// best is the best node of a place, or the one that is offered; standing in, or not.
func (w *world) best(r *oRequest, offer *oNode, place func(*oNode) bool, standsIn bool) (best *oNode) {
	for _, n := range w.nodes {
		if (offer == nil || offer == n) && place(n) && r.standsIn(n) == standsIn && w.fits(r, n) &&
			(best == nil || less(w.score(r, best), w.score(r, n))) {
			best = n
		}
	}
	return best
}

// belowMaxima says whether one more container keeps the queue and all above it within their maxima.
func (w *world) belowMaxima(r *oRequest) bool {
	for q := r.service.queue; q != nil; q = q.parent {
		used, maximum := w.queueUsed(q), w.maximum(q)
		for d := range w.dims {
			if less(maximum[d], whole(used[d]+r.cap[d])) {
				return false
			}
		}
	}
	return true
}

// withinUserLimit says whether the user of a request may hold one more container of it.
func (w *world) withinUserLimit(r *oRequest) bool {
	leaf, user := r.service.queue, r.service.user
	if leaf.policy != "capacity" {
		return true
	}
	here := func(c *oContainer) bool { return c.request.service.queue == leaf }
	var users []string
	another := false
	for _, s := range w.svcs {
		if s.queue != leaf || !s.wants() && w.running(s) == 0 {
			continue
		}
		another = another || s.user != user && s.wants()
		if !slices.Contains(users, s.user) {
			users = append(users, s.user)
		}
	}
	if !another {
		return true
	}
	part := quotient(whole(1), whole(int64(len(users))))
	if leaf.userPc != "" {
		part = most(part, quotient(rat(leaf.userPc), whole(100)))
	}
	used, guaranteed := w.used(here), w.guaranteed(leaf)
	held := w.used(func(c *oContainer) bool { return here(c) && c.request.service.user == user })
	for d := range w.dims {
		limit := product(part, most(guaranteed[d], whole(used[d]+r.cap[d])))
		if held[d] > 0 && less(limit, whole(held[d]+r.cap[d])) { // the first one is never held back
			return false
		}
	}
	return true
}

// fits says whether a node may and can take one more container of a request, whatever it would rather have.
func (w *world) fits(r *oRequest, n *oNode) bool {
	switch {
	case !r.relax && !r.prefers(n),
		r.kind != "" && n.kind != r.kind && !r.standsIn(n),
		r.arch != "" && n.arch != r.arch,
		!r.cap.Fits(w.free(n)):
		return false
	}
	// A node that the request uses already does only if enough other containers remain to reach the others.
	uses := make(map[*oNode]bool)
	for _, c := range w.placed {
		if c.request == r {
			uses[c.node] = true
		}
	}
	return !uses[n] || r.wanted-1 >= r.nodes-len(uses)
}

// prefers says whether a node is where the request is to run.
func (r *oRequest) prefers(n *oNode) bool {
	return (r.node == "" || r.node == n.name) && (r.rack == "" || r.rack == n.rack)
}

// standsIn says whether a node would only do as long as no other has room.
func (r *oRequest) standsIn(n *oNode) bool { return r.kind == "cpu" && n.kind == "gpu" }

// score is what the best node has most of.
func (w *world) score(r *oRequest, n *oNode) *big.Rat {
	free, largest, total := w.free(n), w.largest(), whole(0)
	for d := range w.dims {
		if largest[d] == 0 {
			continue
		}
		part := func(v resource.Vector) *big.Rat { return quotient(whole(v[d]), whole(largest[d])) }
		if w.gpu >= 0 && r.cap[w.gpu] > 0 {
			total = sum(total, product(part(free), part(r.cap)))
		} else {
			total = difference(total, part(free)) // less the same for all, what is asked for
		}
	}
	return rounded(total)
}

// endOffer ends an offer: whoever could have had it and waits for another place has let one more pass.
func (w *world) endOffer() {
	for r := range w.waiting {
		r.missed++
	}
	clear(w.waiting)
}

// heartbeat is an offer that nobody waits for to end: who waits for another place has let one more pass, if it could have
// had it.
func (w *world) heartbeat(n *oNode) {
	for r := range w.waiting {
		if !r.prefers(n) && w.fits(r, n) {
			r.missed++
		}
	}
}
