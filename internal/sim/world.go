package sim

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Options say which world is run. Equal options give equal runs.
type Options struct {
	Seed    uint64
	Steps   int    // of the phase with faults
	Without Faults // classes that are left out
	Most    Sizes
	Trace   func(line string) // gets what happens; nil: nobody does
	Beats   bool              // Trace gets heartbeats as well
	Exact   bool              // the hash is of every byte that is sent
}

// Failure is something that must not be.
type Failure struct {
	Kind  string // one word for what was violated
	Text  string
	Step  int           // at which it was noticed
	At    time.Duration // since the world began
	Phase string
}

// Error says what is wrong, and when it was noticed.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s: %s (step %d, %v, %s)", f.Kind, f.Text, f.Step, f.At, f.Phase)
}

// Outcome is how a run ended.
type Outcome struct {
	Failure *Failure // nil: all was well
	Steps   Steps
	Hash    uint64 // of all that happened, in order
	Tally   Tally
	Time    time.Duration // simulated
}

// epochOfTime is when worlds begin.
var epochOfTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// phase is how far a run has come.
type phase uint8

const (
	faultPhase    phase = iota // anything may happen
	settlingPhase              // all is healed: what was accepted has to end
	closingPhase               // sessions are closed
	idlePhase                  // what nobody needs has to go
	leavingPhase               // everybody leaves
	overPhase
)

func (p phase) String() string {
	return [...]string{"with faults", "settling", "closing", "idle", "leaving", "over"}[p]
}

// World is one simulated fabric. Make it by [Run].
type World struct {
	options Options
	plan    plan
	queue   queue
	at      int64 // nanoseconds since epochOfTime
	now     time.Time
	phase   phase
	healing bool
	failure *Failure
	tracing bool
	tally   Tally
	steps   Steps
	total   int
	hash    uint64

	drawNet, drawFault, drawParty, drawApp source

	net       network
	broker    *broker
	reigns    uint64
	seats     []*seat
	nodes     []*node
	hands     []*hand
	services  []*service
	instances []*instance // alive
	checker   checker
	promises  promises
	queueing  queueing

	tasks []*task
	open  int // tasks without an answer

	cancelsByNumber bool                            // tasks were cancelled by the numbers of their sessions
	cancelled       map[protocol.SessionNumber]bool // sessions of which all tasks, or some by their sequence, were to be cancelled by some client
	halted          map[protocol.SessionNumber]bool // sessions that some client has had take no more tasks
	lastSession     uint32
	forced          map[protocol.SessionNumber]bool // sessions that were to be taken by force,
	struck          map[protocol.SessionNumber]bool // or closed by an operator, under this broker or the next ones
	incarnated      uint64
	hoarded         int64 // bytes of the broker's memory that something else uses
	hoardedAt       int64 // since when
	chaos           chaos
	goals           goals
	inspect         inspector

	freeHooks   []*hookRun
	resultBytes []byte
	zeros       [256]byte
}

// Run runs one world to its end, or to the first failure.
func Run(o Options) (out Outcome) {
	w := &World{options: o, plan: newPlan(&o), now: epochOfTime, tracing: o.Trace != nil}
	defer func() {
		if what := recover(); what != nil {
			w.fail("panic", "%v\n%s", what, debug.Stack())
		}
		w.tally.add(Seeds)
		out = Outcome{Failure: w.failure, Steps: w.steps, Hash: w.hash, Tally: w.tally, Time: time.Duration(w.at)}
	}()
	w.create()
	w.run()
	return out
}

// create makes the parties.
func (w *World) create() {
	seed := w.options.Seed
	w.drawNet, w.drawFault, w.drawParty, w.drawApp = newSource(seed, 2), newSource(seed, 3), newSource(seed, 4), newSource(seed, 5)
	p := &w.plan
	w.chaos.w, w.goals.w, w.inspect.w, w.promises.w = w, w, w, w
	for _, m := range []*map[protocol.SessionNumber]bool{&w.forced, &w.struck, &w.cancelled, &w.halted} {
		*m = make(map[protocol.SessionNumber]bool)
	}
	w.checker = checker{w: w, containers: make(map[string]bool)}
	w.net = network{w: w, hosts: make([]host, 2+p.clients+p.nodes)}
	w.queueing.create(w)
	byHand := w.drawParty.chance(350)
	for n := range p.services {
		w.services = append(w.services, w.newService(n, byHand && n == p.services-1))
	}
	w.startBroker()
	for n := range p.nodes {
		w.nodes = append(w.nodes, &node{name: fmt.Sprintf("n%d", n), host: 1 + n})
		w.queueing.ofNode(w.nodes[n])
		w.startAgent(w.nodes[n])
	}
	for n := range p.clients {
		w.seats = append(w.seats, &seat{index: n, host: 1 + p.nodes + n})
		w.startClient(w.seats[n])
	}
	if byHand {
		h := &hand{w: w, service: w.services[p.services-1], host: 1 + p.nodes + p.clients}
		w.hands = append(w.hands, h)
		w.after(w.drawParty.span(0, 3*time.Second), h.start)
	}
	w.after(w.drawFault.span(0, p.faultEvery), w.chaos.fault)
	if w.tracing {
		w.trace("%d loops, %d clients, %d nodes, %d services; faults: %v", p.loops, p.clients, p.nodes, p.services, p.on)
	}
}

