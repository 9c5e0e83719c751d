package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched/scenario"
)

// story is what happens in a fabric, told once: to weft sched simulate as steps of a scenario, and to the fabric.
type story struct {
	t        *testing.T
	w        *world
	seen     *findings
	cluster  []scenario.Node
	queues   []protocol.Queue
	services []planned
	begun    scenario.Document // with which the fabric begins, and all steps so far
	expected scenario.State    // what weft sched simulate says of the last of them
	clients  map[string]*client.Client
	sessions map[string]*client.Session // open ones, by service
	opened   []string                   // their services in the order in which they were opened
	served   map[string]bool            // those that have done a task
	events   []string                   // what has happened
}

// newStory begins a story in a new fabric with these of the nodes.
func newStory(t *testing.T, program string, seen *findings, nodes []scenario.Node) *story {
	t.Helper()
	s := &story{
		t: t, seen: seen, cluster: theCluster(), queues: theQueues(), services: theServices(),
		clients: map[string]*client.Client{}, sessions: map[string]*client.Session{}, served: map[string]bool{},
	}
	s.w = newWorld(t, program, 2*time.Second, s.queues)
	s.begun = scenario.Document{Resources: protocol.Dimensions(), Cluster: nodes, Queues: scenarioQueues(s.queues), Steps: []scenario.Step{}}
	for _, n := range nodes {
		s.w.join(n)
	}
	for _, p := range s.services {
		if s.clients[p.user] == nil {
			s.clients[p.user] = s.w.dial("", client.WithName(p.user))
		}
		s.w.register(s.clients[p.user], s.w.service(p))
	}
	return s
}

// happens has something happen in the simulator and in the fabric, and compares what comes of it.
func (s *story) happens(what string, live func(), steps ...scenario.Step) {
	s.t.Helper()
	s.begun.Steps = append(s.begun.Steps, steps...)
	s.expected = s.state(s.begun)
	live()
	s.compare(what)
}

// state is how a scenario ends.
func (s *story) state(doc scenario.Document) (last scenario.State) {
	s.t.Helper()
	doc.Steps = append(slices.Clone(doc.Steps), scenario.Step{Op: "state"})
	for _, n := range s.cluster { // a scenario names no place that it never has
		begins := slices.ContainsFunc(doc.Cluster, func(o scenario.Node) bool { return o.Node == n.Node })
		joins := slices.ContainsFunc(doc.Steps, func(o scenario.Step) bool { return o.Op == "add_node" && o.Node == n.Node })
		if !begins && !joins {
			doc.Steps = append(doc.Steps, add(n))
		}
	}
	out := s.w.simulate(doc)
	if err := json.Unmarshal(out[len(out)-1], &last); err != nil {
		s.t.Fatal(err)
	}
	return last
}

// plan finds a service of the story.
func (s *story) plan(name string) planned {
	s.t.Helper()
	i := slices.IndexFunc(s.services, func(p planned) bool { return p.name == name })
	if i < 0 {
		s.t.Fatalf("there is no service %s in the story", name)
	}
	return s.services[i]
}

// opens has a session of a service opened, and then so many containers placed: all that can be where decisions is nil.
func (s *story) opens(service string, then ...scenario.Step) {
	s.t.Helper()
	p := s.plan(service)
	request := scenarioRequest(p, p.instances, "")
	s.happens("open "+service, func() {
		session, err := s.w.start(s.clients[p.user], service)
		if err != nil {
			s.t.Fatal(err)
		}
		s.sessions[service] = session
		s.opened = append(s.opened, service)
	}, append([]scenario.Step{{Op: "submit", Service: service, Queue: p.queue, User: p.user, Requests: []scenario.Request{request}}}, then...)...)
}

// closes has the session of a service closed.
func (s *story) closes(service string, then ...scenario.Step) {
	s.t.Helper()
	s.happens("close "+service, func() {
		if err := s.sessions[service].Close(s.w.ctx); err != nil {
			s.t.Fatal(err)
		}
		delete(s.sessions, service)
		s.opened = slices.DeleteFunc(s.opened, func(name string) bool { return name == service })
	}, append([]scenario.Step{{Op: "finish", Service: service}}, then...)...)
}

// loses has the agent of a node killed.
func (s *story) loses(node string) {
	s.t.Helper()
	s.happens("kill the agent of "+node, func() { s.w.lose(node) }, scenario.Step{Op: "remove_node", Node: node}, schedule())
}

