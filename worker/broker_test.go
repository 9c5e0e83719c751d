package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

const deadline = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is one record that a broker got from the instance.
type heard struct {
	loop    bool // over the data line
	kind    protocol.Kind
	session uint32
	task    uint64
	payload []byte
}

// post is one ROUTER of a broker and the conversation over it; there is one instance.
type post struct {
	loop     bool
	endpoint string
	socket   *zmqx.Socket
	node     *link.Node
	link     *link.Link
	other    uint64        // incarnation of the instance
	peer     protocol.Peer // that said HELLO; 0: nobody
	refusal  *protocol.Error
}

// broker is a control loop and a manager loop, just good enough for one instance. Its goroutine owns everything but
// what mu guards.
type broker struct {
	t        testing.TB
	posts    [2]*post // control, loop
	payloads *zmqx.Payloads
	wake     *zmqx.Wake
	waiter   *zmqx.Waiter
	mute     bool                                     // hears and says nothing
	count    func(kind protocol.Kind, payload []byte) // instead of a list, of results

	mu       sync.Mutex
	todo     []func()
	records  []heard
	arrived  chan struct{}
	headers  int // heard on the data line
	ended    bool
	finished chan struct{}
}

func newBroker(t testing.TB, endpoint string) *broker {
	b := &broker{t: t, payloads: zmqx.NewPayloads(), arrived: make(chan struct{}, 1), finished: make(chan struct{})}
	var err error
	if b.wake, err = zmqx.NewWake(); err != nil {
		t.Fatal(err)
	}
	b.waiter = zmqx.NewWaiter(b.wake)
	for i := range b.posts {
		at := endpoint
		if at == "" {
			at = fmt.Sprintf("inproc://worker-%x", rand.Uint64())
		}
		b.posts[i] = &post{loop: i == 1, endpoint: at}
		b.open(b.posts[i])
		b.fresh(b.posts[i])
	}
	go b.run()
	t.Cleanup(func() {
		b.do(func() { b.ended = true })
		<-b.finished
		for _, p := range b.posts {
			if err := p.socket.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := b.wake.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// open binds the socket of a post.
func (b *broker) open(p *post) {
	socket, err := zmqx.NewRouter(b.payloads, zmqx.Options{MaxRecords: protocol.MaxRecords})
	if err != nil {
		b.t.Error(err)
		return
	}
	end := time.Now().Add(deadline)
	at, err := socket.Bind(p.endpoint)
	for errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end) { // libzmq closes the one before on its own time
		runtime.Gosched()
		at, err = socket.Bind(p.endpoint)
	}
	if err != nil {
		b.t.Error(err)
	}
	p.endpoint = at
	p.socket = socket
	var sockets []*zmqx.Socket
	for _, other := range b.posts {
		if other != nil && other.socket != nil {
			sockets = append(sockets, other.socket)
		}
	}
	b.waiter.SetSockets(sockets...)
}

// fresh makes a post one of a new process.
func (b *broker) fresh(p *post) {
	p.node = link.NewNode(protocol.NewEpoch(1, 1), rand.Uint64()|1)
	p.link, p.other, p.peer = p.node.Link(), 0, 0
}

// do runs f on the broker's goroutine and waits for it.
func (b *broker) do(f func()) {
	done := make(chan struct{})
	b.mu.Lock()
	b.todo = append(b.todo, func() { f(); close(done) })
	b.mu.Unlock()
	b.wake.Ring()
	<-done
}

func (b *broker) run() {
	defer close(b.finished)
	beat := time.Now()
	for !b.ended {
		ready, _, err := b.waiter.Wait(50 * time.Millisecond)
		if err != nil {
			b.t.Error(err)
			return
		}
		b.mu.Lock()
		todo := b.todo
		b.todo = nil
		b.mu.Unlock()
		for _, p := range b.posts {
			for _, s := range ready {
				if s == p.socket {
					b.receive(p)
				}
			}
		}
		for _, f := range todo {
			f()
		}
		if time.Since(beat) > protocol.Heartbeat/2 {
			beat = time.Now()
			for _, p := range b.posts {
				p.link.Beat(true)
			}
		}
		b.send()
	}
}

func (b *broker) send() {
	for _, p := range b.posts {
		for _, f := range p.node.Take(nil) {
			if peer, records, payloads, ok := f.Leave(); ok && !b.mute {
				if err := p.socket.Send(peer, records, payloads); err != nil {
					p.link.Lost()
				}
			}
			f.Sent()
		}
		for _, h := range p.node.Released(nil) {
			b.payloads.Release(h)
		}
	}
}

func (b *broker) receive(p *post) {
	messages, _, err := p.socket.Recv(0)
	if err != nil {
		b.t.Error(err)
	}
	for _, m := range messages {
		if !b.mute {
			b.frame(p, m)
		}
		for _, h := range m.Payloads {
			b.payloads.Release(h)
		}
	}
}

func (b *broker) frame(p *post, m zmqx.Message) {
	h, rest, err := protocol.ParseHeader(m.Records)
	if err != nil {
		b.t.Error(err)
		return
	}
	reader := protocol.NewReader(rest)
	var rec protocol.Record
	if len(rest) > 0 {
		first := reader
		if ok, err := first.Next(&rec); !ok || err != nil {
			b.t.Errorf("first record: %v", err)
		}
		if rec.Kind == protocol.KindHello {
			b.hello(p, m.Peer, h, &rec)
			return
		}
	}
	if m.Peer != p.peer {
		if err := p.socket.Send(m.Peer, p.node.Rehello(nil), nil); err != nil {
			b.t.Log(err)
		}
		return
	}
	switch p.link.Receive(h, len(m.Records)) {
	case link.Ignore:
		return
	case link.Gap:
		b.t.Error("a gap in the frames of the instance")
		return
	case link.Fresh:
	}
	if p.loop {
		b.mu.Lock()
		b.headers++
		b.mu.Unlock()
	}
	payloads := m.Payloads
	for {
		if ok, err := reader.Next(&rec); !ok {
			if err != nil {
				b.t.Error(err)
			}
			return
		}
		payload := rec.Payload
		if rec.External {
			payload, payloads = b.payloads.Bytes(payloads[0]), payloads[1:]
			if len(payload) != int(rec.Size) {
				b.t.Errorf("payload frame of %d bytes, its record says %d", len(payload), rec.Size)
			}
		}
		b.note(heard{p.loop, rec.Kind, rec.Session, rec.Task, payload})
	}
}

func (b *broker) hello(p *post, peer protocol.Peer, h protocol.Header, rec *protocol.Record) {
	var hello protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
		b.t.Error(err)
	}
	if p.refusal != nil {
		bare := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: p.node.Epoch, Incarnation: p.node.Incarnation})
		if err := p.socket.Send(peer, protocol.AppendBody(bare, protocol.KindError, 0, 0, p.refusal), nil); err != nil {
			b.t.Error(err)
		}
		return
	}
	p.peer, p.other = peer, h.Incarnation
	resumed := p.link.Accept(peer, h, hello, protocol.Welcome{Version: 1, MaxPayload: 1 << 20})
	b.note(heard{p.loop, protocol.KindHello, 0, 0, bytes.Clone(rec.Payload)})
	if !p.loop && !resumed {
		p.link.Append(protocol.KindRefer, 0, 0, protocol.Marshal(protocol.Refer{
			Service: hello.Service, Endpoint: b.posts[1].endpoint, Epoch: p.node.Epoch,
		}))
	}
}

