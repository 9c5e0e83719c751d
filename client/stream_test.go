package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

const patience = 30 * time.Second

// teller is a service whose tasks say how many parts of which size they emit, and then what: "3 10 fail" fails its first
// attempt.
type teller struct {
	worker.Base
	emitted *atomic.Int64 // bytes, by all of them
}

func (s teller) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	var parts, size int
	var then string
	if n, err := fmt.Sscan(string(t.Payload())+" -", &parts, &size, &then); n < 3 {
		return nil, worker.Permanent(err)
	}
	for i := range parts {
		part := fmt.Appendf(nil, "%d/%d", t.Attempt(), i)
		part = append(part, make([]byte, max(0, size-len(part)))...)
		if err := t.Emit(ctx, part); err != nil {
			return nil, err
		}
		s.emitted.Add(int64(len(part)))
		t.Progress(float64(100*(i+1)/parts), then)
	}
	if then == "fail" && t.Attempt() == 1 {
		return nil, worker.Retry(errors.New("as it was told"))
	}
	return fmt.Appendf(nil, "%d", t.Attempt()), nil
}

// telling opens a session with the teller. emitted is how many bytes its tasks have emitted.
func telling(t *testing.T, dial []client.Option, opts ...client.SessionOption) (s *client.Session, emitted *atomic.Int64) {
	t.Helper()
	emitted = &atomic.Int64{}
	f, err := embed.Start(embed.Service("teller", func() worker.Service { return teller{emitted: emitted} }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := f.Dial(t.Context(), dial...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	opts = append(opts, client.WithSessionRetry(protocol.Retry{Backoff: protocol.Duration(time.Millisecond)}))
	if s, err = c.OpenSession(t.Context(), "teller", opts...); err != nil {
		t.Fatal(err)
	}
	return s, emitted
}

// journal notes what one task has said. Its functions are called one after the other.
type journal struct {
	calls []string
	most  float64
}

func (j *journal) options() []client.TaskOption {
	return []client.TaskOption{
		client.WithPartials(func(p client.Partial) {
			text, _, _ := strings.Cut(string(p.Payload), "\x00")
			j.calls = append(j.calls, fmt.Sprintf("%d.%d=%s", p.Attempt, p.Number, text))
		}),
		client.WithProgress(func(p protocol.Progress) { j.most = p.Percent }),
	}
}

func TestWhatATaskSaysComesBeforeItsEnd(t *testing.T) {
	s, _ := telling(t, nil)
	want := []string{"1.0=1/0", "1.1=1/1", "1.2=1/2"}
	check := func(how string, j *journal, out []byte, err error) {
		t.Helper()
		if err != nil || string(out) != "1" || !slices.Equal(j.calls, want) || j.most != 100 {
			t.Errorf("%s: %q, %v; heard %q, at %v", how, out, err, j.calls, j.most)
		}
	}
	for range 20 {
		var j journal
		out, err := s.Call(t.Context(), []byte("3 10"), j.options()...)
		check("Call", &j, out, err)
	}
	var j journal
	task, err := s.Submit(t.Context(), []byte("3 10"), j.options()...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := task.Wait(t.Context())
	check("Submit", &j, out, err)
	j = journal{}
	done := make(chan client.Result, 1)
	if err := s.SubmitFunc(t.Context(), []byte("3 10"), func(r client.Result) { done <- r }, j.options()...); err != nil {
		t.Fatal(err)
	}
	r := <-done
	check("SubmitFunc", &j, r.Payload, r.Err)
	if out, err := s.Call(t.Context(), []byte("3 10")); err != nil || string(out) != "1" {
		t.Errorf("a task to whose parts nobody listens: %q, %v", out, err)
	}
}

func TestPartsOfATaskThatIsRunAgain(t *testing.T) {
	s, _ := telling(t, nil)
	task, err := s.Submit(t.Context(), []byte("2 10 fail"), client.WithParts())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for p, err := range task.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, fmt.Sprintf("%d.%d", p.Attempt, p.Number)); len(got) == 3 {
			break
		}
	}
	for p, err := range task.Parts(t.Context()) { // it goes on where it was left
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d.%d", p.Attempt, p.Number))
	}
	if out, err := task.Wait(t.Context()); err != nil || string(out) != "2" || !slices.Equal(got, []string{"1.0", "1.1", "2.0", "2.1"}) {
		t.Errorf("%q, %v; parts %q", out, err, got)
	}
}

// While a client takes no parts its task waits, with what is under way bounded by its credit and the window; other
// sessions of other clients go on, and nothing is lost.
func TestPartsWaitForTheirFunction(t *testing.T) {
	const credit, parts, size = 64 << 10, 400, 10_000
	s, emitted := telling(t, []client.Option{client.WithResultCredit(credit)})
	open := make(chan struct{})
	begun := make(chan struct{})
	var once sync.Once
	n := 0
	task, err := s.Submit(t.Context(), fmt.Appendf(nil, "%d %d", parts, size), client.WithPartials(func(client.Partial) {
		once.Do(func() { close(begun) })
		<-open
		n++
	}))
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	const bound = credit + 2*protocol.PartialWindow + 10*size
	for last := int64(-1); last != emitted.Load(); { // until it does not grow any more
		last = emitted.Load()
		timer := time.NewTimer(100 * time.Millisecond)
		<-timer.C
		if got := emitted.Load(); got > bound {
			t.Fatalf("%d bytes were emitted while nobody took any, at most %d may be", got, bound)
		}
	}
	close(open)
	if _, err := task.Wait(t.Context()); err != nil || n != parts || emitted.Load() != parts*size {
		t.Errorf("%v: %d parts were heard, %d bytes emitted", err, n, emitted.Load())
	}
}

// Who waits for another task does not wait for ever behind parts that nobody takes.
func TestPartsThatNobodyTakes(t *testing.T) {
	s, _ := telling(t, []client.Option{client.WithResultCredit(64 << 10)})
	first, err := s.Submit(t.Context(), []byte("100 10000"), client.WithParts())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Call(t.Context(), []byte("100 10000")); err != nil || string(out) != "1" {
		t.Fatalf("%q, %v", out, err)
	}
	n := 0
	for _, err := range first.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 100 {
		t.Errorf("%d parts, want 100", n)
	}
}

func TestPartsAndResultsInOrder(t *testing.T) {
	s, _ := telling(t, nil, client.WithOrderedResults(0))
	var mu sync.Mutex
	var got []int
	var all sync.WaitGroup
	for i := range 30 {
		note := func(v int) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, v)
		}
		all.Add(1)
		opts := []client.TaskOption{client.WithPartials(func(p client.Partial) { note(10*i + p.Number) })}
		if i%3 == 0 {
			opts = nil
		}
		if err := s.SubmitFunc(t.Context(), []byte("3 10"), func(client.Result) { note(10*i + 9); all.Done() }, opts...); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	ends := slices.DeleteFunc(slices.Clone(got), func(v int) bool { return v%10 != 9 })
	if len(ends) != 30 || !slices.IsSorted(ends) {
		t.Errorf("results came in the order %v", ends)
	}
	for i := range 30 {
		of := slices.DeleteFunc(slices.Clone(got), func(v int) bool { return v/10 != i })
		if want := 4; i%3 != 0 && (len(of) != want || !slices.IsSorted(of)) {
			t.Errorf("task %d: %v", i, of)
		}
	}
}

func TestFunctionsThatDoNotReturn(t *testing.T) {
	s, _ := telling(t, nil)
	n := 0
	out, err := s.Call(t.Context(), []byte("4 10"), client.WithPartials(func(p client.Partial) {
		n++
		switch p.Number {
		case 1:
			panic("ouch")
		case 2:
			runtime.Goexit()
		}
	}))
	if err != nil || string(out) != "1" || n != 4 {
		t.Errorf("%q, %v after %d parts", out, err, n)
	}
}

func TestACancelledTaskSaysNoMore(t *testing.T) {
	s, _ := telling(t, nil)
	begun := make(chan struct{})
	var once sync.Once
	task, err := s.Submit(t.Context(), []byte("1000000 10000"), client.WithPartials(func(client.Partial) { once.Do(func() { close(begun) }) }))
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	task.Cancel()
	select {
	case <-task.Stopped():
	case <-time.After(patience):
		t.Fatal("the task does not stop")
	}
	if out, err := s.Call(t.Context(), []byte("1 1")); err != nil || string(out) != "1" {
		t.Errorf("the next task: %q, %v", out, err)
	}
}

func TestOptionsOfWhatTasksSay(t *testing.T) {
	s, _ := telling(t, nil)
	for name, opts := range map[string][]client.TaskOption{
		"WithProgress": {client.WithProgress(nil)},
		"WithPartials": {client.WithPartials(nil)},
		"WithParts":    {client.WithParts(), client.WithPartials(func(client.Partial) {})},
	} {
		if _, err := s.Submit(t.Context(), []byte("1 1"), opts...); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Call(t.Context(), []byte("1 1"), client.WithParts()); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("Call with WithParts: %v", err)
	}
	if err := s.SubmitFunc(t.Context(), []byte("1 1"), func(client.Result) {}, client.WithParts()); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("SubmitFunc with WithParts: %v", err)
	}
	task, err := s.Submit(t.Context(), []byte("1 1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range task.Parts(t.Context()) {
		if protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("Parts without WithParts: %v", err)
		}
	}
	task, err = s.Submit(t.Context(), []byte("1000000 10000"), client.WithParts())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	for _, err := range task.Parts(ctx) {
		if n++; n == 3 {
			cancel()
		}
		if err != nil && (n < 4 || !errors.Is(err, context.Canceled)) {
			t.Errorf("after %d parts: %v", n, err)
		}
		if n > 1000 {
			t.Fatal("Parts goes on after the end of its context")
		}
	}
	task.Cancel()
	cancel()
}
