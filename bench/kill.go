package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
)

// killConfig is what the check of losses is told.
type killConfig struct {
	tasks, instances          int
	every, execution, timeout time.Duration
}

// killed is what came of it.
type killed struct {
	killConfig
	tally   *tally
	kills   int
	elapsed time.Duration
	failure error // the first failure of a task
}

func newKill() *cobra.Command {
	var k killConfig
	cmd := &cobra.Command{
		Use:   "kill",
		Short: "Check that no task is lost or answered twice while instances are killed",
		Long: `Submit tasks while one of the instances is killed by SIGKILL every so often, and count the results: all have to
arrive, each once, and none may fail. Ends with 1 otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.tasks < 1 || k.instances < 1 || k.every <= 0 {
				return fmt.Errorf("--tasks, --instances and --every: %d, %d and %v are to be above 0", k.tasks, k.instances, k.every)
			}
			result, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return result.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.tasks, "tasks", 100_000, "tasks to submit")
	flags.IntVar(&k.instances, "instances", 4, "instances of the service")
	flags.DurationVar(&k.every, "every", 2*time.Second, "time between two kills")
	flags.DurationVar(&k.execution, "execution", time.Millisecond, "time that a task takes")
	flags.DurationVar(&k.timeout, "timeout", 10*time.Minute, "time after which results are not waited for any more")
	return cmd
}

// run does it in a fabric of its own.
func (k killConfig) run(ctx context.Context) (_ killed, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, k.timeout, fmt.Errorf("not done within %v", k.timeout))
	defer stop()
	f, err := startFabric(ctx, plan{transport: "tcp", instances: k.instances, execution: k.execution})
	if err != nil {
		return killed{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	c, err := f.dial(ctx, "bench-kill")
	if err != nil {
		return killed{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := c.OpenSession(ctx, serviceName)
	if err != nil {
		return killed{}, err
	}
	if err := f.serving(ctx, c, k.instances); err != nil {
		return killed{}, err
	}
	killing, rest := context.WithCancel(ctx)
	type kills struct {
		n   int
		err error
	}
	ended := make(chan kills, 1)
	go func() {
		n, err := killInstances(killing, f.agent.pid(), k.every)
		ended <- kills{n, err}
	}()
	result := k.submit(ctx, s)
	rest()
	done := <-ended
	result.kills = done.n
	return result, done.err
}

// submit sends the tasks and gathers their results. A task that is not answered when ctx is done is missing.
func (k killConfig) submit(ctx context.Context, s *client.Session) killed {
	result := killed{killConfig: k, tally: newTally(k.tasks)}
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	note := func(r client.Result) {
		defer all.Done()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Err != nil:
			result.tally.failed++
			if result.failure == nil {
				result.failure = r.Err
			}
		case len(r.Payload) != 8:
			result.tally.strange++
		default:
			result.tally.result(binary.BigEndian.Uint64(r.Payload))
		}
	}
	for n := range k.tasks {
		all.Add(1)
		if err := s.SubmitFunc(ctx, binary.BigEndian.AppendUint64(nil, uint64(n)), note); err != nil {
			note(client.Result{Err: err})
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
	}
	mu.Lock()
	defer mu.Unlock()
	result.elapsed = time.Since(begin)
	counted := *result.tally
	result.tally = &counted
	return result
}

// killInstances kills one instance below the agent each time, until ctx is done.
func killInstances(ctx context.Context, agent int, every time.Duration) (kills int, err error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return kills, nil
		case <-tick.C:
		}
		pids, err := instancesUnder(agent)
		if err != nil {
			return kills, err
		}
		if len(pids) == 0 {
			continue // all were killed, and the next ones are about to start
		}
		switch err := syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL); {
		case err == nil:
			kills++
		case !errors.Is(err, syscall.ESRCH):
			return kills, fmt.Errorf("kill an instance: %w", err)
		}
	}
}

// report prints the figures, and returns an error when they are not what they have to be.
func (k killed) report(w io.Writer) error {
	t := k.tally
	if _, err := fmt.Fprintf(w, `tasks           %d of %v each
instances       %d, one of them killed every %v
kills           %d
elapsed         %.1f s (%.0f tasks/s)
results         %d of %d
missing         %d
more than once  %d
failed          %d
never sent      %d
`,
		k.tasks, k.execution, k.instances, k.every, k.kills, k.elapsed.Seconds(), float64(t.once)/k.elapsed.Seconds(),
		t.once, k.tasks, t.missing(), t.again, t.failed, t.strange); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if !t.right() {
		return errors.Join(errors.New("not every task was answered once and well"), k.failure)
	}
	_, err := fmt.Fprintln(w, "all results arrived, each once")
	return err
}
