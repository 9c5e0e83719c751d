package client

import (
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/headroom"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// driver says who has the sockets. One goroutine at a time has them all, with the waiter; mu guards the change.
type driver uint8

const (
	owner driver = iota // the client's own goroutine
	free                // nobody: the owner is parked, the next lonely Call takes them
	lead                // a Call that is waiting for its answer
)

const (
	// lendFor is how long the owner leaves the sockets alone after a lonely Call, for the next one to find them free.
	lendFor = 20 * time.Millisecond
	// lingerFor is how long the last words may take to be heard after Close.
	lingerFor = 250 * time.Millisecond
)

// bell wakes one goroutine, now or when it listens next.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// io is what only the driver touches.
type io struct {
	lines  lines
	work   work
	sent   []departure // to be given back
	frames []frame
}

// work is what one turn carries out, apart from the lock.
type work struct {
	dials    []engine.Dial
	redials  []uint32
	retained []protocol.Handle
	frames   []departure
	released []protocol.Handle
	hangups  []uint32
	done     done
}

// departure is a frame on its way to a socket.
type departure struct {
	frame    *link.Frame
	conn     uint32
	records  []byte
	payloads []zmqx.Handle
	unsent   bool // it found nobody at the other end
}

// done are results that cannot be passed on under the lock.
type done struct {
	callbacks []callback
	owed      []owed
	heavy     []heavy
}

func (w *work) none() bool {
	return len(w.dials)+len(w.redials)+len(w.retained)+len(w.frames)+len(w.released)+len(w.hangups)+len(w.done.callbacks)+len(w.done.heavy) == 0
}

// frame is one received frame, copied.
type frame struct {
	conn     uint32
	records  []byte
	payloads []zmqx.Handle
}

// own is the client's own goroutine. It drives the sockets but while they are lent.
func (c *Client) own() {
	defer close(c.over)
	for {
		c.mu.Lock()
		if c.closed && c.driver != lead {
			c.driver = owner
			c.mu.Unlock()
			break
		}
		if c.driver == owner && c.wasCall && c.idle() && time.Since(c.lastLead) < lendFor && c.intake.close() {
			c.driver = free
		}
		mine := c.driver == owner
		c.mu.Unlock()
		if mine {
			c.turn(-1)
		} else {
			c.parkOwner()
		}
	}
	c.finish()
}

// parkOwner waits until the sockets come back, or were left alone for long enough.
func (c *Client) parkOwner() {
	timer := time.NewTimer(lendFor)
	defer timer.Stop()
	select {
	case <-c.kick:
	case <-timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.driver == free && time.Since(c.lastLead) >= lendFor {
		c.driver = owner
		c.wasCall = false
		c.intake.open(!c.closed)
	}
}

// poke makes the driver look at what was queued, and says whether the caller must ring once it has given mu back.
func (c *Client) poke() (ring bool) {
	if c.driver == free {
		c.driver = owner
		c.intake.open(!c.closed)
		c.kick.ring()
		return false
	}
	return c.intake.rouse()
}

// turn carries out what is to be done, waits for what comes and takes it. The wait ends when somebody rings, and when
// the engine has something to do; spin is for how long it may look without sleeping. Driver only.
func (c *Client) turn(spin time.Duration) {
	timeout := c.carryAll()
	if timeout > 0 && spin > 0 && c.io.lines.waiter.Spin(spin) {
		timeout = 0
	}
	ready, _, err := c.io.lines.waiter.Wait(timeout)
	if err != nil {
		c.mu.Lock()
		if !c.closed {
			c.err = err
		}
		c.shut()
		c.mu.Unlock()
		return
	}
	for _, s := range ready {
		c.receive(s)
	}
}

// carryAll does what is to be done, and says for how long there will be nothing else. What comes up meanwhile waits for
// one look at the sockets in between.
func (c *Client) carryAll() time.Duration {
	for again := range 2 {
		now := time.Now()
		c.mu.Lock()
		timeout := c.gather(now)
		c.harvest()
		if c.relieve() {
			c.harvest()
		}
		w := c.grab()
		if w.none() && c.intake.sleep() {
			if c.closed { // in the midst of this turn, when nobody was asleep to be rung
				timeout = 0
			}
			c.mu.Unlock()
			return timeout
		}
		c.mu.Unlock()
		c.carry(w)
		if again == 1 {
			break
		}
	}
	return 0
}

// gather tells the engine what the driver and the callbacks know, and returns how long it may be left alone then.
func (c *Client) gather(now time.Time) time.Duration {
	c.intake.rouse()
	c.io.returnSent()
	c.io.lines.report(func(id uint32) { c.eng.Unsent(now, id) }, func(id uint32) { c.eng.Reachable(now, id) })
	for _, a := range c.accounts {
		a.report()
	}
	at, ok := c.eng.Deadline()
	if ok && !now.Before(at) {
		c.eng.Tick(now)
		at, ok = c.eng.Deadline()
	}
	if !ok {
		return time.Second
	}
	return max(at.Sub(now), time.Millisecond)
}

// returnSent gives the frames back that were sent, or could not be. The caller holds mu.
func (i *io) returnSent() {
	for n := range i.sent {
		d := &i.sent[n]
		if d.unsent {
			d.frame.Unsent()
		}
		d.frame.Sent()
	}
	clear(i.sent)
	i.sent = i.sent[:0]
}

// grab moves what is to be done out of the batch. The caller holds mu.
func (c *Client) grab() *work {
	w, b := &c.io.work, &c.batch
	w.dials = append(w.dials[:0], b.Dials...)
	w.redials = append(w.redials[:0], b.Redials...)
	w.retained = append(w.retained[:0], b.Retained...)
	w.released = append(w.released[:0], b.Released...)
	w.hangups = append(w.hangups[:0], b.Hangups...)
	w.frames = w.frames[:0]
	for _, f := range b.Frames {
		peer, records, payloads, ok := f.Leave()
		if !ok {
			f.Sent()
			continue
		}
		w.frames = append(w.frames, departure{frame: f, conn: peer, records: records, payloads: payloads})
	}
	clear(b.Frames)
	b.Frames = b.Frames[:0]
	w.done = c.takeDone()
	b.Redials = b.Redials[:0]
	b.Dials, b.Retained, b.Released, b.Hangups = b.Dials[:0], b.Retained[:0], b.Released[:0], b.Hangups[:0]
	return w
}

// carry does work. Driver only, without mu.
func (c *Client) carry(w *work) {
	for _, h := range w.retained {
		c.payloads.Retain(h)
	}
	for _, d := range w.dials {
		c.io.lines.open(d)
	}
	for _, id := range w.redials {
		c.io.lines.redial(id)
	}
	for i := range w.frames {
		c.io.lines.send(&w.frames[i])
	}
	c.io.sent = append(c.io.sent, w.frames...)
	for _, h := range w.released {
		c.payloads.Release(h)
	}
	for _, id := range w.hangups {
		c.io.lines.hangUp(id)
	}
	c.hand(w.done)
}

// takeDone takes what hand is to pass on. The caller holds mu.
func (c *Client) takeDone() done {
	d := done{callbacks: c.callbacks, owed: c.owed, heavy: c.heavy}
	c.callbacks, c.owed, c.heavy = nil, nil, nil
	return d
}

// hand passes results on: callbacks to the runner, copies of payload frames to whom they are for.
func (c *Client) hand(d done) {
	c.runner.push(d.callbacks, d.owed)
	if len(d.heavy) == 0 {
		return
	}
	list := d.heavy
	for i := range list {
		h := &list[i]
		if h.to.fn != nil || h.to.task != nil {
			h.done.Payload = append([]byte(nil), c.payloads.Bytes(h.done.Handle)...)
			headroom.Came(len(h.done.Payload))
		}
		c.payloads.Release(h.done.Handle)
	}
	c.mu.Lock()
	for i := range list {
		list[i].to.deliver(c, &list[i].done)
	}
	rest := c.takeDone() // has no heavy results: the driver alone makes them
	c.mu.Unlock()
	c.runner.push(rest.callbacks, rest.owed)
}

// receive takes a burst from a socket that may have something.
func (c *Client) receive(s *zmqx.Socket) {
	l := c.io.lines.of(s)
	if l == nil {
		return // replaced in this very turn
	}
	messages, _, err := s.Recv(zmqx.MaxBurst)
	frames := c.io.frames[:0]
	for i := range messages {
		m := &messages[i]
		if m.Bad != nil {
			c.cfg.logger.Warn().Str("endpoint", l.endpoint).Err(m.Bad).Msg("a message of the broker was dropped")
			continue
		}
		headroom.Came(len(m.Records))
		frames = append(frames, frame{conn: l.id, records: append([]byte(nil), m.Records...), payloads: m.Payloads})
	}
	if len(frames) > 0 {
		now := time.Now()
		c.mu.Lock()
		for i := range frames {
			c.eng.Receive(now, frames[i].conn, frames[i].records, frames[i].payloads)
		}
		c.harvest()
		done := c.takeDone()
		c.mu.Unlock()
		c.hand(done)
	}
	clear(frames)
	c.io.frames = frames
	if err != nil {
		c.io.lines.fail(l, err)
	}
}

// finish sends the last words and closes the sockets. It waits until the broker has heard them: the process may end with
// the client, and what its sockets have not sent with it.
func (c *Client) finish() {
	c.carryAll()
	leaving := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.io.returnSent()
		return c.eng.Leaving()
	}
	for until := time.Now().Add(lingerFor); leaving(); {
		left := time.Until(until)
		if left <= 0 {
			break
		}
		ready, _, err := c.io.lines.waiter.Wait(left)
		if err != nil {
			break
		}
		for _, s := range ready {
			c.receive(s)
		}
	}
	c.carryAll() // what came meanwhile is given back
	c.mu.Lock()
	c.io.returnSent()
	rest := c.takeDone()
	c.mu.Unlock()
	c.hand(rest)
	c.io.lines.closeAll()
	if err := c.wake.Close(); err != nil {
		c.cfg.logger.Warn().Err(err).Msg("closing a wake-up")
	}
}
