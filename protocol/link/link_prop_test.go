package link

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
)

// TestEveryRecordOnce lets connections break, frames come late or twice, greetings be lost and processes be replaced:
// between two living processes every record arrives exactly once and in order, and nothing is left behind.
func TestEveryRecordOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		if rapid.Bool().Draw(t, "conversation numbers wrap") {
			w.dialler.link.conversation = 1<<16 - 3
		}
		w.dialler.link.Greet(protocol.Hello{})
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			w.step()
		}
		w.settle()
		w.check()
	})
}

func (w *world) step() {
	t := w.t
	p := w.dialler
	if rapid.Bool().Draw(t, "acceptor's") {
		p = w.acceptor
	}
	switch rapid.SampledFrom([]string{
		"append", "append", "append", "pump", "pump", "pump", "deliver", "deliver", "deliver", "deliver", "deliver",
		"commit", "beat", "break", "greet", "lost", "twice", "replace", "move", "again", "again",
	}).Draw(t, "op") {
	case "append":
		how := rapid.IntRange(0, 2).Draw(t, "how")
		for range rapid.SampledFrom([]int{1, 2, 20}).Draw(t, "records") {
			w.append(p, how)
		}
	case "pump":
		w.pump(p, rapid.Bool().Draw(t, "gated first"))
	case "deliver":
		c := w.conns[rapid.IntRange(max(0, len(w.conns)-3), len(w.conns)-1).Draw(t, "connection")]
		way := rapid.IntRange(0, 1).Draw(t, "way")
		for range rapid.SampledFrom([]int{1, 1, 4}).Draw(t, "frames") {
			w.deliver(c, way)
		}
	case "commit":
		p.committed += uint64(rapid.IntRange(0, 3).Draw(t, "committed"))
		p.committed = min(p.committed, p.after)
	case "again":
		// The whole of what usually goes with a connection that breaks, so that chance finds what needs it.
		w.append(w.acceptor, rapid.IntRange(0, 2).Draw(t, "how"))
		w.append(w.acceptor, 1)
		w.pump(w.acceptor, rapid.Bool().Draw(t, "gated first"))
		if rapid.Bool().Draw(t, "breaks") {
			w.breakUp()
		}
		w.dialler.link.Greet(protocol.Hello{})
		w.pump(w.dialler, true)
		for w.deliver(w.conn(), upward) {
			w.append(w.acceptor, 1)
		}
		if rapid.Bool().Draw(t, "committed") {
			w.acceptor.committed = w.acceptor.after
		}
		w.pump(w.acceptor, rapid.Bool().Draw(t, "gated first"))
		if p.link != nil {
			p.link.Beat(rapid.Bool().Draw(t, "alive"))
		}
	case "break":
		w.breakUp()
	case "greet":
		w.dialler.link.Greet(protocol.Hello{})
	case "lost":
		w.dialler.link.Lost()
	case "twice":
		c := w.conns[rapid.IntRange(0, len(w.conns)-1).Draw(t, "connection")]
		way := rapid.IntRange(0, 1).Draw(t, "way")
		if n := c.lines[way].next; n > 0 && (way == upward || c == w.conn()) {
			w.arrive(c, way, c.lines[way].sent[rapid.IntRange(0, n-1).Draw(t, "frame")])
		}
	case "move":
		w.move()
	case "replace":
		if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
			w.replace(p)
		}
	}
}

// move hands the links of the acceptor over to another node of its process: what is sent to where they were is answered
// by REHELLO, until the dialler says HELLO again.
func (w *world) move() {
	p := w.acceptor
	p.committed = p.after
	w.pump(p, true) // the shell holds no frame
	from := p.node
	p.node = NewNode(from.Epoch, from.Incarnation)
	for _, l := range p.links {
		if w.draws%2 == 0 { // with a greeting, or something else, about to leave
			l.Beat(true)
		}
		from.Detach(l)
		p.node.Attach(l)
	}
	if out := from.Take(nil); len(out) > 0 {
		w.t.Fatalf("%d frames are ready at the node that was left", len(out))
	}
	for _, h := range from.Released(nil) {
		p.handles[h]--
	}
	clear(p.peers)
}

// replace ends a process; another takes its place.
func (w *world) replace(p *process) {
	w.breakUp()
	way := downward
	if !p.dials {
		way = upward
	}
	for _, c := range w.conns { // what was for it dies with it
		c.lines[way] = line{}
	}
	next := w.process(p.dials)
	if p.dials {
		w.dialler = next
		w.acceptor.link = nil
		w.acceptor.forgot()
		next.link.Greet(protocol.Hello{})
		return
	}
	w.acceptor = next
}

func (w *world) check() {
	t := w.t
	for _, p := range []*process{w.dialler, w.acceptor} {
		who := map[bool]string{true: "dialler", false: "acceptor"}[p.dials]
		if p.link == nil || !p.link.Up() {
			t.Fatalf("%s: no conversation", who)
		}
		if len(p.owing) > 0 {
			t.Fatalf("%s: %d of %d records did not arrive", who, len(p.owing), p.appended)
		}
		for inc, l := range p.links {
			if l != p.link {
				l.Close() // of a dialler that is no more
				delete(p.links, inc)
			}
		}
		p.release()
		if kept := p.node.Kept(); kept != 0 {
			w.t.Fatalf("%d bytes of frames are kept at the end", kept)
		}
		if n, held := p.link.Unacked(), p.link.Held(); n != 0 || held != 0 {
			t.Fatalf("%s: %d frames, %d bytes are not acknowledged", who, n, held)
		}
		for f := range p.frames {
			if f.refs != 0 || f.link != nil {
				t.Fatalf("%s: a frame is held by %d", who, f.refs)
			}
		}
		for h, n := range p.handles {
			if n != 0 {
				t.Fatalf("%s: handle %d is held %d times", who, h, n)
			}
		}
	}
}
