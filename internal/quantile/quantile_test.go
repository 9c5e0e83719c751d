package quantile

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	rand.Shuffle(len(hundred), func(i, j int) { hundred[i], hundred[j] = hundred[j], hundred[i] })
	cases := []struct {
		q    float64
		want int
	}{{0, 1}, {0.01, 1}, {0.5, 50}, {0.505, 51}, {0.99, 99}, {0.995, 100}, {1, 100}}
	for _, c := range cases {
		if got := Of(hundred, c.q); got != c.want {
			t.Errorf("quantile(1..100, %v) = %d, want %d", c.q, got, c.want)
		}
	}
	if got := Of([]time.Duration{7}, 0.99); got != 7 {
		t.Errorf("quantile of one value = %v", got)
	}
	if got := Of[float64](nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing = %v", got)
	}
}

func TestMedianLeavesTheOrder(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	if got := Median(values); got != 3 {
		t.Errorf("median = %d", got)
	}
	if values[0] != 5 || values[4] != 3 {
		t.Errorf("median sorted its argument: %v", values)
	}
	if got := Median([]int{4, 1, 3, 2}); got != 2 {
		t.Errorf("median of an even number = %d, want the lower one", got)
	}
}
