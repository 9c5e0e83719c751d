package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/worker"
)

// squares is a service for the examples: it squares numbers, and refuses negative ones.
func squares() worker.Service {
	return worker.Func(func(_ context.Context, x int) (int, error) {
		if x < 0 {
			return 0, worker.Permanent(fmt.Errorf("%d is negative", x))
		}
		return x * x, nil
	})
}

// upper is another one, without types: its tasks and results are bytes.
func upper() worker.Service {
	return worker.Func(func(_ context.Context, text []byte) ([]byte, error) {
		return []byte(strings.ToUpper(string(text))), nil
	})
}

// open starts a fabric with both services, and opens a session with one of them. The examples use it where Dial and
// OpenSession are not their subject.
func open(service string) (s *client.Session, end func()) {
	f, err := embed.Start(embed.Service("squares", squares), embed.Service("upper", upper))
	if err != nil {
		log.Fatal(err)
	}
	c, err := f.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	s, err = c.OpenSession(context.Background(), service)
	if err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(c.Close(), f.Stop()); err != nil {
			log.Fatal(err)
		}
	}
}

func Example() {
	f, err := embed.Start(embed.Service("upper", upper)) // in place of "weft broker", "weft agent" and "weft service register"
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := client.Dial(ctx, f.Endpoint()) // such as "tcp://10.0.0.1:7700,10.0.0.2:7700"
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenSession(ctx, "upper")
	if err != nil {
		log.Fatal(err)
	}
	out, err := s.Call(ctx, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", out)
	if err := s.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: HELLO
}

func ExampleSession_Call() {
	s, end := open("upper")
	defer end()
	out, err := s.Call(context.Background(), []byte("warp and weft"))
	fmt.Printf("%s %v\n", out, err)
	// Output: WARP AND WEFT <nil>
}

// Submit sends a task and goes on; Wait, later, waits for its result.
func ExampleSession_Submit() {
	s, end := open("upper")
	defer end()
	ctx := context.Background()
	var tasks []*client.Task
	for _, word := range []string{"one", "two", "three"} {
		t, err := s.Submit(ctx, []byte(word)) // blocks only while the session has no credit
		if err != nil {
			log.Fatal(err)
		}
		tasks = append(tasks, t)
	}
	for _, t := range tasks {
		out, err := t.Wait(ctx)
		fmt.Printf("%s %v\n", out, err)
	}
	// Output:
	// ONE <nil>
	// TWO <nil>
	// THREE <nil>
}

// A function gets each result once, on a goroutine of its own; several may run at the same time.
func ExampleSession_SubmitFunc() {
	s, end := open("upper")
	defer end()
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []string
	for _, word := range []string{"a", "b", "c"} {
		all.Add(1)
		err := s.SubmitFunc(context.Background(), []byte(word), func(r client.Result) {
			defer all.Done()
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(r.Payload))
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	all.Wait()
	slices.Sort(got) // they come in any order
	fmt.Println(got)
	// Output: [A B C]
}

// Results gives what was submitted in the order in which it is finished.
func ExampleSession_Results() {
	s, end := open("upper")
	defer end()
	ctx := context.Background()
	for _, word := range []string{"x", "y", "z"} {
		if _, err := s.Submit(ctx, []byte(word)); err != nil {
			log.Fatal(err)
		}
	}
	var got []string
	for r, err := range s.Results(ctx) {
		if err != nil {
			log.Fatal(err) // this task's, or that ctx has ended
		}
		got = append(got, string(r.Payload))
	}
	slices.Sort(got)
	fmt.Println(got)
	// Output: [X Y Z]
}

// Method gives tasks and results types, which the service has by worker.Func.
func ExampleMethod_Call() {
	s, end := open("squares")
	defer end()
	square := client.Method[int, int]{}
	y, err := square.Call(context.Background(), s, 12)
	fmt.Println(y, err)
	// Output: 144 <nil>
}

func ExampleMethod_Submit() {
	s, end := open("squares")
	defer end()
	ctx := context.Background()
	square := client.Method[int, int]{}
	t, err := square.Submit(ctx, s, 13)
	if err != nil {
		log.Fatal(err)
	}
	y, err := t.Wait(ctx)
	fmt.Println(y, err)
	// Output: 169 <nil>
}

// Map keeps the service busy, and gives the results in the order of the inputs.
func ExampleMethod_Map() {
	s, end := open("squares")
	defer end()
	square := client.Method[int, int]{}
	for y, err := range square.Map(context.Background(), s, slices.Values([]int{1, 2, -3, 4})) {
		fmt.Println(y, errors.Is(err, client.ErrTaskFailed))
	}
	// Output:
	// 1 false
	// 4 false
	// 0 true
	// 16 false
}

// A client may use several services at once; the end of one session leaves the others alone.
func ExampleClient_OpenSession() {
	f, err := embed.Start(embed.Service("squares", squares), embed.Service("upper", upper))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	ctx := context.Background()
	c, err := f.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	numbers, err := c.OpenSession(ctx, "squares", client.WithSessionName("evening run"), client.WithInstances(1, 4))
	if err != nil {
		log.Fatal(err)
	}
	words, err := c.OpenSession(ctx, "upper")
	if err != nil {
		log.Fatal(err)
	}
	square := client.Method[int, int]{}
	y, err := square.Call(ctx, numbers, 3)
	fmt.Println(y, err)
	if err := numbers.Close(ctx); err != nil {
		log.Fatal(err)
	}
	out, err := words.Call(ctx, []byte("still here"))
	fmt.Printf("%s %v\n", out, err)
	_, err = numbers.Call(ctx, nil)
	fmt.Println(errors.Is(err, client.ErrSessionClosed))
	// Output:
	// 9 <nil>
	// STILL HERE <nil>
	// true
}

// Parameters reach the service with the session, and a window bounds what is unfinished.
func ExampleSessionOption() {
	greeter := func() worker.Service {
		return worker.Stateful(
			func(_ context.Context, s *worker.SessionContext) (string, error) { return string(s.Parameters()), nil },
			func(_ context.Context, greeting string, name string) (string, error) {
				return greeting + ", " + name, nil
			},
		)
	}
	f, err := embed.Start(embed.Service("greeter", greeter, embed.WithVersion("2.1")))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	ctx := context.Background()
	c, err := f.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenSession(ctx, "greeter", client.WithVersion("2.1"), client.WithParameters([]byte("Good evening")),
		client.WithWindow(100, 0))
	if err != nil {
		log.Fatal(err)
	}
	out, err := client.Method[string, string]{}.Call(ctx, s, "Ada")
	fmt.Println(out, err, s.Version())
	// Output: Good evening, Ada <nil> 2.1
}

// Errors are told apart by errors.Is, whether they come from this process, the broker or the service.
func Example_errors() {
	s, end := open("squares")
	defer end()
	ctx := context.Background()
	square := client.Method[int, int]{}

	_, err := square.Call(ctx, s, -1)
	fmt.Println(errors.Is(err, client.ErrTaskFailed), err)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = square.Call(ended, s, 1)
	fmt.Println(errors.Is(err, client.ErrCancelled), errors.Is(err, context.Canceled))

	if err := s.Kill(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = square.Call(ctx, s, 1)
	fmt.Println(errors.Is(err, client.ErrSessionKilled))
	// Output:
	// true OnTaskExec: TaskFailed: -1 is negative
	// true true
	// true
}

func ExampleClient_OpenSession_noService() {
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
	_, err = c.OpenSession(context.Background(), "nothing")
	fmt.Println(errors.Is(err, client.ErrNoService))
	// Output: true
}

// The catalogue can be searched for words in names, tags and descriptions.
func ExampleClient_Services() {
	f, err := embed.Start(embed.Service("squares", squares), embed.Service("upper", upper))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	c, err := f.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for i, err := range c.Services(context.Background(), client.Filter{}) {
		fmt.Println(i.Service.Name, i.Service.Version, err)
	}
	// Output:
	// squares 1 <nil>
	// upper 1 <nil>
}

func ExampleTask_Parts() {
	f, err := embed.Start(embed.Service("words", func() worker.Service {
		return worker.Func(func(ctx context.Context, text []byte) ([]byte, error) {
			t, _ := worker.TaskOf(ctx)
			for word := range strings.FieldsSeq(string(text)) {
				if err := t.Emit(ctx, []byte(word)); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	ctx := context.Background()
	c, err := f.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenSession(ctx, "words")
	if err != nil {
		log.Fatal(err)
	}
	task, err := s.Submit(ctx, []byte("one after the other"), client.WithParts())
	if err != nil {
		log.Fatal(err)
	}
	for part, err := range task.Parts(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s\n", part.Number, part.Payload)
	}
	_, err = task.Wait(ctx)
	fmt.Println(err)
	// Output:
	// 0 one
	// 1 after
	// 2 the
	// 3 other
	// <nil>
}
