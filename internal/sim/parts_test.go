package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// calmWorld is a world without faults that has been made, and in which nothing has happened.
func calmWorld(t *testing.T) *World {
	t.Helper()
	o := Options{Seed: 1, Steps: 1 << 30, Without: ^Faults(0), Most: Sizes{Loops: 1, Clients: 1, Nodes: 1, Services: 1}}
	w := &World{options: o, plan: newPlan(&o), now: epochOfTime}
	w.plan.roomy, w.plan.external = true, 0
	w.create()
	return w
}

// until lets events happen until something is so, or for so long in simulated time.
func (w *World) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := w.at + int64(time.Minute); !so(); {
		e, ok := w.queue.pop()
		if !ok || e.at > end || w.failure != nil {
			t.Fatalf("%s: it did not come about; failure: %v", what, w.failure)
		}
		w.at, w.now = e.at, epochOfTime.Add(time.Duration(e.at))
		w.happen(&e)
	}
}

func TestQueueIsInOrder(t *testing.T) {
	s := newSource(7, 1)
	var q queue
	var added []event
	var last event
	for range 5000 {
		if s.n(3) > 0 {
			q.push(int64(s.n(50))+last.at, evCall, nil, uint32(s.n(9)))
			added = append(added, event{at: q.heap[len(q.heap)-1].at})
			continue
		}
		if e, ok := q.pop(); ok {
			if e.before(&last) {
				t.Fatalf("event %d at %d comes after %d at %d", e.order, e.at, last.order, last.at)
			}
			last = e
		}
	}
	for {
		e, ok := q.pop()
		if !ok {
			break
		}
		if e.before(&last) {
			t.Fatalf("event %d at %d comes after %d at %d", e.order, e.at, last.order, last.at)
		}
		last = e
	}
	if q.count != uint64(len(added)) {
		t.Errorf("%d events were added, %d counted", len(added), q.count)
	}
}

func TestSourceDraws(t *testing.T) {
	s, same, other := newSource(1, 1), newSource(1, 1), newSource(1, 2)
	differs := false
	seen := make([]int, 10)
	for range 10_000 {
		v := s.next()
		if v != same.next() {
			t.Fatal("equal sources differ")
		}
		differs = differs || v != other.next()
		seen[s.n(10)]++
		same.n(10)
		if d := s.span(time.Second, 2*time.Second); d < time.Second || d >= 2*time.Second {
			t.Fatalf("span gives %v", d)
		}
		same.span(time.Second, 2*time.Second)
	}
	if !differs {
		t.Error("two streams of a seed are one")
	}
	for n, times := range seen {
		if times < 800 || times > 1200 {
			t.Errorf("%d was drawn %d times of 10000", n, times)
		}
	}
}

func TestPayloadsAreHeldToAccount(t *testing.T) {
	for name, do := range map[string]func(p *payloads, h protocol.Handle){
		"released twice":       func(p *payloads, h protocol.Handle) { p.release(h); p.release(h) },
		"retained when gone":   func(p *payloads, h protocol.Handle) { p.release(h); p.retain(h) },
		"old handle of a slot": func(p *payloads, h protocol.Handle) { p.release(h); p.add(2, 2); p.release(h) },
		"invented":             func(p *payloads, _ protocol.Handle) { p.release(77) },
	} {
		w := &World{}
		p := &payloads{w: w}
		h := p.add(1, 1)
		p.retain(h)
		p.release(h)
		if w.failure != nil || p.live != 1 {
			t.Fatalf("%s: before: %v, %d live", name, w.failure, p.live)
		}
		do(p, h)
		if w.failure == nil || w.failure.Kind != "handle" {
			t.Errorf("%s: it is not noticed", name)
		}
	}
}

// The network delivers in order and loses nothing while no fault happens; a new connection has a new number; what is
// sent by one that broke goes nowhere.
func TestNetwork(t *testing.T) {
	w := calmWorld(t)
	d := w.seats[0].client.lines
	w.until(t, "the client is connected", func() bool {
		d = w.seats[0].client.lines
		return len(d) > 0 && d[0].dealer.conn != nil && len(w.net.conns) > 0
	})
	c := d[0].dealer.conn
	frame := func(n uint64) []byte {
		return protocol.AppendHeader(nil, protocol.Header{Version: 1, Incarnation: n})
	}
	c.r.in = nil
	for n := range uint64(50) {
		w.net.carry(c, toRouter, frame(n+1), nil, &c.d.process.table)
	}
	w.broker.process.paused = w.at + int64(time.Hour) // what arrives stays in its queue
	ours := func() (numbers []uint64) {
		for _, a := range c.r.in {
			if h, _, err := protocol.ParseHeader(a.m.bytes); err != nil {
				t.Fatal(err)
			} else if h.Incarnation <= 50 && a.peer == c.peer { // the others are of the client's own
				numbers = append(numbers, h.Incarnation)
			}
		}
		return numbers
	}
	w.until(t, "everything arrives", func() bool { return len(ours()) >= 50 })
	for n, number := range ours() {
		if number != uint64(n+1) {
			t.Fatalf("message %d is that of %d", n+1, number)
		}
	}
	c.r.in = nil
	w.net.sever(c, false, 0, 0)
	w.net.carry(c, toRouter, frame(99), nil, &c.d.process.table)
	w.until(t, "it is connected again", func() bool { return d[0].dealer.conn != nil && d[0].dealer.conn != c })
	if d[0].dealer.conn.peer == c.peer {
		t.Error("the new connection has the number of the old one")
	}
	for _, a := range c.r.in {
		if a.peer == c.peer {
			t.Error("something came by a connection that broke")
		}
	}
	if c.r.send(c.peer, frame(1), nil) {
		t.Error("the router still knows the peer")
	}
}

