package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
)

// overloadConfig is what the check of overload is told.
type overloadConfig struct {
	time, execution, recovery            time.Duration
	memory                               int64
	instances, clients, large, largeSize int
	factor                               int
	share                                float64 // of the throughput before that must come back
	excess                               float64 // part of the memory that may be used beyond the cap
}

// overload is what was measured.
type overload struct {
	overloadConfig
	before, after float64       // tasks/s
	back          time.Duration // until after was reached
	sent, done    uint64
	peak          int64 // bytes of the broker
	taken         uint64
}

func newOverload() *cobra.Command {
	var k overloadConfig
	cmd := &cobra.Command{
		Use:   "overload",
		Short: "Check that a broker stays within its memory under overload, loses nothing, and recovers",
		Long: `Clients submit many times the tasks that the instances can execute, while one of the instances and another client, for
which there are large results, are stopped (SIGSTOP). Then the instance and the client are continued. Ends with 1 when the
broker has taken more memory than it may, when a task has not exactly one result in the end, or when the throughput of
before does not come back in time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.instances < 2 || k.clients < 1 || k.large < 1 || k.factor < 1 || k.execution <= 0 {
				return fmt.Errorf("--instances, --clients, --large, --factor and --execution: %d, %d, %d, %d and %v are to be above 0, and there are to be two instances",
					k.instances, k.clients, k.large, k.factor, k.execution)
			}
			measured, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return measured.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&k.time, "time", 5*time.Minute, "how long the overload lasts")
	flags.DurationVar(&k.execution, "execution", time.Millisecond, "time that a task takes")
	flags.DurationVar(&k.recovery, "recovery", 30*time.Second, "time after which the throughput must be back")
	flags.Int64Var(&k.memory, "memory", 384<<20, "memory that the broker may use, in bytes")
	flags.IntVar(&k.instances, "instances", 4, "instances of the service")
	flags.IntVar(&k.clients, "clients", 4, "clients that overload it")
	flags.IntVar(&k.factor, "factor", 10, "how many times what the instances can do the clients ask for")
	flags.IntVar(&k.large, "large", 10_000, "large results for the client that is stopped")
	flags.IntVar(&k.largeSize, "large-size", 8<<20, "bytes of one")
	flags.Float64Var(&k.share, "share", 0.9, "part of the throughput before that must come back")
	flags.Float64Var(&k.excess, "excess", 0.2, "part of the memory that may be used beyond it")
	return cmd
}

// run does it in a fabric of its own.
func (k overloadConfig) run(ctx context.Context) (_ overload, err error) {
	f, err := startFabric(ctx, plan{
		transport: "tcp", instances: k.instances, directed: true,
		broker: []string{"--memory", strconv.FormatInt(k.memory, 10), "--client-grace", (k.time + time.Hour).String()},
	})
	if err != nil {
		return overload{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	var clients []*party.Process
	for i := range k.clients {
		p, err := f.start(ctx, fmt.Sprintf("client %d", i+1), surgeCommand,
			"--sessions", "3", "--payloads", "1024,32768", "--execution", k.execution.String())
		if err != nil {
			return overload{}, err
		}
		clients = append(clients, p)
	}
	taker, err := f.start(ctx, "client of large results", surgeCommand, "--result", strconv.Itoa(k.largeSize))
	if err != nil {
		return overload{}, err
	}
	if err := f.ready(ctx, k.instances); err != nil {
		return overload{}, err
	}
	measured := overload{overloadConfig: k}
	if measured.before, err = measured.throughput(ctx, clients); err != nil {
		return overload{}, err
	}
	if err := measured.strain(ctx, f, clients, taker); err != nil {
		return overload{}, err
	}
	m, err := memoryOf(f.broker.PID())
	measured.peak = m.peak
	return measured, err
}

// strain overloads the fabric, and sees how it recovers.
func (k *overload) strain(ctx context.Context, f *fabric, clients []*party.Process, taker *party.Process) error {
	limited, stop := within(ctx, k.time+time.Minute)
	defer stop()
	if _, err := taker.Ask(limited, party.Order{Do: "send", Count: k.large}); err != nil {
		return err
	}
	instances, err := instancesUnder(f.agents[0].PID())
	if err != nil || len(instances) == 0 {
		return errors.Join(err, errors.New("there are no instances to be stopped"))
	}
	stopped := []int{instances[0], taker.PID()}
	defer signalAll(stopped, syscall.SIGCONT) //nolint:errcheck // they may be gone
	if err := signalAll(stopped, syscall.SIGSTOP); err != nil {
		return err
	}
	capacity := float64(k.instances) / k.execution.Seconds()
	answers, err := party.AskAll(limited, clients, party.Order{Do: "surge", Time: k.time, Count: int(capacity * float64(k.factor) / float64(len(clients)))})
	if err != nil {
		return err
	}
	for _, a := range answers {
		k.sent += a.Tasks
	}
	if err := signalAll(stopped[:1], syscall.SIGCONT); err != nil {
		return err
	}
	for begin := time.Now(); k.after < k.share*k.before && time.Since(begin) < k.recovery; {
		if k.after, err = k.throughput(ctx, clients); err != nil {
			return err
		}
		k.back = time.Since(begin)
	}
	if err := signalAll(stopped, syscall.SIGCONT); err != nil {
		return err
	}
	limited, stop = within(ctx, time.Minute+time.Duration(k.large)*100*time.Millisecond)
	defer stop()
	answers, err = party.AskAll(limited, append(clients, taker), party.Order{Do: "drain"})
	for i, a := range answers {
		if i < len(clients) {
			k.done += a.Tasks
		} else {
			k.taken = a.Tasks
		}
	}
	return err
}

// throughput is how many tasks a second are completed while each client keeps some outstanding.
func (k *overload) throughput(ctx context.Context, clients []*party.Process) (perSecond float64, err error) {
	ctx, stop := within(ctx, time.Minute)
	defer stop()
	answers, err := party.AskAll(ctx, clients, party.Order{Do: "steady", Time: 3 * time.Second, Count: 64})
	for _, a := range answers {
		if a.Elapsed > 0 {
			perSecond += float64(a.Tasks) / a.Elapsed.Seconds()
		}
	}
	return perSecond, err
}

// signalAll sends a signal to processes.
func signalAll(pids []int, s syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil {
			errs = append(errs, fmt.Errorf("send %v to process %d: %w", s, pid, err))
		}
	}
	return errors.Join(errs...)
}

// report prints the figures, and returns an error when they are not what they have to be.
func (k overload) report(w io.Writer) error {
	most := int64(float64(k.memory) * (1 + k.excess))
	if _, err := fmt.Fprintf(w, `overload         %v, %d times what %d instances can do, one of them stopped
tasks            %d sent under overload, %d answered in all, each once
large results    %d of %s for a client that was stopped, all taken
broker's memory  %s at most, it may use %s and %.0f %%
throughput       %.0f tasks/s before, %.0f after, %.1f s after the overload
`,
		k.time, k.factor, k.instances, k.sent, k.done, k.taken, mebibytes(int64(k.largeSize)), mebibytes(k.peak), mebibytes(k.memory), 100*k.excess,
		k.before, k.after, k.back.Seconds()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	switch {
	case k.peak > most:
		return fmt.Errorf("the broker has taken %s, %s are allowed", mebibytes(k.peak), mebibytes(most))
	case k.after < k.share*k.before:
		return fmt.Errorf("the throughput was not back within %v", k.recovery)
	}
	return nil
}
