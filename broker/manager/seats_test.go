package manager

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// one admits an instance with one place.
func one(a *session.Admit) { a.Sessions = 1 }

func TestIdleSessionYieldsAtOnceToOneThatWaits(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, one)
	c.submit(1, 1, "first")
	w.settle()
	c.submit(2, 1, "second")
	w.settle()
	if len(i.tasks) != 1 || !i.bound[1] {
		t.Fatalf("%v at the instance, bound %v; want the first session's task alone", i.tasks, i.bound)
	}
	i.run(1)
	w.settle() // no time passes
	if len(i.tasks) != 1 || i.tasks[0].payload != "second" || i.bound[1] {
		t.Fatalf("%v at the instance, bound %v; want the second session in the first one's place", i.tasks, i.bound)
	}
	w.runAll()
	w.drained()
}

func TestPlaceOfARefusedSessionGoesToOneThatWaits(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, func(a *session.Admit) { a.Sessions = 1 })
	// The first session is bound; let a fresh instance refuse it instead.
	i.die()
	i = w.party("b", 201, protocol.Hello{Role: protocol.RoleInstance, Container: "b"})
	i.hold = true
	w.order(session.Order{Admit: &session.Admit{Manager: 1, Container: "b", Incarnation: 201, Node: "n", Slots: 1, Sessions: 1}})
	c.submit(1, 1, "x")
	c.submit(2, 1, "y")
	i.link.Greet(i.hello)
	w.settle()
	if !i.bound[1] || i.bound[2] {
		t.Fatalf("bound %v, want the first session", i.bound)
	}
	i.hold = false
	delete(i.bound, 1)
	i.link.Append(protocol.KindRefused, 1, 0, protocol.Marshal(protocol.Errorf(protocol.CodeBindFailed, "bind", "no")))
	w.settle()
	if got := w.changed(1); !slices.Equal(got, []string{"running", "failed:BindFailed"}) {
		t.Fatalf("the refused session went through %v", got)
	}
	if !i.bound[2] {
		t.Fatal("the session that waits did not get the place")
	}
	w.runAll()
	if got := c.answers[protocol.NewTaskID(1, 1)]; !slices.Equal(got, []string{"r:y"}) {
		t.Fatalf("answered %v", got)
	}
	w.drained()
}

func TestDrainingInstanceLeavesWhenItsLastSessionIsRefused(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.client(100, 1)
	w.order(session.Order{Admit: &session.Admit{Manager: 1, Container: "a", Incarnation: 200, Node: "n", Slots: 1, Sessions: 1}})
	i := w.party("a", 200, protocol.Hello{Role: protocol.RoleInstance, Container: "a"})
	i.hold = true
	i.link.Greet(i.hello)
	w.settle()
	delete(i.bound, 1)
	i.link.Append(protocol.KindDrain, 0, 0, nil)
	i.link.Append(protocol.KindRefused, 1, 0, nil)
	i.bound[1] = true // for the Unbind that crosses
	w.settle()
	if !i.left {
		t.Fatal("the instance has nothing bound and was not told to leave")
	}
}

func TestAnsweredSuspectIsNoneAnyMore(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.submit(1, 1, "x")
	w.instance("a", 200, nil).die()
	i := w.instance("b", 201, nil)
	if len(i.tasks) != 1 {
		t.Fatalf("%d tasks at the second instance", len(i.tasks))
	}
	g := i.tasks[0]
	i.tasks = nil
	i.link.Append(protocol.KindFailure, 1, g.id, protocol.Marshal(&protocol.Error{Code: protocol.CodeTaskFailed, Retry: 1}))
	w.settle()
	slots := w.core.byID[1].slab.slots
	for n := 1; n < len(slots); n++ {
		if s := &slots[n]; s.state != taskFree && s.suspect {
			t.Fatal("a task that was answered is a suspect still")
		}
	}
	w.pass(time.Second)
	w.runAll()
	c.want(t, 1, "r:x")
	w.drained()
}

func TestAttemptOnTheWireIsBounded(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Retry.HostLosses, s.Retry.Attempts = 200, 100 })
	c := w.client(100, 1)
	c.submit(1, 1, "x")
	i := w.instance("a", 200, nil)
	task := &w.core.byID[1].slab.slots[1]
	task.losses, task.attempts = 198, 99
	i.die()
	i = w.instance("b", 201, nil)
	if len(i.tasks) != 1 || i.tasks[0].attempt != 255 {
		t.Fatalf("dispatched as %+v, want attempt 255 (the most that travels)", i.tasks)
	}
}

func TestStoppedClientAsksForNoMoreInstances(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Instances = protocol.Instances{Min: 1, Max: 5} })
	c := w.client(100, 1)
	c.keeps = true
	i := w.instance("a", 200, nil)
	for n := range uint64(30) {
		c.submit(1, n+1, string(make([]byte, 300_000)))
	}
	for w.settle(); len(i.tasks) > 0; w.settle() {
		i.executed(i.run(1), 10*time.Millisecond)
	}
	w.notes = nil
	w.pass(2 * time.Second)
	for _, n := range w.notes {
		if n.Wanted != nil {
			t.Fatalf("%d instances are wanted for a client that takes no results", n.Wanted.Instances)
		}
	}
}
