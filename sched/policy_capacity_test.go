package sched_test

import (
	"testing"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// Two users, each of whom wants a container larger than the part that one may have of an idle leaf, get one each.
func TestTheFirstContainerOfAUserIsNotHeldBack(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	fifteen, rest := 15*OnePercent, 85*OnePercent
	if err := s.SetQueues([]Queue{
		{Name: "root"}, {Name: "small", Parent: "root", Capacity: &fifteen, Policy: PolicyCapacity}, {Name: "large", Parent: "root", Capacity: &rest},
	}); err != nil {
		t.Fatal(err)
	}
	s.SetNode(Node{Name: "n", Type: NodeTypeCPU, Capacity: resource.Vector{resource.CPU: 5000}})
	for _, user := range []string{"u1", "u2"} {
		if err := s.SetService(Service{Name: user, Queue: "small", User: user}); err != nil {
			t.Fatal(err)
		}
		if err := s.Submit(Request{ID: user, Service: user, Capacity: resource.Vector{resource.CPU: 1000}}); err != nil {
			t.Fatal(err)
		}
		s.Want(user, 2)
	}
	var got []string
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		got = append(got, p.Service)
	}
	// The second ones are held back while both want one: the part of each is half of what would then be used.
	if len(got) != 2 || got[0] != "u1" || got[1] != "u2" {
		t.Fatalf("%v", got)
	}
	s.Want("u2", 1)
	if p, ok := s.Next(); !ok || p.Service != "u1" {
		t.Errorf("%+v, %v: nobody else wants any", p, ok)
	}
}
