package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

func TestExitCode(t *testing.T) {
	cases := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{protocol.Errorf(protocol.CodeInternal, "", ""), 1},
		{fmt.Errorf("file: %w", badInput("line 3")), 2},
		{fmt.Errorf("x: %w", protocol.Errorf(protocol.CodeInvalid, "", "")), 2},
		{fmt.Errorf("ask: %w", errInterrupted), 130},
		{protocol.Errorf(protocol.CodeNotFound, "", ""), 3},
		{protocol.Errorf(protocol.CodeUnknownService, "", ""), 3},
		{protocol.Errorf(protocol.CodeUnknownSession, "", ""), 3},
		{protocol.Errorf(protocol.CodeUnavailable, "", ""), 4},
		{fmt.Errorf("ask: %w", context.DeadlineExceeded), 4},
		{protocol.Errorf(protocol.CodeNoCapacity, "", ""), 4},
		{protocol.Errorf(protocol.CodeInUse, "", ""), 5},
		{protocol.Errorf(protocol.CodeAlreadyExists, "", ""), 5},
	}
	for _, c := range cases {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

// Ctrl-C before a broker has answered is no failure of the broker.
func TestInterruptedWhileConnecting(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, args := range []string{"exec true ::: a", "ping", "node list"} {
		a := newApp()
		a.out, a.errOut, a.getenv = io.Discard, io.Discard, func(string) string { return "" }
		if code := run(ctx, strings.Fields(args), a); code != exitInterrupted {
			t.Errorf("weft %s: exit %d, want %d", args, code, exitInterrupted)
		}
	}
}
