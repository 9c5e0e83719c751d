package client

import (
	"bytes"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// modelBroker is a small broker: one control endpoint, loops that echo tasks. It is what the engine is tested against.
type modelBroker struct {
	t        rapid.TB
	node     *link.Node
	routers  map[string]*router // by endpoint
	sessions map[protocol.SessionNumber]*hosted
	last     protocol.SessionNumber
	base     protocol.SessionNumber // numbers of this reign are above it
	payloads [][]byte               // by handle - 1
	credits  protocol.SessionOpened
	refuse   *protocol.Error // of OpenSession
	timeout  time.Duration   // that it announces; 0: none
	errors   []protocol.Code // that a client sent to a loop
	hold     bool            // sessions are not referred when they are opened

	overload   int           // so many of the next tasks are refused as overloaded
	retryAfter time.Duration // which they are told
	stubborn   bool          // tasks that are cancelled are not answered
	withdrawn  int           // records that were taken back before they left
	late       bool          // this broker or the one before has refused some: sequences do not come in order
}

// router is one socket of the broker.
type router struct {
	broker   *modelBroker
	endpoint string
	control  bool
	ends     map[uint64]*end // by incarnation
	out      []message
}

type end struct {
	link           *link.Link
	incarnation    uint64
	sent, consumed int64
	credit         int64
}

type message struct {
	peer     protocol.Peer
	records  []byte
	payloads [][]byte
}

type hosted struct {
	number protocol.SessionNumber
	client uint64
	key    uint64
	at     string // endpoint of its loop
	top    uint64 // highest sequence taken
	seen   map[uint64]bool
	queue  []task // taken, not answered
	done   []task // answered
	closed bool
	moved  bool

	tenure uint64                   // how often another client came to have it
	left   []protocol.DetachSession // as clients said it, here or there
	closes []protocol.CloseSession

	refused   map[uint64]int // sequences that were refused as overloaded
	cancelled []uint64       // task fields of CANCEL, in order
}

type task struct {
	id      uint64
	payload []byte
	options protocol.TaskOptions
}

func newModelBroker(t rapid.TB, epoch protocol.Epoch, incarnation uint64) *modelBroker {
	b := &modelBroker{
		t: t, node: link.NewNode(epoch, incarnation), routers: map[string]*router{},
		sessions: map[protocol.SessionNumber]*hosted{},
		credits:  protocol.SessionOpened{TaskCredit: 64, ByteCredit: 256 << 10, MaxPayload: 64 << 10, Version: "1"},
		base:     protocol.SessionNumber(epoch.Counter() % 2),
	}
	b.last = b.base
	for _, endpoint := range []string{"control", "loop-0", "loop-1"} {
		b.routers[endpoint] = &router{broker: b, endpoint: endpoint, control: endpoint == "control", ends: map[uint64]*end{}}
	}
	return b
}

// flush hands out what is ready to leave.
func (b *modelBroker) flush() {
	for _, f := range b.node.Take(nil) {
		peer, records, handles, ok := f.Leave()
		if ok {
			m := message{peer: peer, records: bytes.Clone(records)}
			for _, h := range handles {
				m.payloads = append(m.payloads, b.payloads[h-1])
			}
			// The peer's number tells the router: see world.
			r := b.routerOf(peer)
			r.out = append(r.out, m)
		}
		f.Sent()
	}
	b.node.Released(nil)
}

func (b *modelBroker) routerOf(peer protocol.Peer) *router {
	return b.routers[[]string{"control", "loop-0", "loop-1"}[peer%3]]
}

func (r *router) bare(peer protocol.Peer, kind protocol.Kind, body any) {
	n := r.broker.node
	f := protocol.AppendHeader(nil, protocol.Header{Version: n.Version, Epoch: n.Epoch, Incarnation: n.Incarnation})
	r.out = append(r.out, message{peer: peer, records: protocol.AppendBody(f, kind, 0, 0, body)})
}

func (r *router) receive(m message) {
	b := r.broker
	defer b.flush()
	h, rest, err := protocol.ParseHeader(m.records)
	if err != nil {
		b.t.Fatalf("the engine sent %v", err)
	}
	if h.Epoch > b.node.Epoch {
		b.t.Fatalf("the engine made up epoch %v, the broker's is %v", h.Epoch, b.node.Epoch)
	}
	var rec protocol.Record
	reader := protocol.NewReader(rest)
	e := r.ends[h.Incarnation]
	first := reader
	if ok, err := first.Next(&rec); err != nil {
		b.t.Fatal(err)
	} else if ok && rec.Kind == protocol.KindHello {
		r.hello(m.peer, h, &rec)
		return
	}
	if e == nil {
		r.bare(m.peer, protocol.KindRehello, nil)
		return
	}
	if at, ok := e.link.Peer(); !ok || at != m.peer || h.Epoch < b.node.Epoch {
		r.bare(m.peer, protocol.KindRehello, nil)
		return
	}
	switch e.link.Receive(h, len(m.records)) {
	case link.Ignore:
		return
	case link.Gap:
		r.bare(m.peer, protocol.KindRehello, nil)
		return
	case link.Fresh:
	}
	for {
		ok, err := reader.Next(&rec)
		if err != nil {
			b.t.Fatal(err)
		}
		if !ok {
			return
		}
		payload := bytes.Clone(rec.Payload)
		if rec.External {
			payload, m.payloads = m.payloads[0], m.payloads[1:]
			if len(payload) != int(rec.Size) {
				b.t.Fatalf("record of %d bytes with a payload frame of %d", rec.Size, len(payload))
			}
		}
		if r.control {
			r.request(e, &rec)
		} else {
			r.data(e, &rec, payload)
		}
	}
}

func (r *router) hello(peer protocol.Peer, h protocol.Header, rec *protocol.Record) {
	var hello protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
		r.broker.t.Fatal(err)
	}
	if !r.control && r.broker.hosts(h.Incarnation) == 0 {
		r.bare(peer, protocol.KindError, protocol.Errorf(protocol.CodeUnknownSession, "hello", "nobody announced you"))
		return
	}
	e := r.ends[h.Incarnation]
	if e == nil {
		e = &end{link: r.broker.node.Link(), incarnation: h.Incarnation}
		r.ends[h.Incarnation] = e
	}
	if !e.link.Accept(peer, h, hello, protocol.Welcome{
		Version: 1, Timeout: r.broker.timeout, Heartbeat: protocol.HeartbeatWithin(r.broker.timeout),
	}) {
		e.sent, e.consumed = 0, 0
	}
	e.credit = hello.ResultCredit
}

