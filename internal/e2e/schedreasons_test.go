package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched/scenario"
)

// plant is a session that waits for one reason, which is planted, and what weft explain is to say of it.
type plant struct {
	what    string
	service planned
	want    protocol.Reason // its text is words that must be there, with | between them
	held    int             // containers
	place   int             // in the queue, from 1; 0: the first
}

// planter plants reasons in a fabric.
type planter struct {
	t       *testing.T
	w       *world
	seen    *findings
	clients map[string]*client.Client
}

func newPlanter(t *testing.T, program string, seen *findings, queues []protocol.Queue, nodes ...scenario.Node) *planter {
	t.Helper()
	p := &planter{t: t, seen: seen, w: newWorld(t, program, protocol.PeerTimeout, queues), clients: map[string]*client.Client{}}
	for _, n := range nodes {
		p.w.join(n)
	}
	return p
}

// opens registers the service and opens a session.
func (p *planter) opens(s planned) (*client.Session, error) {
	p.t.Helper()
	c := p.clients[s.user]
	if c == nil {
		c = p.w.dial("", client.WithName(s.user))
		p.clients[s.user] = c
	}
	p.w.register(c, p.w.service(s))
	return p.w.start(c, s.name)
}

// must is [planter.opens] for what has to succeed.
func (p *planter) must(s planned) *client.Session {
	p.t.Helper()
	session, err := p.opens(s)
	if err != nil {
		p.t.Fatalf("%s: %v", s.name, err)
	}
	return session
}

// ask is what weft explain says of the one request of a session or a service.
func (p *planter) ask(of string) (protocol.Explained, protocol.ExplainedRequest) {
	p.t.Helper()
	var e protocol.Explained
	p.w.ask(&e, "explain", of)
	if len(e.Requests) == 0 {
		return e, protocol.ExplainedRequest{}
	}
	return e, e.Requests[0]
}

// holds waits until a session has so many containers, and all that it wants when that is so many.
func (p *planter) holds(session *client.Session, n int) {
	p.t.Helper()
	var e protocol.Explained
	var r protocol.ExplainedRequest
	if !holdsWithin(patience/3, func() bool { e, r = p.ask(fmt.Sprint(session.Number())); return r.Held == n }) {
		p.t.Fatalf("session %d has %d containers, not %d: %+v", session.Number(), r.Held, n, e)
	}
}

// check has weft explain name the planted reason of a session, and nothing else: by the session and by the service, as JSON
// and in words.
func (p *planter) check(session *client.Session, plant *plant) {
	p.t.Helper()
	number := fmt.Sprint(session.Number())
	var e protocol.Explained
	var r protocol.ExplainedRequest
	if !holdsWithin(patience/3, func() bool {
		e, r = p.ask(number)
		return r.Wanted == plant.service.instances && r.Held == plant.held && len(r.Reasons) > 0
	}) {
		p.t.Fatalf("%s: %+v", plant.what, e)
	}
	p.named(r, plant)
	_, byService := p.ask(plant.service.name)
	p.named(byService, plant)
	out := p.w.must("explain", number)
	for _, words := range append(strings.Split(plant.want.Text, "|"), plant.service.queue, fmt.Sprintf("%d of %d wanted", plant.held, plant.service.instances)) {
		if !strings.Contains(out, words) {
			p.t.Errorf("%s: weft explain does not say %q:\n%s", plant.what, words, out)
		}
	}
	p.seen.reason(plant.what, r.Reasons[0].Kind, r.Reasons[0].Text)
}

// named checks that the reasons of a request are the planted one alone.
func (p *planter) named(r protocol.ExplainedRequest, plant *plant) {
	p.t.Helper()
	if len(r.Reasons) != 1 {
		p.t.Errorf("%s: %d reasons, want one: %+v", plant.what, len(r.Reasons), r.Reasons)
		return
	}
	have, want := r.Reasons[0], plant.want
	if have.Kind != want.Kind || have.Queue != want.Queue || have.Dimension != want.Dimension || have.Nodes != want.Nodes || have.Short != want.Short || r.Position != max(plant.place, 1) ||
		r.Queue != plant.service.queue {
		p.t.Errorf("%s: %+v at position %d of queue %s, want %+v at position %d of %s", plant.what, have, r.Position, r.Queue, want, max(plant.place, 1), plant.service.queue)
	}
	for _, words := range strings.Split(want.Text, "|") {
		if !strings.Contains(have.Text, words) {
			p.t.Errorf("%s: %q does not say %q", plant.what, have.Text, words)
		}
	}
}

