package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/protocol"
)

func submit(t *testing.T, s *Session, payload []byte) *Task {
	t.Helper()
	task, err := s.Submit(soon(t), payload)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestSubmitAndWait(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	b.holding()
	task := submit(t, s, []byte("x"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := task.Wait(ctx); !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v, want ErrDeadline", err)
	}
	done := task.Done()
	b.release()
	<-done
	for range 2 {
		if out, err := task.Wait(ctx); err != nil || string(out) != "x" { // finished: the context does not matter
			t.Errorf("got %q, %v", out, err)
		}
	}
	if task.ID().Sequence() != 1 {
		t.Errorf("id %v", task.ID())
	}
}

func TestSubmitBlocksForCreditOnly(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect(WithWindow(10, 0))
	b.holding()
	for range 10 {
		submit(t, s, []byte("x"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 2)
	blocked := func(n int) {
		eventually(t, fmt.Sprintf("%d submissions wait", n), func() bool {
			s.client.mu.Lock()
			defer s.client.mu.Unlock()
			return len(s.queue) == n
		})
	}
	go func() {
		_, err := s.Submit(ctx, []byte("x"))
		results <- err
	}()
	blocked(1)
	cancel()
	if err := <-results; !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v, want ErrCancelled", err)
	}
	for range 2 {
		go func() {
			_, err := s.Submit(context.Background(), []byte("x"))
			results <- err
		}()
	}
	blocked(2)
	b.release()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestBlockedSubmitEndsWithItsSession(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect(WithWindow(1, 0))
	b.holding()
	task := submit(t, s, nil)
	result := make(chan error)
	go func() {
		_, err := s.Submit(context.Background(), nil)
		result <- err
	}()
	eventually(t, "a submission waits", func() bool {
		s.client.mu.Lock()
		defer s.client.mu.Unlock()
		return len(s.queue) == 1
	})
	if err := s.Kill(soon(t)); err != nil {
		t.Error(err)
	}
	if err := <-result; err == nil {
		t.Error("a task was submitted to a session that is over")
	}
	if _, err := task.Wait(soon(t)); !errors.Is(err, ErrSessionKilled) {
		t.Errorf("got %v, want ErrSessionKilled", err)
	}
	if !errors.Is(s.Err(), ErrSessionKilled) {
		t.Errorf("the session ended with %v", s.Err())
	}
}

func TestCloseSessionFinishes(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	b.holding()
	task := submit(t, s, []byte("x"))
	b.holds(1)
	closed := make(chan error)
	go func() { closed <- s.Close(soon(t)) }()
	eventually(t, "no more tasks are taken", func() bool {
		_, err := s.Submit(soon(t), []byte("y"))
		return errors.Is(err, ErrSessionClosed)
	})
	b.release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if out, err := task.Wait(soon(t)); err != nil || string(out) != "x" {
		t.Errorf("got %q, %v", out, err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("closed in order, but with %v", err)
	}
}

// TestResultCreditReturns has more results than the client takes at once, inline and in frames of their own.
func TestResultCreditReturns(t *testing.T) {
	for _, size := range []int{1000, 20_000} {
		b := newFakeBroker(t, "inproc")
		c := b.dial(WithResultCredit(64 << 10))
		s, err := c.OpenSession(soon(t), "echo")
		if err != nil {
			t.Fatal(err)
		}
		var tasks []*Task
		for range 500 {
			tasks = append(tasks, submit(t, s, make([]byte, size)))
		}
		eventually(t, "the broker waits for credit", func() (ok bool) {
			b.do(func() {
				for _, e := range b.loop.ends {
					ok = len(e.waiting) > 0
				}
			})
			return ok
		})
		for _, task := range tasks {
			if _, err := task.Wait(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		var called sync.WaitGroup
		for range 500 {
			called.Add(1)
			if err := s.SubmitFunc(soon(t), make([]byte, size), func(Result) { called.Done() }); err != nil {
				t.Fatal(err)
			}
		}
		called.Wait()
	}
}

func TestCallbacksRunOnce(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	const n = 20_000
	var calls [n]atomic.Int32
	var all sync.WaitGroup
	all.Add(n)
	for i := range n {
		in := []byte(fmt.Sprint(i))
		err := s.SubmitFunc(soon(t), in, func(r Result) {
			if r.Err != nil || !bytes.Equal(r.Payload, in) {
				t.Errorf("task %d: %q, %v", i, r.Payload, r.Err)
			}
			if calls[i].Add(1) == 1 {
				all.Done()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	for i := range calls {
		if got := calls[i].Load(); got != 1 {
			t.Errorf("callback %d ran %d times", i, got)
		}
	}
}

func TestCallbacksThatBlock(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	gate := make(chan struct{})
	var blocked, rest sync.WaitGroup
	for range 100 {
		blocked.Add(1)
		if err := s.SubmitFunc(soon(t), nil, func(Result) { defer blocked.Done(); <-gate }); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		rest.Add(1)
		if err := s.SubmitFunc(soon(t), nil, func(Result) { rest.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	rest.Wait() // while a hundred block
	if _, err := s.Call(soon(t), nil); err != nil {
		t.Error(err)
	}
	close(gate)
	blocked.Wait()
}

func TestCallbacksThatPanicOrEndTheirGoroutine(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	var log bytes.Buffer
	c := b.dial(WithLogger(zerolog.New(zerolog.SyncWriter(&log))))
	s, err := c.OpenSession(soon(t), "echo")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.SubmitFunc(soon(t), nil, func(Result) { panic("as it was told") }); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "ten panics are counted", func() bool { return c.CallbackPanics() == 10 })
	done := make(chan struct{})
	if err := s.SubmitFunc(soon(t), nil, func(Result) { close(done) }); err != nil {
		t.Fatal(err)
	}
	<-done
	eventually(t, "no goroutine is left", func() bool {
		c.runner.mu.Lock()
		defer c.runner.mu.Unlock()
		return c.runner.workers == 0
	})
	if n := bytes.Count(log.Bytes(), []byte("as it was told")); n < 10 {
		t.Errorf("%d of 10 panics were logged", n)
	}
	if err := s.SubmitFunc(soon(t), nil, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no function: %v", err)
	}
}

// TestCallbacksThatUseTheClient call, submit, and in the end close the client they belong to.
func TestCallbacksThatUseTheClient(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithWindow(4, 0))
	closed := make(chan error, 1)
	var hop func(n int) func(Result)
	hop = func(n int) func(Result) {
		return func(r Result) {
			switch {
			case r.Err != nil:
				closed <- r.Err
			case n == 0:
				closed <- c.Close()
			default:
				if _, err := s.Call(context.Background(), []byte("from a callback")); err != nil {
					closed <- err
					return
				}
				if err := s.SubmitFunc(context.Background(), []byte("next"), hop(n-1)); err != nil {
					closed <- err
				}
			}
		}
	}
	if err := s.SubmitFunc(soon(t), nil, hop(20)); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestCloseRunsCallbacks: every callback that was accepted runs, those of unfinished tasks with ErrClosed.
func TestCloseRunsCallbacks(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	b.holding()
	var all sync.WaitGroup
	for range 1000 {
		all.Add(1)
		err := s.SubmitFunc(soon(t), nil, func(r Result) {
			if !errors.Is(r.Err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", r.Err)
			}
			all.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
}

func TestResults(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	for _, err := range s.Results(soon(t)) {
		t.Errorf("a result without a task, %v", err)
	}
	b.holding()
	want := map[string]bool{}
	for i := range 100 {
		in := fmt.Sprint(i)
		submit(t, s, []byte(in))
		want[in] = true
	}
	waited := submit(t, s, []byte("waited for"))
	ready := waited.Done()
	submit(t, s, []byte{askFailure})
	b.holds(102)
	b.do(func() { slices.Reverse(b.held) })
	b.release()
	failed, first := 0, true
	for r, err := range s.Results(soon(t)) {
		switch {
		case errors.Is(err, ErrTaskFailed) && first:
			failed++
		case err != nil || !want[string(r.Payload)]:
			t.Errorf("%v: %q, %v", r.Task, r.Payload, err)
		}
		delete(want, string(r.Payload))
		first = false
	}
	if len(want) != 0 || failed != 1 {
		t.Errorf("%d results are missing, %d failures came first", len(want), failed)
	}
	<-ready
	if out, err := waited.Wait(soon(t)); err != nil || string(out) != "waited for" {
		t.Errorf("got %q, %v", out, err)
	}
	b.holding()
	submit(t, s, nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	for r, err := range s.Results(ctx) {
		if r.Task != 0 || !errors.Is(err, ErrDeadline) {
			t.Errorf("got %+v, %v; want ErrDeadline", r, err)
		}
	}
	b.release()
}

func counting(n int, seen *atomic.Int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			seen.Add(1)
			if !yield(i) {
				return
			}
		}
	}
}

func TestMap(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithWindow(16, 0))
	var m Method[int, int]
	var sent atomic.Int64
	next := 0
	for out, err := range m.Map(soon(t), s, counting(1000, &sent)) {
		if err != nil || out != next {
			t.Fatalf("got %d, %v; want %d", out, err, next)
		}
		next++
		if ahead := sent.Load() - int64(next); ahead > 17 {
			t.Fatalf("%d were sent ahead, the window is 16", ahead)
		}
	}
	if next != 1000 {
		t.Errorf("%d of 1000 results", next)
	}
	b.holding()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	errs := 0
	for _, err := range m.Map(ctx, s, counting(100, &sent)) {
		if errs++; !errors.Is(err, ErrDeadline) {
			t.Errorf("got %v, want ErrDeadline", err)
		}
	}
	if errs != 1 {
		t.Errorf("%d errors, want the one that ends the loop", errs)
	}
	b.release()
	for _, err := range m.Map(soon(t), s, counting(100, &sent)) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	eventually(t, "what was sent ahead gave its credit back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0
	})
	if err := s.Close(soon(t)); err != nil {
		t.Error(err)
	}
	for _, err := range m.Map(soon(t), s, counting(3, &sent)) {
		if !errors.Is(err, ErrSessionClosed) {
			t.Errorf("got %v, want ErrSessionClosed", err)
		}
	}
}

func TestMethod(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	type trade struct{ Symbol string }
	m := Method[trade, trade]{}
	if out, err := m.Call(soon(t), s, trade{"WFT"}); err != nil || out.Symbol != "WFT" {
		t.Errorf("got %+v, %v", out, err)
	}
	task, err := m.Submit(soon(t), s, trade{"XYZ"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := task.Wait(soon(t)); err != nil || out.Symbol != "XYZ" {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := (Method[trade, int]{}).Call(soon(t), s, trade{"WFT"}); protocol.CodeOf(err) != protocol.CodeMalformed {
		t.Errorf("a result of another type: %v", err)
	}
	if _, err := (Method[chan int, int]{}).Call(soon(t), s, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a type that msgpack cannot encode: %v", err)
	}
	raw, err := msgpack.Marshal(trade{"RAW"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Call(soon(t), raw); err != nil || !bytes.Equal(out, raw) {
		t.Errorf("a method's payload is not plain msgpack: %q, %v", out, err)
	}
}
