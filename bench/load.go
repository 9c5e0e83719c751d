package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-fabric/weft/client"
)

// loader is what a client of a run does.
type loader struct {
	session *client.Session
	payload []byte
	done    atomic.Uint64 // tasks that were completed
	stop    context.CancelFunc
	ended   chan error // of the load that runs
}

func (l *loader) obey(ctx context.Context, o order) (answer, error) {
	switch o.Do {
	case "rtt":
		return l.roundTrips(ctx, o.Time)
	case "load":
		return answer{}, l.start(ctx, o.Time)
	case "count":
		return l.count(ctx, o.Time)
	case "submit":
		ctx, stop := context.WithTimeout(ctx, o.Time)
		defer stop()
		c := submit(ctx, l.session, o.First, o.Count)
		return answer{Counts: &c}, nil
	case "rest":
		l.stop()
		return answer{}, <-l.ended
	default:
		return answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
}

// roundTrips calls one task after the other.
func (l *loader) roundTrips(ctx context.Context, d time.Duration) (answer, error) {
	var a answer
	for begin := time.Now(); a.Elapsed < d; {
		sent := time.Since(begin)
		out, err := l.session.Call(ctx, l.payload)
		a.Elapsed = time.Since(begin)
		if err != nil {
			return answer{}, err
		}
		if len(out) != len(l.payload) {
			return answer{}, fmt.Errorf("a result of %d bytes for a task of %d", len(out), len(l.payload))
		}
		a.Trips = append(a.Trips, a.Elapsed-sent)
	}
	return a, nil
}

// start begins to keep the window full, and returns when that has gone on for a while.
func (l *loader) start(ctx context.Context, warm time.Duration) error {
	ctx, l.stop = context.WithCancel(ctx)
	l.ended = make(chan error, 1)
	go func() { l.ended <- l.load(ctx) }()
	select {
	case err := <-l.ended:
		return errors.Join(errors.New("the load ended early"), err)
	case <-time.After(warm):
		return nil
	}
}

// count waits, and says how many tasks were completed meanwhile.
func (l *loader) count(ctx context.Context, d time.Duration) (answer, error) {
	before, begin := l.done.Load(), time.Now()
	select {
	case err := <-l.ended:
		return answer{}, errors.Join(errors.New("the load ended early"), err)
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	case <-time.After(d):
		elapsed := time.Since(begin)
		return answer{Tasks: l.done.Load() - before, Elapsed: elapsed}, nil
	}
}

// failed is the first error of a load.
type failed struct{ atomic.Pointer[error] }

// note notes an error. It is apart so that a task without one allocates nothing.
func (f *failed) note(err error) { f.CompareAndSwap(nil, &err) }

// load keeps the window full until ctx is done, and returns when nothing is outstanding any more. What it does for each
// task is little, since it is measured too.
func (l *loader) load(ctx context.Context) error {
	var failed failed
	var last atomic.Uint64 // what done will be when nothing is outstanding; 0 while tasks are submitted
	all := make(chan struct{}, 1)
	note := func(r client.Result) {
		if r.Err != nil {
			failed.note(r.Err)
		}
		if l.done.Add(1) == last.Load() {
			all <- struct{}{}
		}
	}
	sent := l.done.Load()
	session, payload := l.session, l.payload // not beside what the callbacks count
	for failed.Load() == nil {
		if err := session.SubmitFunc(ctx, payload, note); err != nil {
			if ctx.Err() == nil {
				failed.note(err)
			}
			break
		}
		sent++
	}
	last.Store(sent)
	if l.done.Load() < sent {
		<-all
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// submit sends tasks with the numbers from first on and gathers their results. A task that is not answered when ctx is
// done is missing.
func submit(ctx context.Context, s *client.Session, first uint64, tasks int) counts {
	var mu sync.Mutex
	seen := newTally(tasks)
	var all sync.WaitGroup
	note := func(r client.Result) {
		defer all.Done()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Err != nil:
			seen.Failed++
			seen.Failure = cmp.Or(seen.Failure, r.Err.Error())
		case len(r.Payload) != 8:
			seen.Strange++
		default:
			seen.result(binary.BigEndian.Uint64(r.Payload) - first)
		}
	}
	for n := range tasks {
		all.Add(1)
		if err := s.SubmitFunc(ctx, binary.BigEndian.AppendUint64(nil, first+uint64(n)), note); err != nil {
			note(client.Result{Err: err})
		}
	}
	finished := make(chan struct{})
	go func() {
		all.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	return seen.counts
}
