package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// patient is a service whose tasks take as long as they are let.
func patient() worker.Service {
	return worker.Func(func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// openPatient opens a session with it.
func openPatient() (s *client.Session, end func()) {
	f, err := embed.Start(embed.Service("patient", patient))
	if err != nil {
		log.Fatal(err)
	}
	c, err := f.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if s, err = c.OpenSession(context.Background(), "patient"); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(c.Close(), f.Stop()); err != nil {
			log.Fatal(err)
		}
	}
}

// Cancel ends the wait at once; Stopped tells when the fabric has ended the work.
func ExampleTask_Cancel() {
	s, end := openPatient()
	defer end()
	ctx := context.Background()
	t, err := s.Submit(ctx, []byte("take your time"))
	if err != nil {
		log.Fatal(err)
	}
	t.Cancel()
	_, err = t.Wait(ctx)
	fmt.Println(errors.Is(err, client.ErrCancelled))
	<-t.Stopped()
	fmt.Println("nothing runs any more")
	// Output:
	// true
	// nothing runs any more
}

func ExampleSession_CancelAll() {
	s, end := openPatient()
	defer end()
	ctx := context.Background()
	for range 10 {
		if _, err := s.Submit(ctx, nil); err != nil {
			log.Fatal(err)
		}
	}
	if err := s.CancelAll(ctx); err != nil {
		log.Fatal(err)
	}
	cancelled := 0
	for _, err := range s.Results(ctx) {
		if errors.Is(err, client.ErrCancelled) {
			cancelled++
		}
	}
	fmt.Println(cancelled)
	// Output: 10
}

// A call ends by the deadline of its context. Whether the task may have run is told by ErrIndeterminate.
func ExampleSession_Call_deadline() {
	s, end := openPatient()
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := s.Call(ctx, nil)
	fmt.Println(errors.Is(err, client.ErrDeadline), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

// Options are for one task; the same may be said for all tasks of a session when it is opened.
func ExampleTaskOption() {
	s, end := open("squares")
	defer end()
	y, err := client.Method[int, int]{}.Call(context.Background(), s, 9,
		client.WithTimeout(time.Minute),               // from now to its result
		client.WithRunLimit(10*time.Second),           // for each execution
		client.WithPriority(5),                        // before others of the session
		client.WithRetry(protocol.Retry{Attempts: 2}), // run again once at the most
	)
	fmt.Println(y, err)
	// Output: 81 <nil>
}

// After sends a task when others have succeeded.
func ExampleAfter() {
	s, end := open("squares")
	defer end()
	ctx := context.Background()
	square := client.Method[int, int]{}
	good, err := square.Submit(ctx, s, 2)
	if err != nil {
		log.Fatal(err)
	}
	bad, err := square.Submit(ctx, s, -2)
	if err != nil {
		log.Fatal(err)
	}
	next, err := square.Submit(ctx, s, 3, client.After(good.Task))
	if err != nil {
		log.Fatal(err)
	}
	y, err := next.Wait(ctx)
	fmt.Println(y, err)
	_, err = square.Call(ctx, s, 4, client.After(good.Task, bad.Task))
	fmt.Println(errors.Is(err, client.ErrDependency))
	// Output:
	// 9 <nil>
	// true
}

// Join waits for many tasks at once.
func ExampleJoin() {
	s, end := open("upper")
	defer end()
	ctx := context.Background()
	var all []*client.Task
	for _, word := range []string{"one", "two"} {
		t, err := s.Submit(ctx, []byte(word))
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, t)
	}
	if err := client.Join(ctx, all...); err != nil {
		log.Fatal(err)
	}
	for _, t := range all {
		out, _ := t.Wait(ctx) // does not block any more
		fmt.Printf("%s\n", out)
	}
	// Output:
	// ONE
	// TWO
}

// Results in the order of submission, whatever instance was faster. At most 100 of them wait in this process.
func ExampleWithOrderedResults() {
	f, err := embed.Start(embed.Service("upper", upper, embed.WithInstances(2, 2)))
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
	s, err := c.OpenSession(ctx, "upper", client.WithOrderedResults(100))
	if err != nil {
		log.Fatal(err)
	}
	for _, word := range []string{"c", "a", "b"} {
		if _, err := s.Submit(ctx, []byte(word)); err != nil {
			log.Fatal(err)
		}
	}
	for r, err := range s.Results(ctx) {
		fmt.Printf("%s %v\n", r.Payload, err)
	}
	// Output:
	// C <nil>
	// A <nil>
	// B <nil>
}

// Inputs may be without end: Map keeps no more of them in memory than the session's credit allows.
func ExampleMethod_Map_withoutEnd() {
	s, end := open("squares")
	defer end()
	naturals := func(yield func(int) bool) {
		for n := 0; yield(n); n++ {
		}
	}
	var got []int
	for y, err := range (client.Method[int, int]{}).Map(context.Background(), s, naturals) {
		if err != nil {
			log.Fatal(err)
		}
		if got = append(got, y); len(got) == 5 {
			break
		}
	}
	fmt.Println(got, slices.Max(got))
	// Output: [0 1 4 9 16] 16
}
