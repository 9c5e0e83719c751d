package sched

import (
	"math"
	"slices"
	"testing"
)

func TestEntitled(t *testing.T) {
	for name, c := range map[string]struct {
		queues []Holding
		want   []float64
	}{
		"by weight": {
			[]Holding{{-1, 1, 0, 12, 12}, {0, 1, 0, 12, 99}, {0, 3, 0, 0, 99}},
			[]float64{12, 3, 9},
		},
		"what one does not want the others have": {
			[]Holding{{-1, 1, 0, 12, 12}, {0, 1, 0, 1, 1}, {0, 1, 0, 11, 99}, {0, 1, 0, 0, 99}},
			[]float64{12, 1, 5.5, 5.5},
		},
		"priority first": {
			[]Holding{{-1, 1, 0, 12, 12}, {0, 1, 0, 6, 99}, {0, 1, 2, 6, 8}, {0, 1, 2, 0, 2}},
			[]float64{12, 2, 8, 2},
		},
		"a parent's part is its children's, whatever they hold": {
			[]Holding{{-1, 1, 0, 12, 12}, {0, 1, 0, 4, 99}, {0, 1, 0, 8, 99}, {1, 1, 0, 4, 99}, {2, 1, 0, 2, 99}, {2, 1, 0, 6, 99}},
			[]float64{12, 6, 6, 6, 3, 3},
		},
		"dominant shares add up to more than the parent's": {
			[]Holding{{-1, 1, 0, 0.5, 1}, {0, 1, 0, 0.5, 9}, {0, 1, 0, 0.3, 9}},
			[]float64{0.5, 0.4, 0.4},
		},
	} {
		got := Entitled(c.queues)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestJain(t *testing.T) {
	for want, values := range map[float64][]float64{1: {3, 3, 3}, 0.25: {5, 0, 0, 0}, 0.9: {1, 2}} {
		if got := Jain(values); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
	if Jain(nil) != 1 || Jain([]float64{0, 0}) != 1 {
		t.Error("nothing is not shared unfairly")
	}
}
