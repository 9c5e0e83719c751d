// Package manager is the pure core of a manager loop: session managers, the dispatch of tasks to instances by credit,
// and what happens when one of them is lost (docs/architecture.md).
//
// A [Core] belongs to one goroutine. It reads no clock, does no I/O, and gives equal outputs for equal inputs. It never
// sees a ZeroMQ type: payload frames are opaque handles.
package manager

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Config is what a Core is made with; every field is needed.
type Config struct {
	Loop        int // for people
	Epoch       protocol.Epoch
	Incarnation uint64
	Broker      string
	MaxPayload  int64         // bytes
	PeerTimeout time.Duration // the silence after which an instance that nobody vouches for is lost
	// QueuedBytes bounds the payload bytes of all unfinished tasks of the loop; beyond it tasks are refused with
	// CodeOverloaded.
	QueuedBytes int64
	// Seed is of the random parts of delays.
	Seed uint64
}

// Event is one thing that happens to a Core. What of it is meant is said by Kind.
type Event struct {
	Kind EventKind
	// Peer sent the frame, or is gone.
	Peer protocol.Peer
	// Records is the frame of records; valid only during the Step.
	Records []byte
	// Payloads are the payload frames that followed, one reference each, which the core takes over.
	Payloads []protocol.Handle
	Order    session.Order
	// Busy is for how long the loop was at work.
	Busy   time.Duration
	Memory *Memory // valid only during the Step
}

// EventKind says which event it is.
type EventKind uint8

// The kinds of events.
const (
	EventFrame  EventKind = iota // a frame was received
	EventGone                    // a send found that the peer's connection is gone
	EventOrder                   // the control loop gave an order
	EventBusy                    // the loop was at work since the last such event, with what it was told in between
	EventMemory                  // so much memory is in use
)

// Raw is a frame outside of any conversation.
type Raw struct {
	Peer  protocol.Peer
	Bytes []byte
}

// Batch is what a Core wants done. Slices are appended to.
type Batch struct {
	Retained []protocol.Handle // to be retained once each, before anything else is done
	Frames   []*link.Frame     // to leave in order
	Raw      []Raw
	Notes    []session.Note
	Released []protocol.Handle
}

func (b *Batch) size() int {
	return len(b.Retained) + len(b.Frames) + len(b.Raw) + len(b.Notes) + len(b.Released)
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Frames)
	clear(b.Raw)
	clear(b.Notes)
	b.Frames, b.Raw, b.Notes = b.Frames[:0], b.Raw[:0], b.Notes[:0]
	b.Retained, b.Released = b.Retained[:0], b.Released[:0]
}

// Ticks of a core: while tasks are unfinished, and otherwise.
const (
	busyTick = 50 * time.Millisecond
	idleTick = 250 * time.Millisecond
)

// Core is the state of one manager loop. Make it with [New].
type Core struct {
	cfg  Config
	node *link.Node
	now  time.Time
	beat time.Duration // between two looks at who is silent

	peers     map[protocol.Peer]*end
	ends      map[uint64]*end // by incarnation
	order     []*end          // in order of arrival
	managers  []*manager      // in order of arrival
	byID      map[uint32]*manager
	sessions  map[protocol.SessionNumber]*hosted
	instances map[string]*instance

	buffers buffers
	bytes   int64 // payload bytes of unfinished tasks
	kept    int64 // bytes of answers that nobody has taken, of kept sessions
	data    int64 // bytes that instances keep with sessions

	pressure pressure
	promised int64 // bytes of results that tasks at instances are expected to have

	raw      []Raw
	notes    []session.Note
	changed  []*hosted // with figures to tell
	served   []*instance
	filled   []*hosted
	nextTick time.Time
	nextBeat time.Time
	nextTell time.Time
	clock    uint64 // counts uses of seats

	stuck  stuckSeats
	chance chance
	late   late
	ledger ledger
}

// end is the other side of a data connection: a client or an instance.
type end struct {
	link     *link.Link
	other    uint64 // incarnation
	client   *client
	instance *instance
	heard    time.Time
}

// New makes the core of a loop without managers.
func New(cfg Config) *Core {
	return &Core{
		cfg:       cfg,
		pressure:  pressure{limit: math.MaxInt64, roof: cfg.QueuedBytes},
		beat:      protocol.HeartbeatWithin(cfg.PeerTimeout) / 2,
		node:      link.NewNode(cfg.Epoch, cfg.Incarnation),
		peers:     make(map[protocol.Peer]*end),
		ends:      make(map[uint64]*end),
		byID:      make(map[uint32]*manager),
		sessions:  make(map[protocol.SessionNumber]*hosted),
		instances: make(map[string]*instance),
		chance:    chance{rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Loop)))},
	}
}

