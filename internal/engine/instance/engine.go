// Package instance is the pure half of the service SDK: one instance's conversations with its broker and its session
// manager, its life, the sessions bound to it, their queued tasks, and what is to run next. Package worker is the
// shell around it: sockets, goroutines, the user's hooks.
//
// The package reads no clock, starts no goroutine and does no I/O. An [Engine] belongs to whoever holds the lock
// around it.
package instance

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// MaxHeld is how many bytes of results an instance holds that its manager has not acknowledged; beyond it no further
// task is started. A single result may go over it by its own size.
const MaxHeld = 16 << 20

// Defaults of the durations of [Config].
const (
	DefaultGrace    = 5 * time.Second
	DefaultPatience = 5 * time.Second
)

const (
	beatEvery = protocol.Heartbeat / 2
	flushWait = 250 * time.Millisecond // for the acknowledgement of the last frames
	minGreet  = 100 * time.Millisecond // before HELLO is said again where it was refused
	helloWait = 500 * time.Millisecond // for the answer to the first HELLO; then twice that, and so on
	maxGreet  = 2 * time.Second
	// switchAfter is how long a control endpoint has to answer the first time when there are others to try.
	switchAfter = 3 * time.Second
)

// Config says who an instance is. Incarnation and Endpoints are needed.
type Config struct {
	Incarnation uint64
	Endpoints   []string // control endpoints, tried in turn
	Hello       protocol.Hello
	Slots       int // OnTaskExec at once; at least 1
	// Grace is how long hooks that run when the instance is asked to end may go on before their contexts end.
	Grace time.Duration
	// Patience is how long a draining instance waits for a manager that it does not hear.
	Patience time.Duration
	// Jitter spreads a wait, so that instances do not all come back at once; nil leaves it as it is.
	Jitter func(time.Duration) time.Duration
}

// Line names one of the two connections of an instance.
type Line uint8

// The lines.
const (
	Control Line = iota // to a broker
	Data                // to a manager loop
	Lines               // how many there are
)

// OrderKind says what a shell is to do.
type OrderKind uint8

// The kinds of orders.
const (
	Dial      OrderKind = iota // close the socket of Line if there is one, and connect one to Endpoint
	HangUp                     // close the socket of Line
	Cancel                     // end the contexts of Session's hooks
	CancelAll                  // end the contexts of all hooks
)

// Order is something that the shell is to do.
type Order struct {
	Kind     OrderKind
	Line     Line
	Endpoint string
	Session  *Session
}

// Batch is what an Engine wants done: the orders first, then frames leave in order on their line's socket, then handles
// are released. Slices are appended to.
type Batch struct {
	Orders   []Order
	Frames   [Lines][]*link.Frame
	Released []protocol.Handle
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Orders)
	b.Orders = b.Orders[:0]
	for i := range b.Frames {
		clear(b.Frames[i])
		b.Frames[i] = b.Frames[i][:0]
	}
	b.Released = b.Released[:0]
}

// Engine is the state of one instance. Make it with [New], then call [Engine.Start].
type Engine struct {
	cfg   Config
	state State
	err   error
	epoch protocol.Epoch
	lines [Lines]wire
	at    int // index of the control endpoint in use

	refer      string    // where the service is served; empty when unknown
	maxPayload int64     // bytes of a result
	stopAt     time.Time // when draining began
	graceAt    time.Time // when contexts of hooks end; zero: not pending
	flushAt    time.Time // when a leaving instance waits no longer
	beatAt     time.Time

	created   progress
	destroyed progress
	farewell  bool // BYE was said

	sessions []*Session // that are not gone, in the order of their Bind
	active   []*Session // with queued tasks, first who was served longest ago
	served   uint64     // counts tasks that were begun
	hooks    []*Session // whose OnSessionBind or OnSessionUnbind is due, in order
	running  int        // jobs
	era      uint32     // grows when the manager is another process: what ran before is of no interest
	executed uint32     // tasks since the last record of that kind
	spent    uint64     // nanoseconds that they took

	orders []Order
}

type progress uint8

const (
	notBegun progress = iota
	underWay
	done
)

// New makes the engine of an instance.
func New(cfg Config) *Engine {
	cfg.Slots = max(cfg.Slots, 1)
	if cfg.Grace <= 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Jitter == nil {
		cfg.Jitter = func(d time.Duration) time.Duration { return d }
	}
	e := &Engine{cfg: cfg, maxPayload: protocol.DefaultMaxPayload}
	for i := range e.lines {
		e.lines[i] = newWire(cfg.Incarnation)
	}
	return e
}

// Start dials the first control endpoint.
func (e *Engine) Start(now time.Time) {
	e.beatAt = now.Add(beatEvery)
	e.dial(now, Control, e.cfg.Endpoints[0])
}

// State is where the instance is in its life.
func (e *Engine) State() State { return e.state }

