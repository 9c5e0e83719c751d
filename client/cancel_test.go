package client

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

// stopped expects that the fabric does nothing more for a task, soon.
func stopped(t *testing.T, task *Task) {
	t.Helper()
	select {
	case <-task.Stopped():
	case <-soon(t).Done():
		t.Fatal("the task is not stopped")
	}
}

func running(task *Task) bool {
	select {
	case <-task.Stopped():
		return false
	default:
		return true
	}
}

func TestCancel(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	b.holding()
	b.do(func() { b.stubborn = true })
	task := submit(t, s, bytes.Repeat([]byte("x"), 100_000))
	b.holds(1)
	if !running(task) {
		t.Error("stopped before it was cancelled")
	}
	task.Cancel()
	if _, err := task.Wait(soon(t)); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v, want ErrCancelled", err)
	}
	eventually(t, "the broker is told", func() (told bool) {
		b.do(func() { told = slices.Equal(b.cancels, []uint64{uint64(task.ID())}) })
		return told
	})
	if !running(task) {
		t.Error("stopped before the fabric says so")
	}
	b.release() // its result is faster, and dropped
	stopped(t, task)
	if _, err := task.Wait(soon(t)); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v, want ErrCancelled for good", err)
	}
	for r, err := range s.Results(soon(t)) {
		t.Errorf("a cancelled task appears in Results: %v, %v", r.Task, err)
	}
	eventually(t, "the dropped result gave its credit back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0 && s.unclaimed == 0 && c.blocked == 0
	})
	late := submit(t, s, []byte("y"))
	<-late.Done()
	late.Cancel() // too late
	stopped(t, late)
	if out, err := late.Wait(soon(t)); err != nil || string(out) != "y" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestCancelIsAnswered(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	b.holding()
	task := submit(t, s, []byte("x"))
	b.holds(1)
	task.Cancel()
	stopped(t, task)
	b.holds(0)
	if err := s.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

// TestCancelEndsWithTheSession: nobody waits for ever for what the broker will not say any more.
func TestCancelEndsWithTheSession(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	b.holding()
	b.do(func() { b.stubborn = true })
	task := submit(t, s, []byte("x"))
	b.holds(1)
	task.Cancel()
	all := make(chan error, 1)
	go func() { all <- s.CancelAll(soon(t)) }()
	eventually(t, "somebody waits for the end of all", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.sweeps) == 1
	})
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	stopped(t, task)
	if err := <-all; err != nil {
		t.Error(err)
	}
}

func TestCancelAll(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	if err := s.CancelAll(soon(t)); err != nil { // there is none
		t.Error(err)
	}
	b.holding()
	b.do(func() { b.stubborn = true })
	task := submit(t, s, []byte("x"))
	results := make(chan error, 1)
	if err := s.SubmitFunc(soon(t), nil, func(r Result) { results <- r.Err }); err != nil {
		t.Fatal(err)
	}
	b.holds(2)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.CancelAll(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v, want ErrDeadline", err)
	}
	if !running(task) {
		t.Error("a task has ended that the broker has not answered")
	}
	b.do(func() { b.stubborn = false })
	late := submit(t, s, []byte("y"))
	if err := s.CancelAll(soon(t)); err != nil {
		t.Error(err)
	}
	for _, err := range []error{<-results, errorOf(task.Wait(soon(t))), errorOf(late.Wait(soon(t)))} {
		if !errors.Is(err, ErrCancelled) {
			t.Errorf("got %v, want ErrCancelled", err)
		}
	}
	b.release()
	if _, err := s.Call(soon(t), []byte("z")); err != nil { // the session goes on
		t.Error(err)
	}
	if err := s.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if err := s.CancelAll(soon(t)); err != nil {
		t.Errorf("of a session that is over: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.CancelAll(gone); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v, want ErrCancelled", err)
	}
}

func errorOf(_ []byte, err error) error { return err }

func TestCallThatIsCancelled(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	b.holding()
	ctx, cancel := context.WithCancel(soon(t))
	result := make(chan error, 1)
	go func() { result <- errorOf(s.Call(ctx, []byte("x"))) }()
	b.holds(1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || errors.Is(err, ErrIndeterminate) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the fabric has ended it", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0
	})
}

