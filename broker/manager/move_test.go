package manager_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// TestManagersMove lets two clients work with two services while their managers are moved between three loops at any
// moment, messages wait, connections break and results are not taken: each task is answered once and executed once, or once
// more when it asks for that, hooks included, no payload frame is left and all credit comes back. When instances die besides, tasks may be executed
// again.
func TestManagersMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { moveAtRandom(t, false) })
}

func TestManagersMoveWhileInstancesDie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { moveAtRandom(t, true) })
}

func moveAtRandom(t *rapid.T, deaths bool) {
	f := newFabric(t, 3)
	f.retries = true
	services := []string{"a", "b"}
	for i := range 2 {
		p := f.client([]string{"c0", "c1"}[i], uint64(100+i), 40_000)
		p.greedy = i == 0
	}
	for _, s := range services {
		f.clients[0].engine.Request(protocol.KindRegisterService, protocol.Service{Name: s})
	}
	f.pass(time.Second)
	next := uint64(200)
	for _, s := range services {
		for range 2 {
			f.instance(s, next, int(next%2)+1)
			next++
		}
	}
	for _, p := range f.clients {
		for _, s := range []string{"a", "a", "b"} {
			p.sessions = append(p.sessions, p.engine.Open(protocol.OpenSession{Service: s}, 0, 0))
		}
	}
	f.pass(time.Second)
	ops := []string{
		"submit", "submit", "submit", "loop", "loop", "loop", "loop", "deliver", "deliver", "deliver", "deliver", "finish", "finish",
		"engines", "engines", "move", "move", "break", "consume", "control", "control", "control", "time", "say", "say", "say", "keep",
	}
	if deaths {
		ops = append(ops, "die")
	}
	for range rapid.IntRange(1, 150).Draw(t, "steps") {
		f.step(t, rapid.SampledFrom(ops).Draw(t, "op"), services, &next)
	}
	f.settle(t, deaths)
}

// step does one thing.
func (f *fabric) step(t *rapid.T, op string, services []string, next *uint64) {
	anyOf := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	switch op {
	case "submit":
		p := f.clients[anyOf(len(f.clients), "client")]
		s := p.sessions[anyOf(len(p.sessions), "session")]
		size := rapid.SampledFrom([]int{1, 1, 700, protocol.InlinePayload}).Draw(t, "size")
		for range rapid.SampledFrom([]int{1, 5, 40}).Draw(t, "tasks") {
			p.submit(f, s, size)
		}
		f.serve(p)
	case "loop":
		f.turn(anyOf(len(f.loops), "loop"), rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "messages"))
	case "control":
		f.turn(-1, 2)
	case "deliver":
		f.deliver(f.wires[anyOf(len(f.wires), "wire")], rapid.SampledFrom([]int{1, 3}).Draw(t, "messages"))
	case "engines":
		for _, p := range f.clients {
			f.serve(p)
		}
		for _, w := range f.instances {
			f.work(w)
		}
	case "finish":
		w := f.instances[anyOf(len(f.instances), "instance")]
		if !w.dead {
			w.begin(f)
			w.finish(f, 2)
		}
	case "say":
		f.instances[anyOf(len(f.instances), "instance")].say(f, t)
	case "keep":
		f.memo.keep(f.instances[anyOf(len(f.instances), "instance")], t)
	case "move":
		p := f.clients[anyOf(len(f.clients), "client")]
		p.engine.Request(protocol.KindMoveService, protocol.MoveService{
			Name: rapid.SampledFrom(services).Draw(t, "service"), Loop: anyOf(len(f.loops), "loop"),
		})
	case "break":
		f.reconnect(f.wires[anyOf(len(f.wires), "wire")])
	case "consume":
		p := f.clients[1]
		p.consume(f, 10)
	case "time":
		f.pass(time.Duration(rapid.SampledFrom([]int{50, 600}).Draw(t, "ms")) * time.Millisecond)
	case "die":
		w := f.instances[anyOf(len(f.instances), "instance")]
		if !w.dead {
			f.die(w)
			*next++
			f.instance(w.name[:1], *next, 1)
		}
	}
}

