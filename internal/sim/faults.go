package sim

import (
	"time"

	"github.com/weft-fabric/weft/worker/agent/core"
)

// scheduled are the faults that come at times of their own, and how often each comes beside the others.
var scheduled = [...]struct {
	class  Fault
	weight int
	strike func(*World)
}{
	{Partition, 4, (*World).partition},
	{Disconnect, 8, (*World).disconnect},
	{Pause, 4, (*World).pause},
	{CrashBroker, 1, (*World).crashBroker},
	{CrashClient, 2, (*World).crashClient},
	{CrashAgent, 2, (*World).crashAgent},
	{CrashInstance, 6, (*World).crashInstance},
	{AgentExit, 1, (*World).exitAgent},
	{InstanceExit, 2, (*World).exitInstance},
}

// fault lets one of the scheduled faults of this world happen, and plans the next.
func (w *World) fault() {
	if w.healing {
		return
	}
	w.after(w.drawFault.span(w.plan.faultEvery/4, w.plan.faultEvery*2), w.fault)
	all := 0
	for i := range scheduled {
		if w.allows(scheduled[i].class) {
			all += scheduled[i].weight
		}
	}
	if all == 0 {
		return
	}
	n := w.drawFault.n(all)
	for i := range scheduled {
		f := &scheduled[i]
		if !w.allows(f.class) {
			continue
		}
		if n -= f.weight; n < 0 {
			w.steps[places]++
			w.total++
			f.strike(w)
			return
		}
	}
}

// troubled says whether something was done that the whole fabric may suffer from.
func (w *World) troubled() bool { return w.at < w.trouble }

// suffers notes that what was done may be felt for so long, and for the time in which that is noticed.
func (w *World) suffers(length time.Duration) {
	w.trouble = max(w.trouble, w.at+int64(length+2*time.Minute))
}

// excuseHost notes that the clients of a host, or all, may lose their sessions.
func (w *World) excuseHost(number int, why string) {
	for _, s := range w.seats {
		if s.client != nil && (s.host == number || number < 0) {
			for _, session := range s.client.app.sessions {
				session.excused = why
			}
		}
	}
}

func (w *World) partition() {
	d := &w.drawFault
	number := 1 + d.n(len(w.net.hosts)-1)
	length := d.span(10*time.Millisecond, w.plan.cutFor)
	ways := uint8(d.between(1, 3))
	w.net.cut(number, ways, d.chance(500), length)
	w.tally.add(Partitions)
	w.suffers(length)
	if length > w.plan.clientGrace/3 {
		w.excuseHost(number, "its client was cut off")
	}
	if d.chance(500) {
		w.net.severAll(func(c *conn) bool { return c.d.process.host == number })
	}
}

func (w *World) disconnect() {
	n := len(w.net.conns)
	if n == 0 {
		return
	}
	d := &w.drawFault
	w.tally.add(Disconnects)
	late := d.chance(500)
	w.net.sever(w.net.conns[d.n(n)], late, d.span(0, w.plan.notice), d.span(0, w.plan.notice))
}

func (w *World) pause() {
	d := &w.drawFault
	var p *process
	switch d.n(4) {
	case 0:
		p = w.broker.process
	case 1:
		p = w.seats[d.n(len(w.seats))].client.process
	case 2:
		p = w.nodes[d.n(len(w.nodes))].agent.process
	default:
		if len(w.instances) == 0 {
			return
		}
		p = w.instances[d.n(len(w.instances))].process
	}
	if !p.alive || p.paused > w.at {
		return
	}
	length := d.span(10*time.Millisecond, w.plan.pauseFor)
	p.paused = w.at + int64(length)
	w.tally.add(Pauses)
	w.suffers(length)
	if p.kind == brokerParty {
		w.excuseHost(-1, "the broker stood still")
	} else if length > w.plan.clientGrace/3 {
		w.excuseHost(p.host, "its client stood still")
	}
	if w.tracing {
		w.trace("%s stands still for %v", p.name, length)
	}
}

// light has a process die before one of its next effects.
func (w *World) light(p *process) {
	if p.alive && p.fuse == 0 {
		p.fuse = w.drawFault.between(1, 40)
	}
}

func (w *World) crashBroker() {
	if !w.broker.process.alive {
		return
	}
	w.light(w.broker.process)
	w.operatorClosed()
}

// operatorClosed notes that every session there is may lose its broker, or be taken for another one.
func (w *World) operatorClosed() {
	w.suffers(w.plan.brokerDown)
	w.excuseHost(-1, "the broker was lost")
}

func (w *World) crashClient() {
	w.light(w.seats[w.drawFault.n(len(w.seats))].client.process)
}

func (w *World) crashAgent() {
	w.suffers(w.plan.agentDown)
	w.light(w.nodes[w.drawFault.n(len(w.nodes))].agent.process)
}

func (w *World) crashInstance() {
	if n := len(w.instances); n > 0 {
		w.light(w.instances[w.drawFault.n(n)].process)
	}
}

func (w *World) exitAgent() {
	a := w.nodes[w.drawFault.n(len(w.nodes))].agent
	if !a.process.alive {
		return
	}
	w.tally.add(AgentExits)
	w.suffers(w.plan.agentDown)
	a.put(core.Shutdown{Grace: w.plan.grace})
}

func (w *World) exitInstance() {
	if n := len(w.instances); n > 0 {
		w.tally.add(InstanceExits)
		w.instances[w.drawFault.n(n)].terminate()
	}
}
