package sim

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Plan says which seeds are run.
type Plan struct {
	First, Seeds uint64
	Options      Options // of each; Seed is set by Check
	Workers      int     // 0: one for each processor
	// Twice has every seed whose number divides by it run twice; 0: none.
	Twice uint64
}

// Report is what came of many seeds.
type Report struct {
	Tally   Tally
	Steps   Steps
	Wall    time.Duration
	Workers int
	Time    time.Duration // simulated, together
	// Failed is the lowest seed that failed, with what it was run with; nil: none did.
	Failed *Failed
}

// Failed is a run that failed.
type Failed struct {
	Options Options
	Outcome Outcome
}

// Rate is how many steps one worker makes in a second.
func (r *Report) Rate() float64 {
	return float64(r.Steps.Total()) / r.Wall.Seconds() / float64(r.Workers)
}

// Check runs seeds side by side. When one fails no further ones are begun, and those below it are still finished, so
// that equal plans report the same failure.
func Check(p Plan) Report {
	if p.Workers <= 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	r := Report{Workers: p.Workers}
	var (
		mu    sync.Mutex
		all   sync.WaitGroup
		next  atomic.Uint64
		limit atomic.Uint64
	)
	limit.Store(p.Seeds)
	begin := time.Now()
	for range p.Workers {
		all.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= limit.Load() {
					return
				}
				o := p.Options
				o.Seed = p.First + n
				out := runOnce(o, p.Twice)
				mu.Lock()
				r.Tally.Add(&out.Tally)
				for i := range r.Steps {
					r.Steps[i] += out.Steps[i]
				}
				r.Time += out.Time
				if out.Failure != nil && (r.Failed == nil || o.Seed < r.Failed.Options.Seed) {
					r.Failed = &Failed{Options: o, Outcome: out}
					limit.Store(n)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.Wall = time.Since(begin)
	return r
}

// runOnce runs a seed, and runs it again when it is one of those that are compared.
func runOnce(o Options, twice uint64) Outcome {
	if twice == 0 || o.Seed%twice != 0 {
		return Run(o)
	}
	o.Exact = true
	first, second := Run(o), Run(o)
	if first.Failure == nil && first.Hash != second.Hash {
		first.Failure = &Failure{Kind: "chance", Text: fmt.Sprintf("two runs differ: %x after %d steps and %x after %d: something in it is not deterministic",
			first.Hash, first.Steps.Total(), second.Hash, second.Steps.Total()), At: first.Time, Phase: "over"}
	}
	for i := range first.Steps {
		first.Steps[i] += second.Steps[i]
	}
	return first
}
