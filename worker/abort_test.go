package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

var byTest = protocol.Errorf(protocol.CodeCancelled, "task", "by test")

func TestAbortEndsTheContextOfOneTask(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	causes := make(chan error, 10)
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		if c.Context() != ctx {
			t.Error("the task's context is another one than the hook's")
		}
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		err := g.pass(derived, c.Key())
		causes <- context.Cause(derived)
		return nil, err
	}}
	s := serve(t, b, svc, WithSlots(2))
	b.ready()
	b.bind(1)
	b.dispatch(1, 1, nil)
	b.dispatch(1, 2, nil)
	g.await(t)
	g.await(t)
	b.dispatch(1, 3, nil)
	b.say(protocol.KindAbort, 1, 3, byTest) // never begins
	if r := b.await(protocol.KindFailure); r.task != 3 || errorOf(t, r).Msg != byTest.Msg {
		t.Errorf("%+v", r)
	}
	b.say(protocol.KindAbort, 1, 2, byTest)
	if r := b.await(protocol.KindStopping); r.task != 2 {
		t.Errorf("%+v", r)
	}
	if e := errorOf(t, b.await(protocol.KindFailure)); e.Code != protocol.CodeCancelled || e.Retry != 0 {
		t.Errorf("%v", e)
	}
	if err := <-causes; !errors.Is(err, byTest) {
		t.Errorf("the cause is %v", err)
	}
	close(g.open)
	if r := b.await(protocol.KindResult); r.task != 1 {
		t.Errorf("%+v", r)
	}
	if err := <-causes; err != nil {
		t.Errorf("the other one's cause is %v", err)
	}
	b.dispatch(1, 4, nil) // on a goroutine whose task was ended
	if r := b.await(protocol.KindResult); r.task != 4 {
		t.Errorf("%+v", r)
	}
	b.leave(s, 1)
}

func TestContextEndsWhenTheTimeOfATaskIsOver(t *testing.T) {
	b := newBroker(t, "")
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		at, limited := c.Deadline()
		if same, _ := ctx.Deadline(); !same.Equal(at) || limited != (c.TaskID().Sequence() != 3) {
			t.Errorf("task %v: until %v (%v), its context until %v", c.TaskID(), at, limited, same)
		}
		if !limited {
			return []byte("without"), nil
		}
		<-ctx.Done()
		return nil, Retry(ctx.Err()) // a wish that does not count
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	for n, x := range []protocol.Execution{{Timeout: time.Millisecond}, {Run: time.Millisecond, Watch: true}, {}} {
		task := uint64(n) + 1
		b.do(func() {
			x.ID = protocol.NewTaskID(task, 0)
			b.posts[1].link.AppendDispatch(1, task, nil, &x)
		})
		switch n {
		case 1:
			if r := b.await(protocol.KindStarted); r.task != 2 {
				t.Errorf("%+v", r)
			}
			fallthrough
		case 0:
			if e := errorOf(t, b.await(protocol.KindFailure)); e.Code != protocol.CodeDeadline || e.Retry != 0 {
				t.Errorf("%v", e)
			}
		default:
			b.await(protocol.KindResult)
		}
	}
	b.leave(s, 1)
}

// TestKeptContextIsOfItsTask has a service keep the contexts of its tasks.
func TestKeptContextIsOfItsTask(t *testing.T) {
	b := newBroker(t, "")
	kept := make(chan context.Context, 10)
	svc := &scripted{exec: func(ctx context.Context, _ *TaskContext) ([]byte, error) {
		ctx.Done()
		if ctx.Err() != nil || context.Cause(ctx) != nil {
			t.Errorf("ended before its time: %v", ctx.Err())
		}
		kept <- ctx
		return nil, nil
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	for n := range uint64(3) {
		b.dispatch(1, n+1, nil)
		b.await(protocol.KindResult)
	}
	b.leave(s, 1)
	seen := map[context.Context]bool{}
	for range 3 {
		ctx := <-kept
		if ctx.Err() == nil || seen[ctx] {
			t.Errorf("err %v, that of another task: %v", ctx.Err(), seen[ctx])
		}
		seen[ctx] = true
	}
}

func TestDismissedLeavesAHookBehind(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(_ context.Context, c *TaskContext) ([]byte, error) {
		return nil, g.pass(context.Background(), c.Key())
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	b.dispatch(1, 1, nil)
	g.await(t)
	b.say(protocol.KindAbort, 1, 1, byTest)
	b.await(protocol.KindStopping)
	b.say(protocol.KindLeave, 0, 0, byTest)
	if err := s.wait(); protocol.CodeOf(err) != protocol.CodeCancelled {
		t.Errorf("Serve returned %v", err)
	}
	svc.want(t, "create", "bind 1", "exec 1/1")
	close(g.open) // for goleak
}
