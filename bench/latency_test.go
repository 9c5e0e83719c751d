package main

import (
	"strings"
	"testing"
	"time"
)

// Merged histograms have the quantiles of all values together.
func TestMergeHistograms(t *testing.T) {
	whole := newHistogram()
	var packed [][]byte
	for part := range 4 {
		h := newHistogram()
		for n := range 1000 {
			d := time.Duration(n*4+part+1) * 10 * time.Microsecond
			record(h, d)
			record(whole, d)
		}
		b, err := packHistogram(h)
		if err != nil {
			t.Fatal(err)
		}
		packed = append(packed, b)
	}
	got, err := mergeHistograms(packed...)
	if err != nil || !got.Equals(whole) || got.TotalCount() != 4000 {
		t.Errorf("merged: %+v of %d values, %v; want %+v", latenciesOf(got), got.TotalCount(), err, latenciesOf(whole))
	}
	want := latencies{20 * time.Millisecond, 36 * time.Millisecond, 39600 * time.Microsecond, 39960 * time.Microsecond, 40 * time.Millisecond, 40 * time.Millisecond}
	for i, d := range latenciesOf(got).all() {
		if !near(d, want.all()[i]) {
			t.Errorf("quantile %d is %v, want %v", i, d, want.all()[i])
		}
	}
	if _, err := mergeHistograms([]byte("nonsense")); err == nil {
		t.Error("nonsense is merged")
	}
}

// What the histogram cannot hold is not lost.
func TestRecordAtTheEdges(t *testing.T) {
	h := newHistogram()
	for _, d := range []time.Duration{-1, 0, 1, mostLatency, 100 * mostLatency} {
		record(h, d)
	}
	if h.TotalCount() != 5 || !near(latenciesOf(h).Max, mostLatency) {
		t.Errorf("%d values, max %v", h.TotalCount(), latenciesOf(h).Max)
	}
}

func TestWriteDistribution(t *testing.T) {
	h := newHistogram()
	var b strings.Builder
	if err := writeDistribution(&b, h); err == nil {
		t.Error("there is a distribution of nothing")
	}
	for n := range 100 {
		record(h, time.Duration(n+1)*time.Millisecond)
	}
	if err := writeDistribution(&b, h); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Value\tPercentile\tTotalCount\t1/(1-Percentile)", "100007.935     1.000000          100", "Total count    =          100]"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}