// cordons has all nodes cordoned, or each taken back in turn, which is offered then.
func (s *story) cordons() {
	s.t.Helper()
	s.happens("cordon all nodes", func() { s.w.must(append([]string{"node", "cordon"}, slices.Sorted(maps.Keys(s.w.agents))...)...) })
}

func (s *story) uncordons() {
	s.t.Helper()
	for _, n := range slices.Sorted(maps.Keys(s.w.agents)) {
		s.happens("uncordon "+n, func() { s.w.must("node", "uncordon", n) }, scenario.Step{Op: "schedule", Offer: n})
	}
}

// add is the step by which a node joins.
func add(n scenario.Node) scenario.Step {
	return scenario.Step{Op: "add_node", Node: n.Node, Rack: n.Rack, Type: n.Type, Arch: n.Arch, Cap: n.Cap}
}

// schedule is the step that places all that can be placed.
func schedule() scenario.Step { return scenario.Step{Op: "schedule"} }

// one is the step that places one container.
func one() scenario.Step {
	n := 1
	return scenario.Step{Op: "schedule", Decisions: &n}
}

// scenarioQueues are queues as scenarios write them. There, what a maximum leaves out is 0.
func scenarioQueues(queues []protocol.Queue) []scenario.Queue {
	const whatever = protocol.MaxAmount
	all := make([]scenario.Queue, len(queues))
	for i, q := range queues {
		all[i] = scenario.Queue{
			Name: q.Name, Parent: q.Parent, CapacityPct: json.Number(q.Capacity), Weight: q.Weight, Policy: q.Policy, UserLimitPct: json.Number(q.UserLimit),
		}
		if q.Max != nil {
			all[i].Max = scenario.Amounts{}
			for _, d := range protocol.Dimensions() {
				n, limited := q.Max[d]
				if !limited {
					n = whatever
				}
				all[i].Max[d] = n
			}
		}
	}
	return all
}

// scenarioRequest is what a service asks for, on a node if one is named.
func scenarioRequest(p planned, count int, node string) scenario.Request {
	r := scenario.Request{ID: p.name + node, Count: count, Cap: amountsOf(p.request.Capacity), Arch: ownArch(), NodeType: p.request.NodeType, Nodes: p.request.Nodes}
	if p.request.Rack != "" {
		r.Location = &scenario.Location{Rack: p.request.Rack}
	}
	if node != "" {
		r.Location = &scenario.Location{Node: node}
		r.Priority = 1
	}
	return r
}

func amountsOf(c protocol.Capacity) scenario.Amounts {
	return scenario.Amounts{"cpu": c.CPU, "gpu": c.GPU, "memory": c.Memory, "network": c.Network, "disk_io": c.DiskIO}
}

// sight is how everything stands, in words that can be compared: by the simulator, and by the fabric.
type sight map[string]string

// expectation is what the simulator says.
func (s *story) expectation() sight {
	e := s.expected
	g := sight{}
	running, pending := map[string]int{}, map[string]int{}
	for _, p := range s.services {
		on := map[string]int{}
		for _, n := range e.OnNodes[p.name] {
			on[n]++
		}
		g["containers of "+p.name] = fmt.Sprint(on)
		if s.sessions[p.name] != nil {
			g["wanted by "+p.name] = fmt.Sprint(e.Wanted[p.name])
		}
		for q := p.queue; q != ""; q = s.parent(q) {
			running[q] += e.Running[p.name]
			pending[q] += e.Wanted[p.name]
		}
	}
	for _, q := range s.queues {
		g.queue(q.Name, running[q.Name], pending[q.Name], e.QueueRatio[q.Name], func(d string) (int64, float64) { return e.QueueUsed[q.Name][d], e.QueueGuaranteed[q.Name][d] })
	}
	for n, free := range e.NodeFree {
		g.node(n, scenario.Amounts(free))
	}
	return g
}

func (s *story) parent(queue string) string {
	i := slices.IndexFunc(s.queues, func(q protocol.Queue) bool { return q.Name == queue })
	return s.queues[i].Parent
}

func (g sight) queue(name string, running, pending int, ratio float64, of func(dimension string) (int64, float64)) {
	g["queue "+name] = fmt.Sprintf("%d run, %d pending, ratio %.9g", running, pending, ratio)
	for _, d := range protocol.Dimensions() {
		used, guaranteed := of(d)
		g["queue "+name+", "+d] = fmt.Sprintf("%d used, %.9g guaranteed", used, guaranteed)
	}
}

