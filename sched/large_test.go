package sched_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// large is a world of the size at which short cuts are taken, and two schedulers of it: one takes them.
type large struct {
	*rapid.T
	rng      *rand.Rand
	both     [2]*Scheduler
	leaves   []string
	shapes   []resource.Vector
	placed   []Placement
	wanted   map[string]int // containers, by request
	of       map[string][]string
	services []string
	made     int
}

const largeDims = 5

// With short cuts or without: the decisions are the same, in a world too large for the oracle.
func TestShortCutsDecideTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLarge(t)
		l.build(120, 50, 1+l.rng.IntN(300))
		l.live(100, 40)
	})
}

// There are more classes of requests than there are bits for them.
func TestShortCutsDecideTheSameForManyClasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLarge(t)
		l.build(30, 10, 5000)
		l.live(220, 20)
	})
}

func newLarge(t *rapid.T) *large {
	seed := rapid.Uint64().Draw(t, "seed")
	return &large{T: t, rng: rand.New(rand.NewPCG(seed, 1)), wanted: make(map[string]int), of: make(map[string][]string)}
}

// live submits services, and has the schedulers decide between changes.
func (l *large) live(services, changes int) {
	for range services {
		l.submit(3)
	}
	l.schedule(-1)
	for range changes {
		l.change()
		l.schedule(l.rng.IntN(20))
	}
	l.schedule(-1)
}

func (l *large) build(nodes, queues, shapes int) {
	space, err := resource.NewSpace("cpu", "gpu", "mem", "net", "io")
	if err != nil {
		l.Fatal(err)
	}
	for i := range l.both {
		if l.both[i], err = New(Config{Space: space}); err != nil {
			l.Fatal(err)
		}
	}
	l.both[1].SetThorough(true)
	l.configure(space, queues)
	for range nodes {
		l.node()
	}
	for range shapes {
		v := l.vector(6)
		v[0]++
		if l.rng.IntN(3) > 0 {
			v[1] = 0
		}
		l.shapes = append(l.shapes, v)
	}
}

func (l *large) configure(space resource.Space, queues int) {
	list := []Queue{{Name: "root"}}
	level := []int{0}
	children := make([]int, queues+1)
	for i := 1; i <= queues; i++ {
		parent := l.rng.IntN(i)
		for level[parent] == 3 {
			parent = l.rng.IntN(i)
		}
		level, children[parent] = append(level, level[parent]+1), children[parent]+1
		weight := float64(1 + l.rng.IntN(3))
		q := Queue{Name: fmt.Sprint("q", i), Parent: list[parent].Name, Weight: &weight, Priority: l.rng.IntN(8) / 7}
		if l.rng.IntN(4) == 0 {
			p := Percent(1+l.rng.IntN(100)) * 1e9
			q.MaxPercent = &p
		}
		if l.rng.IntN(8) == 0 {
			v := l.vector(9)
			q.Min = &v
		}
		list = append(list, q)
	}
	for i := range list {
		if i == 0 || children[i] > 0 {
			continue
		}
		q := &list[i]
		l.leaves = append(l.leaves, q.Name)
		q.Policy = Policies()[l.rng.IntN(3)]
		q.Reserve = l.rng.IntN(6) == 0
		if q.Policy == PolicyCapacity {
			p := Percent(l.rng.IntN(100)) * 1e9
			q.UserLimit = &p
		}
	}
	if faults := CheckQueues(space, list); len(faults) > 0 {
		l.Fatal(faults)
	}
	l.each(func(s *Scheduler) error { return s.SetQueues(list) })
}

func (l *large) each(do func(*Scheduler) error) {
	for _, s := range l.both {
		if err := do(s); err != nil {
			l.Fatal(err)
		}
	}
}

func (l *large) vector(top int64) (v resource.Vector) {
	for d := range largeDims {
		v[d] = l.rng.Int64N(top + 1)
	}
	return v
}

