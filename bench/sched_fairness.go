package main

import (
	"slices"

	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// amount is what queues hold or ask for.
type amount [resource.MaxDimensions]float64

// fairness gives Jain's index of what the leaves hold over what they are entitled to, both as dominant shares of the
// cluster: the weighted max-min share by weight and priority, with demand and maxima. Leaves that are entitled to nothing
// do not count.
func (b *schedLoad) fairness() float64 {
	b.count()
	s := &b.scratch
	s.used, s.demand = append(s.used[:0], b.used...), append(s.demand[:0], b.demand...)
	s.tree = slices.Grow(s.tree[:0], len(b.queues))[:len(b.queues)]
	used, demand, tree := s.used, s.demand, s.tree
	for i := len(b.queues) - 1; i >= 0; i-- {
		q := &b.queues[i]
		switch {
		case !q.limited:
		case b.isBlocked(i): // it has all that it can have
			demand[i] = used[i]
		default: // it can have of its mix only as much as fits below its maximum
			part := 1.0
			for d := range b.dims {
				if demand[i][d] > 0 {
					part = min(part, q.most[d]/demand[i][d])
				}
			}
			for d := range b.dims {
				demand[i][d] = max(demand[i][d]*part, used[i][d])
			}
		}
		tree[i] = sched.Holding{
			Parent: q.parent, Weight: q.weight, Priority: q.priority, Used: b.dominant(&used[i]), Demand: b.dominant(&demand[i]),
		}
		if q.parent >= 0 {
			for d := range b.dims {
				used[q.parent][d] += used[i][d]
				demand[q.parent][d] += demand[i][d]
			}
		}
	}
	var ratios []float64
	for i, entitled := range sched.Entitled(tree) {
		if b.queues[i].leaf && entitled > 0 {
			ratios = append(ratios, tree[i].Used/entitled)
		}
	}
	return sched.Jain(ratios)
}

// holdings is what requests hold and want, added up by leaf. Requests that have changed since they were counted are listed, so
// that a look at it does not go through all of them: under churn that would push the scheduler out of the processor's
// caches each time.
type holdings struct {
	used, demand []amount // by leaf: what it holds, and what it would hold if it had all that it wants
	changed      []int32  // requests to be counted again
	scratch      struct {
		used, demand []amount
		tree         []sched.Holding
	}
}

// counted is what a request had when it was counted last.
type counted struct{ queue, want, held int32 }

// changes notes that a request holds or wants something else now.
func (b *schedLoad) changes(request int) {
	if b.used != nil {
		b.changed = append(b.changed, int32(request)) //nolint:gosec // there are not that many
	}
}

// count brings the holdings up to date; the first time it counts all requests.
func (b *schedLoad) count() {
	if b.used == nil {
		b.used, b.demand = make([]amount, len(b.queues)), make([]amount, len(b.queues))
		for i := range b.requests {
			b.changes(i)
		}
	}
	for _, i := range b.changed {
		r := &b.requests[i]
		now := counted{int32(b.services[r.service].queue), r.want, r.held} //nolint:gosec // there are not that many
		for d, each := range r.capacity[:b.dims] {
			b.used[r.counted.queue][d] -= float64(r.counted.held) * float64(each)
			b.demand[r.counted.queue][d] -= float64(r.counted.want) * float64(each)
			b.used[now.queue][d] += float64(now.held) * float64(each)
			b.demand[now.queue][d] += float64(now.want) * float64(each)
		}
		r.counted = now
	}
	b.changed = b.changed[:0]
}

// dominant is the largest share of the cluster in any dimension.
func (b *schedLoad) dominant(v *amount) float64 {
	share := 0.0
	for d := range b.dims {
		if b.total[d] > 0 {
			share = max(share, v[d]/b.total[d])
		}
	}
	return share
}

// blocked counts the leaves that want containers, none of which fits below their maximum.
func (b *schedLoad) blocked() int {
	b.count()
	n := 0
	for i := range b.queues {
		if b.queues[i].limited && b.isBlocked(i) {
			n++
		}
	}
	return n
}

// isBlocked says so of one with a maximum; what is held was counted.
func (b *schedLoad) isBlocked(queue int) bool {
	q := &b.queues[queue]
	wants := false
	for _, i := range q.requests {
		r := &b.requests[i]
		if r.want == r.held {
			continue
		}
		wants = true
		fits := true
		for d, each := range r.capacity[:b.dims] {
			fits = fits && (each == 0 || b.used[queue][d]+float64(each) <= q.most[d])
		}
		if fits {
			return false
		}
	}
	return wants
}
