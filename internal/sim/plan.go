package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Fault is a class of things that go wrong, which can be left out of a run as a whole.
type Fault uint8

// The classes.
const (
	Drop            Fault = iota // a message is lost, though its connection lives
	Delay                        // a message is late
	Duplicate                    // a message arrives twice
	Reorder                      // a message overtakes another one
	Partition                    // a machine is cut off, one way or both
	Disconnect                   // a connection breaks
	Pause                        // a process stands still
	SlowDisk                     // it takes long until records are durable
	CrashBroker                  // the broker dies and begins anew with nothing
	CrashClient                  // a client dies
	CrashAgent                   // an agent dies, and its containers with it
	CrashInstance                // an instance dies
	ClientExit                   // a client ends in order
	AgentExit                    // an agent ends in order
	InstanceExit                 // an instance is asked to end by somebody else
	HookTrouble                  // hooks of tasks fail, panic, ask for another try, are slow
	Poison                       // tasks end their instance
	InstanceTrouble              // starts fail, OnCreateService fails
	BindTrouble                  // OnSessionBind fails
	Stall                        // clients do not read results
	Move                         // session managers go from loop to loop
	Operator                     // an operator closes sessions, deregisters services
	Flood                        // every message arrives twice, and some a hundred times
	Clocks                       // each process has a clock of its own: off, fast or slow, jumping ahead
	Steering                     // sessions are suspended and resumed, and take tasks or do not
	Cancels                      // tasks are cancelled
	Deadlines                    // tasks have limits of time
	Keeping                      // sessions outlive their clients, and go from one to another
	Keepsakes                    // instances keep data with sessions
	Parts                        // tasks send parts of their results, and how far they are
	Scarce                       // the memory that a broker may use is short for a while
	faults
)

var faultNames = [faults]string{
	"drop", "delay", "duplicate", "reorder", "partition", "disconnect", "pause", "disk", "crash-broker", "crash-client",
	"crash-agent", "crash-instance", "client-exit", "agent-exit", "instance-exit", "hooks", "poison", "instances", "bind",
	"stall", "move", "operator", "flood", "clocks", "steer", "cancels", "deadlines",
	"keep", "data", "parts", "memory",
}

// String names the class as ParseFaults reads it.
func (f Fault) String() string { return faultNames[f] }

// Faults is a set of classes.
type Faults uint32

// disturbing are the classes after which what is sent may not arrive, or not soon, or a process may be late. Without them
// it is known to the second when things have to happen.
const disturbing = Faults(1<<Drop | 1<<Delay | 1<<Duplicate | 1<<Reorder | 1<<Partition | 1<<Disconnect | 1<<Pause | 1<<SlowDisk |
	1<<CrashBroker | 1<<CrashAgent | 1<<AgentExit | 1<<Stall | 1<<Move | 1<<Operator | 1<<Flood | 1<<Clocks | 1<<Scarce)

// Has says whether the class is in the set.
func (s Faults) Has(f Fault) bool { return s&(1<<f) != 0 }

// With is the set with the class.
func (s Faults) With(f Fault) Faults { return s | 1<<f }

// String gives the names, with commas between them.
func (s Faults) String() string {
	var names []string
	for f := range faults {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, ",")
}

// ParseFaults reads what [Faults.String] writes. An error names what is not a class.
func ParseFaults(text string) (s Faults, err error) {
	for name := range strings.SplitSeq(text, ",") {
		if name == "" {
			continue
		}
		found := false
		for f := range faults {
			if f.String() == name {
				s, found = s.With(f), true
			}
		}
		if !found {
			return 0, fmt.Errorf("%q is not a class of faults: they are %s", name, ^Faults(0))
		}
	}
	return s, nil
}

// Sizes bounds how many there are of something; 0: as the seed draws.
type Sizes struct {
	Loops    int // exactly so many manager loops
	Clients  int // at most
	Nodes    int // at most
	Services int // at most
}

