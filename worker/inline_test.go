package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// bare is an instance without sockets and goroutines, and who talks to it: what is measured is the instance alone.
type bare struct {
	*server
	hand  *hand
	nodes [instance.Lines]*link.Node
	links [instance.Lines]*link.Link
	said  []string // on the data line, since the last look
	deaf  bool

	executed int
}

// newBare makes an instance that serves, with one session bound.
func newBare(tb testing.TB, service Service, slots int) *bare {
	tb.Helper()
	s, err := newServer(context.Background(), service, options{
		log: zerolog.New(io.Discard), identity: protocol.Identity{Service: "s", Slots: slots, Endpoints: []string{"tcp://control"}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.wake.Close(); err != nil {
			tb.Error(err)
		}
	})
	s.baton.watching = true
	b := &bare{server: s, hand: newHand(s)}
	s.hands = append(s.hands, b.hand)
	for line := range instance.Lines {
		b.nodes[line] = link.NewNode(protocol.NewEpoch(1, 1), uint64(line)+1)
		b.links[line] = b.nodes[line].Link()
	}
	s.now = time.Now()
	s.engine.Start(s.now)
	b.turn()
	for n := range uint32(2) {
		b.say(protocol.KindBind, n+1, 0, protocol.Bind{Session: n + 1})
	}
	b.turn()
	b.heard()
	s.baton.learn(1000, 50*time.Microsecond) // hooks are known to be quick
	return b
}

// turn lets everything happen that can.
func (b *bare) turn() {
	for range 10 {
		for line := range instance.Lines {
			b.tell(line)
		}
		b.mu.Lock()
		b.runInline(b.hand)
		b.mu.Unlock()
		b.listen()
	}
}

// tell has the instance take in what it was told on a line.
func (b *bare) tell(line instance.Line) {
	for _, f := range b.nodes[line].Take(nil) {
		if _, records, _, ok := f.Leave(); ok {
			b.engine.Receive(b.now, line, records, nil)
		}
		f.Sent()
	}
}

// listen takes what the instance says.
func (b *bare) listen() {
	b.batch.Reset()
	b.engine.Take(&b.batch)
	for line := range instance.Lines {
		for _, f := range b.batch.Frames[line] {
			if _, records, _, ok := f.Leave(); ok {
				b.hear(line, records)
			}
			f.Sent()
		}
	}
}

func (b *bare) hear(line instance.Line, frame []byte) {
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		panic(err)
	}
	reader := protocol.NewReader(rest)
	var rec protocol.Record
	if ok, _ := reader.Next(&rec); ok && rec.Kind == protocol.KindHello {
		var hello protocol.Hello
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &hello); err != nil {
			panic(err)
		}
		b.links[line].Accept(1, h, hello, protocol.Welcome{Version: 1})
		if line == instance.Control {
			b.links[line].Append(protocol.KindRefer, 0, 0, protocol.Marshal(protocol.Refer{
				Service: "s", Endpoint: "tcp://loop", Epoch: b.nodes[line].Epoch,
			}))
		}
		return
	}
	b.links[line].Receive(h, len(frame))
	for ok := rec.Kind != 0; ok && line == instance.Data && !b.deaf; ok, _ = reader.Next(&rec) {
		switch rec.Kind {
		case protocol.KindExecuted:
			b.executed += int(rec.Session)
		case protocol.KindResult:
			b.said = append(b.said, fmt.Sprintf("result %d/%d %.4s", rec.Session, rec.Task, rec.Payload))
		default:
			b.said = append(b.said, strings.ToLower(fmt.Sprintf("%v %d/%d", rec.Kind, rec.Session, rec.Task)))
		}
	}
}

// heard gives what was said since the last look.
func (b *bare) heard() []string {
	b.listen()
	said := b.said
	b.said = nil
	return said
}

func (b *bare) wants(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := b.heard(); !slices.Equal(got, want) {
		t.Errorf("%s: said\n %q, want\n %q", what, got, want)
	}
}

// say has the manager say something.
func (b *bare) say(kind protocol.Kind, session uint32, task uint64, body any) {
	b.links[instance.Data].Append(kind, session, task, protocol.Marshal(body))
}

// send has the manager send tasks in one frame, with their numbers as payloads.
func (b *bare) send(session uint32, tasks ...uint64) {
	run := link.NewRun(b.links[instance.Data], protocol.KindDispatch, session)
	for _, n := range tasks {
		run.AddDispatch(n, fmt.Append(nil, n), protocol.NewTaskID(n, 0))
	}
	run.End()
}

// obeys carries out the orders of the engine, as flush does, and hears what is said.
func (b *bare) obeys() {
	b.tell(instance.Data)
	b.listen()
	for _, o := range b.batch.Orders {
		if o.Kind == instance.Abort {
			b.abort(&o)
		}
	}
}

