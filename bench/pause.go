package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// pauseConfig is what the check of pauses is told.
type pauseConfig struct {
	tasks, instances        int
	execution, pause, limit time.Duration
}

// pause is what was measured.
type pause struct {
	pauseConfig
	elapsed, back time.Duration
	late          uint64
}

func newPause() *cobra.Command {
	var k pauseConfig
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Check that the tasks of a node that stands still are executed elsewhere",
		Long: `Stop an agent with all of its instances (SIGSTOP) for longer than the time after which it is lost, while its instances
execute tasks, and continue it. Ends with 1 when a task has not exactly one result, when the results that the instances
give afterwards are not counted as late, or when the agent does not come back by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if k.tasks < 1 || k.instances < 1 || k.pause <= k.limit {
				return fmt.Errorf("--tasks, --instances and --pause: %d and %d are to be above 0, and %v above --limit, %v", k.tasks, k.instances, k.pause, k.limit)
			}
			measured, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return measured.report(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&k.tasks, "tasks", 1000, "tasks")
	flags.IntVar(&k.instances, "instances", 4, "instances of the service")
	flags.DurationVar(&k.execution, "execution", 50*time.Millisecond, "time that a task takes")
	flags.DurationVar(&k.pause, "pause", 5*time.Second, "how long the agent stands still")
	flags.DurationVar(&k.limit, "limit", 2*time.Second, "silence after which it is lost")
	return cmd
}

// run does it in a fabric of its own.
func (k pauseConfig) run(ctx context.Context) (_ pause, err error) {
	ctx, stop := within(ctx, time.Minute+k.pause+time.Duration(k.tasks)*k.execution)
	defer stop()
	f, err := startFabric(ctx, plan{
		transport: "tcp", instances: k.instances, directed: true, broker: []string{"--peer-timeout", k.limit.String()},
	})
	if err != nil {
		return pause{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	c, err := f.dial(ctx, "bench-pause")
	if err != nil {
		return pause{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := c.OpenSession(ctx, serviceName)
	if err != nil {
		return pause{}, err
	}
	if err := f.serving(ctx, c, k.instances); err != nil { // all at the first agent: there is no other
		return pause{}, err
	}
	if _, err := f.start(ctx, "second agent", agentCommand, "--dir", filepath.Join(f.dir, "second"), "--name", "second"); err != nil {
		return pause{}, err
	}
	measured := pause{pauseConfig: k}
	return measured, measured.play(ctx, f, c, s)
}

// play stops and continues the agent while tasks are executed.
func (k *pause) play(ctx context.Context, f *fabric, c *client.Client, s *client.Session) error {
	done := make(chan error, 1)
	go func() {
		var err error
		k.elapsed, err = submitAll(ctx, s, k.tasks, func(int) time.Duration { return k.execution })
		done <- err
	}()
	if err := until(ctx, func() (bool, error) { // instances are at work
		info, err := infoOf(ctx, c, s.Number())
		return info.InFlight >= k.instances && info.Done > 0, err
	}); err != nil {
		return err
	}
	instances, err := instancesUnder(f.agents[0].PID())
	if err != nil {
		return err
	}
	all := append(instances, f.agents[0].PID())
	defer signalAll(all, syscall.SIGCONT) //nolint:errcheck // they may be gone
	if err := signalAll(all, syscall.SIGSTOP); err != nil {
		return err
	}
	select {
	case <-time.After(k.pause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if there, err := ready(ctx, c, nodeName); there || err != nil {
		return errors.Join(err, fmt.Errorf("the agent is not lost after %v of silence, the limit is %v", k.pause, k.limit))
	}
	if err := signalAll(all, syscall.SIGCONT); err != nil {
		return err
	}
	begin := time.Now()
	if err := until(ctx, func() (bool, error) { return ready(ctx, c, nodeName) }); err != nil {
		return fmt.Errorf("the agent does not come back: %w", err)
	}
	k.back = time.Since(begin)
	if err := <-done; err != nil {
		return err
	}
	if err := until(ctx, func() (bool, error) {
		info, err := infoOf(ctx, c, s.Number())
		k.late = info.Late
		return k.late > 0, err
	}); err != nil {
		return fmt.Errorf("no late result is counted: %w", err)
	}
	return nil
}

// infoOf gives what the broker tells of a session.
func infoOf(ctx context.Context, c *client.Client, number protocol.SessionNumber) (protocol.SessionInfo, error) {
	for info, err := range c.Sessions(ctx, client.Filter{Session: number, All: true}) {
		return info, err
	}
	return protocol.SessionInfo{}, fmt.Errorf("session %d is not known", number)
}

// ready says whether a node has joined and is heard.
func ready(ctx context.Context, c *client.Client, name string) (bool, error) {
	for info, err := range c.Nodes(ctx, client.Filter{Name: name}) {
		return info.State == "ready", err
	}
	return false, nil
}

// report prints the figures.
func (k pause) report(w io.Writer) error {
	_, err := fmt.Fprintf(w, `tasks      %d of %v, all answered once, within %.1f s
pause      an agent and its %d instances for %v, lost after %v
late       %d results were dropped
back       %.2f s after the agent was continued
`, k.tasks, k.execution, k.elapsed.Seconds(), k.instances, k.pause, k.limit, k.late, k.back.Seconds())
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
