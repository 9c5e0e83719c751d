package protocol

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that double: bucket 0 holds those below a microsecond, bucket i those from
// 2^(i-1) to 2^i microseconds, the last all that are longer. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	Counts []uint64      `json:"counts,omitempty"` // by bucket; those at the end that are 0 may be left out
	Sum    time.Duration `json:"sum,omitempty"`    // of all
}

// HistogramBuckets is how many buckets a histogram has at most: the last begins at 2^42 microseconds, about 51 days.
const HistogramBuckets = 44

// Add counts n durations of d each.
func (h *Histogram) Add(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	d = max(d, 0)
	i := min(bits.Len64(uint64(d/time.Microsecond)), HistogramBuckets-1)
	for len(h.Counts) <= i {
		h.Counts = append(h.Counts, 0)
	}
	h.Counts[i] += n
	h.Sum += d * time.Duration(n)
}

// Merge adds what another has counted.
func (h *Histogram) Merge(of Histogram) {
	for i, n := range of.Counts {
		if i >= HistogramBuckets {
			break
		}
		for len(h.Counts) <= i {
			h.Counts = append(h.Counts, 0)
		}
		h.Counts[i] += n
	}
	h.Sum += of.Sum
}

// N is how many were counted.
func (h Histogram) N() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Mean is the mean of all; 0 when there are none.
func (h Histogram) Mean() time.Duration {
	n := h.N()
	if n == 0 {
		return 0
	}
	return h.Sum / time.Duration(n)
}

// Quantile gives the duration below which the part q (0 to 1) of all is, interpolated within its bucket; 0 when there
// are none.
func (h Histogram) Quantile(q float64) time.Duration {
	n := h.N()
	if n == 0 {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(n)
	for i, c := range h.Counts {
		if c == 0 {
			continue
		}
		if rank <= float64(c) {
			low, high := bucket(i)
			return low + time.Duration(float64(high-low)*rank/float64(c))
		}
		rank -= float64(c)
	}
	_, high := bucket(len(h.Counts) - 1)
	return high
}

// bucket gives the bounds of a bucket.
func bucket(i int) (low, high time.Duration) {
	if i > 0 {
		low = time.Microsecond << (i - 1)
	}
	return low, time.Microsecond << i
}
