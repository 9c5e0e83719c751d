package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func TestCallsOfAllSizes(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.service("echo", progEcho, 2))
		for _, endpoint := range []string{f.tcp, f.ipc} {
			s := f.open(f.dial(endpoint), "echo")
			for _, size := range []int{0, 1, 100, protocol.InlinePayload - 1, protocol.InlinePayload, 64 << 10, 1 << 20, protocol.DefaultMaxPayload} {
				in := random(size)
				out, err := s.Call(f.ctx, in)
				if err != nil || !bytes.Equal(out, in) {
					t.Errorf("%s: a call of %d bytes brings %d, %v", endpoint, size, len(out), err)
				}
			}
			if err := s.Close(f.ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

// random gives bytes that nothing else is equal to.
func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = r.Read(b) // never fails
	return b
}

func TestManyPayloadsAtOnce(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("echo", progEcho, 2))
	// Inline ones and frames of their own in turn, far more bytes than the window.
	s := f.open(c, "echo", client.WithWindow(0, 4<<20))
	const tasks = 400
	sizes := []int{0, 3, protocol.InlinePayload - 1, protocol.InlinePayload, 100_000, 1 << 20}
	if testing.Short() {
		sizes[5] = 400_000
	}
	var got sync.Map
	var all sync.WaitGroup
	for i := range tasks {
		all.Add(1)
		in := random(sizes[i%len(sizes)] + i)
		err := s.SubmitFunc(f.ctx, in, func(r client.Result) {
			defer all.Done()
			if r.Err != nil || !bytes.Equal(r.Payload, in) {
				t.Errorf("task %d of %d bytes: %d bytes, %v", i, len(in), len(r.Payload), r.Err)
			}
			if _, twice := got.LoadOrStore(i, true); twice {
				t.Errorf("task %d is answered twice", i)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

func TestWaysToSubmit(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.service("verbs", progVerbs, 2), f.service("double", progDouble, 1))
		s := f.open(c, "verbs")

		t.Run("Wait", func(*testing.T) { f.waits(s) })
		t.Run("Results", func(*testing.T) { f.results(s) })
		t.Run("Map", func(*testing.T) { f.maps(f.open(c, "double")) })
		t.Run("failure", func(t *testing.T) {
			_, err := s.Call(f.ctx, []byte("fail no such curve"))
			if !errors.Is(err, client.ErrTaskFailed) {
				t.Errorf("a failing task brings %v", err)
			}
			mustSay(t, err, "no such curve")
		})
		t.Run("retry", func(*testing.T) { f.call(s, "retry 3", "3") })
	})
}

// waits submits tasks and waits for them in another order.
func (f *fabric) waits(s *client.Session) {
	var tasks []*client.Task
	for i := range 200 {
		task, err := s.Submit(f.ctx, fmt.Appendf(nil, "id %d", i))
		if err != nil {
			f.t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	for i, task := range slices.Backward(tasks) {
		out, err := task.Wait(f.ctx)
		if err != nil || string(out) != fmt.Sprint(i) {
			f.t.Errorf("task %d: %q, %v", i, out, err)
		}
	}
}

// results submits tasks and takes their results as they come.
func (f *fabric) results(s *client.Session) {
	want := map[protocol.TaskID]string{}
	for i := range 200 {
		task, err := s.Submit(f.ctx, fmt.Appendf(nil, "id r%d", i))
		if err != nil {
			f.t.Fatal(err)
		}
		want[task.ID()] = fmt.Sprintf("r%d", i)
	}
	for r, err := range s.Results(f.ctx) {
		if err != nil || want[r.Task] != string(r.Payload) {
			f.t.Errorf("task %v: %q, %v; want %q", r.Task, r.Payload, err, want[r.Task])
		}
		delete(want, r.Task)
	}
	if len(want) > 0 {
		f.t.Errorf("%d results did not come", len(want))
	}
}

// maps maps a typed function over numbers, one of which it refuses.
func (f *fabric) maps(s *client.Session) {
	m := client.Method[int, int]{}
	const n = 1000
	i := 0
	for out, err := range m.Map(f.ctx, s, func(yield func(int) bool) {
		for k := range n {
			if k == 500 {
				k = -1
			}
			if !yield(k) {
				return
			}
		}
	}) {
		switch {
		case i == 500 && (err == nil || !strings.Contains(err.Error(), "-1 is negative")):
			f.t.Errorf("-1 gives %d, %v", out, err)
		case i != 500 && (err != nil || out != 2*i):
			f.t.Errorf("%d gives %d, %v", i, out, err)
		}
		i++
	}
	if i != n {
		f.t.Errorf("%d of %d outputs", i, n)
	}
}

func TestSeveralServicesAndSessionsOfOneClient(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 2)
		c := f.dial("")
		const services, sessions, tasks = 3, 4, 50
		var all sync.WaitGroup
		for i := range services {
			name := fmt.Sprintf("s%d", i)
			svc := f.service(name, progVerbs, 1)
			svc.Sessions = 2 // fewer than there are: they take turns
			f.register(c, svc)
			for k := range sessions {
				s := f.open(c, name, client.WithParameters([]byte(name+fmt.Sprint(k))))
				all.Go(func() { f.work(s, name+fmt.Sprint(k), tasks) })
			}
		}
		all.Wait()
	})
}

// work lets a session do tasks, and checks that it is the one with these parameters.
func (f *fabric) work(s *client.Session, parameters string, tasks int) {
	for i := range tasks {
		out, err := s.Call(f.ctx, []byte("parameters"))
		if err != nil || string(out) != parameters {
			f.t.Errorf("task %d of the session with %q: %q, %v", i, parameters, out, err)
			return
		}
	}
	if err := s.Close(f.ctx); err != nil {
		f.t.Errorf("session with %q: %v", parameters, err)
	}
}

func TestSessionData(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	a, b := f.open(c, "verbs"), f.open(c, "verbs")
	f.call(a, "put key of a", "")
	f.call(b, "put key of b", "")
	f.call(a, "get key", "of a")
	f.call(b, "get key", "of b")
}

func TestWindowHoldsSubmitBack(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	s := f.open(c, "verbs", client.WithWindow(2, 0))
	for range 2 {
		if _, err := s.Submit(f.ctx, []byte("block")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(f.ctx, 50*patience/1000)
	defer cancel()
	if _, err := s.Submit(ctx, []byte("id 3")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrDeadline) {
		t.Errorf("a task beyond the window: %v", err)
	}
	if err := s.Kill(f.ctx); err != nil {
		t.Error(err)
	}
}
