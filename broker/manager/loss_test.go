package manager

import (
	"fmt"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

func TestLostInstanceMakesSuspectsThatRunAlone(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Instances = protocol.Instances{Min: 2, Max: 2} })
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	a.executed(100, time.Millisecond)
	w.known(1)
	w.settle()
	for n := range uint64(50) {
		c.submit(1, n+1, fmt.Sprint(n+1))
	}
	w.settle()
	flying := len(a.tasks)
	if flying < 10 {
		t.Fatalf("only %d tasks are at the instance", flying)
	}
	b := w.instance("b", 201, nil)
	a.die()
	alone := 0
	for len(c.answers) < 50 {
		if len(b.tasks) == 0 {
			t.Fatalf("%d of 50 were answered and nothing is dispatched", len(c.answers))
		}
		if b.tasks[0].attempt == 2 {
			alone++
			if len(b.tasks) != 1 {
				t.Fatalf("a suspect shares its instance with %d others", len(b.tasks)-1)
			}
		}
		b.run(1)
		w.settle()
	}
	if alone != flying {
		t.Fatalf("%d tasks ran alone, %d were unanswered when the instance died", alone, flying)
	}
	for n := range uint64(50) {
		c.want(t, n+1, "r:"+fmt.Sprint(n+1))
	}
	w.drained()
}

func TestPoisonTaskIsGivenUpAndNoOther(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	for n := range uint64(20) {
		payload := "good"
		if n == 5 {
			payload = "poison"
		}
		c.submit(1, n+1, payload)
	}
	deaths := 0
	for round := range uint64(40) {
		i := w.instance(fmt.Sprintf("i%d", round), 1000+round, nil)
		i.executed(100, time.Millisecond)
		w.settle()
		for len(i.tasks) > 0 && i.tasks[0].payload != "poison" {
			i.run(1)
			w.settle()
		}
		if len(i.tasks) == 0 {
			break
		}
		deaths++
		i.die()
	}
	if deaths != 5 { // once among others, then alone in each of 4 attempts
		t.Fatalf("the poison task ended %d instances, want 5", deaths)
	}
	c.want(t, 6, "!AttemptsSpent")
	for n := range uint64(20) {
		if n != 5 {
			c.want(t, n+1, "r:good")
		}
	}
	w.drained()
}

func TestHostLossesAreCountedApart(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Retry.HostLosses = 3 })
	c := w.client(100, 1)
	// Two tasks always together: neither is ever alone, so neither is to blame.
	for round := range uint64(3) {
		i := w.instance(fmt.Sprintf("i%d", round), 1000+round, nil)
		if round == 0 {
			c.submit(1, 1, "x")
			c.submit(1, 2, "y")
			w.settle()
		}
		if len(i.tasks) == 0 {
			t.Fatal("nothing was dispatched")
		}
		i.die()
	}
	if got := c.answers[protocol.NewTaskID(1, 1)]; len(got) > 0 && got[0] == "!AttemptsSpent" {
		t.Fatalf("answered %v after 3 losses", got)
	}
}

func TestInstanceThatMissedItsWelcomeStartsAnew(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.submit(1, 1, "x")
	c.submit(1, 2, "y")
	w.settle()
	w.order(session.Order{Admit: &session.Admit{Manager: 1, Container: "a", Incarnation: 200, Node: "n", Slots: 1, Sessions: 10}})
	i := w.party("a", 200, protocol.Hello{Role: protocol.RoleInstance, Container: "a"})
	i.link.Greet(i.hello)
	delete(w.parties, i.peer) // its connection breaks before the answer
	w.settle()
	w.nextPeer++
	i.peer = w.nextPeer
	w.parties[i.peer] = i
	i.link.Greet(i.hello)
	w.settle()
	w.runAll()
	c.want(t, 1, "r:x")
	c.want(t, 2, "r:y")
	w.drained()
}

// A suspect that never left for an instance does not count its end as an attempt; one that left does, acknowledged or not.
func TestSuspectThatNeverLeftIsNotToBlame(t *testing.T) {
	for name, x := range map[string]struct {
		cut    func(w *world, i *party) // before the suspect is dispatched
		answer string
	}{
		"the connection is known to be gone": {func(w *world, i *party) {
			delete(w.parties, i.peer)
			w.core.Step(w.now, Event{Kind: EventGone, Peer: i.peer})
		}, "r:x"},
		"the send finds it gone":           {func(w *world, i *party) { delete(w.parties, i.peer) }, "r:x"},
		"it came and was not acknowledged": {func(*world, *party) {}, "!AttemptsSpent"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.serve(func(s *protocol.Service) { s.Retry.Attempts = 1 })
			c := w.client(100, 1)
			a := w.instance("a", 200, nil)
			b := w.instance("b", 201, nil)
			for n := range uint64(8) { // so many that the session is bound to both
				c.submit(1, n+1, "before")
			}
			w.settle()
			w.runAll()
			if !a.bound[1] || !b.bound[1] {
				t.Fatal("the session is not bound to both instances")
			}
			c.submit(1, 9, "x")
			w.settle()
			first, second := a, b
			if len(b.tasks) > 0 {
				first, second = b, a
			}
			x.cut(w, second)
			first.die()
			if w.core.unfinished() != 1 {
				t.Fatal("the task is over with the first instance")
			}
			second.die()
			w.instance("c", 202, nil)
			w.runAll()
			c.want(t, 9, x.answer)
			w.drained()
		})
	}
}
