package client

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBroker speaks the protocol of a broker over real sockets: it echoes tasks. The first byte of a payload may ask
// for something else.
type fakeBroker struct {
	t        testing.TB
	endpoint string
	payloads *zmqx.Payloads
	wake     *zmqx.Wake
	waiter   *zmqx.Waiter
	over     sync.WaitGroup
	scheme   string

	mu       sync.Mutex
	commands []func()
	stopped  bool

	// The goroutine's own.
	control, loop *fakeRouter
	epoch         protocol.Epoch
	loopEndpoint  string
	sessions      map[protocol.SessionNumber]*fakeSession
	last          protocol.SessionNumber
	nextBeat      time.Time
	credits       protocol.SessionOpened
	held          []heldTask // not answered, by wish of the test
	hold          bool
	refuse        *protocol.Error // of HELLO
	services      []protocol.ServiceInfo
	moved         protocol.MoveService
	restarted     protocol.RestartService
	opened        []protocol.OpenSession
	lists         []protocol.ListRequest // of environments and events
	environments  []string
	cancels       []uint64      // task fields of CANCEL
	stubborn      bool          // tasks that are cancelled are not answered
	overload      int           // so many of the next tasks are refused as overloaded
	timeout       time.Duration // that it announces
	muted         bool          // it takes requests and tasks, and answers nothing
	resources     func(kind protocol.Kind, body any) (protocol.Kind, any)

	byes atomic.Int64 // clients that took leave of it
}

type fakeRouter struct {
	node   *link.Node
	socket *zmqx.Socket
	ends   map[uint64]*fakeEnd
	peers  map[protocol.Peer]*fakeEnd
}

type fakeEnd struct {
	router         *fakeRouter
	link           *link.Link
	incarnation    uint64
	sent, consumed int64
	credit         int64
	waiting        []heldTask // for the client's credit
}

type fakeSession struct {
	number protocol.SessionNumber
	client uint64
	key    uint64
	top    uint64          // highest sequence taken: they come in order
	open   map[uint64]bool // sequences below that were refused
	closed bool
	runs   int
}

type heldTask struct {
	end     *fakeEnd
	session uint32
	id      uint64
	payload []byte
	options protocol.TaskOptions
}

// First bytes of payloads that are not echoed.
const (
	askFailure = 0xf0 // answered by a failure
	askSilence = 0xf1 // never answered
)

// newFakeBroker starts a broker on a transport, "tcp" or "inproc".
func newFakeBroker(t testing.TB, scheme string) *fakeBroker {
	t.Helper()
	b := &fakeBroker{
		t: t, scheme: scheme, payloads: zmqx.NewPayloads(),
		credits: protocol.SessionOpened{TaskCredit: protocol.DefaultTaskCredit, ByteCredit: protocol.DefaultByteCredit, MaxPayload: protocol.DefaultMaxPayload},
	}
	var err error
	if b.wake, err = zmqx.NewWake(); err != nil {
		t.Fatal(err)
	}
	b.bind()
	b.rebirth(protocol.NewEpoch(1, 1))
	b.over.Add(1)
	go b.run()
	t.Cleanup(func() {
		b.do(func() { b.stopped = true })
		b.over.Wait()
	})
	return b
}

func (b *fakeBroker) address() string {
	switch b.scheme {
	case "tcp":
		return "tcp://127.0.0.1:*"
	default:
		return fmt.Sprintf("inproc://%s/%x", b.t.Name(), rand.Uint64())
	}
}

func (b *fakeBroker) bind() {
	var endpoints [2]string
	var routers [2]*fakeRouter
	for i := range routers {
		s, err := zmqx.NewRouter(b.payloads, zmqx.Options{MaxRecords: protocol.MaxRecords})
		if err != nil {
			b.t.Fatal(err)
		}
		if endpoints[i], err = s.Bind(b.address()); err != nil {
			b.t.Fatal(err)
		}
		routers[i] = &fakeRouter{socket: s}
	}
	b.endpoint = endpoints[0]
	b.control, b.loop = routers[0], routers[1]
	b.loopEndpoint = endpoints[1]
	b.waiter = zmqx.NewWaiter(b.wake, b.control.socket, b.loop.socket)
}

// rebirth makes a broker that knows nothing, of a new epoch. The goroutine's own.
func (b *fakeBroker) rebirth(epoch protocol.Epoch) {
	b.epoch = epoch
	incarnation := rand.Uint64() | 1
	b.sessions = map[protocol.SessionNumber]*fakeSession{}
	b.held = nil
	for _, r := range []*fakeRouter{b.control, b.loop} {
		r.node = link.NewNode(epoch, incarnation)
		r.ends, r.peers = map[uint64]*fakeEnd{}, map[protocol.Peer]*fakeEnd{}
	}
}