// clear ends all sessions, and waits until their containers are gone.
func (p *planter) clear() {
	p.t.Helper()
	for _, c := range p.clients {
		for i, err := range c.Sessions(p.w.ctx, client.Filter{}) {
			if err != nil {
				p.t.Fatal(err)
			}
			p.w.must("session", "kill", fmt.Sprint(i.Session))
		}
	}
	await(p.t, "nothing is used", func() bool {
		var queues []protocol.QueueInfo
		p.w.ask(&queues, "queue", "list")
		return !slices.ContainsFunc(queues, func(q protocol.QueueInfo) bool { return q.Running+q.Pending+q.Sessions > 0 })
	})
}

// asks is a request for so many millicores.
func asks(cpu int64) protocol.ContainerRequest {
	return protocol.ContainerRequest{Capacity: protocol.Capacity{CPU: cpu, Memory: mib}}
}

// cores is a node with so many millicores and nothing that is short otherwise.
func cores(name, rack string, cpu int64) scenario.Node {
	return scenario.Node{Node: name, Rack: rack, Type: protocol.NodeTypeCPU, Cap: scenario.Amounts{"cpu": cpu, "memory": 8 * gib}}
}

// foreign is a platform on which no test runs.
const foreign = "linux/s390x"

// neverHere are requests that the two nodes n1, of 4 cores, and n2, of 2, could never satisfy, both in rack r1 and without
// GPUs, with what weft explain says when they were made before there was a node.
func neverHere() []plant {
	request := func(cpu int64, change func(*protocol.ContainerRequest)) protocol.ContainerRequest {
		r := asks(cpu)
		change(&r)
		return r
	}
	all := []plant{
		{
			what: "larger than any node", service: planned{request: asks(16_000)},
			want: protocol.Reason{Kind: "capacity", Dimension: "cpu", Short: 12_000, Nodes: 2, Text: "not enough cpu: 16 needed, at most 4 there|2 of 2 nodes"},
		},
		{
			what: "no node of that type", service: planned{request: request(100, func(r *protocol.ContainerRequest) { r.NodeType = protocol.NodeTypeGPU })},
			want: protocol.Reason{Kind: "node_type", Nodes: 2, Text: "2 of 2 nodes: not of node type gpu"},
		},
		{
			what: "no artefact for the platform", service: planned{request: asks(100), platform: foreign},
			want: protocol.Reason{Kind: "platform", Nodes: 2, Text: "2 of 2 nodes: no artefact for its platform, only for " + foreign},
		},
		{
			what: "a node that there is not", service: planned{request: request(100, func(r *protocol.ContainerRequest) { r.Node = "n9" })},
			want: protocol.Reason{Kind: "node", Nodes: 2, Text: "2 of 2 nodes: not node n9, which is asked for"},
		},
		{
			what: "a rack that there is not", service: planned{request: request(100, func(r *protocol.ContainerRequest) { r.Rack = "r9" })},
			want: protocol.Reason{Kind: "rack", Nodes: 2, Text: "2 of 2 nodes: not in rack r9, which is asked for"},
		},
		{
			what: "more distinct nodes than there are", service: planned{instances: 3, request: request(100, func(r *protocol.ContainerRequest) { r.Nodes = 3 })}, held: 2,
			want: protocol.Reason{Kind: "spread", Nodes: 2, Text: "2 of 2 nodes: holds one already, and they must be spread over 3 nodes"},
		},
	}
	for i := range all {
		s := &all[i].service
		s.name, s.queue, s.user, s.instances = fmt.Sprintf("never-%d", i), fmt.Sprintf("leaf-%d", i), "ann", max(s.instances, 1)
	}
	return all
}

