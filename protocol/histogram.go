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
	Max    time.Duration `json:"max,omitempty"`    // the longest; 0 when it is not known
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
	h.Max = max(h.Max, d)
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
	h.Max = max(h.Max, of.Max)
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

// Quantile gives the duration below which the part q (0 to 1) of all is; 0 when there are none. Within its bucket it is
// interpolated, as evenly spread as the sum of all allows. It is never above the longest, where that is known.
func (h Histogram) Quantile(q float64) time.Duration {
	if at := h.estimate(q); h.Max == 0 || at < h.Max {
		return at
	}
	return h.Max
}

// estimate is the quantile as the buckets and the sum have it.
func (h Histogram) estimate(q float64) time.Duration {
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
			from, width := 0.0, 1.0
			switch m := h.place(i); {
			case m < 0.5:
				width = 2 * m
			default:
				from, width = 2*m-1, 2*(1-m)
			}
			return low + time.Duration(float64(high-low)*(from+width*rank/float64(c)))
		}
		rank -= float64(c)
	}
	_, high := bucket(len(h.Counts) - 1)
	return high
}

// place is where in the bucket at the durations are on average, from 0 to 1. Of the bucket that weighs most it follows from
// the sum; of others it is taken to be the middle.
func (h Histogram) place(at int) float64 {
	heaviest, most, rest := 0, 0.0, float64(h.Sum)
	for i, c := range h.Counts {
		low, high := bucket(i)
		if w := float64(c) * float64(high-low); w > most {
			heaviest, most = i, w
		}
		rest -= float64(c) * float64(low+high) / 2
	}
	if at != heaviest {
		return 0.5
	}
	return min(max(0.5+rest/most, 0), 1)
}

// bucket gives the bounds of a bucket.
func bucket(i int) (low, high time.Duration) {
	if i > 0 {
		low = time.Microsecond << (i - 1)
	}
	return low, time.Microsecond << i
}