func (b *modelBroker) hosts(client uint64) (n int) {
	for _, s := range b.sessions {
		if s.client == client && !s.closed {
			n++
		}
	}
	return n
}

func (r *router) request(e *end, rec *protocol.Record) {
	b := r.broker
	switch rec.Kind {
	case protocol.KindOpenSession:
		var body protocol.OpenSession
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			b.t.Fatal(err)
		}
		if b.refuse != nil {
			e.link.Append(protocol.KindError, 0, rec.Task, protocol.Marshal(b.refuse))
			return
		}
		s := b.open(e.incarnation, body.Key)
		opened := b.credits
		opened.Session, opened.Service = s.number, body.Service
		e.link.Append(protocol.KindSessionOpened, 0, rec.Task, protocol.Marshal(opened))
		if !b.hold {
			b.refer(s, s.at)
		}
	case protocol.KindAttachSession:
		var body protocol.AttachSession
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			b.t.Fatal(err)
		}
		if b.refuse != nil {
			e.link.Append(protocol.KindError, 0, rec.Task, protocol.Marshal(b.refuse))
			return
		}
		s := b.sessions[body.Session]
		s.client, s.key = e.incarnation, body.Key
		opened := b.credits
		opened.Session, opened.Service, opened.Tenure, opened.Next = s.number, "echo", s.tenure, s.top+1
		e.link.Append(protocol.KindSessionOpened, 0, rec.Task, protocol.Marshal(opened))
		b.refer(s, s.at)
	case protocol.KindDetachSession:
		b.leaves(rec)
		e.link.Append(protocol.KindDone, 0, rec.Task, nil)
	case protocol.KindCloseSession:
		var body protocol.CloseSession
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			b.t.Fatal(err)
		}
		s := b.sessions[body.Session]
		if s == nil || s.closed {
			e.link.Append(protocol.KindError, 0, rec.Task,
				protocol.Marshal(protocol.Errorf(protocol.CodeUnknownSession, "close", "no session %d", body.Session)))
			return
		}
		e.link.Append(protocol.KindDone, 0, rec.Task, nil)
		if s.closes = append(s.closes, body); body.Own && body.Tenure != s.tenure {
			return
		}
		if body.Mode == protocol.CloseKill {
			b.end(s, protocol.SessionClosed, protocol.Errorf(protocol.CodeSessionKilled, "session", "killed"))
		} else {
			b.end(s, protocol.SessionClosed, nil)
		}
	case protocol.KindBye:
	default:
		answer, ok := asked[rec.Kind]
		if !ok {
			b.t.Fatalf("control got %v", rec.Kind)
		}
		e.link.Append(answer, 0, rec.Task, protocol.Marshal(protocol.NewBody(answer)))
	}
}