// do runs f on the broker's goroutine and waits for it.
func (b *fakeBroker) do(f func()) {
	done := make(chan struct{})
	b.mu.Lock()
	b.commands = append(b.commands, func() { f(); close(done) })
	b.mu.Unlock()
	b.wake.Ring()
	<-done
}

func (b *fakeBroker) run() {
	defer b.over.Done()
	defer func() {
		b.waiter.SetSockets()
		b.control.socket.Close()
		b.loop.socket.Close()
		b.wake.Close()
	}()
	for {
		b.mu.Lock()
		commands := b.commands
		b.commands = nil
		b.mu.Unlock()
		for _, f := range commands {
			f()
		}
		if b.stopped {
			return
		}
		if now := time.Now(); !now.Before(b.nextBeat) {
			b.nextBeat = now.Add(protocol.Heartbeat / 2)
			for _, r := range []*fakeRouter{b.control, b.loop} {
				for _, e := range r.ends {
					e.link.Beat(false)
				}
			}
		}
		b.flush()
		ready, _, err := b.waiter.Wait(time.Until(b.nextBeat))
		if err != nil {
			b.t.Error(err)
			return
		}
		for _, s := range ready {
			r := b.control
			if s == b.loop.socket {
				r = b.loop
			}
			messages, _, err := s.Recv(zmqx.MaxBurst)
			if err != nil {
				b.t.Error(err)
				return
			}
			for _, m := range messages {
				b.receive(r, m)
			}
		}
	}
}

func (b *fakeBroker) flush() {
	for _, r := range []*fakeRouter{b.control, b.loop} {
		for _, f := range r.node.Take(nil) {
			peer, records, payloads, ok := f.Leave()
			if ok && r.socket.Send(peer, records, payloads) != nil {
				if e := r.peers[peer]; e != nil {
					e.link.Lost()
				}
			}
			f.Sent()
		}
		for _, h := range r.node.Released(nil) {
			b.payloads.Release(h)
		}
	}
}

func (b *fakeBroker) receive(r *fakeRouter, m zmqx.Message) {
	defer func() {
		for _, h := range m.Payloads {
			b.payloads.Release(h)
		}
	}()
	peer := m.Peer
	h, rest, err := protocol.ParseHeader(m.Records)
	if err != nil {
		b.t.Errorf("the client sent %v", err)
		return
	}
	var rec protocol.Record
	first := protocol.NewReader(rest)
	if ok, _ := first.Next(&rec); ok && rec.Kind == protocol.KindHello {
		b.hello(r, peer, h, &rec)
		return
	}
	e := r.peers[peer]
	if e == nil || h.Incarnation != e.incarnation || h.Epoch < b.epoch {
		_ = r.socket.Send(m.Peer, r.node.Rehello(nil), nil)
		return
	}
	switch e.link.Receive(h, len(m.Records)) {
	case link.Fresh:
	case link.Gap:
		_ = r.socket.Send(m.Peer, r.node.Rehello(nil), nil)
		return
	case link.Ignore:
		return
	}
	payloads := m.Payloads
	reader := protocol.NewReader(rest)
	for {
		ok, err := reader.Next(&rec)
		if err != nil {
			b.t.Error(err)
		}
		if !ok || err != nil {
			return
		}
		payload := rec.Payload
		if rec.External {
			payload, payloads = b.payloads.Bytes(payloads[0]), payloads[1:]
		}
		if b.muted {
			continue
		}
		if r == b.control {
			b.request(e, &rec)
		} else {
			b.data(e, &rec, payload)
		}
	}
}

func (b *fakeBroker) hello(r *fakeRouter, peer protocol.Peer, h protocol.Header, rec *protocol.Record) {
	var hello protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
		b.t.Error(err)
		return
	}
	if b.refuse != nil {
		f := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: b.epoch, Incarnation: r.node.Incarnation})
		_ = r.socket.Send(peer, protocol.AppendBody(f, protocol.KindError, 0, 0, b.refuse), nil)
		return
	}
	e := r.ends[h.Incarnation]
	if e == nil {
		e = &fakeEnd{router: r, link: r.node.Link(), incarnation: h.Incarnation}
		r.ends[h.Incarnation] = e
	}
	if !e.link.Accept(peer, h, hello, protocol.Welcome{Version: 1, Timeout: b.timeout}) {
		e.sent, e.consumed, e.waiting = 0, 0, nil
	}
	e.credit = hello.ResultCredit
	r.peers[peer] = e
}

