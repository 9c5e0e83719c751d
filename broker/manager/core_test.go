package manager

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

func TestTaskGoesToItsInstanceAndBack(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.submit(1, 1, "early") // before there is an instance
	w.settle()
	i := w.instance("a", 200, nil)
	w.settle()
	if len(i.tasks) != 1 || i.tasks[0].attempt != 1 || i.tasks[0].client != protocol.NewTaskID(1, 1) {
		t.Fatalf("the instance was given %+v", i.tasks)
	}
	big := strings.Repeat("x", 20_000)
	c.submit(1, 2, big)
	w.settle()
	w.runAll()
	c.want(t, 1, "r:early")
	c.want(t, 2, "r:"+big)
	if got := w.changed(1); !slices.Equal(got, []string{protocol.SessionRunning}) {
		t.Fatalf("session went through %v", got)
	}
	w.drained()
}

func TestCreditFollowsExecutionTime(t *testing.T) {
	for _, tc := range []struct {
		name  string
		slots int
		each  time.Duration
		want  int
	}{
		{"unknown", 1, 0, 2},
		{"unknown, 4 slots", 4, 0, 8},
		{"slow", 1, 10 * time.Millisecond, 2},
		{"one millisecond", 1, time.Millisecond, 2},
		{"100 microseconds", 1, 100 * time.Microsecond, 20},
		{"fast", 1, 50, 8192},
		{"slow, 4 slots", 4, time.Second, 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.serve(nil)
			c := w.client(100, 1)
			i := w.instance("a", 200, func(a *session.Admit) { a.Slots = tc.slots })
			if tc.each > 0 {
				i.executed(10, 10*tc.each)
				w.known(1)
			}
			w.settle()
			for n := range uint64(10_000) {
				c.submit(1, n+1, "")
			}
			w.settle()
			if len(i.tasks) != tc.want {
				t.Fatalf("%d tasks were dispatched, want %d", len(i.tasks), tc.want)
			}
			w.runAll()
			if len(c.answers) != 10_000 {
				t.Fatalf("%d of 10000 answered", len(c.answers))
			}
			w.drained()
		})
	}
}

func TestDuplicateTaskIsSuppressed(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	for range 3 {
		c.submit(1, 1, "x")
	}
	w.settle()
	if len(i.tasks) != 1 {
		t.Fatalf("%d executions, want 1", len(i.tasks))
	}
	w.runAll()
	c.submit(1, 1, "x")
	w.settle()
	if len(i.tasks) != 0 {
		t.Fatal("a finished task was executed again")
	}
	c.want(t, 1, "r:x")
	w.drained()
}

func TestSessionWithOneTaskIsNotHeldUpByOneWithMany(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, nil)
	i.executed(1, time.Millisecond)
	for n := range uint64(5000) {
		c.submit(1, n+1, "flood")
	}
	w.settle()
	c.submit(2, 1, "single")
	w.settle()
	at := slices.IndexFunc(i.tasks, func(g given) bool { return g.session == 2 })
	if at < 0 || at > 2 {
		t.Fatalf("the single task is at place %d of %d at the instance, want within the first 3", at, len(i.tasks))
	}
	w.runAll()
	if len(c.answers[protocol.NewTaskID(1, 1)]) != 2 { // of both sessions
		t.Fatal("not all were answered")
	}
	w.drained()
}

func TestIdleSessionYieldsItsSeat(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	numbers := []uint32{1, 2, 3, 4, 5}
	c := w.client(100, numbers...)
	i := w.instance("a", 200, func(a *session.Admit) { a.Sessions = 2 })
	if len(i.bound) != 2 {
		t.Fatalf("%d sessions are bound, want 2", len(i.bound))
	}
	for round := range uint64(3) {
		for _, n := range numbers {
			c.submit(n, round+1, fmt.Sprint(n))
			w.settle()
			w.runAll()
			if len(i.bound) > 2 {
				t.Fatalf("%d sessions are bound, at most 2 have a place", len(i.bound))
			}
		}
	}
	for round := range uint64(3) {
		if got := c.answers[protocol.NewTaskID(round+1, uint32(round+1))]; len(got) != 5 {
			t.Fatalf("round %d: %v", round, got)
		}
	}
	w.drained()
}

