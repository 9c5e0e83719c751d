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
	Abort                      // end the context of one task of Session, because of Err
	CancelAll                  // end the contexts of all hooks
)

// Order is something that the shell is to do.
type Order struct {
	Kind     OrderKind
	Line     Line
	Endpoint string
	Session  *Session
	Err      *protocol.Error

	task uint64
}

// For says whether an Abort is of the task that a job runs.
func (o *Order) For(j *Job) bool {
	return j.Kind == Exec && j.task == o.task && j.Session == o.Session
}

// ForRun says whether an Abort is of the task that was being run when a run was cut.
func (o *Order) ForRun(r *Run) bool {
	return r.cut && r.current == o.task && r.session == o.Session
}

// orders is what the shell is to do, in order.
type orders []Order

func (o *orders) add(order Order) { *o = append(*o, order) }

// Batch is what an Engine wants done: the orders first, then frames leave in order on their line's socket, then handles
// are released. Slices are appended to.
type Batch struct {
	Orders   []Order
	Frames   [Lines][]*link.Frame
	Released []protocol.Handle
	Granted  []*Stream // whose windows are open again: who waits is to try again
	Answers  []Answer  // to requests about the data of sessions
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
	clear(b.Granted)
	clear(b.Answers)
	b.Granted, b.Answers = b.Granted[:0], b.Answers[:0]
}

// Engine is the state of one instance. Make it with [New], then call [Engine.Start]. It is not to be copied: its parts
// know each other. Each part keeps one subject; what concerns several of them is done here.
type Engine struct {
	cfg      Config
	life     lifetime
	lines    lines
	roster   roster
	requests requests
	orders   orders
	running  int // jobs
	tally    tally
}

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
	e := &Engine{cfg: cfg}
	e.lines = lines{cfg: &e.cfg, orders: &e.orders, beatEvery: protocol.Heartbeat / 2}
	for i := range e.lines.wires {
		e.lines.wires[i] = newWire(&e.cfg)
	}
	e.roster = roster{life: &e.life, manager: e.lines.at(Data), orders: &e.orders}
	return e
}

// Start dials the first control endpoint.
func (e *Engine) Start(now time.Time) { e.lines.start(now) }

// State is where the instance is in its life.
func (e *Engine) State() State { return e.life.state }

// Err says why an ended instance did not end in order; nil when it did.
func (e *Engine) Err() error { return e.life.err }

// Stop asks the instance to end: it drains.
func (e *Engine) Stop(now time.Time) { e.move(now, Stop) }

// Fail asks the instance to end because of err, which [Engine.Err] will give: it drains.
func (e *Engine) Fail(now time.Time, err error) {
	e.life.blame(err)
	e.move(now, Stop)
}

// move takes an event of the life table, and begins what the new state needs.
func (e *Engine) move(now time.Time, ev Event) {
	if !e.life.take(ev) {
		return
	}
	if e.life.windUp(now, e.cfg.Grace) && e.life.created == underWay {
		e.orders.add(Order{Kind: CancelAll}) // a start that nobody needs is not worth a grace
	}
	switch e.life.state {
	case Draining:
		if w := e.lines.at(Data); w.live() {
			w.link.Append(protocol.KindDrain, 0, 0, nil)
		}
	case Leaving:
		e.roster.releaseAll(false)
	case Connecting, Creating, Serving, Ended:
	}
	e.advance(now)
}

// advance does what has become possible on the way in and on the way out.
func (e *Engine) advance(now time.Time) {
	switch e.life.state {
	case Serving:
		e.lines.follow(now)
	case Draining:
		if e.life.created != underWay && !e.lines.at(Data).live() {
			e.move(now, Orphaned)
		}
	case Leaving:
		e.sayBye(now)
	case Connecting, Creating, Ended:
	}
}

// idle says whether no hook runs and no session is left.
func (e *Engine) idle() bool { return e.running == 0 && len(e.roster.sessions) == 0 }

// dismissed takes the word of the manager that the instance is to end at once, since a hook does not end that was told
// to: what runs is left alone, and nothing is begun any more.
func (e *Engine) dismissed(now time.Time, why *protocol.Error) {
	e.life.blame(why)
	e.life.forced = true
	e.roster.releaseAll(true)
	e.move(now, Leave)
	e.advance(now)
}