// leaves are a root and so many queues below it.
func leaves(n int) []protocol.Queue {
	queues := []protocol.Queue{{Name: "root"}}
	for i := range n {
		queues = append(queues, protocol.Queue{Name: fmt.Sprintf("leaf-%d", i), Parent: "root"})
	}
	return queues
}

// testNever asks for what never can be: before there are nodes it waits, and weft explain says for what; from then on it is
// refused, for the same reason.
func testNever(t *testing.T, program string, seen *findings) {
	plants := neverHere()
	p := newPlanter(t, program, seen, leaves(len(plants)))
	sessions := make([]*client.Session, len(plants))
	for i := range plants {
		sessions[i] = p.must(plants[i].service)
		nobody := plants[i]
		nobody.what, nobody.held, nobody.want = plants[i].what+", no node", 0, protocol.Reason{Kind: "no_node", Text: "no node has joined"}
		p.check(sessions[i], &nobody)
	}
	p.w.join(cores("n1", "r1", 4000))
	p.w.join(cores("n2", "r1", 2000))
	for i := range plants {
		p.check(sessions[i], &plants[i])
	}
	for i := range plants {
		p.refused(&plants[i], plants)
	}
	p.w.join(cores("n3", "r1", 2000))
	p.holds(sessions[len(plants)-1], 3) // the distinct nodes
}

// refused checks that a session of a service like the planted one is refused at once, for the reason and no other.
func (p *planter) refused(plant *plant, all []plant) {
	p.t.Helper()
	again := plant.service
	again.name += "-again"
	_, err := p.opens(again)
	if err == nil {
		p.t.Errorf("%s: a session is opened that can never have its containers", plant.what)
		return
	}
	for _, other := range all {
		words := strings.Split(other.want.Text, "|")[0]
		if _, reason, _ := strings.Cut(words, ": "); reason != "" {
			words = reason
		}
		if other.want.Kind == plant.want.Kind && other.want.Kind == "spread" {
			words = "3 distinct nodes are asked for, and 2 of 2 could hold it"
		}
		if strings.Contains(err.Error(), words) != (other.what == plant.what) {
			p.t.Errorf("%s is refused with %q; that %q: %v", plant.what, err, words, other.what != plant.what)
		}
	}
	p.seen.reason(plant.what, "refused", err.Error())
}

// waitingQueues are the queues in which sessions wait for something that may come.
func waitingQueues() []protocol.Queue {
	return []protocol.Queue{
		{Name: "root"},
		{Name: "filler", Parent: "root"},
		{Name: "limited", Parent: "root", Max: protocol.Amounts{"cpu": 1000}},
		{Name: "narrow", Parent: "root", Max: protocol.Amounts{"cpu": 1000}},
		{Name: "narrow.leaf", Parent: "narrow"},
		{Name: "line", Parent: "root"},
		{Name: "users", Parent: "root", Policy: "capacity", UserLimit: "10"},
		{Name: "kept", Parent: "root", Reserve: true},
	}
}

// waits is a session that waits for what may come: it is not refused.
type waits struct {
	plant
	prepare func(p *planter) // makes it wait
	undo    func(p *planter)
	comes   int // containers that it has in the end; 0: nobody looks
}

// testWaiting plants each reason for which a session waits, among three nodes of 4 cores.
func testWaiting(t *testing.T, program string, seen *findings) {
	p := newPlanter(t, program, seen, waitingQueues(), cores("n1", "r1", 4000), cores("n2", "r1", 4000), cores("n3", "r2", 4000))
	for _, c := range waitingCases() {
		if c.prepare != nil {
			c.prepare(p)
		}
		session := p.must(c.service)
		p.check(session, &c.plant)
		if c.undo != nil {
			c.undo(p)
		}
		if c.comes > 0 {
			p.holds(session, c.comes)
			p.w.serves(session, c.service.name)
		}
		p.clear()
	}
	p.refusedHere()
	p.onTheCommandLine()
	p.operated()
}

// fills has services of one container each leave so little free on every node.
func fills(leave int64, nodes ...string) func(p *planter) {
	return func(p *planter) {
		p.t.Helper()
		for _, n := range nodes {
			r := asks(4000 - leave)
			r.Node = n
			p.holds(p.must(planned{name: fmt.Sprintf("filler-%s-%d", n, leave), queue: "filler", user: "ann", instances: 1, request: r}), 1)
		}
	}
}

