package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/quantile"
)

// What a run measures.
const (
	modeRTT        = "rtt"
	modeThroughput = "throughput"
	modeBoth       = "both"
)

// runConfig is what a run is told.
type runConfig struct {
	shape
	mode, format string
	seconds      float64
}

func newRun() *cobra.Command {
	r := runConfig{shape: shape{payload: 16, clients: 1, instances: 1, window: 4096, transport: "tcp"}}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Measure the round trip of one task, and how many tasks a second go through",
		Long: `Measure the round trip of a task by a client that has one outstanding, and how many tasks are completed in a second
while each client keeps a window of them outstanding. The service gives back what it gets.

With --format lines the result is RESULT|weft|payload|clients|instances|p50us|p99us|tasks/s.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.validate(); err != nil {
				return err
			}
			measured, err := r.measure(cmd.Context())
			if err != nil {
				return err
			}
			return measured.write(cmd.OutOrStdout(), r.format)
		},
	}
	r.flags(cmd)
	flags := cmd.Flags()
	flags.Float64Var(&r.seconds, "seconds", 3, "how long each figure is measured")
	flags.StringVar(&r.mode, "mode", modeBoth, "rtt, throughput or both")
	flags.StringVar(&r.format, "format", formatTable, "table, lines or json")
	return cmd
}

// validate names the flags that cannot be.
func (r *runConfig) validate() error {
	return errors.Join(
		r.shape.validate(0),
		inRange("seconds", r.seconds, leastSeconds, mostSeconds),
		oneOf("mode", r.mode, modeRTT, modeThroughput, modeBoth),
		oneOf("format", r.format, formatTable, formatLines, formatJSON),
	)
}

// For how many seconds one figure can be measured.
const leastSeconds, mostSeconds = 0.01, 3600.0

// measure runs a fabric for the measurement.
func (r *runConfig) measure(ctx context.Context) (_ result, err error) {
	f, clients, err := r.start(ctx, clientCommand)
	if err != nil {
		return result{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	res := result{Name: r.name(), Payload: r.payload, Clients: r.clients, Instances: r.instances, Window: r.window}
	duration := time.Duration(r.seconds * float64(time.Second))
	if r.mode != modeThroughput {
		trips, err := roundTrips(ctx, clients[0], duration)
		if err != nil {
			return result{}, err
		}
		res.RoundTrips, res.P50, res.P99 = len(trips), quantile.Of(trips, 0.5), quantile.Of(trips, 0.99)
	}
	if r.mode != modeRTT {
		s, err := throughput(ctx, clients, party.Order{Do: "load", Time: warmUp}, duration, nil)
		if err != nil {
			return result{}, err
		}
		res.Tasks, res.PerSecond = s.tasks, s.perSecond
	}
	m, err := memoryOf(f.broker.PID())
	res.BrokerPeak = m.peak
	return res, err
}

// ready waits until all instances serve.
func (f *fabric) ready(ctx context.Context, instances int) error {
	c, err := f.dial(ctx, "bench")
	if err != nil {
		return err
	}
	return errors.Join(f.serving(ctx, c, instances), c.Close())
}

// roundTrips lets one client have one task outstanding, and gives how long each took.
func roundTrips(ctx context.Context, p *party.Process, duration time.Duration) ([]time.Duration, error) {
	ctx, stop := within(ctx, duration)
	defer stop()
	if _, err := p.Ask(ctx, party.Order{Do: "rtt", Time: warmUp}); err != nil {
		return nil, err
	}
	a, err := p.Ask(ctx, party.Order{Do: "rtt", Time: duration})
	return a.Trips, err
}

// warmUp is how long a load runs before it is measured.
const warmUp = 500 * time.Millisecond

// steady is what was measured while a load ran steadily.
type steady struct {
	tasks     uint64
	perSecond float64
	cpu       time.Duration // that was used for each task; 0 if nobody was asked
}

// throughput has all clients work, and counts what they complete in the same time. If cpu is there it says how much
// processor time was used so far.
func throughput(ctx context.Context, clients []*party.Process, load party.Order, duration time.Duration,
	cpu func() (time.Duration, error),
) (s steady, err error) {
	ctx, stop := within(ctx, duration)
	defer stop()
	if cpu == nil {
		cpu = func() (time.Duration, error) { return 0, nil }
	}
	if _, err := party.AskAll(ctx, clients, load); err != nil {
		return s, err
	}
	begin := time.Now()
	before, err := cpu()
	if err != nil {
		return s, err
	}
	answers, err := party.AskAll(ctx, clients, party.Order{Do: "count", Time: duration})
	if err != nil {
		return s, err
	}
	elapsed := time.Since(begin)
	after, err := cpu()
	if err != nil {
		return s, err
	}
	for _, a := range answers {
		s.tasks += a.Tasks
		s.perSecond += float64(a.Tasks) / a.Elapsed.Seconds()
	}
	if s.perSecond > 0 { // the interval of the counts is shorter by some microseconds
		s.cpu = time.Duration(float64(after-before) / (s.perSecond * elapsed.Seconds()))
	}
	_, err = party.AskAll(ctx, clients, party.Order{Do: "rest"})
	return s, err
}

// errSilent is why a measurement ends whose party has not answered in time.
var errSilent = errors.New("no answer")

// within gives an order that takes some time that time, and patience.
func within(ctx context.Context, duration time.Duration) (context.Context, context.CancelFunc) {
	limit := duration + warmUp + patience
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w within %v", errSilent, limit))
}

// newPartyClient is a client of a run.
func newPartyClient() *cobra.Command {
	var endpoint string
	var payload, window int
	cmd := &cobra.Command{
		Use: clientCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			c, err := dial(ctx, endpoint, "bench-client")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			s, err := c.OpenSession(ctx, serviceName, client.WithWindow(window, 0))
			if err != nil {
				return err
			}
			return party.Obey(ctx, party.Answer{}, newLoader(s, make([]byte, payload)).obey)
		},
	}
	cmd.Flags().StringVar(&endpoint, "broker", "", "control endpoint")
	cmd.Flags().IntVar(&payload, "payload", 0, "bytes of a task")
	cmd.Flags().IntVar(&window, "window", 0, "tasks outstanding")
	return cmd
}
