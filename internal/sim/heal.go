package sim

import (
	"time"

	"github.com/weft-fabric/weft/worker/agent/core"
)

// How long each phase after the faults may take, in simulated time. What may hold a phase up longest is named beside it.
var patience = [...]time.Duration{
	settlingPhase: 4 * time.Minute,  // a service's backoff of a minute, and a node that is ruled out for another
	closingPhase:  90 * time.Second, // hooks that are slow
	idlePhase:     90 * time.Second, // the idle limit, then the grace
	leavingPhase:  60 * time.Second,
}

// probeEvery is how often it is looked whether a phase has reached its goal.
const probeEvery = 250 * time.Millisecond

// heal ends all faults: from now on everything has to come right.
func (w *World) heal() {
	w.healing = true
	p := &w.plan
	p.drop, p.hold, p.duplicate, p.reorder, p.disk = 0, 0, 0, 0, 0
	for i := range w.net.hosts {
		w.net.hosts[i].cut = 0
	}
	if w.broker != nil {
		w.revive(w.broker.process, w.broker.control.actor)
		for _, m := range w.broker.managers {
			w.revive(m.broker.process, m.actor)
		}
	}
	for _, n := range w.nodes {
		w.revive(n.agent.process, n.agent.actor)
	}
	for _, s := range w.seats {
		w.revive(s.client.process, s.client.actor)
	}
	for _, i := range w.instances {
		w.revive(i.process, i.actor)
	}
	if w.tracing {
		w.trace("everything is healed")
	}
	w.enter(settlingPhase)
	w.after(probeEvery, w.probe)
}

func (w *World) revive(p *process, a *actor) {
	p.fuse, p.paused = 0, 0
	a.wakeAt(w.at)
}

func (w *World) enter(p phase) {
	w.phase = p
	if p < overPhase {
		w.phaseEnds = w.at + int64(patience[p])
	}
	if w.tracing {
		w.trace("phase: %v", p)
	}
	switch p {
	case leavingPhase:
		for _, n := range w.nodes {
			n.agent.put(core.Shutdown{Grace: time.Second})
		}
	case faultPhase, settlingPhase, closingPhase, idlePhase, overPhase:
	}
}

// probe looks whether the phase has reached its goal, or has had its time.
func (w *World) probe() {
	if why := w.missing(); why == "" {
		w.enter(w.phase + 1)
		if w.phase == overPhase {
			return
		}
	} else if w.at > w.phaseEnds {
		w.fail("liveness", "%v after everything was healed (%v): %s", patience[w.phase], w.phase, why)
		return
	}
	w.after(probeEvery, w.probe)
}

// missing says what stands between the phase and its goal; empty: nothing does.
func (w *World) missing() string {
	switch w.phase {
	case settlingPhase:
		return w.unsettled()
	case closingPhase:
		return w.unclosed()
	case idlePhase:
		return w.unneeded()
	case leavingPhase:
		return w.staying()
	case faultPhase, overPhase:
	}
	return ""
}
