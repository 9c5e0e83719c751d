package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// session starts a fabric with one service, and opens a session with it. newInstance is what the service's main function
// would give to worker.Serve.
func session(newInstance func() worker.Service, opts ...client.SessionOption) (s *client.Session, end func()) {
	f, err := embed.Start(embed.Service("example", newInstance))
	if err != nil {
		log.Fatal(err)
	}
	c, err := f.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	s, err = c.OpenSession(context.Background(), "example", opts...)
	if err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(c.Close(), f.Stop()); err != nil {
			log.Fatal(err)
		}
	}
}

// A function is a service; its client has the other half of the types, client.Method.
func ExampleFunc() {
	type rectangle struct{ Width, Height float64 }
	s, end := session(func() worker.Service {
		return worker.Func(func(_ context.Context, r rectangle) (float64, error) { return r.Width * r.Height, nil })
	})
	defer end()
	area, err := client.Method[rectangle, float64]{}.Call(context.Background(), s, rectangle{3, 4})
	fmt.Println(area, err)
	// Output: 12 <nil>
}

// A session can have a state, made from its parameters when it is bound, closed when it is let go.
func ExampleStateful() {
	s, end := session(func() worker.Service {
		return worker.Stateful(
			func(_ context.Context, s *worker.SessionContext) (map[string]bool, error) {
				known := map[string]bool{}
				for _, word := range strings.Fields(string(s.Parameters())) {
					known[word] = true
				}
				return known, nil
			},
			func(_ context.Context, known map[string]bool, word string) (bool, error) { return known[word], nil },
		)
	}, client.WithParameters([]byte("warp weft loom")))
	defer end()
	knows := client.Method[string, bool]{}
	for _, word := range []string{"weft", "heft"} {
		yes, err := knows.Call(context.Background(), s, word)
		fmt.Println(word, yes, err)
	}
	// Output:
	// weft true <nil>
	// heft false <nil>
}

// journal shows when its hooks run.
type journal struct{}

func (journal) OnCreateService(_ context.Context, s *worker.ServiceContext) error {
	fmt.Println("create:", s.Service, "with", s.Slots, "slot")
	return nil
}

func (journal) OnSessionBind(_ context.Context, s *worker.SessionContext) error {
	fmt.Println("bind:", s.Name())
	return nil
}

func (journal) OnTaskExec(_ context.Context, t *worker.TaskContext) ([]byte, error) {
	fmt.Printf("exec: %s\n", t.Payload())
	return t.Payload(), nil
}

func (journal) OnSessionUnbind(_ context.Context, s *worker.SessionContext) error {
	fmt.Println("unbind:", s.Name())
	return nil
}

func (journal) OnDestroyService(context.Context, *worker.ServiceContext) error {
	fmt.Println("destroy")
	return nil
}

// The five hooks of a service, in the order in which they run.
func ExampleService() {
	s, end := session(func() worker.Service { return journal{} }, client.WithSessionName("evening"))
	for _, text := range []string{"one", "two"} {
		if _, err := s.Call(context.Background(), []byte(text)); err != nil {
			log.Fatal(err)
		}
	}
	if err := s.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	end()
	// Output:
	// create: example with 1 slot
	// bind: evening
	// exec: one
	// exec: two
	// unbind: evening
	// destroy
}

// echo has one hook of its own; those that do nothing come from Base.
type echo struct{ worker.Base }

func (echo) OnTaskExec(_ context.Context, t *worker.TaskContext) ([]byte, error) {
	return t.Payload(), nil
}

func ExampleBase() {
	s, end := session(func() worker.Service { return echo{} })
	defer end()
	out, err := s.Call(context.Background(), []byte("hello"))
	fmt.Printf("%s %v\n", out, err)
	// Output: hello <nil>
}

// moody fails in several ways.
type moody struct{ worker.Base }

func (moody) OnTaskExec(_ context.Context, t *worker.TaskContext) ([]byte, error) {
	switch string(t.Payload()) {
	case "later":
		if t.Attempt() < 3 {
			return nil, worker.Retry(errors.New("the licence server is busy"))
		}
		return fmt.Appendf(nil, "done in attempt %d", t.Attempt()), nil
	default:
		return nil, worker.Permanent(errors.New("there is no such curve"))
	}
}

// Retry has the task run again; Permanent gives its error to the client at once.
func ExampleRetry() {
	s, end := session(func() worker.Service { return moody{} })
	defer end()
	for _, task := range []string{"later", "never"} {
		out, err := s.Call(context.Background(), []byte(task))
		fmt.Printf("%q %t %v\n", out, errors.Is(err, client.ErrTaskFailed), err)
	}
	// Output:
	// "done in attempt 3" false <nil>
	// "" true OnTaskExec: TaskFailed: there is no such curve
}

