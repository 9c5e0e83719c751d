package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// A program uses several services at once: a session with each. What one gives, another takes; one is released, and the
// others go on.
func Example_twoServices() {
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

	numbers, err := c.OpenSession(ctx, "squares")
	if err != nil {
		log.Fatal(err)
	}
	texts, err := c.OpenSession(ctx, "upper")
	if err != nil {
		log.Fatal(err)
	}
	var square client.Method[int, int]
	n, err := square.Call(ctx, numbers, 7)
	if err != nil {
		log.Fatal(err)
	}
	out, err := texts.Call(ctx, fmt.Appendf(nil, "seven times seven is %d", n))
	fmt.Printf("%s %v\n", out, err)

	if err := numbers.Close(ctx); err != nil {
		log.Fatal(err)
	}
	out, err = texts.Call(ctx, []byte("still here"))
	fmt.Printf("%s %v\n", out, err)
	// Output:
	// SEVEN TIMES SEVEN IS 49 <nil>
	// STILL HERE <nil>
}

// A service that declares its types refuses a client with others before anything is sent.
func ExampleMethod_interface() {
	f, err := embed.Start()
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
	types := worker.InterfaceOf(squares()) // what "weft service register --interface" asks the program for
	if err := c.RegisterService(ctx, protocol.Service{Name: "squares", Interface: types}); err != nil {
		log.Fatal(err)
	}
	s, err := c.OpenSession(ctx, "squares")
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Method[string, int]{}.Call(ctx, s, "seven")
	fmt.Println(errors.Is(err, client.ErrInterface))
	fmt.Println(err)
	// Output:
	// true
	// service squares 1: Interface: it takes tasks of type int, and this client sends string (string): string cannot be read as int
}
