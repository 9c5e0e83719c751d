package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/protocol"
)

func TestCallOverEachTransport(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		t.Run(scheme, func(t *testing.T) {
			b := newFakeBroker(t, scheme)
			_, s := b.connect()
			for _, size := range []int{0, 16, 1000, protocol.InlinePayload - 1, protocol.InlinePayload, 100_000, 3 << 20} {
				in := bytes.Repeat([]byte("w"), size)
				out, err := s.Call(soon(t), in)
				if err != nil || !bytes.Equal(in, out) {
					t.Errorf("%d bytes: got %d back, error %v", size, len(out), err)
				}
			}
		})
	}
}

// TestCallLeads makes lonely calls one after the other: but for the first, they find the sockets free.
func TestCallLeads(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	led := 0
	eventually(t, "a call drives the sockets itself", func() bool {
		if _, err := s.Call(soon(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.driver == free {
			led++
		}
		return led > 3
	})
	// Somebody else's work is done while a call leads, and after it.
	b.holding()
	b.do(func() { b.hold = false })
	task, err := s.Submit(soon(t), []byte("y"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := task.Wait(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestOthersJoinALeader(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	result := make(chan error, 1)
	eventually(t, "a call leads and waits", func() bool {
		if _, err := s.Call(soon(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.driver == free
	})
	go func() {
		_, err := s.Call(ctx, []byte{askSilence})
		result <- err
	}()
	eventually(t, "the silent call is under way", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 1
	})
	for range 100 {
		if _, err := s.Call(soon(t), []byte("other")); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
		t.Errorf("the leader got %v", err)
	}
	if _, err := s.Call(soon(t), []byte("after")); err != nil {
		t.Error(err)
	}
}

func TestContextEnds(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := s.Call(ctx, []byte{askSilence})
	var e *protocol.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadline) || !errors.As(err, &e) || e.Op == "" {
		t.Errorf("deadline: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = s.Call(gone, nil); !errors.Is(err, ErrCancelled) {
		t.Errorf("a context that had ended: %v", err)
	}
	if _, err = s.Submit(gone, nil); !errors.Is(err, ErrCancelled) {
		t.Errorf("submit: %v", err)
	}
}

func TestFailureIsTheTasksError(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	if _, err := s.Call(soon(t), []byte{askFailure}); !errors.Is(err, ErrTaskFailed) {
		t.Errorf("got %v, want ErrTaskFailed", err)
	}
	if _, err := s.Call(soon(t), make([]byte, protocol.DefaultMaxPayload+1)); !errors.Is(err, ErrPayloadTooLarge) {
		t.Errorf("got %v, want ErrPayloadTooLarge", err)
	}
}

// TestManyCallsWhoseContextsEnd is the promise of A1 under load: 10,000 goroutines call, and contexts end at any time.
func TestManyCallsWhoseContextsEnd(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithWindow(2000, 0))
	const callers = 10_000
	var good, ended atomic.Int64
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(40_000))*time.Microsecond)
			defer cancel()
			for n := range 3 {
				in := []byte(fmt.Sprintf("%d/%d", i, n))
				out, err := s.Call(ctx, in)
				switch {
				case err == nil && bytes.Equal(in, out):
					good.Add(1)
				case err == nil:
					t.Errorf("called with %q, got %q", in, out)
				case errors.Is(err, context.DeadlineExceeded) && errors.Is(err, ErrDeadline):
					ended.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			}
		})
	}
	all.Wait()
	if good.Load()+ended.Load() != 3*callers {
		t.Errorf("%d answers and %d ended contexts of %d calls", good.Load(), ended.Load(), 3*callers)
	}
	eventually(t, "all credit is back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0 && len(s.queue) == 0
	})
	if _, err := s.Call(soon(t), []byte("still here")); err != nil {
		t.Error(err)
	}
}

func TestCloseDuringCalls(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	for round := range 20 {
		c, s := b.connect(WithWindow(50, 0))
		var all sync.WaitGroup
		for range 100 { // half of them wait for credit
			all.Go(func() {
				for {
					if _, err := s.Call(context.Background(), []byte{askSilence}); errors.Is(err, ErrClosed) {
						return
					} else if err != nil {
						t.Errorf("got %v, want ErrClosed", err)
						return
					}
				}
			})
		}
		if round%2 == 0 {
			eventually(t, "all are under way", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.eng.Outstanding() == 50 && len(s.queue) == 50
			})
		}
		for range 3 {
			all.Go(func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if _, err := s.Submit(soon(t), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("submit afterwards: %v", err)
		}
		if _, err := c.OpenSession(soon(t), "echo"); !errors.Is(err, ErrClosed) {
			t.Errorf("open afterwards: %v", err)
		}
		select {
		case <-s.Done():
		default:
			t.Error("the session is not over")
		}
	}
}

func TestCloseDuringALeadingCall(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	eventually(t, "the sockets are free", func() bool {
		if _, err := s.Call(soon(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.driver == free
	})
	result := make(chan error, 1)
	go func() {
		_, err := s.Call(context.Background(), []byte{askSilence})
		result <- err
	}()
	eventually(t, "the call is under way", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 1
	})
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestDialErrors(t *testing.T) {
	for name, c := range map[string]struct {
		endpoints string
		opts      []Option
		want      error
	}{
		"no endpoint":   {endpoints: ",", want: ErrInvalid},
		"scheme":        {endpoints: "udp://10.0.0.1:7700", want: ErrInvalid},
		"port":          {endpoints: "tcp://10.0.0.1:99999", want: ErrInvalid},
		"no port":       {endpoints: "tcp://:", want: ErrInvalid},
		"I/O threads":   {endpoints: "localhost", opts: []Option{WithIOThreads(-1)}, want: ErrInvalid},
		"dial timeout":  {endpoints: "localhost", opts: []Option{WithDialTimeout(-1)}, want: ErrInvalid},
		"result credit": {endpoints: "localhost", opts: []Option{WithResultCredit(1)}, want: ErrInvalid},
		"spin":          {endpoints: "localhost", opts: []Option{WithSpin(time.Second)}, want: ErrInvalid},
		"nobody there":  {endpoints: "tcp://127.0.0.1:1", opts: []Option{WithDialTimeout(50 * time.Millisecond)}, want: ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Dial(soon(t), c.endpoints, c.opts...); got != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// A process may end with its client: what Close promises is known to the broker when it returns.
func TestCloseIsHeard(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		b := newFakeBroker(t, scheme)
		for n := range int64(20) {
			c, _ := b.connect()
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if got := b.byes.Load(); got != n+1 {
				t.Fatalf("%s: %d clients were closed, %d took leave of the broker", scheme, n+1, got)
			}
		}
	}
}

// Dial finds the broker that the environment names, and says what is wrong where none answers.
func TestDialWhere(t *testing.T) {
	b := newFakeBroker(t, "tcp")
	t.Setenv(brokerVariable, b.endpoint)
	c, err := Dial(soon(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	t.Setenv(brokerVariable, "tcp://127.0.0.1:1")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for endpoints, says := range map[string]string{
		"":                                   "no broker answers at tcp://127.0.0.1:1 (127.0.0.1:1: connect: connection refused): start one",
		"ipc:///nowhere/at/all":              "/nowhere/at/all: connect: no such file",
		"no-such-host.invalid":               `"no-such-host.invalid" is not known`,
		"tcp://" + silent.Addr().String():    "answers as no broker does",
		"127.0.0.1:1,no-such-host.invalid:1": `connection refused; the host "no-such-host.invalid" is not known`,
	} {
		if _, err := Dial(context.Background(), endpoints, WithDialTimeout(50*time.Millisecond)); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", endpoints, err, says)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(ctx, "127.0.0.1:1"); !errors.Is(err, ErrCancelled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDialRefused(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	for _, c := range []struct {
		code    protocol.Code
		timeout time.Duration
	}{
		{protocol.CodeVersion, patience},                   // told at once
		{protocol.CodeUnavailable, 200 * time.Millisecond}, // may change: told when the time is over
	} {
		b.do(func() { b.refuse = protocol.Errorf(c.code, "hello", "as it was told") })
		if _, err := Dial(context.Background(), b.endpoint, WithDialTimeout(c.timeout)); protocol.CodeOf(err) != c.code {
			t.Errorf("got %v, want %v", err, c.code)
		}
	}
}

func TestOpenSessionErrors(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c := b.dial()
	if _, err := c.OpenSession(soon(t), "none"); !errors.Is(err, ErrNoService) {
		t.Errorf("got %v, want ErrNoService", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.OpenSession(ctx, "mute"); !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v, want ErrDeadline", err)
	}
	for name, opt := range map[string]SessionOption{
		"instances":  WithInstances(3, 2),
		"node type":  WithNodeType("tpu"),
		"nodes":      WithNodes(-1),
		"queue":      WithQueue("No Queue"),
		"node":       WithLocation(OnNode("No Node")),
		"preferred":  WithLocation(InRack("").Preferred()),
		"priority":   WithContainerPriority(-2_000_000),
		"window":     WithWindow(-1, 0),
		"parameters": WithParameters(make([]byte, protocol.MaxBody)),
	} {
		if _, err := c.OpenSession(soon(t), "echo", opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := c.OpenSession(soon(t), ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("no service: %v", err)
	}
}

// TestNewBroker puts a new broker that knows nothing in the place of the old one, while tasks are unfinished.
func TestNewBroker(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		t.Run(scheme, func(t *testing.T) {
			b := newFakeBroker(t, scheme)
			_, s := b.connect()
			b.holding()
			var tasks []*Task
			for i := range 100 {
				task, err := s.Submit(soon(t), bytes.Repeat([]byte{byte(i)}, 1+i*200))
				if err != nil {
					t.Fatal(err)
				}
				tasks = append(tasks, task)
			}
			b.holds(100)
			b.do(func() { b.rebirth(b.epoch + 256); b.hold = false })
			for i, task := range tasks {
				out, err := task.Wait(soon(t))
				if err != nil || !bytes.Equal(out, bytes.Repeat([]byte{byte(i)}, 1+i*200)) {
					t.Fatalf("task %d: %d bytes, %v", i, len(out), err)
				}
			}
			b.do(func() {
				if n := b.sessions[s.core.Number()].runs; n != 100 {
					t.Errorf("%d tasks ran at the new broker, want 100", n)
				}
			})
		})
	}
}

// TestForgottenPeer makes the loop forget the connection, as a reconnect of the transport does.
func TestForgottenPeer(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	for range 5 {
		if _, err := s.Call(soon(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
		b.do(func() {
			b.loop.peers = map[protocol.Peer]*fakeEnd{}
			b.control.peers = map[protocol.Peer]*fakeEnd{}
		})
	}
	b.do(func() {
		if n := b.sessions[s.core.Number()].runs; n != 5 {
			t.Errorf("%d tasks ran, want 5", n)
		}
	})
}

func TestEnvironmentsAndEvents(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c := b.dial(WithLogger(zerolog.Nop()))
	for _, name := range []string{"a", "b", "c"} {
		if err := c.CreateEnvironment(soon(t), protocol.Environment{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CreateEnvironment(soon(t), protocol.Environment{Name: "A"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a bad name: %v", err)
	}
	if err := c.DeleteEnvironment(soon(t), "a", true); !errors.Is(err, ErrNoEnvironment) {
		t.Errorf("got %v, want ErrNoEnvironment", err)
	}
	names := ""
	for e, err := range c.Environments(soon(t), Filter{}) { // in pages of one
		if err != nil {
			t.Fatal(err)
		}
		names += e.Name
	}
	if names != "abc" {
		t.Errorf("environments %s", names)
	}
	events, over, err := c.Events(soon(t), 7, 9)
	if err != nil || !over || len(events) != 3 || events[0].Number != 10 || events[2].Number != 12 {
		t.Errorf("events %+v, over %t, %v", events, over, err)
	}
	b.do(func() {
		if l := b.lists[3]; l.Session != 7 || l.After != "9" {
			t.Errorf("events were asked for by %+v", l)
		}
	})
}

// A session goes on with the version that it has, also with a broker that knows nothing of it.
func TestVersionStays(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	b.do(func() { b.credits.Version = "1.9" })
	_, s := b.connect()
	b.do(func() { b.rebirth(b.epoch + 256); b.credits.Version = "2" })
	if _, err := s.Call(soon(t), []byte("x")); err != nil {
		t.Fatal(err)
	}
	b.do(func() {
		if n := len(b.opened); n != 2 || b.opened[0].Version != "" || b.opened[1].Version != "1.9" {
			t.Errorf("asked for %+v", b.opened)
		}
	})
}

func TestOperatorMethods(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c := b.dial(WithLogger(zerolog.Nop()))
	want := []string{"a", "b", "c", "d", "e"}
	for _, name := range want {
		if err := c.RegisterService(soon(t), protocol.Service{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for s, err := range c.Services(soon(t), Filter{}) { // in pages of two
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Service.Name)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("services %v, want %v", got, want)
	}
	for s, err := range c.Services(soon(t), Filter{}) {
		if err != nil || s.Service.Name != "a" {
			t.Errorf("the loop begins with %q, %v", s.Service.Name, err)
		}
		break
	}
	if err := c.RegisterService(soon(t), protocol.Service{Name: "Not a name"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad name: %v", err)
	}
	if err := c.RestartService(soon(t), "a", "2", true); err != nil {
		t.Fatal(err)
	}
	b.do(func() {
		if want := (protocol.RestartService{Name: "a", Version: "2", Idle: true}); b.restarted != want {
			t.Errorf("%+v, want %+v", b.restarted, want)
		}
	})
	if err := c.MoveService(soon(t), "a", "2", 3); err != nil {
		t.Error(err)
	}
	b.do(func() {
		if want := (protocol.MoveService{Name: "a", Version: "2", Loop: 3}); b.moved != want {
			t.Errorf("the broker is asked for %+v, want %+v", b.moved, want)
		}
	})
	if err := c.DeregisterService(soon(t), "a", ""); protocol.CodeOf(err) != protocol.CodeInUse {
		t.Errorf("got %v, want InUse", err)
	}
	if err := c.CloseSession(soon(t), 1, "gently", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad mode: %v", err)
	}
	if err := c.CloseSession(soon(t), 77, protocol.CloseKill, ""); !errors.Is(err, ErrNoSession) {
		t.Errorf("got %v, want ErrNoSession", err)
	}
	for _, err := range c.Nodes(soon(t), Filter{}) {
		if protocol.CodeOf(err) != protocol.CodeMalformed {
			t.Errorf("a page of another kind: %v", err)
		}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range c.Sessions(gone, Filter{}) {
		if !errors.Is(err, ErrCancelled) {
			t.Errorf("got %v, want ErrCancelled", err)
		}
	}
}
