// Command weft-bench-peers is what weft-bench compare measures weft beside: NATS, gRPC without a broker, and libzmq's own
// proxy with a client and a worker in C. Each role is a process that obeys the orders of package party. It is a module of
// its own, so that weft depends on none of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/bench/party"
)

// config is what a role is told. What a role has no use for it ignores.
type config struct {
	listen, backend string // where a server is to be found: by clients, by workers
	connect         string
	payload, window int
}

// role runs until its input ends.
type role func(context.Context, config) error

func roles() map[string]role {
	return map[string]role{
		"nats-server": natsServer, "nats-worker": natsWorker, "nats-client": natsClient,
		"grpc-server": grpcServer, "grpc-client": grpcClient,
		"zmq-proxy": zmqProxy, "zmq-worker": zmqWorker, "zmq-client": zmqClient,
	}
}

func main() {
	signal.Ignore(os.Interrupt) // it is for the process that started this one, which then ends the input
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "weft-bench-peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	all := roles()
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(args) == 0 || all[args[0]] == nil {
		return fmt.Errorf("weft-bench compare starts this program as one of %s", strings.Join(names, ", "))
	}
	var c config
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&c.listen, "listen", "", "endpoint for clients")
	flags.StringVar(&c.backend, "backend", "", "endpoint for workers")
	flags.StringVar(&c.connect, "connect", "", "endpoint of the server")
	flags.IntVar(&c.payload, "payload", 0, "bytes of a task")
	flags.IntVar(&c.window, "window", 1, "tasks that a client keeps outstanding")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	return all[args[0]](context.Background(), c)
}

// drive lets a subject be measured until the input ends.
func drive(ctx context.Context, s party.Subject) error {
	return party.Obey(ctx, party.Answer{}, party.NewLoader(s).Obey)
}

// echoed says whether a result is one of a task of so many bytes.
func echoed(result, task int) error {
	if result != task {
		return fmt.Errorf("a result of %d bytes for a task of %d", result, task)
	}
	return nil
}
