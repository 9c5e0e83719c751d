package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/internal/tcpproxy"
	"github.com/weft-fabric/weft/protocol"
)

// killConfig is what the check of losses is told.
type killConfig struct {
	tasks, clients, nodes, instances, slots int
	every, agents, cuts                     time.Duration // between two kills of an instance, two of an agent, two cuts
	stalls                                  time.Duration // between two times in which processes stand still
	execution, timeout                      time.Duration
	poison, others                          int
}

// killed is what came of it.
type killed struct {
	killConfig
	counts  // of the tasks of all clients
	havoc   havocCounts
	elapsed time.Duration
	dead    int // dead letters before there was any poison
	poisoned
}

func newKill() *cobra.Command {
	var k killConfig
	cmd := &cobra.Command{
		Use:   "kill",
		Short: "Check that no task is lost or answered twice while instances and agents are killed, connections cut and processes stopped",
		Long: `Submit tasks from several clients while every so often one of the instances is killed by SIGKILL, one of the agents
too, which is started again at once, connections of the clients are cut, and some of all processes stand still for a
moment. All results have to arrive, each once; none may fail, and none may be given up. Then submit tasks of which some are
poison: they end their instance each time. They may be executed once more than they have attempts, and have to be in the
dead-letter list in the end, and no other task there. Ends with 1 otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.validate(); err != nil {
				return err
			}
			result, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return result.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.tasks, "tasks", 100_000, "tasks to submit, by all clients together")
	flags.IntVar(&k.clients, "clients", 2, "clients, each in a process of its own")
	flags.IntVar(&k.nodes, "nodes", 2, "nodes, each with an agent")
	flags.IntVar(&k.instances, "instances", 4, "instances of the service")
	flags.IntVar(&k.slots, "slots", 8, "tasks that an instance executes at once")
	flags.DurationVar(&k.every, "every", 2*time.Second, "time between two kills of an instance; 0: never")
	flags.DurationVar(&k.agents, "agents", 10*time.Second, "time between two kills of an agent; 0: never")
	flags.DurationVar(&k.cuts, "cuts", 3*time.Second, "time between two cuts of connections; 0: never")
	flags.DurationVar(&k.stalls, "stalls", 2*time.Second, "time between two stalls of up to three processes for up to half a second; 0: never")
	flags.DurationVar(&k.execution, "execution", time.Millisecond, "time that a task takes")
	flags.IntVar(&k.poison, "poison", 1, "tasks that end their instance")
	flags.IntVar(&k.others, "others", 10_000, "tasks that are submitted together with them")
	flags.DurationVar(&k.timeout, "timeout", 10*time.Minute, "time after which results are not waited for any more")
	return cmd
}

// validate says which flags cannot be.
func (k killConfig) validate() error {
	var errs []error
	above := func(flag string, v, least int) {
		if v < least {
			errs = append(errs, fmt.Errorf("--%s: %d is not at least %d", flag, v, least))
		}
	}
	above("clients", k.clients, 1)
	above("tasks", k.tasks, k.clients)
	above("nodes", k.nodes, 1)
	above("instances", k.instances, k.nodes)
	above("slots", k.slots, 1)
	above("poison", k.poison, 0)
	above("others", k.others, 0)
	if k.every < 0 || k.agents < 0 || k.cuts < 0 || k.stalls < 0 || k.timeout <= 0 {
		errs = append(errs, fmt.Errorf("--every, --agents, --cuts, --stalls and --timeout: %v, %v, %v, %v and %v: none may be negative, nor the last 0",
			k.every, k.agents, k.cuts, k.stalls, k.timeout))
	}
	return errors.Join(errs...)
}

// proxyHost is where the clients find the broker, through a proxy whose connections are cut.
const proxyHost = "127.0.0.2"

// run does it in a fabric of its own.
func (k killConfig) run(ctx context.Context) (_ killed, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, k.timeout, fmt.Errorf("not done within %v", k.timeout))
	defer stop()
	base, err := freePorts(protocol.LoopPort)
	if err != nil {
		return killed{}, err
	}
	f, err := startFabric(ctx, plan{
		transport: "tcp", port: base, nodes: k.nodes, instances: k.instances, slots: k.slots, execution: k.execution, poison: k.poison > 0,
		cpu: int64((k.instances+k.nodes-1)/k.nodes) * instanceCPU,
	})
	if err != nil {
		return killed{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	proxy, err := tcpproxy.Start(proxyHost, "127.0.0.1", base, base+protocol.LoopPort)
	if err != nil {
		return killed{}, err
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()
	c, err := f.dial(ctx, "bench-kill")
	if err != nil {
		return killed{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	result := killed{killConfig: k}
	if err := result.wreak(ctx, f, proxy, "tcp://"+net.JoinHostPort(proxyHost, strconv.Itoa(base))); err != nil {
		return result, err
	}
	letters, err := deadLetters(ctx, c)
	if err != nil {
		return result, err
	}
	result.dead = len(letters)
	if k.poison > 0 {
		result.poisoned, err = k.poisonTasks(ctx, f, c)
	}
	return result, err
}

// freePorts finds a base port that is free with the one that is that far above it.
func freePorts(distance int) (base int, err error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("find a port: %w", err)
		}
		base := l.Addr().(*net.TCPAddr).Port
		other, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(base+distance))
		if err == nil {
			err = other.Close()
		}
		if err = errors.Join(err, l.Close()); err == nil {
			return base, nil
		}
	}
	return 0, errors.New("find a port: no two are free")
}

// wreak has the clients submit the tasks while havoc is wreaked.
func (k *killed) wreak(ctx context.Context, f *fabric, proxy *tcpproxy.Proxy, endpoint string) error {
	var clients []*party.Process
	for n := range k.clients {
		p, err := f.startAt(ctx, endpoint, fmt.Sprintf("client %d", n+1), clientCommand, "--window", "4096")
		if err != nil {
			return err
		}
		clients = append(clients, p)
	}
	havoc := havoc{f: f, proxy: proxy, killConfig: k.killConfig}
	wreaking, rest := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- havoc.run(wreaking) }()
	begin := time.Now()
	deadline, _ := ctx.Deadline()
	type said struct {
		party.Answer
		err error
	}
	answers := make(chan said, len(clients))
	each := k.tasks / len(clients)
	for n, p := range clients {
		o := party.Order{Do: "submit", First: uint64(n * each), Count: each, Time: time.Until(deadline) - patience}
		if n == len(clients)-1 {
			o.Count = k.tasks - n*each
		}
		go func() {
			a, err := p.Ask(ctx, o)
			answers <- said{a, err}
		}()
	}
	var errs []error
	for range clients {
		a := <-answers
		errs = append(errs, a.err)
		if a.err == nil {
			var c counts
			errs = append(errs, json.Unmarshal(a.Report, &c))
			k.add(c)
		}
	}
	k.elapsed = time.Since(begin)
	rest()
	errs = append(errs, <-ended)
	k.havoc = havoc.counts
	return errors.Join(errs...)
}

// report prints the figures, and returns an error when they are not what they have to be.
func (k killed) report(w io.Writer) error {
	if _, err := fmt.Fprintf(w, `tasks              %d of %v each, by %d clients
instances          %d with %d slots on %d nodes
instances killed   %d
agents killed      %d
connections cut    %d
processes stopped  %d
elapsed            %.1f s (%.0f tasks/s)
results            %d of %d
missing            %d
more than once     %d
failed             %d
never sent         %d
given up           %d
`,
		k.tasks, k.execution, k.clients, k.instances, k.slots, k.nodes, k.havoc.instances, k.havoc.agents, k.havoc.cuts, k.havoc.stalls,
		k.elapsed.Seconds(), float64(k.Once)/k.elapsed.Seconds(),
		k.Once, k.tasks, k.missing(), k.Again, k.Failed, k.Strange, k.dead); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var errs []error
	if !k.right() || k.Tasks != k.tasks {
		errs = append(errs, fmt.Errorf("not every task was answered once and well: %s", cmp.Or(k.Failure, "none failed")))
	}
	if k.dead > 0 {
		errs = append(errs, fmt.Errorf("%d tasks are in the dead-letter list that are not poison", k.dead))
	}
	if k.poison > 0 {
		errs = append(errs, k.poisoned.report(w, k.killConfig))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "all results arrived, each once")
	return err
}