// plan is what a seed draws for its world: sizes, rates, times.
type plan struct {
	on   Faults // classes that happen
	calm bool   // none of them is disturbing

	loops, clients, nodes, services int
	places                          int  // containers that fit on a node
	roomy                           bool // all that sessions may ask for fits: none waits for another one to be closed
	managers                        int  // session managers that fit on a loop; 0: as many as there are
	managerCPU, managerMemory       int64
	work                            time.Duration // that a manager loop has at most with one thing that it is told
	crowded                         bool          // one loop is busy for one service, and others may use little of it
	churning                        bool          // who waits for a manager has its turn soon, and what was killed is still at work then
	sessions                        int           // of a client at once
	burst                           int           // tasks submitted at once
	think                           time.Duration
	external                        int // per mille of payloads
	oddTasks                        int // per mille of tasks that are no plain echo
	instant                         int // per mille of hooks that take no time
	heeds                           int // per mille of hooks that end when their context does
	hooks, slow                     time.Duration
	resultCredit                    int64
	clientGrace, grace              time.Duration
	doors                           time.Duration

	lag                      time.Duration // until a woken process has its turn
	delay, reconnect, notice time.Duration
	drop, hold, duplicate    int // per mille of messages
	reorder, stillborn       int
	swarm                    int // per mille of messages, which arrive a hundred times
	kills, steers, cancels   int // per mille of what applications do
	holdFor, disk            time.Duration
	brokerDown               time.Duration
	agentDown, clientDown    time.Duration
	faultEvery               time.Duration // mean time between two faults
	startFails, createFails  int
	bindFails                int
	ranked, ordered          int // per mille of sessions whose tasks have priorities, and end in order
	joins                    int // per mille of tasks that wait for others
	keeps                    int // per mille of sessions that are kept
	comes                    int // per mille of what applications do: to leave a session, or attach to one
	data, parts              int // per mille of hooks that ask for data of their session, or send parts
	startTakes               time.Duration
	stalls                   bool
	moves                    int // per mille of what an operator does
	pauseFor, cutFor         time.Duration
	shortFor                 time.Duration // memory is short
}

// newPlan draws the plan of a seed: each class of faults happens in about half of the seeds, and none in one of sixteen.
func newPlan(o *Options) plan {
	s := newSource(o.Seed, 1)
	p := plan{
		loops: s.between(1, 3), clients: s.between(1, 4), nodes: s.between(1, 3), services: pick(&s, 1, 1, 2, 3),
		places: s.between(1, 4), sessions: s.between(1, 4), burst: s.between(1, 24), think: s.span(5*time.Millisecond, 400*time.Millisecond),
		external: pick(&s, 0, 50, 300), instant: pick(&s, 0, 200, 900),
		hooks: s.span(100*time.Microsecond, time.Duration(pick(&s, 60, 60, 800))*time.Millisecond), heeds: pick(&s, 0, 700, 1000), slow: s.span(time.Second, time.Duration(pick(&s, 15, 15, 100))*time.Second),
		resultCredit: int64(pick(&s, 2<<10, 64<<10, 0)),
		clientGrace:  s.span(12*time.Second, 30*time.Second), grace: s.span(50*time.Millisecond, 3*time.Second),
		doors: time.Duration(pick(&s, 0, 3, 3)) * time.Second,
		lag:   s.span(0, 500*time.Microsecond), delay: s.span(50*time.Microsecond, 30*time.Millisecond),
		reconnect: s.span(100*time.Millisecond, time.Second), notice: s.span(time.Millisecond, 10*time.Second),
		holdFor: s.span(10*time.Millisecond, 3*time.Second), brokerDown: s.span(10*time.Millisecond, 15*time.Second),
		agentDown: s.span(10*time.Millisecond, 15*time.Second), clientDown: s.span(50*time.Millisecond, 5*time.Second),
		startTakes: s.span(time.Millisecond, 2*time.Second),
		faultEvery: s.span(300*time.Millisecond, 8*time.Second),
		pauseFor:   s.span(100*time.Millisecond, 30*time.Second), cutFor: s.span(100*time.Millisecond, 30*time.Second),
	}
	if p.roomy = s.n(2) == 0; p.roomy {
		p.places = 32
	}
	p.scarcity(&s)
	if s.n(16) > 0 {
		p.on = Faults(s.next()) & (1<<faults - 1)
	}
	if s.n(5) == 0 {
		p.on &^= disturbing
	}
	p.on &^= o.Without
	p.calm = p.on&disturbing == 0
	p.loops = cap0(p.loops, o.Most.Loops)
	if o.Most.Loops > 0 {
		p.loops = o.Most.Loops
	}
	p.clients, p.nodes, p.services = cap0(p.clients, o.Most.Clients), cap0(p.nodes, o.Most.Nodes), cap0(p.services, o.Most.Services)
	p.rate(&s)
	return p
}

