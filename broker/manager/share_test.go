package manager

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// serveAs makes a manager of a service with a share.
func (w *world) serveAs(id uint32, share protocol.Share) {
	s := protocol.Service{Name: fmt.Sprint("svc", id)}
	w.order(session.Order{Serve: &session.Serve{Manager: id, Service: s.WithDefaults(), Share: share}})
}

// instanceOf admits and connects an instance of a manager.
func (w *world) instanceOf(manager uint32, name string, inc uint64) *party {
	return w.instance(name, inc, func(a *session.Admit) { a.Manager = manager })
}

// openAt opens a session of a manager.
func (w *world) openAt(manager uint32, inc uint64, number uint32) {
	w.order(session.Order{Open: &session.Open{
		Manager: manager, Session: number, Client: inc, Bind: protocol.Bind{Session: number}, TaskCredit: 65536, ByteCredit: 32 << 20,
	}})
}

// busy tells the core for how long the loop was at work since the last time.
func (w *world) busy(d time.Duration) {
	w.core.Step(w.now, Event{Kind: EventBusy, Busy: d})
	w.check()
}

func TestBytesBeyondTheShareAreRefused(t *testing.T) {
	w := newWorld(t)
	w.serveAs(1, protocol.Share{CPU: 50, Memory: 1000})
	w.serveAs(2, protocol.Share{CPU: 50, Memory: 1000})
	c := w.client(100, 1, 2)
	w.openAt(2, 100, 3)
	c.submit(1, 1, strings.Repeat("a", 600))
	c.submit(2, 1, strings.Repeat("b", 400))
	c.submit(2, 2, "c")
	c.submit(3, 3, strings.Repeat("d", 1000))
	w.settle()
	c.want(t, 2, "!Overloaded")
	i := w.instance("i", 200, nil)
	w.settle()
	if got := len(i.tasks); got != 2 {
		t.Fatalf("%d tasks came, want those within the share", got)
	}
	i.run(2)
	w.settle()
	c.submit(1, 4, strings.Repeat("e", 1000))
	w.settle()
	if m := w.core.byID[1]; m.bytes != 1000 || w.core.byID[2].bytes != 1000 {
		t.Fatalf("%d bytes are held when the share was free again", m.bytes)
	}
	want := "service svc1 holds 1000 bytes of unfinished tasks, its share is 1000 (manager.memory)"
	if e := w.core.byID[1].overShare(); !strings.Contains(e.Error(), want) || e.RetryAfter == 0 {
		t.Errorf("%+v, want %s", e, want)
	}
}

// TestTimeIsApportionedByRecords charges two managers, one of which had three times the records of the other.
func TestTimeIsApportionedByRecords(t *testing.T) {
	w := newWorld(t)
	w.serveAs(1, protocol.Share{CPU: 100, Memory: 1 << 20})
	w.serveAs(2, protocol.Share{CPU: 100, Memory: 1 << 20})
	one, two := w.core.byID[1], w.core.byID[2]
	c := w.client(100, 1)
	w.openAt(2, 100, 2)
	w.busy(time.Hour) // nobody's: no records came
	for n := range uint64(30) {
		c.submit(1, n+1, "x")
	}
	for n := range uint64(10) {
		c.submit(2, n+1, "x")
	}
	w.settle()
	w.busy(200 * time.Millisecond)
	if got := [2]int64{one.usage.millicores(), two.usage.millicores()}; got != [2]int64{150, 50} {
		t.Fatalf("used are %v millicores, want 150 and 50", got)
	}
	if !one.usage.over || two.usage.over {
		t.Fatalf("beyond the share: %v, %v; want the first alone", one.usage.over, two.usage.over)
	}
	w.pass(600 * time.Millisecond)
	var told []session.Usage
	for _, n := range w.notes {
		if n.Usage != nil {
			told = append(told, *n.Usage)
		}
	}
	if !slices.Contains(told, session.Usage{Manager: 1, CPU: 150, Memory: 30}) || !slices.Contains(told, session.Usage{Manager: 2, CPU: 50, Memory: 10}) {
		t.Fatalf("told was %+v", told)
	}
	w.pass(time.Second)
	if one.usage.millicores() != 0 || one.usage.over {
		t.Fatalf("%d millicores after a second of rest", one.usage.millicores())
	}
	w.notes = nil
	w.pass(5 * time.Second)
	if slices.ContainsFunc(w.notes, func(n session.Note) bool { return n.Usage != nil }) {
		t.Error("what did not change is told again")
	}
}