func (b *broker) note(r heard) {
	if b.count != nil && (r.kind == protocol.KindResult || r.kind == protocol.KindExecuted) {
		b.count(r.kind, r.payload)
		return
	}
	r.payload = bytes.Clone(r.payload)
	b.mu.Lock()
	b.records = append(b.records, r)
	b.mu.Unlock()
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// await waits for the first record of the kind that was not awaited yet and takes it.
func (b *broker) await(kind protocol.Kind) heard {
	b.t.Helper()
	return b.awaitThat(kind.String(), func(r heard) bool { return r.kind == kind })
}

// ready waits until the instance has said HELLO to the loop.
func (b *broker) ready() {
	b.t.Helper()
	b.awaitThat("Hello on the data line", func(r heard) bool { return r.loop && r.kind == protocol.KindHello })
}

func (b *broker) awaitThat(what string, match func(heard) bool) heard {
	b.t.Helper()
	end := time.After(deadline)
	for {
		b.mu.Lock()
		for i, r := range b.records {
			if match(r) {
				b.records = append(b.records[:i:i], b.records[i+1:]...)
				b.mu.Unlock()
				return r
			}
		}
		b.mu.Unlock()
		select {
		case <-b.arrived:
		case <-end:
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("no %s within %v; heard %+v", what, deadline, b.records)
		}
	}
}

// say appends a record without payload, or with a body, on the data line.
func (b *broker) say(kind protocol.Kind, session uint32, task uint64, body any) {
	b.do(func() {
		var payload []byte
		if body != nil {
			payload = protocol.Marshal(body)
		}
		b.posts[1].link.Append(kind, session, task, payload)
	})
}

// bind binds sessions and waits until they are bound.
func (b *broker) bind(sessions ...uint32) {
	b.t.Helper()
	for _, n := range sessions {
		b.say(protocol.KindBind, n, 0, protocol.Bind{Session: n, Name: fmt.Sprintf("s%d", n), Parameters: []byte("p")})
	}
	for range sessions {
		b.await(protocol.KindBound)
	}
}

// dispatch sends a task; its number is also its sequence for the client.
func (b *broker) dispatch(session uint32, task uint64, payload []byte) {
	b.do(func() { b.put(session, task, payload, 1) })
}

func (b *broker) put(session uint32, task uint64, payload []byte, attempt uint8) {
	l, id := b.posts[1].link, protocol.NewTaskID(task, 0)
	if len(payload) >= protocol.InlinePayload {
		l.AppendDispatchExternal(session, task, uint32(len(payload)), b.payloads.New(payload), &protocol.Execution{ID: id, Attempt: attempt})
		return
	}
	l.AppendDispatch(session, task, payload, &protocol.Execution{ID: id, Attempt: attempt})
}

// served is one Serve under way.
type served struct {
	t    testing.TB
	stop context.CancelFunc
	err  chan error
}

// serve runs an instance of the service at the broker, and waits for nothing.
func serve(t testing.TB, b *broker, service Service, opts ...Option) *served {
	ctx, cancel := context.WithCancel(t.Context())
	s := &served{t: t, stop: cancel, err: make(chan error, 1)}
	opts = append([]Option{
		WithService("price"), WithBroker(b.posts[0].endpoint), WithLogger(zerolog.Nop()),
	}, opts...)
	go func() { s.err <- Serve(ctx, service, opts...) }()
	t.Cleanup(cancel)
	return s
}

// wait waits until Serve has returned.
func (s *served) wait() error {
	s.t.Helper()
	select {
	case err := <-s.err:
		return err
	case <-time.After(deadline):
		s.t.Fatalf("Serve did not return within %v", deadline)
		return nil
	}
}

// leave lets the instance go in order: what a manager does when the instance drains, or is not needed.
func (b *broker) leave(s *served, sessions ...uint32) {
	b.t.Helper()
	for _, n := range sessions {
		b.say(protocol.KindUnbind, n, 0, nil)
		b.await(protocol.KindUnbound)
	}
	b.say(protocol.KindLeave, 0, 0, nil)
	if err := s.wait(); err != nil {
		b.t.Fatal(err)
	}
}

func errorOf(t testing.TB, r heard) *protocol.Error {
	t.Helper()
	var e protocol.Error
	if err := protocol.Unmarshal(r.kind, r.payload, &e); err != nil {
		t.Fatal(err)
	}
	return &e
}
