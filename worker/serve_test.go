package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// scripted is a service that writes down its hooks, and whose tasks do what exec says.
type scripted struct {
	mu    sync.Mutex
	calls []string
	live  int // hooks under way
	most  int

	create, bind, unbind, destroy func() error
	exec                          func(ctx context.Context, t *TaskContext) ([]byte, error)
}

func (s *scripted) hook(name string, f func() error) error {
	s.mu.Lock()
	s.calls = append(s.calls, name)
	s.live++
	s.most = max(s.most, s.live)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.live--
		s.mu.Unlock()
	}()
	if f == nil {
		return nil
	}
	return f()
}

func (s *scripted) OnCreateService(context.Context, *ServiceContext) error {
	return s.hook("create", s.create)
}

func (s *scripted) OnSessionBind(_ context.Context, c *SessionContext) error {
	return s.hook(fmt.Sprintf("bind %d", c.Number()), s.bind)
}

func (s *scripted) OnTaskExec(ctx context.Context, t *TaskContext) (out []byte, err error) {
	err = s.hook("exec "+t.Key(), func() error {
		if s.exec == nil {
			out = t.Payload()
			return nil
		}
		out, err = s.exec(ctx, t)
		return err
	})
	return out, err
}

func (s *scripted) OnSessionUnbind(_ context.Context, c *SessionContext) error {
	return s.hook(fmt.Sprintf("unbind %d", c.Number()), s.unbind)
}

func (s *scripted) OnDestroyService(context.Context, *ServiceContext) error {
	return s.hook("destroy", s.destroy)
}

func (s *scripted) want(t *testing.T, calls ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.calls, calls) {
		t.Errorf("hooks:\n got %q\nwant %q", s.calls, calls)
	}
}

// gate is something that tasks wait at.
type gate struct {
	reached chan string
	open    chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan string, 1000), open: make(chan struct{})} }

func (g *gate) pass(ctx context.Context, name string) error {
	g.reached <- name
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) await(t *testing.T) string {
	t.Helper()
	select {
	case name := <-g.reached:
		return name
	case <-time.After(deadline):
		t.Fatal("no hook came to the gate")
		return ""
	}
}

func TestHooksInOrder(t *testing.T) {
	for _, endpoint := range []string{"", "tcp://127.0.0.1:*"} {
		b, svc := newBroker(t, endpoint), &scripted{}
		s := serve(t, b, svc)
		b.ready()
		b.bind(7)
		b.dispatch(7, 1, []byte("one"))
		if r := b.await(protocol.KindResult); string(r.payload) != "one" || r.session != 7 || r.task != 1 {
			t.Errorf("result %+v", r)
		}
		if r := b.await(protocol.KindExecuted); r.session != 1 || r.task == 0 {
			t.Errorf("executed %+v: want 1 task that took some time", r)
		}
		b.say(protocol.KindUnbind, 7, 0, nil)
		b.await(protocol.KindUnbound)
		b.bind(7)
		b.leave(s, 7)
		b.await(protocol.KindBye)
		svc.want(t, "create", "bind 7", "exec 7/1", "unbind 7", "bind 7", "unbind 7", "destroy")
		if svc.most != 1 {
			t.Errorf("%d hooks at once, want 1", svc.most)
		}
	}
}

func TestIdentityOfTaskAndSession(t *testing.T) {
	b := newBroker(t, "")
	svc := &scripted{}
	svc.exec = func(ctx context.Context, c *TaskContext) ([]byte, error) {
		_, timed := c.Deadline()
		s := c.Session()
		return fmt.Appendf(nil, "%s %d %d %s %s %v %v", c.Key(), c.TaskID().Sequence(), c.Attempt(), s.Name(),
			s.Parameters(), timed, ctx == c.Context()), nil
	}
	s := serve(t, b, svc)
	b.ready()
	b.bind(3)
	b.do(func() { b.put(3, 9, nil, 2) })
	if r := b.await(protocol.KindResult); string(r.payload) != "3/9 9 2 s3 p false true" {
		t.Errorf("%q", r.payload)
	}
	b.leave(s, 3)
}

func TestPanicIsAFailureAndEndsTheInstance(t *testing.T) {
	b := newBroker(t, "")
	svc := &scripted{exec: func(context.Context, *TaskContext) ([]byte, error) { panic("ouch") }}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	b.do(func() {
		b.put(1, 1, []byte("a"), 1)
		b.put(1, 2, []byte("b"), 1)
	})
	e := errorOf(t, b.await(protocol.KindFailure))
	if e.Code != protocol.CodeTaskPanicked || !strings.Contains(e.Msg, "ouch") || !strings.Contains(e.Msg, "serve_test.go") {
		t.Errorf("failure %v: want a panic with its stack", e)
	}
	b.await(protocol.KindDrain)
	b.say(protocol.KindRecall, 1, 2, nil)
	if r := b.await(protocol.KindRecalled); r.task != 2 {
		t.Errorf("recalled %+v", r)
	}
	b.say(protocol.KindUnbind, 1, 0, nil)
	b.await(protocol.KindUnbound)
	b.say(protocol.KindLeave, 0, 0, nil)
	if err := s.wait(); !errors.Is(err, ErrPanicked) {
		t.Errorf("Serve returned %v, want ErrPanicked", err)
	}
	svc.want(t, "create", "bind 1", "exec 1/1", "unbind 1", "destroy")
}

