package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMergeIsAdd(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var whole Sample
	parts := make([]Sample, 5)
	var payoffs, controls []float64
	for i := range 1000 {
		c := 1e6 + r.NormFloat64() // far from zero: sums of plain squares would lose all digits
		y := 3*c + r.NormFloat64()
		whole.Add(y, c)
		parts[i*i%4].Add(y, c) // the last part stays empty
		payoffs, controls = append(payoffs, y), append(controls, c)
	}
	var merged Sample
	for _, p := range parts {
		merged.Merge(p)
	}
	// Two passes, as the definition has it.
	var want Sample
	want.N = int64(len(payoffs))
	for i := range payoffs {
		want.Mean += payoffs[i] / float64(want.N)
		want.Control += controls[i] / float64(want.N)
	}
	for i := range payoffs {
		dp, dc := payoffs[i]-want.Mean, controls[i]-want.Control
		want.Square += dp * dp
		want.Squares += dc * dc
		want.Products += dp * dc
	}
	for name, s := range map[string]Sample{"added": whole, "merged": merged} {
		if s.N != want.N {
			t.Errorf("%s: %d paths, want %d", name, s.N, want.N)
		}
		const digits = 1e-6
		near(t, name+": mean", s.Mean/want.Mean, 1, digits)
		near(t, name+": control", s.Control/want.Control, 1, digits)
		near(t, name+": square", s.Square/want.Square, 1, digits)
		near(t, name+": squares", s.Squares/want.Squares, 1, digits)
		near(t, name+": products", s.Products/want.Products, 1, digits)
	}
}

func TestControlled(t *testing.T) {
	// A payoff that is its control twice over, and 1: nothing is left of the error, whatever the sample.
	var s Sample
	for _, c := range []float64{0.3, 0.1, 0.7, 0.2} {
		s.Add(2*c+1, c)
	}
	e := s.Controlled(0.5)
	near(t, "price", e.Price, 2, 1e-12)
	near(t, "error", e.Error, 0, 1e-8)
	near(t, "half width", Estimate{Error: 2}.HalfWidth(), 3.919927969, 1e-8)
	// A control that does not vary teaches nothing.
	var flat Sample
	for _, y := range []float64{1, 2, 3, 4} {
		flat.Add(y, 5)
	}
	if got, want := flat.Controlled(5), flat.Plain(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	near(t, "plain error", flat.Plain().Error, math.Sqrt(5.0/3/4), 1e-12)
}
