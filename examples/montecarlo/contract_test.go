package main

import (
	"math"
	"strings"
	"testing"
)

// usual is a contract whose prices everybody knows.
func usual() Contract {
	return Contract{Kind: european, Spot: 100, Strike: 100, Rate: 0.05, Volatility: 0.2, Years: 1, Fixings: 50}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %v, want %v ± %v", what, got, want, tolerance)
	}
}

func TestBlackScholesAgainstLiterature(t *testing.T) {
	put := func(c Contract) Contract { c.Put = true; return c }
	// Hull, Options, Futures, and Other Derivatives: example of the chapter on the Black-Scholes-Merton model.
	hull := Contract{Kind: european, Spot: 42, Strike: 40, Rate: 0.1, Volatility: 0.2, Years: 0.5}
	near(t, "Hull's call", hull.BlackScholes(), 4.76, 0.005)
	near(t, "Hull's put", put(hull).BlackScholes(), 0.81, 0.005)
	// Haug, The Complete Guide to Option Pricing Formulas: a call on a share, and a put on an index with dividends.
	near(t, "Haug's call", Contract{Kind: european, Spot: 60, Strike: 65, Rate: 0.08, Volatility: 0.3, Years: 0.25}.BlackScholes(), 2.1334, 0.00005)
	index := Contract{Kind: european, Spot: 100, Strike: 95, Rate: 0.1, Dividend: 0.05, Volatility: 0.2, Years: 0.5}
	near(t, "Haug's put with dividends", put(index).BlackScholes(), 2.4648, 0.00005)
	near(t, "the usual call", usual().BlackScholes(), 10.4506, 0.00005)
	near(t, "the usual put", put(usual()).BlackScholes(), 5.5735, 0.00005)
}

func TestPutCallParity(t *testing.T) {
	for _, c := range []Contract{usual(), {Spot: 50, Strike: 80, Rate: -0.01, Dividend: 0.03, Volatility: 0.6, Years: 3, Fixings: 7}} {
		put := c
		put.Put = true
		forward := c.Spot*math.Exp(-c.Dividend*c.Years) - c.Strike*c.discount()
		near(t, "call less put", c.BlackScholes()-put.BlackScholes(), forward, 1e-11)
	}
}

func TestGeometric(t *testing.T) {
	for _, put := range []bool{false, true} {
		c := usual()
		c.Put, c.Fixings = put, 1
		near(t, "one fixing is a european option", c.Geometric(), c.BlackScholes(), 1e-12)
	}
	// Haug: a put on the geometric mean, watched all the time; the cost of carry is 0.08 at a rate of 0.05.
	c := Contract{Put: true, Spot: 80, Strike: 85, Rate: 0.05, Dividend: -0.03, Volatility: 0.2, Years: 0.25, Fixings: 10_000_000}
	near(t, "Haug's geometric put", c.Geometric(), 4.6922, 0.00005)
}

func TestCheckContract(t *testing.T) {
	good := usual()
	good.Kind = asian
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for flag, spoil := range map[string]func(*Contract){
		"-option":     func(c *Contract) { c.Kind = "bermudan" },
		"-spot":       func(c *Contract) { c.Spot = math.NaN() },
		"-strike":     func(c *Contract) { c.Strike = 0 },
		"-rate":       func(c *Contract) { c.Rate = math.Inf(1) },
		"-dividend":   func(c *Contract) { c.Dividend = -2 },
		"-volatility": func(c *Contract) { c.Volatility = 0 },
		"-years":      func(c *Contract) { c.Years = -1 },
		"-fixings":    func(c *Contract) { c.Fixings = 0 },
	} {
		c := good
		spoil(&c)
		if err := c.check(); err == nil || !strings.HasPrefix(err.Error(), flag+":") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}