// Err says why an ended instance did not end in order; nil when it did.
func (e *Engine) Err() error { return e.err }

// Stop asks the instance to end: it drains.
func (e *Engine) Stop(now time.Time) { e.move(now, Stop) }

// Fail asks the instance to end because of err, which [Engine.Err] will give: it drains.
func (e *Engine) Fail(now time.Time, err error) {
	e.blame(err)
	e.move(now, Stop)
}

func (e *Engine) blame(err error) {
	if e.err == nil {
		e.err = err
	}
}

// move takes an event of the life table, and begins what the new state needs.
func (e *Engine) move(now time.Time, ev Event) {
	next, ok := life.Next(e.state, ev)
	if !ok || next == e.state {
		return
	}
	e.state = next
	if e.graceAt.IsZero() && e.stopAt.IsZero() && (next == Draining || next == Leaving) {
		e.stopAt = now
		e.graceAt = now.Add(e.cfg.Grace)
		if e.created == underWay {
			e.order(Order{Kind: CancelAll}) // a start that nobody needs is not worth a grace
		}
	}
	switch next {
	case Draining:
		if w := &e.lines[Data]; w.live() {
			w.link.Append(protocol.KindDrain, 0, 0, nil)
		}
	case Leaving:
		e.releaseAll(false)
	case Connecting, Creating, Serving, Ended:
	}
	e.advance(now)
}

// advance does what has become possible on the way out.
func (e *Engine) advance(now time.Time) {
	switch e.state {
	case Serving:
		if !e.lines[Data].live() && e.refer != "" {
			e.dial(now, Data, e.refer)
		}
	case Draining:
		if e.created != underWay && !e.lines[Data].live() {
			e.move(now, Orphaned)
		}
	case Leaving:
		e.sayBye(now)
	case Connecting, Creating, Ended:
	}
}

// sayBye says BYE when all hooks have ended, and ends when that was heard.
func (e *Engine) sayBye(now time.Time) {
	if e.running > 0 || len(e.sessions) > 0 || e.created == underWay || e.created == done && e.destroyed != done {
		return
	}
	control, data := &e.lines[Control], &e.lines[Data]
	if !e.farewell {
		e.farewell = true
		e.flushAt = now.Add(flushWait)
		control.link.Append(protocol.KindBye, 0, 0, nil)
	}
	if now.Before(e.flushAt) && (control.waits() || data.waits()) {
		return
	}
	e.move(now, Finished)
}

// releaseAll lets every session go. With cancel the contexts of their hooks end at once.
func (e *Engine) releaseAll(cancel bool) {
	for i := len(e.sessions) - 1; i >= 0; i-- {
		s := e.sessions[i]
		if cancel {
			e.order(Order{Kind: Cancel, Session: s})
		}
		e.release(s)
	}
}

func (e *Engine) order(o Order) { e.orders = append(e.orders, o) }

// Deadline is when [Engine.Tick] is next to be called; ok is false when the instance has ended.
func (e *Engine) Deadline() (at time.Time, ok bool) {
	if e.state == Ended {
		return time.Time{}, false
	}
	at = e.beatAt
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	sooner(e.graceAt)
	sooner(e.lines[Control].greetAt)
	sooner(e.lines[Data].greetAt)
	if e.farewell {
		sooner(e.flushAt)
	}
	return at, true
}

// Tick runs the timers that are due.
func (e *Engine) Tick(now time.Time) {
	if e.state == Ended {
		return
	}
	if !e.graceAt.IsZero() && !now.Before(e.graceAt) {
		e.graceAt = time.Time{}
		e.order(Order{Kind: CancelAll})
	}
	for line := range Lines {
		w := &e.lines[line]
		if !w.greetAt.IsZero() && !now.Before(w.greetAt) {
			e.greet(now, line)
		}
	}
	if !now.Before(e.beatAt) {
		e.beatAt = now.Add(beatEvery)
		e.beat(now)
	}
	if e.state == Draining && now.Sub(later(e.lines[Data].heard, e.stopAt)) >= e.cfg.Patience {
		e.move(now, Orphaned)
	}
	e.advance(now)
}

// Take collects what is to be done.
func (e *Engine) Take(b *Batch) {
	data := &e.lines[Data]
	if e.executed > 0 {
		if data.live() {
			data.link.Append(protocol.KindExecuted, e.executed, e.spent, nil)
		}
		e.executed, e.spent = 0, 0
	}
	b.Orders = append(b.Orders, e.orders...)
	clear(e.orders)
	e.orders = e.orders[:0]
	for line := range Lines {
		b.Frames[line] = e.lines[line].node.Take(b.Frames[line])
	}
	b.Released = e.Released(b.Released)
}

// Released appends the handles that are to be released, which may have become more when frames left.
func (e *Engine) Released(dst []protocol.Handle) []protocol.Handle {
	for line := range Lines {
		dst = e.lines[line].node.Released(dst)
	}
	return dst
}
