package main

import (
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// amount is what queues hold or ask for.
type amount [resource.MaxDimensions]float64

// fairness gives Jain's index of what the leaves hold over what they are entitled to, both as dominant shares of the
// cluster: the weighted max-min share by weight and priority, with demand and maxima. Leaves that are entitled to nothing
// do not count.
func (b *schedLoad) fairness() float64 {
	used, demand := b.holdings()
	tree := make([]sched.Holding, len(b.queues))
	for i := len(b.queues) - 1; i >= 0; i-- {
		q := &b.queues[i]
		if q.limited { // it can have of its mix only as much as fits below its maximum
			part := 1.0
			for d := range b.dims {
				if demand[i][d] > 0 {
					part = min(part, max(q.most[d], used[i][d])/demand[i][d])
				}
			}
			for d := range b.dims {
				demand[i][d] *= part
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

// holdings adds up what each leaf holds, and what it would hold if it had all that it wants.
func (b *schedLoad) holdings() (used, demand []amount) {
	used, demand = make([]amount, len(b.queues)), make([]amount, len(b.queues))
	for i := range b.requests {
		r := &b.requests[i]
		at := b.services[r.service].queue
		for d := range b.dims {
			used[at][d] += float64(r.held) * float64(r.capacity[d])
			demand[at][d] += float64(r.want) * float64(r.capacity[d])
		}
	}
	return used, demand
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
	used, _ := b.holdings()
	wants, fits := make([]bool, len(b.queues)), make([]bool, len(b.queues))
	for i := range b.requests {
		r := &b.requests[i]
		if r.want == r.held {
			continue
		}
		at := b.services[r.service].queue
		wants[at] = true
		below := true
		for d := range b.dims {
			below = below && (r.capacity[d] == 0 || used[at][d]+float64(r.capacity[d]) <= b.queues[at].most[d])
		}
		fits[at] = fits[at] || below
	}
	n := 0
	for i := range b.queues {
		if wants[i] && !fits[i] {
			n++
		}
	}
	return n
}
