package main

import (
	"context"
	"os"

	"github.com/weft-fabric/weft/worker"
)

// Rendered is the result of a task.
type Rendered struct {
	Tile    Tile
	Pixels  []byte // red, green and blue of each, row by row
	Process int    // of the instance
}

// serve runs one instance of the service.
func serve(ctx context.Context) error {
	return worker.Serve(ctx, worker.Func(func(_ context.Context, t Tile) (Rendered, error) {
		if err := t.check(); err != nil {
			return Rendered{}, worker.Permanent(err)
		}
		return Rendered{t, t.Render(), os.Getpid()}, nil
	}), worker.WithService(serviceName))
}
