package sim

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// burst is how many messages a loop takes in one turn, as in package broker.
const burst = 64

// Where parties reach the broker. A loop's endpoint follows from the control endpoint, as control.Places says.
const (
	controlEndpoint = "inproc://b"
	loopEndpoint    = controlEndpoint + "/loop-"
)

// routerOf gives the index of the router that is bound to an endpoint: 0 is the control loop's, 1 + i that of manager
// loop i; -1 when there is none.
func routerOf(endpoint string) int {
	if endpoint == controlEndpoint {
		return 0
	}
	if len(endpoint) > len(loopEndpoint) && endpoint[:len(loopEndpoint)] == loopEndpoint {
		if i, err := strconv.Atoi(endpoint[len(loopEndpoint):]); err == nil {
			return 1 + i
		}
	}
	return -1
}

// broker is one process of the broker, with the shells of package broker in its loops.
type broker struct {
	w       *World
	process *process
	epoch   protocol.Epoch
	routers []*router

	control   *controlLoop
	managers  []*managerLoop
	committer committer
	shares    shares
	doors     int64 // until when nobody but operators are let in
}

// outlet is what both kinds of loops send by.
type outlet struct {
	process   *process
	router    *router
	committed uint64
	gated     []*link.Frame
	gone      []protocol.Peer
	handles   []protocol.Handle // scratch
}

// frames sends frames in order, and says whether the process lives.
func (o *outlet) frames(frames []*link.Frame) bool {
	for _, f := range frames {
		if f.After > o.committed {
			o.gated = append(o.gated, f)
			o.process.w.tally.add(Gated)
			continue
		}
		if !o.leave(f) {
			return false
		}
	}
	return true
}

// durable sends what waited for positions up to this one.
func (o *outlet) durable(position uint64) bool {
	o.committed = max(o.committed, position)
	var ready []*link.Frame
	ready, o.gated = link.Ready(o.gated, o.committed)
	for _, f := range ready {
		if !o.leave(f) {
			return false
		}
	}
	return true
}

func (o *outlet) leave(f *link.Frame) bool {
	if !o.process.effect() {
		return false
	}
	if peer, records, handles, ok := f.Leave(); ok {
		if !o.send(peer, records, handles) {
			f.Unsent()
		}
	}
	f.Sent()
	return true
}

// send says whether there was a connection.
func (o *outlet) send(peer protocol.Peer, records []byte, handles []protocol.Handle) bool {
	ok := o.router.send(peer, records, handles)
	if !ok {
		o.process.w.tally.add(PeersGone)
		o.process.w.promises.unseen = o.process.w.at
		o.gone = append(o.gone, peer)
	}
	return ok
}

func (o *outlet) takeGone() []protocol.Peer {
	gone := o.gone
	o.gone = o.gone[:0]
	return gone
}

// messages takes a burst out of the router's receive queue, and says whether it is empty then.
func (o *outlet) messages(dst []arrival) ([]arrival, bool) {
	in := o.router.in
	n := min(len(in), burst)
	dst = append(dst, in[:n]...)
	rest := copy(in, in[n:])
	clear(in[rest:])
	o.router.in = in[:rest]
	return dst, rest == 0
}

// controlLoop is the shell of the control core.
type controlLoop struct {
	broker   *broker
	actor    *actor
	out      outlet
	core     *control.Core
	mail     []control.Event
	letters  []control.Event
	arrivals []arrival
	batch    control.Batch
}

// managerLoop is the shell of a manager core.
type managerLoop struct {
	broker   *broker
	index    int
	actor    *actor
	out      outlet
	core     *manager.Core
	mail     []session.Order
	letters  []session.Order
	arrivals []arrival
	batch    manager.Batch
	busy     time.Duration // for which it was at work with the turn before
}

