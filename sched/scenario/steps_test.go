package scenario_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/sched/scenario"
)

// Whatever happens between them, decisions that take all short cuts are those that look at everything.
func TestShortCutsDecideTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := drawDocument(t)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := Decode(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		whole, err := Run(decoded)
		if err != nil {
			t.Fatal(err)
		}
		thorough := *decoded
		thorough.Steps = slices.Clone(decoded.Steps)
		for i := range thorough.Steps {
			if s := &thorough.Steps[i]; s.Op == "schedule" && s.Decisions == nil && s.Offer == "" {
				all := 1 << 20
				s.Decisions = &all
			}
		}
		exact, err := Run(&thorough)
		if err != nil {
			t.Fatal(err)
		}
		balance(t, doc, whole)
		if plain(whole) != plain(exact) {
			t.Fatalf("short cuts:\n%s\nwithout:\n%s\nof %s", brief(whole), brief(exact), text)
		}
	})
}

// balance checks that what is used is what is not free, container by container.
func balance(t *rapid.T, doc Document, out *Output) {
	s := out.Steps[len(out.Steps)-1].(*State)
	capacity := map[string]int64{}
	for _, n := range doc.Cluster {
		capacity[n.Node] = n.Cap["cpu"]
	}
	for _, step := range doc.Steps {
		if step.Op == "add_node" {
			capacity[step.Node] = step.Cap["cpu"]
		}
	}
	used := int64(0)
	for node, free := range s.NodeFree {
		if free["cpu"] < 0 || free["gpu"] < 0 {
			t.Fatalf("node %s has %v left", node, free)
		}
		used += capacity[node] - free["cpu"]
	}
	if used != s.QueueUsed["root"]["cpu"] {
		t.Fatalf("the nodes are used by %d, the root by %v", used, s.QueueUsed["root"])
	}
	for service, n := range s.Running {
		if len(s.OnNodes[service]) != n {
			t.Fatalf("service %s has %d containers, on %v", service, n, s.OnNodes[service])
		}
		for _, node := range s.OnNodes[service] {
			if s.NodeFree[node] == nil {
				t.Fatalf("service %s has a container on %s, which is not there", service, node)
			}
		}
	}
}

func drawDocument(t *rapid.T) Document {
	doc := Document{Resources: []string{"cpu", "gpu"}}
	small := func(name string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name) }
	node := func(i int) Node {
		n := Node{Node: fmt.Sprint("n", i), Rack: fmt.Sprint("r", i%2), Cap: Amounts{"cpu": int64(small("cpu", 1, 9))}}
		if rapid.Bool().Draw(t, "gpu") {
			n.Cap["gpu"] = int64(small("gpus", 1, 3))
		}
		return n
	}
	nodes := small("nodes", 1, 4)
	for i := range nodes {
		doc.Cluster = append(doc.Cluster, node(i))
	}
	doc.Queues = []Queue{{Name: "root"}}
	parents := map[string]bool{}
	for i := range small("queues", 1, 7) {
		q := Queue{Name: fmt.Sprint("q", i), Parent: doc.Queues[small("parent", 0, i)].Name, Priority: max(0, small("priority", -3, 1))}
		if rapid.Bool().Draw(t, "weighted") {
			w := float64(small("weight", 1, 3))
			q.Weight = &w
		}
		switch small("limit", 0, 5) {
		case 0:
			q.MaxPct = json.Number(fmt.Sprint(small("max_pct", 0, 100)))
		case 1:
			q.Min = Amounts{"cpu": int64(small("min", 0, 3))}
		}
		parents[q.Parent] = true
		doc.Queues = append(doc.Queues, q)
	}
	var leaves []string
	for i := range doc.Queues {
		if q := &doc.Queues[i]; !parents[q.Name] {
			leaves = append(leaves, q.Name)
			q.Policy = rapid.SampledFrom([]string{"fifo", "fair", "capacity"}).Draw(t, "policy")
			q.Reserve = small("reserve", 0, 3) == 0
		}
	}
	drawSteps(t, &doc, leaves, nodes, node)
	return doc
}

func drawSteps(t *rapid.T, doc *Document, leaves []string, nodes int, node func(int) Node) {
	small := func(name string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name) }
	present := map[int]bool{}
	for i := range nodes {
		present[i] = true
	}
	running := map[string]bool{}
	request := func(id string) Request {
		r := Request{ID: id, Count: small("count", 1, 6), Cap: Amounts{"cpu": int64(small("ask", 0, 3))}, Priority: small("urgent", 0, 2)}
		switch small("want", 0, 9) {
		case 0:
			r.Cap["gpu"] = 1
		case 1:
			r.NodeType = "cpu"
		case 2:
			r.Location, r.Relax = &Location{Rack: "r0"}, rapid.Bool().Draw(t, "relax")
		case 3:
			r.Location, r.Relax = &Location{Node: "n0"}, rapid.Bool().Draw(t, "relax")
		case 4:
			r.Nodes = small("distinct", 1, r.Count)
		}
		return r
	}
	for i := range small("steps", 2, 24) {
		service := fmt.Sprint("s", small("service", 0, 5))
		at := small("node", 0, nodes)
		s := Step{Op: rapid.SampledFrom([]string{"submit", "submit", "add_request", "release", "finish", "node", "offer", "schedule", "schedule"}).Draw(t, "op")}
		switch {
		case s.Op == "schedule":
			if small("some", 0, 3) == 0 {
				n := small("decisions", 1, 5)
				s.Decisions = &n
			}
		case s.Op == "offer" && present[at]:
			s.Op, s.Offer = "schedule", fmt.Sprint("n", at)
		case s.Op == "node" && present[at]:
			s.Op, s.Node = "remove_node", fmt.Sprint("n", at)
			present[at] = false
		case s.Op == "node":
			n := node(at)
			s.Op, s.Node, s.Rack, s.Cap = "add_node", n.Node, n.Rack, n.Cap
			present[at] = true
		case s.Op == "offer":
			continue
		case !running[service]:
			s.Op, s.Service, s.Queue = "submit", service, rapid.SampledFrom(leaves).Draw(t, "queue")
			s.User, s.Weight = fmt.Sprint("u", small("user", 0, 2)), float64(small("share", 0, 2))
			s.Requests = []Request{request("a"), request("b")}
			running[service] = true
		case s.Op == "finish":
			s.Service, running[service] = service, false
		case s.Op == "release":
			s.Service, s.Count = service, small("back", 1, 4)
		default:
			s = addRequest(service, request(fmt.Sprint("r", i)))
		}
		doc.Steps = append(doc.Steps, s)
	}
	doc.Steps = append(doc.Steps, Step{Op: "schedule"}, Step{Op: "preempt"}, Step{Op: "state"})
}

func addRequest(service string, r Request) Step {
	return Step{
		Op: "add_request", Service: service, ID: r.ID, Count: r.Count, Cap: r.Cap, Priority: r.Priority, Location: r.Location,
		Relax: r.Relax, NodeType: r.NodeType, Nodes: r.Nodes,
	}
}
