package manager

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// answer has an instance answer its first n tasks with results of size bytes.
func (p *party) answer(n, size int) {
	for ; n > 0 && len(p.tasks) > 0; n-- {
		g := p.tasks[0]
		p.tasks = p.tasks[1:]
		if size >= protocol.InlinePayload {
			p.link.AppendExternal(protocol.KindResult, g.session, g.id, uint32(size), p.w.payload(make([]byte, size)))
		} else {
			p.link.Append(protocol.KindResult, g.session, g.id, make([]byte, size))
		}
		p.executed(1, time.Microsecond)
	}
	p.w.settle()
}

// consume has a client consume what it has got.
func (p *party) consume() {
	if p.keeps = false; p.received > p.consumed {
		p.consumed = p.received
		p.link.Append(protocol.KindCredit, 0, uint64(p.consumed), nil)
	}
	p.w.settle()
}

// tasks submits n tasks in each session, after those that are there.
func (p *party) flood(n uint64, sessions ...uint32) {
	for _, s := range sessions {
		for k := range n {
			p.submit(s, k*8+uint64(s), "x")
		}
	}
	p.w.settle()
}

func (w *world) instancesOf(slots int, names ...string) (all []*party) {
	for n, name := range names {
		all = append(all, w.instance(name, 200+uint64(n), func(a *session.Admit) { a.Slots = slots }))
	}
	return all
}

// unconsumed is what a client has been sent and has not consumed.
func (w *world) unconsumed(inc uint64) int64 {
	cl := w.core.ends[inc].client
	return cl.sent - cl.consumed
}

// finish has instances answer until all is answered, and holds that it is.
func (w *world) finish(c *party, size, want int, instances ...*party) {
	w.t.Helper()
	for range 10_000 {
		for _, i := range instances {
			i.answer(3, size)
		}
		if len(c.answers) == want {
			break
		}
		w.pass(busyTick)
	}
	if len(c.answers) != want {
		w.t.Fatalf("%d of %d tasks are answered%s", len(c.answers), want, w.describe())
	}
	w.drained()
}

// TestResultsOfAClientThatTakesNothing: whatever the size of results, and however many instances and sessions work for
// a client that takes nothing, no more than its credit is sent to it, and what was being executed when the size was known.
func TestResultsOfAClientThatTakesNothing(t *testing.T) {
	const size = 100 << 10 // its credit is 1 MiB
	for name, warm := range map[string]int{"cold": 0, "small results before": 500} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.serve(nil)
			instances := w.instancesOf(1, "a", "b", "c", "d")
			other := w.client(99, 9)
			for k := range warm {
				other.submit(9, uint64(k+1), "x")
				w.settle()
				for _, i := range instances {
					i.answer(1, 10)
				}
			}
			c := w.client(100, 1, 2)
			c.keeps = true
			c.flood(500, 1, 2)
			for range 1000 {
				for _, i := range instances {
					i.answer(1, size)
				}
			}
			running := int64(len(instances)) * 2 // one each, and one that was underway to it
			if got := w.unconsumed(100); got > 1<<20+running*size || got < 1<<20-size {
				t.Fatalf("%d bytes are at the client, want about its credit of %d", got, 1<<20)
			}
			other.submit(9, 1<<20, "y")
			w.settle()
			for _, i := range instances {
				i.answer(1, 10)
			}
			if len(other.answers) != warm+1 {
				t.Fatal("another client of the service is held up")
			}
			c.consume()
			w.finish(c, size, 1000, instances...)
		})
	}
}

func TestCreditSmallerThanAResult(t *testing.T) {
	for _, credit := range []int64{1, 10 << 10, 50 << 10, 64 << 10} {
		w := newWorld(t)
		w.serve(nil)
		w.open(100, 1)
		w.open(100, 2)
		c := w.party("c", 100, protocol.Hello{Role: protocol.RoleClient, ResultCredit: credit})
		c.link.Greet(c.hello)
		w.settle()
		instances := w.instancesOf(1, "a", "b")
		c.flood(20, 1, 2)
		w.finish(c, 64<<10, 40, instances...)
	}
}

// TestSessionsShareACredit: sessions of one client get its credit in turns.
func TestSessionsShareACredit(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2, 3)
	i := w.instance("a", 200, nil)
	w.known(1)
	w.core.byID[1].expect = 500 << 10 // two fit
	c.flood(50, 1)
	c.flood(50, 2, 3)
	for range 30 {
		i.answer(1, 500<<10)
	}
	got := map[uint32]int{}
	for _, s := range w.core.sessions {
		got[s.number] = int(s.done)
	}
	for n := uint32(1); n <= 3; n++ {
		if got[n] < 8 || got[n] > 12 {
			t.Errorf("of 30 results the sessions have %v, want about 10 each", got)
		}
	}
	w.finish(c, 10, 150, i)
}

