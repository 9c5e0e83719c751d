package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/quantile"
	"github.com/weft-fabric/weft/protocol"
)

// fairnessConfig is what the check of fairness is told.
type fairnessConfig struct {
	sessions, flood, calls, rounds, instances int
	execution                                 time.Duration
	limit                                     float64
}

// fairness is what was measured.
type fairness struct {
	fairnessConfig
	quiet, flooded []time.Duration // p50 of each round
	idle, peak     int64           // bytes of the broker: with the sessions open, and the most
}

func newFairness() *cobra.Command {
	var k fairnessConfig
	cmd := &cobra.Command{
		Use:   "fairness",
		Short: "Check that a session that is flooded with tasks does not hold up another of the same service",
		Long: `One client opens many sessions. Another has a session of the same service, and calls single tasks in it: in turns
while all else is quiet, and while one of the many sessions is flooded with tasks and then closed by kill. Ends with 1
when the median of the round trips (p50) with the flood is more than the limit times that without.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.sessions < 1 || k.flood < 1 || k.calls < 1 || k.rounds < 1 || k.instances < 1 || k.flood > protocol.MaxTaskSlot {
				return fmt.Errorf("--sessions, --flood, --calls, --rounds and --instances: %d, %d, %d, %d and %d are to be above 0, "+
					"and --flood at most %d", k.sessions, k.flood, k.calls, k.rounds, k.instances, protocol.MaxTaskSlot)
			}
			measured, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return measured.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.sessions, "sessions", 1000, "sessions that one client opens")
	flags.IntVar(&k.flood, "flood", 1_000_000, "tasks submitted in one of them")
	flags.IntVar(&k.calls, "calls", 300, "single tasks of a round, in a session of another client")
	flags.IntVar(&k.rounds, "rounds", 5, "rounds, each quiet and flooded")
	flags.IntVar(&k.instances, "instances", 2, "instances of the service")
	flags.DurationVar(&k.execution, "execution", time.Millisecond, "time that a task takes")
	flags.Float64Var(&k.limit, "limit", 2.5, "highest ratio that passes")
	return cmd
}

// run does it in a fabric of its own.
func (k fairnessConfig) run(ctx context.Context) (_ fairness, err error) {
	f, err := startFabric(ctx, plan{
		transport: "tcp", instances: k.instances, execution: k.execution, tasks: max(k.flood, protocol.DefaultTaskCredit),
	})
	if err != nil {
		return fairness{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	holder, err := f.start(ctx, "holder of the sessions", holderCommand, "--sessions", strconv.Itoa(k.sessions))
	if err != nil {
		return fairness{}, err
	}
	c, err := f.dial(ctx, "bench-fairness")
	if err != nil {
		return fairness{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := c.OpenSession(ctx, serviceName)
	if err != nil {
		return fairness{}, err
	}
	if err := f.serving(ctx, c, k.instances); err != nil {
		return fairness{}, err
	}
	m, err := memoryOf(f.broker.PID())
	if err != nil {
		return fairness{}, err
	}
	measured := fairness{fairnessConfig: k, idle: m.now}
	for range k.rounds {
		if err := measured.round(ctx, s, holder); err != nil {
			return fairness{}, err
		}
	}
	m, err = memoryOf(f.broker.PID())
	measured.peak = m.peak
	return measured, err
}

// round measures once while all is quiet, and once with the flood.
func (k *fairness) round(ctx context.Context, s *client.Session, holder *party.Process) error {
	quiet, err := k.probe(ctx, s)
	if err != nil {
		return err
	}
	limit, stop := within(ctx, time.Minute)
	defer stop()
	if _, err := holder.Ask(limit, party.Order{Do: "flood", Count: k.flood}); err != nil {
		return err
	}
	flooded, err := k.probe(ctx, s)
	if err != nil {
		return err
	}
	k.quiet, k.flooded = append(k.quiet, quiet), append(k.flooded, flooded)
	_, err = holder.Ask(limit, party.Order{Do: "kill"})
	return err
}

// probe gives the p50 of single calls.
func (k *fairness) probe(ctx context.Context, s *client.Session) (time.Duration, error) {
	trips := make([]time.Duration, 0, k.calls)
	for range k.calls {
		begin := time.Now()
		if _, err := s.Call(ctx, make([]byte, 16)); err != nil {
			return 0, fmt.Errorf("a single task: %w", err)
		}
		trips = append(trips, time.Since(begin))
	}
	return quantile.Of(trips, 0.5), nil
}

// ratio is how much longer a single task takes with the flood.
func (k fairness) ratio() float64 {
	return float64(quantile.Median(k.flooded)) / float64(quantile.Median(k.quiet))
}

// report prints the figures, and returns an error when the ratio is over the limit.
func (k fairness) report(w io.Writer) error {
	if _, err := fmt.Fprintf(w, `sessions open      %d in one client, one of them flooded with %d tasks of %v, then killed
instances          %d
p50 when quiet     %v us
p50 with the flood %v us
medians of %d       %s us and %s us
ratio              %.2f (limit %.2f)
broker's memory    %s with the sessions open, %s at most
`,
		k.sessions, k.flood, k.execution, k.instances, allMicros(k.quiet), allMicros(k.flooded), k.rounds,
		micros(quantile.Median(k.quiet)), micros(quantile.Median(k.flooded)), k.ratio(), k.limit, mebibytes(k.idle), mebibytes(k.peak)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if k.ratio() > k.limit {
		return fmt.Errorf("a flooded session holds up the others: ratio %.2f, the limit is %.2f", k.ratio(), k.limit)
	}
	return nil
}

func allMicros(durations []time.Duration) []string {
	var all []string
	for _, d := range durations {
		all = append(all, micros(d))
	}
	return all
}

// newPartyHolder is the client that has many sessions open.
func newPartyHolder() *cobra.Command {
	var endpoint string
	var sessions int
	cmd := &cobra.Command{
		Use: holderCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			c, err := dial(ctx, endpoint, "bench-holder")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			h := holder{client: c}
			for range sessions {
				if err := h.open(ctx); err != nil {
					return err
				}
			}
			return party.Obey(ctx, party.Answer{}, h.obey)
		},
	}
	cmd.Flags().StringVar(&endpoint, "broker", "", "control endpoint")
	cmd.Flags().IntVar(&sessions, "sessions", 0, "sessions to open")
	return cmd
}

// holder has many sessions open, and floods the last one.
type holder struct {
	client   *client.Client
	sessions []*client.Session
}

func (h *holder) open(ctx context.Context) error {
	s, err := h.client.OpenSession(ctx, serviceName)
	if err != nil {
		return fmt.Errorf("session %d: %w", len(h.sessions)+1, err)
	}
	h.sessions = append(h.sessions, s)
	return nil
}

// obey floods the last session until all tasks are submitted, or kills it and opens another in its place.
func (h *holder) obey(ctx context.Context, o party.Order) (party.Answer, error) {
	switch o.Do {
	case "flood":
		last := h.sessions[len(h.sessions)-1]
		payload := make([]byte, 16)
		for n := range o.Count {
			if err := last.SubmitFunc(ctx, payload, func(client.Result) {}); err != nil {
				return party.Answer{}, fmt.Errorf("task %d of the flood: %w", n+1, err)
			}
		}
		return party.Answer{Tasks: uint64(o.Count)}, nil
	case "kill":
		if err := h.sessions[len(h.sessions)-1].Kill(ctx); err != nil {
			return party.Answer{}, fmt.Errorf("kill the flooded session: %w", err)
		}
		h.sessions = h.sessions[:len(h.sessions)-1]
		return party.Answer{}, h.open(ctx)
	default:
		return party.Answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
}