func (g sight) node(name string, free scenario.Amounts) {
	for _, d := range protocol.Dimensions() {
		g["node "+name+", "+d] = fmt.Sprintf("%d free", free[d])
	}
}

// reality is what the program says of the fabric, and the processes of the instances.
func (s *story) reality() sight {
	s.t.Helper()
	g := sight{}
	for _, p := range s.services {
		g["containers of "+p.name] = fmt.Sprint(s.w.onNodes(p.name))
		if session := s.sessions[p.name]; session != nil {
			r := s.explained(session)
			g["wanted by "+p.name] = fmt.Sprint(r.Wanted - r.Held)
		}
	}
	var queues []protocol.QueueInfo
	s.w.ask(&queues, "queue", "list")
	for _, q := range queues {
		g.queue(q.Queue.Name, q.Running, q.Pending, q.Ratio, func(d string) (int64, float64) { return q.Used[d], q.Guaranteed[d] })
	}
	var nodes []protocol.NodeInfo
	s.w.ask(&nodes, "node", "list")
	for _, n := range nodes {
		if n.State == "ready" {
			g.node(n.Name, amountsOf(n.Free))
		}
	}
	return g
}

// explained is what weft explain says of the request of a session.
func (s *story) explained(session *client.Session) protocol.ExplainedRequest {
	s.t.Helper()
	var e protocol.Explained
	s.w.ask(&e, "explain", fmt.Sprint(session.Number()))
	if len(e.Requests) != 1 {
		s.t.Fatalf("session %d has %d requests: %+v", session.Number(), len(e.Requests), e)
	}
	return e.Requests[0]
}

// compare waits until the fabric stands as the simulator says, checks that it stays so, and that what has instances serves.
func (s *story) compare(what string) {
	s.t.Helper()
	want := s.expectation()
	var have sight
	for range 2 { // what was right on its way to something else is not right the second time
		if !holdsWithin(patience/3, func() bool { have = s.reality(); return maps.Equal(want, have) && s.settled() }) {
			s.t.Fatalf("after %q (%s) the fabric is not as weft sched simulate says:%s", what, strings.Join(s.events, ", "), want.unlike(have))
		}
	}
	containers, wanted := 0, 0
	for service, session := range s.sessions {
		on := s.w.onNodes(service)
		if len(on) > 0 {
			s.w.serves(session, service)
			s.served[service] = true
		}
		s.told(what, service)
		containers += s.expected.Running[service]
		wanted += s.expected.Wanted[service]
	}
	s.events = append(s.events, what)
	s.seen.line("  %-26s %2d containers as simulated, %2d more wanted: %s", what, containers, wanted, s.byService())
}

// told waits until weft session get says of a session that it runs when it has done a task, and where its containers are. Its
// manager tells of that now and then.
func (s *story) told(what, service string) {
	s.t.Helper()
	var i protocol.SessionInfo
	var on map[string]int
	if !holdsWithin(patience/6, func() bool {
		s.w.ask(&i, "session", "get", fmt.Sprint(s.sessions[service].Number()))
		on = s.w.onNodes(service)
		elsewhere := slices.ContainsFunc(i.Nodes, func(n string) bool { return on[n] == 0 })
		return (i.State == protocol.SessionRunning) == s.served[service] && !elsewhere
	}) {
		s.t.Errorf("after %q the session of %s is %s on %v; it has done tasks: %v, and its containers are on %v", what, service, i.State, i.Nodes, s.served[service], on)
	}
}

// settled says whether everything that is wanted has a reason why it is not there.
func (s *story) settled() bool {
	for _, session := range s.sessions {
		if r := s.explained(session); r.Held < r.Wanted && len(r.Reasons) == 0 {
			return false
		}
	}
	return true
}

// byService says where the containers are.
func (s *story) byService() string {
	var parts []string
	for _, p := range s.services {
		if on := s.expected.OnNodes[p.name]; len(on) > 0 {
			slices.Sort(on)
			parts = append(parts, p.name+" on "+strings.Join(on, " "))
		}
	}
	return strings.Join(parts, ", ")
}

// unlike lists in what two sights differ.
func (g sight) unlike(other sight) string {
	var b strings.Builder
	keys := maps.Clone(g)
	maps.Copy(keys, other)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if g[k] != other[k] {
			fmt.Fprintf(&b, "\n%s: expected %s, is %s", k, g[k], other[k])
		}
	}
	return b.String()
}
