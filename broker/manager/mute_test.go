package manager

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// missed is a message that waits for a party that is stopped.
type missed struct {
	frame  []byte
	bodies [][]byte
}

// stop has a party take and say nothing, as a process does that was stopped, and go on again.
func (p *party) stop() { p.stopped = true }

func (p *party) goOn() {
	p.stopped = false
	for _, m := range p.missed {
		p.receive(m.frame, m.bodies)
	}
	p.missed = nil
	p.w.settle()
}

// TestStoppedInstance: what an instance that falls silent cannot have begun is executed elsewhere, what it may be
// executing stays with it; it gets nothing more until it is heard, and the broker keeps no more for it.
func TestStoppedInstance(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, func(a *session.Admit) { a.Slots = 2 })
	w.known(1)
	a.executed(100, time.Millisecond)
	w.settle()
	a.stop()
	for n := range uint64(40) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	b := w.instance("b", 201, nil)
	w.pass(protocol.PeerTimeout / 2)
	if got := len(w.core.instances["a"].seats); got != 1 || w.core.instances["a"].flight < 30 {
		t.Fatalf("%d tasks are at the instance", w.core.instances["a"].flight)
	}
	for range 100 {
		w.pass(protocol.PeerTimeout / 100 * 2)
		b.answer(100, 5)
	}
	if got := w.core.instances["a"]; len(c.answers) != 38 || got.flight != 2 || !got.mute {
		t.Fatalf("%d of 40 are answered, %d are at the silent instance; want all but the 2 that it may be executing%s",
			len(c.answers), got.flight, w.describe())
	}
	held := w.core.ends[200].link.Held()
	for n := range uint64(20) {
		c.submit(1, 100+n, "y")
	}
	w.settle()
	w.pass(time.Minute)
	b.answer(100, 5)
	if now := w.core.ends[200].link.Held(); now != held || len(c.answers) != 58 || w.core.ends[200].link.Unacked() > 8 {
		t.Fatalf("for the silent instance %d bytes are kept, %d before; %d tasks are answered", now, held, len(c.answers))
	}
	a.goOn()
	a.link.Beat(true)
	w.pass(time.Second)
	if w.core.instances["a"].mute || len(a.tasks) != 2 {
		t.Fatalf("it is mute: %v, and has %d tasks, want the 2 that were left to it", w.core.instances["a"].mute, len(a.tasks))
	}
	a.answer(2, 5)
	for n := range uint64(4000) {
		c.submit(1, 200+n, "z")
	}
	w.settle()
	if len(a.tasks) == 0 {
		t.Fatal("an instance that is heard again gets no tasks")
	}
	for range 10 {
		a.answer(1000, 5)
		b.answer(4000, 5)
	}
	for id, got := range c.answers {
		if len(got) != 1 {
			t.Errorf("task %v has %d answers", id, len(got))
		}
	}
	if len(c.answers) != 4060 {
		t.Fatalf("%d of 4060 are answered", len(c.answers))
	}
	w.drained()
}

// TestLateResultOfAnInstanceThatIsGone: it is dropped, and counted.
func TestLateResultOfAnInstanceThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	c.submit(1, 2, "x")
	w.settle()
	w.order(session.Order{Lost: &session.Lost{Container: "a", Reason: "its node was not heard"}})
	a.answer(2, 5)
	if got := w.core.sessions[1].stats.Late; got != 2 || len(c.answers) != 0 {
		t.Fatalf("%d results are counted as late, %d tasks answered; want 2 and none", got, len(c.answers))
	}
	b := w.instance("b", 201, nil)
	w.finish(c, 5, 2, b)
}

