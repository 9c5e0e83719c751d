package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// tell emits parts until it is killed in its first attempt, and three in the next, whose result is what the first has kept
// with its session.
func tell(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	if t.Attempt() == 1 {
		if err := t.Session().Put(ctx, t.Key(), []byte("kept")); err != nil {
			return nil, err
		}
	}
	for i := 0; t.Attempt() == 1 || i < 3; i++ {
		t.Progress(float64(t.Attempt()), "telling")
		if err := t.Emit(ctx, fmt.Appendf(nil, "%d.%d", t.Attempt(), i)); err != nil {
			return nil, err
		}
	}
	value, _, err := t.Session().Get(ctx, t.Key())
	return value, err
}

// kill -9 of an instance that emits: its client hears the parts of the first attempt, then those of the second from 0, then
// one result. What the first attempt has kept with its session is there for the second.
func TestInstanceKilledWhileItEmits(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	s := f.open(c, "verbs")
	f.serving(c, "verbs", 1)
	var heard, next [3]int // by attempt
	attempt, killed, ended := 0, false, false
	var at protocol.Progress
	out, err := s.Call(f.ctx, []byte("tell"), client.WithPartials(func(p client.Partial) {
		switch {
		case p.Attempt < attempt || p.Attempt > 2:
			t.Errorf("a part of attempt %d after one of %d", p.Attempt, attempt)
			return
		case p.Number != next[p.Attempt] || string(p.Payload) != fmt.Sprintf("%d.%d", p.Attempt, p.Number):
			t.Errorf("part %d of attempt %d is %q, want part %d", p.Number, p.Attempt, p.Payload, next[p.Attempt])
		case ended:
			t.Error("a part after the result")
		}
		attempt = p.Attempt
		next[attempt]++
		heard[attempt]++
		if heard[1] == 1000 && !killed {
			killed = true
			sigkill(f.instances(progVerbs)...)
		}
	}), client.WithProgress(func(p protocol.Progress) { at = p }))
	ended = true
	if err != nil || string(out) != "kept" || heard[1] < 1000 || heard[2] != 3 {
		t.Errorf("%q, %v after %d and %d parts", out, err, heard[1], heard[2])
	}
	if at.Attempt != 2 || at.Percent != 2 || at.Text != "telling" {
		t.Errorf("the last progress is %+v", at)
	}
}