func (l *large) node() {
	l.made++
	n := Node{
		Name: fmt.Sprint("n", l.made), Rack: fmt.Sprint("r", l.rng.IntN(8)), Platform: platformOf("amd64"), Type: NodeTypeCPU,
		Capacity: l.vector(20),
	}
	if l.rng.IntN(3) == 0 {
		n.Platform = platformOf("arm64")
	}
	if l.rng.IntN(3) == 0 {
		n.Type = NodeTypeGPU
	} else {
		n.Capacity[1] = 0
	}
	l.each(func(s *Scheduler) error { s.SetNode(n); return nil })
}

// submit takes in a service with some requests.
func (l *large) submit(requests int) {
	l.made++
	name := fmt.Sprint("s", l.made)
	l.services = append(l.services, name)
	service := Service{
		Name: name, Queue: l.leaves[l.rng.IntN(len(l.leaves))], Weight: float64(1 + l.rng.IntN(3)), User: fmt.Sprint("u", l.rng.IntN(4)),
	}
	l.each(func(s *Scheduler) error { return s.SetService(service) })
	for i := range requests {
		r := Request{
			ID: fmt.Sprint(name, "/", i), Service: name, Priority: l.rng.IntN(2), Capacity: l.shapes[l.rng.IntN(len(l.shapes))],
		}
		switch l.rng.IntN(10) {
		case 0:
			r.Node, r.Relaxed = fmt.Sprint("n", 1+l.rng.IntN(120)), l.rng.IntN(2) == 0
		case 1:
			r.Rack, r.Relaxed = fmt.Sprint("r", l.rng.IntN(8)), l.rng.IntN(2) == 0
		case 2:
			r.NodeType = []string{NodeTypeCPU, NodeTypeGPU}[l.rng.IntN(2)]
		case 3:
			r.Platforms = append(r.Platforms, platformOf("arm64"))
		case 4:
			r.Nodes = 2
		}
		l.wanted[r.ID] = 2 + l.rng.IntN(8)
		l.of[name] = append(l.of[name], r.ID)
		l.each(func(s *Scheduler) error {
			if err := s.Submit(r); err != nil {
				return err
			}
			s.Want(r.ID, l.wanted[r.ID])
			return nil
		})
	}
}

func (l *large) schedule(decisions int) {
	for n := 0; n != decisions; n++ {
		got, ok := l.both[0].Next()
		if want, _ := l.both[1].Next(); got != want {
			l.Fatalf("after %d placements: %+v, but without short cuts %+v", len(l.placed), got, want)
		}
		if !ok {
			return
		}
		l.placed = append(l.placed, got)
	}
}

// change does one of the things that happen to a fabric.
func (l *large) change() {
	what := l.rng.IntN(8)
	l.Logf("%d placed; change %d", len(l.placed), what)
	switch what {
	case 0:
		l.submit(3)
	case 1:
		i := l.rng.IntN(len(l.services))
		name := l.services[i]
		l.services = append(l.services[:i], l.services[i+1:]...)
		l.each(func(s *Scheduler) error { s.RemoveService(name); return nil })
		delete(l.of, name)
	case 2:
		l.node()
	case 3:
		name := fmt.Sprint("n", 1+l.rng.IntN(120))
		l.each(func(s *Scheduler) error { s.RemoveNode(name); return nil })
	case 4:
		service := l.services[l.rng.IntN(len(l.services))]
		id := l.of[service][l.rng.IntN(3)]
		l.wanted[id] += l.rng.IntN(5) - 2
		l.each(func(s *Scheduler) error { s.Want(id, l.wanted[id]); return nil })
	default:
		for range min(len(l.placed), l.rng.IntN(30)) {
			i := l.rng.IntN(len(l.placed))
			p := l.placed[i] // it may be gone
			l.placed[i] = l.placed[len(l.placed)-1]
			l.placed = l.placed[:len(l.placed)-1]
			again := l.rng.IntN(2) == 0
			if !again {
				l.wanted[p.Request]--
			}
			l.each(func(s *Scheduler) error {
				if !again {
					s.Want(p.Request, l.wanted[p.Request])
				}
				s.Release(p.Container)
				return nil
			})
		}
	}
}
