// Package party has the parties of a measurement: processes that obey orders that come on their standard input, one JSON
// object in a line, and answer each with a line on their standard output. The end of the input ends them: nothing is left
// behind, whatever becomes of the process that started them.
package party

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Order tells a party what to do.
type Order struct {
	Do    string          `json:"do"`
	Count int             `json:"count,omitempty"`
	First uint64          `json:"first,omitempty"` // number of the first of them
	Time  time.Duration   `json:"time,omitempty"`
	More  json.RawMessage `json:"more,omitempty"` // what else there is to say, in a form of its own
}

// Answer is what a party answers to an order; the first one it gives without being asked, when it is ready.
type Answer struct {
	Error    string          `json:"error,omitempty"`
	Endpoint string          `json:"endpoint,omitempty"` // of a broker: where clients find it
	Backend  string          `json:"backend,omitempty"`  // where workers find it, if elsewhere
	Version  string          `json:"version,omitempty"`  // of what the party is made of
	Tasks    uint64          `json:"tasks,omitempty"`
	Elapsed  time.Duration   `json:"elapsed,omitempty"`
	Trips    []time.Duration `json:"trips,omitempty"`
	Report   json.RawMessage `json:"report,omitempty"` // what else an order brought, in a form of its own
}

// Obey says that the party is ready, and answers orders until the input ends, which also ends the context of an order
// under way. A party that takes no orders has no do.
func Obey(ctx context.Context, ready Answer, do func(context.Context, Order) (Answer, error)) error {
	return obeyOn(ctx, os.Stdin, os.Stdout, ready, do)
}

func obeyOn(ctx context.Context, in io.Reader, out io.Writer, ready Answer,
	do func(context.Context, Order) (Answer, error),
) error {
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(ready); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx) // ended with the input, so that nothing goes on for nobody
	defer cancel()
	orders, broken := make(chan Order), make(chan error, 1)
	go func() {
		defer close(orders)
		defer cancel()
		broken <- readOrders(ctx, in, orders)
	}()
	for o := range orders {
		a := Answer{Error: "this party takes no orders"}
		if do != nil {
			var err error
			if a, err = do(ctx, o); err != nil {
				a.Error = err.Error()
			}
		}
		if err := encoder.Encode(a); err != nil {
			return fmt.Errorf("answer %q: %w", o.Do, err)
		}
	}
	return <-broken
}

// readOrders hands on the orders of the input until it ends or ctx is done.
func readOrders(ctx context.Context, in io.Reader, orders chan<- Order) error {
	decoder := json.NewDecoder(in)
	for {
		var o Order
		switch err := decoder.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read an order: %w", err)
		}
		select {
		case orders <- o:
		case <-ctx.Done():
			return nil
		}
	}
}
