package manager

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// submitWith sends a task with options.
func (p *party) submitWith(number uint32, seq uint64, payload string, o protocol.TaskOptions) {
	link.AppendTask(p.link, number, protocol.NewTaskID(seq, uint32(seq)), []byte(payload), &o)
	p.w.settle()
}

func TestDeadlineOfTasks(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	soon := protocol.TaskOptions{Timeout: time.Second}
	c.submitWith(1, 1, "x", soon) // waits
	w.pass(time.Second)
	c.want(t, 1, "!Deadline")
	i := w.instance("a", 200, nil)
	i.stubborn = true
	c.submitWith(1, 2, "x", soon) // runs
	c.submitWith(1, 3, "x", soon) // is at the instance
	c.submitWith(1, 4, "x", soon) // waits for credit
	c.submit(1, 5, "no limit")
	w.settle()
	if x := i.executions[i.tasks[0].id]; x.Timeout != time.Second || x.Run != 0 || x.Watch {
		t.Fatalf("%+v", x)
	}
	w.pass(950 * time.Millisecond)
	if got := w.stage(1, 2); got != protocol.TaskScheduled {
		t.Fatal(got)
	}
	w.pass(50 * time.Millisecond)
	c.want(t, 3, "!Deadline")
	c.want(t, 4, "!Deadline")
	if got := w.stage(1, 2); got != "stopping acknowledged" {
		t.Fatal(got)
	}
	c.cancel(1, 2) // as well: it stays a deadline
	w.pass(testGrace)
	if k := w.kills(); !slices.Equal(k, []string{"a"}) {
		t.Fatalf("killed %v", k)
	}
	i.die()
	c.want(t, 2, "!Deadline")
	w.instance("b", 201, nil)
	w.pass(time.Hour) // it has all the time
	w.runAll()
	c.want(t, 5, "r:no limit")
	w.drained()
}

func TestRunLimit(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Limits.Run = protocol.Duration(3 * time.Second) })
	c := w.client(100, 1)
	c.submit(1, 1, "as the service says")
	c.submitWith(1, 2, "less", protocol.TaskOptions{Run: time.Second})
	w.pass(time.Minute) // waiting counts for nothing
	i := w.instance("a", 200, nil)
	if x := i.executions[i.tasks[0].id]; x.Run != 3*time.Second || !x.Watch || x.Timeout != 0 {
		t.Fatalf("%+v", x)
	}
	if x := i.executions[i.tasks[1].id]; x.Run != time.Second {
		t.Fatalf("%+v", x)
	}
	if a := w.task(1, 1).Task; a.State != protocol.TaskRunning || a.Since.IsZero() {
		t.Fatalf("%+v", a)
	}
	w.pass(2900 * time.Millisecond)
	if len(c.answers) > 0 {
		t.Fatalf("%v", c.answers)
	}
	w.pass(100 * time.Millisecond)
	c.want(t, 1, "!Deadline")
	w.pass(900 * time.Millisecond)
	if w.pass(100 * time.Millisecond); len(c.answers) != 2 {
		t.Fatalf("%v", c.answers)
	}
	c.want(t, 2, "!Deadline")
	if n := w.core.sessions[1].cancelled; n != 2 {
		t.Fatalf("counted are %d", n)
	}
	w.drained()
}

// TestRunLimitIsOfEachAttempt has a task run again after it has run for nearly as long as it may.
func TestRunLimitIsOfEachAttempt(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		secondAttempt(t, wait)
	}
}

// secondAttempt has it begin after a wait at its instance.
func secondAttempt(t *testing.T, wait time.Duration) {
	w := newWorld(t)
	w.serve(nil)
	w.order(session.Order{Open: &session.Open{
		Manager: 1, Session: 1, Client: 100, Bind: protocol.Bind{Session: 1}, TaskCredit: 10, ByteCredit: 1 << 20, Run: 2 * time.Second,
	}})
	c := w.client(100)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	w.pass(1900 * time.Millisecond)
	i.die()
	b := w.party("b", 201, protocol.Hello{Role: protocol.RoleInstance, Container: "b"})
	b.waits = true
	w.order(session.Order{Admit: &session.Admit{Manager: 1, Container: "b", Incarnation: 201, Slots: 1, Sessions: 10}})
	b.link.Greet(b.hello)
	w.settle()
	w.pass(wait) // after a second the time of the first attempt is over, and the second has not begun
	if got := w.stage(1, 1); got != protocol.TaskScheduled {
		t.Fatal(got)
	}
	b.waits = false
	b.begin()
	w.settle()
	w.pass(1900 * time.Millisecond)
	if got := w.stage(1, 1); got != protocol.TaskRunning {
		t.Fatal(got)
	}
	w.pass(100 * time.Millisecond)
	c.want(t, 1, "!Deadline")
	w.drained()
}

func TestDefaultsOfTimeout(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Limits.Timeout = protocol.Duration(3 * time.Second) })
	open := func(n uint32, d time.Duration) {
		w.order(session.Order{Open: &session.Open{
			Manager: 1, Session: n, Client: 100, Bind: protocol.Bind{Session: n}, TaskCredit: 10, ByteCredit: 1 << 20, Timeout: d,
		}})
	}
	open(1, 0)
	open(2, time.Second)
	c := w.client(100)
	c.submit(1, 1, "as the service says")
	c.submit(2, 2, "as the session says")
	c.submitWith(2, 3, "as the task says", protocol.TaskOptions{Timeout: 5 * time.Second})
	c.submitWith(2, 4, "not longer than the session says", protocol.TaskOptions{Timeout: 5 * time.Second, AtMost: true})
	c.submitWith(1, 5, "not longer than the service says", protocol.TaskOptions{Timeout: 5 * time.Second, AtMost: true})
	c.submitWith(1, 6, "shorter than the service says", protocol.TaskOptions{Timeout: 2 * time.Second, AtMost: true})
	for n, want := range []struct {
		session uint32
		after   time.Duration
	}{{1, 3 * time.Second}, {2, time.Second}, {2, 5 * time.Second}, {2, time.Second}, {1, 3 * time.Second}, {1, 2 * time.Second}} {
		if a := w.task(want.session, uint64(n+1)).Task; a.Deadline.Sub(w.now) != want.after {
			t.Errorf("task %d ends after %v, want %v", n+1, a.Deadline.Sub(w.now), want.after)
		}
	}
	w.pass(6 * time.Second)
	for n := range uint64(6) {
		c.want(t, n+1, "!Deadline")
	}
	w.drained()

	w.serve(func(s *protocol.Service) { s.Limits.Timeout = 0 })
	w.order(session.Order{Open: &session.Open{Manager: 1, Session: 3, Client: 100, Bind: protocol.Bind{Session: 3}, TaskCredit: 10, ByteCredit: 1 << 20}})
	c.submitWith(3, 7, "nobody else says anything", protocol.TaskOptions{Timeout: 5 * time.Second, AtMost: true})
	if a := w.task(3, 7).Task; a.Deadline.Sub(w.now) != 5*time.Second {
		t.Errorf("a task of a service without a limit ends after %v", a.Deadline.Sub(w.now))
	}
}

// TestPlainTasksHaveNothingExtra holds that the plain path does nothing more than before.
func TestPlainTasksHaveNothingExtra(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	w.instance("a", 200, nil)
	for n := range uint64(100) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	m := w.core.managers[0]
	if _, due := m.alarms.next(); due || len(m.slab.extras) > 0 {
		t.Fatalf("%d extras, an alarm: %v", len(m.slab.extras), due)
	}
	w.runAll()
	w.drained()
}
