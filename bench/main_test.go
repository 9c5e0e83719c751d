package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/bench/party"
)

// idleVariable makes this test program a party that takes no orders.
const idleVariable = "WEFT_BENCH_TEST_IDLE"

func TestMain(m *testing.M) {
	if os.Getenv(idleVariable) != "" {
		if err := party.Obey(context.Background(), party.Answer{}, nil); err != nil {
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "party-") {
		main() // a party of a fabric that a test has started
		return
	}
	goleak.VerifyTestMain(m)
}
