package sched

import (
	"math"

	"github.com/weft-fabric/weft/sched/resource"
)

// queue is one queue of the hierarchy at work.
type queue struct {
	parent *queue
	leaf   *leaf // nil: it has children
	Queue
	depth    int
	order    int64
	running  int // containers
	ratio    float64
	used     resource.Vector
	inverse  []float64 // 1 over what is guaranteed; 0 where that is 0
	exact    []double  // what is guaranteed
	limit    []int64   // absolute maximum of the queue and its ancestors together, in whole amounts
	limited  bool      // it has a maximum of its own below its parent's
	children []*queue

	// Where it stands among its siblings: in the heap of those in which something may be placed, or parked because all
	// was tried and failed.
	spot     int32 // in the heap
	shelf    int32 // among the parked
	active   heap[*queue]
	parked   []*queue
	scanned  uint64 // when the parked children were looked through last
	failedAt uint64
	blockers uint64 // depths of the queues above whose maximum was in the way
	released uint64 // when something below was given back last
	failed   bits   // of the classes that are wanted those that were tried and failed for want of anything but a node
	pending  counts // classes that are wanted below, by leaf or child

	guaranteed []float64
	most       []float64 // its absolute maximum
	weight     double
	weights    double // of the children together
}

func (q *queue) place() *int32 { return &q.spot }

// key says where the queue stands among its siblings.
func (q *queue) key() key {
	first := -2 * int64(q.Priority)
	if !q.belowMin() {
		first++
	}
	return key{first: first, ratio: q.ratio, second: q.order}
}

func (q *queue) belowMin() bool {
	if q.Min == nil {
		return false
	}
	for d, least := range q.Min {
		if q.used[d] < least {
			return true
		}
	}
	return false
}

// within says whether one more container would leave the queue within its maximum.
func (q *queue) within(ask *resource.Vector) bool {
	for d, most := range q.limit {
		if q.used[d]+ask[d] > most {
			return false
		}
	}
	return true
}

// tree is the hierarchy of queues.
type tree struct {
	dims  int
	only  int // the one dimension that counts for ratios; below 0: the largest ratio does
	root  *queue
	all   []*queue // depth first in order of definition
	named map[string]*queue
}

// newTree makes the hierarchy of a list that was checked.
func newTree(dims, only int, queues []Queue) *tree {
	t := &tree{dims: dims, only: only, named: make(map[string]*queue, len(queues))}
	for i, q := range queues {
		weight := double{hi: 1}
		if q.Weight != nil {
			weight = decimal(*q.Weight)
		}
		t.named[q.Name] = &queue{Queue: q, order: int64(i), weight: weight, spot: absent, shelf: absent}
	}
	for _, c := range queues {
		q := t.named[c.Name]
		if c.Parent == "" {
			t.root = q
			continue
		}
		q.parent = t.named[c.Parent]
		q.parent.children = append(q.parent.children, q)
	}
	t.walk(t.root)
	return t
}

func (t *tree) walk(q *queue) {
	t.all = append(t.all, q)
	for _, child := range q.children {
		child.depth = q.depth + 1
		t.walk(child)
	}
	q.parked = make([]*queue, 0, len(q.children))
	q.active.slots = make([]slot[*queue], 0, len(q.children))
	if len(q.children) == 0 {
		q.leaf = newLeaf(q)
	}
	q.widen(t.dims)
}

// settle finds the guarantees and maxima of all queues for a cluster of this size.
func (t *tree) settle(total *resource.Vector) {
	for _, q := range t.all { // parents come first
		q.weights = double{}
		for _, child := range q.children {
			q.weights = q.weights.plus(child.weight)
		}
		var part double
		switch {
		case q.parent == nil:
		case q.Capacity != nil:
			part = double{hi: float64(*q.Capacity)}.over(double{hi: float64(Hundred)})
		default:
			part = q.weight.over(q.parent.weights)
		}
		for d := range t.dims {
			whole, most := double{hi: float64(total[d])}, float64(total[d])
			if q.parent != nil {
				whole, most = q.parent.exact[d].times(part), q.parent.most[d]
			}
			q.exact[d], q.guaranteed[d], q.inverse[d] = whole, whole.hi, 0
			if whole.hi > 0 {
				q.inverse[d] = 1 / whole.hi
			}
			switch {
			case q.MaxPercent != nil:
				most = q.MaxPercent.Of(most)
			case q.Max != nil && q.Max[d] != Unlimited:
				most = min(most, float64(q.Max[d]))
			}
			q.most[d], q.limit[d] = most, whole64(most)
		}
		q.limited = q.MaxPercent != nil || q.Max != nil
		t.rate(q, total)
		if q.leaf != nil {
			q.leaf.limits = q.leaf.limits[:0]
			for above := q; above != nil; above = above.parent {
				if above.limited {
					q.leaf.limits = append(q.leaf.limits, above)
				}
			}
		}
	}
}

