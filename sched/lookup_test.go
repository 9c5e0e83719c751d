package sched_test

import (
	"fmt"
	"testing"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// looked is a scheduler with queues, two services and some nodes.
func looked(t *testing.T, nodes int) *Scheduler {
	t.Helper()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	most := resource.Vector{1000}
	for d := 1; d < len(most); d++ {
		most[d] = Unlimited
	}
	queues := []Queue{{Name: "root"}, {Name: "a", Parent: "root"}, {Name: "a.x", Parent: "a", Max: &most}, {Name: "b", Parent: "root", Priority: 1}}
	if f := CheckQueues(resource.Standard(), queues); len(f) > 0 {
		t.Fatal(f)
	}
	if err := s.SetQueues(queues); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		s.SetNode(Node{Name: fmt.Sprint("n", i), Type: NodeTypeCPU, Capacity: resource.Vector{2000, 0, 1 << 30}})
	}
	for id, queue := range map[string]string{"x": "a.x", "b": "b"} { // order does not matter: each is in a queue of its own
		if err := s.SetService(Service{Name: id, Queue: queue}); err != nil {
			t.Fatal(err)
		}
		if err := s.Submit(Request{ID: id, Service: id, Capacity: resource.Vector{1000, 0, 1 << 20}}); err != nil {
			t.Fatal(err)
		}
		s.Want(id, 2)
	}
	return s
}

func TestLookup(t *testing.T) {
	s := looked(t, 1)
	l := Look(s)
	if !l.Within("a.x", "a") || !l.Within("a.x", "root") || !l.Within("b", "b") || l.Within("a", "a.x") || l.Within("b", "a") || l.Within("c", "root") {
		t.Error("Within")
	}
	if q, ok := l.Queue("b"); !ok || q.Priority != 1 {
		t.Errorf("%+v", q)
	}
	if _, ok := l.Queue("c"); ok {
		t.Error("there is a queue c")
	}
	if !l.Before("b", "x") || l.Before("x", "b") || l.Before("x", "nobody") {
		t.Error("the queue of the higher priority is not before the other")
	}
	if o := l.Obstacle("x"); o.Barrier != NoBarrier {
		t.Errorf("%+v", o)
	}
	if b := l.Stands("x", "n0"); b != NoBarrier {
		t.Error(b)
	}
	for range 2 { // both of b: n0 is full
		if p, ok := s.Next(); !ok || p.Service != "b" {
			t.Fatalf("%+v", p)
		}
	}
	if b := l.Stands("x", "n0"); b != NoRoom {
		t.Error(b)
	}
	s.SetNode(Node{Name: "n1", Type: NodeTypeCPU, Capacity: resource.Vector{2000, 0, 1 << 30}})
	if p, ok := s.Next(); !ok || p.Service != "x" {
		t.Fatalf("%+v", p)
	}
	if o := l.Obstacle("x"); o.Barrier != QueueMax || o.Queue != "a.x" || o.Over != (resource.Vector{1000}) {
		t.Errorf("%+v", o)
	}
	if o := l.Obstacle("b"); o.Barrier != NoBarrier {
		t.Errorf("of one that has all: %+v", o)
	}
}

// TestADimensionIsAddedWhileContainersRun keeps what is held, and hands the new one out.
func TestADimensionIsAddedWhileContainersRun(t *testing.T) {
	const nodes = 100 // more than one block of the index
	s := looked(t, nodes)
	for {
		if _, ok := s.Next(); !ok {
			break
		}
	}
	more, fpga, err := Look(s).Space().With("fpga")
	if err != nil {
		t.Fatal(err)
	}
	s.Extend(more)
	s.SetNode(Node{Name: "n7", Type: NodeTypeCPU, Capacity: resource.Vector{2000, 0, 1 << 30, 0, 0, 2}})
	s.RemoveNode("n99")
	ask := resource.Vector{100}
	ask[fpga] = 1
	if err := s.Submit(Request{ID: "f", Service: "b", Capacity: ask}); err != nil {
		t.Fatal(err)
	}
	s.Want("f", 3)
	for i := range 2 {
		if p, ok := s.Next(); !ok || p.Node != "n7" {
			t.Fatalf("container %d: %+v", i, p)
		}
	}
	if p, ok := s.Next(); ok {
		t.Fatalf("one too many: %+v", p)
	}
	running := 0
	for _, n := range s.NodeStates() {
		running += n.Containers
	}
	if running != 5 || s.Queues()[0].Used[fpga] != 2 || s.Queues()[0].Guaranteed[fpga] != 2 {
		t.Errorf("%d containers, %v used, %v there", running, s.Queues()[0].Used[fpga], s.Queues()[0].Guaranteed)
	}
}
