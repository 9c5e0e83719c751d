// Package analyze judges from what was counted of a session, or of a service, what holds it up, and says it in words: the
// bottleneck, the figures that show it, and what to do. It is a pure function of protocol.Stats.
package analyze

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Bottleneck is what holds a session up.
type Bottleneck string

// The bottlenecks, and what there is to say when there is none.
const (
	TooFewInstances Bottleneck = "too few instances"   // tasks wait while all that there are work
	SlowHook        Bottleneck = "slow hook"           // nearly all time is spent in OnTaskExec
	BigPayloads     Bottleneck = "big payloads"        // it is spent moving payloads and results
	SlowClient      Bottleneck = "slow client"         // the client takes its results later than they come
	Retries         Bottleneck = "retries"             // much of the work is done again
	Nothing         Bottleneck = "nothing stands out"  // it works as it should
	TooLittle       Bottleneck = "too little to judge" // too few tasks were finished
)

// Finding is one thing that holds a session up.
type Finding struct {
	Bottleneck Bottleneck `json:"bottleneck"`
	Summary    string     `json:"summary"`            // a sentence
	Evidence   []string   `json:"evidence,omitempty"` // figures that show it
	Advice     []string   `json:"advice,omitempty"`   // what can be done about it
}

// Step is one part of the way of a task.
type Step struct {
	Name  string        `json:"name"`
	Count uint64        `json:"count"` // of the tasks that were timed
	Mean  time.Duration `json:"mean"`
	P50   time.Duration `json:"p50"`
	P95   time.Duration `json:"p95"`
	P99   time.Duration `json:"p99"`
}

// Rates is what is done in a second in which there was something to do.
type Rates struct {
	Tasks    float64 `json:"tasks"`     // that were finished
	BytesIn  float64 `json:"bytes_in"`  // of payloads
	BytesOut float64 `json:"bytes_out"` // of results
}

// Analysis is what can be said of a session or a service.
type Analysis struct {
	Finding
	Also  []Finding `json:"also,omitempty"` // what holds it up less, or would next
	Steps []Step    `json:"steps"`          // the way of a task, in order
	Rates Rates     `json:"rates"`
}

// What is needed to judge, and from where on something counts.
const (
	leastTasks  = 10              // finished, or
	leastActive = 2 * time.Second // with something to do
	fewRepeats  = 5               // attempts that say nothing yet
	repeatShare = 0.2             // of all attempts
	clientShare = 0.3             // of the time: the client takes no results
	bigTask     = 128 << 10       // bytes of payload and result together
	touchSpeed  = 200 << 20       // bytes a second: who is no faster does more with them than to touch them
	tinyTask    = 100 * time.Microsecond
)

// Of judges.
func Of(s *protocol.Stats) Analysis {
	f := derive(s)
	a := Analysis{Steps: steps(s), Rates: f.rates()}
	if found, ok := f.unready(); ok {
		a.Finding = found
		return a
	}
	// In this order: repeats are in all other figures, a client that takes nothing stops all others, and instances that
	// wait for bytes seem busy.
	for _, rule := range []func() (Finding, bool){f.retries, f.slowClient, f.noInstances, f.bigPayloads, f.tooFew, f.slowHook, f.lateClient} {
		found, ok := rule()
		switch {
		case !ok:
		case a.Bottleneck == "":
			a.Finding = found
		case a.Bottleneck != found.Bottleneck:
			a.Also = append(a.Also, found)
		}
	}
	if a.Bottleneck == "" {
		a.Finding = f.nothing()
	}
	return a
}

// steps is the way of a task.
func steps(s *protocol.Stats) []Step {
	step := func(name string, h *protocol.Histogram) Step {
		return Step{name, h.N(), h.Mean(), h.Quantile(0.5), h.Quantile(0.95), h.Quantile(0.99)}
	}
	return []Step{
		step("queued", &s.Queued), step("in flight", &s.InFlight), step("executing", &s.Executing), step("returning", &s.Returning),
	}
}

// figures is what follows from what was counted.
type figures struct {
	*protocol.Stats
	finished uint64
	attempts uint64
	exec     time.Duration // means of a task
	queued   time.Duration
	flight   time.Duration
	back     time.Duration
	wait     time.Duration // queued, and at an instance without being executed
	size     float64       // bytes of a task and its result
	busy     float64       // share of the time of instances in which they execute
	starved  float64       // share of the time of the session
	blocked  float64
	there    float64 // instances, on average
}

func derive(s *protocol.Stats) *figures {
	f := &figures{Stats: s, finished: s.Done + s.Failed}
	f.attempts = f.finished + s.Retried
	f.exec, f.queued, f.flight, f.back = s.Executing.Mean(), s.Queued.Mean(), s.InFlight.Mean(), s.Returning.Mean()
	f.wait = f.queued + max(0, f.flight-f.exec)
	f.size = ratio(float64(s.BytesIn), float64(s.Submitted)) + ratio(float64(s.BytesOut), float64(s.Done))
	f.busy = min(1, ratio(float64(s.Busy), float64(s.Serving)*float64(max(1, s.Slots))))
	f.starved = share(s.Starved, s.Active)
	f.blocked = share(s.Blocked, s.Active)
	f.there = share(s.Serving, s.Active)
	return f
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

func share(a, b time.Duration) float64 { return ratio(float64(a), float64(b)) }

func (f *figures) rates() Rates {
	seconds := f.Active.Seconds()
	return Rates{ratio(float64(f.finished), seconds), ratio(float64(f.BytesIn), seconds), ratio(float64(f.BytesOut), seconds)}
}