// Abandons says whether the instance ends, or has ended, without waiting for its hooks.
func (e *Engine) Abandons() bool { return e.life.forced }

// sayBye says BYE when all hooks have ended, and ends when that was heard.
func (e *Engine) sayBye(now time.Time) {
	if !e.life.forced && (!e.idle() || !e.life.undone()) {
		return
	}
	if e.life.sayFarewell(now) {
		e.lines.at(Control).link.Append(protocol.KindBye, 0, 0, nil)
	}
	if now.Before(e.life.flushAt) && e.lines.wait() {
		return
	}
	e.move(now, Finished)
}

// Deadline is when [Engine.Tick] is next to be called; ok is false when the instance has ended.
func (e *Engine) Deadline() (at time.Time, ok bool) {
	if e.life.state == Ended {
		return time.Time{}, false
	}
	return sooner(e.roster.progressDue(), sooner(e.lines.deadline(), e.life.deadline())), true
}

// Tick runs the timers that are due.
func (e *Engine) Tick(now time.Time) {
	if e.life.state == Ended {
		return
	}
	if e.life.graceEnds(now) {
		e.orders.add(Order{Kind: CancelAll})
	}
	e.lines.tick(now)
	e.roster.tellDue(now)
	if e.life.state == Draining && now.Sub(later(e.lines.at(Data).heard, e.life.stopAt)) >= e.cfg.Patience {
		e.move(now, Orphaned)
	}
	e.advance(now)
}

// Take collects what is to be done.
func (e *Engine) Take(b *Batch) {
	e.tally.report(e.lines.at(Data))
	b.Orders = append(b.Orders, e.orders...)
	clear(e.orders)
	e.orders = e.orders[:0]
	for line := range Lines {
		b.Frames[line] = e.lines.at(line).node.Take(b.Frames[line])
	}
	if len(e.roster.woken) > 0 {
		b.Granted = append(b.Granted, e.roster.woken...)
		clear(e.roster.woken)
		e.roster.woken = e.roster.woken[:0]
	}
	if len(e.requests.answers) > 0 {
		b.Answers = append(b.Answers, e.requests.answers...)
		clear(e.requests.answers)
		e.requests.answers = e.requests.answers[:0]
	}
	b.Released = e.Released(b.Released)
}

// Released appends the handles that are to be released, which may have become more when frames left.
func (e *Engine) Released(dst []protocol.Handle) []protocol.Handle {
	for line := range Lines {
		dst = e.lines.at(line).node.Released(dst)
	}
	return dst
}

// Blocked notes that the socket of a line has no connection: nothing was sent.
func (e *Engine) Blocked(line Line) { e.lines.at(line).blocked() }

// Writable notes that the socket of a line, which was blocked, has a connection.
func (e *Engine) Writable(now time.Time, line Line) { e.lines.at(line).writable(now) }

// Broken notes that the socket of a line is of no use any more: the line is dialled again.
func (e *Engine) Broken(now time.Time, line Line) { e.lines.broken(now, line) }

// adopt takes a higher epoch over: whatever was referred to before is void.
func (e *Engine) adopt(now time.Time, epoch protocol.Epoch) {
	if first := e.lines.adopt(epoch); first {
		return
	}
	e.hangUp()
	if w := e.lines.at(Control); w.link.Up() {
		w.greetAnew(now)
	}
}

// referred takes the word of where the service is served. When its manager has moved, the data line follows it: to the
// instance that is a connection that broke, no more.
func (e *Engine) referred(now time.Time, refer protocol.Refer) {
	moved, ok := e.lines.referred(refer)
	if !ok {
		return
	}
	if moved {
		e.lines.dial(now, Data, refer.Endpoint)
	}
	e.move(now, Referred)
}

// hangUp gives up the data line, and with it all sessions.
func (e *Engine) hangUp() {
	if e.lines.at(Data).live() {
		e.newEra()
		e.lines.hangUp()
	}
}

// newEra lets go of everything that came from a manager that is no more: its sessions and their tasks.
func (e *Engine) newEra() {
	e.tally = tally{}
	e.roster.newEra()
	e.requests.fail()
}
