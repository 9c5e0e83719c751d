package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
)

// longTaskConfig is what the check of long tasks is told.
type longTaskConfig struct {
	tasks, instances, at int
	short, long          time.Duration
	limit                float64
}

// longTask is what was measured.
type longTask struct {
	longTaskConfig
	ideal, elapsed time.Duration
}

func newLongTask() *cobra.Command {
	var k longTaskConfig
	cmd := &cobra.Command{
		Use:   "long-task",
		Short: "Check that a long task does not hold up short ones",
		Long: `Submit many short tasks with a long one among them, which are executed by instances one at a time each. Ends with 1 when
that takes longer than the limit times what it would take if each task began as soon as an instance is free.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.tasks < 1 || k.instances < 1 || k.at >= k.tasks {
				return fmt.Errorf("--tasks, --instances and --at: %d and %d are to be above 0, and %d below the tasks", k.tasks, k.instances, k.at)
			}
			if k.at < 0 {
				k.at = rand.IntN(k.tasks)
			}
			measured, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return measured.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.tasks, "tasks", 10_000, "tasks in all")
	flags.IntVar(&k.instances, "instances", 4, "instances of the service")
	flags.DurationVar(&k.short, "short", time.Millisecond, "time that a task takes")
	flags.DurationVar(&k.long, "long", 10*time.Second, "time that the long one takes")
	flags.IntVar(&k.at, "at", -1, "how many tasks are before the long one (-1: as it comes)")
	flags.Float64Var(&k.limit, "limit", 1.15, "highest ratio that passes")
	return cmd
}

// task gives the time of a task by its number.
func (k longTaskConfig) task(n int) time.Duration {
	if n == k.at {
		return k.long
	}
	return k.short
}

// best is how long all tasks take when each begins, in their order, as soon as an instance is free.
func (k longTaskConfig) best() (end time.Duration) {
	free := make([]time.Duration, k.instances) // when each is
	for n := range k.tasks {
		first := 0
		for i := range free {
			if free[i] < free[first] {
				first = i
			}
		}
		free[first] += k.task(n)
		end = max(end, free[first])
	}
	return end
}

// run does it in a fabric of its own.
func (k longTaskConfig) run(ctx context.Context) (_ longTask, err error) {
	measured := longTask{longTaskConfig: k, ideal: k.best()}
	ctx, stop := within(ctx, 3*measured.ideal)
	defer stop()
	f, err := startFabric(ctx, plan{transport: "tcp", instances: k.instances, directed: true})
	if err != nil {
		return longTask{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	c, err := f.dial(ctx, "bench-long-task")
	if err != nil {
		return longTask{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := c.OpenSession(ctx, serviceName)
	if err != nil {
		return longTask{}, err
	}
	if err := f.serving(ctx, c, k.instances); err != nil {
		return longTask{}, err
	}
	measured.elapsed, err = submitAll(ctx, s, k.tasks, k.task)
	return measured, err
}

// submitAll submits tasks that take the times that each says, and gives how long it took until all had their results.
func submitAll(ctx context.Context, s *client.Session, tasks int, each func(n int) time.Duration) (time.Duration, error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	counted := newTally(tasks)
	var failure error
	begin := time.Now()
	for n := range tasks {
		all.Add(1)
		err := s.SubmitFunc(ctx, directive{number: uint64(n), execution: each(n)}.payload(0), func(r client.Result) {
			defer all.Done()
			mu.Lock()
			defer mu.Unlock()
			if number, ok := numberOf(r.Payload); r.Err == nil && ok {
				counted.result(number)
			} else {
				counted.Failed++
				failure = r.Err
			}
		})
		if err != nil {
			return 0, fmt.Errorf("task %d: %w", n, err)
		}
	}
	finished := make(chan struct{})
	go func() {
		all.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if !counted.right() {
		return 0, errors.Join(fmt.Errorf("of %d tasks %d were answered once, %d again, %d failed", tasks, counted.Once, counted.Again, counted.Failed), failure)
	}
	return time.Since(begin), nil
}

// report prints the figures, and returns an error when it took too long.
func (k longTask) report(w io.Writer) error {
	ratio := float64(k.elapsed) / float64(k.ideal)
	if _, err := fmt.Fprintf(w, `tasks      %d of %v, and after %d of them one of %v
instances  %d, one task at a time each
elapsed    %.2f s, at best %.2f s
ratio      %.3f (limit %.2f)
`, k.tasks-1, k.short, k.at, k.long, k.instances, k.elapsed.Seconds(), k.ideal.Seconds(), ratio, k.limit); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if ratio > k.limit {
		return fmt.Errorf("the long task holds up others: ratio %.3f, the limit is %.2f", ratio, k.limit)
	}
	return nil
}
