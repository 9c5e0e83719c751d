package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/protocol"
)

// shape is the fabric that a load is put on.
type shape struct {
	payload, clients, instances, window int
	transport                           string
	profiles                            string // as in a plan
}

// flags lets the user say the shape, which holds the defaults.
func (s *shape) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&s.payload, "payload", s.payload, "bytes of a task and of its result")
	flags.IntVar(&s.clients, "clients", s.clients, "client processes")
	flags.IntVar(&s.instances, "instances", s.instances, "instances of the service")
	flags.IntVar(&s.window, "window", s.window, "tasks that a client may have outstanding")
	flags.StringVar(&s.transport, "transport", s.transport, "tcp or ipc")
}

// validate names the flags that cannot be.
func (s *shape) validate(leastPayload int) error {
	return errors.Join(
		inRange("payload", s.payload, leastPayload, 1<<30),
		inRange("clients", s.clients, 1, 1000),
		inRange("instances", s.instances, 1, 1000),
		inRange("window", s.window, 1, protocol.MaxTaskSlot),
		oneOf("transport", s.transport, "tcp", "ipc"),
	)
}

// start starts a fabric of this shape with its clients, and waits until it is ready. The caller closes it.
func (s *shape) start(ctx context.Context, command string) (_ *fabric, clients []*party.Process, err error) {
	f, err := startFabric(ctx, plan{
		transport: s.transport, instances: s.instances, payload: int64(s.payload),
		tasks: max(s.window, protocol.DefaultTaskCredit), profiles: s.profiles,
	})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	for i := range s.clients {
		p, err := f.start(ctx, fmt.Sprintf("client %d", i+1), command,
			"--payload", strconv.Itoa(s.payload), "--window", strconv.Itoa(s.window))
		if err != nil {
			return nil, nil, err
		}
		clients = append(clients, p)
	}
	return f, clients, f.ready(ctx, s.instances)
}

// name is weft, or weft ipc.
func (s *shape) name() string {
	if s.transport == "tcp" {
		return "weft"
	}
	return "weft " + s.transport
}

// number is what a flag may have for a value.
type number interface {
	int | int64 | float64 | time.Duration
}

func inRange[N number](flag string, v, least, most N) error {
	if v >= least && v <= most { // which a value that is not a number is not
		return nil
	}
	return fmt.Errorf("--%s: %v is not within %v to %v", flag, v, least, most)
}

func oneOf(flag, v string, values ...string) error {
	if !slices.Contains(values, v) {
		return fmt.Errorf("--%s: %q is not one of %q", flag, v, values)
	}
	return nil
}
