package sched

// Holding is what a queue of a tree holds, as a share of the cluster, or as any other number that is the same thing for
// all queues.
type Holding struct {
	Parent   int     // index of its parent, which comes before it; -1: it is a root
	Weight   float64 // among its siblings
	Priority int     // the siblings of a higher one are satisfied first
	Used     float64
	Demand   float64 // what it would hold if it had everything it asks for, at most its maximum
}

// Entitled gives for each queue what it would hold if all that is held were shared out by weighted max-min fairness:
// level by level from the root, each parent's part among its children by priority, in relation to the weights, to none
// more than it demands, and what one leaves the others share. Where the children's holdings add up to more than the
// parent's, as dominant shares of different dimensions do, their parts do likewise.
func Entitled(queues []Holding) []float64 {
	entitled := make([]float64, len(queues))
	children := make([][]int, len(queues)+1) // by the parent's index + 1
	for i, q := range queues {
		children[q.Parent+1] = append(children[q.Parent+1], i)
	}
	for p, of := range children {
		amount := 0.0
		for _, c := range of {
			amount += queues[c].Used
		}
		if p > 0 && queues[p-1].Used > 0 {
			amount *= entitled[p-1] / queues[p-1].Used
		}
		shareByPriority(amount, of, queues, entitled)
	}
	return entitled
}

// shareByPriority shares amount out among siblings.
func shareByPriority(amount float64, siblings []int, queues []Holding, entitled []float64) {
	for left := siblings; len(left) > 0; {
		highest := queues[left[0]].Priority
		for _, i := range left {
			highest = max(highest, queues[i].Priority)
		}
		var now, later []int
		var weights, demands []float64
		for _, i := range left {
			if queues[i].Priority < highest {
				later = append(later, i)
				continue
			}
			now = append(now, i)
			weights, demands = append(weights, queues[i].Weight), append(demands, queues[i].Demand)
		}
		for k, part := range waterFill(amount, weights, demands) {
			entitled[now[k]] = part
			amount = max(0, amount-part)
		}
		left = later
	}
}

// Jain is the fairness index of R. Jain over values that should be equal: 1 when they are, 1/n when one of n has all.
// It is 1 of no values, or of nothing but zeros.
func Jain(values []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range values {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(values)) * squares)
}
