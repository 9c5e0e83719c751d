package instance

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// wire is one line of an instance: where it leads, and the conversation over it.
type wire struct {
	cfg        *Config
	node       *link.Node
	link       *link.Link
	endpoint   string        // empty: not dialled
	heard      time.Time     // last frame of the conversation, or when nothing was waited for
	greetAt    time.Time     // when to say HELLO again; zero: it is not waited for
	wait       time.Duration // before the next HELLO
	timeout    time.Duration // of silence
	maxPayload int64         // bytes of a result
	opened     bool          // a conversation was opened
	refused    bool          // the last HELLO was refused
}

func newWire(cfg *Config) wire {
	node := link.NewNode(0, cfg.Incarnation)
	return wire{
		cfg: cfg, node: node, link: node.Link(), timeout: protocol.PeerTimeout, maxPayload: protocol.DefaultMaxPayload,
	}
}

// live says whether the line was dialled.
func (w *wire) live() bool { return w.endpoint != "" }

// waits says whether the other end can be expected to acknowledge something.
func (w *wire) waits() bool { return w.live() && w.link.Up() && w.link.Unacked() > 0 }

// welcomed takes what the other end says of itself when it opens a conversation.
func (w *wire) welcomed(now time.Time, welcome protocol.Welcome) {
	w.node.Version = welcome.Version
	w.heard, w.greetAt, w.wait = now, time.Time{}, 0
	if welcome.Timeout > 0 {
		w.timeout = welcome.Timeout
	}
	if welcome.MaxPayload > 0 {
		w.maxPayload = welcome.MaxPayload
	}
}

// greet says HELLO, and again after a while.
func (w *wire) greet(now time.Time) {
	if !w.live() {
		return
	}
	hello := w.cfg.Hello
	hello.MinVersion, hello.MaxVersion, hello.Role = protocol.MinVersion, protocol.MaxVersion, protocol.RoleInstance
	hello.Endpoint, hello.Slots = w.endpoint, w.cfg.Slots
	w.wait = min(max(2*w.wait, helloWait), maxGreet)
	w.greetAt = now.Add(w.cfg.Jitter(w.wait))
	w.link.Greet(hello)
}

// greetAnew says HELLO, and again after the shortest of whiles.
func (w *wire) greetAnew(now time.Time) {
	w.wait = 0
	w.greet(now)
}

// greetSoon has HELLO said in a moment.
func (w *wire) greetSoon(now time.Time) { w.greetAt = now.Add(w.cfg.Jitter(minGreet)) }

// blocked notes that nothing can be sent.
func (w *wire) blocked() {
	if w.live() {
		w.link.Lost()
		w.greetAt = time.Time{} // [Engine.Writable] comes when there is a connection
	}
}

// writable notes that something can be sent again.
func (w *wire) writable(now time.Time) {
	if w.live() && !w.link.Up() {
		w.greetAnew(now)
	}
}

// bye notes that the other end is gone: HELLO is said until somebody is there again.
func (w *wire) bye(now time.Time) {
	w.link.Lost()
	w.wait = minGreet
	w.greetSoon(now)
}

// beat sends a sign of life, and looks for those of the other end.
func (w *wire) beat(now time.Time) {
	if !w.live() {
		return
	}
	if w.link.Up() && w.link.Unacked() == 0 {
		w.heard = now // silence means something only where an answer is due
	}
	w.link.Beat(true)
	if w.link.Up() && now.Sub(w.heard) >= w.timeout {
		w.greetAnew(now)
	}
}
