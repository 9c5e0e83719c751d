package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
)

// loadConfig is what an open-loop load is told.
type loadConfig struct {
	shape
	rate             float64
	percent          []float64 // of the maximum
	arrivals         string
	seconds          float64
	seed             uint64
	format, out      string
	rateSet, percSet bool
}

func newLoad() *cobra.Command {
	k := loadConfig{shape: shape{payload: 16, clients: 1, instances: 1, window: 4096, transport: "tcp"}}
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Measure latencies under a load at a given rate, without coordinated omission",
		Long: `Measure how long tasks take under an open-loop load: the times at which tasks are due are fixed beforehand, and a latency
counts from then, not from when the task could be sent, so that a stall counts for every task that was due meanwhile.
Where tasks are due more often than every 200 us they are sent in bursts, which counts as well.

With --percent, which is the default, the maximum is measured first: what the same clients complete in a second while each
keeps its window full. Latencies are then measured at each of the percentages of it. With --rate they are measured at that rate.
A load that falls behind its schedule is given up when it is a second behind, or a quarter of the time, and is marked.

With --format lines each is LOAD|weft|payload|clients|instances|percent|asked/s|reached/s|p50us|p90us|p99us|p99.9us|p99.99us|maxus|CPUns.
With --out there are load.json and, for each rate, a distribution that plotters of HDR histograms read (.hgrm).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			k.rateSet, k.percSet = cmd.Flags().Changed("rate"), cmd.Flags().Changed("percent")
			if err := k.validate(); err != nil {
				return err
			}
			measured, err := k.measure(cmd.Context())
			if err != nil {
				return err
			}
			return errors.Join(measured.keep(k.out), measured.write(cmd.OutOrStdout(), k.format))
		},
	}
	k.flags(cmd)
	flags := cmd.Flags()
	flags.Float64Var(&k.rate, "rate", 0, "tasks a second of all clients together")
	flags.Float64SliceVar(&k.percent, "percent", []float64{10, 50, 80, 95}, "percentages of the maximum, which is measured first")
	flags.StringVar(&k.arrivals, "arrivals", arrivalsConstant, "constant or poisson")
	flags.Float64Var(&k.seconds, "seconds", 5, "how long each rate is measured")
	flags.Uint64Var(&k.seed, "seed", 1, "chance of poisson")
	flags.StringVar(&k.format, "format", formatTable, "table, lines or json")
	flags.StringVar(&k.out, "out", "", "folder to keep the figures and distributions in")
	return cmd
}

// validate names the flags that cannot be.
func (k *loadConfig) validate() error {
	errs := []error{
		k.shape.validate(stampSize),
		inRange("seconds", k.seconds, leastSeconds, mostSeconds),
		oneOf("arrivals", k.arrivals, arrivalsConstant, arrivalsPoisson),
		oneOf("format", k.format, formatTable, formatLines, formatJSON),
	}
	switch {
	case k.rateSet && k.percSet:
		errs = append(errs, fmt.Errorf("--rate: %v and --percent %v exclude each other: a rate is measured as it is", k.rate, k.percent))
	case k.rateSet:
		errs = append(errs, inRange("rate", k.rate, 0.1, 1e9))
	case len(k.percent) == 0:
		errs = append(errs, errors.New("--percent: there is none, one is needed at least"))
	default:
		for _, v := range k.percent {
			errs = append(errs, inRange("percent", v, 0.1, 1000))
		}
	}
	return errors.Join(errs...)
}

// loaded is what loads have measured.
type loaded struct {
	Name      string  `json:"name"` // weft, or weft ipc
	Payload   int     `json:"payload_bytes"`
	Clients   int     `json:"clients"`
	Instances int     `json:"instances"`
	Window    int     `json:"window"`
	Arrivals  string  `json:"arrivals"`
	Seconds   float64 `json:"seconds"`
	Maximum   float64 `json:"maximum_tasks_per_second,omitempty"` // 0: not measured
	Steps     []step  `json:"steps"`
}

// step is what was measured at one rate.
type step struct {
	Percent   float64       `json:"percent_of_maximum,omitempty"`
	Asked     float64       `json:"asked_tasks_per_second"`
	Reached   float64       `json:"reached_tasks_per_second"`
	Latency   latencies     `json:"latency"`
	SentLate  latencies     `json:"sent_late"` // how late the bursts were sent
	Tasks     uint64        `json:"tasks"`     // that were due
	Unsent    uint64        `json:"unsent"`    // of them, that were given up
	CPU       time.Duration `json:"cpu_per_task_ns"`
	Behind    bool          `json:"behind"` // the load has not kept to its schedule
	histogram *hdrhistogram.Histogram
}

// measure runs a fabric for the loads.
func (k *loadConfig) measure(ctx context.Context) (_ loaded, err error) {
	f, clients, err := k.start(ctx, pacerCommand)
	if err != nil {
		return loaded{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	l := loaded{
		Name: k.name(), Payload: k.payload, Clients: k.clients, Instances: k.instances, Window: k.window,
		Arrivals: k.arrivals, Seconds: k.seconds,
	}
	duration := time.Duration(k.seconds * float64(time.Second))
	o := pace{Arrivals: k.arrivals, Seed: k.seed, Warm: warmUp, Time: duration}
	if k.rateSet {
		o.Rate = k.rate
		s, err := loadAt(ctx, f, clients, o)
		l.Steps = []step{s}
		return l, err
	}
	if l.Maximum, err = maximum(ctx, clients, duration); err != nil {
		return loaded{}, err
	}
	for _, percent := range k.percent {
		o.Rate = l.Maximum * percent / 100
		s, err := loadAt(ctx, f, clients, o)
		if err != nil {
			return loaded{}, err
		}
		s.Percent = percent
		l.Steps = append(l.Steps, s)
	}
	return l, nil
}

// maximum is how many tasks a second the clients of a paced load complete while they keep their windows full.
func maximum(ctx context.Context, clients []*party.Process, duration time.Duration) (float64, error) {
	answers, err := paceAll(ctx, clients, pace{Warm: warmUp, Time: duration})
	if err != nil {
		return 0, err
	}
	var within uint64
	for _, p := range answers {
		within += p.Within
	}
	if within == 0 {
		return 0, fmt.Errorf("no task was completed within %v: --seconds must be more, or the tasks smaller", duration)
	}
	return float64(within) / duration.Seconds(), nil
}

// paceAll gives each client its part of a load.
func paceAll(ctx context.Context, clients []*party.Process, o pace) ([]paced, error) {
	o.Clients, o.Late = len(clients), max(time.Second, o.Time/4)
	ctx, stop := within(ctx, o.Warm+o.Time+o.Late)
	defer stop()
	orders := make([]party.Order, len(clients))
	for i := range clients {
		o.Client = i
		how, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("say how to pace: %w", err)
		}
		orders[i] = party.Order{Do: "pace", More: how}
	}
	answers, err := party.AskEach(ctx, clients, orders)
	if err != nil {
		return nil, err
	}
	all := make([]paced, len(answers))
	for i, a := range answers {
		if err := json.Unmarshal(a.Report, &all[i]); err != nil {
			return nil, fmt.Errorf("read what was paced: %w", err)
		}
	}
	return all, nil
}

// loadAt measures at one rate.
func loadAt(ctx context.Context, f *fabric, clients []*party.Process, o pace) (step, error) {
	processes, err := f.processes()
	if err != nil {
		return step{}, err
	}
	pids := pidsOf(processes)
	before, err := exactCPU(pids)
	if err != nil {
		return step{}, err
	}
	answers, err := paceAll(ctx, clients, o)
	if err != nil {
		return step{}, err
	}
	after, err := exactCPU(pids)
	if err != nil {
		return step{}, err
	}
	s, sent, err := stepOf(o, answers)
	s.CPU = (after - before) / time.Duration(max(sent, 1))
	return s, err
}

// By how much a load may take longer than its schedule and be said to have kept to it: a part of its time, but a time that
// a busy machine may stand still in any case.
const (
	mostDelay  = 0.05
	leastDelay = 125 * time.Millisecond
)

// stepOf adds up what the clients have measured, and says how many tasks they have sent in all.
func stepOf(o pace, answers []paced) (s step, sent uint64, err error) {
	s.Asked = o.Rate
	var elapsed time.Duration
	var done uint64
	var latency, late [][]byte
	for _, p := range answers {
		sent += p.Sent
		done += p.Done
		s.Tasks += p.Due
		elapsed = max(elapsed, p.Elapsed)
		s.Behind = s.Behind || p.GivenUp
		latency, late = append(latency, p.Latency), append(late, p.Late)
	}
	s.Unsent = s.Tasks - done
	elapsed = cmp.Or(elapsed, o.Time)
	s.Reached = float64(done) / elapsed.Seconds()
	s.Behind = s.Behind || elapsed > o.Time+max(time.Duration(mostDelay*float64(o.Time)), leastDelay)
	if s.histogram, err = mergeHistograms(latency...); err != nil {
		return step{}, 0, err
	}
	sentLate, err := mergeHistograms(late...)
	if err != nil {
		return step{}, 0, err
	}
	s.Latency, s.SentLate = latenciesOf(s.histogram), latenciesOf(sentLate)
	return s, sent, nil
}