func (b *fakeBroker) request(e *fakeEnd, rec *protocol.Record) {
	answer := func(kind protocol.Kind, body any) {
		var payload []byte
		if body != nil {
			payload = protocol.Marshal(body)
		}
		e.link.Append(kind, 0, rec.Task, payload)
	}
	refuse := func(code protocol.Code) { answer(protocol.KindError, protocol.Errorf(code, "test", "as it was told")) }
	switch rec.Kind {
	case protocol.KindOpenSession:
		var body protocol.OpenSession
		_ = protocol.Unmarshal(rec.Kind, rec.Payload, &body)
		switch body.Service {
		case "none":
			refuse(protocol.CodeUnknownService)
			return
		case "mute":
			return
		}
		s := b.openSession(e.incarnation, body.Key)
		b.opened = append(b.opened, body)
		opened := b.credits
		opened.Session = s.number
		answer(protocol.KindSessionOpened, opened)
		e.link.Append(protocol.KindRefer, 0, 0, protocol.Marshal(
			protocol.Refer{Session: s.number, Endpoint: b.loopEndpoint, Epoch: b.epoch}))
	case protocol.KindCloseSession:
		var body protocol.CloseSession
		_ = protocol.Unmarshal(rec.Kind, rec.Payload, &body)
		s := b.sessions[body.Session]
		if s == nil || s.closed {
			refuse(protocol.CodeUnknownSession)
			return
		}
		answer(protocol.KindDone, nil)
		var why *protocol.Error
		if body.Mode == protocol.CloseKill {
			why = protocol.Errorf(protocol.CodeSessionKilled, "session", "killed")
		}
		b.endSession(s, protocol.SessionClosed, why)
	case protocol.KindRegisterService:
		var body protocol.Service
		_ = protocol.Unmarshal(rec.Kind, rec.Payload, &body)
		b.services = append(b.services, protocol.ServiceInfo{Service: body.WithDefaults()})
		slices.SortFunc(b.services, func(x, y protocol.ServiceInfo) int {
			return bytes.Compare([]byte(x.Service.Name), []byte(y.Service.Name))
		})
		answer(protocol.KindDone, nil)
	case protocol.KindListServices:
		b.list(rec, answer)
	case protocol.KindListNodes:
		answer(protocol.KindServicePage, protocol.ServicePage{}) // the wrong one
	case protocol.KindDeregisterService:
		refuse(protocol.CodeInUse)
	case protocol.KindMoveService:
		_ = protocol.Unmarshal(rec.Kind, rec.Payload, &b.moved)
		answer(protocol.KindDone, nil)
	case protocol.KindRestartService:
		_ = protocol.Unmarshal(rec.Kind, rec.Payload, &b.restarted)
		answer(protocol.KindDone, nil)
	case protocol.KindCreateEnvironment:
		var body protocol.Environment
		_ = protocol.Unmarshal(rec.Kind, rec.Payload, &body)
		b.environments = append(b.environments, body.Name)
		answer(protocol.KindDone, nil)
	case protocol.KindDeleteEnvironment:
		refuse(protocol.CodeNoEnvironment)
	case protocol.KindListEnvironments, protocol.KindListEvents:
		b.pageOfOne(rec, answer)
	case protocol.KindApplyQueues, protocol.KindListQueues, protocol.KindDrainQueue, protocol.KindCordonNode, protocol.KindGetOverview, protocol.KindExplain:
		body := protocol.NewBody(rec.Kind)
		if body != nil {
			_ = protocol.Unmarshal(rec.Kind, rec.Payload, body)
		}
		answer(b.resources(rec.Kind, body))
	case protocol.KindBye:
		b.byes.Add(1)
		if peer, ok := e.link.Peer(); ok {
			_ = b.control.socket.Send(peer, e.link.Farewell(nil), nil)
		}
	default:
		b.t.Errorf("control got %v", rec.Kind)
	}
}

// list answers with pages of two.
func (b *fakeBroker) list(rec *protocol.Record, answer func(protocol.Kind, any)) {
	var body protocol.ListRequest
	_ = protocol.Unmarshal(rec.Kind, rec.Payload, &body)
	var page protocol.ServicePage
	for _, s := range b.services {
		if s.Service.Name+"@"+s.Service.Version <= body.After {
			continue
		}
		if len(page.Entries) == 2 {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, s)
		page.Next = s.Service.Name + "@" + s.Service.Version
	}
	if !page.More {
		page.Next = ""
	}
	answer(protocol.KindServicePage, page)
}

// pageOfOne answers with pages of one environment or event.
func (b *fakeBroker) pageOfOne(rec *protocol.Record, answer func(protocol.Kind, any)) {
	var body protocol.ListRequest
	_ = protocol.Unmarshal(rec.Kind, rec.Payload, &body)
	b.lists = append(b.lists, body)
	if rec.Kind == protocol.KindListEnvironments {
		i, found := slices.BinarySearch(b.environments, body.After)
		if found {
			i++
		}
		answer(protocol.KindEnvironmentPage, protocol.EnvironmentPage{
			Entries: []protocol.EnvironmentInfo{{Name: b.environments[i]}}, More: i+1 < len(b.environments),
		})
		return
	}
	n, _ := strconv.ParseUint(body.After, 10, 64)
	answer(protocol.KindEventPage, protocol.EventPage{
		Entries: []protocol.SessionEvent{{Number: n + 1, Kind: protocol.EventBound}}, More: n < 11, Over: n >= 11,
	})
}

