package embed_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// gather takes all results of a session, and gives them by task.
func gather(ctx context.Context, t *testing.T, s *client.Session) map[protocol.TaskID]string {
	t.Helper()
	got := map[protocol.TaskID]string{}
	for r, err := range s.Results(ctx) {
		if err != nil {
			t.Fatalf("task %v: %v", r.Task, err)
		}
		if _, twice := got[r.Task]; twice {
			t.Fatalf("the result of task %v came twice", r.Task)
		}
		got[r.Task] = string(r.Payload)
	}
	return got
}

// TestAnotherClientGetsWhatOneHasLeft lets a client leave a session with tasks in all states: another one gets every result
// that was not taken, once, and goes on with the session.
func TestAnotherClientGetsWhatOneHasLeft(t *testing.T) {
	for _, policy := range []string{protocol.DisconnectClose, protocol.DisconnectKeep} {
		t.Run(policy, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			release := make(chan struct{})
			f, err := embed.Start(embed.Service("echo", func() worker.Service {
				return worker.Func(func(_ context.Context, in []byte) ([]byte, error) {
					if len(in) > 100 {
						<-release
					}
					return in, nil
				})
			}, embed.WithInstances(1, 2)))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Stop()
			a, err := f.Dial(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s, err := a.OpenSession(ctx, "echo", client.WithDisconnect(policy, 0))
			if err != nil {
				t.Fatal(err)
			}
			taken := map[protocol.TaskID]bool{}
			for i := range 5 {
				task, err := s.Submit(ctx, []byte(fmt.Sprint("early ", i)))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := task.Wait(ctx); err != nil {
					t.Fatal(err)
				}
				taken[task.ID()] = true
			}
			want := map[protocol.TaskID]string{}
			var last *client.Task
			for _, size := range []int{101, 500, protocol.InlinePayload, 102, 200, 300} {
				body := make([]byte, size)
				if last, err = s.Submit(ctx, body); err != nil {
					t.Fatal(err)
				}
				want[last.ID()] = string(body)
			}
			number := s.Number()
			if err := s.Detach(ctx, time.Minute); err != nil {
				t.Fatal(err)
			}
			if _, err := last.Wait(ctx); !errors.Is(err, client.ErrDetached) {
				t.Fatalf("a task of the session that was left ends with %v", err)
			}
			if _, err := s.Submit(ctx, nil); !errors.Is(err, client.ErrDetached) {
				t.Fatalf("a session that was left takes a task: %v", err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}

			b, err := f.Dial(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			for i, err := range b.Sessions(ctx, client.Filter{Session: number}) {
				if err != nil || !i.Detached {
					t.Fatalf("%+v, %v", i, err)
				}
			}
			s, err = b.Attach(ctx, number)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Attach(ctx, number); !errors.Is(err, client.ErrInUse) {
				t.Fatalf("attached to twice: %v", err)
			}
			close(release)
			own, err := s.Submit(ctx, []byte("late"))
			if err != nil {
				t.Fatal(err)
			}
			if out, err := own.Wait(ctx); err != nil || string(out) != "late" {
				t.Fatalf("%q, %v", out, err)
			}
			got := gather(ctx, t, s)
			for id, body := range want {
				if got[id] != body {
					t.Errorf("the result of task %v is missing or wrong", id)
				}
			}
			for id := range got {
				if taken[id] || want[id] == "" {
					t.Errorf("the result of task %v came, which was taken: %v", id, taken[id])
				}
			}
			if len(gather(ctx, t, s)) != 0 {
				t.Error("results came again")
			}
			if err := s.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Attach(ctx, number); !errors.Is(err, client.ErrSessionClosed) {
				t.Fatalf("attached to one that is over: %v", err)
			}
			if _, err := b.Attach(ctx, 4711); !errors.Is(err, client.ErrNoSession) {
				t.Fatalf("attached to one that never was: %v", err)
			}
		})
	}
}

// TestSessionsAreSteered suspends a session, stops its submission, and lets it end by time.
func TestSessionsAreSteered(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := embed.Start(embed.Service("echo", func() worker.Service {
		return worker.Func(func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	c, err := f.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenSession(ctx, "echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(ctx, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Suspend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	task, err := s.Submit(ctx, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	soon, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	if _, err := task.Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a task of a suspended session: %v", err)
	}
	if err := s.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.StopSubmission(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err = s.Call(ctx, nil); err != nil {
			break
		}
	}
	if !errors.Is(err, client.ErrNotAccepting) {
		t.Fatalf("a stopped session: %v", err)
	}
	if err := s.Accept(ctx); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]client.SessionOption{
		"idle": client.WithIdleTimeout(300 * time.Millisecond), "lifetime": client.WithLifetime(300 * time.Millisecond),
	} {
		s, err := c.OpenSession(ctx, "echo", o)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Done():
		case <-ctx.Done():
			t.Fatalf("%s: it does not end", name)
		}
		if !errors.Is(s.Err(), client.ErrSessionExpired) {
			t.Fatalf("%s: %v", name, s.Err())
		}
	}
}
