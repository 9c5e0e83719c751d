package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/worker"
)

// echo is the service of the benchmarks: it gives back what it gets, at once or after a while.
type echo struct {
	worker.Base
	execution time.Duration
}

// OnTaskExec waits for the time that a task is to take, and gives back its payload.
func (e *echo) OnTaskExec(_ context.Context, t *worker.TaskContext) ([]byte, error) {
	if e.execution > 0 {
		time.Sleep(e.execution)
	}
	return t.Payload(), nil
}

func newPartyServe() *cobra.Command {
	var e echo
	cmd := &cobra.Command{
		Use: serveCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return worker.Serve(cmd.Context(), &e) },
	}
	cmd.Flags().DurationVar(&e.execution, "execution", 0, "time that a task takes")
	return cmd
}