func TestGuessOfResults(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	s := w.core.sessions[1]
	next := uint64(0)
	for _, step := range []struct {
		times, size int
		least, most int64
	}{
		{1, 1000, 1000, 1000},
		{10, 1000, 1000, 1000},
		{1, 9000, 3000, 3000},   // a quarter of the way
		{20, 9000, 8900, 9000},  // there
		{1, 1000, 8800, 8900},   // it falls slowly
		{500, 1000, 1000, 1100}, // but it falls
		{1, 0, 1000 - 20, 1100}, // an empty result is one
	} {
		for range step.times {
			next++
			c.submit(1, next, "x")
			w.settle()
			i.answer(1, step.size)
		}
		if s.expect < step.least || s.expect > step.most || s.manager.expect != s.expect {
			t.Fatalf("after %d results of %d bytes %d are expected, want %d to %d", step.times, step.size, s.expect, step.least, step.most)
		}
	}
	w.drained()
}

func (w *world) memory(used, promised, limit int64) {
	w.core.Step(w.now, Event{Kind: EventMemory, Memory: &Memory{Used: used, Promised: promised, Limit: limit}})
	w.settle()
}

func TestLevels(t *testing.T) {
	l := levelNormal
	for _, step := range []struct {
		used int64
		want level
	}{
		{0, levelNormal},
		{699, levelNormal},
		{700, levelHigh},
		{650, levelHigh}, // it stays until there is clearly less
		{649, levelNormal},
		{650, levelNormal},
		{900, levelFull},
		{850, levelFull},
		{849, levelHigh},
		{899, levelHigh},
		{5000, levelFull},
		{0, levelNormal},
	} {
		if l = l.next(Memory{Limit: 1000, Used: step.used}); l != step.want {
			t.Fatalf("at %d of 1000 the level is %d, want %d", step.used, l, step.want)
		}
	}
	if levelFull.next(Memory{Used: 1 << 40}) != levelNormal {
		t.Error("without a limit there is no level")
	}
}

// TestFullMemory: tasks are refused with the figures, results pass; the more is used the later a task may come again.
func TestFullMemory(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	w.memory(90<<20, 0, 100<<20)
	c.submit(1, 2, "y")
	w.settle()
	c.want(t, 2, "!Overloaded")
	var last time.Duration
	for _, used := range []int64{90, 94, 97, 100, 120} {
		w.memory(used<<20, 0, 100<<20)
		e := gauge{w.core}.overloaded()
		for _, figure := range []string{fmt.Sprint(used << 20), fmt.Sprint(100 << 20), "--memory"} {
			if !strings.Contains(e.Error(), figure) {
				t.Errorf("%q does not name %s", e.Error(), figure)
			}
		}
		if e.RetryAfter < last || e.RetryAfter < retryAfter/2 || e.RetryAfter > retryAtMost {
			t.Errorf("at %d %% a task may come again after %v, before after %v", used, e.RetryAfter, last)
		}
		last = e.RetryAfter
	}
	i.answer(1, 10)
	if len(c.answers) != 2 {
		t.Fatal("the result does not pass")
	}
	w.memory(0, 0, 100<<20)
	c.submit(1, 3, "z")
	w.settle()
	i.answer(1, 10)
	if len(c.answers) != 3 {
		t.Fatal("the next task is not taken when there is room")
	}
	w.drained()
}

// TestRoomUntilFull: between two words of the shell no more tasks are taken than there was room for.
func TestRoomUntilFull(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	w.memory(80<<20, 0, 100<<20) // 10 MiB are left
	for n := range uint64(15) {
		c.submit(1, n+1, strings.Repeat("x", 1<<20))
	}
	w.settle()
	if got := w.core.bytes >> 20; got != 10 {
		t.Fatalf("%d MiB were taken, want 10", got)
	}
	w.memory(60<<20, 0, 64<<20)
	if !(gauge{w.core}).full(1) {
		t.Error("a core takes more than there is")
	}
	w.memory(0, 0, 512<<10)
	w.core.bytes = 0
	if (gauge{w.core}).full(1<<20) || !(gauge{w.core}).full(65<<20) {
		t.Error("a core without tasks takes any that is within its own limit")
	}
	w.core.bytes = 10 << 20
}

// TestTightMemory: a client that takes nothing is given little more, one that takes its results goes on.
func TestTightMemory(t *testing.T) {
	const size = 100 << 10
	w := newWorld(t)
	w.serve(nil)
	var parties []*party
	for n := range uint32(2) {
		w.open(100+uint64(n), n+1)
		p := w.party(fmt.Sprint("client-", n), 100+uint64(n), protocol.Hello{Role: protocol.RoleClient, ResultCredit: 32 << 20})
		p.link.Greet(p.hello)
		parties = append(parties, p)
	}
	w.settle()
	stopped, lives := parties[0], parties[1]
	stopped.keeps = true
	i := w.instance("a", 200, nil)
	w.memory(50<<20, 25<<20, 100<<20)
	for n := range uint64(300) {
		stopped.submit(1, n+1, "x")
		lives.submit(2, n+1, "x")
	}
	w.settle()
	for range 600 {
		i.answer(1, size)
	}
	if got := w.unconsumed(100); got < size || got > tightCredit+2*size {
		t.Errorf("%d bytes are at the client that takes nothing, want at most %d and what ran", got, tightCredit)
	}
	if len(lives.answers) != 300 {
		t.Errorf("the client that takes its results has %d of 300", len(lives.answers))
	}
	w.memory(0, 0, 100<<20)
	w.pass(busyTick)
	for range 600 {
		i.answer(1, size)
	}
	if len(stopped.answers) != 300 {
		t.Errorf("%d of 300 results were sent when memory was free again", len(stopped.answers))
	}
	stopped.consume()
	w.drained()
}

