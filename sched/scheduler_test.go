package sched_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weft-fabric/weft/internal/platform"
	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// BenchmarkDecisions measures one decision of a cluster that fills up: 10,000 nodes, 1,000 leaves in three levels, 64
// shapes. `weft-bench sched` measures more.
func BenchmarkDecisions(b *testing.B) {
	b.ReportAllocs()
	left := 0
	var s *Scheduler
	for b.Loop() {
		if left == 0 {
			b.StopTimer()
			s, left = crowd(b, 10_000, 100_000)
			b.StartTimer()
		}
		if _, ok := s.Next(); !ok {
			b.Fatalf("nothing can be placed, and %d are left", left)
		}
		left--
	}
}

// crowd makes a cluster with requests that fill it to about 70 %.
func crowd(tb testing.TB, nodes, requests int) (*Scheduler, int) {
	tb.Helper()
	s, err := New(Config{})
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range nodes {
		n := Node{
			Name: fmt.Sprint("n", i), Rack: fmt.Sprint("r", i/40), Type: NodeTypeCPU, Platform: platform.Platform{OS: "linux", Arch: "amd64"},
			Capacity: resource.Vector{32000, 0, 128 << 30, 10 << 30, 4 << 30},
		}
		if i%8 == 0 {
			n.Type, n.Capacity[resource.GPU] = NodeTypeGPU, 8
		}
		s.SetNode(n)
	}
	queues := []Queue{{Name: "root"}}
	for i := range 10 {
		queues = append(queues, Queue{Name: fmt.Sprint("a", i), Parent: "root"})
		for j := range 10 {
			queues = append(queues, Queue{Name: fmt.Sprint("b", i, ".", j), Parent: fmt.Sprint("a", i)})
			for k := range 10 {
				queues = append(queues, Queue{Name: fmt.Sprint("c", i, ".", j, ".", k), Parent: fmt.Sprint("b", i, ".", j), Policy: Policies()[k%3]})
			}
		}
	}
	if f := CheckQueues(resource.Standard(), queues); len(f) > 0 {
		tb.Fatal(f)
	}
	if err := s.SetQueues(queues); err != nil {
		tb.Fatal(err)
	}
	var shapes []resource.Vector
	for range 64 {
		v := resource.Vector{500 + 100*rng.Int64N(40), 0, (1 + rng.Int64N(16)) << 30, rng.Int64N(1 << 30), rng.Int64N(1 << 29)}
		if rng.IntN(16) == 0 {
			v[resource.GPU] = 1
		}
		shapes = append(shapes, v)
	}
	for i := range requests {
		name := fmt.Sprint("s", i)
		leaf := rng.IntN(1000)
		if err := s.SetService(Service{Name: name, Queue: fmt.Sprint("c", leaf/100, ".", leaf/10%10, ".", leaf%10)}); err != nil {
			tb.Fatal(err)
		}
		if err := s.Submit(Request{ID: name, Service: name, Capacity: shapes[rng.IntN(len(shapes))]}); err != nil {
			tb.Fatal(err)
		}
		s.Want(name, 1)
	}
	return s, requests
}

// BenchmarkNodeComes measures the first slice of a pass after a node has come to a full cluster with a long backlog: all
// guarantees change, and everything may be placed again.
func BenchmarkNodeComes(b *testing.B) {
	s, _ := crowd(b, 5_000, 100_000)
	for ok := true; ok; {
		_, ok = s.Next()
	}
	i := 0
	for b.Loop() {
		i++
		s.SetNode(Node{Name: fmt.Sprint("new", i), Type: NodeTypeCPU, Platform: platform.Platform{OS: "linux", Arch: "amd64"}, Capacity: resource.Vector{1, 1, 1, 1, 1}})
		s.NextWithin(100)
		b.StopTimer()
		for more := true; more; {
			_, _, more = s.NextWithin(1000)
		}
		b.StartTimer()
	}
}
