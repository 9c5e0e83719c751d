package embed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take before a test gives up.
const patience = 60 * time.Second

func newSquare() worker.Service {
	return worker.Func(func(_ context.Context, x int) (int, error) { return x * x, nil })
}

var square client.Method[int, int]

// task is a service whose OnTaskExec is a function.
type task struct {
	worker.Base
	exec func(ctx context.Context, t *worker.TaskContext) ([]byte, error)
}

func (s task) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	return s.exec(ctx, t)
}

// each makes a service of a function; all instances share it.
func each(exec func(ctx context.Context, t *worker.TaskContext) ([]byte, error)) func() worker.Service {
	return func() worker.Service { return task{exec: exec} }
}

func open(t *testing.T, c *client.Client, service string, opts ...client.SessionOption) *client.Session {
	t.Helper()
	s, err := c.OpenSession(t.Context(), service, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// await fails the test when ch is not closed, or sent to, in good time.
func await[T any](t *testing.T, what string, ch <-chan T) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

func TestSeveralLoopsAndServices(t *testing.T) {
	t.Parallel()
	for _, loops := range []int{1, 3} {
		opts := []embed.Option{embed.WithLoops(loops)}
		for i := range 4 {
			opts = append(opts, embed.Service(fmt.Sprintf("s%d", i), func() worker.Service {
				return worker.Func(func(_ context.Context, x int) (int, error) { return x + i, nil })
			}, embed.WithInstances(2, 2)))
		}
		_, c := embed.Test(t, opts...)
		var all sync.WaitGroup
		for i := range 4 {
			s := open(t, c, fmt.Sprintf("s%d", i))
			all.Go(func() {
				for x := range 200 {
					if y, err := square.Call(t.Context(), s, x); y != x+i || err != nil {
						t.Errorf("%d loops, service %d: %d gives %d, %v", loops, i, x, y, err)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// Fabrics in one process do not meet, and many in turn leave nothing behind.
func TestManyFabrics(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	round := func(i int) error {
		f, err := embed.Start(embed.Service("square", func() worker.Service {
			return worker.Func(func(_ context.Context, x int) (int, error) { return x*x + i, nil })
		}))
		if err != nil {
			return err
		}
		c, err := f.Dial(t.Context())
		if err != nil {
			return errors.Join(err, f.Stop())
		}
		s, err := c.OpenSession(t.Context(), "square")
		if err == nil {
			var y int
			if y, err = square.Call(t.Context(), s, 3); err == nil && y != 9+i {
				err = fmt.Errorf("fabric %d answers %d", i, y)
			}
		}
		return errors.Join(err, c.Close(), f.Stop())
	}
	if err := round(0); err != nil { // opens what a process has once
		t.Fatal(err)
	}
	before, running := descriptors(t), goleak.IgnoreCurrent()
	var all sync.WaitGroup
	for k := range 3 {
		all.Go(func() {
			for i := range rounds / 3 {
				if err := round(1000*k + i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	goleak.VerifyNone(t, running)
	// libzmq closes sockets on its own time.
	end, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for now := descriptors(t); now > before+10; now = descriptors(t) {
		select {
		case <-end:
			t.Fatalf("%d descriptors are open, %d were", now, before)
		case <-tick.C:
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestSlotsAndInstances(t *testing.T) {
	t.Parallel()
	var here, most atomic.Int32
	full := make(chan struct{})
	_, c := embed.Test(t, embed.Service("meet", each(func(ctx context.Context, _ *worker.TaskContext) ([]byte, error) {
		n := here.Add(1)
		defer here.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == 6 {
			close(full)
		}
		select {
		case <-full:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}), embed.WithSlots(3), embed.WithInstances(2, 2)))
	s := open(t, c, "meet")
	var all []*client.Task
	for range 6 {
		task, err := s.Submit(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, task)
	}
	for _, task := range all {
		if _, err := task.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if most.Load() != 6 {
		t.Errorf("%d tasks met, want 2 instances of 3 slots", most.Load())
	}
}

func TestVersionsSideBySide(t *testing.T) {
	t.Parallel()
	version := func(v string) embed.Option {
		return embed.Service("which", each(func(context.Context, *worker.TaskContext) ([]byte, error) { return []byte(v), nil }),
			embed.WithVersion(v))
	}
	_, c := embed.Test(t, version("1.0"), version("2.0"))
	for _, v := range []string{"1.0", "2.0"} {
		s := open(t, c, "which", client.WithVersion(v))
		if out, err := s.Call(t.Context(), nil); string(out) != v || err != nil {
			t.Errorf("version %s answers %q, %v", v, out, err)
		}
	}
}

// A panic fails the task, and the instance is replaced, as it is where instances are processes.
func TestPanic(t *testing.T) {
	t.Parallel()
	var made atomic.Int32
	_, c := embed.Test(t, embed.Service("square", func() worker.Service {
		made.Add(1)
		return worker.Func(func(_ context.Context, x int) (int, error) {
			if x < 0 {
				panic("a negative number")
			}
			return x * x, nil
		})
	}))
	s := open(t, c, "square")
	if _, err := square.Call(t.Context(), s, -1); !errors.Is(err, client.ErrTaskPanicked) || !strings.Contains(err.Error(), "a negative number") {
		t.Errorf("a task that panics gives %v", err)
	}
	if y, err := square.Call(t.Context(), s, 5); y != 25 || err != nil {
		t.Errorf("after a panic: %d, %v", y, err)
	}
	if n := made.Load(); n != 2 {
		t.Errorf("%d instances were made, want the first and its replacement", n)
	}
}

// What is wrong with an instance is told as of a process that ends: a panic before its hooks, an error of the first one.
func TestInstancesThatDoNotStart(t *testing.T) {
	t.Parallel()
	_, c := embed.Test(t,
		embed.Service("panics", func() worker.Service { panic("no licence") }),
		embed.Service("fails", func() worker.Service { return failing{} }),
	)
	for service, want := range map[string]string{"panics": "exit code 2", "fails": "no model"} {
		open(t, c, service)
		awaitReason(t, c, service, want)
	}
}

// Types that are not the service's are refused: of a method before it sends, of a task without a method where it arrives,
// and of an instance when it starts. The session that waits for that one fails at once, with the reason.
func TestTypesAreCompared(t *testing.T) {
	t.Parallel()
	type span struct {
		From int `msgpack:"from"`
		To   int `msgpack:"to"`
	}
	var made atomic.Int32
	newInstance := func() worker.Service {
		made.Add(1)
		return worker.Func(func(_ context.Context, s span) (int, error) { return s.To - s.From, nil })
	}
	_, c := embed.Test(t, embed.Service("length", newInstance),
		embed.Service("renamed", newInstance, func(s *protocol.Service) { s.Interface.Task = "{From: int, To: int}" }))
	s := open(t, c, "length")
	if y, err := (client.Method[span, int]{}).Call(t.Context(), s, span{3, 7}); y != 4 || err != nil {
		t.Errorf("%d, %v", y, err)
	}
	_, err := client.Method[struct{ Frm, To int }, int]{}.Call(t.Context(), s, struct{ Frm, To int }{3, 7})
	if !errors.Is(err, client.ErrInterface) || !strings.Contains(err.Error(), "{from: int, to: int}") {
		t.Errorf("a method of other types: %v", err)
	}
	_, err = s.Call(t.Context(), []byte("\x82\xa3frm\x03\xa2to\x07"))
	if !errors.Is(err, client.ErrInterface) || !strings.Contains(err.Error(), `key "frm"`) || !strings.Contains(err.Error(), `did you mean "from"`) {
		t.Errorf("a task with another key: %v", err)
	}
	if n := made.Load(); n != 2 {
		t.Errorf("%d instances were made, want one of each service", n)
	}
	_, err = open(t, c, "renamed").Call(t.Context(), nil)
	for _, want := range []string{"take tasks of type {From: int, To: int}", "this instance takes {from: int, to: int}", `msgpack:"from"`} {
		if !errors.Is(err, client.ErrInterface) || !strings.Contains(err.Error(), want) {
			t.Errorf("an instance of other types: %v, want it to say %s", err, want)
		}
	}
}

type failing struct{ task }

func (failing) OnCreateService(context.Context, *worker.ServiceContext) error {
	return errors.New("no model")
}

// awaitReason waits until the catalogue says why a service has no instances.
func awaitReason(t *testing.T, c *client.Client, service, want string) {
	t.Helper()
	end, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		said := ""
		for i, err := range c.Services(t.Context(), client.Filter{Name: service}) {
			if err != nil {
				t.Fatal(err)
			}
			said = i.Reason
		}
		if strings.Contains(said, want) {
			return
		}
		select {
		case <-end:
			t.Fatalf("service %s: %q, want %q in it", service, said, want)
		case <-tick.C:
		}
	}
}

// A kill is a crash: tasks run again elsewhere, and each has one result, although the killed hooks return one as well.
func TestKill(t *testing.T) {
	t.Parallel()
	entered, ended := make(chan struct{}, 100), make(chan struct{}, 100)
	var attempts atomic.Int32
	f, c := embed.Test(t, embed.Service("once", each(func(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
		if attempts.Add(1) <= 2 { // the first two instances hang
			entered <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
			return []byte("of a killed instance"), nil
		}
		return []byte(t.Key()), nil
	}), embed.WithInstances(2, 2)))
	s := open(t, c, "once")
	results := make(chan client.Result, 100)
	const tasks = 20
	for range tasks {
		if err := s.SubmitFunc(t.Context(), nil, func(r client.Result) { results <- r }); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a task on the first instance", entered)
	await(t, "a task on the second instance", entered)
	if n := f.Kill("once"); n != 2 {
		t.Errorf("killed %d instances, want 2", n)
	}
	await(t, "the context of a killed hook", ended)
	await(t, "the context of the other", ended)
	seen := map[protocol.TaskID]bool{}
	for range tasks {
		r := <-results
		if r.Err != nil || seen[r.Task] || strings.Contains(string(r.Payload), "killed") {
			t.Errorf("result %+v, seen before: %t", r, seen[r.Task])
		}
		seen[r.Task] = true
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(results) > 0 {
		t.Errorf("%d results too many", len(results))
	}
	if n := f.Kill("nothing"); n != 0 {
		t.Errorf("killed %d instances of a service that does not exist", n)
	}
}

// A hook that takes no notice does not hold up Stop for longer than its grace, nor does one that is killed.
func TestStopLeavesHooksAlone(t *testing.T) {
	t.Parallel()
	free, entered, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	f, err := embed.Start(embed.WithGrace(time.Millisecond), embed.Service("deaf", each(func(context.Context, *worker.TaskContext) ([]byte, error) {
		close(entered)
		<-free
		close(returned)
		return nil, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, c, "deaf").Submit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the task", entered)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-returned:
		t.Error("the hook had returned")
	default:
	}
	close(free)
	await(t, "the hook", returned)
}

// Stop with its default grace lets hooks finish, in their order.
func TestStopInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []string
	f, err := embed.Start(embed.Service("hooks", func() worker.Service {
		return &hooks{note: func(s string) { mu.Lock(); calls = append(calls, s); mu.Unlock() }}
	}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, c, "hooks")
	if _, err := s.Call(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Close(), f.Stop()); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(calls, " "), "create bind exec unbind destroy"; got != want {
		t.Errorf("hooks %q, want %q", got, want)
	}
}

type hooks struct{ note func(string) }

func (h *hooks) OnCreateService(context.Context, *worker.ServiceContext) error {
	h.note("create")
	return nil
}

func (h *hooks) OnSessionBind(context.Context, *worker.SessionContext) error {
	h.note("bind")
	return nil
}

func (h *hooks) OnTaskExec(context.Context, *worker.TaskContext) ([]byte, error) {
	h.note("exec")
	return nil, nil
}

func (h *hooks) OnSessionUnbind(context.Context, *worker.SessionContext) error {
	h.note("unbind")
	return nil
}

func (h *hooks) OnDestroyService(context.Context, *worker.ServiceContext) error {
	h.note("destroy")
	return nil
}

// Another program can look in over tcp, and one in this process can be an instance by hand.
func TestListenersAndInstancesByHand(t *testing.T) {
	t.Parallel()
	f, inside := embed.Test(t, embed.WithListen("tcp://127.0.0.1:0"), embed.Service("square", newSquare))
	if l := f.Listeners(); len(l) != 1 || !strings.HasPrefix(l[0], "tcp://127.0.0.1:") {
		t.Fatalf("listeners %q", l)
	}
	c, err := client.Dial(t.Context(), f.Listeners()[0], client.WithLogger(zerolog.Nop()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if y, err := square.Call(t.Context(), open(t, c, "square"), 7); y != 49 || err != nil {
		t.Errorf("over tcp: %d, %v", y, err)
	}
	if err := inside.RegisterService(t.Context(), protocol.Service{Name: "by-hand"}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Serve(ctx, newSquare(), worker.WithBroker(f.Endpoint()), worker.WithService("by-hand"), worker.WithLogger(zerolog.Nop()))
	}()
	if y, err := square.Call(t.Context(), open(t, inside, "by-hand"), 8); y != 64 || err != nil {
		t.Errorf("by hand: %d, %v", y, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var log strings.Builder
	f, err := embed.Start(embed.WithLogger(zerolog.New(writer(func(p []byte) { mu.Lock(); log.Write(p); mu.Unlock() }))))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"broker is up", "agent starts"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, log.String())
		}
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string][]embed.Option{
		"loops: 65":                    {embed.WithLoops(65)},
		`name: "No"`:                   {embed.Service("No", newSquare)},
		"instances.max: 1":             {embed.Service("s", newSquare, embed.WithInstances(2, 1))},
		"newInstance is nil":           {embed.Service("s", nil)},
		"version 1 is given twice":     {embed.Service("s", newSquare), embed.Service("s", newSquare, embed.WithVersion("1"))},
		"is not a loopback address":    {embed.WithListen("tcp://0.0.0.0:0")},
		"Grace: -1s is negative":       {embed.WithGrace(-time.Second)},
		`"udp" is none of tcp`:         {embed.WithListen("udp://x")},
		"slots: -1 is not within 1 to": {embed.Service("s", newSquare, embed.WithSlots(-1))},
	} {
		f, err := embed.Start(opts...)
		if err == nil {
			t.Errorf("%s: no error", want)
			f.Stop()
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// A test that forgets nothing but to look at its errors still fails when the fabric does not start.
func TestTestFails(t *testing.T) {
	t.Parallel()
	said := &failingTB{TB: t}
	func() {
		defer func() { _ = recover() }()
		embed.Test(said, embed.WithLoops(-1))
	}()
	if !strings.Contains(said.fatal, "loops: -1") {
		t.Errorf("it said %q", said.fatal)
	}
}

type failingTB struct {
	embed.TB
	fatal string
}

func (f *failingTB) Fatalf(format string, args ...any) {
	f.fatal = fmt.Sprintf(format, args...)
	panic(f.fatal)
}