// scarcity draws what the management node has: often so little that session managers wait for each other.
func (p *plan) scarcity(s *source) {
	p.managers = pick(s, 0, 0, 1, 1, 2)
	p.managerCPU, p.managerMemory = 1000, 1<<30
	if p.managers > 0 {
		p.managerCPU = int64(p.managers) * protocol.DefaultManagerCPU
		p.services = s.between(2, 4)
	}
	if small := int64(pick(s, 0, 1, 3)) << 20; small > 0 {
		p.managerMemory = small
	}
	if p.managers > 0 || p.managerMemory < 1<<30 {
		p.roomy = false
	}
	if p.churning = p.managers == 1 && s.n(4) > 0; p.churning {
		p.loops = s.between(1, 2)
		p.services, p.burst, p.hooks, p.instant, p.heeds = p.loops+1, min(p.burst, 3), 5*time.Second, 0, 0
	}
	p.work = pick(s, 2*time.Microsecond, 200*time.Microsecond, 2*time.Millisecond)
	if p.crowded = p.managers == 0 && s.n(4) == 0; p.crowded {
		p.loops, p.clients, p.services, p.sessions = 1, s.between(3, 4), s.between(2, 3), 4
		p.think, p.hooks = s.span(2*time.Millisecond, 20*time.Millisecond), s.span(100*time.Microsecond, 5*time.Millisecond)
		p.work = 2 * time.Millisecond
	}
}

// rate draws the rates of what happens by chance.
func (p *plan) rate(s *source) {
	for _, r := range []struct {
		class Fault
		rate  *int
		most  int
	}{
		{Drop, &p.drop, 30},
		{Delay, &p.hold, 30},
		{Duplicate, &p.duplicate, 60},
		{Reorder, &p.reorder, 60},
		{InstanceTrouble, &p.startFails, 300},
		{InstanceTrouble, &p.createFails, 300},
		{BindTrouble, &p.bindFails, 200},
	} {
		rate := s.between(1, r.most)
		if p.on.Has(r.class) {
			*r.rate = rate
		}
	}
	odd, disk := s.between(1, 300), s.span(time.Millisecond, 2*time.Second)
	switch {
	case p.on.Has(HookTrouble) || p.on.Has(Poison):
		p.oddTasks = odd
	case p.on.Has(Cancels) || p.on.Has(Deadlines): // all are slow
		p.oddTasks = min(odd, 100)
	}
	if p.on.Has(SlowDisk) {
		p.disk = disk
	}
	p.stalls, p.kills = p.on.Has(Stall), pick(s, 2, 5, 20, 100)
	if p.churning {
		p.kills = 300
	}
	if stillborn := s.between(1, 250); p.on.Has(Disconnect) {
		p.stillborn = stillborn
	}
	if swarm := s.between(0, 3); p.on.Has(Flood) {
		p.duplicate, p.swarm = 1000, swarm
	}
	p.ranked, p.ordered, p.joins = pick(s, 0, 300, 1000), pick(s, 0, 0, 200), pick(s, 0, 0, 20, 100)
	if cancels := s.between(5, 150); p.on.Has(Cancels) {
		p.cancels = cancels
	}
	if steers := s.between(5, 100); p.on.Has(Steering) {
		p.steers = steers
	}
	if moves := s.between(50, 400); p.on.Has(Move) {
		p.moves = moves
	}
	if keeps := s.between(200, 1000); p.on.Has(Keeping) {
		p.keeps, p.comes = keeps, s.between(20, 200)
	}
	if data := s.between(50, 400); p.on.Has(Keepsakes) {
		p.data = data
	}
	if parts := s.between(20, 400); p.on.Has(Parts) {
		p.parts = parts
	}
	p.shortFor = s.span(10*time.Millisecond, 10*time.Second)
}