// TestCallsDeadline is the end of a call by its deadline, in each of its ways.
func TestCallsDeadline(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	limited := func(d time.Duration, opts ...TaskOption) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		begin := time.Now()
		_, err := s.Call(ctx, []byte("x"), opts...)
		if took := time.Since(begin); took > d+time.Second {
			t.Errorf("a call of %v took %v", d, took)
		}
		if err != nil && (!errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadline)) {
			t.Errorf("got %v, want ErrDeadline and context.DeadlineExceeded", err)
		}
		return err
	}
	if err := limited(patience); err != nil {
		t.Errorf("with time enough: %v", err)
	}
	b.do(func() { b.overload = 1 << 30 })
	if err := limited(100 * time.Millisecond); errors.Is(err, ErrIndeterminate) {
		t.Errorf("it was refused all the time: %v", err)
	}
	b.do(func() { b.overload, b.hold, b.stubborn = 0, true, true })
	if err := limited(200 * time.Millisecond); !errors.Is(err, ErrIndeterminate) {
		t.Errorf("it was sent, and not answered: %v", err)
	}
	b.do(func() {
		if n := len(b.held); n != 1 || b.held[0].options.Timeout > 180*time.Millisecond || b.held[0].options.Timeout <= 0 || !b.held[0].options.AtMost {
			t.Errorf("the broker has %+v; the end of ctx lengthens no limit of the service", b.held)
		}
	})
	if err := limited(200*time.Millisecond, WithTimeout(patience)); !errors.Is(err, ErrIndeterminate) {
		t.Errorf("it was sent, with a time of its own: %v", err)
	}
	b.do(func() {
		if n := len(b.held); n != 2 || b.held[1].options.Timeout > 180*time.Millisecond || b.held[1].options.AtMost {
			t.Errorf("the broker has %+v; the task's own time goes before that of its service", b.held)
		}
	})
	result := make(chan error, 1)
	go func() { result <- limited(patience) }()
	b.holds(3)
	b.do(func() { // the manager's word, in time
		t := b.held[2]
		b.fail(t.end, t.session, t.id, protocol.Errorf(protocol.CodeDeadline, "task", "never begun"))
	})
	if err := <-result; errors.Is(err, ErrIndeterminate) {
		t.Errorf("the manager's word: %v", err)
	}
	// No credit until then: it was not sent. The word of ctx itself.
	_, narrow := b.connect(WithWindow(1, 0))
	submit(t, narrow, []byte("y"))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := narrow.Call(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadline) || errors.Is(err, ErrIndeterminate) {
		t.Errorf("without credit: %v", err)
	}
	b.release()
}

// TestCallsDeadlineIsHeldUnderLoad: whatever comes first, a call ends once, by its deadline.
func TestCallsDeadlineIsHeldUnderLoad(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect(WithWindow(200, 0))
	b.holding()
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%100)*time.Millisecond)
			defer cancel()
			_, err := s.Call(ctx, make([]byte, i*20))
			if err != nil && !errors.Is(err, ErrDeadline) {
				t.Errorf("got %v", err)
			}
		})
		if i == 250 {
			b.release()
		}
	}
	all.Wait()
	eventually(t, "all credit is back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0 && c.blocked == 0
	})
}