// Step takes one event.
func (c *Core) Step(now time.Time, ev Event) {
	c.now = now
	switch ev.Kind {
	case EventFrame:
		c.frame(ev)
	case EventGone:
		if e := c.peers[ev.Peer]; e != nil {
			e.link.Lost()
			delete(c.peers, ev.Peer)
		}
	case EventOrder:
		c.obey(ev.Order)
	case EventBusy:
		c.ledger.roll(now, c.managers)
		c.ledger.apportion(ev.Busy)
	case EventMemory:
		gauge{c}.remember(*ev.Memory)
	}
}

// Tick runs the timers that are due.
func (c *Core) Tick(now time.Time) {
	c.now = now
	for _, m := range c.managers {
		m.ring()
	}
	if !now.Before(c.nextTick) {
		c.ledger.roll(now, c.managers)
		for _, m := range c.managers {
			m.tick()
		}
		c.stuck.look(now)
		for _, e := range c.order {
			if e.client != nil {
				e.client.look()
			}
		}
		if c.buffers.sparse() {
			for _, m := range c.managers {
				c.buffers.compact(&m.slab)
			}
		}
		c.nextTick = now.Add(c.pace())
	}
	if !now.Before(c.nextBeat) {
		c.beats()
		c.nextBeat = now.Add(c.beat)
	}
	if !now.Before(c.nextTell) {
		c.tell()
		c.nextTell = now.Add(protocol.Heartbeat / 2)
	}
}

func (c *Core) pace() time.Duration {
	for _, m := range c.managers {
		if m.slab.used > 0 {
			return busyTick
		}
	}
	return idleTick
}

// Deadline says when Tick is to be called next; ok is false when only an event can change anything.
func (c *Core) Deadline() (at time.Time, ok bool) {
	switch {
	case c.late.some():
		return c.now, true
	case len(c.managers) == 0 && len(c.order) == 0:
		return time.Time{}, false
	}
	at = c.nextBeat
	for _, t := range [2]time.Time{c.nextTick, c.nextTell} {
		if t.Before(at) {
			at = t
		}
	}
	for _, m := range c.managers {
		if t, ok := m.alarms.next(); ok && t.Before(at) {
			at = t
		}
	}
	// The pace may have quickened since the last Tick.
	if soon := c.now.Add(c.pace()); soon.Before(at) {
		at = soon
		if c.nextTick.After(at) {
			c.nextTick = at
		}
	}
	return at, true
}

// Take moves what the core wants done to out and says whether there was anything.
func (c *Core) Take(out *Batch) bool {
	c.settle()
	n := out.size()
	out.Frames = c.node.Take(out.Frames)
	out.Retained = c.node.Retained(out.Retained)
	out.Raw = append(out.Raw, c.raw...)
	out.Notes = append(out.Notes, c.notes...)
	out.Released = c.node.Released(out.Released)
	clear(c.raw)
	clear(c.notes)
	c.raw, c.notes = c.raw[:0], c.notes[:0]
	return out.size() > n
}

func (c *Core) note(n session.Note) { c.notes = append(c.notes, n) }

func (c *Core) beats() {
	for _, e := range c.order {
		if !e.silent(c) { // to one that does not take them, headers would pile up
			e.link.Beat(false)
		}
	}
	for _, m := range c.managers {
		m.checkSilence()
		silences{m}.check()
		m.slab.trim()
	}
}

// frame takes one received frame.
func (c *Core) frame(ev Event) {
	used := 0
	defer func() {
		for _, h := range ev.Payloads[used:] {
			c.node.Release(h)
		}
	}()
	h, rest, err := protocol.ParseHeader(ev.Records)
	if err != nil {
		c.refuse(ev.Peer, protocol.AsError(err, "header"))
		return
	}
	e := c.peers[ev.Peer]
	if e == nil || e.other != h.Incarnation || h.Epoch < c.cfg.Epoch {
		c.stranger(ev.Peer, h, rest)
		return
	}
	switch e.link.Receive(h, len(ev.Records)) {
	case link.Fresh:
		e.heard = c.now
		if i := e.instance; i != nil && i.mute {
			hearing{i}.begins()
		}
		used = c.records(e, rest, ev.Payloads)
	case link.Gap:
		c.raw = append(c.raw, Raw{ev.Peer, c.node.Rehello(nil)})
	case link.Ignore:
		if hello(rest) {
			c.stranger(ev.Peer, h, rest)
		}
	}
}

