package client

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Times between attempts to open a conversation.
const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 2 * time.Second
)

type phase uint8

const (
	down    phase = iota // greeted again when retry is due
	opening              // HELLO was handed out; greeted again when retry is due
	up
)

// conn is one connection: its conversation, and for a data connection what is served over it.
type conn struct {
	engine   *Engine
	id       uint32
	endpoint string
	control  bool
	link     *link.Link
	phase    phase
	epoch    protocol.Epoch // of its last WELCOME
	broker   string         // its name, of the same
	timeout  time.Duration  // of silence, of the same
	heard    time.Time      // of the other end, or when nothing was expected of it
	retry    time.Time
	attempts int

	// Results consumed since the HELLO of the last conversation that was not resumed, and what was told of them.
	generation     uint32
	consumed, told int64
	asked          int64 // the total at which the manager wants to be told; 0: whenever
}

// Source names the conversation that a result came by.
type Source struct{ conn, generation uint32 }

func (e *Engine) dial(now time.Time, endpoint string, control bool) *conn {
	e.lastConn++
	c := &conn{engine: e, id: e.lastConn, endpoint: endpoint, control: control, link: e.node.Dial(e.lastConn), timeout: protocol.PeerTimeout}
	e.conns = append(e.conns, c)
	e.out.Dials = append(e.out.Dials, Dial{Conn: c.id, Endpoint: endpoint})
	c.greet(now)
	return c
}