func TestWithTimeout(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	b.holding()
	b.do(func() { b.stubborn = true })
	task, err := s.Submit(soon(t), []byte("x"), WithTimeout(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan Result, 2)
	if err := s.SubmitFunc(soon(t), []byte("y"), func(r Result) { results <- r }, WithTimeout(50*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{errorOf(task.Wait(soon(t))), (<-results).Err} {
		if !errors.Is(err, ErrIndeterminate) || !errors.Is(err, ErrDeadline) {
			t.Errorf("got %v, want ErrIndeterminate and ErrDeadline", err)
		}
	}
	if !running(task) {
		t.Error("stopped before the fabric says so")
	}
	for r, err := range s.Results(soon(t)) {
		t.Errorf("in Results too: %v, %v", r.Task, err)
	}
	b.release()
	stopped(t, task)
	eventually(t, "late results are dropped", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.eng.Outstanding() == 0 && c.blocked == 0
	})
	if len(results) != 0 {
		t.Error("the function was called twice")
	}
	// A submission that waits for credit ends by it, too.
	_, narrow := b.connect(WithWindow(1, 0), WithTaskTimeout(20*time.Millisecond))
	b.do(func() { b.hold = true })
	if _, err := narrow.Submit(soon(t), nil, WithTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := narrow.Submit(soon(t), nil); !errors.Is(err, ErrDeadline) || errors.Is(err, ErrIndeterminate) {
		t.Errorf("without credit: %v", err)
	}
	b.release()
}

func TestOptionsAreTold(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect(WithTaskTimeout(time.Hour), WithTaskRunLimit(time.Minute), WithSessionRetry(protocol.Retry{Attempts: 2, On: []string{"TaskFailed"}}))
	b.holding()
	if _, err := s.Submit(soon(t), nil, WithPriority(-3), WithRunLimit(time.Second),
		WithRetry(protocol.Retry{Attempts: 7, HostLosses: 9, Backoff: protocol.Duration(time.Second), MaxBackoff: protocol.Duration(time.Minute)})); err != nil {
		t.Fatal(err)
	}
	b.holds(1)
	b.do(func() {
		if o := b.opened[0]; o.Timeout != time.Hour || o.Run != time.Minute || o.Retry.Attempts != 2 || len(o.Retry.On) != 1 {
			t.Errorf("the session was opened with %+v", o)
		}
		o := b.held[0].options
		if o.Timeout > time.Hour || o.Timeout < time.Hour-time.Minute {
			t.Errorf("a time of %v, want that of the session", o.Timeout)
		}
		o.Timeout = 0
		if want := (protocol.TaskOptions{Run: time.Second, Priority: -3, Attempts: 7, HostLosses: 9, Backoff: time.Second, MaxBackoff: time.Minute}); o != want {
			t.Errorf("the task has %+v, want %+v", o, want)
		}
	})
	for name, opt := range map[string]TaskOption{
		"timeout":  WithTimeout(0),
		"run":      WithRunLimit(-1),
		"attempts": WithRetry(protocol.Retry{Attempts: 101}),
		"codes":    WithRetry(protocol.Retry{On: []string{"TaskFailed"}}),
		"after":    After(nil),
	} {
		if _, err := s.Submit(soon(t), nil, opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
		if _, err := s.Call(soon(t), nil, opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s of a call: got %v, want ErrInvalid", name, err)
		}
	}
	for name, opt := range map[string]SessionOption{
		"timeout": WithTaskTimeout(-1),
		"run":     WithTaskRunLimit(-1),
		"retry":   WithSessionRetry(protocol.Retry{Attempts: -1}),
		"ordered": WithOrderedResults(-1),
	} {
		if _, err := s.client.OpenSession(soon(t), "echo", opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	b.release()
}

// TestRefusedTasks: what the broker has no room for comes through in the end, without anybody's doing.
func TestRefusedTasks(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	b.do(func() { b.overload = 100 })
	var tasks []*Task
	for i := range 50 {
		tasks = append(tasks, submit(t, s, make([]byte, i*300)))
	}
	for i, task := range tasks {
		if out, err := task.Wait(soon(t)); err != nil || len(out) != i*300 {
			t.Errorf("task %d: %d bytes, %v", i, len(out), err)
		}
	}
}

func TestAfterAndJoin(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c, s := b.connect()
	other, err := c.OpenSession(soon(t), "echo")
	if err != nil {
		t.Fatal(err)
	}
	b.holding()
	first, second := submit(t, s, []byte("1")), submit(t, other, make([]byte, 10_000))
	third, err := s.Submit(soon(t), []byte("3"), After(first, second))
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan Result, 1)
	if err := other.SubmitFunc(soon(t), []byte("4"), func(r Result) { called <- r }, After(third)); err != nil {
		t.Fatal(err)
	}
	b.holds(2)
	if id := third.ID(); id.Sequence() != 0 {
		t.Errorf("it has id %v while it waits", id)
	}
	if key, want := third.Key()+first.Key(), fmt.Sprintf("%d/1", s.Number()); key != want {
		t.Errorf("the keys are %q, want %q: that of the first alone", key, want)
	}
	if err := Join(soon(t), first, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "task 2 of 2 is nil") {
		t.Errorf("nil is joined with %v", err)
	}
	b.release()
	if err := Join(soon(t), first, second, third); err != nil {
		t.Error(err)
	}
	if r := <-called; r.Err != nil || string(r.Payload) != "4" || r.Task.Sequence() != 2 {
		t.Errorf("got %q, %v, task %v", r.Payload, r.Err, r.Task)
	}
	if id := third.ID(); id.Sequence() != 2 {
		t.Errorf("it has id %v", id)
	}
	if out, err := third.Wait(soon(t)); err != nil || string(out) != "3" {
		t.Errorf("got %q, %v", out, err)
	}
	// What has succeeded is not waited for.
	if out, err := s.Call(soon(t), []byte("5"), After(first, third)); err != nil || string(out) != "5" {
		t.Errorf("got %q, %v", out, err)
	}

	b.holding()
	bad := submit(t, s, []byte{askFailure})
	next, err := s.Submit(soon(t), nil, After(bad))
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.Submit(soon(t), nil, After(next, first))
	if err != nil {
		t.Fatal(err)
	}
	b.release()
	if err := Join(soon(t), first, bad, last); !errors.Is(err, ErrTaskFailed) {
		t.Errorf("got %v, want that of the first that failed", err)
	}
	if err := Join(soon(t), last); !errors.Is(err, ErrDependency) {
		t.Errorf("got %v, want ErrDependency", err)
	}
	if _, err := s.Submit(soon(t), nil, After(bad)); !errors.Is(err, ErrDependency) {
		t.Errorf("got %v, want ErrDependency", err)
	}
	b.holding()
	slow := submit(t, s, nil)
	held, err := s.Submit(soon(t), nil, After(slow))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := Join(ctx, first, slow); !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v, want ErrDeadline", err)
	}
	slow.Cancel()
	if _, err := held.Wait(soon(t)); !errors.Is(err, ErrDependency) {
		t.Errorf("got %v, want ErrDependency", err)
	}
	stranger := b.dial()
	foreign, err := stranger.OpenSession(soon(t), "echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Submit(soon(t), nil, After(first)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a task of another client: %v", err)
	}
	b.release()
}
