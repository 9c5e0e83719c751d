package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// brokerVariable names the environment variable with the default of --broker.
	brokerVariable = "WEFT_BROKER"
	// dialPatience is how long a command waits for a broker, requestPatience for its answers.
	dialPatience    = 5 * time.Second
	requestPatience = 30 * time.Second
)

// defaultEndpoint is where a broker listens that was not told otherwise.
func defaultEndpoint() string { return fmt.Sprintf("tcp://127.0.0.1:%d", protocol.BasePort) }

// operator is what the commands ask of a broker; [client.Client] is it.
type operator interface {
	RegisterService(ctx context.Context, s protocol.Service) error
	DeregisterService(ctx context.Context, name, version string) error
	Services(ctx context.Context, f client.Filter) iter.Seq2[protocol.ServiceInfo, error]
	Sessions(ctx context.Context, f client.Filter) iter.Seq2[protocol.SessionInfo, error]
	Nodes(ctx context.Context, f client.Filter) iter.Seq2[protocol.NodeInfo, error]
	CloseSession(ctx context.Context, number protocol.SessionNumber, mode, reason string) error
	Close() error
}

// dialBroker is the dial of an app outside tests.
func dialBroker(ctx context.Context, endpoints string) (operator, error) {
	c, err := client.Dial(ctx, endpoints, client.WithName("weft"), client.WithLogger(zerolog.Nop()))
	if err != nil {
		return nil, err
	}
	return c, nil
}

// brokerFlag adds --broker to cmd and its children.
func (a *app) brokerFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&a.broker, "broker", cmp.Or(a.getenv(brokerVariable), defaultEndpoint()),
		"control endpoints of the broker, with commas between them; "+brokerVariable+" sets the default")
}

// formFlag adds -o to cmd and its children.
func (a *app) formFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&a.form, "output", "o", formTable, "form of the output: table, json, yaml")
}

// ask connects to the broker, hands it to do, and hangs up.
func (a *app) ask(ctx context.Context, do func(context.Context, operator) error) error {
	if forms := []string{formTable, formJSON, formYAML}; a.form != "" && !slices.Contains(forms, a.form) {
		return badInput("--output: %q is not one of table, json, yaml", a.form)
	}
	dialing, stop := context.WithTimeout(ctx, dialPatience)
	defer stop()
	c, err := a.dial(dialing, a.broker)
	if err != nil {
		return a.unreachable(ctx, err)
	}
	asking, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	err = do(asking, c)
	if closed := c.Close(); err == nil {
		err = closed
	}
	return err
}

// unreachable says what to do about a broker that does not answer.
func (a *app) unreachable(ctx context.Context, err error) error {
	unanswered := errors.Is(err, context.DeadlineExceeded) || protocol.CodeOf(err) == protocol.CodeUnavailable
	if !unanswered || ctx.Err() != nil {
		return err
	}
	return protocol.Errorf(protocol.CodeUnavailable, "connect", "no broker answers at %s (within %v): start one with "+
		"\"weft broker\" or \"weft dev\", or say where it is with --broker or %s", a.broker, dialPatience, brokerVariable)
}

// collect gathers what a list of the broker yields.
func collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