// rivals is a world with a manager beyond its share (1) and one within it (2), one instance and session of each.
func rivals(t fataler) (w *world, c, over, within *party) {
	w = newWorld(t)
	w.serveAs(1, protocol.Share{CPU: 50, Memory: 1 << 20})
	w.serveAs(2, protocol.Share{CPU: 50, Memory: 1 << 20})
	w.known(1)
	w.known(2)
	c = w.client(100, 1)
	w.openAt(2, 100, 2)
	over, within = w.instanceOf(1, "over", 200), w.instanceOf(2, "within", 201)
	w.busy(time.Millisecond)
	c.submit(1, 1000, "x")
	w.settle()
	over.run(1)
	w.settle()
	w.busy(200 * time.Millisecond)
	if !w.core.byID[1].usage.over || w.core.byID[2].usage.over {
		t.Fatalf("the first alone should be beyond its share")
	}
	return w, c, over, within
}

// turn is one turn of the loop: what peers have sent, then one Take.
func (w *world) turn() {
	for _, p := range w.all {
		p.flush()
	}
	var b Batch
	w.core.Take(&b)
	w.carryOut(&b)
	w.check()
}

func TestWhoIsBeyondItsShareIsServedAfterTheOthers(t *testing.T) {
	w, c, over, within := rivals(t)
	for seq := uint64(1); seq <= 3; seq++ {
		c.submit(1, seq, "x")
		c.submit(2, seq, "y")
		w.turn()
		if len(within.tasks) != 1 || len(over.tasks) != 0 {
			t.Fatalf("turn %d: %d tasks within, %d beyond the share; want 1 and 0", seq, len(within.tasks), len(over.tasks))
		}
		if at, ok := w.core.Deadline(); !ok || at.After(w.now) {
			t.Fatalf("turn %d: the next is due at %v, want at once: somebody waits", seq, at)
		}
		within.tasks = nil
		within.link.Append(protocol.KindExecuted, 1, uint64(time.Microsecond), nil) // credit for more
	}
	w.turn() // what the other instance has reported may have made room for more
	w.turn()
	if len(over.tasks) == 0 {
		t.Fatal("nobody else has work, and it is not served")
	}
}

func TestNobodyIsStarved(t *testing.T) {
	w, c, over, within := rivals(t)
	for seq := uint64(1); seq <= patience+1; seq++ {
		if len(over.tasks) > 0 {
			t.Fatalf("it was served in turn %d, want %d", seq-1, patience+1)
		}
		c.submit(1, seq, "x")
		c.submit(2, seq, "y")
		w.turn()
		within.link.Append(protocol.KindExecuted, 1, uint64(time.Microsecond), nil)
	}
	if len(over.tasks) == 0 {
		t.Fatalf("it was not served in %d turns", patience+1)
	}
}

func TestWhoIsAloneIsServedAtOnce(t *testing.T) {
	w, c, over, _ := rivals(t)
	c.submit(1, 1, "x")
	w.turn()
	if len(over.tasks) != 1 {
		t.Fatal("nobody else has work, and it is not served")
	}
	if w.core.late.some() {
		t.Fatal("somebody is to wait for the next turn")
	}
}

