package sched

import (
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
		for _, got := range []float64{sum.hi, reverse.hi} {
			if !isNearest(got, exact) {
				nearest, _ := exact.Float64()
				t.Fatalf("%v and %v, want %v", sum.hi, reverse.hi, nearest)
			}
		}
	})
}

// isNearest says whether no number of 53 bits is nearer to exact than got; where two are as near but for what is beyond
// twice the precision, either is.
func isNearest(got float64, exact *big.Rat) bool {
	off := func(x float64) *big.Rat {
		d := new(big.Rat).Sub(exact, new(big.Rat).SetFloat64(x))
		return d.Abs(d)
	}
	nearest, _ := exact.Float64()
	allowed := new(big.Rat).Mul(new(big.Rat).SetFloat64(nearest), big.NewRat(1, 1e18))
	allowed.Mul(allowed, big.NewRat(1, 1e11))
	return off(got).Cmp(allowed.Add(allowed, off(nearest))) <= 0
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
