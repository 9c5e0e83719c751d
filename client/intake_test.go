package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// laid lays n tasks into the intake and keeps them there while f runs, under the lock of the engine.
func laid(t *testing.T, s *Session, n int, fn func(Result), f func()) {
	t.Helper()
	ctx := soon(t)
	var first sync.WaitGroup // lets the next into the intake
	first.Add(1)
	if err := s.SubmitFunc(ctx, small, func(Result) { first.Done() }); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	c := s.client
	c.mu.Lock()
	for range n {
		if err := s.SubmitFunc(ctx, small, fn); err != nil { // does not take the lock
			t.Fatal(err)
		}
	}
	if got := len(c.intake.tasks); got != n {
		t.Fatalf("%d tasks are in the intake, want %d", got, n)
	}
	f()
	c.mu.Unlock()
}

var small = []byte("sixteen bytes ..")

// Who is in the intake when everything ends, or its session, is told so, once.
func TestEndWithTasksInTheIntake(t *testing.T) {
	for name, end := range map[string]func(c *Client, s *Session){
		"the client is shut":           func(c *Client, _ *Session) { c.shut() },
		"the engine is shut before":    func(c *Client, _ *Session) { c.eng.Shut() },
		"the session is killed before": func(c *Client, s *Session) { c.eng.Close(s.core, protocol.CloseKill) },
	} {
		t.Run(name, func(t *testing.T) {
			c, s := newFakeBroker(t, "inproc").connect()
			const n = 100
			var all sync.WaitGroup
			all.Add(n)
			laid(t, s, n, func(r Result) {
				if !errors.Is(r.Err, ErrClosed) && !errors.Is(r.Err, ErrSessionClosed) {
					t.Errorf("%q, %v", r.Payload, r.Err)
				}
				all.Done()
			}, func() { end(c, s) })
			c.mu.Lock() // whoever it is
			if len(c.intake.tasks) != 0 {
				t.Errorf("%d tasks are in the intake still", len(c.intake.tasks))
			}
			c.mu.Unlock()
			all.Wait()
		})
	}
}

// Who closes a session, or asks what is unfinished, has what was submitted before done first.
func TestTasksInTheIntakeComeFirst(t *testing.T) {
	_, s := newFakeBroker(t, "inproc").connect()
	var done atomic.Int32
	laid(t, s, 50, func(r Result) {
		if r.Err == nil {
			done.Add(1)
		}
	}, func() {})
	if err := s.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are finished", func() bool { return done.Load() == 50 })
	if err := s.SubmitFunc(soon(t), small, func(Result) {}); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("a closed session took a task: %v", err)
	}
}

// The intake lets no more in than the session's credit.
func TestIntakeKeepsTheWindow(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	const window = 10
	_, s := b.connect(WithWindow(window, 0))
	for round := range 3 {
		b.holding()
		var all sync.WaitGroup
		for range window {
			all.Add(1)
			if err := s.SubmitFunc(soon(t), small, func(Result) { all.Done() }); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(soon(t))
		time.AfterFunc(5*time.Millisecond, cancel)
		if err := s.SubmitFunc(ctx, small, func(Result) {}); !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: one too many: %v", round, err)
		}
		b.holds(window)
		b.release()
		all.Wait()
	}
}

// What is too large for it, and what more is to be said of, goes another way, in order.
func TestOrderOfTheIntake(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect()
	b.holding()
	var sizes []int
	for i := range 40 {
		n := 1 + i
		switch i % 4 {
		case 1:
			n += intakeMost
		case 3:
			n += protocol.InlinePayload
		}
		sizes = append(sizes, n)
		if err := s.SubmitFunc(soon(t), make([]byte, n), func(Result) {}); err != nil {
			t.Fatal(err)
		}
	}
	b.holds(len(sizes))
	b.do(func() {
		for i, h := range b.held {
			if len(h.payload) != sizes[i] {
				t.Errorf("task %d has %d bytes, want %d", i, len(h.payload), sizes[i])
			}
		}
	})
	b.release()
}

// Whoever waits for room goes on when there is some, and ends with the session.
func TestManyWaitForRoom(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	_, s := b.connect(WithWindow(3, 0))
	const submitters, each = 20, 50
	var done atomic.Int32
	var all sync.WaitGroup
	submit := func(n int) (err error) {
		for i := 0; i < n && err == nil; i++ {
			err = s.SubmitFunc(soon(t), small, func(Result) { done.Add(1) })
		}
		return err
	}
	for range submitters {
		all.Go(func() {
			if err := submit(each); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	eventually(t, "all are finished", func() bool { return done.Load() == submitters*each })
	b.holding()
	for range submitters {
		all.Go(func() {
			if err := submit(each); !errors.Is(err, ErrSessionClosed) && !errors.Is(err, ErrSessionKilled) {
				t.Errorf("a session that was killed took tasks: %v", err)
			}
		})
	}
	b.holds(3)
	if err := s.Kill(soon(t)); err != nil {
		t.Error(err)
	}
	all.Wait()
	eventually(t, "the rest is finished", func() bool { return done.Load() == submitters*each+3 })
}