func (e *Engine) conn(id uint32) *conn {
	for _, c := range e.conns {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (c *conn) hangUp() {
	e := c.engine
	c.link.Close()
	releaseEnds(e)
	for i := range e.conns {
		if e.conns[i] == c {
			e.conns = append(e.conns[:i], e.conns[i+1:]...)
			break
		}
	}
	e.out.Hangups = append(e.out.Hangups, c.id)
}

// greet begins a conversation on c.
func (c *conn) greet(now time.Time) {
	e := c.engine
	hello := protocol.Hello{
		MinVersion: protocol.MinVersion, MaxVersion: protocol.MaxVersion, Role: protocol.RoleClient,
		Name: e.cfg.Name, Endpoint: c.endpoint, Host: e.cfg.Host, KeepsScheme: e.cfg.KeepsScheme,
	}
	if !c.control {
		hello.ResultCredit = e.cfg.ResultCredit
	}
	c.link.Greet(hello)
	c.phase = opening
	c.retry = now.Add(protocol.Heartbeat + c.backoff())
}

// greetAgain greets since no conversation has begun. Where the greetings before were taken by the transport, and nobody
// answers, a connection may be one to nobody: it is made anew.
func (c *conn) greetAgain(now time.Time) {
	if c.phase == opening && c.attempts > 1 {
		c.engine.out.Redials = append(c.engine.out.Redials, c.id)
	}
	c.greet(now)
}

func (c *conn) backoff() time.Duration {
	e := c.engine
	d := min(backoffMin<<min(c.attempts, 8), backoffMax)
	c.attempts++
	return d/2 + time.Duration(e.random.Int64N(int64(d/2)+1))
}

// Unsent tells that a frame for the connection could not be sent: there is nobody at the other end now. Frames after
// it need not be tried.
func (e *Engine) Unsent(now time.Time, id uint32) {
	if c := e.conn(id); c != nil && c.phase != down && !e.shut {
		c.lose(now)
	}
}

func (c *conn) lose(now time.Time) {
	c.link.Lost()
	c.phase = down
	c.retry = now.Add(c.backoff())
}

// Reachable tells that somebody is at the other end of a connection again, after Unsent.
func (e *Engine) Reachable(now time.Time, id uint32) {
	if c := e.conn(id); c != nil && c.phase == down && !e.shut {
		c.greet(now)
	}
}

// beat breaks our silence, and notices the other end's.
func (c *conn) beat(now time.Time) {
	if c.phase != up {
		return
	}
	if c.link.Unacked() == 0 {
		c.heard = now
	} else if now.Sub(c.heard) > c.timeout {
		c.greet(now)
		return
	}
	// The other end sends results to where our last frame came from, and holds them until they are acknowledged: after
	// the transport has connected anew, or lost the last acknowledgement, only a frame from us tells it so.
	c.link.Beat(true)
}

// Receive takes a frame that came by a connection, with its payload frames, one reference each. The engine keeps parts
// of the frame in what Take returns: the caller must not use its memory again.
func (e *Engine) Receive(now time.Time, id uint32, frame []byte, payloads []protocol.Handle) {
	c := e.conn(id)
	h, rest, err := protocol.ParseHeader(frame)
	if c == nil || err != nil || h.Epoch < e.node.Epoch || e.shut {
		if c != nil && err == nil && e.shut {
			c.link.Receive(h, len(frame)) // it may say that BYE was heard
		}
		e.releaseAll(payloads)
		return
	}
	e.now, c.heard = now, now
	raised := h.Epoch > e.node.Epoch
	e.node.Epoch = h.Epoch
	switch {
	case h.Sequence.Count() == 0:
		e.releaseAll(payloads)
		c.bare(now, rest)
	case c.phase == opening:
		e.releaseAll(payloads)
		c.welcome(now, h, rest)
		if raised {
			e.raise(now, c)
		}
		return
	default:
		switch c.link.Receive(h, len(frame)) {
		case link.Ignore:
			e.releaseAll(payloads)
			return
		case link.Gap:
			e.releaseAll(payloads)
			c.greet(now)
			return
		case link.Fresh:
			if raised && c.control { // before what it says of the new reign is done
				e.raise(now, nil)
			}
			c.records(now, rest, payloads)
			raised = raised && !c.control
		}
	}
	if raised {
		e.raise(now, nil)
	}
}

// raise voids all referrals, since the epoch has risen, and greets the brokers but the one just heard.
func (e *Engine) raise(now time.Time, but *conn) {
	clear(e.gone)
	clear(e.used)
	for _, s := range e.sessions {
		if !planted.Is(planted.ReferralKept) {
			s.park()
		}
	}
	for i := 0; i < len(e.conns); {
		c := e.conns[i]
		if !c.control {
			c.hangUp()
			continue
		}
		if c != but && c.phase == up {
			c.greet(now)
		}
		i++
	}
}

// bare takes a frame that belongs to no conversation.
func (c *conn) bare(now time.Time, rest []byte) {
	e := c.engine
	var rec protocol.Record
	r := protocol.NewReader(rest)
	if ok, err := r.Next(&rec); !ok || err != nil {
		return
	}
	switch rec.Kind {
	case protocol.KindRehello:
		if c.phase == up { // otherwise a greeting is on its way or due
			c.greet(now)
		}
	case protocol.KindError:
		refused := decodeError(rec.Payload)
		switch {
		case c.control && refused.Code == protocol.CodeUnknownSession: // which only manager loops say of a HELLO
			e.refusal = protocol.Errorf(protocol.CodeInvalid, "dial", "%s is a port for tasks, of a manager loop; the control port of "+
				"the broker is wanted, which is %d unless it listens elsewhere", c.endpoint, protocol.BasePort)
		case c.control:
			e.refusal = refused
		case refused.Code != protocol.CodeUnknownSession:
		case !c.serves(): // the loop has forgotten the client, and nothing of it is there
			c.hangUp()
			return
		case e.lead != nil && e.lead.phase == up:
			e.lead.greet(now)
		}
		c.lose(now)
	default: // nothing else is said outside a conversation
	}
}

// serves says whether a session was referred to where the connection leads.
func (c *conn) serves() bool {
	return slices.ContainsFunc(c.engine.sessions, func(s *Session) bool { return s.conn == c })
}

// welcome takes a frame that came while c is opening. Any but the WELCOME is of the conversation before.
func (c *conn) welcome(now time.Time, h protocol.Header, rest []byte) {
	e := c.engine
	var rec protocol.Record
	r := protocol.NewReader(rest)
	if ok, err := r.Next(&rec); !ok || err != nil || rec.Kind != protocol.KindWelcome {
		return
	}
	var w protocol.Welcome
	before := c.link.Other() != 0
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &w); err != nil || !c.link.Opened(h, w) {
		return
	}
	c.phase, c.attempts, c.retry, c.epoch, c.broker = up, 0, time.Time{}, h.Epoch, w.Broker
	c.pace(now, &w)
	if w.Version >= protocol.MinVersion && w.Version <= protocol.MaxVersion {
		e.node.Version = w.Version
	}
	switch {
	case !c.control:
		if !w.Resumed {
			c.renew(before)
		}
	case e.lead == nil || c != e.lead && c.epoch > e.lead.epoch:
		e.refusal = nil
		e.lead = c
		e.rebuild()
	case c == e.lead && !w.Resumed:
		e.rebuild()
	}
}

// pace takes what the other end says of silence. Signs of life are sent as often as whoever wants them most often says.
func (c *conn) pace(now time.Time, w *protocol.Welcome) {
	e := c.engine
	if w.Timeout > 0 {
		c.timeout = w.Timeout
	}
	if every := w.Heartbeat / 2; every > 0 && every < e.every {
		e.every = every
		if at := now.Add(every); at.Before(e.nextBeat) {
			e.nextBeat = at
		}
	}
}

// records takes the records of a frame of an open conversation.
func (c *conn) records(now time.Time, rest []byte, payloads []protocol.Handle) {
	e := c.engine
	var rec protocol.Record
	r := protocol.NewReader(rest)
	for {
		c.results(&r)
		ok, err := r.Next(&rec)
		if !ok || err != nil {
			break
		}
		var h protocol.Handle
		if rec.External && len(payloads) > 0 {
			h, payloads = payloads[0], payloads[1:]
		}
		switch {
		case rec.Kind == protocol.KindResult || rec.Kind == protocol.KindFailure:
			c.finished(&rec, h)
			continue
		case rec.Kind == protocol.KindPartial || rec.Kind == protocol.KindProgress:
			c.said(&rec)
		case c.control:
			e.controlled(now, c, &rec)
		case rec.Kind == protocol.KindAskCredit:
			c.asked = int64(min(rec.Task, 1<<62))
			c.consume(0)
		case rec.Kind == protocol.KindError:
			detached(e, &rec)
		case rec.Kind != protocol.KindBye:
			c.refuse(&rec)
		}
		e.node.Release(h)
	}
	e.releaseAll(payloads)
}

// refuse answers a record of a kind that means nothing here.
func (c *conn) refuse(rec *protocol.Record) {
	c.link.Append(protocol.KindError, rec.Session, rec.Task, protocol.Marshal(
		protocol.Errorf(protocol.CodeUnknownKind, rec.Kind.String(), "a client takes no such record here")))
}

func (e *Engine) releaseAll(payloads []protocol.Handle) {
	for _, h := range payloads {
		e.node.Release(h)
	}
}

func decodeError(body []byte) *protocol.Error {
	var e protocol.Error
	if err := protocol.Unmarshal(protocol.KindError, body, &e); err != nil {
		return protocol.AsError(err, "error")
	}
	return &e
}
