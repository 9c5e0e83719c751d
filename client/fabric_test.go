package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// waiter is a service whose hooks run until their context ends, and tell when they begin and why they end. A task of one
// byte is echoed at once.
type waiter struct {
	begun chan struct{}
	ended chan error
}

func newWaiter() *waiter {
	return &waiter{begun: make(chan struct{}, 1000), ended: make(chan error, 1000)}
}

func (w *waiter) service() worker.Service {
	return worker.Func(func(ctx context.Context, in []byte) ([]byte, error) {
		if len(in) == 1 {
			return in, nil
		}
		w.begun <- struct{}{}
		<-ctx.Done()
		w.ended <- context.Cause(ctx)
		return nil, ctx.Err()
	})
}

// fabric starts one, and a session with its only service.
func fabric(t *testing.T, service func() worker.Service, opts ...embed.ServiceOption) (*client.Client, *client.Session) {
	t.Helper()
	f, err := embed.Start(embed.Service("service", service, opts...))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Dial(soonest(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), f.Stop()); err != nil {
			t.Error(err)
		}
	})
	s, err := c.OpenSession(soonest(t), "service")
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func soonest(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func await[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-soonest(t).Done():
		t.Fatalf("no sign that %s", what)
	}
	return v
}

// TestCancelStopsWork: the hook of a task that is cancelled ends, what was not begun never is, and the session goes on.
func TestCancelStopsWork(t *testing.T) {
	w := newWaiter()
	_, s := fabric(t, w.service)
	running, err := s.Submit(soonest(t), []byte("wait"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the hook has begun", w.begun)
	queued, err := s.Submit(soonest(t), []byte("wait"))
	if err != nil {
		t.Fatal(err)
	}
	queued.Cancel()
	running.Cancel()
	for _, task := range []*client.Task{running, queued} {
		await(t, "the fabric has stopped the task", task.Stopped())
	}
	if err := await(t, "the hook has ended", w.ended); !errors.Is(err, client.ErrCancelled) {
		t.Errorf("the hook's context ended with %v", err)
	}

	ctx, cancel := context.WithCancel(soonest(t))
	result := make(chan error, 1)
	go func() {
		_, err := s.Call(ctx, []byte("wait"))
		result <- err
	}()
	await(t, "the hook of a call has begun", w.begun)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || !errors.Is(err, client.ErrCancelled) {
		t.Errorf("got %v", err)
	}
	if err := await(t, "the hook of a call has ended", w.ended); !errors.Is(err, client.ErrCancelled) {
		t.Errorf("the hook's context ended with %v", err)
	}

	results := make(chan error, 100)
	for range 100 {
		if err := s.SubmitFunc(soonest(t), []byte("wait"), func(r client.Result) { results <- r.Err }); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "one of many has begun", w.begun)
	if err := s.CancelAll(soonest(t)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := await(t, "its function is called", results); !errors.Is(err, client.ErrCancelled) {
			t.Errorf("got %v, want ErrCancelled", err)
		}
	}
	if n := len(w.begun); n > 1 {
		t.Errorf("%d more have begun", n)
	}
	if out, err := s.Call(soonest(t), []byte("x")); err != nil || string(out) != "x" {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestDeadlinesEndWork: a call ends by its deadline, and so does what it has begun.
func TestDeadlinesEndWork(t *testing.T) {
	w := newWaiter()
	_, s := fabric(t, w.service)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Call(ctx, []byte("wait")); !errors.Is(err, client.ErrDeadline) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want ErrDeadline", err)
	}
	select {
	case <-w.begun:
		if err := await(t, "the hook has ended", w.ended); err == nil {
			t.Error("the hook's context ended without a cause")
		}
	default: // it was slow to start
	}
	limited, err := s.Submit(soonest(t), []byte("wait"), client.WithRunLimit(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	late, err := s.Submit(soonest(t), []byte("wait"), client.WithTimeout(400*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []*client.Task{limited, late} {
		if _, err := task.Wait(soonest(t)); !errors.Is(err, client.ErrDeadline) {
			t.Errorf("got %v, want ErrDeadline", err)
		}
		await(t, "the fabric has stopped the task", task.Stopped())
	}
	if out, err := s.Call(soonest(t), []byte("x")); err != nil || string(out) != "x" {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestOverloadLosesNothing: a session manager whose memory is far too small for what is sent serves it all the same.
func TestOverloadLosesNothing(t *testing.T) {
	const most = 12 // sessions; the credit of each is for a good part of what the manager may hold
	var open atomic.Int64
	gate := make(chan struct{})
	echo := func() worker.Service {
		return worker.Func(func(_ context.Context, in []byte) ([]byte, error) {
			<-gate
			return in, nil
		})
	}
	c, _ := fabric(t, echo, func(s *protocol.Service) { s.Manager.Memory, s.Limits.Payload = 1<<20, 1<<20 })
	var all sync.WaitGroup
	for i := range most {
		all.Go(func() {
			s, err := c.OpenSession(soonest(t), "service")
			if err != nil {
				t.Error(err)
				return
			}
			var tasks []*client.Task
			for j := range 10 {
				task, err := s.Submit(soonest(t), bytes.Repeat([]byte{byte(i), byte(j)}, 60_000))
				if err != nil {
					t.Error(err)
					return
				}
				if tasks = append(tasks, task); j == 0 && open.Add(1) == most { // all have sent one, which is too much
					close(gate)
				}
			}
			for j, task := range tasks {
				if out, err := task.Wait(soonest(t)); err != nil || !bytes.Equal(out, bytes.Repeat([]byte{byte(i), byte(j)}, 60_000)) {
					t.Errorf("task %d: %d bytes, %v", j, len(out), err)
				}
			}
		})
	}
	all.Wait()
}

// TestOrderAcrossInstances: tasks of several instances, slow and fast, good and bad ones, are told of in order.
func TestOrderAcrossInstances(t *testing.T) {
	var odd atomic.Int64
	service := func() worker.Service {
		return worker.Func(func(ctx context.Context, n int) (int, error) {
			if n%7 == 0 {
				select {
				case <-time.After(time.Duration(odd.Add(1)%5) * time.Millisecond):
				case <-ctx.Done():
				}
			}
			if n%5 == 0 {
				return 0, fmt.Errorf("%d is not taken", n)
			}
			return n, nil
		})
	}
	c, _ := fabric(t, service, embed.WithInstances(2, 2), embed.WithSlots(4))
	s, err := c.OpenSession(soonest(t), "service", client.WithOrderedResults(64))
	if err != nil {
		t.Fatal(err)
	}
	m := client.Method[int, int]{}
	const n = 1000
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := m.Submit(context.Background(), s, i); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	next := uint64(0)
	for next < n {
		for r, err := range s.Results(soonest(t)) {
			next++
			if r.Task.Sequence() != next {
				t.Fatalf("result of sequence %d in place %d", r.Task.Sequence(), next)
			}
			if failed := errors.Is(err, client.ErrTaskFailed); failed != ((next-1)%5 == 0) {
				t.Fatalf("task %d: %v", next, err)
			}
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
