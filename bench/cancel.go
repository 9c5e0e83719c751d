package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// The services of the check of cancels: tasks of one end when they are told to, those of the other do not.
const (
	heedingName  = "heeding"
	stubbornName = "stubborn"
)

// eachCPU is what an instance of the check of cancels takes of its node, in millicores.
const eachCPU = 10

// cancelConfig is what the check of cancels is told.
type cancelConfig struct {
	instances, slots        int
	execution, grace, slack time.Duration
}

// cancelled is what came of it.
type cancelled struct {
	cancelConfig
	heeding  time.Duration // until the last task that heeds its context was answered
	stubborn time.Duration // until the one that does not was
	free     time.Duration // until another process had the cores of that one
	again    time.Duration // until as many tasks had been done
	killed   []int         // processes that are gone
	wrong    []error       // answers that are none of a cancel
}

func newCancel() *cobra.Command {
	var k cancelConfig
	cmd := &cobra.Command{
		Use:   "cancel",
		Short: "Check that a cancel stops what runs, and kills only what does not stop",
		Long: `Run long tasks on all slots of many instances, and one on an instance of its own whose hook ignores its context.
Cancel all. Ends with 1 when not everything has stopped, with its cores free, within the service's grace and the slack,
when an instance other than that one is gone, or when an answer is another than that the task was cancelled.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.instances < 1 || k.slots < 1 || k.execution <= 0 || k.grace <= 0 || k.slack <= 0 {
				return fmt.Errorf("--instances, --slots, --execution, --grace and --slack: %d, %d, %v, %v and %v are to be above 0",
					k.instances, k.slots, k.execution, k.grace, k.slack)
			}
			result, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return result.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.instances, "instances", 20, "instances whose hooks end when they are told to")
	flags.IntVar(&k.slots, "slots", 10, "tasks that each of them runs at once")
	flags.DurationVar(&k.execution, "execution", time.Minute, "time that a task takes that is not cancelled")
	flags.DurationVar(&k.grace, "grace", 3*time.Second, "limits.grace of the services")
	flags.DurationVar(&k.slack, "slack", time.Second, "time beyond the grace after which everything must have stopped")
	return cmd
}

// tasks is how many run at once.
func (k cancelConfig) tasks() int { return k.instances*k.slots + 1 }

// run does it in a fabric of its own.
func (k cancelConfig) run(ctx context.Context) (_ cancelled, err error) {
	f, err := startFabric(ctx, plan{transport: "tcp", instances: 1, cpu: int64(k.instances+1) * eachCPU})
	if err != nil {
		return cancelled{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	c, err := f.dial(ctx, "bench-cancel")
	if err != nil {
		return cancelled{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	heeding, err := k.open(ctx, c, heedingName, k.instances, k.slots)
	if err != nil {
		return cancelled{}, err
	}
	stubborn, err := k.open(ctx, c, stubbornName, 1, 1)
	if err != nil {
		return cancelled{}, err
	}
	w := &cancelWatch{cancelled: cancelled{cancelConfig: k}}
	if err := w.submit(ctx, heeding, k.instances*k.slots, k.execution, &w.heeding); err != nil {
		return cancelled{}, err
	}
	if err := w.submit(ctx, stubborn, 1, k.execution, &w.stubborn); err != nil {
		return cancelled{}, err
	}
	for s, n := range map[*client.Session]int{heeding: k.instances * k.slots, stubborn: 1} {
		if err := running(ctx, c, s.Number(), n); err != nil {
			return cancelled{}, err
		}
	}
	if err := w.cancel(ctx, f, c, heeding, stubborn); err != nil {
		return cancelled{}, err
	}
	begin := time.Now()
	for s, n := range map[*client.Session]int{heeding: k.instances * k.slots, stubborn: 1} {
		if err := w.submit(ctx, s, n, 0, nil); err != nil {
			return cancelled{}, err
		}
	}
	if err := w.wait(ctx, patience); err != nil {
		return cancelled{}, err
	}
	w.again = time.Since(begin)
	return w.result(), nil
}

// open registers a service of the check, and opens a session of it.
func (k cancelConfig) open(ctx context.Context, c *client.Client, name string, instances, slots int) (*client.Session, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	err = c.RegisterService(ctx, protocol.Service{
		Name: name, Slots: slots,
		Artefacts: map[string]protocol.Artefact{runtime.GOOS + "/" + runtime.GOARCH: {Command: program, Args: []string{serveCommand, "--sleep", name}}},
		Requests:  []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: eachCPU, Memory: 16 << 20}}},
		Instances: protocol.Instances{Min: instances, Max: instances},
		// With a limit of the execution the fabric knows which tasks run.
		Limits: protocol.Limits{Grace: protocol.Duration(k.grace), Run: protocol.Duration(10 * k.execution)},
	})
	if err != nil {
		return nil, err
	}
	return c.OpenSession(ctx, name)
}

// running waits until so many tasks of a session run.
func running(ctx context.Context, c *client.Client, number protocol.SessionNumber, n int) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%d tasks of session %d do not run within %v", n, number, patience))
	defer stop()
	return until(ctx, func() (bool, error) {
		found := 0
		for t, err := range c.Tasks(ctx, number) {
			if err != nil {
				return false, err
			}
			if t.State == protocol.TaskRunning {
				found++
			}
		}
		return found == n, nil
	})
}

// until asks every so often until the answer is yes.
func until(ctx context.Context, ask func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// cancelWatch gathers what comes of the tasks.
type cancelWatch struct {
	mu     sync.Mutex
	all    sync.WaitGroup
	begin  time.Time // when all was cancelled
	expect error     // what a task ends with
	cancelled
}

// submit sends tasks that take a time, and notes when the last of them is answered, unless nobody wants to know.
func (w *cancelWatch) submit(ctx context.Context, s *client.Session, n int, execution time.Duration, last *time.Duration) error {
	w.mu.Lock()
	w.expect = nil
	if last != nil {
		w.expect = client.ErrCancelled
	}
	w.mu.Unlock()
	for range n {
		w.all.Add(1)
		if err := s.SubmitFunc(ctx, []byte(execution.String()), func(r client.Result) {
			defer w.all.Done()
			w.mu.Lock()
			defer w.mu.Unlock()
			if !errors.Is(r.Err, w.expect) || (r.Err == nil) != (w.expect == nil) {
				w.wrong = append(w.wrong, fmt.Errorf("a task that was to end by %q was answered: %w", fmt.Sprint(w.expect), r.Err))
			}
			if last != nil {
				*last = time.Since(w.begin)
			}
		}); err != nil {
			w.all.Done()
			return err
		}
	}
	return nil
}

// cancel cancels all, and watches until nothing is left of it.
func (w *cancelWatch) cancel(ctx context.Context, f *fabric, c *client.Client, heeding, stubborn *client.Session) error {
	before, err := instancesUnder(f.agents[0].PID())
	if err != nil {
		return err
	}
	if want := w.instances + 1; len(before) != want {
		return fmt.Errorf("%d instances run, not %d", len(before), want)
	}
	w.mu.Lock()
	w.begin = time.Now()
	w.mu.Unlock()
	for _, s := range []*client.Session{heeding, stubborn} {
		if err := c.SteerSession(ctx, s.Number(), protocol.SteerCancel, "to see it stop"); err != nil {
			return err
		}
	}
	// The node has room for these instances and no other: one that is started instead has the cores that became free.
	waiting, stop := context.WithTimeoutCause(ctx, 10*w.grace, errors.New("no instance was started instead of the one whose hook does not end"))
	defer stop()
	var after []int
	err = until(waiting, func() (_ bool, err error) {
		after, err = instancesUnder(f.agents[0].PID())
		return slices.ContainsFunc(after, func(pid int) bool { return !slices.Contains(before, pid) }), err
	})
	if err != nil {
		return err
	}
	w.free = time.Since(w.begin)
	w.killed = slices.DeleteFunc(before, func(pid int) bool { return slices.Contains(after, pid) })
	return w.wait(ctx, w.grace)
}

// wait waits until all tasks are answered.
func (w *cancelWatch) wait(ctx context.Context, most time.Duration) error {
	finished := make(chan struct{})
	go func() {
		w.all.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-time.After(most):
		return fmt.Errorf("not all tasks were answered within %v", most)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *cancelWatch) result() cancelled {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cancelled
}

// report prints the figures, and returns an error when they are not what they have to be.
func (k cancelled) report(w io.Writer) error {
	limit := k.grace + k.slack
	if _, err := fmt.Fprintf(w, `tasks cancelled       %d of %v each, on %d instances with %d slots and one whose hook ignores its context
grace                 %v
hooks that heed it    stopped within %.3f s
the hook that doesn't answered after %.3f s
its cores free        after %.3f s
instances killed      %d
as many tasks again   done within %.3f s
`,
		k.tasks(), k.execution, k.instances, k.slots, k.grace, k.heeding.Seconds(), k.stubborn.Seconds(), k.free.Seconds(),
		len(k.killed), k.again.Seconds()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	switch {
	case len(k.wrong) > 0:
		return fmt.Errorf("%d answers are wrong: %w", len(k.wrong), k.wrong[0])
	case max(k.heeding, k.stubborn, k.free) > limit:
		return fmt.Errorf("not everything has stopped within %v", limit)
	case len(k.killed) != 1:
		return fmt.Errorf("%d instances were killed, not that one alone", len(k.killed))
	}
	_, err := fmt.Fprintf(w, "all stopped within %v, and only the instance was killed whose hook did not\n", limit)
	return err
}
