package sched

import "slices"

// waterFill shares amount out like water that finds one level: each child has the same in relation to its weight, but
// none more than it demands, and what one leaves the others share. Children of no weight have what is left when all
// that have weight are satisfied, in equal parts. Nothing is left while a demand is not satisfied.
//
// Weights and demands are not negative; the result has an entry for each.
func waterFill(amount float64, weights, demands []float64) []float64 {
	filled := make([]float64, len(demands))
	var heavy, light []int
	for i, w := range weights {
		if w > 0 {
			heavy = append(heavy, i)
		} else {
			light = append(light, i)
		}
	}
	left := fillLevel(amount, heavy, func(i int) float64 { return weights[i] }, demands, filled)
	fillLevel(left, light, func(int) float64 { return 1 }, demands, filled)
	return filled
}

// fillLevel shares amount out among some of the children, in filled, and returns what is left. Those that need the
// least for their weight are satisfied first; from the first that cannot be, the rest divide what there is.
func fillLevel(amount float64, children []int, weight func(int) float64, demands, filled []float64) float64 {
	slices.SortStableFunc(children, func(a, b int) int {
		switch x, y := demands[a]*weight(b), demands[b]*weight(a); {
		case x < y:
			return -1
		case x > y:
			return 1
		default:
			return 0
		}
	})
	sums := make([]float64, len(children)+1) // of the weights from each on: adding up loses less than taking away
	for k := len(children) - 1; k >= 0; k-- {
		sums[k] = sums[k+1] + weight(children[k])
	}
	for k, i := range children {
		if part := amount * weight(i) / sums[k]; demands[i] > part {
			for _, j := range children[k:] {
				filled[j] = amount * weight(j) / sums[k]
			}
			return 0
		}
		filled[i] = demands[i]
		amount = max(0, amount-demands[i])
	}
	return amount
}