func TestInstancesGetNoMoreCreditWhileMemoryIsHigh(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	i := w.instance("a", 200, nil)
	credit := func() int { return w.core.instances["a"].credit }
	w.memory(70, 0, 100)
	i.executed(1000, time.Millisecond)
	w.settle()
	if credit() != 2 {
		t.Fatalf("its credit is %d, want 2 as before", credit())
	}
	w.memory(0, 0, 100)
	i.executed(1000, time.Millisecond)
	w.settle()
	raised := credit()
	w.memory(70, 0, 100)
	i.executed(1000, time.Minute)
	w.settle()
	if raised <= 2 || credit() >= raised {
		t.Fatalf("its credit was %d when there was room, and is %d when its tasks take long", raised, credit())
	}
}

// TestCreditAtRandom plays clients that take their results or do not, results of all sizes, and memory that comes and
// goes: in the end all is answered once, and what was taken together was never far above what is allowed.
func TestCreditAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.serve(nil)
		var clients []*party
		for n := range uint32(2) {
			inc := 100 + uint64(n)
			w.open(inc, 2*n+1)
			w.open(inc, 2*n+2)
			p := w.party(fmt.Sprint("client-", n), inc, protocol.Hello{
				Role: protocol.RoleClient, ResultCredit: rapid.Int64Range(1, 1<<20).Draw(t, "credit"),
			})
			p.link.Greet(p.hello)
			clients = append(clients, p)
		}
		instances := w.instancesOf(rapid.IntRange(1, 3).Draw(t, "slots"), "a", "b")
		next := map[uint32]uint64{}
		sent := 0
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			c := rapid.IntRange(0, 1).Draw(t, "client")
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1:
				s := uint32(2*c + rapid.IntRange(1, 2).Draw(t, "session"))
				for range rapid.IntRange(1, 30).Draw(t, "tasks") {
					next[s]++
					clients[c].submit(s, next[s]*8+uint64(s), "x")
					sent++
				}
				w.settle()
			case 2, 3:
				i := instances[rapid.IntRange(0, 1).Draw(t, "instance")]
				i.answer(rapid.IntRange(1, 20).Draw(t, "answers"), rapid.SampledFrom([]int{0, 5, 5000, 300_000}).Draw(t, "size"))
			case 4:
				if clients[c].keeps {
					clients[c].consume()
				} else {
					clients[c].keeps = true
				}
			case 5:
				w.memory(rapid.Int64Range(0, 89).Draw(t, "used"), rapid.Int64Range(0, 50).Draw(t, "promised"), 100)
				w.pass(busyTick)
			}
			if err := w.core.Verify(); err != nil {
				t.Fatal(err)
			}
		}
		w.memory(0, 0, 1<<30)
		for _, c := range clients {
			c.consume()
		}
		for k := 0; k < 5000 && len(clients[0].answers)+len(clients[1].answers) < sent; k++ {
			for _, i := range instances {
				i.answer(100, 100) // of a client with little credit it is one at a time
			}
			if k%50 == 0 {
				w.pass(busyTick)
			}
		}
		if got := len(clients[0].answers) + len(clients[1].answers); got != sent {
			t.Fatalf("%d of %d tasks are answered%s", got, sent, w.describe())
		}
		for _, c := range clients {
			for id, a := range c.answers {
				if len(a) != 1 {
					t.Fatalf("task %v has %d answers", id, len(a))
				}
			}
		}
		if w.core.promised != 0 {
			t.Fatalf("%d bytes of results are expected of no task", w.core.promised)
		}
		w.drained()
	})
}

// TestEmptyResultsAreKnownToBeSmall: a service that gives nothing back is sent as much as any other.
func TestEmptyResultsAreKnownToBeSmall(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(1, 1)
	i := w.instancesOf(1, "a")[0]
	c.flood(100, 1)
	if len(i.tasks) != 2 {
		t.Fatalf("%d tasks are at the instance before a result is known, want 2", len(i.tasks))
	}
	i.answer(1, 0)
	if len(i.tasks) < 50 {
		t.Errorf("%d tasks are at the instance after an empty result", len(i.tasks))
	}
	w.finish(c, 0, 100, i)
}

// TestASeatAtItsLimitIsNotForgotten: a session that has as much at an instance as it may have before a result is known, and
// more that waits, goes on when one of them is answered, be the answer empty.
func TestASeatAtItsLimitIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(1, 1, 2)
	i := w.instancesOf(1, "a")[0]
	i.executed(1000, time.Microsecond) // it is fast: it has much credit
	c.flood(4, 1)
	c.flood(4, 2)
	w.pass(busyTick)
	w.finish(c, 0, 8, i)
}
