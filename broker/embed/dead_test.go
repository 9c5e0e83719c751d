package embed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// Tasks whose attempts are spent are kept with all that is needed to run them again, whatever the size of their payload.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	var executions atomic.Int32
	_, c := embed.Test(t, embed.Service("fails", each(func(_ context.Context, task *worker.TaskContext) ([]byte, error) {
		executions.Add(1)
		return nil, worker.Retry(fmt.Errorf("attempt %d", task.Attempt()))
	}), embed.WithRetry(protocol.Retry{Attempts: 3, Backoff: protocol.Duration(time.Millisecond)})))
	s := open(t, c, "fails", client.WithSessionName("night"), client.WithParameters([]byte("p")))
	payloads := [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), 600_000)}
	for i, p := range payloads {
		_, err := s.Call(t.Context(), p)
		if protocol.CodeOf(err) != protocol.CodeAttemptsSpent || !strings.Contains(err.Error(), "attempt 3") {
			t.Fatalf("the call ends with %v", err)
		}
		if n := executions.Swap(0); n != 3 {
			t.Fatalf("executed %d times", n)
		}
		l, payload, err := c.DeadLetter(t.Context(), uint64(i+1))
		if err != nil || !bytes.Equal(payload, p) {
			t.Fatalf("entry %d: %v, %d bytes of its payload, which has %d", i+1, err, len(payload), len(p))
		}
		if l.Service != "fails" || l.Session != s.Number() || l.SessionName != "night" || string(l.Parameters) != "p" || l.Environment != "default" ||
			l.Attempts != 3 || len(l.Instances) != 3 || l.Last == nil || l.Last.Msg != "attempt 3" {
			t.Errorf("entry %d is %+v", i+1, l)
		}
	}
	var ids []uint64
	for l, err := range c.DeadLetters(t.Context(), client.Filter{Service: "fails"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, l.ID)
	}
	if fmt.Sprint(ids) != "[1 2]" {
		t.Errorf("entries %v", ids)
	}
	if n, err := c.LostDeadLetters(t.Context()); n != 0 || err != nil {
		t.Errorf("%d are lost, %v", n, err)
	}
	drops := func(which protocol.DropDead, want int) {
		t.Helper()
		if n, err := c.DropDeadLetters(t.Context(), which); n != want || err != nil {
			t.Fatalf("%+v: %d were dropped, %v; want %d", which, n, err, want)
		}
	}
	drops(protocol.DropDead{Service: "nobody"}, 0)
	drops(protocol.DropDead{IDs: []uint64{1}}, 1)
	drops(protocol.DropDead{IDs: []uint64{1}}, 0)
	drops(protocol.DropDead{IDs: []uint64{2}, Service: "nobody"}, 0)
	if _, _, err := c.DeadLetter(t.Context(), 1); protocol.CodeOf(err) != protocol.CodeNotFound {
		t.Errorf("a dropped entry: %v", err)
	}
	drops(protocol.DropDead{Service: "fails"}, 1)
	drops(protocol.DropDead{All: true}, 0)
	if _, err := c.DropDeadLetters(t.Context(), protocol.DropDead{}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("nothing is named: %v", err)
	}
}

// An entry is run again as it was, and is off the list when that succeeds.
func TestRetryOfADeadLetter(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	_, c := embed.Test(t, embed.Service("mended", each(func(_ context.Context, task *worker.TaskContext) ([]byte, error) {
		if !mended.Load() {
			return nil, worker.Retry(errors.New("broken"))
		}
		s := task.Session()
		return fmt.Appendf(nil, "%s %s %s", s.Name(), s.Parameters(), task.Payload()), nil
	}), embed.WithRetry(protocol.Retry{Attempts: 1})))
	s := open(t, c, "mended", client.WithSessionName("night"), client.WithParameters([]byte("p")))
	if _, err := s.Call(t.Context(), []byte("x")); protocol.CodeOf(err) != protocol.CodeAttemptsSpent {
		t.Fatal(err)
	}
	for id := range uint64(2) { // its number is another one each time: the list does not grow
		if _, err := c.RetryDeadLetter(t.Context(), id+1); !errors.Is(err, client.ErrAttemptsSpent) || !strings.Contains(err.Error(), fmt.Sprintf("given up again, as number %d ", id+2)) {
			t.Errorf("run again while it is broken: %v", err)
		}
	}
	mended.Store(true)
	if out, err := c.RetryDeadLetter(t.Context(), 3); string(out) != "night p x" || err != nil {
		t.Errorf("run again: %q, %v", out, err)
	}
	for id := range uint64(3) {
		if _, err := c.RetryDeadLetter(t.Context(), id+1); protocol.CodeOf(err) != protocol.CodeNotFound {
			t.Errorf("once more %d: %v", id+1, err)
		}
	}
}

// What a service says of the time counts.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const least = 300 * time.Millisecond
	var first, second time.Time
	_, c := embed.Test(t, embed.Service("busy", each(func(_ context.Context, task *worker.TaskContext) ([]byte, error) {
		if task.Attempt() == 1 {
			first = time.Now()
			return nil, worker.RetryAfter(least, errors.New("busy"))
		}
		second = time.Now()
		return nil, nil
	}), embed.WithRetry(protocol.Retry{Backoff: protocol.Duration(time.Millisecond)})))
	if _, err := open(t, c, "busy").Call(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if d := second.Sub(first); d < least-10*time.Millisecond {
		t.Errorf("run again after %v, %v were asked for", d, least)
	}
}
