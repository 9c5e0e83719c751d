package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/worker"
)

// echo is the service of the benchmarks: it gives back what it gets, at once or after a while.
type echo struct {
	worker.Base
	execution time.Duration
	poison    string // file for what poison tasks do; empty: there are none
	directed  bool
}

// poisonous begins the payload of a task that ends its instance.
const poisonous = "poison "

// OnTaskExec waits for the time that a task is to take, and gives back its payload. One that is poison notes that it is
// executed and ends the process, as a fault of the memory would.
func (e *echo) OnTaskExec(_ context.Context, t *worker.TaskContext) ([]byte, error) {
	if e.poison != "" && bytes.HasPrefix(t.Payload(), []byte(poisonous)) {
		return nil, errors.Join(noteLine(e.poison, string(t.Payload())), syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	if e.directed {
		d, ok := readDirective(t.Payload())
		if !ok {
			return nil, fmt.Errorf("a task of %d bytes that is no directive", len(t.Payload()))
		}
		return d.obey(), nil
	}
	if e.execution > 0 {
		time.Sleep(e.execution)
	}
	return t.Borrow(), nil
}

// noteLine appends a line to a file, at once.
func noteLine(file, line string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("note: %w", err)
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// sleep is the service of the check of cancels: its tasks take as long as they say.
type sleep struct {
	worker.Base
	heeds bool // the context
}

// OnTaskExec waits for the time that its payload names.
func (s sleep) OnTaskExec(ctx context.Context, t *worker.TaskContext) ([]byte, error) {
	d, err := time.ParseDuration(string(t.Payload()))
	if err != nil {
		return nil, worker.Permanent(err)
	}
	if !s.heeds {
		ctx = context.WithoutCancel(ctx)
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(d):
		return nil, nil
	}
}

func newPartyServe() *cobra.Command {
	var (
		e       echo
		sleeper string
	)
	cmd := &cobra.Command{
		Use: serveCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch sleeper {
			case "":
				return worker.Serve(cmd.Context(), &e)
			case heedingName, stubbornName:
				return worker.Serve(cmd.Context(), sleep{heeds: sleeper == heedingName})
			default:
				return fmt.Errorf("--sleep: %q is neither %s nor %s", sleeper, heedingName, stubbornName)
			}
		},
	}
	cmd.Flags().StringVar(&sleeper, "sleep", "", "serve tasks that take the time that they name, and end with their context or do not: heeding or stubborn")
	cmd.Flags().StringVar(&e.poison, "poison", "", "let tasks be poison that say so, and note in this file that they are executed")
	cmd.Flags().DurationVar(&e.execution, "execution", 0, "time that a task takes")
	cmd.Flags().BoolVar(&e.directed, "directed", false, "tasks say themselves how long they take, and how large their results are")
	return cmd
}
