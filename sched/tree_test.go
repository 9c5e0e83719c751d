package sched

import (
	"math"
	"testing"
)

func TestWhole64(t *testing.T) {
	third := 1. / 3
	for limit, want := range map[float64]int64{
		0: 0, 0.999: 0, 1: 1, 3.7: 3, (third + third + third - 1e-16) * 12: 12, 0.1 * 3 * 10: 3, 0.7 * 10 * 0.1 * 100: 70,
		1 << 40: 1 << 40, 1<<40 + 0.9: 1 << 40, math.Inf(1): math.MaxInt64, math.MaxInt64: math.MaxInt64,
	} {
		if got := whole64(limit); got != want {
			t.Errorf("%v: %d, want %d", limit, got, want)
		}
	}
}