func hello(records []byte) bool {
	return len(records) > 1 && protocol.Kind(records[1]) == protocol.KindHello
}

// stranger takes a frame from a connection that has no conversation: a HELLO begins one, anything else is asked for it.
func (c *Core) stranger(peer protocol.Peer, h protocol.Header, records []byte) {
	r := protocol.NewReader(records)
	var rec protocol.Record
	ok, err := r.Next(&rec)
	if err != nil {
		c.refuse(peer, protocol.AsError(err, "record"))
		return
	}
	if !ok || rec.Kind != protocol.KindHello {
		tooLate(c, records)
		c.raw = append(c.raw, Raw{peer, c.node.Rehello(nil)})
		return
	}
	var body protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		c.refuse(peer, protocol.AsError(err, "Hello"))
		return
	}
	version, err := protocol.Negotiate(body.MinVersion, body.MaxVersion)
	if err != nil {
		c.refuse(peer, protocol.AsError(err, "Hello"))
		return
	}
	e := c.ends[h.Incarnation]
	if e == nil {
		code := protocol.CodeUnknownSession
		if body.Role == protocol.RoleInstance {
			code = protocol.CodeInstanceRejected
		}
		c.refuse(peer, protocol.Errorf(code, "Hello", "nothing of %s %q (incarnation %x) is served by manager loop %d: ask the control endpoint again",
			body.Role, body.Name, h.Incarnation, c.cfg.Loop))
		return
	}
	c.welcome(e, peer, h, body, version)
}

func (c *Core) welcome(e *end, peer protocol.Peer, h protocol.Header, body protocol.Hello, version uint8) {
	if e.link.Stale(h) {
		return // overtaken by a later one
	}
	if old, ok := e.link.Peer(); ok && c.peers[old] == e {
		delete(c.peers, old)
	}
	c.peers[peer] = e
	e.heard = c.now
	before := e.link.Other() != 0
	limit := c.cfg.MaxPayload
	if e.instance != nil { // it checks its results itself
		limit = e.instance.manager.service.Limits.Payload
	}
	e.link.Accept(peer, h, body, protocol.Welcome{
		Version: version, Heartbeat: 2 * c.beat, Timeout: c.cfg.PeerTimeout,
		MaxPayload: limit, Broker: c.cfg.Broker,
	})
	switch {
	case e.client != nil:
		e.client.welcomed(body, e.link.GoesOn())
	case !before:
		e.instance.ready()
	case e.link.GoesOn():
	case body.Peer == 0:
		// It has lost what it was told before.
		e.instance.anew()
	default:
		// The same process without memory of what it holds: nothing of it can be relied on.
		e.instance.lost("the instance lost its conversation with the broker")
	}
}

// records takes the records of a fresh frame and returns how many payload frames were taken over.
func (c *Core) records(e *end, records []byte, payloads []protocol.Handle) int {
	in := intake{reader: protocol.NewReader(records), payloads: payloads}
	var err error
	if e.client != nil {
		err = e.client.fromClient(records, &in)
	} else {
		err = e.instance.fromInstance(&in)
	}
	if err != nil && len(c.raw) < 1024 {
		if peer, ok := e.link.Peer(); ok {
			c.refuse(peer, protocol.AsError(err, "record"))
		}
	}
	return in.used
}

// intake walks the records of a frame and its payload frames together.
type intake struct {
	reader   protocol.Reader
	payloads []protocol.Handle
	used     int
}

// next gives the next record and, when its payload is a frame of its own, that frame's handle.
func (in *intake) next(rec *protocol.Record) (h protocol.Handle, ok bool, err error) {
	ok, err = in.reader.Next(rec)
	if err != nil || !ok || !rec.External {
		return 0, ok, err
	}
	if in.used == len(in.payloads) {
		return 0, false, protocol.Errorf(protocol.CodeMalformed, "record", "%v names payload frame %d, the message has %d", rec.Kind, in.used+1, len(in.payloads))
	}
	h = in.payloads[in.used]
	in.used++
	return h, true, nil
}

// refuse answers with an error outside of the conversation.
func (c *Core) refuse(peer protocol.Peer, e *protocol.Error) {
	b := protocol.AppendHeader(nil, protocol.Header{Version: protocol.MaxVersion, Epoch: c.cfg.Epoch, Incarnation: c.cfg.Incarnation})
	c.raw = append(c.raw, Raw{peer, protocol.AppendBody(b, protocol.KindError, 0, 0, e)})
}
