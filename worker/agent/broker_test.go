package agent

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

// fakeBroker is a control endpoint that takes note of what agents say, answers what has to be answered, and orders
// what a test wants. One goroutine owns its socket and its links.
type fakeBroker struct {
	t        *testing.T
	endpoint string
	node     *link.Node
	payloads *zmqx.Payloads
	wake     *zmqx.Wake
	links    map[uint64]*link.Link // by incarnation
	peers    map[protocol.Peer]*link.Link
	agent    *link.Link // said HELLO last

	mu    sync.Mutex
	tasks []func(*zmqx.Socket)
	quit  bool
	said  []said
	done  chan struct{}
}

// said is one record of an agent.
type said struct {
	kind protocol.Kind
	body []byte
}

func newBroker(t *testing.T, endpoint string, incarnation, epoch uint64) *fakeBroker {
	t.Helper()
	b := &fakeBroker{
		t: t, endpoint: endpoint, node: link.NewNode(protocol.NewEpoch(epoch, 1), incarnation),
		payloads: zmqx.NewPayloads(), links: map[uint64]*link.Link{},
	}
	b.open()
	t.Cleanup(b.close)
	return b
}

// endpoint is the address of a socket file in a folder with a short path.
func endpoint(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return "ipc://" + filepath.Join(dir, "control")
}

// open binds the socket and serves it.
func (b *fakeBroker) open() {
	b.t.Helper()
	router, err := zmqx.NewRouter(b.payloads, zmqx.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	// A socket that was closed goes on listening until libzmq's own thread has closed it.
	launchertest.Await(b.t, "the endpoint is free", func() bool {
		_, err := router.Bind(b.endpoint)
		if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			b.t.Fatal(err)
		}
		return err == nil
	})
	if b.wake, err = zmqx.NewWake(); err != nil {
		b.t.Fatal(err)
	}
	b.peers = map[protocol.Peer]*link.Link{}
	b.quit, b.done = false, make(chan struct{})
	go b.serve(router, zmqx.NewWaiter(b.wake, router))
}

// close takes the socket away. What the broker knows stays, for the next open.
func (b *fakeBroker) close() {
	b.mu.Lock()
	was := b.quit
	b.quit = true
	b.mu.Unlock()
	if was {
		return
	}
	b.wake.Ring()
	<-b.done
	if err := b.wake.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *fakeBroker) serve(router *zmqx.Socket, waiter *zmqx.Waiter) {
	defer close(b.done)
	defer func() {
		for _, l := range b.peers {
			l.Lost()
		}
		if err := router.Close(); err != nil {
			b.t.Error(err)
		}
	}()
	for {
		if _, _, err := waiter.Wait(protocol.Heartbeat / 2); err != nil {
			b.t.Error(err)
			return
		}
		messages, _, err := router.Recv(0)
		if err != nil {
			b.t.Error(err)
			return
		}
		for _, m := range messages {
			b.receive(router, m)
		}
		b.mu.Lock()
		tasks, quit := b.tasks, b.quit
		b.tasks = nil
		b.mu.Unlock()
		for _, task := range tasks {
			task(router)
		}
		for _, l := range b.peers {
			l.Beat(true)
		}
		for _, f := range b.node.Take(nil) {
			if peer, records, _, ok := f.Leave(); ok {
				if err := router.Send(peer, records, nil); err != nil && !errors.Is(err, zmqx.ErrGone) {
					b.t.Error(err)
				}
			}
			f.Sent()
		}
		if quit {
			return
		}
	}
}

func (b *fakeBroker) receive(router *zmqx.Socket, m zmqx.Message) {
	h, rest, err := protocol.ParseHeader(m.Records)
	if err != nil {
		b.t.Error(err)
		return
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	found, _ := r.Next(&rec)
	if found && rec.Kind == protocol.KindHello {
		b.hello(m.Peer, h, &rec)
		return
	}
	l := b.peers[m.Peer]
	if l == nil {
		_ = router.Send(m.Peer, b.node.Rehello(nil), nil)
		return
	}
	if v := l.Receive(h, len(m.Records)); v != link.Fresh {
		return
	}
	for ; found; found, _ = r.Next(&rec) {
		b.note(&rec)
		if rec.Kind == protocol.KindRegisterNode || rec.Kind == protocol.KindContainerState {
			l.Append(protocol.KindDone, 0, rec.Task, nil)
		}
	}
}

func (b *fakeBroker) hello(peer protocol.Peer, h protocol.Header, rec *protocol.Record) {
	var hello protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
		b.t.Error(err)
		return
	}
	b.note(rec)
	l := b.links[h.Incarnation]
	if l == nil {
		l = b.node.Link()
		b.links[h.Incarnation] = l
	}
	b.peers[peer] = l
	b.agent = l
	l.Accept(peer, h, hello, protocol.Welcome{Version: 1, Broker: "fake"})
}

func (b *fakeBroker) note(rec *protocol.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, said{rec.Kind, append([]byte(nil), rec.Payload...)})
}

// order sends a record to the agent that said HELLO last.
func (b *fakeBroker) order(kind protocol.Kind, body any) {
	b.task(func(*zmqx.Socket) { b.agent.Append(kind, 0, 0, protocol.Marshal(body)) })
}

func (b *fakeBroker) task(f func(*zmqx.Socket)) {
	b.mu.Lock()
	b.tasks = append(b.tasks, f)
	b.mu.Unlock()
	b.wake.Ring()
}

// count is how many records of a kind were said.
func (b *fakeBroker) count(kind protocol.Kind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, s := range b.said {
		if s.kind == kind {
			n++
		}
	}
	return n
}

// await waits for a record of a kind that fits, and returns the first.
func await[T any](b *fakeBroker, kind protocol.Kind, what string, fits func(T) bool) T {
	b.t.Helper()
	var got T
	launchertest.Await(b.t, what, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.said {
			var body T
			if s.kind != kind {
				continue
			}
			if err := protocol.Unmarshal(kind, s.body, &body); err != nil {
				b.t.Fatal(err)
			}
			if fits(body) {
				got = body
				return true
			}
		}
		return false
	})
	return got
}

// registered waits for the node's registration.
func (b *fakeBroker) registered() protocol.RegisterNode {
	b.t.Helper()
	return await(b, protocol.KindRegisterNode, "the node registers", func(protocol.RegisterNode) bool { return true })
}

// state waits until a container is in a state.
func (b *fakeBroker) state(id, state string) protocol.ContainerState {
	b.t.Helper()
	return await(b, protocol.KindContainerState, "container "+id+" is "+state, func(s protocol.ContainerState) bool {
		return s.ID == id && s.State == state
	})
}
