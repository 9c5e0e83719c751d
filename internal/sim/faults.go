package sim

import (
	"time"

	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/worker/agent/core"
)

// scheduled are the faults that come at times of their own, and how often each comes beside the others.
var scheduled = [...]struct {
	class  Fault
	weight int
	strike func(*chaos)
}{
	{Partition, 4, (*chaos).partition},
	{Disconnect, 8, (*chaos).disconnect},
	{Pause, 4, (*chaos).pause},
	{Clocks, 2, (*chaos).jumpClock},
	{CrashBroker, 2, (*chaos).crashBroker},
	{CrashClient, 2, (*chaos).crashClient},
	{CrashAgent, 2, (*chaos).crashAgent},
	{CrashInstance, 6, (*chaos).crashInstance},
	{AgentExit, 1, (*chaos).exitAgent},
	{InstanceExit, 3, (*chaos).exitInstance},
	{Scarce, 3, (*chaos).hoard},
}

// chaos lets faults happen at times of their own, and remembers what may be felt of them.
type chaos struct {
	w       *World
	trouble int64 // until when the whole fabric may suffer from what was done to it
}

// fault lets one of the scheduled faults of this world happen, and plans the next.
func (c *chaos) fault() {
	w := c.w
	if w.healing {
		return
	}
	w.after(w.drawFault.span(w.plan.faultEvery/4, w.plan.faultEvery*2), c.fault)
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
			f.strike(c)
			return
		}
	}
}

// troubled says whether something was done that the whole fabric may suffer from.
func (c *chaos) troubled() bool { return c.w.at < c.trouble }

// suffers notes that what was done may be felt for so long, and for the time in which that is noticed.
func (c *chaos) suffers(length time.Duration) {
	w := c.w
	c.trouble = max(c.trouble, w.at+int64(length+2*time.Minute))
}

// silences notes that a host is not heard for so long. Its clients may lose their sessions when that adds up.
func (c *chaos) silences(number int, length time.Duration) {
	w := c.w
	for _, s := range w.seats {
		if s.host != number && number >= 0 {
			continue
		}
		s.unheard = max(s.unheard, w.at) + int64(length)
		if s.unheard-w.at > int64(w.plan.clientGrace/2/w.haste()) {
			s.doubted = s.unheard + int64(w.plan.clientGrace*w.haste())
		}
	}
}

// excuseHost notes that the clients of a host, or all, may lose their sessions.
func (c *chaos) excuseHost(number int, why string) {
	w := c.w
	for _, s := range w.seats {
		if s.client != nil && (s.host == number || number < 0) {
			for _, session := range s.client.app.sessions {
				session.excused = why
			}
		}
	}
}

func (c *chaos) partition() {
	w := c.w
	d := &w.drawFault
	number := 1 + d.n(len(w.net.hosts)-1)
	length := d.span(10*time.Millisecond, w.plan.cutFor)
	ways := uint8(d.between(1, 3))
	w.net.cut(number, ways, d.chance(500), length)
	w.tally.add(Partitions)
	c.suffers(length)
	c.silences(number, length)
	if d.chance(500) {
		w.net.severAll(func(n *conn) bool { return n.d.process.host == number })
	}
}

// memoryLimit is how many bytes the broker may use.
const memoryLimit = 64 << 20

// hoard has something else use a good part of the memory that the broker may use, or more than there is, for a while.
func (c *chaos) hoard() {
	w := c.w
	d := &w.drawFault
	w.hoarded = memoryLimit / 100 * int64(d.between(60, 110))
	w.tally.add(Shortages)
	if w.tracing {
		w.trace("of the broker's memory %d of %d bytes are in use", w.hoarded, int64(memoryLimit))
	}
	since := w.at
	w.hoardedAt = since
	w.after(d.span(0, w.plan.shortFor), func() {
		if w.hoardedAt == since {
			w.hoarded = 0
		}
	})
}

