package manager

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// stats asks for what was counted of a session; 0 is for all of manager 1.
func (w *world) stats(number uint32) protocol.Stats {
	w.t.Helper()
	w.order(session.Order{Query: &session.Query{ID: 1, Manager: 1, Stats: &protocol.GetStats{Session: number}}})
	for _, n := range w.notes {
		if n.Answer != nil {
			w.notes = nil
			if n.Answer.Error != nil {
				w.t.Fatalf("the question is answered by %v", n.Answer.Error)
			}
			return *n.Answer.Stats
		}
	}
	w.t.Fatalf("the question is not answered")
	return protocol.Stats{}
}

func about(d, want time.Duration) bool { return d >= want*9/10 && d <= want*11/10 }

// TestTheWayOfTasksIsTimed has tasks, two of them in frames of their own, wait for two seconds until there is an instance,
// stay there for one, and their results at the client for three.
func TestTheWayOfTasksIsTimed(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.keeps = true
	for n := range uint64(4) {
		c.submit(1, n+1, "12345")
	}
	c.submit(1, 5, strings.Repeat("x", protocol.InlinePayload))
	c.submit(1, 6, strings.Repeat("x", protocol.InlinePayload))
	w.settle()
	w.pass(2 * time.Second)
	if s := w.stats(1); s.Submitted != 6 || s.Waiting != 6 || s.BytesIn != 20+2*protocol.InlinePayload || s.Instances != 0 ||
		!about(s.Starved, 2*time.Second) || !about(s.Active, 2*time.Second) || s.Serving != 0 || s.Queued.N() != 0 {
		t.Fatalf("while they wait: %+v", s)
	}
	i := w.instance("a", 200, func(a *session.Admit) { a.Slots = 8 })
	if s := w.stats(1); s.Queued.N() != 6 || !about(s.Queued.Mean(), 2*time.Second) || s.Flying != 6 || s.Waiting != 0 || s.Instances != 1 || s.Slots != 8 {
		t.Fatalf("at the instance: %+v", s)
	}
	w.pass(time.Second)
	if s := w.stats(1); !about(s.Serving, time.Second) || !about(s.Busy, 6*time.Second) {
		t.Fatalf("what is being executed is not counted as executing: serving %v, busy %v", s.Serving, s.Busy)
	}
	i.run(6)
	i.executed(6, 3*time.Second)
	w.settle()
	s := w.stats(1)
	if s.Done != 6 || s.Executing.N() != 6 || s.Executing.Mean() != time.Second/2 || s.InFlight.N() != 1 || !about(s.InFlight.Sum, time.Second) ||
		s.Busy != 3*time.Second || s.BytesOut != s.BytesIn+12 || s.Returning.N() != 0 || s.Flying != 0 || !about(s.Starved, 2*time.Second) {
		t.Fatalf("when they are executed: %+v", s)
	}
	w.pass(3 * time.Second)
	if s := w.stats(1); !about(s.Blocked, 3*time.Second) || !about(s.Active, 6*time.Second) {
		t.Fatalf("a client that does not take the last results: blocked %v, active %v", s.Blocked, s.Active)
	}
	if len(c.asked) != 1 {
		t.Fatalf("the client was asked %v, want once", c.asked)
	}
	c.link.Append(protocol.KindCredit, 0, c.asked[0]-1, nil)
	w.settle()
	if s := w.stats(1); s.Returning.N() != 0 {
		t.Fatalf("it took less than it was asked for, and that is counted as returned")
	}
	c.link.Append(protocol.KindCredit, 0, s.BytesOut, nil)
	w.settle()
	if s := w.stats(1); s.Returning.N() != 1 || !about(s.Returning.Sum, 3*time.Second) {
		t.Fatalf("returning: %+v", s.Returning)
	}
	w.pass(time.Second)
	if s := w.stats(1); !about(s.Active, 6*time.Second) || len(c.asked) != 1 {
		t.Fatalf("a session with nothing to do is active for %v; the client was asked %v", s.Active, c.asked)
	}
}

// TestTheLastResultsAreAskedFor has a client be asked about results that came after those it was asked about.
func TestTheLastResultsAreAskedFor(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.keeps = true
	i := w.instance("a", 200, nil)
	for n := range uint64(2) {
		c.submit(1, n+1, "1234")
		w.settle()
		w.pass(200 * time.Millisecond)
		i.run(1)
		w.settle()
	}
	w.pass(time.Second)
	if len(c.asked) != 1 || c.asked[0] != 6 {
		t.Fatalf("it was asked %v, want for the first result of 6 bytes", c.asked)
	}
	c.link.Append(protocol.KindCredit, 0, 6, nil)
	w.settle()
	w.pass(time.Second)
	if len(c.asked) != 2 || c.asked[1] != 12 {
		t.Fatalf("it was asked %v, want for the other 6 bytes as well", c.asked)
	}
	before := w.stats(1)
	w.pass(time.Second)
	if s := w.stats(1); !about(s.Blocked-before.Blocked, time.Second) {
		t.Fatalf("blocked went from %v to %v in a second", before.Blocked, s.Blocked)
	}
	c.link.Append(protocol.KindCredit, 0, 12, nil)
	w.settle()
	w.pass(time.Second)
	if s := w.stats(1); s.Returning.N() != 1 || len(c.asked) != 2 { // nobody knows when the others came
		t.Fatalf("returning %+v, asked %v", s.Returning, c.asked)
	}
}