func waitingCases() []waits {
	everywhere := []string{"n1", "n2", "n3"}
	preferring := asks(100)
	preferring.Rack, preferring.Relax = "r2", true
	atN3 := asks(500)
	atN3.Node = "n3"
	return []waits{
		{plant: plant{
			what: "the maximum of the queue", service: planned{name: "at-max", queue: "limited", user: "ann", instances: 3, request: asks(400)}, held: 2,
			want: protocol.Reason{Kind: "queue_max", Queue: "limited", Dimension: "cpu", Short: 200, Text: "queue limited is at its maximum of cpu: 0.4 needed, 0.2 of 1 left"},
		}},
		{plant: plant{
			what: "the maximum of the queue above", service: planned{name: "below-max", queue: "narrow.leaf", user: "ann", instances: 3, request: asks(400)}, held: 2,
			want: protocol.Reason{Kind: "queue_max", Queue: "narrow", Dimension: "cpu", Short: 200, Text: "queue narrow is at its maximum of cpu: 0.4 needed, 0.2 of 1 left"},
		}},
		{plant: plant{
			what: "no room", service: planned{name: "too-many", queue: "line", user: "ann", instances: 1, request: asks(1000)},
			want: protocol.Reason{Kind: "room", Dimension: "cpu", Short: 500, Nodes: 3, Text: "3 of 3 nodes: not enough cpu: 1 needed, at most 0.5 free"},
		}, prepare: fills(500, everywhere...)},
		{plant: plant{
			what: "no room, behind another", service: planned{name: "second", queue: "line", user: "ann", instances: 1, request: asks(1000)}, place: 2,
			want: protocol.Reason{Kind: "room", Dimension: "cpu", Short: 500, Nodes: 3, Text: "3 of 3 nodes: not enough cpu: 1 needed, at most 0.5 free"},
		}, prepare: func(p *planter) {
			fills(500, everywhere...)(p)
			p.must(planned{name: "first", queue: "line", user: "ann", instances: 1, request: asks(900)})
		}},
		{plant: plant{
			what: "cordoned nodes", service: planned{name: "kept-off", queue: "line", user: "ann", instances: 1, request: asks(100)},
			want: protocol.Reason{Kind: "cordoned", Nodes: 3, Text: "3 of 3 nodes: cordoned"},
		}, prepare: cordoned(everywhere...), undo: uncordoned(everywhere...), comes: 1},
		{plant: plant{
			what: "the limit of a user", service: planned{name: "anns", queue: "users", user: "ann", instances: 3, request: asks(500)}, held: 2, place: 2,
			want: protocol.Reason{Kind: "user_limit", Queue: "users", Text: `user "ann" holds as much of queue users as one of 2 users may`},
		}, prepare: func(p *planter) {
			cordoned("n3")(p)
			p.must(planned{name: "bobs", queue: "users", user: "bob", instances: 1, request: atN3})
		}, undo: uncordoned("n3"), comes: 3},
		{plant: plant{
			what: "a place that is kept for another", service: planned{name: "small", queue: "kept", user: "ann", instances: 1, request: asks(100)}, place: 2,
			want: protocol.Reason{Kind: "reserved", Queue: "kept", Text: "ahead of it, and queue kept keeps the place"},
		}, prepare: func(p *planter) {
			fills(500, everywhere...)(p)
			large := p.must(planned{name: "large", queue: "kept", user: "ann", instances: 1, request: asks(4000)})
			p.check(large, &plant{
				what: "first in a queue that keeps places", service: planned{name: "large", queue: "kept", instances: 1},
				want: protocol.Reason{Kind: "room", Dimension: "cpu", Short: 3500, Nodes: 3, Text: "4 needed, at most 0.5 free"},
			})
		}},
		{plant: plant{
			what: "a place that is preferred", service: planned{name: "particular", queue: "line", user: "ann", instances: 6, request: preferring},
			want: protocol.Reason{Kind: "preferred_place", Nodes: 2, Text: "it prefers rack r2, which is full, and lets |of 6 offers of other places pass first"},
		}, prepare: fills(0, "n3"), comes: 6},
	}
}