func TestErrorsOfHooks(t *testing.T) {
	boom := errors.New("boom")
	fails := func() error { return boom }
	panics := func() error { panic(boom) }
	for name, hook := range map[string]func() error{"error": fails, "panic": panics} {
		t.Run("create "+name, func(t *testing.T) {
			b, svc := newBroker(t, ""), &scripted{create: hook}
			s := serve(t, b, svc)
			if e := errorOf(t, b.await(protocol.KindInstanceFailed)); e.Code != protocol.CodeCreateFailed || !strings.Contains(e.Msg, "boom") {
				t.Errorf("told %v", e)
			}
			if err := s.wait(); protocol.CodeOf(err) != protocol.CodeCreateFailed {
				t.Errorf("Serve returned %v", err)
			}
			svc.want(t, "create")
		})
		t.Run("bind "+name, func(t *testing.T) {
			b, svc := newBroker(t, ""), &scripted{bind: hook}
			s := serve(t, b, svc)
			b.ready()
			b.say(protocol.KindBind, 1, 0, protocol.Bind{Session: 1})
			if e := errorOf(t, b.await(protocol.KindRefused)); e.Code != protocol.CodeBindFailed || !strings.Contains(e.Msg, "boom") {
				t.Errorf("told %v", e)
			}
			b.leave(s)
			svc.want(t, "create", "bind 1", "destroy")
		})
		t.Run("unbind "+name, func(t *testing.T) {
			b, svc := newBroker(t, ""), &scripted{unbind: hook}
			s := serve(t, b, svc)
			b.ready()
			b.bind(1)
			b.leave(s, 1)
			svc.want(t, "create", "bind 1", "unbind 1", "destroy")
		})
		t.Run("destroy "+name, func(t *testing.T) {
			b, svc := newBroker(t, ""), &scripted{destroy: hook}
			s := serve(t, b, svc)
			b.ready()
			b.say(protocol.KindLeave, 0, 0, nil)
			if err := s.wait(); err == nil || !strings.Contains(err.Error(), "boom") {
				t.Errorf("Serve returned %v", err)
			}
		})
	}
}

func TestFailuresOfTasks(t *testing.T) {
	b := newBroker(t, "")
	boom := errors.New("boom")
	svc := &scripted{}
	svc.exec = func(_ context.Context, c *TaskContext) ([]byte, error) {
		switch c.TaskID().Sequence() {
		case 1:
			return nil, boom
		case 2:
			return nil, Retry(boom)
		case 3:
			return nil, fmt.Errorf("wrapped: %w", Permanent(boom))
		case 4:
			return make([]byte, 1<<20+1), nil
		case 5:
			return nil, protocol.Errorf(protocol.CodeInvalid, "row", "7 is odd")
		default:
			return nil, errors.New(strings.Repeat("é", 1<<20))
		}
	}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	for i, want := range []struct {
		code  protocol.Code
		retry uint8
		text  string
	}{
		{protocol.CodeTaskFailed, 0, "boom"},
		{protocol.CodeTaskFailed, 1, "boom"},
		{protocol.CodeTaskFailed, 2, "wrapped: boom"},
		{protocol.CodePayloadTooLarge, 0, "1048577 bytes, at most 1048576"},
		{protocol.CodeInvalid, 0, "7 is odd"},
		{protocol.CodeTaskFailed, 0, "é … (2097152 bytes)"},
	} {
		b.dispatch(1, uint64(i+1), nil)
		e := errorOf(t, b.await(protocol.KindFailure))
		if e.Code != want.code || e.Retry != want.retry || !strings.Contains(e.Msg, want.text) {
			t.Errorf("task %d: code %v retry %d, %.200q; want %v %d %q", i+1, e.Code, e.Retry, e.Msg, want.code, want.retry, want.text)
		}
	}
	b.leave(s, 1)
}