func TestABlockedClientIsNotStarving(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.keeps = true
	i := w.instance("a", 200, nil)
	big := strings.Repeat("x", 600_000)
	for n := range uint64(8) {
		c.submit(1, n+1, big)
	}
	w.settle()
	for len(i.tasks) > 0 {
		i.run(1)
		w.settle()
	}
	before := w.stats(1)
	w.pass(2 * time.Second)
	s := w.stats(1)
	if s.Waiting == 0 || !about(s.Blocked-before.Blocked, 2*time.Second) || s.Starved != before.Starved {
		t.Fatalf("%d wait; blocked %v, starved %v", s.Waiting, s.Blocked-before.Blocked, s.Starved-before.Starved)
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "again")
	w.settle()
	g := i.tasks[0]
	i.tasks = nil
	i.link.Append(protocol.KindFailure, g.session, g.id, protocol.Marshal(protocol.Error{Code: protocol.CodeTaskFailed, Retry: 1}))
	w.settle()
	w.pass(10 * time.Second) // it may wait
	if s := w.stats(1); s.Retried != 1 || s.Queued.N() != 1 || s.InFlight.N() != 1 || s.Late != 0 {
		t.Fatalf("after one retry: %+v", s)
	}
	w.runAll()
	i.link.Append(protocol.KindResult, 1, g.id+99<<32, []byte("late")) // of an attempt that was given up
	w.settle()
	if s := w.stats(1); s.Done != 1 || s.Late != 1 {
		t.Fatalf("%d done, %d late", s.Done, s.Late)
	}
}

func TestRefusedTasksAreCounted(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Limits.Payload = 10 })
	c := w.client(100, 1)
	c.submit(1, 1, "much too long")
	c.submit(1, 2, "short")
	w.settle()
	if s := w.stats(1); s.Refused != 1 || s.Failed != 0 || s.Submitted != 1 || s.BytesIn != 5 {
		t.Fatalf("%+v", s)
	}
}

// TestExecutionIsSharedBySessions has one instance work for two sessions.
func TestExecutionIsSharedBySessions(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2, 3)
	i := w.instance("a", 200, func(a *session.Admit) { a.Slots = 4 })
	for n := range uint64(3) {
		c.submit(1, n+1, "x")
	}
	c.submit(2, 1, "x")
	w.settle()
	w.pass(time.Second)
	i.run(4)
	i.executed(4, 2*time.Second)
	w.settle()
	one, two, idle := w.stats(1), w.stats(2), w.stats(3)
	if one.Executing.N() != 3 || two.Executing.N() != 1 || one.Executing.Mean() != time.Second/2 || two.Executing.Mean() != time.Second/2 {
		t.Fatalf("executing: %+v and %+v", one.Executing, two.Executing)
	}
	if one.Busy != 2*time.Second || two.Busy != 2*time.Second || idle.Busy != 0 || idle.Active != 0 {
		t.Fatalf("busy: %v, %v; of a session with nothing to do %v", one.Busy, two.Busy, idle.Busy)
	}
	all := w.stats(0)
	if all.Executing.N() != 4 || all.Done != 4 || all.Instances != 1 || all.Submitted != 4 {
		t.Fatalf("of all: %+v", all)
	}
	i.executed(1, 1<<60) // of a program that lies
	w.settle()
	if s := w.stats(0); s.Busy < 0 || s.Busy > time.Minute {
		t.Fatalf("busy for %v", s.Busy)
	}
}

func TestStatsOfASessionThatIsOver(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	w.runAll()
	w.notes = nil
	w.order(session.Order{Close: &session.Close{Session: 1}})
	at := map[string]int{}
	for k, n := range w.notes {
		switch {
		case n.Counted != nil && n.Counted.Session == 1 && n.Counted.Stats.Done == 1 && n.Counted.Stats.Executing.N() == 1:
			at["counted"] = k + 1
		case n.Changed != nil && n.Changed.State == protocol.SessionClosed:
			at["over"] = k + 1
		}
	}
	if at["counted"] == 0 || at["over"] < at["counted"] {
		t.Fatalf("the notes are %+v", w.notes)
	}
	w.order(session.Order{Query: &session.Query{ID: 7, Manager: 1, Stats: &protocol.GetStats{Session: 1}}})
	if a := w.notes[len(w.notes)-1].Answer; a == nil || a.Error == nil || a.Error.Code != protocol.CodeUnknownSession {
		t.Fatalf("asked for a session that is over: %+v", a)
	}
	w.order(session.Order{Query: &session.Query{ID: 8, Manager: 99, Stats: &protocol.GetStats{}}})
	if a := w.notes[len(w.notes)-1].Answer; a == nil || a.ID != 8 || a.Stats == nil || a.Stats.Done != 0 {
		t.Fatalf("asked for a manager that is not here: %+v", a)
	}
}

