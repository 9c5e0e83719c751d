package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// soakConfig is what the check of a long load is told.
type soakConfig struct {
	shape
	percent           float64
	arrivals          string
	time, warm, every time.Duration
	seconds           float64 // for which the maximum is measured
	slack             slack
	pause             time.Duration
	out               string
}

// soaked is what was measured.
type soaked struct {
	soakConfig
	Name        string         `json:"name"`
	Maximum     float64        `json:"maximum_tasks_per_second"`
	Load        step           `json:"load"`
	Memory      []trend        `json:"memory"`
	Collections collections    `json:"collections_of_the_broker"`
	Processes   []string       `json:"processes"` // whose memory the samples tell, in their order
	Samples     []memorySample `json:"samples"`
}

func newSoak() *cobra.Command {
	k := soakConfig{shape: shape{payload: 16, clients: 8, instances: 2, window: 4096, transport: "tcp"}}
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Check that a long load at a part of the maximum lets no memory grow and has no long pauses",
		Long: `Measure the maximum, then put an open-loop load (see weft-bench load) of a part of it on the fabric for a long time, and look at
the memory of every process meanwhile. Ends with 1 when a process, or all together, occupies more at the end than after the
warm-up: the most within a time as long as the warm-up, at the end and right after it, are compared. Also when the garbage
collector has stopped the broker for too long, or the load fell behind its schedule.

With --out there are soak.json, with all samples of the memory, and soak.hgrm.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.validate(); err != nil {
				return err
			}
			measured, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return errors.Join(measured.keep(k.out), measured.report(cmd.OutOrStdout()))
		},
	}
	k.flags(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&k.time, "time", 10*time.Minute, "how long the load lasts")
	flags.DurationVar(&k.warm, "warm", time.Minute, "how long memory may grow at first")
	flags.DurationVar(&k.every, "every", time.Second, "time between two looks at the memory")
	flags.Float64Var(&k.percent, "percent", 80, "percentage of the maximum")
	flags.StringVar(&k.arrivals, "arrivals", arrivalsConstant, "constant or poisson")
	flags.Float64Var(&k.seconds, "seconds", 5, "how long the maximum is measured")
	flags.Float64Var(&k.slack.part, "slack", 0.05, "part by which memory may be more at the end")
	flags.Int64Var(&k.slack.bytes, "slack-bytes", 16<<20, "bytes by which it may be more, when that is more")
	flags.DurationVar(&k.pause, "pause", 5*time.Millisecond, "for how long a collection may stop the broker at most")
	flags.StringVar(&k.out, "out", "", "folder to keep the figures in")
	return cmd
}

// validate names the flags that cannot be.
func (k *soakConfig) validate() error {
	errs := []error{
		k.shape.validate(stampSize),
		inRange("percent", k.percent, 0.1, 100),
		oneOf("arrivals", k.arrivals, arrivalsConstant, arrivalsPoisson),
		inRange("seconds", k.seconds, leastSeconds, mostSeconds),
		inRange("slack", k.slack.part, 0, 10),
		inRange("slack-bytes", k.slack.bytes, 0, 1<<40),
		inRange("pause", k.pause, 0, time.Minute),
		inRange("every", k.every, time.Millisecond, time.Minute),
		inRange("warm", k.warm, 2*k.every, 24*time.Hour),
	}
	if k.time < 3*k.warm {
		errs = append(errs, fmt.Errorf("--time: %v is less than three times --warm, which is %v: the warm-up, a time to compare with, and the end", k.time, k.warm))
	}
	return errors.Join(errs...)
}

// run does it in a fabric of its own.
func (k soakConfig) run(ctx context.Context) (_ soaked, err error) {
	f, clients, err := k.start(ctx, pacerCommand)
	if err != nil {
		return soaked{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	s := soaked{soakConfig: k, Name: k.name()}
	if s.Maximum, err = maximum(ctx, clients, time.Duration(k.seconds*float64(time.Second))); err != nil {
		return soaked{}, err
	}
	list, err := f.processes()
	if err != nil {
		return soaked{}, err
	}
	for _, p := range list {
		s.Processes = append(s.Processes, p.name)
	}
	if _, err := collectionsOf(ctx, f.broker); err != nil { // from now on
		return soaked{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		var err error
		s.Load, err = loadAt(ctx, f, clients, pace{Rate: s.Maximum * k.percent / 100, Arrivals: k.arrivals, Seed: 1, Time: k.time})
		ended <- err
	}()
	watchErr := s.watch(ctx, f, list, ended)
	if watchErr != nil {
		stop()
		return soaked{}, watchErr
	}
	s.Load.Percent = k.percent
	s.Memory, err = trends(s.Samples, list, k.warm, k.time, k.slack)
	return s, err
}

// watch looks at the processes until the load has ended, and returns its error.
func (s *soaked) watch(ctx context.Context, f *fabric, list []process, ended <-chan error) error {
	begin := time.Now()
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	look := func() error {
		c, err := collectionsOf(ctx, f.broker)
		if err != nil {
			return err
		}
		s.Collections.add(c)
		sample, err := sampleMemory(time.Since(begin), list)
		s.Samples = append(s.Samples, sample)
		return err
	}
	for {
		select {
		case err := <-ended:
			return errors.Join(err, look())
		case <-tick.C:
			if err := look(); err != nil {
				return err
			}
		}
	}
}

// keep writes the figures into a folder; none: nothing.
func (s soaked) keep(folder string) error {
	if folder == "" {
		return nil
	}
	return errors.Join(
		keepFile(folder, "soak.json", func(w io.Writer) error { return writeJSON(w, s) }),
		keepFile(folder, "soak.hgrm", func(w io.Writer) error { return writeDistribution(w, s.Load.histogram) }),
	)
}

// report prints the figures, and returns an error when they are not what they have to be.
func (s soaked) report(w io.Writer) error {
	l := s.Load.Latency
	if _, err := fmt.Fprintf(w, `soak      %s, %d clients, %d instances, %d bytes, %v at %v %% of %s tasks/s
load      %s tasks/s asked, %s reached; %d tasks, %s ns of CPU each
latency   p50 %s, p99 %s, p99.9 %s, p99.99 %s, max %s us
broker    %d collections, %v at most, heap %s at most
memory    %-14s %12s %12s %12s
`,
		s.Name, s.clients, s.instances, s.payload, s.time, s.percent, rate(s.Maximum),
		rate(s.Load.Asked), rate(s.Load.Reached), s.Load.Tasks, nanos(s.Load.CPU),
		micros(l.P50), micros(l.P99), micros(l.P999), micros(l.P9999), micros(l.Max),
		s.Collections.Count, s.Collections.Longest, mebibytes(s.Collections.Heap),
		"", "warmed up", "at the end", "allowed"); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, t := range s.Memory {
		if _, err := fmt.Fprintf(w, "          %-14s %12s %12s %12s\n", t.Name, mebibytes(t.Base), mebibytes(t.Last), mebibytes(t.Limit)); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return s.judge()
}

// judge says what is not as it has to be.
func (s soaked) judge() error {
	var errs []error
	if s.Load.Behind {
		errs = append(errs, errors.New(s.Load.word()))
	}
	for _, t := range s.Memory {
		if t.grows() {
			errs = append(errs, fmt.Errorf("the memory of %s grows: %s at the end, %s after the warm-up, %s are allowed",
				t.Name, mebibytes(t.Last), mebibytes(t.Base), mebibytes(t.Limit)))
		}
	}
	if s.Collections.Longest > s.pause {
		errs = append(errs, fmt.Errorf("a collection has stopped the broker for %v, %v are allowed", s.Collections.Longest, s.pause))
	}
	return errors.Join(errs...)
}
