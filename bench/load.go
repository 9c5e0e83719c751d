package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
)

// loader is what a client of a run does.
type loader struct {
	session *client.Session
	payload []byte
	load    *party.Loader
}

func newLoader(s *client.Session, payload []byte) *loader {
	l := &loader{session: s, payload: payload}
	l.load = party.NewLoader(l)
	return l
}

func (l *loader) obey(ctx context.Context, o party.Order) (party.Answer, error) {
	if o.Do != "submit" {
		return l.load.Obey(ctx, o)
	}
	ctx, stop := context.WithTimeout(ctx, o.Time)
	defer stop()
	report, err := json.Marshal(submit(ctx, l.session, o.First, o.Count))
	return party.Answer{Report: report}, err
}

// Call has one task executed.
func (l *loader) Call(ctx context.Context) error {
	out, err := l.session.Call(ctx, l.payload)
	if err == nil && len(out) != len(l.payload) {
		err = fmt.Errorf("a result of %d bytes for a task of %d", len(out), len(l.payload))
	}
	return err
}

// failed is the first error of a load.
type failed struct{ atomic.Pointer[error] }

// note notes an error. It is apart so that a task without one allocates nothing.
func (f *failed) note(err error) { f.CompareAndSwap(nil, &err) }

// Load keeps the window full until ctx is done, and returns when nothing is outstanding any more. What it does for each
// task is little, since it is measured too.
func (l *loader) Load(ctx context.Context, done *atomic.Uint64) error {
	var failed failed
	var last atomic.Uint64 // what done will be when nothing is outstanding; 0 while tasks are submitted
	all := make(chan struct{}, 1)
	note := func(r client.Result) {
		if r.Err != nil {
			failed.note(r.Err)
		}
		if done.Add(1) == last.Load() {
			all <- struct{}{}
		}
	}
	sent := done.Load()
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
	if done.Load() < sent {
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