// TestTakenBackTaskIsExecutedOnce: an instance that is heard again gets, as one of another name, a task that it was asked to
// give up: what it says of that does not concern the one that it has now.
func TestTakenBackTaskIsExecutedOnce(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	w.known(1)
	a.executed(100, time.Millisecond)
	w.settle()
	a.stop()
	begun := w.now
	for n := range uint64(10) {
		if n < 8 {
			c.submit(1, n+1, "x")
		} else {
			c.submitWith(1, n+1, "x", protocol.TaskOptions{Timeout: time.Minute})
		}
	}
	c.submit(1, 11, "y")
	w.settle()
	b := w.instance("b", 201, func(a *session.Admit) { a.Slots = 2 })
	w.pass(2 * protocol.PeerTimeout)
	if n := w.core.instances["a"].flight; n != 1 {
		t.Fatalf("%d tasks are at the silent instance, want the one that it may be executing", n)
	}
	a.stopped = false // it is heard before it has read anything
	a.link.Beat(true)
	a.link.Beat(true)
	a.flush()
	a.stop()
	w.settle()
	if n := w.core.instances["a"].flight; n < 2 {
		t.Fatalf("%d tasks are at the instance that was heard%s", n, w.describe())
	}
	a.goOn()
	w.pass(time.Second)
	for len(c.answers) < 2 { // those with a deadline have their turn last
		w.pass(time.Second)
		if w.now.Sub(begun) > 2*time.Minute {
			t.Fatalf("a task that was taken back has lost its deadline%s", w.describe())
		}
	}
	c.want(t, 9, "!Deadline")
	c.want(t, 10, "!Deadline")
	executed := 2
	for len(a.tasks)+len(b.tasks) > 0 {
		executed += a.run(1) + b.run(1)
		w.settle()
	}
	if executed != 11 || len(c.answers) != 11 {
		t.Fatalf("%d tasks were executed and %d answered, want 11 of each", executed, len(c.answers))
	}
	w.drained()
}

// TestSilentInstanceGivesUpToOneThatComesLater: when nobody else was there as it fell silent.
func TestSilentInstanceGivesUpToOneThatComesLater(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	w.known(1)
	a.executed(100, time.Millisecond)
	w.settle()
	a.stop()
	for n := range uint64(10) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	w.pass(2 * protocol.PeerTimeout)
	if !w.core.instances["a"].mute {
		t.Fatal("it is not silent")
	}
	b := w.instance("b", 201, nil)
	for range 20 {
		w.pass(protocol.PeerTimeout / 20)
		b.answer(100, 5)
	}
	if len(c.answers) != 9 {
		t.Fatalf("%d of 10 are answered, want all but the one that the silent instance may be executing%s", len(c.answers), w.describe())
	}
	w.order(session.Order{Lost: &session.Lost{Container: "a", Reason: "killed"}})
	w.finish(c, 5, 10, b)
}

// TestSilentInstanceHoldsNoOtherSuspectsUp: neither because it has one, nor because a session has its only place there.
func TestSilentInstanceHoldsNoOtherSuspectsUp(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	w.known(1)
	dies := w.instance("a", 200, func(a *session.Admit) { a.Slots = 4 })
	for n := range uint64(4) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	if len(dies.tasks) != 4 {
		t.Fatalf("%d tasks are at the instance", len(dies.tasks))
	}
	b := w.instance("b", 201, nil)
	dies.die()
	if len(b.tasks) != 1 {
		t.Fatalf("%d suspects are at the instance", len(b.tasks))
	}
	b.stop()
	w.pass(2 * protocol.PeerTimeout)
	d := w.instance("d", 202, nil)
	for range 20 {
		w.pass(protocol.PeerTimeout / 20)
		d.answer(100, 5)
	}
	if len(c.answers) != 3 {
		t.Fatalf("%d of 4 suspects are answered, want all but the one that the silent instance may be executing%s", len(c.answers), w.describe())
	}
	b.goOn()
	b.link.Beat(true)
	w.finish(c, 5, 4, b, d)
}

// TestSessionThatWaitsForAPlaceHasOneWhereItIsHeard: an instance is not bound again to a session that waited elsewhere
// while the instance was silent.
func TestSessionThatWaitsForAPlaceHasOneWhereItIsHeard(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	w.known(1)
	a := w.instance("a", 200, nil)
	w.pass(time.Second)
	a.stop()
	w.pass(2 * protocol.PeerTimeout)
	b := w.instance("b", 201, func(a *session.Admit) { a.Sessions = 1 })
	for n := range uint64(20) {
		c.submit(2, n+1, "x")
		w.settle()
		c.submit(1, n+1, "x")
		w.settle()
	}
	if !w.core.sessions[1].waits && !w.core.sessions[2].waits {
		t.Fatalf("neither session waits%s", w.describe())
	}
	a.link.Beat(true)
	a.goOn()
	a.link.Beat(true)
	w.pass(time.Second)
	if n := len(w.core.instances["a"].seats); n > 2 {
		t.Fatalf("the instance is bound %d times to 2 sessions%s", n, w.describe())
	}
	for range 40 {
		a.answer(5, 5)
		b.answer(5, 5)
		w.pass(busyTick)
	}
	if n := w.core.unfinished(); n != 0 {
		t.Fatalf("%d tasks are unfinished%s", n, w.describe())
	}
	w.drained()
}