// die ends an instance without a word.
func (f *fabric) die(w *worker) {
	w.dead = true
	for _, wire := range w.wires {
		if wire != nil {
			f.hangUp(wire)
		}
	}
	w.jobs = nil
	delete(f.held, w.name)
}

// finishAll has tasks finish until there are no more, or hardly any.
func (f *fabric) finishAll() {
	for range 30 {
		for _, w := range f.instances {
			for !w.dead && len(w.jobs) > 0 {
				w.finish(f, len(w.jobs))
			}
		}
		f.pump()
	}
}

// settle lets everything come to its end, and looks at it.
func (f *fabric) settle(t tester, deaths bool) {
	t.Helper()
	outstanding := func() (n int) {
		for _, p := range f.clients {
			p.greedy = true
			n += p.engine.Outstanding()
		}
		return n
	}
	if f.pass(5 * time.Second); !deaths {
		f.heardAll(t)
	}
	for range 200 {
		f.pass(200 * time.Millisecond)
		for _, p := range f.clients {
			p.consume(f, len(p.taken))
		}
		f.finishAll()
		if outstanding() == 0 {
			break
		}
	}
	f.pass(3 * time.Second)
	if deaths {
		f.pass(protocol.PeerTimeout) // until all are noticed
	}
	for _, p := range f.clients {
		if len(p.answers) != len(p.want) {
			t.Fatalf("%s: %d of %d tasks were answered%s", p.name, len(p.answers), len(p.want), f.describe())
		}
		for key, want := range p.want {
			if got := p.answers[key]; len(got) != 1 || got[0] != want {
				t.Fatalf("%s: task %s was answered %.60q, want %.60q once", p.name, key, got, want)
			}
			ran := 0
			for _, w := range f.instances {
				ran += w.ran[key]
				if !deaths && !f.whole(p, key, w) {
					t.Fatalf("%s: task %s has said %+v, heard was %+v", p.name, key, w.said[key], p.said[key])
				}
			}
			if ran == 0 || ran != 1+f.retried[key] && !deaths {
				t.Fatalf("%s: task %s was executed %d times", p.name, key, ran)
			}
		}
	}
	for _, p := range f.clients {
		for _, s := range p.sessions {
			p.engine.Close(s, protocol.CloseFinish)
		}
	}
	f.pass(3 * time.Second)
	for at, n := range f.memo.open {
		if !deaths {
			t.Fatalf("%s: a request about session %d was not answered", at, n.session)
		}
	}
	for i, c := range f.loops {
		if l := c.Left(); l != "" {
			t.Fatalf("loop %d: left: %s", i, l)
		}
	}
	for owner, held := range f.held {
		if len(held) > 0 {
			t.Fatalf("%s holds %d payload frames", owner, len(held))
		}
	}
	for _, p := range f.clients {
		for _, s := range p.sessions {
			if !p.ended[s] {
				t.Fatalf("%s: session %d has not ended in order", p.name, s.Number())
			}
		}
	}
	for _, w := range f.instances {
		if !w.dead && w.engine.State() != instance.Serving {
			t.Fatalf("%s is %v", w.name, w.engine.State())
		}
	}
}

// TestMovesWithAClientThatTakesNothing: where its results were not taken a client is owed nothing more; where its manager
// is now its credit is whole.
func TestMovesWithAClientThatTakesNothing(t *testing.T) {
	const credit, size = 20_000, 1000
	f := newFabric(t, 3)
	p := f.client("c0", 100, credit)
	p.engine.Request(protocol.KindRegisterService, protocol.Service{Name: "a"})
	f.pass(time.Second)
	f.instance("a", 200, 1)
	s := p.engine.Open(protocol.OpenSession{Service: "a"}, 0, 0)
	f.pass(time.Second)
	for range 200 {
		p.submit(f, s, size)
	}
	for loop := range 3 {
		p.engine.Request(protocol.KindMoveService, protocol.MoveService{Name: "a", Loop: loop})
		f.pass(time.Second)
		f.finishAll()
		f.pass(time.Second)
		if n, full := len(p.taken)*size, (loop+1)*credit; n < full || n > full+10*size {
			t.Fatalf("after %d moves the client has %d bytes of results, its credit is %d on each loop", loop, n, credit)
		}
	}
	f.settle(t, false)
}
