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
	}{{0, 2 * time.Microsecond, 2 * time.Microsecond}, {0.5, 3 * time.Microsecond, 3 * time.Microsecond}, {1, 3 * time.Microsecond, 3 * time.Microsecond}, {7, 3 * time.Microsecond, 3 * time.Microsecond}} {
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

// TestQuantilesOfWhatLiesTogether asks for quantiles of durations that lie together at one end of their bucket.
func TestQuantilesOfWhatLiesTogether(t *testing.T) {
	cases := []struct {
		name  string
		times map[time.Duration]uint64
		q     float64
		want  time.Duration // within 5 %
	}{
		{"low in the bucket", map[time.Duration]uint64{17 * time.Millisecond: 1000}, 0.5, 17 * time.Millisecond},
		{"high in the bucket", map[time.Duration]uint64{32 * time.Millisecond: 1000}, 0.99, 32 * time.Millisecond},
		{"of two groups the one", map[time.Duration]uint64{770 * time.Microsecond: 900, 270 * time.Millisecond: 100}, 0.5, 770 * time.Microsecond},
		{"of two groups the other", map[time.Duration]uint64{time.Millisecond: 900, 270 * time.Millisecond: 100}, 0.95, 270 * time.Millisecond},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var h Histogram
			for d, n := range c.times {
				h.Add(d, n)
			}
			if got := h.Quantile(c.q); got < c.want*95/100 || got > c.want*105/100 {
				t.Errorf("it is %v, want %v", got, c.want)
			}
		})
	}
	spread := Histogram{}
	for i := range 1000 {
		spread.Add(time.Duration(i)*time.Millisecond, 1)
	}
	for _, q := range []float64{0.25, 0.5, 0.9, 0.99} {
		if got, want := spread.Quantile(q), time.Duration(1000*q)*time.Millisecond; got < want*90/100 || got > want*110/100 {
			t.Errorf("quantile %v of 0 to 1 s is %v", q, got)
		}
	}
	for n := uint64(1); n < 200; n += 7 {
		var h Histogram
		h.Add(time.Millisecond, 10*n)
		h.Add(33*time.Millisecond, n)
		var both Histogram
		both.Merge(h)
		both.Merge(Histogram{})
		for _, q := range []float64{0.9, 0.95, 0.99, 1} {
			if got := both.Quantile(q); got > 33*time.Millisecond {
				t.Errorf("quantile %v is %v, above the longest of all", q, got)
			}
		}
	}
	wrong := Histogram{Counts: []uint64{0, 0, 5}} // of a peer that gives neither sum nor maximum
	if got := wrong.Quantile(0.5); got < 2*time.Microsecond || got > 4*time.Microsecond {
		t.Errorf("without a sum: %v", got)
	}
}