func cordoned(nodes ...string) func(p *planter) {
	return func(p *planter) { p.w.must(append([]string{"node", "cordon"}, nodes...)...) }
}

func uncordoned(nodes ...string) func(p *planter) {
	return func(p *planter) { p.w.must(append([]string{"node", "uncordon"}, nodes...)...) }
}

// refusedHere has sessions refused that their queue could never serve; which a full fabric could, is not.
func (p *planter) refusedHere() {
	p.t.Helper()
	for _, c := range []struct {
		what, queue string
		cpu         int64
		says        []string
	}{
		{"more than the queue may have", "limited", 2000, []string{"queue limited may have at most 1 cpu, and 2 is needed"}},
		{"more than the queue above may have", "narrow.leaf", 2000, []string{"queue narrow may have at most 1 cpu, and 2 is needed"}},
		{"a queue that there is not", "lime", 100, []string{`there is no queue "lime"; is "line" meant?`}},
		{"a queue that is no leaf", "narrow", 100, []string{`queue "narrow" has queues below it`, "narrow.leaf"}},
	} {
		session, err := p.opensIn(c.queue, c.cpu)
		if err == nil {
			p.t.Errorf("%s: session %d is opened", c.what, session.Number())
			continue
		}
		mustSay(p.t, err, c.says...)
		p.seen.reason(c.what, "refused", err.Error())
	}
}

// onTheCommandLine asks for the same with the flags of weft ping and weft exec, in a fabric that has no default queue.
func (p *planter) onTheCommandLine() {
	p.t.Helper()
	for _, c := range []struct {
		flags []string
		says  string
	}{
		{[]string{"--node", "n9"}, "3 of 3 nodes: not node n9, which is asked for"},
		{[]string{"--rack", "r9"}, "3 of 3 nodes: not in rack r9, which is asked for"},
		{[]string{"--node-type", "gpu"}, "3 of 3 nodes: not of node type gpu, which is asked for"},
		{[]string{"--nodes", "9"}, "9 distinct nodes are asked for, and 3 of 3 could hold it"},
		{[]string{"--queue", "lime"}, `there is no queue "lime"; is "line" meant?`},
		{[]string{"--queue", "narrow"}, `queue "narrow" has queues below it`},
		{[]string{"--queue", ""}, `there is no queue "default"; services go to one of`},
	} {
		flags := append([]string{"--queue", "line"}, c.flags...)
		for _, command := range [][]string{append([]string{"ping"}, flags...), append(append([]string{"exec"}, flags...), "true", ":::", "x")} {
			if c.flags[0] == "--nodes" && command[0] == "exec" {
				continue // it has as many instances as it has commands
			}
			_, err := p.w.weft(command...)
			mustSay(p.t, err, c.says)
		}
		p.seen.reason("weft ping "+strings.Join(c.flags, " "), "refused", c.says)
	}
	out, err := p.w.weft("exec", "--queue", "line", "--rack", "r2", "echo", "done", ":::", "x")
	if err != nil || !strings.Contains(out, "done x") {
		p.t.Errorf("weft exec in a queue and a rack: %q, %v", out, err)
	}
	if out, err := p.w.weft("ping", "--queue", "narrow.leaf", "--node", "n2"); err != nil || !strings.Contains(out, "n2") {
		p.t.Errorf("weft ping in a queue and on a node: %q, %v", out, err)
	}
	for _, name := range []string{builtin.Exec, builtin.Ping} { // their instances wait for the next command otherwise
		p.w.must("service", "deregister", name)
	}
	p.clear()
}

// opensIn opens a session in a queue.
func (p *planter) opensIn(queue string, cpu int64) (*client.Session, error) {
	p.t.Helper()
	c := p.clients["ann"]
	s := p.w.service(planned{name: fmt.Sprintf("asks-%d", cpu), queue: "line", instances: 1, request: asks(cpu)})
	p.w.register(c, s)
	return p.w.start(c, s.Name, client.WithQueue(queue))
}