// inline runs hooks as the driver does, until there is nothing to be done.
func (b *bare) inline(h *hand) (mine bool) {
	b.tell(instance.Data)
	b.mu.Lock()
	defer b.mu.Unlock()
	for more := true; more; {
		if more, mine = b.runInline(h); !mine {
			return false
		}
	}
	return true
}

// on is a service whose hook of a task is a function.
type on struct {
	Base
	exec func(ctx context.Context, t *TaskContext, n uint64) ([]byte, error)
}

func (s on) OnTaskExec(ctx context.Context, t *TaskContext) ([]byte, error) {
	return s.exec(ctx, t, t.TaskID().Sequence())
}

// A driver that is in a hook for long loses its role in the middle of a run: what has ended leaves, what has not begun is
// queued, can be recalled and aborted, and is begun by others; the one that runs can be aborted.
func TestARunIsTakenFromADriverInAHook(t *testing.T) {
	var b *bare
	b = newBare(t, on{exec: func(ctx context.Context, c *TaskContext, n uint64) ([]byte, error) {
		if n != 4 {
			return c.Payload(), nil
		}
		seen, _ := b.look(0, 0)
		if b.baton.term != 0 || !b.baton.hurry {
			t.Error("the first look took the role away, or did not hurry")
		}
		b.look(seen, 0)
		if b.baton.term != 1 || b.baton.driven {
			t.Error("the second look did not take the role away")
		}
		b.wants(t, "at once", "result 1/1 1", "result 1/2 2", "result 1/3 3")
		b.say(protocol.KindRecall, 1, 6, nil)
		b.say(protocol.KindAbort, 1, 7, byTest)
		b.say(protocol.KindAbort, 1, 3, byTest)
		b.say(protocol.KindRecall, 1, 4, nil)
		b.obeys()
		b.wants(t, "recalled and aborted", "recalled 1/6", "failure 1/7", "stopping 1/3")
		if ctx.Err() != nil {
			t.Error("the context ended for another task")
		}
		b.baton.mean = time.Microsecond
		b.send(1, 9)
		b.inline(newHand(b.server))
		b.wants(t, "by another", "result 1/5 5", "result 1/8 8", "result 1/9 9")
		b.say(protocol.KindAbort, 1, 4, byTest)
		b.obeys()
		if !errors.Is(context.Cause(ctx), byTest) {
			t.Errorf("the context ended because of %v", context.Cause(ctx))
		}
		return []byte("late"), nil
	}}, 2)
	b.send(1, 1, 2, 3, 4, 5, 6, 7, 8)
	if b.inline(b.hand) {
		t.Error("the driver does not know that it is none any more")
	}
	b.wants(t, "in the end", "stopping 1/4", "result 1/4 late")
	b.baton.mean = time.Microsecond
	b.send(1, 10)
	if !b.inline(b.hand) {
		t.Error("the driver lost its role")
	}
	if b.wants(t, "afterwards", "result 1/10 10"); b.executed != 8 {
		t.Errorf("%d tasks were executed, want 8", b.executed)
	}
}

// With one slot nothing begins beside a hook that is under way, and what it held up follows.
func TestARunGoesOnAfterALongHook(t *testing.T) {
	var b *bare
	b = newBare(t, on{exec: func(_ context.Context, c *TaskContext, n uint64) ([]byte, error) {
		if n == 2 {
			b.mu.Lock()
			b.stepAside()
			b.mu.Unlock()
			b.baton.mean = time.Microsecond
			b.inline(newHand(b.server))
			b.wants(t, "at once", "result 1/1 1")
			b.say(protocol.KindRecall, 1, 4, nil)
			b.obeys()
		}
		return c.Payload(), nil
	}}, 1)
	b.send(1, 1, 2, 3, 4, 5)
	b.inline(b.hand)
	b.wants(t, "when it has ended", "recalled 1/4", "result 1/2 2")
	b.baton.mean = time.Microsecond
	b.inline(b.hand)
	b.wants(t, "afterwards", "result 1/3 3", "result 1/5 5")
}

