package sim

import (
	"fmt"
	"slices"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// client is one process of a user's program, with the shell of package client around its engine.
type client struct {
	w       *World
	place   *seat
	process *process
	actor   *actor
	engine  *engine.Engine
	number  uint64 // incarnation
	batch   engine.Batch
	lines   []*line
	failed  []uint32 // connections that nobody is at the other end of
	met     []uint32 // those where somebody is again
	sent    []*link.Frame
	heavy   []heavy

	pending  []*task // by the slot of the task
	unread   []unread
	untaken  []untaken // answers of kept sessions
	accounts []unread  // what was consumed, by source
	handles  []protocol.Handle
	app      app
	closed   bool
}

// seat is where one client after another runs.
type seat struct {
	index  int
	host   int
	client *client
	lives  int
	leave  bool // nobody comes any more

	unheard int64 // until when the broker hears nothing of it at the worst
	doubted int64 // until when its sessions may have been given up for that
}

// line is a connection with its socket.
type line struct {
	id     uint32
	dealer *dealer
}

// unread is results, or consumed bytes of them, that came by one conversation.
type unread struct {
	source engine.Source
	bytes  int64
}

// heavy is a result whose payload frame is to be read, without the engine's lock.
type heavy struct {
	done engine.Completion
	task *task
}

// startClient begins a process of a client.
func (w *World) startClient(s *seat) {
	s.lives++
	c := &client{w: w, place: s}
	c.process = w.newProcess(clientParty, fmt.Sprintf("client-%d.%d", s.index, s.lives), s.host, c)
	c.actor = c.process.newActor(c.process.name, c.turn)
	c.number = w.incarnation()
	c.engine = engine.New(engine.Config{
		Endpoints: []string{controlEndpoint}, Name: c.process.name, Host: fmt.Sprintf("h%d", s.host),
		Incarnation: c.number, Seed: w.drawParty.next(), ResultCredit: w.plan.resultCredit,
	})
	s.client = c
	c.app.init(c, s.index == 0)
	c.engine.Start(c.process.now())
	c.actor.ring()
}

// died drops what the process held, and lets another client come after a while.
func (c *client) died() {
	w := c.w
	for _, l := range c.lines {
		w.net.close(l.dealer, c.closed || w.drawNet.chance(500))
	}
	c.app.abandon()
	if !c.place.leave {
		w.after(w.drawFault.span(time20ms, w.plan.clientDown), func() {
			if !c.place.leave {
				w.startClient(c.place)
			}
		})
	}
}

// turn is one turn of the driver: it takes what has come, lets the application act, and carries out what is to be done.
func (c *client) turn() {
	w := c.w
	for _, l := range c.lines {
		c.receive(l)
	}
	if w.failure != nil {
		return
	}
	c.app.turn()
	if c.closed {
		c.finish()
		return
	}
	for range 2 { // what comes up while it is done is done as well
		if !c.carry() {
			return
		}
	}
	w.inspect.client(c)
	at, ok := c.engine.Deadline()
	c.actor.until(at, ok)
	if c.app.next > 0 {
		c.actor.wakeAt(max(c.app.next, w.at+1))
	}
}

// finish sends the last words and ends the process.
func (c *client) finish() {
	c.carry()
	if c.process.alive {
		c.returnSent()
		c.takeReleased()
		c.w.checker.clientEnds(c)
		c.process.die("has ended")
	}
}

func (c *client) receive(l *line) {
	d, w := l.dealer, c.w
	if d.ready {
		d.ready = false
		if d.blocked {
			d.blocked = false
			c.met = append(c.met, l.id)
		}
	}
	if len(d.in) == 0 {
		return
	}
	for _, m := range d.in {
		c.handles = c.process.table.take(m, c.handles[:0])
		w.step(atClient)
		// The engine keeps parts of the frame.
		c.engine.Receive(c.process.now(), l.id, slices.Clone(m.bytes), c.handles)
		w.net.done(m)
	}
	d.in = d.in[:0]
	c.harvest()
}

// harvest takes what the engine has to say; what is for the driver stays in the batch.
func (c *client) harvest() {
	if !c.engine.Take(&c.batch) {
		return
	}
	b := &c.batch
	b.Unfold()
	for i := range b.Said {
		c.app.said(&b.Said[i])
	}
	clear(b.Said)
	b.Said = b.Said[:0]
	for i := range b.Completions {
		done := &b.Completions[i]
		if done.Foreign {
			c.app.relayed(done)
			continue
		}
		t := c.app.claim(done)
		if t == nil {
			return
		}
		switch {
		case done.Handle != 0 && t.ordered:
			c.app.completed(t, done)
			c.process.table.release(done.Handle)
			continue
		case done.Handle != 0:
			c.heavy = append(c.heavy, heavy{*done, t})
			continue
		}
		c.app.completed(t, done)
	}
	for _, a := range b.Answers {
		c.app.answered(a)
	}
	for _, n := range b.Notes {
		c.app.note(n)
	}
	clear(b.Completions)
	clear(b.Answers)
	clear(b.Notes)
	b.Completions, b.Answers, b.Notes = b.Completions[:0], b.Answers[:0], b.Notes[:0]
}

// gather tells the engine what the driver knows.
func (c *client) gather() {
	w := c.w
	c.returnSent()
	for _, id := range c.failed {
		w.step(atClient)
		c.engine.Unsent(c.process.now(), id)
	}
	for _, id := range c.met {
		w.step(atClient)
		c.engine.Reachable(c.process.now(), id)
	}
	c.failed, c.met = c.failed[:0], c.met[:0]
	for i := range c.accounts {
		c.engine.Consumed(c.accounts[i].source, c.accounts[i].bytes)
	}
	c.accounts = c.accounts[:0]
	if at, ok := c.engine.Deadline(); ok && !c.process.now().Before(at) {
		w.step(atClient)
		c.engine.Tick(c.process.now())
	}
}

func (c *client) returnSent() {
	for _, f := range c.sent {
		f.Sent()
	}
	clear(c.sent)
	c.sent = c.sent[:0]
}

// carry does what is to be done, in the order of package client, and says whether the process lives.
func (c *client) carry() bool {
	p, b := c.process, &c.batch
	c.gather()
	c.harvest()
	for _, h := range b.Retained {
		p.table.retain(h)
	}
	for _, d := range b.Dials {
		if !p.effect() {
			return false
		}
		target := routerOf(d.Endpoint)
		if target < 0 {
			c.w.fail("endpoint", "%s is to dial %q", p.name, d.Endpoint)
			return false
		}
		c.lines = append(c.lines, &line{id: d.Conn, dealer: c.w.net.dial(p, c.actor, target, d.Conn)})
	}
	for _, id := range b.Redials {
		if l := c.line(id); l != nil {
			c.w.tally.add(Redials)
			target := l.dealer.target
			c.w.net.close(l.dealer, false)
			l.dealer = c.w.net.dial(p, c.actor, target, id)
		}
	}
	for _, f := range b.Frames {
		peer, records, handles, ok := f.Leave()
		if !ok {
			f.Sent()
			continue
		}
		if !p.effect() {
			return false
		}
		c.sent = append(c.sent, f)
		c.send(peer, records, handles)
	}
	p.table.releaseAll(b.Released)
	for _, id := range b.Hangups {
		if !p.effect() {
			return false
		}
		c.hangUp(id)
	}
	clear(b.Frames)
	b.Dials, b.Redials, b.Stopped = b.Dials[:0], b.Redials[:0], b.Stopped[:0]
	b.Retained, b.Frames, b.Released, b.Hangups = b.Retained[:0], b.Frames[:0], b.Released[:0], b.Hangups[:0]
	for i := range c.heavy {
		done := &c.heavy[i].done
		c.app.completed(c.heavy[i].task, done)
		p.table.release(done.Handle)
	}
	clear(c.heavy)
	c.heavy = c.heavy[:0]
	return p.effect()
}

// takeReleased carries out the last releases of a client that was shut.
func (c *client) takeReleased() {
	c.harvest()
	c.process.table.releaseAll(c.batch.Released)
	c.batch.Released = c.batch.Released[:0]
}

func (c *client) send(id uint32, records []byte, handles []protocol.Handle) {
	if slices.Contains(c.failed, id) {
		return
	}
	l := c.line(id)
	if l == nil || !l.dealer.send(records, handles) {
		c.failed = append(c.failed, id)
	}
}

func (c *client) line(id uint32) *line {
	for _, l := range c.lines {
		if l.id == id {
			return l
		}
	}
	return nil
}

func (c *client) hangUp(id uint32) {
	i := slices.IndexFunc(c.lines, func(l *line) bool { return l.id == id })
	if i < 0 {
		return
	}
	c.w.net.close(c.lines[i].dealer, true)
	c.lines = slices.Delete(c.lines, i, i+1)
}
