package sched_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// town is a tree of queues that share units of one dimension. Its leaves have one service each.
type town struct {
	small
	rng     *rand.Rand
	queues  []Queue
	demand  map[string]int // of leaves, in containers
	units   int64
	running []Placement
}

// unitsPerQueue is how many containers there is room for, by leaf.
const unitsPerQueue = 100

// newTown draws a tree of two levels, with weights, maxima and more demand than there is room for: a quarter of the leaves
// want less than their part.
func newTown(t *testing.T, seed uint64) *town {
	t.Helper()
	w := &town{rng: rand.New(rand.NewPCG(seed, 2)), demand: make(map[string]int), queues: []Queue{{Name: "root"}}}
	add := func(name, parent string) {
		weight := float64(1 + w.rng.IntN(3))
		q := Queue{Name: name, Parent: parent, Weight: &weight}
		if w.rng.IntN(5) == 0 {
			p := Percent(10+w.rng.IntN(60)) * 1e9
			q.MaxPercent = &p
		}
		w.queues = append(w.queues, q)
	}
	leaves := 0
	for i := range 4 {
		district := fmt.Sprint("district", i)
		add(district, "root")
		for j := range 2 + w.rng.IntN(4) {
			leaf := fmt.Sprint(district, "/leaf", j)
			add(leaf, district)
			w.draw(leaf)
			leaves++
		}
	}
	w.units = int64(leaves * unitsPerQueue)
	w.small = newSmall(t, []string{"unit"}, w.queues...)
	for i, left := 0, w.units; left > 0; i++ {
		n := min(left, 7+w.rng.Int64N(30))
		w.node(fmt.Sprint("n", i), n)
		left -= n
	}
	for _, q := range w.queues {
		if n, ok := w.demand[q.Name]; ok {
			w.service(Service{Name: q.Name, Queue: q.Name})
			w.request(Request{ID: q.Name, Service: q.Name, Capacity: resource.Vector{1}}, n)
		}
	}
	return w
}

// draw says anew what a leaf wants: mostly far more than its part.
func (w *town) draw(leaf string) {
	w.demand[leaf] = 3 * unitsPerQueue
	if w.rng.IntN(4) == 0 {
		w.demand[leaf] = unitsPerQueue/2 + w.rng.IntN(unitsPerQueue)
	}
}

// entitled is what each leaf is entitled to: what is there poured out from the top, by weight, to each no more than it
// can use, which is what is wanted below it and its maximum allows.
func (w *town) entitled() map[string]float64 {
	out := make(map[string]float64)
	var pour func(parent string, amount *big.Rat, most float64)
	pour = func(parent string, amount *big.Rat, most float64) {
		var names []string
		var weights, demands rats
		var limits []float64
		for _, q := range w.queues {
			if q.Parent != parent {
				continue
			}
			limit := most
			if q.MaxPercent != nil {
				limit *= float64(*q.MaxPercent) / 100e9
			}
			names, limits = append(names, q.Name), append(limits, limit)
			weights = append(weights, new(big.Rat).SetFloat64(*q.Weight))
			demands = append(demands, new(big.Rat).SetFloat64(w.usable(q.Name, limit)))
		}
		for i, part := range fillSlowly(amount, weights, demands) {
			if _, leaf := w.demand[names[i]]; leaf {
				out[names[i]], _ = part.Float64()
			} else {
				pour(names[i], part, limits[i])
			}
		}
	}
	pour("root", whole(w.units), float64(w.units))
	return out
}

// usable is what a queue can use of its maximum.
func (w *town) usable(name string, limit float64) float64 {
	if n, leaf := w.demand[name]; leaf {
		return min(limit, float64(n))
	}
	below := 0.0
	for _, q := range w.queues {
		if q.Parent == name {
			most := limit
			if q.MaxPercent != nil {
				most *= float64(*q.MaxPercent) / 100e9
			}
			below += w.usable(q.Name, math.Floor(most))
		}
	}
	return min(limit, below)
}

// jain is Jain's index of used over entitled, of the leaves.
func (w *town) jain() float64 {
	used := make(map[string]float64)
	for _, p := range w.running {
		used[p.Queue]++
	}
	n, sum, squares := 0.0, 0.0, 0.0
	for leaf, entitled := range w.entitled() {
		if entitled > 0 {
			x := used[leaf] / entitled
			n, sum, squares = n+1, sum+x, squares+x*x
		}
	}
	return sum * sum / (n * squares)
}

// fill places all that can be, up to a number.
func (w *town) fill(decisions int) (n int) {
	for ; n < decisions; n++ {
		p, ok := w.Next()
		if !ok {
			break
		}
		w.running = append(w.running, p)
	}
	return n
}

func TestQueuesUseWhatTheyAreEntitledTo(t *testing.T) {
	for seed := range uint64(20) {
		w := newTown(t, seed)
		w.fill(math.MaxInt)
		if got := w.jain(); got < 0.999 {
			t.Errorf("seed %d: Jain's index is %v", seed, got)
		}
	}
}

