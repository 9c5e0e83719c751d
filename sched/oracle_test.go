package sched_test

import (
	"math/big"
	"slices"

	"github.com/weft-fabric/weft/sched/resource"
)

// The oracle is a second scheduler, written from the rules alone and against nothing but them: it keeps no more than
// what there is, works out everything else anew whenever it is asked, and counts in fractions, so that what is equal
// is exactly so. It is far too slow for anything but being right on small worlds. This file has what there is and what
// follows from it; oracle_place_test.go has the three levels, oracle_preempt_test.go what is to be given back.

// world is what the oracle knows: nodes, queues, services and containers, each in the order in which they came.
type world struct {
	dims   int
	gpu    int   // the dimension that makes a request one with gpu; none: -1
	ratio  int   // the dimension that alone counts; dominant: -1
	unit   int64 // what small amounts are multiples of
	nodes  []*oNode
	queues []*oQueue // the root first
	svcs   []*oService
	placed []*oContainer

	delay   bool               // requests wait for the place that they prefer, also where nothing is offered
	waiting map[*oRequest]bool // for it
}

type oNode struct {
	name, rack, kind, arch string
	cap                    resource.Vector
}

// oQueue is a queue as a scenario defines it: decimals are strings, "" is what is left out.
type oQueue struct {
	name                        string
	parent                      *oQueue
	pct, weight, maxPct, userPc string
	min, max                    *resource.Vector
	priority                    int
	policy                      string
	reserve                     bool
}

type oService struct {
	name, user string
	queue      *oQueue
	weight     string
	requests   []*oRequest
}

type oRequest struct {
	id       string
	service  *oService
	wanted   int // containers still wanted
	cap      resource.Vector
	priority int
	node     string
	rack     string
	relax    bool
	kind     string
	arch     string
	nodes    int
	missed   int // offers of other places let pass since it was last given its own
}

type oContainer struct {
	id      uint64 // as the scheduler under test calls it
	request *oRequest
	node    *oNode
}

// rats is an amount of each dimension, as fractions.
type rats []*big.Rat

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

func rat(decimal string) *big.Rat {
	r, ok := new(big.Rat).SetString(decimal)
	if !ok {
		panic("no number: " + decimal)
	}
	return r
}

func quotient(a, b *big.Rat) *big.Rat   { return new(big.Rat).Quo(a, b) }
func product(a, b *big.Rat) *big.Rat    { return new(big.Rat).Mul(a, b) }
func sum(a, b *big.Rat) *big.Rat        { return new(big.Rat).Add(a, b) }
func difference(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }

// rounded is the nearest number of 53 bits: what differs by less is a tie.
func rounded(a *big.Rat) *big.Rat {
	nearest, _ := a.Float64()
	return new(big.Rat).SetFloat64(nearest)
}

func less(a, b *big.Rat) bool { return a.Cmp(b) < 0 }

func least(a, b *big.Rat) *big.Rat {
	if less(b, a) {
		return b
	}
	return a
}

func most(a, b *big.Rat) *big.Rat {
	if less(a, b) {
		return b
	}
	return a
}

// of makes fractions of a vector.
func (w *world) of(v resource.Vector) rats {
	out := make(rats, w.dims)
	for d := range out {
		out[d] = whole(v[d])
	}
	return out
}

// cluster is what all nodes have together.
func (w *world) cluster() (all resource.Vector) {
	for _, n := range w.nodes {
		all = all.Add(n.cap)
	}
	return all
}

// largest is, in each dimension, the most that one node has.
func (w *world) largest() (most resource.Vector) {
	for _, n := range w.nodes {
		most = most.Max(n.cap)
	}
	return most
}

func (w *world) children(q *oQueue) (out []*oQueue) {
	for _, c := range w.queues {
		if c.parent == q {
			out = append(out, c)
		}
	}
	return out
}

func (w *world) leaves() (out []*oQueue) {
	for _, q := range w.queues {
		if q.parent != nil && len(w.children(q)) == 0 {
			out = append(out, q)
		}
	}
	return out
}

// within says whether q is top or lies below it.
func within(q, top *oQueue) bool {
	for ; q != nil; q = q.parent {
		if q == top {
			return true
		}
	}
	return false
}

// used is what the containers that a test picks hold.
func (w *world) used(pick func(*oContainer) bool) (held resource.Vector) {
	for _, c := range w.placed {
		if pick(c) {
			held = held.Add(c.request.cap)
		}
	}
	return held
}

func (w *world) queueUsed(q *oQueue) resource.Vector {
	return w.used(func(c *oContainer) bool { return within(c.request.service.queue, q) })
}

func (w *world) serviceUsed(s *oService) resource.Vector {
	return w.used(func(c *oContainer) bool { return c.request.service == s })
}

func (w *world) free(n *oNode) resource.Vector {
	return n.cap.Sub(w.used(func(c *oContainer) bool { return c.node == n }))
}

