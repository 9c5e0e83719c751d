package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/progress"
)

// pricing is what the client is to do.
type pricing struct {
	contract  Contract
	precision float64 // half the width of the interval, wanted
	most      int64   // paths
	batch     int     // paths of a task
	seed      uint64
	broker    string
	instances int
	serial    bool

	sample    Sample
	tasks     int // whose results are in sample
	processes map[int]int
}

// check names the first flag that cannot be.
func (p *pricing) check() error {
	switch {
	case !(p.precision > 0):
		return fmt.Errorf("-precision: %v is not above 0", p.precision)
	case p.most < int64(pilot*p.batch):
		return fmt.Errorf("-max-paths: %d is less than the first %d tasks of %d paths have", p.most, pilot, p.batch)
	case p.instances < 0:
		return fmt.Errorf("-instances: %d is negative", p.instances)
	}
	return Batch{Contract: p.contract, Paths: p.batch}.check()
}

// run connects, prices and tells.
func (p *pricing) run(ctx context.Context) (err error) {
	c, err := client.Dial(ctx, p.broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	begin := time.Now()
	if err := p.price(ctx, c); err != nil {
		return err
	}
	text, err := p.tell(time.Since(begin))
	fmt.Print(text)
	return err
}

// price sends tasks, a round after another, until the price is known well enough.
func (p *pricing) price(ctx context.Context, c *client.Client) error {
	s, err := c.OpenSession(ctx, serviceName, client.WithInstances(p.instances, p.instances), client.OnWaiting(3*time.Second, waiting))
	if err != nil {
		return err
	}
	p.processes = map[int]int{}
	bar := progress.New(os.Stderr, "tasks", pilot+1)
	defer bar.Finish()
	simulate := client.Method[Batch, Result]{}
	for more := pilot; more > 0; more = p.missing() {
		first := p.tasks
		bar.Total(first + more + 1) // not the last round, perhaps
		for r, err := range simulate.Map(ctx, s, p.batches(first, more)) {
			if err != nil {
				return fmt.Errorf("price: %w", err)
			}
			p.sample.Merge(r.Sample) // in the order of the tasks: the same sum, however they were spread
			p.processes[r.Process]++
			p.tasks++
			bar.Add(1)
		}
	}
	return s.Close(ctx)
}

// pilot is how many tasks the first round has, from which the number of the others is told.
const pilot = 8

// batches are the tasks of a round.
func (p *pricing) batches(first, count int) func(yield func(Batch) bool) {
	return func(yield func(Batch) bool) {
		for i := range count {
			if !yield(Batch{Contract: p.contract, Paths: p.batch, Seed: p.seed, Stream: uint64(first + i)}) {
				return
			}
		}
	}
}

// missing is how many tasks the next round has; 0 when the interval is small enough, or no more paths are allowed. Errors
// shrink with the root of the number of paths.
func (p *pricing) missing() int {
	half := p.estimate().HalfWidth()
	if half <= p.precision {
		return 0
	}
	ratio := half / p.precision
	wanted := math.Ceil(float64(p.tasks) * ratio * ratio * 1.02) // the estimate of the error has an error too
	wanted = min(wanted, 16*float64(p.tasks), float64(p.most/int64(p.batch)))
	return int(wanted) - p.tasks
}

func (p *pricing) estimate() Estimate { return p.sample.Controlled(p.contract.control()) }

// sure is how many standard errors are beyond chance: once in 15,000 times.
const sure = 4

// tell says what came out, and what is to be thought of it: the error is not nil when it cannot be right.
func (p *pricing) tell(elapsed time.Duration) (string, error) {
	var text strings.Builder
	c, e := p.contract, p.estimate()
	right := "call"
	if c.Put {
		right = "put"
	}
	fmt.Fprintf(&text, "%s %s: spot %g, strike %g, rate %g, dividend %g, volatility %g, years %g\n",
		c.Kind, right, c.Spot, c.Strike, c.Rate, c.Dividend, c.Volatility, c.Years)
	fmt.Fprintf(&text, "price %.6f ± %.6f with 95 %% confidence, from %d paths; without the control ± %.6f\n",
		e.Price, e.HalfWidth(), p.sample.N, p.sample.Plain().HalfWidth())
	fmt.Fprintf(&text, "%d tasks by %d instances in %.2f s: %.1f million paths/s\n",
		p.tasks, len(p.processes), elapsed.Seconds(), float64(p.sample.N)/1e6/elapsed.Seconds())
	verdict, err := p.verdict()
	text.WriteString(verdict)
	if err == nil && p.serial {
		err = p.compare()
		if err == nil {
			fmt.Fprintf(&text, "equal to the serial run of %d tasks, to the last bit\n", p.tasks)
		}
	}
	return text.String(), err
}

// verdict compares with the closed formula: of the option itself, or, where it has none, of its control.
func (p *pricing) verdict() (string, error) {
	formula, exact, e := "Black-Scholes", p.contract.BlackScholes(), p.estimate()
	if p.contract.Kind == asian {
		formula, exact, e = "the formula for the geometric mean", p.contract.Geometric(), p.sample.Controls()
	}
	if p.sample.Square == 0 {
		return "", fmt.Errorf("all of %d paths pay the same: the strike is too far off for a simulation to see the difference", p.sample.N)
	}
	off := math.Abs(e.Price-exact) / e.Error
	if off > sure {
		return "", fmt.Errorf("wrong: %s gives %.6f, the paths %.6f, %.1f standard errors off", formula, exact, e.Price, off)
	}
	place := "within the interval"
	if off > quantile {
		place = "beside the interval, as once in 20 times"
	}
	text := fmt.Sprintf("right: %s gives %.6f, the paths %.6f, %s (%.1f standard errors off)\n", formula, exact, e.Price, place, off)
	if half := p.estimate().HalfWidth(); half > p.precision {
		return text, fmt.Errorf("-precision: %v was not reached within -max-paths: ± %.6f after %d paths", p.precision, half, p.sample.N)
	}
	return text, nil
}

// compare computes all tasks once more in one process and thread.
func (p *pricing) compare() error {
	var serial Sample
	for b := range p.batches(0, p.tasks) {
		serial.Merge(b.Simulate())
	}
	if serial != p.sample {
		return fmt.Errorf("the sums differ from the serial ones (expected where architectures are mixed): %+v, serial %+v", p.sample, serial)
	}
	return nil
}

// waiting says why there are no results yet.
func waiting(reason string) { fmt.Fprintln(os.Stderr, "waiting:", reason) }
