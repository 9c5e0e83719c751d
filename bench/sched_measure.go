package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/scenario"
)

// sampleEvery is how many decisions under churn lie between two looks at use and fairness.
const sampleEvery = 1000

// schedCase is one thing that is measured of the scheduler.
type schedCase struct {
	name    string
	load    scenario.Load
	churn   bool
	batch   int     // containers that end between two passes of the scheduler
	seconds float64 // of measured time under churn
	profile string  // file for a profile of the processor over the measured time; "": none
}

// schedPass is what one pass over a case measured.
type schedPass struct {
	Decisions   int
	Elapsed     time.Duration // of measured time
	Processor   time.Duration // that this process used in it
	P50         time.Duration
	P99         time.Duration
	Max         time.Duration
	Heap        uint64 // bytes in use by the scheduler and the load, after the fill
	Allocs      uint64
	Collections uint32
	Alone       struct { // decisions under churn that were made while nothing else was done
		Decisions int
		Allocs    uint64
	}

	Scarcest  string  // dimension
	Use       float64 // mean
	LeastUse  float64
	Unplaced  int
	Vain      int // times that the scheduler found nothing to place
	VainP99   time.Duration
	Fill      time.Duration // time that the fill before a churn took
	Filled    int
	Releases  int
	Submitted int
	Blocked   int
	Jain      float64 // mean
	JainLeast float64
}

func (p *schedPass) perSecond() float64 { return float64(p.Decisions) / p.Elapsed.Seconds() }

func (p *schedPass) allocsPer() float64 { return float64(p.Allocs) / float64(max(p.Decisions, 1)) }

func (p *schedPass) allocsAlone() float64 {
	return float64(p.Alone.Allocs) / float64(max(p.Alone.Decisions, 1))
}

func (p *schedPass) megabytes() float64 { return float64(p.Heap) / 1e6 }

// measure builds the load and runs one pass.
func (c schedCase) measure(ctx context.Context) (_ schedPass, err error) {
	b, err := newSchedLoad(c.load)
	if err != nil {
		return schedPass{}, fmt.Errorf("the load: %w", err)
	}
	m := schedMeasurement{
		schedCase: c, load: b, epoch: time.Now(),
		latency: hdrhistogram.New(1, int64(time.Minute), 3), vain: hdrhistogram.New(1, int64(time.Minute), 3),
		rng: rand.New(rand.NewPCG(c.load.Seed, 0x636875726e)), //nolint:gosec // it is to be the same each time
	}
	if err := m.run(ctx); err != nil {
		return schedPass{}, err
	}
	p := &m.pass
	p.P50, p.P99, p.Max = time.Duration(m.latency.ValueAtPercentile(50)), time.Duration(m.latency.ValueAtPercentile(99)), time.Duration(m.latency.Max())
	p.VainP99 = time.Duration(m.vain.ValueAtPercentile(99))
	var use float64
	p.Scarcest, use = b.scarcest()
	if !c.churn {
		p.Use, p.LeastUse, p.Jain = use, use, b.fairness()
		p.JainLeast = p.Jain
	}
	p.Unplaced, p.Blocked = b.unplaced(), b.blocked()
	return m.pass, nil
}

// schedMeasurement is a pass that is under way.
type schedMeasurement struct {
	schedCase
	load    *schedLoad
	rng     *rand.Rand
	pass    schedPass
	latency *hdrhistogram.Histogram // of decisions
	vain    *hdrhistogram.Histogram // of finding that nothing can be placed

	epoch  time.Time
	began  time.Duration // of the measured time that runs
	last   time.Duration // when the clock was read last
	memory runtime.MemStats

	running  []int32   // requests that have containers
	arriving [][]int32 // by queue: requests that have ended, and come again as those of another service
	spare    [][]int32 // by queue: services that have ended
}

func (m *schedMeasurement) run(ctx context.Context) error {
	if m.churn {
		return m.runChurn(ctx)
	}
	if err := m.start(); err != nil {
		return err
	}
	for ok := true; ok; {
		ok = m.decide()
		if m.pass.Decisions%sampleEvery == 0 && ctx.Err() != nil {
			break
		}
	}
	m.stop()
	m.end()
	return ctx.Err()
}

// start is the begin of what is measured, after the heap was swept.
func (m *schedMeasurement) start() error {
	runtime.GC()
	if m.profile != "" {
		f, err := os.Create(m.profile)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
	}
	m.resume()
	return nil
}

// resume lets the measured time run.
func (m *schedMeasurement) resume() {
	runtime.ReadMemStats(&m.memory)
	m.pass.Allocs -= m.memory.Mallocs
	m.pass.Collections -= m.memory.NumGC
	m.pass.Processor -= processorTime()
	m.began = time.Since(m.epoch)
	m.last = m.began
}

// stop has the measured time stand still.
func (m *schedMeasurement) stop() {
	m.pass.Elapsed += time.Since(m.epoch) - m.began
	m.pass.Processor += processorTime()
	runtime.ReadMemStats(&m.memory)
	m.pass.Allocs += m.memory.Mallocs
	m.pass.Collections += m.memory.NumGC
}

// processorTime is what this process has used of processors.
func processorTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0 // which Linux knows no reason for
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// end takes stock of the memory.
func (m *schedMeasurement) end() {
	if m.profile != "" {
		pprof.StopCPUProfile()
	}
	runtime.GC()
	runtime.ReadMemStats(&m.memory)
	m.pass.Heap = m.memory.HeapInuse
	runtime.KeepAlive(m.load)
}

// decide has the scheduler decide once, and the clock read once.
func (m *schedMeasurement) decide() bool {
	p, ok := m.load.scheduler.Next()
	now := time.Since(m.epoch)
	took := int64(now - m.last)
	m.last = now
	if !ok {
		m.pass.Vain++
		m.vain.RecordValue(took) //nolint:errcheck,gosec // it is within the range
		return false
	}
	m.latency.RecordValue(took) //nolint:errcheck,gosec // it is within the range
	m.pass.Decisions++
	m.note(p)
	return true
}

// note keeps what is needed to end a container.
func (m *schedMeasurement) note(p sched.Placement) {
	i := requestNumber(p.Request)
	r := &m.load.requests[i]
	if m.churn {
		r.containers[r.held] = p.Container
		if r.held == 0 {
			m.running = append(m.running, int32(i)) //nolint:gosec // there are not that many
		}
	}
	r.held++
	m.load.changes(i)
}