func TestBusySessionsTakeTurnsOverSeats(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2, 3)
	i := w.instance("a", 200, func(a *session.Admit) { a.Sessions = 1 })
	i.executed(1, 10*time.Millisecond)
	for n := range uint64(1000) {
		for s := range uint32(3) {
			c.submit(s+1, n+1, fmt.Sprint(s+1))
		}
	}
	w.settle()
	served := map[string]int{}
	for range 100 {
		for _, g := range i.tasks[:min(1, len(i.tasks))] {
			served[g.payload]++
		}
		i.run(1)
		w.settle()
		w.pass(50 * time.Millisecond)
	}
	for _, s := range []string{"1", "2", "3"} {
		if served[s] < 20 {
			t.Fatalf("of 100 tasks %v were served; each session should have about a third", served)
		}
	}
}

func TestKillFreesTasksAtOnce(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, nil)
	i.executed(100, time.Millisecond)
	for n := range uint64(1000) {
		c.submit(1, n+1, "x")
	}
	c.submit(2, 1, "other")
	w.settle()
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "kill", "by test")}})
	if got := w.changed(1); !slices.Equal(got, []string{"running", "closed:SessionKilled"}) {
		t.Fatalf("session went through %v", got)
	}
	if i.bound[1] {
		t.Fatal("the killed session is still bound")
	}
	w.runAll()
	if got := c.answers[protocol.NewTaskID(1, 1)]; len(got) != 1 || got[0] != "r:other" {
		t.Fatalf("the other session's task was answered %v", got)
	}
	c.submit(1, 1001, "late")
	w.settle()
	last := w.notes[len(w.notes)-1]
	if last.Misdirected == nil || last.Misdirected.Session != 1 || last.Misdirected.Client != 100 {
		t.Fatalf("a task for the closed session was noted as %+v", last)
	}
	w.drained()
}

func TestFinishWaitsForTasksAndUnbind(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	for n := range uint64(5) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	w.order(session.Order{Close: &session.Close{Session: 1}})
	c.submit(1, 6, "too late")
	w.settle()
	if got := w.changed(1); slices.Contains(got, "closed") {
		t.Fatal("closed before its tasks were done")
	}
	w.runAll()
	for n := range uint64(5) {
		c.want(t, n+1, "r:x")
	}
	c.want(t, 6, "!SessionClosed")
	if got := w.changed(1); !slices.Equal(got, []string{"running", "closed"}) || i.bound[1] {
		t.Fatalf("session went through %v, bound %v", got, i.bound)
	}
	w.drained()
}

// A task that is recalled because another instance has nothing to do goes there, though the busy one has more credit.
func TestRecalledTaskGoesToTheIdleInstance(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, func(o *session.Admit) { o.Slots = 8 })
	for n := range uint64(9) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	b := w.instance("b", 201, nil)
	w.pass(2 * time.Second)
	if len(a.tasks) != 8 || len(b.tasks) != 1 || a.returned != 1 {
		t.Fatalf("%d and %d tasks are at the instances, and the busy one has given %d back; want 8, 1 and 1", len(a.tasks), len(b.tasks), a.returned)
	}
	w.runAll()
	for n := range uint64(9) {
		c.want(t, n+1, "r:x")
	}
	w.drained()
}

func TestDrainRecallsWhatHasNotStarted(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	a.executed(100, time.Millisecond)
	w.settle()
	for n := range uint64(10) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	a.link.Append(protocol.KindDrain, 0, 0, nil)
	w.settle()
	if len(a.tasks) != 1 || a.left {
		t.Fatalf("%d tasks are left at the draining instance (left: %v), want the running one", len(a.tasks), a.left)
	}
	b := w.instance("b", 201, nil)
	w.runAll()
	if !a.left || b.left {
		t.Fatal("the drained instance was not let go")
	}
	for n := range uint64(10) {
		c.want(t, n+1, "r:x")
	}
	w.drained()
}

