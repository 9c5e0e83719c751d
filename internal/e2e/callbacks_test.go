package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/client"
)

func TestAcceptanceCallbacks(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		f.register(f.dial(""), f.service("verbs", progVerbs, 2))
		t.Run("block", func(t *testing.T) { f.callbacksBlock(t) })
		t.Run("panic", func(t *testing.T) { f.callbacksPanic(t) })
		t.Run("submit", func(t *testing.T) { f.callbacksSubmit(t) })
		t.Run("close", func(t *testing.T) { f.callbacksClose(t) })
		t.Run("calls", func(t *testing.T) { f.callsEndAtRandom(t) })
		t.Run("close during call", func(t *testing.T) { f.closeDuringCalls(t) })
	})
}

// soon waits for something, and fails the test when it does not happen.
func soon(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s does not happen", what)
	}
}

// finished closes a channel when all of a group are done.
func finished(all *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	return done
}

// callbacksBlock has more callbacks block than there are processors; other results arrive all the same.
func (f *fabric) callbacksBlock(t *testing.T) {
	s := f.open(f.dial(""), "verbs")
	release := make(chan struct{})
	var all sync.WaitGroup
	const blocked = 200
	for i := range blocked {
		all.Add(1)
		if err := s.SubmitFunc(f.ctx, fmt.Appendf(nil, "id %d", i), func(client.Result) { defer all.Done(); <-release }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		f.call(s, fmt.Sprintf("id c%d", i), fmt.Sprintf("c%d", i))
	}
	task, err := s.Submit(f.ctx, []byte("id t"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := task.Wait(f.ctx); err != nil || string(out) != "t" {
		t.Errorf("Wait while callbacks block: %q, %v", out, err)
	}
	last := make(chan struct{})
	if err := s.SubmitFunc(f.ctx, []byte("id last"), func(client.Result) { close(last) }); err != nil {
		t.Fatal(err)
	}
	soon(t, "a callback while others block", last)
	close(release)
	soon(t, "the end of blocked callbacks", finished(&all))
}

// callbacksPanic has callbacks panic: they are counted, nothing else suffers.
func (f *fabric) callbacksPanic(t *testing.T) {
	c := f.dial("", client.WithLogger(zerolog.Nop()))
	s := f.open(c, "verbs")
	const n = 50
	for range n {
		if err := s.SubmitFunc(f.ctx, []byte("id x"), func(client.Result) { panic("on purpose") }); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all panics are counted", func() bool { return c.CallbackPanics() == n })
	f.call(s, "id after", "after")
}

// callbacksSubmit has callbacks submit: far more than the window holds, so that they have to wait in Submit.
func (f *fabric) callbacksSubmit(t *testing.T) {
	s := f.open(f.dial(""), "verbs", client.WithWindow(8, 0))
	var all sync.WaitGroup
	var answered atomic.Int64
	const chains, length = 40, 25
	var next func(i int) error
	next = func(i int) error {
		return s.SubmitFunc(f.ctx, fmt.Appendf(nil, "id %d", i), func(r client.Result) {
			answered.Add(1)
			if r.Err != nil || string(r.Payload) != fmt.Sprint(i) {
				t.Errorf("task %d: %q, %v", i, r.Payload, r.Err)
			}
			if i+chains < chains*length {
				if err := next(i + chains); err != nil {
					t.Error(err)
					all.Done()
				}
				return
			}
			all.Done()
		})
	}
	for i := range chains {
		all.Add(1)
		if err := next(i); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "the end of all chains", finished(&all))
	if n := answered.Load(); n != chains*length {
		t.Errorf("%d of %d callbacks", n, chains*length)
	}
}

// callbacksClose has callbacks close the session and the client while other tasks are unfinished.
func (f *fabric) callbacksClose(t *testing.T) {
	for name, end := range map[string]func(c *client.Client, s *client.Session) error{
		"client":        func(c *client.Client, _ *client.Session) error { return c.Close() },
		"session":       func(_ *client.Client, s *client.Session) error { return s.Close(f.ctx) },
		"session, kill": func(_ *client.Client, s *client.Session) error { return s.Kill(f.ctx) },
	} {
		c := f.dial("")
		s := f.open(c, "verbs")
		var all sync.WaitGroup
		const n = 300
		called := newCounters(n)
		for i := range n {
			all.Add(1)
			err := s.SubmitFunc(f.ctx, fmt.Appendf(nil, "id %d", i), func(r client.Result) {
				defer all.Done()
				called[i].Add(1)
				switch {
				case r.Err == nil && string(r.Payload) != fmt.Sprint(i):
					t.Errorf("%s: task %d is answered by %q", name, i, r.Payload)
				case r.Err != nil && !errors.Is(r.Err, client.ErrClosed) && !errors.Is(r.Err, client.ErrSessionKilled) && !errors.Is(r.Err, client.ErrSessionClosed):
					t.Errorf("%s: task %d: %v", name, i, r.Err)
				}
				if i == n/3 {
					if err := end(c, s); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
			if err != nil {
				all.Done()
				if !errors.Is(err, client.ErrClosed) && !errors.Is(err, client.ErrSessionKilled) && !errors.Is(err, client.ErrSessionClosed) {
					t.Errorf("%s: submit task %d: %v", name, i, err)
				}
				called[i].Add(1)
			}
		}
		soon(t, "the last callback after closing the "+name, finished(&all))
		for i := range called {
			if k := called[i].Load(); k != 1 {
				t.Errorf("%s: the callback of task %d ran %d times", name, i, k)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// callsEndAtRandom has very many goroutines in Call whose contexts end at random times.
func (f *fabric) callsEndAtRandom(t *testing.T) {
	c := f.dial("")
	sessions := []*client.Session{f.open(c, "verbs"), f.open(c, "verbs", client.WithWindow(100, 0))}
	const callers = 10_000
	var all sync.WaitGroup
	var answered, ended atomic.Int64
	for i := range callers {
		s := sessions[i%len(sessions)]
		after := time.Duration(rand.Int64N(int64(3 * time.Second)))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(f.ctx, after)
			defer cancel()
			out, err := s.Call(ctx, fmt.Appendf(nil, "sleep 300us %d", i))
			switch {
			case err == nil && string(out) == fmt.Sprint(i):
				answered.Add(1)
			case errors.Is(err, context.DeadlineExceeded) && errors.Is(err, client.ErrDeadline):
				ended.Add(1)
			default:
				t.Errorf("call %d: %q, %v", i, out, err)
			}
		})
	}
	soon(t, "the end of all calls", finished(&all))
	if answered.Load() == 0 || ended.Load() == 0 {
		t.Error("there should be calls that are answered and others that end before")
	}
	t.Logf("%d calls were answered, %d ended before", answered.Load(), ended.Load())
	for _, s := range sessions {
		f.call(s, "id after", "after")
		if err := s.Close(f.ctx); err != nil {
			t.Error(err)
		}
	}
}

// closeDuringCalls closes the client while goroutines call: each gets its answer, or is told.
func (f *fabric) closeDuringCalls(t *testing.T) {
	for _, callers := range []int{1, 2, 100} {
		c := f.dial("")
		s := f.open(c, "verbs")
		var all sync.WaitGroup
		var calls atomic.Int64
		for i := range callers {
			all.Go(func() {
				for k := 0; ; k++ {
					want := fmt.Sprintf("%d-%d", i, k)
					out, err := s.Call(f.ctx, []byte("id "+want))
					if errors.Is(err, client.ErrClosed) {
						return
					}
					if err != nil || string(out) != want {
						t.Errorf("call %s: %q, %v", want, out, err)
						return
					}
					calls.Add(1)
				}
			})
		}
		await(t, "calls are answered", func() bool { return calls.Load() > int64(callers) })
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		soon(t, "the end of calls after Close", finished(&all))
		if _, err := s.Call(f.ctx, nil); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a call after Close: %v", err)
		}
	}
}
