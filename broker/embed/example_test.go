package embed_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"testing"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/worker"
)

func Example() {
	square := func() worker.Service {
		return worker.Func(func(_ context.Context, x int) (int, error) { return x * x, nil })
	}
	f, err := embed.Start(embed.Service("square", square, embed.WithInstances(2, 2)))
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
	s, err := c.OpenSession(ctx, "square")
	if err != nil {
		log.Fatal(err)
	}
	y, err := client.Method[int, int]{}.Call(ctx, s, 12)
	fmt.Println(y, err)
	// Output: 144 <nil>
}

// In a test everything ends with the test, whose fabric is its own.
func ExampleTest() {
	_ = func(t *testing.T) { // TestSquare
		_, c := embed.Test(t, embed.Service("square", newSquare))
		s, err := c.OpenSession(t.Context(), "square")
		if err != nil {
			t.Fatal(err)
		}
		if y, err := (client.Method[int, int]{}).Call(t.Context(), s, 12); y != 144 || err != nil {
			t.Errorf("%d, %v", y, err)
		}
	}
}

// Kill is a crash: the tasks of the lost instances run again, and the client sees nothing of it.
func ExampleFabric_Kill() {
	var attempts atomic.Int32
	running := make(chan struct{})
	service := func() worker.Service {
		return worker.Func(func(ctx context.Context, name string) (string, error) {
			if attempts.Add(1) > 1 {
				return "hello, " + name, nil
			}
			close(running)
			<-ctx.Done() // would take for ever
			return "", ctx.Err()
		})
	}
	f, err := embed.Start(embed.Service("greet", service))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	c, err := f.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenSession(context.Background(), "greet")
	if err != nil {
		log.Fatal(err)
	}
	t, err := client.Method[string, string]{}.Submit(context.Background(), s, "world")
	if err != nil {
		log.Fatal(err)
	}
	<-running
	fmt.Println("killed:", f.Kill("greet"))
	out, err := t.Wait(context.Background())
	fmt.Println(out, err)
	// Output:
	// killed: 1
	// hello, world <nil>
}
