package main

import (
	"fmt"
	"math"
)

// Kinds of options.
const (
	european = "european" // pays by the price at the end
	asian    = "asian"    // pays by the arithmetic mean of the price at the fixings
)

// Contract is an option on a share: the right, but no duty, to buy it (or, a put, to sell it) at the strike when it ends.
// The share follows a geometric Brownian motion, as in the model of Black and Scholes.
type Contract struct {
	Kind       string
	Put        bool
	Spot       float64 // price of the share today
	Strike     float64
	Rate       float64 // interest a year, continuously compounded
	Dividend   float64 // dividends a year, likewise
	Volatility float64 // of a year
	Years      float64 // until the end
	Fixings    int     // of an asian option, evenly spaced, the last at the end
}

// maxFixings bounds the length of a path.
const maxFixings = 100_000

// check names the first field that cannot be.
func (c Contract) check() error {
	switch {
	case c.Kind != european && c.Kind != asian:
		return fmt.Errorf("-option: %q is neither %s nor %s", c.Kind, european, asian)
	case !(c.Spot > 0 && c.Spot < math.MaxFloat32):
		return fmt.Errorf("-spot: %v is not above 0", c.Spot)
	case !(c.Strike > 0 && c.Strike < math.MaxFloat32):
		return fmt.Errorf("-strike: %v is not above 0", c.Strike)
	case !(math.Abs(c.Rate) <= 1):
		return fmt.Errorf("-rate: %v is not within -1 to 1", c.Rate)
	case !(math.Abs(c.Dividend) <= 1):
		return fmt.Errorf("-dividend: %v is not within -1 to 1", c.Dividend)
	case !(c.Volatility > 0 && c.Volatility <= 5):
		return fmt.Errorf("-volatility: %v is not above 0 and at most 5", c.Volatility)
	case !(c.Years > 0 && c.Years <= 100):
		return fmt.Errorf("-years: %v is not above 0 and at most 100", c.Years)
	case c.Kind == asian && (c.Fixings < 1 || c.Fixings > maxFixings):
		return fmt.Errorf("-fixings: %d is not within 1 to %d", c.Fixings, maxFixings)
	}
	return nil
}

// payoff is what the option pays when its share, or the mean of it, is worth x.
func (c Contract) payoff(x float64) float64 {
	if c.Put {
		return max(c.Strike-x, 0)
	}
	return max(x-c.Strike, 0)
}

// discount is what an amount at the end is worth today.
func (c Contract) discount() float64 { return math.Exp(-c.Rate * c.Years) }

// BlackScholes is the price of a european option: the closed formula of Black and Scholes, with Merton's dividends.
func (c Contract) BlackScholes() float64 {
	variance := c.Volatility * c.Volatility * c.Years
	return c.lognormal(math.Log(c.Spot)+(c.Rate-c.Dividend)*c.Years-variance/2, variance)
}

// Geometric is the price of an option on the geometric mean of the fixings, for which there is a closed formula: the
// logarithm of that mean is normal (Kemna and Vorst 1990, for discrete fixings).
func (c Contract) Geometric() float64 {
	n := float64(c.Fixings)
	drift := c.Rate - c.Dividend - c.Volatility*c.Volatility/2
	mean := math.Log(c.Spot) + drift*c.Years*(n+1)/(2*n)
	return c.lognormal(mean, c.Volatility*c.Volatility*c.Years*(n+1)*(2*n+1)/(6*n*n))
}

// lognormal is the price of an option on something whose logarithm will be normal with that mean and variance.
func (c Contract) lognormal(mean, variance float64) float64 {
	deviation := math.Sqrt(variance)
	d2 := (mean - math.Log(c.Strike)) / deviation
	d1 := d2 + deviation
	forward := math.Exp(mean + variance/2)
	if c.Put {
		return c.discount() * (c.Strike*normal(-d2) - forward*normal(-d1))
	}
	return c.discount() * (forward*normal(d1) - c.Strike*normal(d2))
}

// normal is the distribution function of the standard normal distribution.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