// TestKilledSessionIsNotBoundAnew has an instance idle while another one still holds a session that was killed.
func TestKilledSessionIsNotBoundAnew(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Instances = protocol.Instances{Min: 2, Max: 2} })
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	a.executed(1, time.Second)
	w.settle()
	c.submit(1, 1, "x")
	c.submit(1, 2, "y")
	w.settle()
	a.dead = true // it is not heard to let the session go
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "", "")}})
	b := w.instance("b", 201, nil)
	w.pass(time.Second)
	if len(b.bound) > 0 {
		t.Fatalf("sessions %v are bound, and none is open", b.bound)
	}
}

func TestIdleInstanceTakesOverWaitingTasks(t *testing.T) {
	for _, known := range []bool{true, false} { // how long tasks take; not while the first ones run
		w := newWorld(t)
		w.serve(func(s *protocol.Service) { s.Instances = protocol.Instances{Min: 2, Max: 2} })
		c := w.client(100, 1)
		a := w.instance("a", 200, nil)
		if known {
			a.executed(1, time.Second)
		}
		w.settle()
		c.submit(1, 1, "x")
		c.submit(1, 2, "y")
		w.settle()
		if len(a.tasks) != 2 {
			t.Fatalf("known %t: %d tasks are at a, want 2", known, len(a.tasks))
		}
		b := w.instance("b", 201, nil)
		w.pass(200 * time.Millisecond)
		if len(a.tasks) != 1 || len(b.tasks) != 1 {
			t.Fatalf("known %t: a has %d tasks, b has %d; want one each", known, len(a.tasks), len(b.tasks))
		}
		w.runAll()
		w.drained()
	}
}

// An instance that works is given more while it has slots free.
func TestFreeSlotsTakeOverWaitingTasks(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Instances = protocol.Instances{Min: 2, Max: 2} })
	three := func(a *session.Admit) { a.Slots = 3 }
	c := w.client(100, 1)
	a := w.instance("a", 200, three)
	w.settle()
	for n := range uint64(6) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	if len(a.tasks) != 6 {
		t.Fatalf("%d tasks are at a, want 6", len(a.tasks))
	}
	b := w.instance("b", 201, three)
	w.pass(2 * time.Second)
	if len(a.tasks) != 3 || len(b.tasks) != 3 {
		t.Fatalf("a has %d tasks, b has %d; want three each", len(a.tasks), len(b.tasks))
	}
	w.runAll()
	w.drained()
}

func TestResultCreditStopsDispatch(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.keeps = true
	big := strings.Repeat("x", 300_000)
	for n := range uint64(20) {
		c.submit(1, n+1, big)
	}
	work := func() {
		w.settle()
		for len(i.tasks) > 0 {
			i.executed(i.run(1), 10*time.Millisecond)
			w.settle()
		}
	}
	work()
	if first := len(c.answers); first < 4 || first > 6 { // 1 MiB and what was at the instance
		t.Fatalf("a client that takes no results got %d of 20", first)
	}
	for len(c.answers) < 20 {
		before := len(c.answers)
		c.link.Append(protocol.KindCredit, 0, uint64(300_002*before), nil)
		work()
		if len(c.answers) == before {
			t.Fatalf("stuck at %d of 20 answers", before)
		}
	}
	w.drained()
}

func TestBadTasksAreRefused(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Limits.Payload = 100 })
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, strings.Repeat("x", 101))
	c.submit(1, 2, "ok")
	c.submit(1, 3, strings.Repeat("x", 99)) // the result has 101 bytes, and its instance sends it all the same
	c.link.Append(protocol.KindBind, 1, 0, nil)
	w.settle()
	w.runAll()
	c.want(t, 1, "!PayloadTooLarge")
	c.want(t, 2, "r:ok")
	c.want(t, 3, "!PayloadTooLarge")
	if !slices.Equal(c.refused, []string{"record"}) {
		t.Fatalf("a Bind from a client was answered %v", c.refused)
	}
	i.link.Append(protocol.KindResult, 1, 1<<40|99, []byte("invented"))
	i.link.Append(protocol.KindTask, 1, 1, nil)
	w.settle()
	if len(i.refused) != 1 {
		t.Fatalf("a Task from an instance was answered %v", i.refused)
	}
	w.drained()
}