func TestLargePayloads(t *testing.T) {
	b := newBroker(t, "tcp://127.0.0.1:*")
	var kept [][]byte
	svc := &scripted{exec: func(_ context.Context, c *TaskContext) ([]byte, error) {
		kept = append(kept, c.Payload())
		out := bytes.ToUpper(c.Payload())
		return out, nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	sizes := []int{0, 1, protocol.InlinePayload - 1, protocol.InlinePayload, 64 << 10, 1 << 20}
	for i, n := range sizes {
		b.dispatch(1, uint64(i+1), bytes.Repeat([]byte{'a' + byte(i)}, n))
	}
	for i, n := range sizes {
		r := b.await(protocol.KindResult)
		if want := bytes.Repeat([]byte{'A' + byte(i)}, n); !bytes.Equal(r.payload, want) {
			t.Errorf("result %d has %d bytes, want %d of %q", i, len(r.payload), n, 'A'+byte(i))
		}
	}
	b.leave(s, 1)
	for i, p := range kept { // payloads stay what they were for those who keep them
		if want := bytes.Repeat([]byte{'a' + byte(i)}, sizes[i]); !bytes.Equal(p, want) {
			t.Errorf("kept payload %d changed", i)
		}
	}
	if n := b.payloads.Len(); n != 0 {
		t.Errorf("%d payload frames are left at the broker", n)
	}
}

// What a service has borrowed it may return, whole or in part, whatever the size; and what it has copied stays its own.
func TestBorrowedPayloads(t *testing.T) {
	b := newBroker(t, "tcp://127.0.0.1:*")
	var kept [][]byte
	svc := &scripted{exec: func(_ context.Context, c *TaskContext) ([]byte, error) {
		in := c.Borrow()
		if !bytes.Equal(in, c.Borrow()) {
			return nil, errors.New("borrowed twice, it is something else")
		}
		switch c.TaskID().Sequence() % 5 {
		case 0:
			return in, nil
		case 1:
			return in[:len(in)/2], nil
		case 2:
			return in[:min(len(in), 3)], nil
		case 3:
			own := c.Payload()
			if !bytes.Equal(own, in) || len(own) > 0 && &own[0] != &c.Payload()[0] {
				return nil, fmt.Errorf("a copy of %d bytes, of %d, or another each time", len(own), len(in))
			}
			kept = append(kept, own)
			return own, nil
		default:
			return nil, fmt.Errorf("%s failed", in[:min(len(in), 3)])
		}
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	task := uint64(0)
	for _, n := range []int{0, 1, protocol.InlinePayload - 1, protocol.InlinePayload, 2 * protocol.InlinePayload, 1 << 20} {
		for range 5 {
			task++
			in := bytes.Repeat([]byte{'a' + byte(task%26)}, n)
			b.dispatch(1, task, in)
			want := in
			switch task % 5 {
			case 1:
				want = in[:n/2]
			case 2:
				want = in[:min(n, 3)]
			case 4:
				if e := errorOf(t, b.await(protocol.KindFailure)); !strings.HasPrefix(e.Msg, string(in[:min(n, 3)])+" failed") {
					t.Errorf("task %d of %d bytes failed with %q", task, n, e.Msg)
				}
				continue
			}
			if r := b.await(protocol.KindResult); !bytes.Equal(r.payload, want) {
				t.Errorf("task %d of %d bytes: a result of %d bytes, want %d", task, n, len(r.payload), len(want))
			}
		}
	}
	b.leave(s, 1)
	for i, p := range kept {
		if len(p) > 0 && !bytes.Equal(p, bytes.Repeat(p[:1], len(p))) {
			t.Errorf("kept payload %d changed", i)
		}
	}
	if n := b.payloads.Len(); n != 0 {
		t.Errorf("%d payload frames are left at the broker", n)
	}
}

// TestSlowTaskHoldsNothing has a task that ends only when the results before it were heard.
func TestSlowTaskHoldsNothing(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		if c.TaskID().Sequence() == 40 {
			return nil, g.pass(ctx, c.Key())
		}
		return []byte("quick"), nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	for range 200 { // the instance learns that tasks are quick
		b.dispatch(1, 1, nil)
		b.await(protocol.KindResult)
	}
	b.do(func() {
		for i := range uint64(60) {
			b.put(1, i+1, nil, 1)
		}
	})
	for i := range uint64(39) {
		if r := b.await(protocol.KindResult); r.task != i+1 {
			t.Fatalf("result %d, want %d", r.task, i+1)
		}
	}
	g.await(t)
	b.say(protocol.KindRecall, 1, 60, nil) // the lines are served all the while
	b.await(protocol.KindRecalled)
	b.mu.Lock()
	before := b.headers
	b.mu.Unlock()
	for end := time.Now().Add(deadline); ; { // and so are the signs of life
		b.mu.Lock()
		now := b.headers
		b.mu.Unlock()
		if now >= before+2 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no heartbeat while a task runs")
		}
		<-time.After(10 * time.Millisecond)
	}
	close(g.open)
	for i := range uint64(20) {
		if r := b.await(protocol.KindResult); r.task != i+40 {
			t.Fatalf("result %d, want %d", r.task, i+40)
		}
	}
	b.leave(s, 1)
	if svc.most != 1 {
		t.Errorf("%d hooks at once, want 1", svc.most)
	}
}

func TestSlotsRunSideBySide(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		return nil, g.pass(ctx, c.Key())
	}}
	s := serve(t, b, svc, WithSlots(3))
	b.ready()
	b.bind(1, 2)
	for i := range uint64(6) {
		b.dispatch(uint32(1+i%2), i+1, nil)
	}
	for range 3 {
		g.await(t)
	}
	close(g.open)
	for range 6 {
		b.await(protocol.KindResult)
	}
	b.leave(s, 1, 2)
	if svc.most != 3 {
		t.Errorf("%d hooks at once, want 3", svc.most)
	}
}

// TestSessionsByTurns has many tasks of one session before one of another.
func TestSessionsByTurns(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		if c.TaskID().Sequence() == 1 {
			return nil, g.pass(ctx, c.Key())
		}
		return nil, nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1, 2)
	b.dispatch(1, 1, nil)
	g.await(t)
	b.do(func() {
		for i := range uint64(5) {
			b.put(1, i+2, nil, 1)
		}
		b.put(2, 7, nil, 1)
		b.put(2, 8, nil, 1)
		b.put(2, 9, nil, 1)
	})
	b.say(protocol.KindRecall, 2, 9, nil)
	b.await(protocol.KindRecalled)
	close(g.open)
	for range 8 {
		b.await(protocol.KindResult)
	}
	b.leave(s, 1, 2)
	svc.want(t, "create", "bind 1", "bind 2", "exec 1/1", "exec 2/7", "exec 1/2", "exec 2/8", "exec 1/3", "exec 1/4",
		"exec 1/5", "exec 1/6", "unbind 1", "unbind 2", "destroy")
}

