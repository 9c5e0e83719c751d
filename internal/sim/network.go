package sim

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Directions of a connection.
const (
	toRouter = iota
	toDealer
)

// message is one message on its way.
type message struct {
	conn     *conn
	bytes    []byte
	payloads []payload
	dir      uint8
}

// router is a ROUTER socket of the broker: it knows its peers by numbers that it gives, never twice.
type router struct {
	broker *broker
	actor  *actor
	name   string
	conns  map[protocol.Peer]*conn
	last   protocol.Peer
	in     []arrival
}

// arrival is a message in the receive queue of a router.
type arrival struct {
	peer protocol.Peer
	m    *message
}

// dealer is a DEALER socket: it connects to one endpoint, and anew when the connection broke, until it is closed.
type dealer struct {
	process *process
	actor   *actor
	target  int    // index of the router
	line    uint32 // by which its owner knows it
	conn    *conn  // as far as the dealer knows; nil: there is none
	version uint32 // of the connection attempt
	closed  bool
	blocked bool // the last send found nobody
	ready   bool // connected since its owner looked last
	in      []*message
}

// conn is one connection. Both ends learn of its end at their own time.
type conn struct {
	d     *dealer
	r     *router
	peer  protocol.Peer
	dead  bool
	late  bool // what was on its way when it died still arrives
	last  [2]int64
	sent  [2]bool // something was sent that way
	index int     // in network.conns
}

// host is a machine: its network to the broker's may be cut.
type host struct {
	cut   uint8 // 1<<toRouter, 1<<toDealer
	loses bool  // what is sent meanwhile is lost; otherwise it arrives afterwards
	until int64
}

// network carries messages between sockets.
type network struct {
	w       *World
	hosts   []host
	conns   []*conn // alive
	waiting []*dealer
	free    []*message
}

// dial makes a dealer that connects to a router.
func (n *network) dial(p *process, a *actor, target int, line uint32) *dealer {
	d := &dealer{process: p, actor: a, target: target, line: line}
	n.connectIn(d, n.w.drawNet.span(0, n.w.plan.delay+time.Millisecond))
	return d
}

func (n *network) connectIn(d *dealer, wait time.Duration) {
	d.version++
	n.w.queue.push(n.w.at+int64(wait), evConnect, d, d.version)
}

// connect opens the connection of a dealer when there is somebody at the other end, and otherwise tries again when
// there may be.
func (n *network) connect(d *dealer) {
	w := n.w
	if d.closed || d.conn != nil || !d.process.alive {
		return
	}
	b := w.broker
	if b == nil || !b.process.alive {
		n.waiting = append(n.waiting, d)
		return
	}
	if h := &n.hosts[d.process.host]; h.cut != 0 {
		n.connectIn(d, time.Duration(h.until-w.at)+w.drawNet.span(0, 300*time.Millisecond))
		return
	}
	if !b.admits(d) {
		n.connectIn(d, w.drawNet.span(50*time.Millisecond, 300*time.Millisecond))
		return
	}
	r := b.routers[d.target]
	r.last++
	c := &conn{d: d, r: r, peer: r.last, index: len(n.conns)}
	n.conns = append(n.conns, c)
	r.conns[c.peer] = c
	d.conn, d.ready = c, true
	w.tally.add(Connections)
	if w.tracing {
		w.trace("%s is connected to %s as peer %d", d.actor.name, r.name, c.peer)
	}
	d.actor.ring()
}

// brokerIsUp lets the dealers connect that waited for it.
func (n *network) brokerIsUp() {
	list := n.waiting
	n.waiting = nil
	for _, d := range list {
		n.connectIn(d, n.w.drawNet.span(0, 200*time.Millisecond))
	}
}

// sever ends a connection. What is on its way arrives or is lost; each end learns of it after a while.
func (n *network) sever(c *conn, late bool, dealerLearns, routerLearns time.Duration) {
	if c.dead {
		return
	}
	c.dead, c.late = true, late
	last := len(n.conns) - 1
	n.conns[c.index] = n.conns[last]
	n.conns[c.index].index = c.index
	n.conns[last] = nil
	n.conns = n.conns[:last]
	if n.w.tracing {
		n.w.trace("connection %s - %s, peer %d, breaks (the last arrives: %v)", c.d.actor.name, c.r.name, c.peer, late)
	}
	n.w.after(routerLearns, func() { delete(c.r.conns, c.peer) })
	n.w.after(dealerLearns, func() {
		if c.d.conn == c {
			c.d.conn = nil
			n.connectIn(c.d, n.w.drawNet.span(50*time.Millisecond, n.w.plan.reconnect))
		}
	})
}

// close closes a dealer. What it sent last may still leave.
func (n *network) close(d *dealer, lingers bool) {
	if d.closed {
		return
	}
	d.closed = true
	if d.conn != nil {
		n.sever(d.conn, lingers, 0, n.w.drawNet.span(0, n.w.plan.notice))
	}
	d.conn, d.in = nil, nil
}