// Under churn, containers end at random and others take their place, and every few thousand decisions some queues want
// something else. What they are entitled to then jumps, and what they use follows as containers end: nobody takes any away.
// A thousand decisions are enough for these jumps; a seed whose jump is larger than what ends in that time would say
// nothing about the scheduler.
func TestQueuesUseWhatTheyAreEntitledToUnderChurn(t *testing.T) {
	for seed := range uint64(5) {
		w := newTown(t, seed)
		decided := w.fill(math.MaxInt)
		for check := decided/1000 + 1; check <= 20; check++ {
			for decided < check*1000 {
				for range 1 + w.rng.IntN(20) {
					i, last := w.rng.IntN(len(w.running)), len(w.running)-1
					w.Release(w.running[i].Container)
					w.running[i] = w.running[last]
					w.running = w.running[:last]
				}
				decided += w.fill(check*1000 - decided)
			}
			if got := w.jain(); got < 0.99 {
				t.Errorf("seed %d, after %d decisions: Jain's index is %v", seed, decided, got)
			}
			w.fill(math.MaxInt)
			if check%4 == 0 {
				w.changeDemand()
			}
		}
	}
}

// changeDemand has two leaves want something else. What they hold and do not want any more they give back.
func (w *town) changeDemand() {
	leaves := 0
	for _, q := range w.queues {
		if _, leaf := w.demand[q.Name]; !leaf || w.rng.IntN(8) > 0 || leaves == 2 {
			continue
		}
		leaves++
		w.draw(q.Name)
		w.Want(q.Name, w.demand[q.Name])
		held := 0
		for i := 0; i < len(w.running); i++ {
			if w.running[i].Queue != q.Name {
				continue
			}
			if held++; held > w.demand[q.Name] {
				w.Release(w.running[i].Container)
				w.running = append(w.running[:i], w.running[i+1:]...)
				i--
			}
		}
	}
}

// With vectors of all kinds, whole containers and nothing given back, the dominant shares over their weights of those who
// want more all the time, and of whom no request was skipped for want of room, differ by no more than the largest that
// one container is. That holds of the services of a fair leaf, and of leaves of one service each and equal weight.
func TestDominantSharesDifferByOneContainerAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		inOneLeaf := rapid.Bool().Draw(t, "in one leaf")
		space, _ := resource.NewSpace("cpu", "mem", "net")
		s, err := New(Config{Space: space})
		if err != nil {
			t.Fatal(err)
		}
		queues := []Queue{{Name: "root"}}
		rivals := make([]*rival, 2+rng.IntN(6))
		if inOneLeaf {
			queues = append(queues, Queue{Name: "leaf", Parent: "root", Policy: PolicyFair})
		} else {
			for i := range rivals {
				queues = append(queues, Queue{Name: fmt.Sprint("leaf", i), Parent: "root"})
			}
		}
		if err := s.SetQueues(queues); err != nil {
			t.Fatal(err)
		}
		var total resource.Vector
		for i := range 5 + rng.IntN(30) {
			n := Node{Name: fmt.Sprint("n", i), Capacity: resource.Vector{10 + rng.Int64N(30), 10 + rng.Int64N(30), 10 + rng.Int64N(30)}}
			s.SetNode(n)
			total = total.Add(n.Capacity)
		}
		for i := range rivals {
			r := newRival(rng, fmt.Sprint("s", i), inOneLeaf)
			rivals[i] = r
			if err := s.SetService(Service{Name: r.name, Queue: queues[min(i+1, len(queues)-1)].Name, Weight: r.weight}); err != nil {
				t.Fatal(err)
			}
			for k, v := range r.asks {
				id := fmt.Sprint(r.name, "/", k)
				if err := s.Submit(Request{ID: id, Service: r.name, Capacity: v}); err != nil {
					t.Fatal(err)
				}
				s.Want(id, r.count[k])
			}
		}
		for p, ok := s.Next(); ok; p, ok = s.Next() {
			settle(t, rivals, p, total)
		}
	})
}

// rival is a service that wants its share.
type rival struct {
	name    string
	weight  float64
	asks    []resource.Vector // of its requests, in their order
	count   []int
	used    resource.Vector
	skipped bool
}

func newRival(rng *rand.Rand, name string, weighed bool) *rival {
	r := &rival{name: name, weight: 1}
	if weighed {
		r.weight = float64(1 + rng.IntN(3))
	}
	for range 1 + rng.IntN(3) {
		r.asks = append(r.asks, resource.Vector{1 + rng.Int64N(4), rng.Int64N(5), rng.Int64N(5)})
		r.count = append(r.count, 20+rng.IntN(200))
	}
	return r
}

// wants says which of its requests is next; none: -1.
func (r *rival) wants() int {
	for k, n := range r.count {
		if n > 0 {
			return k
		}
	}
	return -1
}

func (r *rival) share(total resource.Vector) float64 { return r.used.Share(total) / r.weight }

// settle notes a placement, and compares.
func settle(t *rapid.T, rivals []*rival, p Placement, total resource.Vector) {
	var got *rival
	for _, r := range rivals {
		if r.name == p.Service {
			got = r
		}
	}
	k := got.wants()
	if p.Request != fmt.Sprint(got.name, "/", k) {
		got.skipped = true
		for i := range got.asks {
			if p.Request == fmt.Sprint(got.name, "/", i) {
				k = i
			}
		}
	}
	const close = 1e-12
	for _, r := range rivals { // who holds less was passed over
		r.skipped = r.skipped || r != got && r.wants() >= 0 && r.share(total) < got.share(total)-close
	}
	got.used = got.used.Add(got.asks[k])
	got.count[k]--
	lowest, highest, largest := math.Inf(1), math.Inf(-1), 0.0
	for _, r := range rivals {
		for _, v := range r.asks {
			largest = max(largest, v.Share(total)/r.weight)
		}
		if r.wants() >= 0 && !r.skipped {
			lowest, highest = min(lowest, r.share(total)), max(highest, r.share(total))
		}
	}
	if highest-lowest > largest+close {
		t.Fatalf("shares are between %v and %v, and the largest container is %v", lowest, highest, largest)
	}
}
