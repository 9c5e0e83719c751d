package control_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// fabric is a world with queues, in which services are registered and sessions opened in short.
type fabric struct {
	*world
	ops     *peer
	hosting uint32         // of the manager that was made last
	started map[string]int // containers, by service and node
	ids     []string       // of the containers, in the order of their start
	stopped []string
	refusal *protocol.Error // the last
	key     uint64
}

func newFabric(t fataler, queues ...protocol.Queue) *fabric {
	f := &fabric{world: newWorld(t, nil), started: map[string]int{}}
	f.quiet = true
	f.ops = f.join("ops", protocol.Hello{Role: protocol.RoleClient, Name: "weft"}, 1)
	f.on = func(p *peer, r protocol.Record) {
		switch r.Kind {
		case protocol.KindStartContainer:
			c := decode[protocol.StartContainer](t, r)
			f.started[c.Service+" "+p.name]++
			f.ids = append(f.ids, c.ID)
		case protocol.KindStopContainer:
			f.stopped = append(f.stopped, decode[protocol.StopContainer](t, r).ID)
		case protocol.KindError:
			e := decode[protocol.Error](t, r)
			f.refusal = &e
		default:
		}
	}
	if len(queues) > 0 {
		f.send(f.ops, protocol.KindApplyQueues, 1, protocol.ApplyQueues{Queues: append([]protocol.Queue{{Name: "root"}}, queues...)})
		f.fine("queues")
	}
	return f
}

// fine fails when something was refused.
func (f *fabric) fine(what string) {
	f.t.Helper()
	if f.refusal != nil {
		f.t.Fatalf("%s: %v", what, f.refusal)
	}
}

// refused gives the last refusal and forgets it.
func (f *fabric) refused() string {
	defer func() { f.refusal = nil }()
	if f.refusal == nil {
		return ""
	}
	return f.refusal.Error()
}

// node has an agent register a node.
func (f *fabric) node(name string, change func(*protocol.RegisterNode)) *peer {
	n := f.join(name, protocol.Hello{Role: protocol.RoleAgent, Name: name}, 1000+uint64(len(f.peers)))
	r := protocol.RegisterNode{Name: name, Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30}}
	if change != nil {
		change(&r)
	}
	f.send(n, protocol.KindRegisterNode, 1, r)
	return n
}

// service registers a service with an artefact.
func (f *fabric) service(name string, change func(*protocol.Service)) {
	s := protocol.Service{
		Name: name, Instances: protocol.Instances{Min: 1, Max: 100}, Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/opt/" + name}},
	}
	if change != nil {
		change(&s)
	}
	f.send(f.ops, protocol.KindRegisterService, 1, s)
}

// session opens a session of a client for a service, and has its manager want so many instances.
func (f *fabric) session(client, service string, want int, change func(*protocol.OpenSession)) uint32 {
	c := f.peers[client]
	if c == nil {
		c = f.join(client, protocol.Hello{Role: protocol.RoleClient, Name: client}, 2000+uint64(len(f.peers)))
	}
	f.key++
	o := protocol.OpenSession{Key: f.key, Service: service}
	if change != nil {
		change(&o)
	}
	before := len(f.orders)
	f.send(c, protocol.KindOpenSession, 1, o)
	for _, o := range f.orders[before:] {
		if o.Order.Open != nil {
			f.hosting = o.Order.Open.Manager
			f.note(o.Loop, session.Note{Wanted: &session.Wanted{Manager: f.hosting, Instances: want}})
			return o.Order.Open.Session
		}
	}
	return 0
}

// close has a session end.
func (f *fabric) close(number uint32) {
	f.note(0, session.Note{Changed: &session.Changed{Session: number, State: protocol.SessionClosed}})
}

// exited has an agent tell that a container is gone.
func (f *fabric) exited(node, id string) {
	f.send(f.peers[node], protocol.KindContainerState, 9, protocol.ContainerState{ID: id, State: protocol.ContainerExited})
}

// running has an agent tell that all its containers run, so that they can be let go.
func (f *fabric) running(node string) {
	for _, id := range slices.Clone(f.ids) {
		f.send(f.peers[node], protocol.KindContainerState, 9, protocol.ContainerState{ID: id, State: protocol.ContainerRunning})
	}
}

func (f *fabric) expect(what string, want map[string]int) {
	f.t.Helper()
	if fmt.Sprint(f.started) != fmt.Sprint(want) {
		f.t.Fatalf("%s: started %v, want %v", what, f.started, want)
	}
}

