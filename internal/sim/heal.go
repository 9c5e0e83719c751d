package sim

import "time"

// How long each phase after the faults may take, in simulated time. What may hold a phase up longest is named beside it.
var patience = [...]time.Duration{
	settlingPhase: 4 * time.Minute,  // a service's backoff of a minute, and a node that is ruled out for another
	closingPhase:  90 * time.Second, // hooks that are slow
	idlePhase:     90 * time.Second, // the idle limit, then the grace
	leavingPhase:  60 * time.Second,
}

// goals are what has to come about, phase by phase, when everything is healed.
type goals struct {
	w     *World
	ends  int64 // of the phase
	begun int64 // when everything was healed
}

// probeEvery is how often it is looked whether a phase has reached its goal.
const probeEvery = 250 * time.Millisecond

// heal ends all faults: from now on everything has to come right.
func (g *goals) heal() {
	w := g.w
	w.healing = true
	g.begun = w.at
	p := &w.plan
	p.stillborn, p.drop, p.hold, p.duplicate, p.swarm, p.reorder, p.disk = 0, 0, 0, 0, 0, 0, 0
	p.hooks, p.work = min(p.hooks, 20*time.Millisecond), min(p.work, 200*time.Microsecond) // what has queued up is to be done in time
	w.hoarded = 0
	for i := range w.net.hosts {
		w.net.hosts[i].cut = 0
	}
	if w.broker != nil {
		w.broker.process.revive()
	}
	for _, n := range w.nodes {
		n.agent.process.revive()
	}
	for _, s := range w.seats {
		s.client.process.revive()
	}
	for _, i := range w.instances {
		i.process.revive()
	}
	if w.tracing {
		w.trace("everything is healed")
	}
	g.enter(settlingPhase)
	w.after(probeEvery, g.probe)
}

func (g *goals) enter(p phase) {
	w := g.w
	w.phase = p
	if p < overPhase {
		g.ends = w.at + int64(patience[p])
	}
	if w.tracing {
		w.trace("phase: %v", p)
	}
}

// probe looks whether the phase has reached its goal, or has had its time.
func (g *goals) probe() {
	w := g.w
	if why := g.missing(); why == "" {
		g.enter(w.phase + 1)
		if w.phase == overPhase {
			return
		}
	} else if w.at > g.ends {
		w.fail("liveness", "%v after everything was healed (%v): %s", patience[w.phase], w.phase, why)
		return
	}
	w.after(probeEvery, g.probe)
}

// missing says what stands between the phase and its goal; empty: nothing does.
func (g *goals) missing() string {
	w := g.w
	switch w.phase {
	case settlingPhase:
		return g.unsettled()
	case closingPhase:
		return g.unclosed()
	case idlePhase:
		return g.unneeded()
	case leavingPhase:
		return g.staying()
	case faultPhase, overPhase:
	}
	return ""
}
