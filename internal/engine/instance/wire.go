package instance

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// wire is one line of an instance: where it leads, and the conversation over it.
type wire struct {
	node     *link.Node
	link     *link.Link
	endpoint string        // empty: not dialled
	heard    time.Time     // last frame of the conversation, or when nothing was waited for
	greetAt  time.Time     // when to say HELLO again; zero: it is not waited for
	wait     time.Duration // before the next HELLO
	timeout  time.Duration // of silence
	opened   bool          // a conversation over this endpoint was opened
	refused  bool          // the last HELLO was refused
}

func newWire(incarnation uint64) wire {
	node := link.NewNode(0, incarnation)
	return wire{node: node, link: node.Link(), timeout: protocol.PeerTimeout}
}

// live says whether the line was dialled.
func (w *wire) live() bool { return w.endpoint != "" }

// waits says whether the other end can be expected to acknowledge something.
func (w *wire) waits() bool { return w.live() && w.link.Up() && w.link.Unacked() > 0 }

// dial leads a line to an endpoint and says HELLO there.
func (e *Engine) dial(now time.Time, line Line, endpoint string) {
	w := &e.lines[line]
	if line == Data {
		w.link.Restart()
	} else {
		w.link.Lost()
	}
	w.endpoint, w.heard, w.wait, w.opened, w.refused = endpoint, now, 0, false, false
	e.order(Order{Kind: Dial, Line: line, Endpoint: endpoint})
	e.greet(now, line)
}

// hangUp gives up the data line, and with it all sessions.
func (e *Engine) hangUp() {
	w := &e.lines[Data]
	if !w.live() {
		return
	}
	e.newEra()
	w.link.Restart()
	w.endpoint, w.greetAt = "", time.Time{}
	e.order(Order{Kind: HangUp, Line: Data})
}

// newEra lets go of everything that came from a manager that is no more: its sessions and their tasks.
func (e *Engine) newEra() {
	e.era++
	e.executed, e.spent = 0, 0
	e.releaseAll(true)
}

// greet says HELLO, and again after a while.
func (e *Engine) greet(now time.Time, line Line) {
	w := &e.lines[line]
	if !w.live() {
		return
	}
	hello := e.cfg.Hello
	hello.MinVersion, hello.MaxVersion, hello.Role = protocol.MinVersion, protocol.MaxVersion, protocol.RoleInstance
	hello.Endpoint, hello.Slots = w.endpoint, e.cfg.Slots
	w.wait = min(max(2*w.wait, helloWait), maxGreet)
	w.greetAt = now.Add(e.cfg.Jitter(w.wait))
	w.link.Greet(hello)
}

// Blocked notes that the socket of a line has no connection: nothing was sent.
func (e *Engine) Blocked(line Line) {
	if w := &e.lines[line]; w.live() {
		w.link.Lost()
		w.greetAt = time.Time{} // [Engine.Writable] comes when there is one
	}
}

// Writable notes that the socket of a line, which was blocked, has a connection.
func (e *Engine) Writable(now time.Time, line Line) {
	if w := &e.lines[line]; w.live() && !w.link.Up() {
		w.wait = 0
		e.greet(now, line)
	}
}

// beat sends signs of life, and looks for those of the others.
func (e *Engine) beat(now time.Time) {
	for line := range Lines {
		w := &e.lines[line]
		if !w.live() {
			continue
		}
		if w.link.Up() && w.link.Unacked() == 0 {
			w.heard = now // silence means something only where an answer is due
		}
		w.link.Beat(true)
		if w.link.Up() && now.Sub(w.heard) >= w.timeout {
			w.wait = 0
			e.greet(now, line)
		}
	}
	w := &e.lines[Control]
	patience := w.timeout
	if !w.opened {
		patience = switchAfter
	}
	if n := len(e.cfg.Endpoints); n > 1 && !w.link.Up() && now.Sub(w.heard) >= patience {
		e.at = (e.at + 1) % n
		e.dial(now, Control, e.cfg.Endpoints[e.at])
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// adopt takes a higher epoch over: whatever was referred to before is void.
func (e *Engine) adopt(now time.Time, epoch protocol.Epoch) {
	first := e.epoch == 0
	e.epoch = epoch
	for line := range Lines {
		e.lines[line].node.Epoch = epoch
	}
	if first {
		return
	}
	e.refer = ""
	e.hangUp()
	if w := &e.lines[Control]; w.link.Up() {
		w.wait = 0
		e.greet(now, Control)
	}
}

// Broken notes that the socket of a line is of no use any more: the line is dialled again.
func (e *Engine) Broken(now time.Time, line Line) {
	w := &e.lines[line]
	if !w.live() {
		return
	}
	w.link.Lost()
	e.order(Order{Kind: Dial, Line: line, Endpoint: w.endpoint})
	w.greetAt = now.Add(e.cfg.Jitter(minGreet))
}
