package main

import (
	"context"
	"fmt"
	"os"

	"github.com/weft-fabric/weft/worker"
)

// Counted is the result of a task: what the words are, and who counted them.
type Counted struct {
	Words    Counts
	Instance string
}

// serve runs one instance of the service. That is all there is to a service of one function: typed tasks in, typed
// results out.
func serve(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this machine: %w", err)
	}
	instance := fmt.Sprintf("%s[%d]", host, os.Getpid())
	return worker.Serve(ctx, worker.Func(func(_ context.Context, texts Texts) (Counted, error) {
		words := Counts{}
		for _, text := range texts {
			words.Count(text)
		}
		return Counted{words, instance}, nil
	}), worker.WithService(serviceName))
}
