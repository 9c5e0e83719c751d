package firstcome

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/sched/resource"
)

// DefaultQueue is the name of the one queue of [FIFO].
const DefaultQueue = "default"

// FIFO is a [Scheduler] with one queue. Of the nodes that can hold a container it takes the one whose dominant share
// is lowest afterwards, so that work spreads. Make it with [NewFIFO].
type FIFO struct {
	nodes    ordered.Map[string, *node]
	requests map[string]*request
	services map[string]*service
	live     map[Container]*allocation
	// What wants containers, in the order of the queue: those that may find room, and those that found none since
	// something became free or changed.
	open    ordered.Map[string, *request]
	blocked ordered.Map[string, *request]

	submitted uint64
	placed    Container
}

type node struct {
	Node
	free resource.Vector
	held map[Container]*allocation
}

type service struct {
	place    uint64
	requests int
}

type request struct {
	Request
	key  string // orders by service, priority, id
	want int
	held int
	on   map[string]int // containers by node
}

type allocation struct {
	id      Container
	request *request
	node    *node
	amount  resource.Vector
}

var _ Scheduler = (*FIFO)(nil)

// NewFIFO makes a scheduler without nodes.
func NewFIFO() *FIFO {
	return &FIFO{
		requests: make(map[string]*request), services: make(map[string]*service),
		live: make(map[Container]*allocation),
	}
}

// SetNode implements [Scheduler].
func (f *FIFO) SetNode(n Node) {
	n.Platform = n.Platform.Normalise()
	have, ok := f.nodes.Get(n.Name)
	if !ok {
		have = &node{free: n.Capacity, held: make(map[Container]*allocation)}
		f.nodes.Set(n.Name, have)
	} else {
		have.free = have.free.Add(n.Capacity).Sub(have.Capacity)
	}
	have.Node = n
	f.unblock()
}

// RemoveNode implements [Scheduler].
func (f *FIFO) RemoveNode(name string) {
	n, ok := f.nodes.Get(name)
	if !ok {
		return
	}
	f.nodes.Delete(name)
	for _, a := range sortedByID(n.held) {
		f.Release(a.id)
	}
	f.unblock() // fewer nodes can change what is to be spread
}

// Submit implements [Scheduler].
func (f *FIFO) Submit(r Request) {
	known, again := f.requests[r.ID]
	if !again {
		known = &request{on: make(map[string]int)}
		f.requests[r.ID] = known
	} else {
		f.open.Delete(known.key)
		f.blocked.Delete(known.key)
	}
	s, ok := f.services[r.Service]
	if !ok {
		f.submitted++
		s = &service{place: f.submitted}
		f.services[r.Service] = s
	}
	s.requests++
	if again { // after it was counted above: a service keeps its place
		f.leaveService(known.Service)
	}
	known.Request = r
	// The higher priority has the lower key.
	known.key = fmt.Sprintf("%016x %016x %s", s.place, ^(uint64(int64(r.Priority)) ^ 1<<63), r.ID)
	f.enqueue(known)
}

// Want implements [Scheduler].
func (f *FIFO) Want(id string, count int) {
	r, ok := f.requests[id]
	if !ok {
		return
	}
	r.want = max(count, 0)
	f.enqueue(r)
	f.forget(r)
}

// enqueue puts a request among the open ones when it wants more than it holds, and takes it out otherwise.
func (f *FIFO) enqueue(r *request) {
	f.blocked.Delete(r.key)
	if r.held < r.want {
		f.open.Set(r.key, r)
	} else {
		f.open.Delete(r.key)
	}
}

// forget drops a request that wants nothing and holds nothing.
func (f *FIFO) forget(r *request) {
	if r.want == 0 && r.held == 0 {
		delete(f.requests, r.ID)
		f.leaveService(r.Service)
	}
}

func (f *FIFO) leaveService(name string) {
	if s := f.services[name]; s.requests > 1 {
		s.requests--
	} else {
		delete(f.services, name)
	}
}

// Release implements [Scheduler].
func (f *FIFO) Release(id Container) {
	a, ok := f.live[id]
	if !ok {
		return
	}
	delete(f.live, id)
	delete(a.node.held, id)
	a.node.free = a.node.free.Add(a.amount)
	r := a.request
	r.held--
	if r.on[a.node.Name]--; r.on[a.node.Name] == 0 {
		delete(r.on, a.node.Name)
	}
	f.enqueue(r)
	f.forget(r)
	f.unblock()
}

// unblock gives another try to whatever found no room.
func (f *FIFO) unblock() {
	for key, r := range f.blocked.All() {
		f.blocked.Delete(key)
		f.open.Set(key, r)
	}
}

// Next implements [Scheduler].
func (f *FIFO) Next() (Placement, bool) {
	for key, r := range f.open.All() {
		n := f.choose(r)
		if n == nil {
			f.open.Delete(key)
			f.blocked.Set(key, r)
			continue
		}
		f.placed++
		a := &allocation{id: f.placed, request: r, node: n, amount: r.Capacity}
		f.live[a.id], n.held[a.id] = a, a
		n.free = n.free.Sub(a.amount)
		r.held++
		r.on[n.Name]++
		f.enqueue(r)
		return Placement{Container: a.id, Request: r.ID, Node: n.Name}, true
	}
	return Placement{}, false
}

// choose gives the node for the next container of r, nil when none can hold it now.
func (f *FIFO) choose(r *request) *node {
	var best *node
	lowest := 0.0
	for _, n := range f.nodes.All() {
		if r.barrier(n) != NoBarrier {
			continue
		}
		share := n.Capacity.Sub(n.free).Add(r.Capacity).Share(n.Capacity)
		if best == nil || share < lowest {
			best, lowest = n, share
		}
	}
	return best
}

// barrier says what stands between a request and one more container of it on the node.
func (r *request) barrier(n *node) Barrier {
	if b := r.never(n); b != NoBarrier {
		return b
	}
	if !r.Capacity.Fits(n.free) {
		return NoRoom
	}
	// A node that has one already may get another only while enough are left for the nodes that are still missing.
	if r.on[n.Name] > 0 && r.want-r.held-1 < r.Nodes-len(r.on) {
		return Spread
	}
	return NoBarrier
}

// never says why a node could not even hold a container of the request if it were empty.
func (r *Request) never(n *node) Barrier {
	switch {
	case r.Node != "" && r.Node != n.Name:
		return WrongNode
	case r.Rack != "" && r.Rack != n.Rack:
		return WrongRack
	case r.NodeType != "" && r.NodeType != n.Type:
		return WrongType
	case len(r.Platforms) > 0 && !slices.ContainsFunc(r.Platforms, n.Platform.Runs):
		return WrongPlatform
	case slices.Contains(r.Except, n.Name):
		return Excepted
	case !r.Capacity.Fits(n.Capacity):
		return TooSmall
	default:
		return NoBarrier
	}
}

func sortedByID(held map[Container]*allocation) []*allocation {
	list := make([]*allocation, 0, len(held))
	for _, a := range held { // order does not matter: sorted below
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *allocation) int { return cmp.Compare(a.id, b.id) })
	return list
}
