package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// Batch is a task: so many paths of a contract, by one stream of random numbers.
type Batch struct {
	Contract Contract
	Paths    int
	Seed     uint64 // of the whole computation
	Stream   uint64 // of this batch, of which no other has the same
}

// maxBatch bounds the paths of a task, so that none runs for hours.
const maxBatch = 100_000_000

// check refuses a batch that an instance should not try: a task may come from anybody.
func (b Batch) check() error {
	if b.Paths < 1 || b.Paths > maxBatch {
		return fmt.Errorf("-batch: %d paths are not within 1 to %d", b.Paths, maxBatch)
	}
	return b.Contract.check()
}

// random is the batch's stream. ChaCha8 is a cipher whose key is seed and stream: streams of different keys cannot be told
// from independent ones by any test that anybody knows, however many there are, and need not be cut out of one sequence.
// Equal keys give equal numbers, on every machine: the sum of all batches does not depend on who computed which, but for the
// last digits where architectures are mixed, since some of them round once where others round twice.
func (b Batch) random() *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], b.Seed)
	binary.LittleEndian.PutUint64(key[8:], b.Stream)
	return rand.New(rand.NewChaCha8(key))
}

// Simulate follows the paths and adds up what they pay. This is the work that the fabric spreads.
func (b Batch) Simulate() Sample {
	if b.Contract.Kind == asian {
		return b.asian()
	}
	return b.european()
}

// european needs no path, but its end. The control is the share itself, whose expectation is known.
func (b Batch) european() Sample {
	c, random := b.Contract, b.random()
	drift := (c.Rate - c.Dividend - c.Volatility*c.Volatility/2) * c.Years
	deviation, discount := c.Volatility*math.Sqrt(c.Years), c.discount()
	var s Sample
	for range b.Paths {
		end := c.Spot * math.Exp(drift+deviation*random.NormFloat64())
		s.Add(discount*c.payoff(end), discount*end)
	}
	return s
}

// asian looks at the price at each fixing. The control is the option on the geometric mean of the same fixings: it pays
// nearly the same, and its price is known.
func (b Batch) asian() Sample {
	c, random := b.Contract, b.random()
	n := float64(c.Fixings)
	step := c.Years / n
	drift := (c.Rate - c.Dividend - c.Volatility*c.Volatility/2) * step
	deviation, discount := c.Volatility*math.Sqrt(step), c.discount()
	var s Sample
	for range b.Paths {
		log, sum, logs := math.Log(c.Spot), 0.0, 0.0
		for range c.Fixings {
			log += drift + deviation*random.NormFloat64()
			sum += math.Exp(log)
			logs += log
		}
		s.Add(discount*c.payoff(sum/n), discount*c.payoff(math.Exp(logs/n)))
	}
	return s
}

// control is the expectation of the control, known in advance.
func (c Contract) control() float64 {
	if c.Kind == asian {
		return c.Geometric()
	}
	return c.Spot * math.Exp(-c.Dividend*c.Years)
}
