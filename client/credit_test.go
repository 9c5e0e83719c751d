package client

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// untaken submits tasks whose results are a multiple of the client's credit, and waits until the broker holds results,
// and the client has those that it sent.
func untaken(t *testing.T, b *fakeBroker) (*Client, *Session, []*Task) {
	t.Helper()
	c := b.dial(WithResultCredit(64 << 10))
	s, err := c.OpenSession(soon(t), "echo")
	if err != nil {
		t.Fatal(err)
	}
	var tasks []*Task
	for range 500 {
		tasks = append(tasks, submit(t, s, make([]byte, 1000)))
	}
	eventually(t, "the broker waits for credit", func() (ok bool) {
		b.do(func() {
			for _, e := range b.loop.ends {
				ok = len(e.waiting) > 0
			}
		})
		return ok
	})
	eventually(t, "the client has what its credit allows", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.full()
	})
	return c, s, tasks
}

// TestWaitForWhatIsBehind waits for tasks whose results are behind more untaken results than the credit allows.
func TestWaitForWhatIsBehind(t *testing.T) {
	check := func(t *testing.T, c *Client) {
		t.Helper()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.blocked != 0 {
			t.Errorf("%d callers count as waiting, and none is", c.blocked)
		}
		for _, a := range c.accounts {
			if a.held != 0 || a.early != 0 {
				t.Errorf("%d bytes count as held, %d as told early; all is taken", a.held, a.early)
			}
		}
	}
	t.Run("wait", func(t *testing.T) {
		c, _, tasks := untaken(t, newFakeBroker(t, "inproc"))
		for _, task := range slices.Backward(tasks) {
			if _, err := task.Wait(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		check(t, c)
	})
	t.Run("done", func(t *testing.T) {
		c, _, tasks := untaken(t, newFakeBroker(t, "inproc"))
		select {
		case <-tasks[len(tasks)-1].Done():
		case <-soon(t).Done():
			t.Fatal("the last task was not finished")
		}
		for _, task := range tasks {
			if _, err := task.Wait(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		check(t, c)
	})
	t.Run("call", func(t *testing.T) {
		c, s, tasks := untaken(t, newFakeBroker(t, "inproc"))
		if out, err := s.Call(soon(t), []byte("x")); err != nil || string(out) != "x" {
			t.Fatalf("%q, %v", out, err)
		}
		for _, task := range tasks {
			task.Cancel()
		}
		check(t, c)
	})
	t.Run("close", func(t *testing.T) {
		c, s, tasks := untaken(t, newFakeBroker(t, "inproc"))
		if err := s.Close(soon(t)); err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if _, err := task.Wait(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		check(t, c)
	})
}

// TestMapStopsWhenResultsFillTheCredit has Map wait for its first result instead of sending more, when results that it
// cannot give out yet fill the client's credit.
func TestMapStopsWhenResultsFillTheCredit(t *testing.T) {
	_, s, tasks := untaken(t, newFakeBroker(t, "inproc"))
	var m Method[[]byte, []byte]
	if _, err := m.submitAhead(soon(t), s, []byte("x"), 1); !errors.Is(err, errNoRoom) {
		t.Errorf("%v, want errNoRoom", err)
	}
	for _, task := range tasks {
		task.Cancel()
	}
	next, err := m.submitAhead(soon(t), s, []byte("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := next.Task.Wait(soon(t)); err != nil || string(out) != "x" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestTheBrokerLearnsWhenResultsAreTaken asks the client to tell when a result, which is far below what it tells by itself,
// was taken: it tells then, and not before.
func TestTheBrokerLearnsWhenResultsAreTaken(t *testing.T) {
	b := newFakeBroker(t, "inproc")
	c := b.dial()
	s, err := c.OpenSession(soon(t), "echo")
	if err != nil {
		t.Fatal(err)
	}
	var tasks []*Task
	for range 3 {
		tasks = append(tasks, submit(t, s, []byte("12345")))
	}
	for _, task := range tasks {
		select {
		case <-task.Done():
		case <-soon(t).Done():
			t.Fatal("a task was not finished")
		}
	}
	told := func() (n int64) {
		b.do(func() {
			for _, e := range b.loop.ends {
				n = e.consumed
			}
		})
		return n
	}
	b.do(func() {
		for _, e := range b.loop.ends {
			e.link.Append(protocol.KindAskCredit, 0, 10, nil)
		}
	})
	for i, want := range []int64{0, 10, 10} {
		if _, err := tasks[i].Wait(soon(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("the broker was told %d after %d of 3 results", want, i+1), func() bool { return told() == want })
	}
}

// Large results of callbacks that have not returned count against the credit: what a slow application cannot take waits at
// the broker, not in this process. All are taken in the end, and a callback may wait for a task whose result is behind.
func TestCallbacksThatBlockHoldTheCredit(t *testing.T) {
	const tasks, size = 40, 10_000
	for name, inside := range map[string]func(*Session) error{
		"blocked": func(*Session) error { return nil },
		"calling": func(s *Session) error {
			_, err := s.Call(soon(t), []byte("from a callback"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker(t, "inproc")
			c := b.dial(WithResultCredit(64 << 10))
			s, err := c.OpenSession(soon(t), "echo")
			if err != nil {
				t.Fatal(err)
			}
			goOn := make(chan struct{})
			var begun atomic.Int64
			ended := make(chan error, tasks)
			for range tasks {
				err := s.SubmitFunc(soon(t), make([]byte, size), func(r Result) {
					begun.Add(1)
					<-goOn
					ended <- errors.Join(r.Err, inside(s))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the broker waits for credit", func() (ok bool) {
				b.do(func() {
					for _, e := range b.loop.ends {
						ok = len(e.waiting) > 0
					}
				})
				return ok && begun.Load() >= 6
			})
			if n := begun.Load(); n > (64<<10)/size+2 {
				t.Errorf("%d callbacks hold results of %d bytes, the credit is %d", n, size, 64<<10)
			}
			close(goOn)
			for range tasks {
				select {
				case err := <-ended:
					if err != nil {
						t.Fatal(err)
					}
				case <-soon(t).Done():
					t.Fatal("not all callbacks have returned")
				}
			}
			eventually(t, "nothing counts as held", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return !slices.ContainsFunc(c.accounts, func(a *account) bool { return a.held != 0 || a.early != 0 })
			})
		})
	}
}