// memoryUsed is how many bytes of its memory a broker uses; ok is false where there is no limit.
func (b *broker) memoryUsed() (used int64, ok bool) {
	w := b.w
	if !w.plan.on.Has(Scarce) {
		return 0, false
	}
	used = w.hoarded
	for _, l := range b.managers {
		bytes, _ := manager.Holds(l.core)
		used += bytes
	}
	return used, true
}

func (c *chaos) disconnect() {
	w := c.w
	n := len(w.net.conns)
	if n == 0 {
		return
	}
	d := &w.drawFault
	w.tally.add(Disconnects)
	late, learns := d.chance(500), d.span(0, w.plan.notice)
	victim := w.net.conns[d.n(n)]
	c.silences(victim.d.process.host, learns+w.plan.reconnect)
	w.net.sever(victim, late, learns, d.span(0, w.plan.notice))
}

// victim draws a process; nil: there is none of that kind.
func (c *chaos) victim() *process {
	w := c.w
	d := &w.drawFault
	switch d.n(4) {
	case 0:
		return w.broker.process
	case 1:
		return w.seats[d.n(len(w.seats))].client.process
	case 2:
		return w.nodes[d.n(len(w.nodes))].agent.process
	default:
		if len(w.instances) == 0 {
			return nil
		}
		return w.instances[d.n(len(w.instances))].process
	}
}

// hostOf is the host that is not heard while the process is not; -1: none is heard.
func (c *chaos) hostOf(p *process) int {
	if p.kind == brokerParty {
		return -1
	}
	return p.host
}

func (c *chaos) pause() {
	w := c.w
	d := &w.drawFault
	p := c.victim()
	if p == nil || !p.alive || p.paused > w.at {
		return
	}
	length := d.span(10*time.Millisecond, w.plan.pauseFor)
	p.standStill(length, w.plan.on.Has(Clocks) && d.chance(500))
	w.tally.add(Pauses)
	c.suffers(length)
	c.silences(c.hostOf(p), length)
	if w.tracing {
		w.trace("%s stands still for %v", p.name, length)
	}
}

// light has a process die before one of its next effects.
func (c *chaos) light(p *process) {
	w := c.w
	if p.alive && p.fuse == 0 {
		p.fuse = w.drawFault.between(1, 40)
	}
}

func (c *chaos) crashBroker() {
	w := c.w
	if !w.broker.process.alive {
		return
	}
	c.light(w.broker.process)
	c.brokerLost()
}

// brokerLost notes that every session there is may lose its broker, or be taken for another one.
func (c *chaos) brokerLost() {
	w := c.w
	c.suffers(w.plan.brokerDown)
	c.excuseHost(-1, "the broker was lost")
}

func (c *chaos) crashClient() {
	w := c.w
	c.light(w.seats[w.drawFault.n(len(w.seats))].client.process)
}

func (c *chaos) crashAgent() {
	w := c.w
	c.suffers(w.plan.agentDown)
	c.light(w.nodes[w.drawFault.n(len(w.nodes))].agent.process)
}

func (c *chaos) crashInstance() {
	w := c.w
	if n := len(w.instances); n > 0 {
		c.light(w.instances[w.drawFault.n(n)].process)
	}
}

func (c *chaos) exitAgent() {
	w := c.w
	a := w.nodes[w.drawFault.n(len(w.nodes))].agent
	if !a.process.alive {
		return
	}
	w.tally.add(AgentExits)
	c.suffers(w.plan.agentDown)
	a.put(core.Shutdown{Grace: w.plan.grace})
}

func (c *chaos) exitInstance() {
	w := c.w
	if n := len(w.instances); n > 0 {
		w.tally.add(InstanceExits)
		which := w.drawFault.n(n)
		if w.drawFault.chance(500) {
			which = n - 1 // the youngest, which may not have been welcomed yet
		}
		w.instances[which].terminate()
	}
}
