package sched_test

import "math/big"

// giveBack says what each leaf holds beyond what it would have if everything were shared out anew.
func (w *world) giveBack() map[string]rats {
	out := make(map[string]rats)
	for _, q := range w.leaves() {
		out[q.name] = make(rats, w.dims)
	}
	for d := range w.dims {
		w.pour(w.queues[0], d, w.maximum(w.queues[0])[d], out)
	}
	return out
}

// pour gives a queue an amount of a dimension, which its children divide.
func (w *world) pour(q *oQueue, d int, amount *big.Rat, out map[string]rats) {
	children := w.children(q)
	if len(children) == 0 {
		if q.parent != nil {
			out[q.name][d] = most(whole(0), difference(whole(w.queueUsed(q)[d]), amount))
		}
		return
	}
	var guarantees, demands rats
	for _, c := range children {
		guarantees = append(guarantees, w.guaranteed(c)[d])
		demands = append(demands, least(w.maximum(c)[d], whole(w.queueUsed(c)[d]+w.queueWanted(c)[d])))
	}
	for i, part := range fillSlowly(amount, guarantees, demands) {
		w.pour(children[i], d, part, out)
	}
}

// fillSlowly pours by turns: in each, all that still want get a part by weight, until the first of them has what it
// wants. When nobody of weight wants any more, those of no weight have their turns, in equal parts.
func fillSlowly(amount *big.Rat, weights, demands rats) rats {
	got := make(rats, len(demands))
	for i := range got {
		got[i] = whole(0)
	}
	for {
		thirsty := make(map[int]*big.Rat)
		for i, weight := range weights {
			if weight.Sign() > 0 && less(got[i], demands[i]) {
				thirsty[i] = weight
			}
		}
		if len(thirsty) == 0 {
			for i, weight := range weights {
				if weight.Sign() == 0 && less(got[i], demands[i]) {
					thirsty[i] = whole(1)
				}
			}
		}
		if len(thirsty) == 0 || amount.Sign() == 0 {
			return got
		}
		all := whole(0)
		for _, weight := range thirsty {
			all = sum(all, weight)
		}
		rise := quotient(amount, all)
		for i, weight := range thirsty {
			rise = least(rise, quotient(difference(demands[i], got[i]), weight))
		}
		for i, weight := range thirsty {
			got[i] = sum(got[i], product(rise, weight))
		}
		amount = difference(amount, product(rise, all))
	}
}