// TestInstancesOutliveTheirManager retires a manager; its instances are there for the next one, without a word to them.
func TestInstancesOutliveTheirManager(t *testing.T) {
	w := newWorld(t)
	w.serveAs(1, theShare)
	c := w.client(100, 1)
	i := w.instance("warm", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	w.runAll()
	w.order(session.Order{Close: &session.Close{Session: 1}})
	w.order(session.Order{Retire: &session.Retire{Manager: 1}})
	w.pass(20 * time.Second)
	if i.left || len(i.refused) > 0 || len(w.core.managers) != 0 {
		t.Fatalf("left %v, refused %v: a warm instance is to be left in peace", i.left, i.refused)
	}
	w.notes = nil
	w.serveAs(2, theShare)
	w.order(session.Order{Admit: &session.Admit{Manager: 2, Container: "warm", Incarnation: 200, Node: "node-warm", Slots: 1, Sessions: 10}})
	if !slices.ContainsFunc(w.notes, func(n session.Note) bool { return n.Ready != nil && n.Ready.Container == "warm" }) {
		t.Fatal("the new manager does not say that the instance serves")
	}
	w.openAt(2, 100, 2)
	c.submit(2, 2, "y")
	w.settle()
	w.runAll()
	c.want(t, 2, "r:y")
	w.drained()
}

// TestLateResultsOfAnEarlierManager has an instance answer a task that it was given by a manager before, under the id
// that another task has now.
func TestLateResultsOfAnEarlierManager(t *testing.T) {
	w := newWorld(t)
	w.serveAs(1, theShare)
	c := w.client(100, 1)
	i := w.instance("warm", 200, func(a *session.Admit) { a.Slots = 4 })
	c.submit(1, 1, "old")
	w.settle()
	old := slices.Clone(i.tasks)
	if len(old) != 1 {
		t.Fatalf("%d tasks came, want 1", len(old))
	}
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "", "")}})
	w.order(session.Order{Retire: &session.Retire{Manager: 1}})
	w.serveAs(2, theShare)
	w.order(session.Order{Admit: &session.Admit{Manager: 2, Container: "warm", Incarnation: 200, Node: "node-warm", Slots: 4, Sessions: 10}})
	w.openAt(2, 100, 2)
	c.submit(2, 2, "new")
	w.settle()
	if len(i.tasks) != 1 || i.tasks[0].id != old[0].id {
		t.Fatalf("tasks %+v came, want one under the id of %+v: the test shows nothing", i.tasks, old)
	}
	i.tasks = append(old, i.tasks...)
	i.run(1)
	w.settle()
	if got := len(c.answers); got != 0 {
		t.Fatalf("the new task is answered by the result of the old one: %v", c.answers)
	}
	i.link.Append(protocol.KindRecalled, 1, old[0].id, nil)
	w.settle()
	w.runAll()
	c.want(t, 2, "r:new")
	w.drained()
}

// TestPlacesOfAnEarlierManagerMove retires a manager while an instance, and another one that ends, have not let its session
// go yet; the first goes with the next manager to another loop. What it says there is no business of the loop before.
func TestPlacesOfAnEarlierManagerMove(t *testing.T) {
	w := newWorld(t)
	w.serveAs(1, theShare)
	c := w.client(100, 1)
	stays, goes := w.instance("stays", 200, nil), w.instance("goes", 201, nil)
	for n := range uint64(100) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	w.runAll()
	if !stays.bound[1] || !goes.bound[1] {
		t.Fatal("the session is not bound to both instances: the test shows nothing")
	}
	stays.hold, goes.hold = true, true
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "", "")}})
	w.order(session.Order{Retire: &session.Retire{Manager: 1}})
	w.serveAs(2, theShare)
	w.order(session.Order{Admit: &session.Admit{Manager: 2, Container: "goes", Incarnation: 201, Node: "node-goes", Slots: 1, Sessions: 10}})

	before := w.core
	before.Step(w.now, Event{Kind: EventOrder, Order: session.Order{Move: &session.Move{Manager: 2}}})
	var b Batch
	before.Take(&b)
	w.carryOut(&b)
	moved := w.notes[len(w.notes)-1].Moved
	if moved == nil {
		t.Fatalf("the manager was not handed over: %+v", w.notes)
	}
	before.tell()
	w.core = New(before.cfg)
	w.order(session.Order{Adopt: &session.Adopt{State: moved.State}})
	w.parties[goes.peer+100], goes.peer = goes, goes.peer+100
	goes.link.Greet(goes.hello)
	w.settle()
	goes.link.Append(protocol.KindUnbound, 1, 0, nil)
	w.settle()
	if len(before.changed) > 0 {
		t.Error("the loop that has the manager wrote into the one before")
	}
	if got := w.core.instances["goes"]; got == nil || len(got.seats) > 0 {
		t.Fatal("the place was not given back at the new loop")
	}

	after := w.core
	after.tell()
	w.core = before
	stays.link.Append(protocol.KindUnbound, 1, 0, nil)
	w.settle()
	if got := w.core.instances["stays"]; got == nil || len(got.seats) > 0 {
		t.Fatal("the place was not given back at the loop before")
	}
	if len(after.changed) > 0 {
		t.Error("the loop before wrote into the one that has the manager")
	}
}

