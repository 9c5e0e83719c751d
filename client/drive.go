package client

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
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
	// lingerFor is how long the last words may take to leave after Close.
	lingerFor = 250 * time.Millisecond
)

// counter counts bytes between callbacks and the driver.
type counter = atomic.Int64

// line is a connection with its socket.
type line struct {
	id       uint32
	endpoint string
	socket   *zmqx.Socket
	blocked  bool // the last Send found nobody: somebody there is news
}

// io is what only the driver touches.
type io struct {
	waiter *zmqx.Waiter
	lines  []*line
	work   work
	sent   []departure // to be given back
	failed []uint32    // connections that nobody is at the other end of
	met    []uint32    // those where somebody is again
	frames []frame
}

// work is what one turn carries out, apart from the lock.
type work struct {
	dials    []engine.Dial
	retained []protocol.Handle
	frames   []departure
	released []protocol.Handle
	hangups  []uint32
	done     done
}

// done are results that cannot be passed on under the lock.
type done struct {
	callbacks []callback
	heavy     []heavy
}

func (w *work) none() bool {
	return len(w.dials)+len(w.retained)+len(w.frames)+len(w.released)+len(w.hangups)+len(w.done.callbacks)+len(w.done.heavy) == 0
}

// frame is one received frame, copied.
type frame struct {
	conn     uint32
	records  []byte
	payloads []zmqx.Handle
}

// own is the client's own goroutine. It drives the sockets but while they are lent.
func (c *Client) own() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.over)
	for {
		c.mu.Lock()
		if c.closed && c.driver != lead {
			c.driver = owner
			c.mu.Unlock()
			break
		}
		if c.driver == owner && c.wasCall && c.idle() && time.Since(c.lastLead) < lendFor {
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
	}
}

// poke makes the driver look at what was queued, and says whether the caller must ring once it has given mu back.
func (c *Client) poke() (ring bool) {
	if c.driver == free {
		c.driver = owner
		c.kickOwner()
		return false
	}
	ring = c.asleep
	c.asleep = false
	return ring
}