func leaf(name string, change func(*protocol.Queue)) protocol.Queue {
	q := protocol.Queue{Name: name, Parent: "root"}
	if change != nil {
		change(&q)
	}
	return q
}

// TestQueuesThatAreNoneAreRefused names the queues that come nearest, for services and for sessions.
func TestQueuesThatAreNoneAreRefused(t *testing.T) {
	f := newFabric(t, leaf("risk", nil), protocol.Queue{Name: "risk.eod", Parent: "risk"}, leaf("default", nil))
	f.service("a", func(s *protocol.Service) { s.Queue = "risk.eof" })
	if got := f.refused(); !strings.Contains(got, `service a: Invalid: queue: there is no queue "risk.eof"; is "risk.eod" meant?`) {
		t.Error(got)
	}
	f.service("a", func(s *protocol.Service) { s.Queue = "risk" })
	if got := f.refused(); !strings.Contains(got, `queue: queue "risk" has queues below it, and services go to those: risk.eod`) {
		t.Error(got)
	}
	f.service("a", nil)
	f.fine("service a")
	f.session("app", "a", 1, func(o *protocol.OpenSession) { o.Queue = "nightly" })
	if got := f.refused(); !strings.Contains(got, `open session: Invalid: queue: there is no queue "nightly"; services go to one of risk.eod, default`) {
		t.Error(got)
	}
}

// TestSessionsInOtherQueuesHaveContainersOfTheirOwn charges each queue for its sessions, and holds it to its maximum.
func TestSessionsInOtherQueuesHaveContainersOfTheirOwn(t *testing.T) {
	f := newFabric(t, leaf("default", nil), leaf("risk", func(q *protocol.Queue) { q.Max = protocol.Amounts{"cpu": 1000} }))
	f.node("n1", nil)
	f.service("a", nil)
	f.session("app", "a", 2, nil)
	f.expect("in its own queue", map[string]int{"a n1": 2})
	f.session("app", "a", 2, func(o *protocol.OpenSession) { o.Queue = "risk" })
	f.expect("in a queue with room for one", map[string]int{"a n1": 3})
	f.session("app", "a", 2, func(o *protocol.OpenSession) { o.Queue = "risk" })
	f.expect("once more", map[string]int{"a n1": 3})
	f.service("big", func(s *protocol.Service) {
		s.Queue, s.Requests = "risk", []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 2000}}}
	})
	f.fine("a service that is too large today")
	f.session("app", "big", 1, nil)
	if got := f.refused(); !strings.Contains(got, "service big: NoCapacity: it could never run there: queue risk may have at most 1 cpu, and 2 is needed") {
		t.Error(got)
	}
}

