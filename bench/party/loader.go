package party

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Subject is a client of what is measured.
type Subject interface {
	// Call has one task executed, and returns when its result is there. Any number of goroutines may call at once.
	Call(ctx context.Context) error
	// Load keeps the window full until ctx is done, adds each completed task to done, and returns when nothing is
	// outstanding any more.
	Load(ctx context.Context, done *atomic.Uint64) error
}

// Tripper is a subject that times its round trips itself, because it is not written in Go and a call of it by Go would
// cost more than it takes.
type Tripper interface {
	// RoundTrips calls one task after the other, at least one, until d has gone by. It gives the time that each took.
	RoundTrips(ctx context.Context, d time.Duration) ([]time.Duration, error)
}

// Loader is the party that drives a subject; the same one for all subjects, so that all are measured alike. Its orders:
//
//	rtt    one call after the other for Time; answers Trips
//	load   keep the window full; answered after Time, when that has become steady
//	call   keep Count callers calling, one task each; answered after Time
//	count  answers after Time how many Tasks were completed meanwhile, and the time in truth Elapsed
//	rest   end the load; answered when nothing is outstanding
type Loader struct {
	subject Subject
	stop    context.CancelFunc
	ended   chan error // of the load that runs
	_       [64]byte   // the count is written all the time, often by another thread
	done    atomic.Uint64
	_       [64]byte
}

// NewLoader makes the loader of a subject. One goroutine uses it.
func NewLoader(s Subject) *Loader { return &Loader{subject: s} }

// Obey carries one order out.
func (l *Loader) Obey(ctx context.Context, o Order) (Answer, error) {
	switch o.Do {
	case "rtt":
		return l.roundTrips(ctx, o.Time)
	case "load":
		return Answer{}, l.start(ctx, o.Time, func(ctx context.Context) error { return l.subject.Load(ctx, &l.done) })
	case "call":
		return Answer{}, l.start(ctx, o.Time, func(ctx context.Context) error { return l.callers(ctx, o.Count) })
	case "count":
		return l.count(ctx, o.Time)
	case "rest":
		if l.ended == nil {
			return Answer{}, errNoLoad
		}
		l.stop()
		err := <-l.ended
		l.ended = nil
		return Answer{}, err
	default:
		return Answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
}

// roundTrips calls one task after the other.
func (l *Loader) roundTrips(ctx context.Context, d time.Duration) (Answer, error) {
	var a Answer
	if t, ok := l.subject.(Tripper); ok {
		trips, err := t.RoundTrips(ctx, d)
		return Answer{Trips: trips}, err
	}
	for begin, sent := time.Now(), time.Duration(0); sent < d; {
		if err := l.subject.Call(ctx); err != nil {
			return Answer{}, err
		}
		got := time.Since(begin)
		a.Trips = append(a.Trips, got-sent)
		sent = got
	}
	return a, nil
}

var (
	errNoLoad = errors.New("there is no load")
	errEarly  = errors.New("the load ended early")
)

// start begins a load, and returns when it has gone on for a while.
func (l *Loader) start(ctx context.Context, warm time.Duration, load func(context.Context) error) error {
	if l.ended != nil {
		return errors.New("there is a load already")
	}
	ctx, l.stop = context.WithCancel(ctx)
	l.ended = make(chan error, 1)
	go func() { l.ended <- load(ctx) }()
	select {
	case err := <-l.ended:
		l.ended = nil
		return errors.Join(errEarly, err)
	case <-time.After(warm):
		return nil
	}
}

// callers keeps a number of callers calling until ctx is done.
func (l *Loader) callers(ctx context.Context, number int) error {
	errs := make([]error, number)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			// A call that has begun ends by itself: what is outstanding at the end is not broken off.
			for ctx.Err() == nil && errs[i] == nil {
				if errs[i] = l.subject.Call(context.WithoutCancel(ctx)); errs[i] == nil {
					l.done.Add(1)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// count waits, and says how many tasks were completed meanwhile.
func (l *Loader) count(ctx context.Context, d time.Duration) (Answer, error) {
	if l.ended == nil {
		return Answer{}, errNoLoad
	}
	before, begin := l.done.Load(), time.Now()
	select {
	case err := <-l.ended:
		l.ended = nil
		return Answer{}, errors.Join(errEarly, err)
	case <-ctx.Done():
		return Answer{}, context.Cause(ctx)
	case <-time.After(d):
		elapsed := time.Since(begin)
		return Answer{Tasks: l.done.Load() - before, Elapsed: elapsed}, nil
	}
}
