package main

import (
	"context"
	"os"

	"github.com/weft-fabric/weft/worker"
)

// Result is the result of a task.
type Result struct {
	Sample  Sample
	Process int // of the instance
}

// newService makes the hooks of one instance.
func newService() worker.Service {
	return worker.Func(func(_ context.Context, b Batch) (Result, error) {
		if err := b.check(); err != nil {
			return Result{}, worker.Permanent(err)
		}
		return Result{b.Simulate(), os.Getpid()}, nil
	})
}

// serve runs one instance of the service.
func serve(ctx context.Context) error {
	return worker.Serve(ctx, newService(), worker.WithService(serviceName))
}