func cap0(n, most int) int {
	if most > 0 {
		return min(n, most)
	}
	return n
}

// pick draws one of the values.
func pick[T any](s *source, values ...T) T { return values[s.n(len(values))] }

// service is a service of the world.
type service struct {
	name       string
	spec       protocol.Service
	registered protocol.Epoch // in the reign of which it was registered
}

// newService draws a service; the last one of some worlds has its instances started by hand.
func (w *World) newService(n int, byHand bool) *service {
	s := &w.drawParty
	svc := &service{name: fmt.Sprintf("svc-%d", n)}
	least := s.between(1, 2)
	payload := int64(s.between(128<<10, 1<<20))
	svc.spec = protocol.Service{
		Name: svc.name, Version: "1", Slots: s.between(1, 4), Sessions: s.between(1, 5),
		Instances: protocol.Instances{Min: least, Max: least + s.between(0, 2)},
		Requests:  []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 1000, Memory: 1 << 20}}},
		Limits: protocol.Limits{
			Payload: payload, Tasks: s.between(1, 200), Bytes: payload * int64(s.between(1, 4)),
			Idle:  protocol.Duration(s.span(500*time.Millisecond, time.Duration(pick(s, 5, 5, 20))*time.Second)),
			Start: protocol.Duration(s.span(4*time.Second, 10*time.Second)),
			Grace: protocol.Duration(s.span(100*time.Millisecond, 3*time.Second)),
		},
		Retry: w.drawRetry(s),
	}
	if w.plan.on.Has(Deadlines) && s.n(4) == 0 {
		svc.spec.Limits.Timeout = protocol.Duration(s.span(time.Second, 30*time.Second))
	}
	if w.plan.on.Has(Deadlines) && s.n(4) == 0 {
		svc.spec.Limits.Run = protocol.Duration(s.span(50*time.Millisecond, 10*time.Second))
	}
	svc.spec.Manager = w.drawShare(n, payload)
	if w.plan.churning { // its one instance is adopted again and again
		svc.spec.Instances, svc.spec.Sessions = protocol.Instances{Min: 1, Max: 1}, 5
	}
	if !byHand {
		svc.spec.Artefacts = protocol.Artefacts{"linux/amd64": {Command: "/bin/" + svc.name}}
	}
	w.queueing.ofService(&svc.spec)
	svc.spec = svc.spec.WithDefaults()
	return svc
}

// drawRetry draws a policy that says all.
func (w *World) drawRetry(s *source) protocol.Retry {
	r := protocol.Retry{
		Attempts: s.between(1, 4), HostLosses: s.between(2, 8),
		Backoff: protocol.Duration(s.span(time.Millisecond, time.Duration(pick(s, 50, 500, 3000))*time.Millisecond)),
	}
	r.MaxBackoff = r.Backoff * protocol.Duration(s.between(1, 8))
	if s.n(4) == 0 {
		r.On = []string{pick(s, protocol.CodeTaskFailed, protocol.CodeTaskPanicked).String()}
	}
	return r
}

// drawShare draws what the session managers of a service hold of the management node, which is as the service says or, for
// what it does not say, the default.
func (w *World) drawShare(n int, payload int64) (share protocol.Share) {
	s, p := &w.drawParty, &w.plan
	share.CPU = pick(s, 0, 0, 1, 5, min(p.managerCPU, 100))
	if p.crowded {
		share.CPU = 1
		if n == 0 {
			share.CPU = p.managerCPU / 2
		}
	}
	if s.n(4) > 0 {
		share.Memory = min(payload*int64(s.between(1, 2)), p.managerMemory)
	}
	return share
}