// TestPlacesAreKept runs containers where their sessions want them, and says so when that cannot be.
func TestPlacesAreKept(t *testing.T) {
	f := newFabric(t)
	f.node("n1", func(n *protocol.RegisterNode) { n.Rack = "r1" })
	f.node("n2", func(n *protocol.RegisterNode) { n.Rack = "r2" })
	f.node("n3", func(n *protocol.RegisterNode) { n.Rack, n.NodeType, n.Capacity.GPU = "r2", "gpu", 1 })
	f.service("a", nil)
	f.session("app", "a", 1, func(o *protocol.OpenSession) { o.Node = "n2" })
	f.session("app", "a", 1, func(o *protocol.OpenSession) { o.Rack = "r1" })
	f.session("app", "a", 1, func(o *protocol.OpenSession) { o.NodeType = "gpu" })
	f.session("app", "a", 2, func(o *protocol.OpenSession) { o.NodeType, o.Nodes = "cpu", 2 })
	f.fine("places")
	f.expect("each at its place", map[string]int{"a n1": 2, "a n2": 2, "a n3": 1})
	for want, change := range map[string]func(*protocol.OpenSession){
		"not node n9, which is asked for":           func(o *protocol.OpenSession) { o.Node = "n9" },
		"4 distinct nodes are asked for, and 3 of ": func(o *protocol.OpenSession) { o.Nodes = 4 },
		"relax: there is neither a node nor a rack": func(o *protocol.OpenSession) { o.Relax = true },
		`rack: "r1" is named beside node "n1"`:      func(o *protocol.OpenSession) { o.Node, o.Rack = "n1", "r1" },
	} {
		f.session("app", "a", 1, change)
		if got := f.refused(); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f.service("by-hand", func(s *protocol.Service) { s.Artefacts = nil })
	f.session("app", "by-hand", 1, func(o *protocol.OpenSession) { o.Node = "n1" })
	if got := f.refused(); !strings.Contains(got, "node: service by-hand has no artefacts") {
		t.Error(got)
	}
	f.service("fixed", func(s *protocol.Service) { s.Requests = []protocol.ContainerRequest{{Node: "n1"}} })
	f.session("app", "fixed", 1, func(o *protocol.OpenSession) { o.Node = "n2" })
	if got := f.refused(); !strings.Contains(got, "node: service fixed runs on node n1, and another place is asked for") {
		t.Error(got)
	}
}

// TestANodeWithGPUsHelpsOut takes it for what asks for a node without, when no other has room.
func TestANodeWithGPUsHelpsOut(t *testing.T) {
	f := newFabric(t)
	f.node("g1", func(n *protocol.RegisterNode) { n.NodeType, n.Capacity.GPU = "gpu", 1 })
	f.node("n1", nil)
	f.service("a", nil)
	f.session("app", "a", 5, func(o *protocol.OpenSession) { o.NodeType = "cpu" })
	f.expect("five, where n1 has room for four", map[string]int{"a n1": 4, "a g1": 1})
}

// TestAPreferredPlaceIsWaitedFor lets as many offers of other nodes pass as containers are wanted.
func TestAPreferredPlaceIsWaitedFor(t *testing.T) {
	f := newFabric(t)
	f.node("n1", nil)
	f.service("a", nil)
	f.session("app", "a", 4, nil) // n1 is full
	n2 := f.node("n2", nil)
	f.session("app", "a", 2, func(o *protocol.OpenSession) { o.Node, o.Relax = "n1", true })
	for i := range 2 {
		f.expect(fmt.Sprint("after ", i, " offers"), map[string]int{"a n1": 4})
		f.send(n2, protocol.KindNodeStatus, 1, protocol.NodeStatus{})
	}
	f.expect("after as many offers as it wants containers", map[string]int{"a n1": 4, "a n2": 2})
}

// TestACordonedNodeIsGivenNothingNew keeps it so when its agent comes again.
func TestACordonedNodeIsGivenNothingNew(t *testing.T) {
	f := newFabric(t)
	n1 := f.node("n1", nil)
	f.service("a", nil)
	f.session("app", "a", 1, nil)
	f.send(f.ops, protocol.KindCordonNode, 1, protocol.CordonNode{Name: "n1", On: true})
	f.note(0, session.Note{Wanted: &session.Wanted{Manager: f.hosting, Instances: 3}})
	f.send(n1, protocol.KindRegisterNode, 2, protocol.RegisterNode{
		Name: "n1", Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 8000, Memory: 1 << 30},
		Containers: []protocol.Container{{ID: f.ids[0], State: protocol.ContainerRunning}},
	})
	f.expect("cordoned", map[string]int{"a n1": 1})
	f.send(f.ops, protocol.KindCordonNode, 1, protocol.CordonNode{Name: "n1"})
	f.expect("uncordoned", map[string]int{"a n1": 3})
}

// TestTheHigherPriorityGoesFirst among the sessions of one service.
func TestTheHigherPriorityGoesFirst(t *testing.T) {
	f := newFabric(t)
	f.service("a", nil)
	f.session("app", "a", 2, nil)
	f.session("app", "a", 1, func(o *protocol.OpenSession) { o.Priority, o.Nodes = 5, 1 })
	f.node("n1", func(n *protocol.RegisterNode) { n.Capacity.CPU = 1000 })
	f.expect("room for one", map[string]int{"a n1": 1})
	page := toldOps[protocol.Explained](f.world, protocol.KindExplain, protocol.Explain{Service: "a"})
	if len(page.Requests) != 2 || page.Requests[0].Held != 0 || page.Requests[1].Held != 1 {
		t.Errorf("%+v", page.Requests)
	}
}

