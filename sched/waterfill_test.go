package sched

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestWaterFill(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		amount                 float64
		weights, demands, want []float64
	}{
		{"nobody", 5, nil, nil, nil},
		{"all satisfied", 10, []float64{1, 2}, []float64{3, 4}, []float64{3, 4}},
		{"in relation to weight", 12, []float64{1, 3}, []float64{50, 50}, []float64{3, 9}},
		{"what one leaves the others share", 12, []float64{1, 1, 2}, []float64{1, 50, 50}, []float64{1, 11. / 3, 22. / 3}},
		{"no demand, no part", 12, []float64{1, 1}, []float64{0, 50}, []float64{0, 12}},
		{"no weight: nothing while another wants", 10, []float64{0, 1}, []float64{5, 50}, []float64{0, 10}},
		{"no weight: what is left, in equal parts", 10, []float64{0, 1, 0, 0}, []float64{5, 4, 5, 1}, []float64{2.5, 4, 2.5, 1}},
		{"nothing to share", 0, []float64{1, 0}, []float64{5, 5}, []float64{0, 0}},
		{"a child's leaving raises the level above another's demand", 10, []float64{1, 1, 1}, []float64{2, 3.5, 50}, []float64{2, 3.5, 4.5}},
		{"the example of proportional preemption", 100, []float64{10, 40, 20, 30}, []float64{50, 65, 30, 0}, []float64{100. / 7, 400. / 7, 200. / 7, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := waterFill(tt.amount, tt.weights, tt.demands)
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want %v", got, tt.want)
			}
			for i := range got {
				if math.Abs(got[i]-tt.want[i]) > 1e-12 {
					t.Fatalf("%v, want %v", got, tt.want)
				}
			}
		})
	}
}

// What makes a filling the fair one: nobody has more than it demands, all is given while anybody wants, and who is not
// satisfied has, for its weight, no less than anybody else.
func TestWaterFillIsTheFairOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 7)
		demands := floats(numbers.Draw(t, "demands"))
		weights := floats(rapid.SliceOfN(rapid.IntRange(0, 4), len(demands), len(demands)).Draw(t, "weights"))
		amount := float64(rapid.IntRange(0, 40).Draw(t, "amount"))
		const close = 1e-9
		given, demanded := 0.0, 0.0
		got := waterFill(amount, weights, demands)
		for i, x := range got {
			given, demanded = given+x, demanded+demands[i]
			if x < 0 || x > demands[i] {
				t.Fatalf("%v of %v for demands %v", got, amount, demands)
			}
			if x > demands[i]-close {
				continue
			}
			for j, y := range got {
				switch {
				case weights[i] == 0 && weights[j] == 0 && y > x+close,
					weights[i] > 0 && weights[j] > 0 && y/weights[j] > x/weights[i]+close,
					weights[i] > 0 && weights[j] == 0 && y > close:
					t.Fatalf("%v of %v for demands %v, weights %v: %d is short and %d has more", got, amount, demands, weights, i, j)
				}
			}
		}
		if math.Abs(given-min(amount, demanded)) > close {
			t.Fatalf("%v of %v for demands %v: %v given", got, amount, demands, given)
		}
	})
}

func floats(whole []int) []float64 {
	out := make([]float64, len(whole))
	for i, n := range whole {
		out[i] = float64(n)
	}
	return out
}