// TestWarmInstancesEnd lets instances without a manager go in each of the ways there are.
func TestWarmInstancesEnd(t *testing.T) {
	for name, end := range map[string]func(w *world, i *party){
		"dismissed": func(w *world, i *party) {
			w.order(session.Order{Dismiss: &session.Dismiss{Container: i.name}})
			if !i.left {
				w.t.Fatalf("it was dismissed and not told to leave")
			}
			i.die()
		},
		"lost":   func(_ *world, i *party) { i.die() },
		"drains": func(w *world, i *party) { i.link.Append(protocol.KindDrain, 0, 0, nil); w.settle(); i.die() },
	} {
		w := newWorld(t)
		w.serveAs(1, theShare)
		w.client(100, 1)
		i := w.instance("warm", 200, nil)
		w.order(session.Order{Close: &session.Close{Session: 1}})
		w.order(session.Order{Retire: &session.Retire{Manager: 1}})
		end(w, i)
		if len(w.core.instances) != 0 || len(w.core.ends) != 1 {
			t.Errorf("%s: %d instances and %d peers are left, want the client alone", name, len(w.core.instances), len(w.core.ends))
		}
	}
}

func TestRetiredSessionsEnd(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.client(100, 1, 2, 3)
	w.order(session.Order{Admit: &session.Admit{Manager: 1, Container: "i", Incarnation: 200, Node: "n"}}) // that has not said HELLO
	w.order(session.Order{Retire: &session.Retire{Manager: 1}})
	for n := range uint32(3) {
		if got := w.changed(n + 1); !slices.Contains(got, "closed:SessionKilled") {
			t.Errorf("session %d went through %v", n+1, got)
		}
	}
	w.order(session.Order{Dismiss: &session.Dismiss{Container: "i"}})
	if len(w.core.instances) != 0 || len(w.core.sessions) != 0 {
		t.Errorf("%d instances and %d sessions are left", len(w.core.instances), len(w.core.sessions))
	}
}

// TestSharesOfALoopUnderRandomLoad plays random work of managers with different shares: all tasks are answered,
// whoever is beyond its share, and what a manager used is never more than the loop was busy.
func TestSharesOfALoopUnderRandomLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		var instances []*party
		next := map[uint32]uint64{}
		for id := uint32(1); id <= 3; id++ {
			w.serveAs(id, protocol.Share{CPU: rapid.Int64Range(1, 200).Draw(t, "share"), Memory: 1 << 20})
			w.openAt(id, 100, id)
			instances = append(instances, w.instanceOf(id, fmt.Sprint("i", id), uint64(200+id)))
		}
		c := w.client(100)
		var busy []time.Duration // by steps of a quarter of a second
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			busy = append(busy, 0)
			for range rapid.IntRange(0, 4).Draw(t, "turns") {
				id := rapid.Uint32Range(1, 3).Draw(t, "manager")
				for range rapid.IntRange(0, 20).Draw(t, "tasks") {
					next[id]++
					c.submit(id, next[id]*4+uint64(id), "x")
				}
				instances[rapid.IntRange(0, 2).Draw(t, "instance")].run(rapid.IntRange(0, 20).Draw(t, "run"))
				w.turn()
				d := time.Duration(rapid.IntRange(0, 60).Draw(t, "busy")) * time.Millisecond
				w.busy(d)
				busy[len(busy)-1] += d
			}
			var sum, most int64
			for _, d := range busy[max(0, len(busy)-usageSlots-1):] {
				most += d.Milliseconds()
			}
			for _, m := range w.core.managers {
				sum += m.usage.millicores()
				if m.usage.over != (m.usage.millicores() > m.share.CPU) || m.usage.sum < 0 {
					t.Fatalf("used %d of %d, beyond: %v", m.usage.millicores(), m.share.CPU, m.usage.over)
				}
			}
			if sum > most {
				t.Fatalf("%d millicores were used, the loop was busy for %d ms", sum, most)
			}
			w.pass(usageSlot)
		}
		for range 200 {
			w.runAll()
			w.pass(busyTick)
		}
		for id, n := range next {
			for k := uint64(1); k <= n; k++ {
				if seq := k*4 + uint64(id); len(c.answers[protocol.NewTaskID(seq, uint32(seq))]) != 1 {
					t.Fatalf("task %d of session %d is not answered", seq, id)
				}
			}
		}
		w.drained()
	})
}