// counter keeps data in the session, for its later tasks on whatever instance.
type counter struct{ worker.Base }

func (counter) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	seen, _, err := t.Session().Get(ctx, "seen")
	if err != nil {
		return nil, err
	}
	seen = append(seen, t.Payload()...)
	return seen, t.Session().Put(ctx, "seen", seen)
}

func ExampleSessionContext_Put() {
	s, end := session(func() worker.Service { return counter{} })
	defer end()
	for _, letter := range []string{"a", "b", "c"} {
		out, err := s.Call(context.Background(), []byte(letter))
		fmt.Printf("%s %v\n", out, err)
	}
	// Output:
	// a <nil>
	// ab <nil>
	// abc <nil>
}

// who tells what a task knows of itself.
type who struct{ worker.Base }

func (who) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	s := t.Session()
	return fmt.Appendf(nil, "task %d, attempt %d, session %q in %s, context %v", t.TaskID().Sequence(), t.Attempt(), s.Name(),
		s.Environment(), ctx.Err()), nil
}

func ExampleTaskContext() {
	s, end := session(func() worker.Service { return who{} }, client.WithSessionName("evening"))
	defer end()
	out, err := s.Call(context.Background(), nil)
	fmt.Printf("%s %v\n", out, err)
	// Output: task 1, attempt 1, session "evening" in default, context <nil> <nil>
}

// patient computes for ever, unless its context ends: because the session was killed, or the instance is shut down.
type patient struct {
	worker.Base
	running, ended chan struct{}
}

func (p patient) OnTaskExec(ctx context.Context, _ *worker.TaskContext) ([]byte, error) {
	close(p.running)
	<-ctx.Done()
	close(p.ended)
	return nil, ctx.Err()
}

func ExampleTaskContext_Context() {
	p := patient{running: make(chan struct{}), ended: make(chan struct{})}
	s, end := session(func() worker.Service { return p })
	defer end()
	task, err := s.Submit(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	<-p.running
	if err := s.Kill(context.Background()); err != nil {
		log.Fatal(err)
	}
	<-p.ended
	_, err = task.Wait(context.Background())
	fmt.Println(errors.Is(err, client.ErrSessionKilled))
	// Output: true
}

// What main does in the program of a service. An agent tells it which broker and service it is for; by hand, for
// development, options or the variables WEFT_BROKER and WEFT_SERVICE do.
func ExampleServe() {
	f, err := embed.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	c, err := f.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.RegisterService(context.Background(), protocol.Service{Name: "echo"}); err != nil { // no artefact: by hand
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Serve(ctx, echo{}, worker.WithService("echo"), worker.WithBroker(f.Endpoint()), worker.WithLogger(zerolog.Nop()))
	}()

	s, err := c.OpenSession(context.Background(), "echo")
	if err != nil {
		log.Fatal(err)
	}
	out, err := s.Call(context.Background(), []byte("by hand"))
	fmt.Printf("%s %v\n", out, err)
	stop() // the instance finishes what it has, and ends
	fmt.Println(<-ended)
	// Output:
	// by hand <nil>
	// <nil>
}

// letters spells its task, a letter at a time.
type letters struct{ worker.Base }

func (letters) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	for i, letter := range t.Payload() {
		if err := t.Emit(ctx, []byte{letter}); err != nil {
			return nil, err
		}
		t.Progress(float64(100*(i+1)/len(t.Payload())), "spelling")
	}
	return []byte("done"), nil
}

func ExampleTaskContext_Emit() {
	s, end := session(func() worker.Service { return letters{} })
	defer end()
	out, err := s.Call(context.Background(), []byte("abc"), client.WithPartials(func(p client.Partial) {
		fmt.Printf("part %d: %s\n", p.Number, p.Payload)
	}))
	fmt.Printf("%s %v\n", out, err)
	// Output:
	// part 0: a
	// part 1: b
	// part 2: c
	// done <nil>
}

func ExampleTaskOf() {
	s, end := session(func() worker.Service {
		return worker.Func(func(ctx context.Context, n int) (int, error) {
			t, _ := worker.TaskOf(ctx)
			for i := range n {
				t.Progress(float64(i+1)/float64(n)*100, "counting")
			}
			return n, nil
		})
	})
	defer end()
	last := 0.0
	n, err := client.Method[int, int]{}.Call(context.Background(), s, 4, client.WithProgress(func(p protocol.Progress) { last = p.Percent }))
	fmt.Println(n, err, last)
	// Output: 4 <nil> 100
}
