package zmqx

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const deadline = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// party is a socket with what its owner needs to drive it.
type party struct {
	*Socket
	table  *Payloads
	wake   *Wake
	waiter *Waiter
}

func newParty(t testing.TB, make func(*Payloads, Options) (*Socket, error), o Options) *party {
	t.Helper()
	p := &party{table: NewPayloads()}
	var err error
	if p.Socket, err = make(p.table, o); err != nil {
		t.Fatal(err)
	}
	if p.wake, err = NewWake(); err != nil {
		t.Fatal(err)
	}
	p.waiter = NewWaiter(p.wake, p.Socket)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.wake.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *party) bind(t testing.TB, endpoint string) string {
	t.Helper()
	bound, err := p.Bind(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

// await waits until the socket may have something.
func (p *party) await(t testing.TB) {
	t.Helper()
	ready, _, err := p.waiter.Wait(deadline)
	if err != nil {
		t.Fatal(err)
	}
	if len(ready) != 1 || ready[0] != p.Socket {
		t.Fatalf("after %v: ready %v, want this socket", deadline, ready)
	}
}

// refused sends until that is refused with want. Wait does not tell that a peer went, so it looks now and then.
func (p *party) refused(t *testing.T, want error, peer uint32, payloads ...Handle) {
	t.Helper()
	end := time.Now().Add(deadline)
	for !errors.Is(p.Send(peer, []byte("lost"), payloads), want) {
		if time.Now().After(end) {
			t.Fatalf("no %v after %v", want, deadline)
		}
		if _, _, err := p.waiter.Wait(time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Recv(0); err != nil {
			t.Fatal(err)
		}
	}
}

// each receives n messages and hands every one to f.
func (p *party) each(t testing.TB, n int, f func(Message)) {
	t.Helper()
	for n > 0 {
		messages, drained, err := p.Recv(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			f(m)
		}
		n -= len(messages)
		if n > 0 && drained {
			p.await(t)
		}
	}
}

// one receives one message; the copy outlives the next Recv.
func (p *party) one(t testing.TB) Message {
	t.Helper()
	var got Message
	p.each(t, 1, func(m Message) {
		got = Message{m.Peer, bytes.Clone(m.Records), append([]Handle(nil), m.Payloads...), m.Bad}
	})
	return got
}

// send sends, waiting for a connection when there is none yet.
func (p *party) send(t testing.TB, peer uint32, records string, payloads ...Handle) {
	t.Helper()
	err := p.Send(peer, []byte(records), payloads)
	for errors.Is(err, ErrAgain) {
		p.await(t)
		if _, _, err := p.Recv(1); err != nil {
			t.Fatal(err)
		}
		err = p.Send(peer, []byte(records), payloads)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func endpoints(t testing.TB) map[string]string {
	return map[string]string{
		"tcp":    "tcp://127.0.0.1:*",
		"ipc":    "ipc://" + filepath.Join(socketDir(t), "s"),
		"inproc": inproc(t),
	}
}

// socketDir is a folder with a short path: the path of a socket has at most 107 bytes.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "zmqx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func inproc(t testing.TB) string {
	return fmt.Sprintf("inproc://%s/%x", t.Name(), rand.Uint64())
}

// connected returns a ROUTER, a DEALER connected to it, both drained, and the number of the DEALER there.
func connected(t testing.TB, endpoint string, o Options) (router, dealer *party, peer uint32) {
	t.Helper()
	router, dealer = newParty(t, NewRouter, o), newParty(t, NewDealer, o)
	if err := dealer.Connect(router.bind(t, endpoint)); err != nil {
		t.Fatal(err)
	}
	dealer.send(t, 0, "hello")
	m := router.one(t)
	if string(m.Records) != "hello" || m.Peer == 0 || m.Bad != nil {
		t.Fatalf("first message: %+v", m)
	}
	for _, p := range []*party{router, dealer} {
		if messages, drained, err := p.Recv(0); len(messages) > 0 || !drained || err != nil {
			t.Fatalf("%d messages more, drained %v, %v", len(messages), drained, err)
		}
	}
	return router, dealer, m.Peer
}

// stranger is a plain DEALER of the binding, which sends what this package would not.
func stranger(t *testing.T, endpoint, id string) *zmq.Socket {
	t.Helper()
	z, err := zmq.NewSocket(zmq.DEALER)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() })
	if id != "" {
		err = z.SetIdentity(id)
	}
	if err := errors.Join(err, z.SetLinger(0), z.Connect(endpoint)); err != nil {
		t.Fatal(err)
	}
	return z
}

func sendParts(t *testing.T, z *zmq.Socket, parts ...[]byte) {
	t.Helper()
	if _, err := z.SendMessage(parts); err != nil {
		t.Fatal(err)
	}
}

// fires waits until a descriptor is readable.
func fires(t *testing.T, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		if n, err := unix.Poll(fds, 1000); n == 1 || err != nil && err != unix.EINTR {
			return
		}
	}
	t.Fatal("the descriptor did not fire")
}

const childVariable = "WEFT_ZMQX_TEST_CHILD"

// inChild runs f in a process of its own, because it spoils the context of the process it runs in.
func inChild(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		f(t)
		return
	}
	name := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.Command(os.Args[0], "-test.run="+name, "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childVariable+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("child: %v\n%s", err, out)
	}
}