// queueWanted is what is still wanted at or below a queue.
func (w *world) queueWanted(q *oQueue) (want resource.Vector) {
	for _, s := range w.svcs {
		if !within(s.queue, q) {
			continue
		}
		for _, r := range s.requests {
			for range r.wanted {
				want = want.Add(r.cap)
			}
		}
	}
	return want
}

// wants says whether a service wants any container.
func (s *oService) wants() bool {
	return slices.ContainsFunc(s.requests, func(r *oRequest) bool { return r.wanted > 0 })
}

// guaranteed is the parent's share times the queue's percent of it, or its weight among its siblings'.
func (w *world) guaranteed(q *oQueue) rats {
	if q.parent == nil {
		return w.of(w.cluster())
	}
	var part *big.Rat
	if q.pct != "" {
		part = quotient(rat(q.pct), whole(100))
	} else {
		all := whole(0)
		for _, c := range w.children(q.parent) {
			all = sum(all, c.weighs())
		}
		part = quotient(q.weighs(), all)
	}
	out := w.guaranteed(q.parent)
	for d := range out {
		out[d] = product(out[d], part)
	}
	return out
}

func (q *oQueue) weighs() *big.Rat {
	if q.weight == "" {
		return whole(1)
	}
	return rat(q.weight)
}

// maximum is the most that a queue may use: what its parent may, and the root the cluster, a part of that, or an amount
// within it.
func (w *world) maximum(q *oQueue) rats {
	out := w.of(w.cluster())
	if q.parent != nil {
		out = w.maximum(q.parent)
	}
	for d := range out {
		switch {
		case q.max != nil:
			out[d] = least(out[d], whole(q.max[d]))
		case q.maxPct != "":
			out[d] = product(out[d], quotient(rat(q.maxPct), whole(100)))
		}
	}
	return out
}

// usage is a queue's ratio. Of a queue that uses what it has no guarantee of it is beyond every number, and its share of
// the cluster tells it from others like it.
type usage struct {
	beyond bool
	ratio  *big.Rat
}

func (w *world) usage(q *oQueue) usage {
	used, guaranteed, cluster := w.queueUsed(q), w.guaranteed(q), w.cluster()
	over := func(whole func(d int) *big.Rat) *big.Rat {
		ratio := new(big.Rat)
		for d := range w.dims {
			if (w.ratio < 0 || d == w.ratio) && used[d] > 0 {
				ratio = most(ratio, quotient(new(big.Rat).SetInt64(used[d]), whole(d)))
			}
		}
		return ratio
	}
	for d := range w.dims {
		if (w.ratio < 0 || d == w.ratio) && used[d] > 0 && guaranteed[d].Sign() == 0 {
			return usage{true, over(func(d int) *big.Rat { return whole(cluster[d]) })}
		}
	}
	return usage{false, rounded(over(func(d int) *big.Rat { return guaranteed[d] }))}
}

// belowMin says whether a queue is below its min in a dimension.
func (w *world) belowMin(q *oQueue) bool {
	if q.min == nil {
		return false
	}
	used := w.queueUsed(q)
	for d := range w.dims {
		if used[d] < q.min[d] {
			return true
		}
	}
	return false
}

// dominant is a service's dominant share of the cluster over its weight.
func (w *world) dominant(s *oService) *big.Rat {
	used, cluster, share := w.serviceUsed(s), w.cluster(), whole(0)
	for d := range w.dims {
		if cluster[d] > 0 {
			share = most(share, quotient(whole(used[d]), whole(cluster[d])))
		}
	}
	return rounded(quotient(share, rat(s.weight)))
}

// place, release and the like change what there is.

func (w *world) place(id uint64, r *oRequest, n *oNode) {
	r.wanted--
	delete(w.waiting, r)
	if r.prefers(n) {
		r.missed = 0
	}
	w.placed = append(w.placed, &oContainer{id: id, request: r, node: n})
}

// release gives back the oldest containers of a service, and says which they were.
func (w *world) release(s *oService, count int) (gone []*oContainer) {
	w.placed = slices.DeleteFunc(w.placed, func(c *oContainer) bool {
		if c.request.service != s || len(gone) == count {
			return false
		}
		gone = append(gone, c)
		return true
	})
	return gone
}

func (w *world) finish(s *oService) {
	w.release(s, len(w.placed))
	for _, r := range s.requests {
		delete(w.waiting, r)
	}
	w.svcs = slices.DeleteFunc(w.svcs, func(x *oService) bool { return x == s })
}

// removeNode takes a node out; its containers are wanted again.
func (w *world) removeNode(n *oNode) {
	w.placed = slices.DeleteFunc(w.placed, func(c *oContainer) bool {
		if c.node == n {
			c.request.wanted++
		}
		return c.node == n
	})
	w.nodes = slices.DeleteFunc(w.nodes, func(x *oNode) bool { return x == n })
}

func (w *world) running(s *oService) (n int) {
	for _, c := range w.placed {
		if c.request.service == s {
			n++
		}
	}
	return n
}

func (w *world) held(r *oRequest) (n int) {
	for _, c := range w.placed {
		if c.request == r {
			n++
		}
	}
	return n
}