// TestStatsMoveAlong moves a manager while a task of its session is at an instance.
func TestStatsMoveAlong(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	w.pass(time.Second)
	i.run(1)
	w.settle()
	c.submit(1, 2, "y")
	w.settle()
	before := w.stats(1)
	w.order(session.Order{Move: &session.Move{Manager: 1}})
	var state any
	for _, n := range w.notes {
		if n.Moved != nil {
			state = n.Moved.State
		}
	}
	w.order(session.Order{Adopt: &session.Adopt{State: state}})
	after := w.stats(1)
	if after.Submitted != 2 || after.Done != 1 || after.InFlight.N() != before.InFlight.N() || after.Queued.N() != 2 || after.Active != before.Active {
		t.Fatalf("before the move %+v\nafter it %+v", before, after)
	}
	w.pass(time.Second)
	if s := w.stats(1); !about(s.Active-before.Active, time.Second) {
		t.Fatalf("in a second active went from %v to %v", before.Active, s.Active)
	}
}

// TestAKilledSessionsTaskIsNoSampleForEver kills the session whose task is the instance's sample.
func TestAKilledSessionsTaskIsNoSampleForEver(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "", "")}})
	w.pass(busyTick)
	c.submit(2, 1, "y")
	w.settle()
	w.pass(time.Second)
	i.run(1)
	w.settle()
	if s := w.stats(2); s.InFlight.N() != 1 || !about(s.InFlight.Sum, time.Second) {
		t.Fatalf("in flight: %+v", s.InFlight)
	}
}

func TestSlotsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n > 64 {
		t.Fatalf("a slot has %d bytes, at most a cache line is allowed", n)
	}
}

// mishaps are the failures of hooks that were told.
func (w *world) mishaps() (all []protocol.Failure) {
	for _, n := range w.notes {
		if n.Mishap != nil {
			all = append(all, n.Mishap.Failure)
		}
	}
	return all
}

func TestFailuresOfHooksAreTold(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, func(a *session.Admit) { a.Slots = 8 })
	fail := func(first, n uint64) {
		for k := range n {
			c.submit(1, first+k, "x")
		}
		w.settle()
		for _, g := range i.tasks {
			i.link.Append(protocol.KindFailure, g.session, g.id, protocol.Marshal(protocol.Error{Code: protocol.CodeTaskFailed, Op: "OnTaskExec", Msg: g.payload, Retry: 2}))
		}
		i.tasks = nil
		w.settle()
	}
	fail(1, 5)
	all := w.mishaps()
	if len(all) != 1 || all[0].Hook != "OnTaskExec" || all[0].Container != "a" || all[0].Node != "node-a" || all[0].Task.Sequence() != 1 || all[0].Error.Msg != "x" {
		t.Fatalf("of five failures at once is told: %+v", all)
	}
	w.pass(2 * failureEvery)
	if all := w.mishaps(); len(all) != 2 || all[1].Task.Sequence() != 5 {
		t.Fatalf("after a while is told: %+v", all)
	}
	w.pass(time.Second)
	fail(6, 1)
	if all := w.mishaps(); len(all) != 3 || all[2].Task.Sequence() != 6 {
		t.Fatalf("of a later one is told: %+v", all)
	}
	fail(7, 1)
	w.order(session.Order{Close: &session.Close{Session: 1}})
	if all := w.mishaps(); len(all) != 4 || all[3].Task.Sequence() != 7 {
		t.Fatalf("of the last one of the session is told: %+v", all)
	}
}

func TestARefusalIsToldWithItsInstance(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.client(100)
	i := w.instance("a", 200, func(*session.Admit) {})
	i.hold = true
	w.open(100, 1)
	i.link.Append(protocol.KindRefused, 1, 0, protocol.Marshal(protocol.Errorf(protocol.CodeBindFailed, "OnSessionBind", "no such market")))
	w.settle()
	if all := w.mishaps(); len(all) != 1 || all[0].Hook != "OnSessionBind" || all[0].Container != "a" || all[0].Error.Msg != "no such market" {
		t.Fatalf("told: %+v", all)
	}
}

// TestTasksSayWhenTheyCame asks about tasks with their payload in a frame and in one of their own.
func TestTasksSayWhenTheyCame(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	w.pass(10 * time.Second)
	came := w.now
	c.submit(1, 1, "x")
	c.submit(1, 2, strings.Repeat("x", protocol.InlinePayload))
	w.settle()
	w.pass(3 * time.Second)
	for seq := range uint64(2) {
		a := w.task(1, seq+1)
		if a.Task == nil || a.Task.Since.Sub(came).Abs() > stampUnit {
			t.Errorf("task %d came at %v, not at %+v", seq+1, came, a.Task)
		}
	}
}
