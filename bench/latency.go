package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The histograms of latencies tell microseconds apart, and hours to 0.1 %.
const (
	leastLatency     = time.Microsecond
	mostLatency      = time.Hour
	latencyPrecision = 3 // decimal digits
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(leastLatency), int64(mostLatency), latencyPrecision)
}

// record counts a latency. One that is too long for the histogram counts as the longest.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(int64(min(max(d, 0), mostLatency))) //nolint:errcheck,gosec // it is within the range
}

// packHistogram encodes a histogram, for another process.
func packHistogram(h *hdrhistogram.Histogram) ([]byte, error) {
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encode a histogram: %w", err)
	}
	return b, nil
}

// mergeHistograms adds up what packHistogram has encoded.
func mergeHistograms(packed ...[]byte) (*hdrhistogram.Histogram, error) {
	all := newHistogram()
	for _, b := range packed {
		h, err := hdrhistogram.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("decode a histogram: %w", err)
		}
		if lost := all.Merge(h); lost > 0 {
			return nil, fmt.Errorf("merge histograms: %d values do not fit", lost)
		}
	}
	return all, nil
}

// latencies are the quantiles of a histogram.
type latencies struct {
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p99_9_ns"`
	P9999 time.Duration `json:"p99_99_ns"`
	Max   time.Duration `json:"max_ns"`
}

func latenciesOf(h *hdrhistogram.Histogram) latencies {
	at := func(percent float64) time.Duration { return time.Duration(h.ValueAtPercentile(percent)) }
	return latencies{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: time.Duration(h.Max())}
}

// all lists them in their order.
func (l latencies) all() []time.Duration {
	return []time.Duration{l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max}
}

// writeDistribution writes a histogram in the text form that plotters of HDR histograms read, in microseconds.
func writeDistribution(w io.Writer, h *hdrhistogram.Histogram) error {
	if h.TotalCount() == 0 {
		return errors.New("a histogram of nothing has no distribution")
	}
	if _, err := h.PercentilesPrint(w, 5, float64(time.Microsecond)); err != nil {
		return fmt.Errorf("write a histogram: %w", err)
	}
	return nil
}
