package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain runs the tests. In a process that an agent of a test has started, this binary stands for weft.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		code := run(ctx, os.Args[1:], newApp())
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}
