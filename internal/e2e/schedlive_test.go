package e2e

import (
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched/scenario"
)

func ownArch() string { return runtime.GOARCH }

const (
	mib = 1 << 20
	gib = 1 << 30
)

// theCluster is three nodes in two racks, one with GPUs.
func theCluster() []scenario.Node {
	return []scenario.Node{
		{Node: "n1", Rack: "r1", Type: "cpu", Arch: ownArch(), Cap: scenario.Amounts{"cpu": 4000, "memory": 16 * gib}},
		{Node: "n2", Rack: "r1", Type: "cpu", Arch: ownArch(), Cap: scenario.Amounts{"cpu": 6000, "memory": 12 * gib}},
		{Node: "n3", Rack: "r2", Type: "gpu", Arch: ownArch(), Cap: scenario.Amounts{"cpu": 4000, "gpu": 8, "memory": 12 * gib}},
	}
}

// theQueues have three levels, all ways to divide, and a leaf of each policy.
func theQueues() []protocol.Queue {
	more := 1.5
	return []protocol.Queue{
		{Name: "root"},
		{Name: "risk", Parent: "root", Capacity: "70"},
		{Name: "risk.eod", Parent: "risk", Weight: &more, Policy: "fair"},
		{Name: "risk.desk", Parent: "risk", Policy: "capacity", UserLimit: "50"},
		{Name: "batch", Parent: "root", Capacity: "30", Policy: "fifo", Max: protocol.Amounts{"cpu": 3000}},
	}
}

// theServices want much more than there is.
func theServices() []planned {
	asks := func(cpu, gpu, memory int64) protocol.ContainerRequest {
		return protocol.ContainerRequest{Capacity: protocol.Capacity{CPU: cpu, GPU: gpu, Memory: memory}}
	}
	onRack := func(rack string, r protocol.ContainerRequest) protocol.ContainerRequest {
		r.Rack = rack
		return r
	}
	onType := func(nodeType string, r protocol.ContainerRequest) protocol.ContainerRequest {
		r.NodeType = nodeType
		return r
	}
	return []planned{
		{name: "batch-a", queue: "batch", user: "carol", instances: 6, request: onRack("r2", asks(1000, 0, 512*mib))},
		{name: "eod-a", queue: "risk.eod", user: "alice", instances: 6, request: onType(protocol.NodeTypeCPU, asks(1000, 0, gib))},
		{name: "eod-b", queue: "risk.eod", user: "alice", instances: 9, request: asks(500, 0, 2*gib)},
		{name: "desk-a", queue: "risk.desk", user: "alice", instances: 3, request: onType(protocol.NodeTypeGPU, asks(1000, 1, gib))},
		{name: "desk-b", queue: "risk.desk", user: "bob", instances: 4, request: asks(1500, 0, 512*mib)},
	}
}

// testLiveAsSimulated has the same happen in weft sched simulate and in a fabric of processes, and compares where the
// containers are, what queues use and nodes have free, and what is still wanted.
func testLiveAsSimulated(t *testing.T, program string, seen *findings) {
	for _, c := range []struct {
		name  string
		long  bool
		nodes []scenario.Node // that are there from the start
		tell  func(s *story)
	}{
		{"all at once", false, theCluster(), allAtOnce},
		{"one after the other", true, theCluster(), oneAfterTheOther},
		{"from cordoned nodes", true, theCluster(), fromCordonedNodes},
		{"before there are nodes", true, nil, beforeThereAreNodes},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && testing.Short() {
				t.Skip("left out by -short: one of four that are alike")
			}
			seen.line("%s:", c.name)
			c.tell(newStory(t, program, seen, c.nodes))
		})
	}
}

// allAtOnce has everything that is wanted decided in one pass, twice.
func allAtOnce(s *story) {
	s.holds()
	s.opens("eod-a", one()) // all that is possible now
	s.opens("eod-b", one())
	for _, name := range []string{"batch-a", "desk-a", "desk-b"} {
		s.opens(name)
	}
	s.lifts()
	s.holds()
	s.closes("eod-a")
	s.lifts()
	s.moves("n2")
}

// oneAfterTheOther has each session get what it can when it is opened.
func oneAfterTheOther(s *story) {
	s.opens("batch-a", schedule())
	s.grows("batch", 4000)
	for _, name := range []string{"desk-a", "eod-a"} {
		s.opens(name, schedule())
	}
	s.closes("batch-a", schedule()) // its containers end one after the other; nobody waits for their room but desk-a
	for _, name := range []string{"desk-b", "batch-a", "eod-b"} {
		s.opens(name, schedule())
	}
	s.loses("n1")
}