func (c *Client) kickOwner() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// turn carries out what is to be done, waits for what comes and takes it. The wait ends when somebody rings, and when
// the engine has something to do; spin is for how long it may look without sleeping. Driver only.
func (c *Client) turn(spin time.Duration) {
	timeout := c.carryAll()
	if timeout > 0 && spin > 0 && c.io.waiter.Spin(spin) {
		timeout = 0
	}
	ready, _, err := c.io.waiter.Wait(timeout)
	if err != nil {
		c.abort(err)
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
		w := c.grab()
		if w.none() {
			if c.closed { // in the midst of this turn, when nobody was asleep to be rung
				timeout = 0
			}
			c.asleep = true
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
	c.asleep = false
	for i := range c.io.sent {
		c.io.sent[i].frame.Sent()
	}
	clear(c.io.sent)
	c.io.sent = c.io.sent[:0]
	for _, id := range c.io.failed {
		c.eng.Unsent(now, id)
	}
	for _, id := range c.io.met {
		c.eng.Reachable(now, id)
	}
	c.io.failed, c.io.met = c.io.failed[:0], c.io.met[:0]
	for _, a := range c.accounts {
		if n := a.bytes.Swap(0); n > 0 {
			c.eng.Consumed(a.source, n)
		}
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

// grab moves what is to be done out of the batch. The caller holds mu.
func (c *Client) grab() *work {
	w, b := &c.io.work, &c.batch
	w.dials = append(w.dials[:0], b.Dials...)
	w.retained = append(w.retained[:0], b.Retained...)
	w.released = append(w.released[:0], b.Released...)
	w.hangups = append(w.hangups[:0], b.Hangups...)
	w.frames = c.leave(w.frames[:0])
	w.done = c.takeDone()
	b.Dials, b.Retained, b.Released, b.Hangups = b.Dials[:0], b.Retained[:0], b.Released[:0], b.Hangups[:0]
	return w
}

// carry does work. Driver only, without mu.
func (c *Client) carry(w *work) {
	for _, h := range w.retained {
		c.payloads.Retain(h)
	}
	for _, d := range w.dials {
		c.connect(d)
	}
	for i := range w.frames {
		c.send(&w.frames[i])
	}
	c.io.sent = append(c.io.sent, w.frames...)
	for _, h := range w.released {
		c.payloads.Release(h)
	}
	for _, id := range w.hangups {
		c.hangUp(id)
	}
	c.hand(w.done)
}

// takeDone takes what hand is to pass on. The caller holds mu.
func (c *Client) takeDone() done {
	d := done{callbacks: c.callbacks, heavy: c.heavy}
	c.callbacks, c.heavy = nil, nil
	return d
}

// hand passes results on: callbacks to the runner, copies of payload frames to whom they are for.
func (c *Client) hand(d done) {
	c.runner.push(d.callbacks)
	if len(d.heavy) == 0 {
		return
	}
	list := d.heavy
	for i := range list {
		h := &list[i]
		if h.to.fn != nil || h.to.task != nil {
			h.done.Payload = append([]byte(nil), c.payloads.Bytes(h.done.Handle)...)
		}
		c.payloads.Release(h.done.Handle)
	}
	c.mu.Lock()
	for i := range list {
		c.deliver(list[i].to, &list[i].done)
	}
	callbacks := c.takeCallbacks()
	c.mu.Unlock()
	c.runner.push(callbacks)
}

func (c *Client) line(id uint32) *line {
	for _, l := range c.io.lines {
		if l.id == id {
			return l
		}
	}
	return nil
}

// send sends one frame. What cannot leave is the engine's to send again.
func (c *Client) send(d *departure) {
	l := c.line(d.conn)
	if l != nil && l.socket != nil {
		for _, id := range c.io.failed {
			if id == d.conn {
				return
			}
		}
		err := l.socket.Send(0, d.records, d.payloads)
		if err == nil {
			l.blocked = false
			return
		}
		if errors.Is(err, zmqx.ErrAgain) {
			l.blocked = true
		} else {
			c.reopen(l, err)
		}
	}
	c.io.failed = append(c.io.failed, d.conn)
}

// connect opens the socket of a new connection.
func (c *Client) connect(d engine.Dial) {
	l := &line{id: d.Conn, endpoint: d.Endpoint}
	c.io.lines = append(c.io.lines, l)
	c.openSocket(l)
	c.setSockets()
}

func (c *Client) openSocket(l *line) {
	s, err := zmqx.NewDealer(c.payloads, zmqx.Options{MaxRecords: protocol.MaxRecords, Linger: lingerFor})
	if err == nil {
		if err = s.Connect(l.endpoint); err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}
	if err != nil {
		c.cfg.logger.Error().Str("endpoint", l.endpoint).Err(err).Msg("cannot connect")
	}
	l.socket, l.blocked = s, false
}

// reopen replaces a socket that failed.
func (c *Client) reopen(l *line, why error) {
	c.cfg.logger.Warn().Str("endpoint", l.endpoint).Err(why).Msg("opening a socket anew")
	old := l.socket
	l.socket = nil
	c.setSockets()
	if err := old.Close(); err != nil {
		c.cfg.logger.Warn().Str("endpoint", l.endpoint).Err(err).Msg("closing a socket")
	}
	c.openSocket(l)
	c.setSockets()
}

func (c *Client) hangUp(id uint32) {
	for i, l := range c.io.lines {
		if l.id != id {
			continue
		}
		c.io.lines = append(c.io.lines[:i], c.io.lines[i+1:]...)
		c.setSockets()
		c.closeLine(l)
		return
	}
}

func (c *Client) closeLine(l *line) {
	if l.socket == nil {
		return
	}
	if err := l.socket.Close(); err != nil {
		c.cfg.logger.Warn().Str("endpoint", l.endpoint).Err(err).Msg("closing a socket")
	}
}

func (c *Client) setSockets() {
	sockets := make([]*zmqx.Socket, 0, len(c.io.lines))
	for _, l := range c.io.lines {
		if l.socket != nil {
			sockets = append(sockets, l.socket)
		}
	}
	c.io.waiter.SetSockets(sockets...)
}

// receive takes a burst from a socket that may have something.
func (c *Client) receive(s *zmqx.Socket) {
	var l *line
	for _, other := range c.io.lines {
		if other.socket == s {
			l = other
		}
	}
	if l == nil {
		return // replaced in this very turn
	}
	if l.blocked {
		l.blocked = false
		c.io.met = append(c.io.met, l.id)
	}
	messages, _, err := s.Recv(zmqx.MaxBurst)
	frames := c.io.frames[:0]
	for i := range messages {
		m := &messages[i]
		if m.Bad != nil {
			c.cfg.logger.Warn().Str("endpoint", l.endpoint).Err(m.Bad).Msg("a message of the broker was dropped")
			continue
		}
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
		c.reopen(l, err)
		c.io.failed = append(c.io.failed, l.id)
	}
}

// abort closes the client because its sockets cannot be waited for.
func (c *Client) abort(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.err = why
	}
	c.shut()
}

// finish sends the last words and closes the sockets.
func (c *Client) finish() {
	c.carryAll()
	c.mu.Lock()
	for i := range c.io.sent {
		c.io.sent[i].frame.Sent()
	}
	c.io.sent = nil
	rest := c.takeDone()
	c.mu.Unlock()
	c.hand(rest)
	c.io.waiter.SetSockets()
	for _, l := range c.io.lines {
		c.closeLine(l)
	}
	c.io.lines = nil
	if err := c.wake.Close(); err != nil {
		c.cfg.logger.Warn().Err(err).Msg("closing a wake-up")
	}
}

// add notes that n bytes were taken by the application.
func (a *account) add(n int64) {
	if a == nil {
		return
	}
	if now := a.bytes.Add(n); now >= a.step && now-n < a.step {
		a.client.mu.Lock()
		ring := a.client.poke()
		a.client.mu.Unlock()
		if ring {
			a.client.wake.Ring()
		}
	}
}
