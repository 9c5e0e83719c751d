package main

import (
	"context"
	"errors"
	"fmt"
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
