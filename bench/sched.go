package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/sched/scenario"
)

// schedConfig is what a measurement of the scheduler is told.
type schedConfig struct {
	load    scenario.Load
	churn   bool
	batch   int
	passes  int
	seconds float64
	scale   bool
	check   bool
	profile string
}

// What a load takes of the cluster: without churn all fits; with it 95 % are in use, as some leaves may not have all that
// they want, and in a full cluster a backlog stands behind what runs.
const (
	useFill  = 0.7
	useChurn = 1.215
	useFull  = 1.8
)

func newSched() *cobra.Command {
	k := schedConfig{load: scenario.Load{Nodes: 10_000, Requests: 100_000, Queues: 1000, Dims: 5, Shapes: 64, Seed: 1}}
	cmd := &cobra.Command{
		Use:   "sched",
		Short: "Measure the decisions of the scheduler, on one core",
		Long: `Generate a cluster, a tree of queues and requests (as weft sched simulate --generate does), and measure how the scheduler
hands out the containers, one decision at a time, on one core. Generating the load is not measured.

Without --churn all requests fit, and are placed. With --churn the cluster is filled first, to about 95 % with a part of the
leaves at their maxima and a backlog behind those; then requests end by chance, those that have ended come again as new
ones, and the scheduler hands out what has become free. Ending and submitting is within the measured time. With --use 1.8
the cluster is full, and every leaf has a backlog.

Each pass prints
  RESULT-SCHED|nodes|requests|queues|decisions/s|p50us|p99us|max_us|MB|allocs/decision
and the last such line has the medians. MB is the heap in use by scheduler and load after the pass; lines that begin
with # say more. --scale measures the slowdown from a tenth of the nodes, and from a hundredth of the queues. --check measures all of that in turns, and fails when a floor is not held.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("blocked") && k.churn {
				k.load.Blocked = 0.25
			}
			if !cmd.Flags().Changed("use") {
				k.load.Use = useFill
				if k.churn {
					k.load.Use = useChurn
				}
			}
			if err := k.validate(); err != nil {
				return err
			}
			return k.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.load.Nodes, "nodes", k.load.Nodes, "nodes of the cluster")
	flags.IntVar(&k.load.Requests, "requests", k.load.Requests, "container requests, each of 1 to 8 containers")
	flags.IntVar(&k.load.Queues, "queues", k.load.Queues, "leaf queues, in three levels")
	flags.IntVar(&k.load.Dims, "dims", k.load.Dims, "dimensions of the resources")
	flags.IntVar(&k.load.Shapes, "shapes", k.load.Shapes, "distinct vectors that are asked for; 0: each request has its own")
	flags.Uint64Var(&k.load.Seed, "seed", k.load.Seed, "equal ones make equal loads")
	flags.Float64Var(&k.load.Use, "use", useFill, "what the requests take together of the scarcest dimension, as a part of the cluster (with --churn 1.215)")
	flags.Float64Var(&k.load.Blocked, "blocked", 0, "part of the leaves that are at their maxima with a backlog (with --churn 0.25)")
	flags.BoolVar(&k.load.Unit, "unit", false, "requests of one container each, all alike")
	flags.BoolVar(&k.churn, "churn", false, "measure a full cluster in which containers end and requests come")
	flags.IntVar(&k.batch, "batch", 32, "containers that end before the scheduler is asked again, with --churn")
	flags.Float64Var(&k.seconds, "seconds", 3, "measured time of a pass, with --churn")
	flags.IntVar(&k.passes, "passes", 3, "how often it is measured")
	flags.BoolVar(&k.scale, "scale", false, "measure also with a tenth of the nodes, and with a hundredth of the queues")
	flags.BoolVar(&k.check, "check", false, "measure all that the scheduler promises, and fail when a floor is not held")
	flags.StringVar(&k.profile, "cpuprofile", "", "file for a profile of the processor, of the measured time of the last pass")
	cmd.MarkFlagsMutuallyExclusive("scale", "check", "cpuprofile")
	cmd.MarkFlagsMutuallyExclusive("check", "churn")
	return cmd
}

func (k schedConfig) validate() error {
	err := k.load.Validate()
	if err != nil {
		err = fmt.Errorf("--%w", err)
	}
	return errors.Join(err, inRange("batch", k.batch, 1, 1_000_000), inRange("seconds", k.seconds, 0.001, 3600), inRange("passes", k.passes, 1, 1000))
}

// Names of what is measured.
const (
	caseFill       = "fill"
	caseChurn      = "churn"
	caseFull       = "churn of a full cluster"
	caseFewNodes   = "fill, a tenth of the nodes"
	caseFewQueues  = "fill, a hundredth of the queues"
	caseUnit       = "equal containers, twice as many as fit"
	caseUnitChurn  = "churn of equal containers"
	caseChurnNodes = "churn, a tenth of the nodes"
	caseChurnQueue = "churn, a hundredth of the queues"
)

// cases lists what is measured in each pass.
func (k schedConfig) cases() []schedCase {
	main := schedCase{name: caseFill, load: k.load, churn: k.churn, batch: k.batch, seconds: k.seconds, profile: k.profile}
	nodes, queues := main, main
	nodes.name, queues.name = caseFewNodes, caseFewQueues
	if k.churn {
		main.name, nodes.name, queues.name = caseChurn, caseChurnNodes, caseChurnQueue
	}
	nodes.load.Nodes = max(1, k.load.Nodes/10)
	queues.load.Queues = max(1, k.load.Queues/100)
	switch {
	case k.check:
		churn, unit := main, main
		churn.name, churn.churn, churn.load.Use, churn.load.Blocked = caseChurn, true, useChurn, 0.25
		full := churn
		full.name, full.load.Use = caseFull, useFull
		unit.name, unit.load.Unit, unit.load.Use, unit.load.Requests = caseUnit, true, 2, 200*k.load.Queues
		equal := unit
		equal.name, equal.churn, equal.load.Blocked = caseUnitChurn, true, 0.25
		return []schedCase{main, nodes, queues, churn, full, unit, equal}
	case k.scale:
		return []schedCase{main, nodes, queues}
	default:
		return []schedCase{main}
	}
}

// run measures on one core, all cases in turns in each pass.
func (k schedConfig) run(ctx context.Context, w io.Writer) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	report := schedReport{w: w, cases: k.cases()}
	report.begin(describeMachine(time.Now()), clockCost())
	for pass := range k.passes {
		for i, c := range report.cases {
			got, err := c.measure(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			report.pass(i, pass, got)
		}
	}
	report.end()
	if k.scale || k.check {
		report.slowdown(k.churn)
	}
	if k.check {
		report.judge()
	}
	return report.err
}

// clockCost measures what reading the clock once a decision costs.
func clockCost() time.Duration {
	const times = 1 << 17
	epoch := time.Now()
	var last time.Duration
	for range times {
		last = time.Since(epoch)
	}
	return last / times
}
