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
