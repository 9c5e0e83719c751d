package sched_test

import (
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// small is a scheduler over plain dimensions, for examples that fit on a page.
type small struct {
	*testing.T
	*Scheduler
	count map[string]int // containers wanted in all, by request
}

func newSmall(t *testing.T, dims []string, queues ...Queue) small {
	t.Helper()
	space, err := resource.NewSpace(dims...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Space: space})
	if err != nil {
		t.Fatal(err)
	}
	if faults := CheckQueues(space, queues); len(faults) > 0 {
		t.Fatal(faults)
	}
	if err := s.SetQueues(queues); err != nil {
		t.Fatal(err)
	}
	return small{t, s, make(map[string]int)}
}

func (s small) node(name string, amounts ...int64) {
	s.SetNode(Node{Name: name, Capacity: vectorOf(amounts)})
}

func vectorOf(amounts []int64) (v resource.Vector) {
	copy(v[:], amounts)
	return v
}

func (s small) service(v Service) {
	s.Helper()
	if err := s.SetService(v); err != nil {
		s.Fatal(err)
	}
}

// want asks for containers of a request that is called as its service, or as service/request.
func (s small) want(id string, count int, amounts ...int64) {
	s.Helper()
	service, _, _ := strings.Cut(id, "/")
	s.request(Request{ID: id, Service: service, Capacity: vectorOf(amounts)}, count)
}

func (s small) request(r Request, count int) {
	s.Helper()
	if err := s.Submit(r); err != nil {
		s.Fatal(err)
	}
	s.Want(r.ID, count)
	s.count[r.ID] = count
}

// order is who is given the next containers, until nothing more can be placed or the number is reached.
func (s small) order(decisions int) string {
	var got []string
	for range decisions {
		p, ok := s.Next()
		if !ok {
			break
		}
		got = append(got, p.Request)
	}
	return strings.Join(got, " ")
}

// all is more decisions than an example has.
const all = 1000

// The example of the paper (Ghodsi et al., "Dominant Resource Fairness", NSDI 2011, section 4.1): 9 CPUs and 18 GB, A
// wants <1, 4> and B <3, 1>. A gets 3 containers and B gets 2, in the order B A A B A; both then hold two thirds of what
// they dominate.
func TestTheExampleOfDominantResourceFairness(t *testing.T) {
	half := func(name string) Queue { return Queue{Name: name, Parent: "root"} }
	for name, queues := range map[string][]Queue{
		"two services of a fair leaf":    {{Name: "root"}, {Name: "leaf", Parent: "root", Policy: PolicyFair}},
		"two queues of one service each": {{Name: "root"}, half("of B"), half("of A")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmall(t, []string{"cpu", "mem"}, queues...)
			s.node("n", 9, 18)
			s.service(Service{Name: "B", Queue: queues[1].Name})
			s.service(Service{Name: "A", Queue: queues[len(queues)-1].Name})
			s.want("A", 100, 1, 4)
			s.want("B", 100, 3, 1)
			if got := s.order(all); got != "B A A B A" {
				t.Errorf("the order is %s", got)
			}
			var used resource.Vector
			for _, q := range s.Queues() {
				if q.Leaf {
					used = used.Add(q.Used)
				}
				if q.Leaf && len(queues) == 3 && !nearly(q.Ratio, 2*2./3) {
					t.Errorf("%s uses %v of its half, not two thirds of the whole", q.Name, q.Ratio)
				}
			}
			if used != (resource.Vector{9, 14}) {
				t.Errorf("%v is used", used)
			}
		})
	}
}

func nearly(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
