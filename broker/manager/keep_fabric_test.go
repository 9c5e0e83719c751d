package manager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// relay is one kept session that goes from program to program.
type relay struct {
	*fabric
	number  protocol.SessionNumber
	want    map[string]string // the right answers of all tasks
	sure    map[string]bool   // tasks that the broker is known to have
	taken   map[string]bool   // tasks whose answers a program has taken that left in order
	maybe   map[string]bool   // tasks whose answers a program has taken that was killed: it may have told, or not
	ops     *program
	current *program
	session *client.Session
	mine    map[string]bool // taken by the current program
	made    uint64
}

func newRelay(t *rapid.T) *relay {
	r := &relay{fabric: newFabric(t, 3), want: map[string]string{}, sure: map[string]bool{}, taken: map[string]bool{}, maybe: map[string]bool{}}
	r.ops = r.client("ops", 99, 40_000)
	r.ops.engine.Request(protocol.KindRegisterService, protocol.Service{Name: "a"})
	r.pass(time.Second)
	r.instance("a", 900, 2)
	r.instance("a", 901, 1)
	p := r.begin()
	r.session = p.engine.Open(protocol.OpenSession{Service: "a", Disconnect: protocol.DisconnectKeep}, 0, 0)
	r.pass(time.Second)
	r.number = r.session.Number()
	return r
}

// begin starts a program, which is the current one.
func (r *relay) begin() *program {
	r.made++
	r.current = r.client(fmt.Sprint("p", r.made), 1000+r.made, 40_000)
	r.mine = map[string]bool{}
	return r.current
}

// end has the current program gone. What it said before that counts, when it left in order.
func (r *relay) end(inOrder bool) {
	p := r.current
	r.check(p)
	for key := range p.want {
		r.want[key] = p.want[key]
		r.sure[key] = r.sure[key] || inOrder
	}
	for key := range r.mine {
		if inOrder {
			r.taken[key] = true
		} else {
			r.maybe[key] = true
		}
	}
	for _, w := range p.wires {
		r.hangUp(w)
	}
	delete(r.held, p.name)
	for i, x := range r.clients {
		if x == p {
			r.clients = append(r.clients[:i], r.clients[i+1:]...)
			break
		}
	}
	r.current, r.session = nil, nil
}

// check holds that a program was given each answer once, and the right one.
func (r *relay) check(p *program) {
	for key, answers := range p.answers {
		right := p.want[key] // one that was killed may have had the id, for a task that the broker never got
		if right == "" {
			right = r.want[key]
		}
		if len(answers) != 1 || answers[0] != right && !strings.Contains(answers[0], "Detached") {
			r.t.Fatalf("%s was given %.60q for task %s, right is %.60q", p.name, answers, key, right)
		}
		if r.taken[key] {
			r.t.Fatalf("%s was given the answer of task %s, which was taken before", p.name, key)
		}
	}
}

// take has the current program take n results.
func (r *relay) take(n int) {
	p := r.current
	n = min(n, len(p.taken))
	for _, c := range p.taken[:n] {
		client.Taken(c.Session, c.Task)
		r.mine[name(c.Session.Number(), c.Task)] = true
	}
	p.consume(r.fabric, n)
}

// leave has the current program leave in order, and waits until it has.
func (r *relay) leave() {
	p := r.current
	client.Detach(r.session, time.Hour)
	for range 200 {
		if _, over := p.ended[r.session]; over {
			r.end(true)
			return
		}
		r.pass(50 * time.Millisecond)
	}
	r.t.Fatalf("it could not be left%s", r.describe())
}

// come has another program attach, and waits until it has.
func (r *relay) come() {
	p := r.begin()
	r.session = client.Attach(p.engine, r.number, true, 0, 0)
	for range 200 {
		if r.session.Accepting() {
			return
		}
		r.pass(50 * time.Millisecond)
	}
	r.t.Fatalf("it could not be attached to: %v%s", p.ended, r.describe())
}

// TestKeptSessionsGoFromClientToClient lets programs work with a kept session one after the other, leave it in order or be
// killed, while its manager moves between loops, messages wait and connections break: no program is given an answer twice,
// none is given what another has taken and told, and in the end no answer is missing.
func TestKeptSessionsGoFromClientToClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRelay(t)
		ops := []string{
			"submit", "submit", "loop", "loop", "loop", "deliver", "deliver", "deliver", "finish", "finish", "engines", "engines",
			"take", "take", "leave", "kill", "move", "break", "control", "time",
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			op := rapid.SampledFrom(ops).Draw(t, "op")
			if r.current == nil {
				switch op {
				case "submit", "take", "leave", "kill":
					r.come()
					continue
				}
			}
			r.step(t, op)
		}
		if r.current != nil {
			r.leave()
		}
		r.come()
		for n := 0; n < 1000 && client.Awaited(r.session) > 0; n++ {
			for _, w := range r.instances {
				w.finish(r.fabric, 1000)
			}
			r.take(1000)
			r.pass(50 * time.Millisecond)
		}
		r.take(1000)
		p := r.current
		r.check(p)
		for key := range r.sure {
			if _, got := p.answers[key]; r.sure[key] && !r.taken[key] && !r.maybe[key] && !got {
				t.Fatalf("nobody was given the answer of task %s%s", key, r.describe())
			}
		}
		if n := client.Awaited(r.session); n != 0 {
			t.Fatalf("%d answers are awaited", n)
		}
		p.engine.Close(r.session, protocol.CloseFinish)
		r.pass(40 * time.Second) // until clients that were killed are given up
		if !p.ended[r.session] {
			t.Fatalf("the session was not closed in order%s", r.describe())
		}
		for i, c := range r.loops {
			if left := c.Left(); left != "" {
				t.Fatalf("loop %d: %s%s", i, left, r.describe())
			}
		}
		for h, n := range r.held[broker] {
			t.Fatalf("the broker keeps %d references of payload frame %d", n, h)
		}
	})
}

// step does one thing.
func (r *relay) step(t *rapid.T, op string) {
	anyOf := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	f := r.fabric
	switch op {
	case "submit":
		size := rapid.SampledFrom([]int{1, 1, 700, protocol.InlinePayload}).Draw(t, "size")
		for range rapid.SampledFrom([]int{1, 5, 20}).Draw(t, "tasks") {
			r.current.submit(f, r.session, size)
		}
		f.serve(r.current)
	case "take":
		r.take(anyOf(10, "results") + 1)
	case "leave":
		r.leave()
	case "kill":
		r.end(false)
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
		w.begin(f)
		w.finish(f, 2)
	case "move":
		r.ops.engine.Request(protocol.KindMoveService, protocol.MoveService{Name: "a", Loop: anyOf(len(f.loops), "loop")})
	case "break":
		f.reconnect(f.wires[anyOf(len(f.wires), "wire")])
	case "time":
		f.pass(time.Duration(rapid.SampledFrom([]int{50, 600}).Draw(t, "ms")) * time.Millisecond)
	}
}
