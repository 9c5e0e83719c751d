package main

import (
	"math"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
	"github.com/weft-fabric/weft/sched/scenario"
)

// schedLoad is a scenario as the scheduler is told of it, and as little more as a measurement needs. Requests and services
// are known by their numbers: the first is 0.
type schedLoad struct {
	scheduler *sched.Scheduler
	dims      int
	total     [resource.MaxDimensions]float64 // of the cluster
	dimension []string

	queues   []schedQueue // parents first
	services []schedService
	requests []schedRequest
	holdings
}

// schedQueue is a queue of the tree.
type schedQueue struct {
	parent   int // -1: none
	leaf     bool
	weight   float64
	priority int
	most     [resource.MaxDimensions]float64 // its maximum; infinite where there is none
	limited  bool                            // it has a maximum of its own
	requests []int32                         // of a leaf that has one; they are always the same
}

// schedService is a service, which may be submitted again when it has ended.
type schedService struct {
	sched.Service
	queue int
	live  int // requests that have not ended
}

// schedRequest is a request, which may be submitted again when it has ended.
type schedRequest struct {
	id        string
	capacity  *resource.Vector // shared by those of one shape
	platforms []platform.Platform
	node      string
	rack      string
	nodeType  string
	relaxed   bool
	priority  int32
	count     int32
	nodes     int32

	service int32
	want    int32
	held    int32
	counted counted
	// Those it holds, where they are to end.
	containers []sched.Container
}

// newSchedLoad tells a new scheduler of a scenario, up to its first decision.
func newSchedLoad(l scenario.Load) (*schedLoad, error) {
	document := l.Document()
	plan, err := document.Plan()
	if err != nil {
		return nil, err
	}
	s, err := sched.New(sched.Config{Space: plan.Space})
	if err != nil {
		return nil, err
	}
	b := &schedLoad{scheduler: s, dims: plan.Space.Len(), dimension: plan.Space.Names(), requests: make([]schedRequest, l.Requests)}
	for _, n := range plan.Nodes {
		s.SetNode(n)
		for d, amount := range n.Capacity {
			b.total[d] += float64(amount)
		}
	}
	if err := s.SetQueues(plan.Queues); err != nil {
		return nil, err
	}
	numbers := b.tree(plan.Queues)
	vectors := map[resource.Vector]*resource.Vector{}
	for i, v := range plan.Services {
		b.services = append(b.services, schedService{Service: v.Service, queue: numbers[v.Queue]})
		if err := b.begin(int32(i)); err != nil { //nolint:gosec // there are not that many
			return nil, err
		}
		for k := range v.Requests {
			r := &v.Requests[k]
			if vectors[r.Capacity] == nil {
				own := r.Capacity // a pointer into the plan would keep it
				vectors[own] = &own
			}
			at := requestNumber(r.ID)
			b.requests[at] = schedRequest{
				id: r.ID, capacity: vectors[r.Capacity], platforms: r.Platforms, node: r.Node, rack: r.Rack, nodeType: r.NodeType,
				relaxed: r.Relaxed, priority: int32(r.Priority), count: int32(r.Count), nodes: int32(r.Nodes), //nolint:gosec // the generator makes no such numbers
			}
			if q := &b.queues[b.services[i].queue]; q.limited {
				q.requests = append(q.requests, int32(at)) //nolint:gosec // as above
			}
			if err := b.submit(at, int32(i)); err != nil { //nolint:gosec // as above
				return nil, err
			}
		}
	}
	return b, nil
}

// tree takes the queues in, and gives their numbers by their names.
func (b *schedLoad) tree(queues []sched.Queue) (numbers map[string]int) {
	numbers = map[string]int{}
	for i, q := range queues {
		numbers[q.Name] = i
		made := schedQueue{parent: -1, leaf: true, weight: 1, priority: q.Priority, most: unlimited()}
		if q.Parent != "" {
			made.parent = numbers[q.Parent]
			b.queues[made.parent].leaf = false
		}
		switch {
		case q.Weight != nil:
			made.weight = *q.Weight
		case q.Capacity != nil:
			made.weight = float64(*q.Capacity)
		}
		made.limited = q.MaxPercent != nil || q.Max != nil
		for d := range b.dims {
			if q.Max != nil {
				made.most[d] = float64(q.Max[d])
			}
			if q.MaxPercent != nil {
				made.most[d] = min(b.queues[made.parent].most[d], b.total[d]) * float64(*q.MaxPercent) / float64(sched.Hundred)
			}
		}
		b.queues = append(b.queues, made)
	}
	return numbers
}

func unlimited() (v [resource.MaxDimensions]float64) {
	for d := range v {
		v[d] = math.Inf(1)
	}
	return v
}

// requestNumber reads the number of a request, from 0, off the end of its id.
func requestNumber(id string) int {
	n, unit := 0, 1
	for i := len(id) - 1; i >= 0 && id[i] >= '0' && id[i] <= '9'; i-- {
		n += unit * int(id[i]-'0')
		unit *= 10
	}
	return n - 1
}

// begin has the scheduler know a service.
func (b *schedLoad) begin(service int32) error {
	return b.scheduler.SetService(b.services[service].Service)
}

// makeRoom gives each request the room to keep its containers.
func (b *schedLoad) makeRoom() {
	sum := 0
	for i := range b.requests {
		sum += int(b.requests[i].count)
	}
	all := make([]sched.Container, sum)
	for i := range b.requests {
		r := &b.requests[i]
		r.containers, all = all[:r.count], all[r.count:]
	}
}

// submit has the scheduler know a request of a service, and what it wants.
func (b *schedLoad) submit(request int, service int32) error {
	r := &b.requests[request]
	if err := b.scheduler.Submit(sched.Request{
		ID: r.id, Service: b.services[service].Name, Capacity: *r.capacity, Priority: int(r.priority), Node: r.node, Rack: r.rack,
		Relaxed: r.relaxed, NodeType: r.nodeType, Platforms: r.platforms, Nodes: int(r.nodes),
	}); err != nil {
		return err
	}
	r.service, r.want, r.held = service, r.count, 0
	b.changes(request)
	b.services[service].live++
	b.scheduler.Want(r.id, int(r.want))
	return nil
}

// scarcest gives the dimension of which most is used, and how much.
func (b *schedLoad) scarcest() (dimension string, part float64) {
	b.count()
	var sum amount
	for i := range b.used {
		for d := range b.dims {
			sum[d] += b.used[i][d]
		}
	}
	for d := range b.dims {
		if b.total[d] > 0 && sum[d]/b.total[d] >= part {
			dimension, part = b.dimension[d], sum[d]/b.total[d]
		}
	}
	return dimension, part
}

// unplaced is how many containers are still wanted.
func (b *schedLoad) unplaced() int {
	n := 0
	for i := range b.requests {
		n += int(b.requests[i].want - b.requests[i].held)
	}
	return n
}