// asked are the requests that are answered with a body, and its kind.
var asked = map[protocol.Kind]protocol.Kind{
	protocol.KindListNodes: protocol.KindNodePage, protocol.KindListServices: protocol.KindServicePage,
	protocol.KindListSessions: protocol.KindSessionPage, protocol.KindListEnvironments: protocol.KindEnvironmentPage,
	protocol.KindListEvents: protocol.KindEventPage, protocol.KindGetTask: protocol.KindTaskInfo,
	protocol.KindListTasks: protocol.KindTaskPage, protocol.KindListDead: protocol.KindDeadPage,
	protocol.KindGetDead: protocol.KindDeadPart, protocol.KindDropDead: protocol.KindDeadDropped,
	protocol.KindGetStats: protocol.KindStats,
}

func (b *modelBroker) open(client, key uint64) *hosted {
	for _, s := range b.sessions {
		if s.client == client && s.key == key {
			return s
		}
	}
	b.last += 2
	s := &hosted{number: b.last, client: client, key: key, seen: map[uint64]bool{}, at: "loop-0"}
	b.sessions[s.number] = s
	return s
}

func (b *modelBroker) push(s *hosted, kind protocol.Kind, body any) {
	if e := b.routers["control"].ends[s.client]; e != nil {
		e.link.Append(kind, 0, 0, protocol.Marshal(body))
	}
	b.flush()
}

// refer sends the client of a session to a loop.
func (b *modelBroker) refer(s *hosted, endpoint string) {
	s.moved = s.moved || s.at != endpoint
	s.at = endpoint
	b.push(s, protocol.KindRefer, protocol.Refer{Session: s.number, Endpoint: endpoint, Epoch: b.node.Epoch})
}

func (b *modelBroker) end(s *hosted, state string, why *protocol.Error) {
	s.closed = true
	b.push(s, protocol.KindSessionState, protocol.SessionState{Session: s.number, State: state, Error: why})
}

func (r *router) data(e *end, rec *protocol.Record, payload []byte) {
	b := r.broker
	switch rec.Kind {
	case protocol.KindTask:
		s := b.sessions[rec.Session]
		if s == nil || s.closed || s.at != r.endpoint || s.client != e.incarnation {
			return
		}
		seq := protocol.TaskID(rec.Task).Sequence()
		if s.seen[seq] {
			return
		}
		o, ok := rec.Options()
		if !ok {
			b.t.Fatalf("options % x", rec.Ext)
		}
		if b.overload > 0 {
			b.overload--
			b.late = true
			s.refuse(e, rec.Task, &protocol.Error{Code: protocol.CodeOverloaded, Op: "Task", RetryAfter: b.retryAfter})
			b.flush()
			return
		}
		if seq <= s.top && !s.moved && !b.late { // what is on its way to a loop that it leaves and comes back to is late
			b.t.Fatalf("session %d: sequence %d came first after %d", s.number, seq, s.top)
		}
		s.top = max(s.top, seq)
		s.seen[seq] = true
		s.queue = append(s.queue, task{rec.Task, payload, o})
		if len(s.queue) > b.credits.TaskCredit {
			b.t.Fatalf("session %d has %d tasks, its credit is %d", s.number, len(s.queue), b.credits.TaskCredit)
		}
	case protocol.KindCancel:
		if s := b.sessions[rec.Session]; s != nil && !s.closed && s.at == r.endpoint {
			s.cancelled = append(s.cancelled, rec.Task)
			if !b.stubborn {
				s.cancel(e, rec.Task)
			}
		}
	case protocol.KindCredit:
		if rec.Task == 0 {
			b.withdrawn++
			return
		}
		if int64(rec.Task) > e.sent || int64(rec.Task) <= e.consumed {
			b.t.Fatalf("credit: %d bytes consumed, sent %d, told before %d", rec.Task, e.sent, e.consumed)
		}
		e.consumed = int64(rec.Task)
	case protocol.KindDetachSession:
		b.leaves(rec)
	case protocol.KindBye:
	case protocol.KindError:
		b.errors = append(b.errors, decodeError(rec.Payload).Code)
	default:
		b.t.Fatalf("loop got %v", rec.Kind)
	}
}

