package sim

import "time"

// partyKind is what a simulated process is.
type partyKind uint8

const (
	brokerParty partyKind = iota
	clientParty
	agentParty
	instanceParty
)

func (k partyKind) String() string { return [...]string{"broker", "client", "agent", "instance"}[k] }

// mortal is what becomes of a party when its process has died.
type mortal interface {
	// died lets go of what others see of the process. It is called once, after alive has become false.
	died()
}

// process is one operating system process: it lives, dies between any two of its effects, and may stand still.
type process struct {
	w      *World
	kind   partyKind
	name   string
	host   int
	alive  bool
	paused int64 // until when it stands still
	frozen bool  // its clock stands still meanwhile
	clock  clock
	fuse   int // effects until it dies; 0: it does not
	table  payloads
	owner  mortal
	actors []*actor
}

func (w *World) newProcess(kind partyKind, name string, host int, owner mortal) *process {
	p := &process{w: w, kind: kind, name: name, host: host, alive: true, owner: owner}
	p.table = payloads{w: w, name: name}
	w.drawClock(p)
	return p
}

// effect is called before each effect of a batch and after the last one. It says whether the process goes on: when not,
// it has died here, and nothing more of the batch happens.
func (p *process) effect() bool {
	if p.fuse > 0 {
		if p.fuse--; p.fuse == 0 {
			p.w.tally.add(crashOf(p.kind))
			p.die("crashes")
		}
	}
	return p.alive
}

// die ends the process at once.
func (p *process) die(how string) {
	if !p.alive {
		return
	}
	p.alive = false
	if p.w.tracing {
		p.w.trace("%s %s", p.name, how)
	}
	p.owner.died()
}

// actor is one goroutine of a process: it has turns.
type actor struct {
	w       *World
	process *process
	name    string
	run     func() // one turn
	due     int64
	version uint32
	pending bool
	idle    int   // turns in a row that were asked for at once
	works   int64 // until when it is at work with its last turn
}

func (p *process) newActor(name string, run func()) *actor {
	a := &actor{w: p.w, process: p, name: name, run: run}
	p.actors = append(p.actors, a)
	return a
}

// wakeAt has the actor's next turn at a time at the latest.
func (a *actor) wakeAt(at int64) {
	at = max(at, a.w.at)
	if a.pending && a.due <= at {
		return
	}
	a.version++
	a.due, a.pending = at, true
	a.w.queue.push(at, evTurn, a, a.version)
}

// ring wakes the actor soon, because there is something for it.
func (a *actor) ring() {
	at := a.w.at
	if d := a.w.plan.lag; d > 0 {
		at += int64(a.w.drawNet.span(0, d))
	}
	a.wakeAt(at)
}

// until wakes the actor when its core's deadline has come. A core that is never satisfied is a defect.
func (a *actor) until(deadline time.Time, ok bool) {
	if !ok {
		return
	}
	at := a.process.clock.when(int64(deadline.Sub(epochOfTime)))
	if at > a.w.at {
		a.idle = 0
		a.wakeAt(at)
		return
	}
	if a.idle++; a.idle > 1000 {
		a.w.fail("busy", "%s wants to be woken again and again", a.name)
	}
	a.wakeAt(a.w.at + int64(time.Millisecond))
}

// standStill has the process do nothing for so long. Its clock goes on meanwhile, or stands still as well.
func (p *process) standStill(length time.Duration, frozen bool) {
	p.paused, p.frozen = p.w.at+int64(length), frozen
	if frozen {
		p.clock.jump(p.w.at, -length) // nothing looks at it before the end
	}
}

// revive lets the process go on at once, with a clock that goes as the world's does.
func (p *process) revive() {
	if p.frozen && p.paused > p.w.at {
		p.clock.jump(p.w.at, time.Duration(p.paused-p.w.at))
	}
	if p.clock.wild {
		p.clock.set(p.w.at, p.clock.reads(p.w.at), clockUnit)
	}
	p.fuse, p.paused, p.frozen = 0, 0, false
	p.rouse()
}

// rouse gives all actors of the process a turn.
func (p *process) rouse() {
	for _, a := range p.actors {
		a.wakeAt(p.w.at)
	}
}

// turn has the actor's turn, unless its process is dead or stands still.
func (a *actor) turn() {
	a.pending = false
	p := a.process
	switch {
	case !p.alive:
	case max(p.paused, a.works) > a.w.at:
		a.wakeAt(max(p.paused, a.works))
	default:
		a.run()
	}
}