// TestFurtherDimensions hands out what only some nodes have, and refuses the one dimension too many.
func TestFurtherDimensions(t *testing.T) {
	f := newFabric(t)
	f.node("n1", nil)
	f.service("a", func(s *protocol.Service) {
		s.Requests = []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 100, Further: protocol.Amounts{"fpga": 1}}}}
	})
	f.fine("service a")
	f.session("app", "a", 3, nil)
	if got := f.refused(); !strings.Contains(got, "not enough fpga: 1 needed, at most 0 there") {
		t.Error(got)
	}
	f.node("n2", func(n *protocol.RegisterNode) { n.Capacity.Further = protocol.Amounts{"fpga": 2} })
	f.session("app", "a", 3, nil)
	f.fine("a session")
	f.expect("two devices", map[string]int{"a n2": 2})
	more := protocol.Amounts{}
	for i := range protocol.MaxFurther - 1 {
		more[fmt.Sprint("d", i)] = 1
	}
	f.node("n3", func(n *protocol.RegisterNode) { n.Capacity.Further = more })
	f.fine("as many as there may be")
	f.node("n4", func(n *protocol.RegisterNode) { n.Capacity.Further = protocol.Amounts{"npu": 1} })
	if got := f.refused(); !strings.Contains(got, "register node: Invalid: capacity.npu: a fabric may have 11 dimensions beside cpu, gpu, memory, network, disk_io, and has fpga, d0") {
		t.Error(got)
	}
}

// TestUsersOfACapacityQueueShareIt gives each user containers of its own there, and no more than a part while others want some.
func TestUsersOfACapacityQueueShareIt(t *testing.T) {
	f := newFabric(t, leaf("default", func(q *protocol.Queue) { q.Policy = "capacity" }))
	f.service("a", nil)
	f.session("ann", "a", 4, nil)
	f.session("bob", "a", 4, nil)
	f.node("n1", nil)
	f.expect("four places for two users", map[string]int{"a n1": 4})
	held := map[int]int{}
	for _, r := range toldOps[protocol.Explained](f.world, protocol.KindExplain, protocol.Explain{Service: "a"}).Requests {
		held[r.Held]++
	}
	if held[2] != 2 {
		t.Errorf("containers of each: %v", held)
	}
}

// TestWarmInstancesGiveWayWithinAQueue ends an idle instance of the queue that is at its maximum, and of no other.
func TestWarmInstancesGiveWayWithinAQueue(t *testing.T) {
	f := newFabric(t, leaf("default", nil), leaf("risk", func(q *protocol.Queue) { q.Max = protocol.Amounts{"cpu": 1000} }))
	f.node("n1", nil)
	f.service("other", nil)
	f.service("idle", func(s *protocol.Service) { s.Queue = "risk" })
	f.service("a", func(s *protocol.Service) { s.Queue = "risk" })
	other, idle := f.session("app", "other", 1, nil), f.session("app", "idle", 1, nil)
	f.expect("both", map[string]int{"other n1": 1, "idle n1": 1})
	f.running("n1")
	f.close(other)
	f.close(idle)
	f.session("app", "a", 1, nil)
	if want := []string{f.ids[1]}; !slices.Equal(f.stopped, want) {
		t.Fatalf("stopped %v, want %v", f.stopped, want)
	}
	f.exited("n1", f.ids[1])
	f.expect("in its place", map[string]int{"other n1": 1, "idle n1": 1, "a n1": 1})
	f.advance(time.Second)
	if len(f.stopped) != 1 {
		t.Errorf("stopped %v", f.stopped)
	}
}

// TestRoomIsMadeForWhoIsFirst makes it for the queue that goes before the others, whoever asked first: what has to go for
// that will do for the other one, as far as it knows.
func TestRoomIsMadeForWhoIsFirst(t *testing.T) {
	f := newFabric(t, leaf("default", nil), leaf("urgent", func(q *protocol.Queue) { q.Priority = 9 }))
	f.node("n1", func(n *protocol.RegisterNode) { n.Capacity.CPU = 1000 })
	f.node("n2", func(n *protocol.RegisterNode) { n.Capacity.CPU = 2000 })
	two := func(s *protocol.Service) {
		s.Requests = []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 2000}}}
	}
	f.service("small", nil)
	f.service("large", two)
	f.service("early", nil)
	f.service("late", two)
	large, small := f.session("app", "large", 1, nil), f.session("app", "small", 1, nil)
	f.expect("both", map[string]int{"large n2": 1, "small n1": 1})
	f.running("n1")
	f.running("n2")
	f.session("app", "early", 1, nil)
	f.session("app", "late", 1, func(o *protocol.OpenSession) { o.Queue = "urgent" })
	f.close(small)
	f.close(large)
	if len(f.stopped) != 0 {
		t.Fatalf("stopped %v before anybody has looked", f.stopped)
	}
	f.advance(600 * time.Millisecond)
	if want := []string{f.ids[0]}; !slices.Equal(f.stopped, want) {
		t.Fatalf("stopped %v, want %v", f.stopped, want)
	}
	f.exited("n2", f.ids[0])
	f.expect("the urgent one", map[string]int{"large n2": 1, "small n1": 1, "late n2": 1})
}
