// Package quantile gives quantiles of values that were measured.
package quantile

import (
	"cmp"
	"math"
	"slices"
)

// Of gives the smallest of the values that at least the share q (0 to 1) of them does not exceed; the zero value if there
// are none. It sorts them.
func Of[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	slices.Sort(values)
	rank := int(math.Ceil(q * float64(len(values))))
	return values[min(max(rank, 1), len(values))-1]
}

// Median is the quantile of one half, of an even number of values the lower one. It leaves them as they are.
func Median[T cmp.Ordered](values []T) T { return Of(slices.Clone(values), 0.5) }
