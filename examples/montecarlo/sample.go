package main

import "math"

// Sample is what is known of a number of paths: of what they pay, and of a control, which is something else of the same
// path whose expectation is known. Means and sums of squares are kept as Welford and Chan do, so that no digits are lost.
type Sample struct {
	N        int64
	Mean     float64 // of the payoff
	Control  float64 // mean of the control
	Square   float64 // sum of squared differences of the payoff from its mean
	Squares  float64 // of the control
	Products float64 // of both
}

// Add adds a path.
func (s *Sample) Add(payoff, control float64) {
	s.N++
	n := float64(s.N)
	dp, dc := payoff-s.Mean, control-s.Control
	s.Mean += dp / n
	s.Control += dc / n
	s.Square += dp * (payoff - s.Mean)
	s.Squares += dc * (control - s.Control)
	s.Products += dp * (control - s.Control)
}

// Merge adds the paths of another sample.
func (s *Sample) Merge(o Sample) {
	if o.N == 0 {
		return
	}
	a, b := float64(s.N), float64(o.N)
	n := a + b
	dp, dc := o.Mean-s.Mean, o.Control-s.Control
	s.N += o.N
	s.Mean += dp * b / n
	s.Control += dc * b / n
	s.Square += o.Square + dp*dp*a*b/n
	s.Squares += o.Squares + dc*dc*a*b/n
	s.Products += o.Products + dp*dc*a*b/n
}

// quantile is how many standard errors the 95 % interval extends to each side.
const quantile = 1.959963984540054

// Estimate is a price with its standard error.
type Estimate struct{ Price, Error float64 }

// HalfWidth is half the width of the 95 % confidence interval.
func (e Estimate) HalfWidth() float64 { return quantile * e.Error }

// Plain is the mean of the payoffs, as if there were no control.
func (s Sample) Plain() Estimate {
	n := float64(s.N)
	return Estimate{s.Mean, math.Sqrt(s.Square / (n - 1) / n)}
}

// Controls is the mean of the controls.
func (s Sample) Controls() Estimate {
	n := float64(s.N)
	return Estimate{s.Control, math.Sqrt(s.Squares / (n - 1) / n)}
}

// Controlled corrects the mean by how far the control is off its expectation. What both have in common no longer counts:
// the error is smaller, the more they are alike.
func (s Sample) Controlled(expectation float64) Estimate {
	if s.Squares == 0 { // the control did not vary: nothing is learnt from it
		return s.Plain()
	}
	slope := s.Products / s.Squares
	left := max(s.Square-slope*s.Products, 0)
	n := float64(s.N)
	return Estimate{s.Mean - slope*(s.Control-expectation), math.Sqrt(left / (n - 2) / n)}
}