// startBroker begins a reign.
func (w *World) startBroker() {
	w.reigns++
	b := &broker{w: w, epoch: protocol.NewEpoch(1000+w.reigns, 0)}
	b.process = w.newProcess(brokerParty, fmt.Sprintf("broker.%d", w.reigns), 0, b)
	if w.plan.doors > 0 && w.reigns > 1 {
		b.doors = w.at + int64(w.plan.doors)
	}
	incarnation := w.incarnation()
	tokens := 0
	core, err := control.New(control.Config{
		Epoch: b.epoch, Incarnation: incarnation, Broker: "b", Loops: w.plan.loops, ClientGrace: w.plan.clientGrace,
		Queues: w.queueing.config(), ManagerCPU: w.plan.managerCPU, ManagerMemory: w.plan.managerMemory,
		Token: func() string { tokens++; return "t" + strconv.Itoa(tokens) },
	})
	if err != nil {
		w.fail("config", "%v", err)
		return
	}
	c := &controlLoop{broker: b, core: core}
	c.actor = b.process.newActor(b.process.name+"/control", c.turn)
	c.out = b.newOutlet(c.actor)
	b.control = c
	for i := range w.plan.loops {
		m := &managerLoop{broker: b, index: i}
		m.actor = b.process.newActor(fmt.Sprintf("%s/loop-%d", b.process.name, i), m.turn)
		m.out = b.newOutlet(m.actor)
		m.core = manager.New(manager.Config{
			Loop: i, Epoch: b.epoch, Incarnation: incarnation, Broker: "b",
			MaxPayload: protocol.DefaultMaxPayload, PeerTimeout: protocol.PeerTimeout, QueuedBytes: w.plan.managerMemory, Seed: incarnation,
		})
		b.managers = append(b.managers, m)
	}
	b.shares = newShares(b)
	b.committer = committer{broker: b, opened: make(map[protocol.SessionNumber]uint64)}
	w.broker = b
	c.actor.ring()
	w.net.brokerIsUp()
	if w.tracing {
		w.trace("%s begins, epoch %v", b.process.name, b.epoch)
	}
}

func (b *broker) newOutlet(a *actor) outlet {
	r := &router{broker: b, actor: a, name: a.name, conns: make(map[protocol.Peer]*conn)}
	b.routers = append(b.routers, r)
	return outlet{process: b.process, router: r}
}

// admits says whether the connection of a dealer comes about: the broker may be reached by operators first.
func (b *broker) admits(d *dealer) bool {
	if b.w.at >= b.doors || b.w.healing {
		return true
	}
	c, ok := d.process.owner.(*client)
	return ok && c.app.operates
}

// died breaks all connections, and has another broker started after a while.
func (b *broker) died() {
	w := b.w
	w.chaos.brokerLost()
	w.net.severAll(func(*conn) bool { return true })
	w.after(w.drawFault.span(0, w.plan.brokerDown), w.startBroker)
}

// severAll breaks the connections that are meant, because a process at one of their ends died.
func (n *network) severAll(meant func(*conn) bool) {
	for i := 0; i < len(n.conns); {
		if c := n.conns[i]; meant(c) {
			late := n.w.drawNet.chance(500)
			n.sever(c, late, n.w.drawNet.span(0, n.w.plan.notice), n.w.drawNet.span(0, n.w.plan.notice))
			continue // another one is at its place
		}
		i++
	}
}

// put hands events to the control loop.
func (l *controlLoop) put(ev control.Event) {
	l.mail = append(l.mail, ev)
	l.actor.ring()
}

// turn is one turn of the loop.
func (l *controlLoop) turn() {
	w, now := l.broker.w, l.broker.process.now()
	var drained bool
	l.arrivals, drained = l.out.messages(l.arrivals[:0])
	l.letters = append(l.letters[:0], l.mail...)
	clear(l.mail)
	l.mail = l.mail[:0]
	for _, ev := range l.letters {
		if c, ok := ev.(control.Committed); ok {
			if !l.out.durable(c.Position) {
				return
			}
		}
		w.step(atControl)
		l.core.Step(now, ev)
	}
	for _, a := range l.arrivals {
		l.out.handles = l.broker.process.table.take(a.m, l.out.handles[:0])
		w.step(atControl)
		l.core.Step(now, control.Frame{Peer: a.peer, Bytes: a.m.bytes, Payloads: l.out.handles})
		w.net.done(a.m)
	}
	for _, peer := range l.out.takeGone() {
		w.step(atControl)
		l.core.Step(now, control.PeerGone{Peer: peer})
	}
	if at, ok := l.core.Deadline(); ok && !now.Before(at) {
		if used, ok := l.broker.memoryUsed(); ok {
			l.core.Step(now, control.Pressure{Used: used, Limit: memoryLimit})
		}
		w.step(atControl)
		l.core.Tick(now)
	}
	l.batch.Reset()
	if l.core.Take(&l.batch) && !l.carryOut(&l.batch) {
		return
	}
	w.inspect.control(l)
	if !drained || len(l.out.gone) > 0 {
		l.actor.wakeAt(w.at)
	}
	l.actor.until(l.core.Deadline())
}

