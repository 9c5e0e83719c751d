package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// brokerVariable names the environment variable of --broker.
	brokerVariable = "WEFT_BROKER"
	// dialPatience is how long a command waits for a broker, requestPatience for its answers.
	dialPatience    = 5 * time.Second
	requestPatience = 30 * time.Second
)

// defaultEndpoint is where a broker listens that was not told otherwise.
func defaultEndpoint() string { return fmt.Sprintf("tcp://127.0.0.1:%d", protocol.BasePort) }

// operator is what the commands ask of a broker, subject by subject; a [client.Client] is each of them.
type operator struct {
	catalogueOperator
	sessionOperator
	environmentOperator
	nodeOperator
	taskOperator
	deadOperator
	resourceOperator
	io.Closer
}

type catalogueOperator interface {
	RegisterService(ctx context.Context, s protocol.Service) error
	DeregisterService(ctx context.Context, name, version string) error
	MoveService(ctx context.Context, name, version string, loop int) error
	RestartService(ctx context.Context, name, version string, idle bool) error
	Services(ctx context.Context, f client.Filter) iter.Seq2[protocol.ServiceInfo, error]
	ServiceStats(ctx context.Context, name, version string) (protocol.Stats, error)
}

type sessionOperator interface {
	Sessions(ctx context.Context, f client.Filter) iter.Seq2[protocol.SessionInfo, error]
	SessionStats(ctx context.Context, number protocol.SessionNumber) (protocol.Stats, error)
	Events(ctx context.Context, number protocol.SessionNumber, from uint64) (events []protocol.SessionEvent, over bool, err error)
	CloseSession(ctx context.Context, number protocol.SessionNumber, mode, reason string) error
	SteerSession(ctx context.Context, number protocol.SessionNumber, action, reason string) error
}

type taskOperator interface {
	Task(ctx context.Context, session protocol.SessionNumber, sequence uint64) (protocol.TaskInfo, error)
	Tasks(ctx context.Context, session protocol.SessionNumber) iter.Seq2[protocol.TaskInfo, error]
	CancelTask(ctx context.Context, session protocol.SessionNumber, sequence uint64, reason string) error
}

type deadOperator interface {
	DeadLetters(ctx context.Context, f client.Filter) iter.Seq2[protocol.DeadLetter, error]
	LostDeadLetters(ctx context.Context) (uint64, error)
	DeadLetter(ctx context.Context, id uint64) (protocol.DeadLetter, []byte, error)
	RetryDeadLetter(ctx context.Context, id uint64) ([]byte, error)
	DropDeadLetters(ctx context.Context, which protocol.DropDead) (int, error)
}

type environmentOperator interface {
	CreateEnvironment(ctx context.Context, e protocol.Environment) error
	DeleteEnvironment(ctx context.Context, name string, force bool) error
	Environments(ctx context.Context, f client.Filter) iter.Seq2[protocol.EnvironmentInfo, error]
}

type nodeOperator interface {
	Nodes(ctx context.Context, f client.Filter) iter.Seq2[protocol.NodeInfo, error]
}

type resourceOperator interface {
	ApplyQueues(ctx context.Context, queues protocol.ApplyQueues) (protocol.QueuesApplied, error)
	Queues(ctx context.Context, f client.Filter) iter.Seq2[protocol.QueueInfo, error]
	Shapes(ctx context.Context) (protocol.Shapes, error)
	DrainQueue(ctx context.Context, name string, undo bool) error
	CordonNode(ctx context.Context, name string, on bool, reason string) error
	Overview(ctx context.Context) (protocol.Overview, error)
	Explain(ctx context.Context, of protocol.Explain) (protocol.Explained, error)
}

// dialBroker is the dial of an app outside tests.
func dialBroker(ctx context.Context, endpoints string) (operator, error) {
	c, err := client.Dial(ctx, endpoints, client.WithName("weft"), client.WithLogger(zerolog.Nop()))
	if err != nil {
		return operator{}, err
	}
	return operator{c, c, c, c, c, c, c, c}, nil
}

// endpointFlag adds --broker to cmd and its children.
func (a *app) endpointFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&a.broker, "broker", defaultEndpoint(), "control endpoints of the broker, with commas between them")
	share(cmd.PersistentFlags(), "broker")
}

// brokerFlag adds --broker and --context to cmd and its children.
func (a *app) brokerFlag(cmd *cobra.Command) {
	a.endpointFlag(cmd)
	cmd.PersistentFlags().StringVar(&a.context, "context", "", "name of the cluster whose broker is asked (see: weft context)")
	share(cmd.PersistentFlags(), "context")
}

// outputFlag adds -o to cmd and its children.
func (a *app) outputFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&a.form, "output", "o", formTable, "form of the output: "+strings.Join(forms(), ", "))
	share(cmd.PersistentFlags(), "output")
}

// formFlag adds -o, --watch and --interval to cmd and its children.
func (a *app) formFlag(cmd *cobra.Command) {
	a.outputFlag(cmd)
	flags := cmd.PersistentFlags()
	flags.BoolVarP(&a.watch, "watch", "w", false, "show it again and again, until Ctrl-C")
	flags.DurationVar(&a.interval, "interval", 2*time.Second, "time between two looks of --watch")
	share(flags, "watch", "interval")
}

// checkForm refuses a form that there is not.
func (a *app) checkForm() error {
	if a.form != "" && !slices.Contains(forms(), a.form) {
		return badInput("--output: %q is not one of %s", a.form, strings.Join(forms(), ", "))
	}
	return nil
}

// ask connects to the broker, hands it to do, and hangs up. With --watch it hands it to do until ctx ends, which is
// the way to end it.
func (a *app) ask(ctx context.Context, do func(context.Context, operator) error) error {
	if err := a.checkForm(); err != nil {
		return err
	}
	if a.watch && a.interval <= 0 {
		return badInput("--interval: %v is not above 0", a.interval)
	}
	dialing, stop := context.WithTimeout(ctx, dialPatience)
	defer stop()
	c, err := a.dial(dialing, a.broker)
	if err != nil {
		return a.unreachable(ctx, err)
	}
	if a.watch {
		err = a.watching(ctx, c, do)
	} else {
		err = asking(ctx, c, do)
	}
	if closed := c.Close(); err == nil {
		err = closed
	}
	return interrupted(ctx, err)
}

// asking gives do the time that answers may take.
func asking(ctx context.Context, c operator, do func(context.Context, operator) error) error {
	ctx, stop := context.WithTimeout(ctx, requestPatience)
	defer stop()
	return do(ctx, c)
}

// unreachable says what to do about a broker that does not answer.
func (a *app) unreachable(ctx context.Context, err error) error {
	unanswered := errors.Is(err, context.DeadlineExceeded) || protocol.CodeOf(err) == protocol.CodeUnavailable
	if !unanswered || ctx.Err() != nil {
		return interrupted(ctx, err)
	}
	from := ""
	if a.brokerFrom != "" && a.brokerFrom != byDefault && a.brokerFrom != byFlag {
		from = ", which " + a.brokerFrom + " names"
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok && strings.HasSuffix(e.Msg, brokerVariable) { // it has looked why
		return protocol.Errorf(protocol.CodeUnavailable, "connect", "%s, --broker or --context%s", e.Msg, strings.Replace(from, ", which", "; it is what", 1))
	}
	return protocol.Errorf(protocol.CodeUnavailable, "connect", "no broker answers at %s%s (within %v): start one with "+
		"\"weft broker\" or \"weft dev\", or say where it is with --broker, --context or %s", a.broker, from, dialPatience, brokerVariable)
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