// run lets events happen, one by one.
func (w *World) run() {
	for w.failure == nil && w.phase != overPhase {
		e, ok := w.queue.pop()
		if !ok {
			w.fail("end", "nothing happens any more")
			return
		}
		if e.at != w.at {
			w.at = e.at
			w.now = epochOfTime.Add(time.Duration(e.at))
		}
		w.happen(&e)
		if w.phase == faultPhase && w.total >= w.options.Steps {
			w.goals.heal()
		}
	}
}

// happen lets one event happen.
func (w *World) happen(e *event) {
	switch e.kind {
	case evTurn:
		a := e.ref.(*actor) //nolint:forcetypeassert // evTurn says so
		if e.version == a.version && a.pending {
			w.mix(uint64(e.at)<<3 | uint64(e.kind))
			a.turn()
		}
	case evDeliver:
		w.net.deliver(e.ref.(*message)) //nolint:forcetypeassert // evDeliver says so
	case evConnect:
		if d := e.ref.(*dealer); e.version == d.version { //nolint:forcetypeassert // evConnect says so
			w.net.connect(d)
		}
	case evHook:
		if h := e.ref.(*hookRun); e.version == h.version { //nolint:forcetypeassert // evHook says so
			w.mix(uint64(e.at)<<3 | uint64(e.kind))
			h.hookEnds()
		}
	case evCall:
		w.mix(uint64(e.at)<<3 | uint64(e.kind))
		e.ref.(func())() //nolint:forcetypeassert // evCall says so
	case evKinds:
	}
}

// after has something done after a while.
func (w *World) after(wait time.Duration, do func()) {
	w.queue.push(w.at+int64(max(wait, 0)), evCall, do, 0)
}

// step counts an input of a core.
func (w *World) step(p place) {
	w.steps[p]++
	w.total++
}

func (w *World) mix(v uint64) {
	w.hash = (w.hash ^ v) * 0x9e3779b97f4a7c15
	w.hash ^= w.hash >> 29
}

// mixBytes puts what is sent into the hash.
func (w *World) mixBytes(b []byte) {
	w.mix(uint64(len(b)))
	if w.options.Exact {
		for _, c := range b {
			w.hash = (w.hash ^ uint64(c)) * 0x100000001b3
		}
	}
}

// incarnation draws the number of a process.
func (w *World) incarnation() uint64 {
	w.incarnated++
	return w.drawParty.next()>>16<<8 | w.incarnated&0xff | 1<<62
}

func (w *World) serviceNamed(name string) *service {
	for _, s := range w.services {
		if s.name == name {
			return s
		}
	}
	return nil
}

// fail notes the first thing that must not be, which ends the run.
func (w *World) fail(kind, format string, args ...any) {
	if w.failure != nil {
		return
	}
	w.failure = &Failure{
		Kind: kind, Text: fmt.Sprintf(format, args...), Step: w.total, At: time.Duration(w.at), Phase: w.phase.String(),
	}
	if w.tracing {
		w.trace("FAILURE %v", w.failure)
	}
}

// allows says whether a class of faults happens in this world.
func (w *World) allows(f Fault) bool { return w.plan.on.Has(f) && !w.healing }

// allowsAct says whether tasks may do so in this world.
func (w *World) allowsAct(a act) bool {
	switch a {
	case actPoison, actPoisonOnce:
		return w.plan.on.Has(Poison)
	case actFail, actPermanent, actRetryOnce, actRetry, actPanic:
		return w.plan.on.Has(HookTrouble)
	case actSlow:
		return w.plan.on&(1<<HookTrouble|1<<Cancels|1<<Deadlines) != 0
	case actEcho, actCancelled, acts:
	}
	return a == actEcho
}
