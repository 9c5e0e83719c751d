package sched_test

import (
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// pairOfNodes makes a scheduler with nodes of 4 and 8 cores, the smaller first, and a request for so many containers of 2.
func pairOfNodes(t *testing.T, change func(*Node), r Request, count int) *Scheduler {
	t.Helper()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"small", "large"} {
		n := Node{Name: name, Type: NodeTypeCPU, Capacity: resource.Vector{resource.CPU: int64(4000 * (i + 1))}}
		if change != nil {
			change(&n)
		}
		s.SetNode(n)
	}
	if err := s.SetService(Service{Name: "s", Queue: DefaultQueue}); err != nil {
		t.Fatal(err)
	}
	r.ID, r.Service, r.Capacity = "r", "s", resource.Vector{resource.CPU: 2000}
	if err := s.Submit(r); err != nil {
		t.Fatal(err)
	}
	s.Want("r", count)
	return s
}

// where places what can be placed, and says where.
func where(s *Scheduler) string {
	var nodes []string
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		nodes = append(nodes, p.Node)
	}
	return strings.Join(nodes, " ")
}

func TestNodesThatHoldTheArtefactGoFirst(t *testing.T) {
	holds := func(n *Node) {
		if n.Name == "large" {
			n.Artefacts = []string{"sha256:1", "sha256:2"}
		}
	}
	if got := where(pairOfNodes(t, holds, Request{Artefact: "sha256:2"}, 6)); got != "large large large large small small" {
		t.Error(got)
	}
	if got := where(pairOfNodes(t, holds, Request{Artefact: "sha256:3"}, 3)); got != "small small large" {
		t.Errorf("nobody holds it: %s", got)
	}
	// What it holds is changed while it runs.
	s := pairOfNodes(t, holds, Request{Artefact: "sha256:2"}, 1)
	s.SetNode(Node{Name: "large", Type: NodeTypeCPU, Capacity: resource.Vector{resource.CPU: 8000}})
	if got := where(s); got != "small" {
		t.Error(got)
	}
}

func TestCordonedNodesGetNothingNew(t *testing.T) {
	cordon := func(n *Node) { n.Cordoned = n.Name == "small" }
	s := pairOfNodes(t, cordon, Request{}, 6)
	if got := where(s); got != "large large large large" {
		t.Fatal(got)
	}
	e, _ := s.Explain("r")
	if len(e.Reasons) != 2 || e.Reasons[0].Barrier != Cordoned || e.Reasons[0].Nodes != 1 || e.Reasons[1].Barrier != NoRoom {
		t.Errorf("%+v", e.Reasons)
	}
	s.SetNode(Node{Name: "small", Type: NodeTypeCPU, Capacity: resource.Vector{resource.CPU: 4000}})
	if got := where(s); got != "small small" {
		t.Error(got)
	}
}

func TestExceptedNodesAreOutOfTheQuestion(t *testing.T) {
	s := pairOfNodes(t, nil, Request{Except: []string{"small"}}, 6)
	if got := where(s); got != "large large large large" {
		t.Fatal(got)
	}
	if err := s.Submit(Request{ID: "r", Service: "s", Capacity: resource.Vector{resource.CPU: 2000}}); err != nil {
		t.Fatal(err)
	}
	if got := where(s); got != "small small" {
		t.Errorf("it is not excepted any more: %s", got)
	}
}
