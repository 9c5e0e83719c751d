package sched

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// What is equal as a fraction is equal when it is computed, whatever way leads to it; what differs keeps its order.
func TestDoublesTellTiesFromDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.Int64Range(1, 1<<45)
		term := func() (double, *big.Rat) {
			free, most, ask := whole.Draw(t, "free"), whole.Draw(t, "most"), whole.Draw(t, "ask")
			norm := double{hi: 1}.over(double{hi: float64(most)})
			exact := big.NewRat(free, most)
			exact.Mul(exact, big.NewRat(ask, most))
			return norm.times(norm).scaled(float64(ask)).scaled(float64(free)), exact
		}
		var sum, reverse double
		var terms []double
		exact := new(big.Rat)
		for range rapid.IntRange(1, 5).Draw(t, "dimensions") {
			x, e := term()
			sum = sum.plus(x)
			terms = append(terms, x)
			exact.Add(exact, e)
		}
		for i := len(terms) - 1; i >= 0; i-- {
			reverse = reverse.plus(terms[i])
		}
		nearest, _ := exact.Float64()
		if betweenTwo(exact) {
			t.Skip("not even twice the precision tells which of two numbers is nearer")
		}
		if sum.hi != nearest || reverse.hi != nearest {
			t.Fatalf("%v and %v, want %v", sum.hi, reverse.hi, nearest)
		}
	})
}

// betweenTwo says whether a number lies as good as in the middle between two neighbours.
func betweenTwo(exact *big.Rat) bool {
	const slack = 1e-29
	nearest, _ := exact.Float64()
	off := new(big.Rat).Sub(exact, new(big.Rat).SetFloat64(nearest))
	half := (math.Nextafter(nearest, math.Inf(1)) - nearest) / 2
	off.Sub(off.Abs(off), new(big.Rat).SetFloat64(half))
	distance, _ := off.Abs(off).Float64()
	return distance < slack*nearest
}

func TestDecimalsAreMeantAsWritten(t *testing.T) {
	third := decimal(0.1).over(decimal(0.3))
	if want := (double{hi: 1}).over(double{hi: 3}); third.hi != want.hi {
		t.Errorf("0.1 of 0.3 is %v, and 1 of 3 %v", third.hi, want.hi)
	}
	if x := decimal(0.25); x != (double{hi: 0.25}) {
		t.Errorf("%+v", x)
	}
}