// fromCordonedNodes has one node after the other offered to everything that is wanted.
func fromCordonedNodes(s *story) {
	s.cordons()
	for _, p := range s.services {
		s.opens(p.name)
	}
	s.uncordons()
	s.cordons()
	s.closes("desk-b")
	s.uncordons()
	s.loses("n1")
}

// beforeThereAreNodes has the nodes join when everything is wanted.
func beforeThereAreNodes(s *story) {
	for _, p := range s.services {
		s.opens(p.name)
	}
	for _, n := range theCluster() {
		s.joins(n)
	}
	s.loses("n2")
}

// moves has the agent of a node killed whose containers find room elsewhere.
func (s *story) moves(node string) {
	s.t.Helper()
	before, moved := s.expected, 0
	s.loses(node)
	for service, nodes := range s.expected.OnNodes {
		stayed := slices.DeleteFunc(slices.Clone(before.OnNodes[service]), func(n string) bool { return n == node })
		moved += max(0, len(nodes)-len(stayed))
	}
	if moved == 0 {
		s.t.Errorf("nothing of %s comes again elsewhere: that shows nothing", node)
	}
}

// joins has an agent join.
func (s *story) joins(n scenario.Node) {
	s.t.Helper()
	s.happens("join "+n.Node, func() { s.w.join(n) }, add(n), schedule())
}

// holds has weft queue apply give the whole so low a maximum that little more is placed.
func (s *story) holds() {
	s.t.Helper()
	const least = 1500 // what the largest container asks for
	held := slices.Clone(s.queues)
	held[0].Max = protocol.Amounts{"cpu": least}
	for i := range held {
		if held[i].Max != nil {
			held[i].Max = maps.Clone(held[i].Max)
			held[i].Max["cpu"] = min(held[i].Max["cpu"], least)
		}
	}
	s.happens("lower the maxima", func() { s.w.apply(held) })
}

// lifts takes back what holds did.
func (s *story) lifts() {
	s.t.Helper()
	s.happens("lift the maxima", func() { s.w.apply(s.queues) }, schedule())
}

// grows has weft queue apply raise the maximum of a queue: what is placed next is what a new simulation says, which begins
// where the fabric stands.
func (s *story) grows(queue string, cpu int64) {
	s.t.Helper()
	at := slices.IndexFunc(s.queues, func(q protocol.Queue) bool { return q.Name == queue })
	s.queues = slices.Clone(s.queues)
	s.queues[at].Max = protocol.Amounts{"cpu": cpu}
	before := s.expected
	s.begun = s.resumed()
	s.expected = s.state(s.begun)
	s.compare("begin a new simulation")
	s.happens("raise the maximum of "+queue, func() { s.w.apply(s.queues) }, schedule())
	if maps.Equal(before.Running, s.expected.Running) {
		s.t.Errorf("nothing is placed with a higher maximum of %s: that shows nothing", queue)
	}
}

// resumed is a scenario that begins where the fabric stands, with the queues that the story has now: what every service
// holds is asked for on its node, and only then the rest.
func (s *story) resumed() scenario.Document {
	s.t.Helper()
	doc := scenario.Document{Resources: s.begun.Resources, Queues: scenarioQueues(s.queues), Steps: []scenario.Step{}}
	for _, n := range s.cluster {
		if s.w.agents[n.Node] != nil {
			doc.Cluster = append(doc.Cluster, n)
		}
	}
	for _, name := range s.opened {
		p, held := s.plan(name), map[string]int{}
		for _, n := range s.expected.OnNodes[name] {
			held[n]++
		}
		step := scenario.Step{Op: "submit", Service: name, Queue: p.queue, User: p.user}
		for _, n := range slices.Sorted(maps.Keys(held)) {
			step.Requests = append(step.Requests, scenarioRequest(p, held[n], n))
		}
		doc.Steps = append(doc.Steps, step, schedule())
	}
	for _, name := range s.opened {
		p := s.plan(name)
		if left := s.expected.Wanted[name]; left > 0 {
			r := scenarioRequest(p, left, "")
			doc.Steps = append(doc.Steps, scenario.Step{Op: "add_request", Service: name, ID: r.ID, Count: r.Count, Cap: r.Cap, Arch: r.Arch, NodeType: r.NodeType, Location: r.Location})
		}
	}
	return doc
}
