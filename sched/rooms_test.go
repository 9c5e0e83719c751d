package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/sched/resource"
)

// What is known of narrow classes is what a look at every node for every class finds.
func TestRoomsAreWhatEveryNodeHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64Range(1, 1<<40).Draw(t, "seed"), 3))
		space, err := resource.NewSpace("cpu", "mem", "net")
		if err != nil {
			t.Fatal(err)
		}
		vector := func(top int64) resource.Vector {
			return resource.Vector{rng.Int64N(top), rng.Int64N(top), rng.Int64N(top)}
		}
		cluster, classes := newCluster(space, Scores{}), newClasses(space.Len())
		types := []string{NodeTypeCPU, NodeTypeGPU}
		for i := range 20 + rng.IntN(60) {
			cluster.set(Node{Name: fmt.Sprint("n", i), Type: types[i%2], Capacity: vector(20)})
		}
		cluster.freshen()
		for _, n := range cluster.order { // full
			cluster.take(n, &n.Capacity, 1)
		}
		room := func(k *class) bool {
			for _, n := range cluster.order {
				if k.admits(n, &cluster) {
					return true
				}
			}
			return false
		}
		var wanted []*class
		check := func() {
			for _, k := range wanted {
				if closed := classes.closed(k); closed && room(k) || !closed && classes.narrow.has(k.bit) && !room(k) {
					t.Fatalf("%+v: closed is %v, and a node has room is %v", k.key, closed, room(k))
				}
			}
			groups, vacant := make([]bits, len(classes.rooms.groups)), 0
			for i, s := range classes.rooms.seats {
				groups[i/groupSize].join(&s.set)
				if (s.node == nil) != (s.set == (bits{})) || s.node != nil && int(s.node.seat) != i+1 {
					t.Fatalf("seat %d is of %+v, %v", i, s.node, s.set)
				}
				if s.node == nil {
					vacant++
				}
			}
			if vacant != len(classes.rooms.vacant) {
				t.Fatalf("%d seats are vacant, of %d it is known", vacant, len(classes.rooms.vacant))
			}
			if !slices.Equal(groups, classes.rooms.groups) {
				t.Fatalf("groups %v, and their seats have %v", classes.rooms.groups, groups)
			}
		}
		for range 500 {
			n := cluster.order[rng.IntN(len(cluster.order))]
			switch what := rng.IntN(10); {
			case what == 0 || len(wanted) < 30:
				q := Request{Capacity: vector(18), NodeType: append(types, "")[rng.IntN(3)]}
				if rng.IntN(3) == 0 {
					q.Except = []string{n.Name}
				}
				k := classes.of(&q, space.Len(), -1)
				k.refresh(&cluster)
				wanted = append(wanted, k)
			case what == 1 && len(wanted) > 30:
				i := rng.IntN(len(wanted))
				classes.leave(wanted[i])
				wanted = append(wanted[:i], wanted[i+1:]...)
			case what < 5:
				ask := vector(12)
				for d := range ask {
					ask[d] = min(ask[d], n.free[d])
				}
				cluster.take(n, &ask, 1)
				classes.taken(n)
			case what < 8:
				ask := vector(9)
				for d := range ask {
					ask[d] = min(ask[d], n.Capacity[d]-n.free[d])
				}
				cluster.take(n, &ask, -1)
				classes.freed(n, 1)
			default:
				for _, k := range wanted {
					if !room(k) {
						classes.close(k)
					}
				}
			}
			check()
		}
	})
}