func TestFramesOutsideOfAConversation(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	// A connection that was lost: the same process comes back under another number, data first.
	c.submit(1, 1, "x")
	w.settle()
	w.core.Step(w.now, Event{Kind: EventGone, Peer: c.peer})
	delete(w.parties, c.peer)
	w.nextPeer++
	c.peer = w.nextPeer
	w.parties[c.peer] = c
	i.run(1)
	w.settle() // the result waits for the conversation
	if len(c.answers) != 0 {
		t.Fatal("a result reached a connection that is gone")
	}
	c.submit(1, 2, "y")
	w.settle()
	w.runAll()
	c.want(t, 1, "r:x")
	c.want(t, 2, "r:y")
	// Nobody knows this one.
	s := w.party("stranger", 999, protocol.Hello{Role: protocol.RoleClient})
	s.link.Greet(s.hello)
	w.settle()
	if !slices.Equal(s.refused, []string{"UnknownSession"}) {
		t.Fatalf("a stranger's HELLO was answered %v", s.refused)
	}
	// An older epoch.
	old := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: protocol.NewEpoch(4, 0), Incarnation: 100, Sequence: protocol.NewStamp(2, 5)})
	old = protocol.AppendRecord(old, protocol.KindTask, 1, uint64(protocol.NewTaskID(9, 9)), nil)
	w.core.Step(w.now, Event{Kind: EventFrame, Peer: c.peer, Records: old})
	w.core.Step(w.now, Event{Kind: EventFrame, Peer: c.peer, Records: []byte("garbage")})
	w.settle()
	if len(i.tasks) != 0 {
		t.Fatal("a task of an old epoch was executed")
	}
	w.drained()
}

func TestWantedGrowsWithBacklogAndShrinksWhenIdle(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) {
		s.Instances = protocol.Instances{Min: 1, Max: 3}
		s.Limits.Idle = protocol.Duration(time.Second)
	})
	wanted := func() (n []int) {
		for _, x := range w.notes {
			if x.Wanted != nil {
				n = append(n, x.Wanted.Instances)
			}
		}
		return n
	}
	c := w.client(100, 1)
	if got := wanted(); !slices.Equal(got, []int{1}) {
		t.Fatalf("wanted %v at the first session, want 1", got)
	}
	a := w.instance("a", 200, nil)
	a.executed(1, time.Second)
	for n := range uint64(100) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	w.pass(500 * time.Millisecond)
	if got := wanted(); !slices.Equal(got, []int{1, 2}) {
		t.Fatalf("wanted %v with a backlog and one instance to come, want 1, 2", got)
	}
	w.instance("b", 201, nil)
	w.pass(500 * time.Millisecond)
	w.instance("c", 202, nil)
	w.pass(500 * time.Millisecond)
	if got := wanted(); !slices.Equal(got, []int{1, 2, 3}) {
		t.Fatalf("wanted %v, want up to 3", got)
	}
	w.runAll()
	w.pass(5 * time.Second)
	if got := wanted(); got[len(got)-1] != 1 {
		t.Fatalf("wanted %v after the idle limit, want 1 at the end", got)
	}
	told := len(wanted())
	w.order(session.Order{Close: &session.Close{Session: 1}})
	w.pass(5 * time.Second)
	if got := wanted(); len(got) != told || len(w.core.byID[1].instances) == 0 {
		t.Fatalf("wanted %v without sessions, want no change: its instances stay warm", got)
	}
}

func TestSilentInstanceByHandIsLost(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	hand := w.instance("hand-1", 200, func(a *session.Admit) { a.ByHand = true })
	agent := w.instance("agent-1", 201, nil)
	c.submit(1, 1, "x")
	w.settle()
	hand.dead, agent.dead = true, true
	w.pass(protocol.PeerTimeout + time.Second)
	var silent []string
	for _, n := range w.notes {
		if n.Silent != nil {
			silent = append(silent, n.Silent.Container)
		}
	}
	if !slices.Equal(silent, []string{"hand-1"}) {
		t.Fatalf("%v were found silent, want hand-1 alone: an agent attests the other", silent)
	}
}