func TestNetworkFaults(t *testing.T) {
	for name, set := range map[string]func(*World){
		"drop":      func(w *World) { w.plan.drop = 1000 },
		"cut":       func(w *World) { w.net.cut(w.seats[0].host, 3, true, time.Hour) },
		"duplicate": func(w *World) { w.plan.duplicate = 1000 },
		"hold":      func(w *World) { w.net.cut(w.seats[0].host, 3, false, 5*time.Second) },
	} {
		w := calmWorld(t)
		w.until(t, "the client is connected", func() bool {
			return len(w.seats[0].client.lines) > 0 && w.seats[0].client.lines[0].dealer.conn != nil
		})
		c := w.seats[0].client.lines[0].dealer.conn
		set(w)
		before := len(w.queue.heap)
		w.net.carry(c, toRouter, protocol.AppendHeader(nil, protocol.Header{Version: 1}), nil, &c.d.process.table)
		want := map[string]int{"drop": 0, "cut": 0, "duplicate": 2, "hold": 1}[name]
		if got := len(w.queue.heap) - before; got != want {
			t.Errorf("%s: %d messages are on their way, want %d", name, got, want)
		}
		if name == "hold" {
			if e := slices.MaxFunc(w.queue.heap, func(a, b event) int { return int(a.order) - int(b.order) }); e.at < w.at+int64(5*time.Second) {
				t.Errorf("a message arrives in %v, while the machine is cut off", time.Duration(e.at-w.at))
			}
		}
	}
}

func TestFaultsByName(t *testing.T) {
	all := Faults(1<<faults - 1)
	got, err := ParseFaults(all.String())
	if err != nil || got != all {
		t.Errorf("ParseFaults gives %v, %v; want all of them", got, err)
	}
	if _, err := ParseFaults("drop,no-such-fault"); err == nil || !strings.Contains(err.Error(), "no-such-fault") {
		t.Errorf("a name that is none: %v", err)
	}
	for c := range counts {
		if c.String() == "" {
			t.Errorf("count %d has no name", c)
		}
	}
}

// The shrinker finds the least that still fails, and what replays it is written out.
func TestShrink(t *testing.T) {
	run := func(o Options) Outcome {
		p := newPlan(&o)
		if o.Steps < 37 || !p.on.Has(Drop) || p.clients < 2 {
			return Outcome{}
		}
		return Outcome{Failure: &Failure{Kind: "result", Step: 100}}
	}
	o := Options{Steps: 5000}
	for o.Seed = 1; ; o.Seed++ {
		if p := newPlan(&o); p.on.Has(Drop) && p.on.Has(Pause) && p.clients > 2 && p.nodes > 1 {
			break
		}
	}
	small := shrink(Failed{Options: o, Outcome: run(o)}, 500, run)
	p := newPlan(&small.Options)
	if small.Options.Steps != 37 || p.clients != 2 || p.nodes != 1 || p.on != Faults(0).With(Drop) {
		t.Errorf("%d steps, %d clients, %d nodes, faults %v are left; want 37, 2, 1, drop", small.Options.Steps, p.clients, p.nodes, p.on)
	}
	command := small.Options.Command("frame-not-kept")
	for _, part := range []string{"make sim SEEDS=1 FIRST=", "STEPS=37", "BUG=frame-not-kept", "-sim.without=", "-sim.most="} {
		if !strings.Contains(command, part) {
			t.Errorf("%q does not have %q", command, part)
		}
	}
}

// Equal options give equal runs.
func TestRunsAreRepeated(t *testing.T) {
	for seed := range uint64(6) {
		o := Options{Seed: seed, Steps: 800, Exact: true}
		a, b := Run(o), Run(o)
		if a.Failure != nil {
			t.Fatalf("seed %d: %v", seed, a.Failure)
		}
		if a.Hash != b.Hash || a.Steps != b.Steps || a.Tally != b.Tally {
			t.Errorf("seed %d: two runs differ: %x and %x", seed, a.Hash, b.Hash)
		}
		o.Seed += 100
		if c := Run(o); c.Hash == a.Hash {
			t.Errorf("seeds %d and %d are the same run", seed, o.Seed)
		}
	}
}
