package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
	"github.com/weft-fabric/weft/worker/launcher/fake"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

// newTestShell makes a shell that a test drives by hand.
func newTestShell(t *testing.T, broker string) *shell {
	t.Helper()
	a, err := New(Config{Broker: broker, Name: "n1", Dir: t.TempDir(), Logger: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newShell(a, fake.New(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	node, host, err := a.register(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.core = core.New(time.Now(), core.Config{
		Brokers: a.endpoints, Incarnation: incarnation(), Node: node, Host: host, Jitter: func() float64 { return 0 },
	})
	return s
}

// turn runs the loop once.
func (s *shell) turn(t *testing.T) {
	t.Helper()
	now := time.Now()
	s.core.Tick(now)
	if _, err := s.perform(); err != nil {
		t.Fatal(err)
	}
	ready, _, err := s.waiter.Wait(s.patience(now))
	if err != nil {
		t.Fatal(err)
	}
	for _, socket := range ready {
		if err := s.receive(time.Now(), socket); err != nil {
			t.Fatal(err)
		}
	}
}

// A socket that broke is replaced, and the conversation resumed over the next one.
func TestSocketIsReplaced(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	s := newTestShell(t, at)
	launchertest.Await(t, "the node registers", func() bool {
		s.turn(t)
		return b.count(protocol.KindRegisterNode) == 1
	})
	before := s.sockets[0]
	if err := s.reopen(time.Now(), 0, errors.New("broken")); err != nil {
		t.Fatal(err)
	}
	if s.sockets[0] == before {
		t.Fatal("the socket is the same")
	}
	if err := before.Send(0, nil, nil); !errors.Is(err, zmqx.ErrClosed) {
		t.Errorf("the old socket is open: %v", err)
	}
	launchertest.Await(t, "it greets again", func() bool {
		s.turn(t)
		return b.count(protocol.KindHello) > 1
	})
	await(b, protocol.KindHello, "a greeting that resumes", func(h protocol.Hello) bool { return h.Peer == 1 })
	for _, end := range []error{zmqx.ErrTerminated, zmqx.ErrClosed} {
		if err := s.reopen(time.Now(), 0, end); !errors.Is(err, end) {
			t.Errorf("%v: reopened (%v)", end, err)
		}
	}
}

func TestBrokerCannotBeDialled(t *testing.T) {
	a, err := New(Config{Broker: "tcp://127.0.0.1:1,tcp://127.0.0.1:2", Name: "n1", Dir: t.TempDir(), Launcher: fake.New(nil)})
	if err != nil {
		t.Fatal(err)
	}
	a.endpoints[1] = "tcp://" // what ParseEndpoints would have refused
	if err := a.Run(t.Context()); err == nil {
		t.Error("an endpoint without a host is dialled")
	}
}