func (b *fakeBroker) openSession(client, key uint64) *fakeSession {
	for _, s := range b.sessions {
		if s.client == client && s.key == key {
			return s
		}
	}
	b.last++
	s := &fakeSession{number: b.last, client: client, key: key}
	b.sessions[s.number] = s
	return s
}

func (b *fakeBroker) endSession(s *fakeSession, state string, why *protocol.Error) {
	s.closed = true
	if e := b.control.ends[s.client]; e != nil {
		e.link.Append(protocol.KindSessionState, 0, 0, protocol.Marshal(
			protocol.SessionState{Session: s.number, State: state, Error: why}))
	}
}

func (b *fakeBroker) data(e *fakeEnd, rec *protocol.Record, payload []byte) {
	switch rec.Kind {
	case protocol.KindTask:
		s := b.sessions[rec.Session]
		seq := protocol.TaskID(rec.Task).Sequence()
		if s == nil || s.closed || seq <= s.top && !s.open[seq] {
			return
		}
		s.top = max(s.top, seq)
		if b.overload > 0 {
			b.overload--
			if s.open == nil {
				s.open = map[uint64]bool{}
			}
			s.open[seq] = true
			b.fail(e, rec.Session, rec.Task, &protocol.Error{Code: protocol.CodeOverloaded, Op: "Task", RetryAfter: time.Millisecond})
			return
		}
		delete(s.open, seq)
		s.runs++
		options, ok := rec.Options()
		if !ok {
			b.t.Errorf("options % x", rec.Ext)
		}
		if b.hold {
			b.held = append(b.held, heldTask{e, rec.Session, rec.Task, bytes.Clone(payload), options})
			return
		}
		b.answer(heldTask{e, rec.Session, rec.Task, payload, options})
	case protocol.KindCancel:
		b.cancels = append(b.cancels, rec.Task)
		b.held = slices.DeleteFunc(b.held, func(t heldTask) bool {
			if b.stubborn || t.session != rec.Session || rec.Task != 0 && rec.Task != t.id {
				return false
			}
			b.fail(e, t.session, t.id, protocol.Errorf(protocol.CodeCancelled, "task", "as it was told"))
			return true
		})
	case protocol.KindCredit:
		if rec.Task == 0 { // a task that was withdrawn
			return
		}
		if int64(rec.Task) > e.sent || int64(rec.Task) <= e.consumed {
			b.t.Errorf("credit: %d consumed, %d sent, %d told before", rec.Task, e.sent, e.consumed)
		}
		e.consumed = int64(rec.Task)
		waiting := e.waiting
		e.waiting = nil
		for _, t := range waiting {
			b.answer(t)
		}
	case protocol.KindBye:
	default:
		b.t.Errorf("the loop got %v", rec.Kind)
	}
}

// answer echoes a task, or does what its first byte asks.
func (b *fakeBroker) answer(t heldTask) {
	e := t.end
	if e.sent-e.consumed >= e.credit {
		t.payload = bytes.Clone(t.payload)
		e.waiting = append(e.waiting, t)
		return
	}
	switch {
	case len(t.payload) > 0 && t.payload[0] == askSilence:
	case len(t.payload) > 0 && t.payload[0] == askFailure:
		b.fail(e, t.session, t.id, protocol.Errorf(protocol.CodeTaskFailed, "task", "as it was told"))
	case len(t.payload) >= protocol.InlinePayload:
		e.sent += int64(len(t.payload))
		e.link.AppendExternal(protocol.KindResult, t.session, t.id, uint32(len(t.payload)), b.payloads.New(t.payload))
	default:
		e.sent += int64(len(t.payload))
		e.link.Append(protocol.KindResult, t.session, t.id, t.payload)
	}
}

// fail answers a task with an error.
func (b *fakeBroker) fail(e *fakeEnd, session uint32, id uint64, why *protocol.Error) {
	body := protocol.Marshal(why)
	e.sent += int64(len(body))
	e.link.Append(protocol.KindFailure, session, id, body)
}

// connect dials the broker and opens a session.
func (b *fakeBroker) connect(opts ...SessionOption) (*Client, *Session) {
	b.t.Helper()
	c := b.dial()
	s, err := c.OpenSession(soon(b.t), "echo", opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	return c, s
}

func (b *fakeBroker) dial(opts ...Option) *Client {
	b.t.Helper()
	c, err := Dial(soon(b.t), b.endpoint, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return c
}

// soon is a context that ends when the test has waited for too long.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
