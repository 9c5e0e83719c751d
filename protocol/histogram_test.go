package protocol

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	if h.N() != 0 || h.Mean() != 0 || h.Quantile(0.5) != 0 {
		t.Errorf("an empty one: %d, %v, %v", h.N(), h.Mean(), h.Quantile(0.5))
	}
	h.Add(-time.Second, 1) // a clock that went back
	h.Add(500*time.Nanosecond, 1)
	h.Add(3*time.Microsecond, 6)
	h.Add(time.Duration(1<<62), 2)
	h.Add(time.Hour, 0)
	if h.N() != 10 || h.Counts[0] != 2 || h.Counts[2] != 6 || len(h.Counts) != HistogramBuckets || h.Counts[HistogramBuckets-1] != 2 {
		t.Errorf("%v", h.Counts)
	}
	var one Histogram
	one.Add(3*time.Microsecond, 100)
	for _, c := range []struct {
		q         float64
		low, high time.Duration
	}{{0, 2 * time.Microsecond, 2 * time.Microsecond}, {0.5, 3 * time.Microsecond, 3 * time.Microsecond}, {1, 4 * time.Microsecond, 4 * time.Microsecond}, {7, 4 * time.Microsecond, 4 * time.Microsecond}} {
		if got := one.Quantile(c.q); got < c.low || got > c.high {
			t.Errorf("quantile %v is %v", c.q, got)
		}
	}
	if one.Mean() != 3*time.Microsecond {
		t.Errorf("mean %v", one.Mean())
	}
	var both Histogram
	both.Merge(one)
	both.Merge(one)
	both.Merge(Histogram{Counts: make([]uint64, 1000), Sum: time.Microsecond}) // of a peer that counts more finely
	if both.N() != 200 || both.Sum != 601*time.Microsecond || len(both.Counts) > HistogramBuckets {
		t.Errorf("%+v", both)
	}
}