// leaves notes that a session is left.
func (b *modelBroker) leaves(rec *protocol.Record) {
	var body protocol.DetachSession
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		b.t.Fatal(err)
	}
	s := b.sessions[body.Session]
	s.left = append(s.left, body)
}

// dismiss tells a client, at one of the broker's sockets, that a tenure of a session is over.
func (b *modelBroker) dismiss(endpoint string, client uint64, n protocol.SessionNumber, tenure uint64) {
	b.routers[endpoint].ends[client].link.Append(protocol.KindError, n, tenure, protocol.Marshal(
		protocol.Errorf(protocol.CodeDetached, "session", "session %d goes on without this client", n)))
	b.flush()
}

// refuse answers a task that is not taken.
func (s *hosted) refuse(e *end, id uint64, why *protocol.Error) {
	if s.refused == nil {
		s.refused = map[uint64]int{}
	}
	s.refused[protocol.TaskID(id).Sequence()]++
	body := protocol.Marshal(why)
	e.sent += int64(len(body))
	e.link.Append(protocol.KindFailure, s.number, id, body)
}

// cancel ends a queued task, 0: all.
func (s *hosted) cancel(e *end, id uint64) {
	s.queue = slices.DeleteFunc(s.queue, func(t task) bool {
		if id != 0 && t.id != id {
			return false
		}
		body := protocol.Marshal(protocol.Errorf(protocol.CodeCancelled, "task", "as it was told"))
		e.sent += int64(len(body))
		e.link.Append(protocol.KindFailure, s.number, t.id, body)
		return true
	})
}

// answer sends the result of the i-th queued task of s, or fails it, and keeps it for repeat.
func (b *modelBroker) answer(s *hosted, i int, fail bool) {
	t := s.queue[i]
	s.queue = append(s.queue[:i], s.queue[i+1:]...)
	s.done = append(s.done, t)
	b.result(s, t, fail)
}

// result sends a result, maybe once more.
func (b *modelBroker) result(s *hosted, t task, fail bool) {
	e := b.routers[s.at].ends[s.client]
	if e == nil {
		return
	}
	switch {
	case fail:
		body := protocol.Marshal(protocol.Errorf(protocol.CodeTaskFailed, "task", "as it was told"))
		e.sent += int64(len(body))
		e.link.Append(protocol.KindFailure, s.number, t.id, body)
	case len(t.payload) >= protocol.InlinePayload:
		b.payloads = append(b.payloads, t.payload)
		e.sent += int64(len(t.payload))
		e.link.AppendExternal(protocol.KindResult, s.number, t.id, uint32(len(t.payload)), protocol.Handle(len(b.payloads)))
	default:
		e.sent += int64(len(t.payload))
		e.link.Append(protocol.KindResult, s.number, t.id, t.payload)
	}
	b.flush()
}

func (b *modelBroker) beat() {
	for _, name := range []string{"control", "loop-0", "loop-1"} {
		for _, e := range b.routers[name].ends {
			e.link.Beat(false)
		}
	}
	b.flush()
}

var testStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