// What is not an ordinary result is said in its place, and the tasks behind it follow.
func TestOddOutcomesWithinARun(t *testing.T) {
	big := bytes.Repeat([]byte("b"), protocol.InlinePayload-1)
	var contexts []context.Context
	b := newBare(t, on{exec: func(ctx context.Context, c *TaskContext, n uint64) ([]byte, error) {
		switch n {
		case 2:
			return nil, byTest
		case 4:
			contexts = append(contexts, ctx)
			if ctx.Done() == nil || ctx.Err() != nil {
				t.Error("the context cannot end, or has ended")
			}
		case 6:
			c.Progress(50, "half")
			c.Progress(60, "more") // is told with the end of the task
		case 8, 9, 10, 11, 12:
			return big, nil
		case 13:
			return append(big, 'b'), nil
		case 14:
			return nil, c.Emit(ctx, []byte("part"))
		}
		if n > 4 && context.Cause(contexts[0]) == nil {
			t.Errorf("task 4 is over, and its context is not (in task %d)", n)
		}
		return c.Payload(), nil
	}}, 1)
	b.send(1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	b.inline(b.hand)
	b.wants(t, "in order", "result 1/1 1", "failure 1/2", "result 1/3 3", "result 1/4 4", "progress 1/6", "progress 1/6", "result 1/5 5",
		"result 1/6 6", "result 1/7 7", "result 1/8 bbbb", "result 1/9 bbbb", "result 1/10 bbbb", "result 1/11 bbbb",
		"result 1/12 bbbb", "result 1/13 ", "partial 1/14", "result 1/14 ", "result 1/15 15")
	if b.executed != 15 {
		t.Errorf("%d tasks were executed, want 15", b.executed)
	}
}

// A panic fails its task alone, and nothing is begun after it.
func TestPanicWithinARun(t *testing.T) {
	b := newBare(t, on{exec: func(_ context.Context, c *TaskContext, n uint64) ([]byte, error) {
		if n == 3 {
			panic("at the third")
		}
		return c.Payload(), nil
	}}, 1)
	b.send(1, 1, 2, 3, 4, 5)
	b.inline(b.hand)
	b.wants(t, "a panic", "result 1/1 1", "result 1/2 2", "failure 1/3", "drain 0/0")
	b.say(protocol.KindRecall, 1, 4, nil)
	b.obeys()
	b.wants(t, "a recall", "recalled 1/4")
}

// An instance that is asked to end in the middle of a run begins nothing more.
func TestStopWithinARun(t *testing.T) {
	var b *bare
	b = newBare(t, on{exec: func(_ context.Context, c *TaskContext, n uint64) ([]byte, error) {
		if n == 2 {
			b.stop()
		}
		return c.Payload(), nil
	}}, 1)
	b.send(1, 1, 2, 3)
	b.inline(b.hand)
	b.wants(t, "a stop", "drain 0/0", "result 1/1 1", "result 1/2 2")
}

// Sessions take turns, a stride of tasks each.
func TestRunsOfSessionsByTurns(t *testing.T) {
	var order []string
	b := newBare(t, on{exec: func(_ context.Context, c *TaskContext, _ uint64) ([]byte, error) {
		order = append(order, c.Key())
		return c.Payload(), nil
	}}, 1)
	b.send(1, 1, 2, 3, 4, 5)
	b.send(2, 1, 2, 3)
	b.tell(instance.Data)
	for more := true; more; {
		b.baton.stride = 2
		b.mu.Lock()
		more, _ = b.runInline(b.hand)
		b.mu.Unlock()
	}
	if want := []string{"1/1", "1/2", "2/1", "2/2", "1/3", "1/4", "2/3", "1/5"}; !slices.Equal(order, want) {
		t.Errorf("ran %v, want %v", order, want)
	}
}

// A service may keep a payload, and use the memory of its result again.
func TestPayloadsAndResultsWithinARun(t *testing.T) {
	var kept [][]byte
	result := make([]byte, 1)
	b := newBare(t, on{exec: func(_ context.Context, c *TaskContext, n uint64) ([]byte, error) {
		kept = append(kept, append(c.Payload(), '!')) // that does not reach into the next one's
		result[0] = byte('a' + n)
		return result, nil
	}}, 1)
	for round := range uint64(3) {
		b.send(1, 3*round, 3*round+1, 3*round+2)
		b.inline(b.hand)
	}
	b.wants(t, "results", "result 1/0 a", "result 1/1 b", "result 1/2 c", "result 1/3 d", "result 1/4 e", "result 1/5 f",
		"result 1/6 g", "result 1/7 h", "result 1/8 i")
	if got := string(bytes.Join(kept, nil)); got != "0!1!2!3!4!5!6!7!8!" {
		t.Errorf("kept payloads %q", got)
	}
}

// echoing gives back what it gets.
type echoing struct{ Base }

func (echoing) OnTaskExec(_ context.Context, t *TaskContext) ([]byte, error) { return t.Payload(), nil }

// BenchmarkInstance measures all of the instance's own work for tasks of 16 bytes that arrive 400 to a frame.
func BenchmarkInstance(b *testing.B) {
	i := newBare(b, echoing{}, 1)
	i.deaf = true
	const burst = 400
	payload := []byte("0123456789abcdef")
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += burst {
		run := link.NewRun(i.links[instance.Data], protocol.KindDispatch, 1)
		for k := range uint64(burst) {
			run.AddDispatch(k+1, payload, protocol.NewTaskID(k+1, 0))
		}
		run.End()
		i.tell(instance.Data)
		i.mu.Lock()
		i.runInline(i.hand)
		i.mu.Unlock()
		i.listen()
	}
}