// send sends from a dealer and says whether there was a connection.
func (d *dealer) send(records []byte, handles []protocol.Handle) bool {
	if d.conn == nil {
		d.blocked = true
		return false
	}
	d.process.w.net.carry(d.conn, toRouter, records, handles, &d.process.table)
	return true
}

// send sends to a peer and says whether the router knows it.
func (r *router) send(peer protocol.Peer, records []byte, handles []protocol.Handle) bool {
	c := r.conns[peer]
	if c == nil {
		return false
	}
	r.broker.w.net.carry(c, toDealer, records, handles, &r.broker.process.table)
	return true
}

// carry takes a message on its way, whatever may happen to it there.
func (n *network) carry(c *conn, dir uint8, records []byte, handles []protocol.Handle, table *payloads) {
	w := n.w
	if w.tracing {
		w.traceFrame(c, dir, records)
	}
	w.mixBytes(records)
	if c.dead {
		w.promises.unseen = w.at
		return
	}
	w.tally.add(Messages)
	draw := &w.drawNet
	at := w.at + int64(draw.span(w.plan.delay/8, w.plan.delay+1))
	if h := &n.hosts[c.d.process.host]; h.cut&(1<<dir) != 0 {
		w.tally.add(CutMessages)
		if h.loses {
			return
		}
		at += h.until - w.at
	}
	first := !c.sent[dir]
	c.sent[dir] = true
	if first && draw.chance(w.plan.stillborn) {
		n.bearNot(c, dir, &at)
	}
	if draw.chance(w.plan.drop) {
		w.tally.add(Dropped)
		return
	}
	if draw.chance(w.plan.hold) {
		w.tally.add(Delayed)
		at += int64(draw.span(0, w.plan.holdFor))
	}
	if draw.chance(w.plan.reorder) {
		w.tally.add(Reordered)
	} else {
		at = max(at, c.last[dir]+1)
		c.last[dir] = at
	}
	m := n.message(c, dir, records)
	for _, h := range handles {
		if s := table.held(h, "send"); s != nil {
			m.payloads = append(m.payloads, *s)
		}
	}
	switch {
	case dir == toRouter:
	case c.r == c.r.broker.routers[0]:
		w.checker.confirms(c, records)
	default:
		w.checker.leaves(c, records, m.payloads)
	}
	w.queue.push(at, evDeliver, m, 0)
	twins := 0
	if draw.chance(w.plan.duplicate) {
		w.tally.add(Duplicated)
		twins = 1
	}
	if draw.chance(w.plan.swarm) {
		w.tally.add(Swarms)
		twins = 99
	}
	for range twins {
		twin := n.message(c, dir, records)
		twin.payloads = append(twin.payloads, m.payloads...)
		w.queue.push(at+int64(draw.span(0, 10*w.plan.delay+1)), evDeliver, twin, 0)
	}
}

// bearNot makes trouble for the first message of a connection, which begins a conversation or answers the beginning: what
// comes from the dealer is late, and with what goes to it the connection breaks.
func (n *network) bearNot(c *conn, dir uint8, at *int64) {
	w := n.w
	w.tally.add(Stillborn)
	if dir == toRouter {
		*at += int64(w.drawNet.span(0, 5*time.Second))
		return
	}
	n.sever(c, false, w.drawNet.span(0, w.plan.reconnect), w.drawNet.span(0, w.plan.notice))
}

func (n *network) message(c *conn, dir uint8, records []byte) *message {
	var m *message
	if k := len(n.free); k > 0 {
		m = n.free[k-1]
		n.free = n.free[:k-1]
	} else {
		m = &message{}
	}
	m.conn, m.dir = c, dir
	m.bytes = append(m.bytes[:0], records...)
	m.payloads = m.payloads[:0]
	return m
}

// done gives a message back.
func (n *network) done(m *message) {
	m.conn = nil
	n.free = append(n.free, m)
}

// deliver puts a message into the receive queue of its socket.
func (n *network) deliver(m *message) {
	c := m.conn
	switch {
	case c.dead && !c.late:
		n.done(m)
	case m.dir == toRouter:
		if !c.r.broker.process.alive {
			n.done(m)
			return
		}
		c.r.in = append(c.r.in, arrival{c.peer, m})
		c.r.actor.ring()
	default:
		if c.d.closed || !c.d.process.alive {
			n.done(m)
			return
		}
		c.d.in = append(c.d.in, m)
		c.d.actor.ring()
	}
}

// take makes the payload frames of a message the receiver's.
func (p *payloads) take(m *message, dst []protocol.Handle) []protocol.Handle {
	for i := range m.payloads {
		dst = append(dst, p.add(m.payloads[i].content, m.payloads[i].size))
	}
	return dst
}

// cut cuts a host off for a while.
func (n *network) cut(number int, ways uint8, loses bool, length time.Duration) {
	h := &n.hosts[number]
	if h.cut != 0 {
		return
	}
	h.cut, h.loses, h.until = ways, loses, n.w.at+int64(length)
	if n.w.tracing {
		n.w.trace("host %d is cut off (%02b, messages are lost: %v) for %v", number, ways, loses, length)
	}
	n.w.after(length, func() { h.cut = 0 })
}