func TestKillEndsTheContextOfOneSession(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		return nil, g.pass(ctx, c.Key())
	}}
	s := serve(t, b, svc, WithSlots(2))
	b.ready()
	b.bind(1, 2)
	b.dispatch(1, 1, nil)
	b.dispatch(2, 2, nil)
	g.await(t)
	g.await(t)
	b.dispatch(1, 3, nil)
	b.say(protocol.KindUnbind, 1, 0, nil)
	if r := b.await(protocol.KindUnbound); r.session != 1 {
		t.Errorf("unbound %d, want 1", r.session)
	}
	close(g.open)
	if r := b.await(protocol.KindResult); r.session != 2 {
		t.Errorf("a result of session %d, want 2", r.session)
	}
	b.leave(s, 2)
}

func TestDrainFinishesWhatRuns(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		return []byte("whole"), g.pass(ctx, c.Key())
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	b.dispatch(1, 1, nil)
	b.dispatch(1, 2, nil)
	g.await(t)
	s.stop()
	b.await(protocol.KindDrain)
	b.say(protocol.KindRecall, 1, 2, nil)
	b.await(protocol.KindRecalled)
	close(g.open)
	if r := b.await(protocol.KindResult); string(r.payload) != "whole" {
		t.Errorf("result %q", r.payload)
	}
	b.leave(s, 1)
	svc.want(t, "create", "bind 1", "exec 1/1", "unbind 1", "destroy")
}

func TestGraceEndsContexts(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		return nil, g.pass(ctx, c.Key())
	}}
	s := serve(t, b, svc, WithGrace(10*time.Millisecond))
	b.ready()
	b.bind(1)
	b.dispatch(1, 1, nil)
	g.await(t)
	s.stop()
	if e := errorOf(t, b.await(protocol.KindFailure)); e.Retry != 1 {
		t.Errorf("%v: what was broken off may run again", e)
	}
	b.leave(s, 1)
}

func TestDrainWithoutBroker(t *testing.T) {
	b, svc := newBroker(t, "tcp://127.0.0.1:*"), &scripted{}
	s := serve(t, b, svc, WithPatience(50*time.Millisecond))
	b.ready()
	b.bind(1)
	b.do(func() { b.mute = true })
	s.stop()
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	svc.want(t, "create", "bind 1", "unbind 1", "destroy")
}

func TestStopBeforeAnyBroker(t *testing.T) {
	svc := &scripted{}
	b := newBroker(t, "")
	s := serve(t, b, svc, WithBroker("tcp://127.0.0.1:1"))
	s.stop()
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	svc.want(t)
}

func TestRefusedByTheBroker(t *testing.T) {
	b, svc := newBroker(t, ""), &scripted{}
	b.do(func() {
		b.posts[0].refusal = protocol.Errorf(protocol.CodeInstanceRejected, "hello", "no container of that token")
	})
	s := serve(t, b, svc)
	if err := s.wait(); protocol.CodeOf(err) != protocol.CodeInstanceRejected {
		t.Errorf("Serve returned %v", err)
	}
	svc.want(t)
}
