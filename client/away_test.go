package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// relay stands between a client and a port of its broker.
type relay struct {
	target   string
	listener net.Listener
	over     sync.WaitGroup

	mu    sync.Mutex
	conns []*relayed
}

// relayed is one connection. When it is mute it stays open, and nothing goes through it any more.
type relayed struct {
	ends [2]net.Conn
	mu   sync.Mutex
	mute bool
}

// newRelay starts a relay to a tcp endpoint.
func newRelay(t *testing.T, endpoint string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{target: strings.TrimPrefix(endpoint, "tcp://"), listener: l}
	r.over.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", r.target)
			if err != nil {
				in.Close()
				continue
			}
			c := &relayed{ends: [2]net.Conn{in, out}}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			for i := range c.ends {
				r.over.Go(func() {
					b := make([]byte, 32<<10)
					for {
						n, err := c.ends[i].Read(b)
						c.mu.Lock()
						if !c.mute && err == nil {
							_, err = c.ends[1-i].Write(b[:n])
						}
						c.mu.Unlock()
						if err != nil {
							break
						}
					}
					c.mu.Lock()
					defer c.mu.Unlock()
					if !c.mute { // otherwise the other end does not hear of it either
						c.ends[1-i].Close()
					}
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.each(func(c *relayed) {
			for _, e := range c.ends {
				e.Close()
			}
		})
		r.over.Wait()
	})
	return r
}

func (r *relay) address() string { return "tcp://" + r.listener.Addr().String() }

func (r *relay) each(f func(*relayed)) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		f(c)
	}
	return len(r.conns)
}

// TestHalfOpenConnection: a connection whose other end has vanished without a word is made anew, and what was on it comes
// through.
func TestHalfOpenConnection(t *testing.T) {
	b := newFakeBroker(t, "tcp")
	var control, loop *relay
	b.do(func() { b.timeout = protocol.MinPeerTimeout })
	control, loop = newRelay(t, b.endpoint), newRelay(t, b.loopEndpoint)
	b.do(func() { b.loopEndpoint = loop.address() })
	b.endpoint = control.address()
	c, s := b.connect()
	if _, err := s.Call(soon(t), []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*relay{control, loop} {
		r.each(func(c *relayed) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.mute = true
		})
	}
	payload := bytes.Repeat([]byte("y"), 20_000)
	if out, err := s.Call(soon(t), payload); err != nil || !bytes.Equal(out, payload) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	for _, err := range c.Services(soon(t), Filter{}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	for name, r := range map[string]*relay{"control": control, "loop": loop} {
		if n := r.each(func(*relayed) {}); n < 2 || n > 4 {
			t.Errorf("%s: %d connections, want two or few more", name, n)
		}
	}
}

// TestRequestsEndWithTheirContexts: whatever the broker does, nobody waits for longer than wanted.
func TestRequestsEndWithTheirContexts(t *testing.T) {
	b := newFakeBroker(t, "tcp")
	c, s := b.connect(WithWindow(1, 0))
	b.holding()
	task := submit(t, s, nil)
	b.holds(1)
	closing, err := c.OpenSession(soon(t), "echo")
	if err != nil {
		t.Fatal(err)
	}
	b.do(func() { b.muted = true })
	for name, f := range map[string]func(context.Context) error{
		"open":       func(ctx context.Context) error { _, err := c.OpenSession(ctx, "echo"); return err },
		"list":       func(ctx context.Context) error { return first(c.Services(ctx, Filter{})) },
		"sessions":   func(ctx context.Context) error { return first(c.Sessions(ctx, Filter{})) },
		"register":   func(ctx context.Context) error { return c.RegisterService(ctx, protocol.Service{Name: "x"}) },
		"events":     func(ctx context.Context) error { _, _, err := c.Events(ctx, 1, 0); return err },
		"waits":      func(ctx context.Context) error { _, err := s.Waits(ctx); return err },
		"call":       func(ctx context.Context) error { _, err := s.Call(ctx, nil); return err },
		"submit":     func(ctx context.Context) error { _, err := s.Submit(ctx, nil); return err },
		"wait":       func(ctx context.Context) error { _, err := task.Wait(ctx); return err },
		"join":       func(ctx context.Context) error { return Join(ctx, task) },
		"cancel all": s.CancelAll,
		"close":      closing.Close,
	} {
		for _, cancelled := range []bool{true, false} {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			want := context.DeadlineExceeded
			if cancelled {
				want = context.Canceled
				time.AfterFunc(time.Millisecond, cancel)
			}
			begin := time.Now()
			err := f(ctx)
			cancel()
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
			if took := time.Since(begin); took > patience/2 {
				t.Errorf("%s took %v", name, took)
			}
		}
	}
	b.do(func() { b.muted = false })
	b.release()
}

func first[T any](all func(func(T, error) bool)) (err error) {
	for _, err = range all {
		break
	}
	return err
}

// TestMapWithoutEnd runs over inputs without end: what is sent ahead is bounded, and so is what waits to be given out.
func TestMapWithoutEnd(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithWindow(50, 0))
	var m Method[int, int]
	sent, next := 0, 0
	endless := func(yield func(int) bool) {
		for ; yield(sent); sent++ {
		}
	}
	for out, err := range m.Map(soon(t), s, endless) {
		if err != nil || out != next {
			t.Fatalf("got %d, %v; want %d", out, err, next)
		}
		if ahead := sent - next; ahead > 51 {
			t.Fatalf("%d are ahead", ahead)
		}
		if next++; next%500 == 0 { // a slow reader: all that was sent ahead is answered
			eventually(t, "all are answered", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.eng.Outstanding() == 0
			})
		}
		if next == 5000 {
			break
		}
	}
	eventually(t, "what was sent ahead is given up", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0
	})
}
