package sched

import (
	"math"
	"math/big"
	"strconv"
)

// double is a number as the sum of two, of twice the precision of a float64 (Dekker, "A floating-point technique for extending
// the available precision", 1971). What is computed with it and rounded in the end is the same for amounts that are
// equal, whatever way leads to them: so that ties are ties.
type double struct{ hi, lo float64 }

// twoSum is the sum of two numbers, exactly.
func twoSum(a, b float64) double {
	s := a + b
	t := s - a
	return double{s, (a - (s - t)) + (b - t)}
}

// twoProduct is the product of two numbers, exactly.
func twoProduct(a, b float64) double {
	p := a * b
	return double{p, math.FMA(a, b, -p)}
}

// settled has the larger part be what is nearest to the sum.
func (x double) settled() double {
	s := x.hi + x.lo
	return double{s, x.lo - (s - x.hi)}
}

func (x double) plus(y double) double {
	s := twoSum(x.hi, y.hi)
	s.lo += x.lo + y.lo
	return s.settled()
}

func (x double) times(y double) double {
	p := twoProduct(x.hi, y.hi)
	p.lo += x.hi*y.lo + x.lo*y.hi
	return p.settled()
}

// scaled is x times a whole number.
func (x double) scaled(n float64) double {
	p := twoProduct(x.hi, n)
	p.lo += x.lo * n
	return p.settled()
}

// over is x through y, which is not 0.
func (x double) over(y double) double {
	q := x.hi / y.hi
	p := y.scaled(q)
	rest := (x.hi - p.hi) - p.lo + x.lo
	return double{q, rest / y.hi}.settled()
}

// decimal is the number that is meant by one that was written with decimals: the shortest of those that are nearest to it.
func decimal(x float64) double {
	written, ok := new(big.Rat).SetString(strconv.FormatFloat(x, 'g', -1, 64))
	near := new(big.Rat).SetFloat64(x)
	if !ok || near == nil {
		return double{hi: x}
	}
	lo, _ := written.Sub(written, near).Float64()
	return double{x, lo}
}