// whole64 is the largest whole amount within a limit. What is a whole amount but for the rounding of arithmetic counts as
// that; where amounts are too large to tell it is at most the nearest one.
func whole64(limit float64) int64 {
	const slack = 2e-15
	if limit >= math.MaxInt64 {
		return math.MaxInt64
	}
	if nearest := math.Round(limit); math.Abs(limit-nearest) <= slack*nearest {
		return int64(nearest)
	}
	return int64(limit)
}

// unguaranteed is the ratio from which on queues stand that use something and are guaranteed nothing.
const unguaranteed = 1e12

// near is the part of the largest of some quotients from which on another one may be the largest when they are computed
// exactly.
const near = 1 - 1e-12

// rate finds the usage ratio of a queue.
func (t *tree) rate(q *queue, total *resource.Vector) {
	most, beyond := 0.0, 0.0
	for d := range t.dims {
		used := float64(q.used[d])
		switch {
		case used == 0 || t.only >= 0 && t.only != d:
		case q.inverse[d] > 0:
			most = max(most, used*q.inverse[d])
		case total[d] > 0:
			beyond = max(beyond, unguaranteed*(1+used/float64(total[d])))
		}
	}
	q.ratio = beyond
	for d := range t.dims {
		if used := float64(q.used[d]); used*q.inverse[d] > most*near && (t.only < 0 || t.only == d) {
			q.ratio = max(q.ratio, double{hi: used}.over(q.exact[d]).hi)
		}
	}
}

// charge has a leaf and all above it use an amount more in so many containers, or less where sign is -1 and the number
// below 0.
func (t *tree) charge(q *queue, amount, total *resource.Vector, sign int64, containers int) {
	for ; q != nil; q = q.parent {
		for d := range t.dims {
			q.used[d] += sign * amount[d]
		}
		q.running += containers
		t.rate(q, total)
		if q.parent != nil && q.spot != absent {
			q.parent.active.fix(q.spot, q.key())
		}
	}
}

// wanted notes that a class is wanted in a leaf for the first time, or no longer.
func (q *queue) wanted(bit uint16, yes bool) {
	for ; q != nil; q = q.parent {
		if yes && !q.pending.add(bit) || !yes && !q.pending.drop(bit) {
			return
		}
	}
}

// fail notes that all that is wanted below a queue was tried and failed: what failed in each child in which it is wanted.
func (q *queue) fail(now uint64) {
	failed := q.pending.set
	q.failedAt, q.blockers = now, 0
	for _, child := range q.parked {
		q.blockers |= child.blockers & (1<<q.depth - 1)
		for i := range failed {
			failed[i] &= child.failed[i] | ^child.pending.set[i]
		}
	}
	q.failed = failed
}

// forgive forgets what failed below a queue.
func (q *queue) forgive() { q.failed, q.failedAt, q.blockers = bits{}, 0, 0 }

// touch has everything from a leaf to the root tried again.
func (q *queue) touch() {
	for ; q != nil; q = q.parent {
		q.forgive()
		if q.parent != nil && q.spot == absent {
			q.parent.wake(q)
		}
	}
}

// wake puts a child among the active ones.
func (q *queue) wake(child *queue) {
	if at := child.shelf; at != absent {
		last := q.parked[len(q.parked)-1]
		q.parked[at], last.shelf = last, at
		q.parked = q.parked[:len(q.parked)-1]
		child.shelf = absent
	}
	q.active.push(child.key(), child)
}

// park sets an active child aside, in which nothing could be placed.
func (q *queue) park(child *queue) {
	q.active.remove(child.spot)
	child.shelf = int32(len(q.parked))
	q.parked = append(q.parked, child)
}