// carryOut does what the core wants done, in the order of package broker, and says whether the process lives.
func (l *controlLoop) carryOut(b *control.Batch) bool {
	p := l.broker.process
	if len(b.Records) > 0 {
		if !p.effect() {
			return false
		}
		l.broker.w.checker.recorded(l.broker, b.Records)
		l.broker.committer.append(len(b.Records))
	}
	for _, o := range b.Orders {
		if !p.effect() {
			return false
		}
		l.broker.w.tally.add(Orders)
		l.broker.shares.ordered(o.Loop, &o.Order)
		if l.broker.w.tracing {
			l.broker.w.trace("%s orders loop %d: %s", l.actor.name, o.Loop, spell(o.Order))
		}
		m := l.broker.managers[o.Loop]
		m.mail = append(m.mail, o.Order)
		m.actor.ring()
	}
	for _, r := range b.Raw {
		if !p.effect() {
			return false
		}
		l.out.send(r.Peer, r.Bytes, nil)
	}
	if !l.out.frames(b.Frames) {
		return false
	}
	p.table.releaseAll(b.Released)
	return p.effect()
}

// turn is one turn of the loop.
func (l *managerLoop) turn() {
	w, now := l.broker.w, l.broker.process.now()
	var drained bool
	l.arrivals, drained = l.out.messages(l.arrivals[:0])
	l.letters = append(l.letters[:0], l.mail...)
	clear(l.mail)
	l.mail = l.mail[:0]
	if l.busy > 0 { // no step: it comes with each turn
		l.core.Step(now, manager.Event{Kind: manager.EventBusy, Busy: l.busy})
	}
	if used, ok := l.broker.memoryUsed(); ok { // no step: it comes with each turn
		l.core.Step(now, manager.Event{Kind: manager.EventMemory, Memory: &manager.Memory{Limit: memoryLimit, Used: used}})
	}
	l.busy = w.drawParty.span(0, time.Duration(len(l.letters)+len(l.arrivals))*w.plan.work)
	l.actor.works = w.at + int64(l.busy)
	for _, o := range l.letters {
		w.step(atManager)
		l.core.Step(now, manager.Event{Kind: manager.EventOrder, Order: o})
	}
	for _, a := range l.arrivals {
		l.broker.shares.arrives(a.m)
		l.out.handles = l.broker.process.table.take(a.m, l.out.handles[:0])
		w.step(atManager)
		l.core.Step(now, manager.Event{Kind: manager.EventFrame, Peer: a.peer, Records: a.m.bytes, Payloads: l.out.handles})
		w.net.done(a.m)
	}
	for _, peer := range l.out.takeGone() {
		w.step(atManager)
		l.core.Step(now, manager.Event{Kind: manager.EventGone, Peer: peer})
	}
	if at, ok := l.core.Deadline(); ok && !now.Before(at) {
		w.step(atManager)
		l.core.Tick(now)
	}
	l.batch.Reset()
	if l.core.Take(&l.batch) && !l.carryOut(&l.batch) {
		return
	}
	w.inspect.manager(l)
	if !drained || len(l.out.gone) > 0 {
		l.actor.wakeAt(w.at)
	}
	l.actor.until(l.core.Deadline())
}

func (l *managerLoop) carryOut(b *manager.Batch) bool {
	p := l.broker.process
	for _, h := range b.Retained {
		p.table.retain(h)
	}
	for _, n := range b.Notes {
		if !p.effect() {
			return false
		}
		if d := n.Dead; d != nil && d.Handle != 0 {
			if s := p.table.held(d.Handle, "read"); s != nil {
				d.Payload = binary.BigEndian.AppendUint64(nil, uint64(s.content))
			}
			p.table.release(d.Handle)
			d.Handle = 0
		}
		l.broker.w.tally.add(Notes)
		l.broker.shares.noted(&n)
		if l.broker.w.tracing && n.Figures == nil {
			l.broker.w.trace("%s notes: %s", l.actor.name, spell(n))
		}
		l.broker.control.put(control.Note{Loop: l.index, Note: n})
	}
	for _, r := range b.Raw {
		if !p.effect() {
			return false
		}
		l.out.send(r.Peer, r.Bytes, nil)
	}
	if !l.out.frames(b.Frames) {
		return false
	}
	p.table.releaseAll(b.Released)
	return p.effect()
}

// committer makes records durable, those together that came together, after the time that the disk takes.
type committer struct {
	broker   *broker
	appended uint64
	durable  uint64
	opened   map[protocol.SessionNumber]uint64 // positions of the records that opened sessions
	busy     bool
}

func (c *committer) append(n int) {
	c.appended += uint64(n)
	if !c.busy {
		c.begin()
	}
}

func (c *committer) begin() {
	c.busy = true
	w, b := c.broker.w, c.broker
	position := c.appended
	w.after(w.drawFault.span(0, w.plan.disk+time.Microsecond), func() {
		if !b.process.alive {
			return
		}
		c.busy = false
		c.durable = position
		w.tally.add(Commits)
		b.control.put(control.Committed{Position: position})
		if c.appended > position {
			c.begin()
		}
	})
}
