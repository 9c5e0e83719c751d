package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
)

// How a reader takes results.
const (
	byResults   = "results"   // in a loop over Session.Results
	byCallbacks = "callbacks" // that wait for each other
)

// reader is a client that takes the results of its tasks slowly.
type reader struct {
	session *client.Session
	size    int // of a result
	gap     time.Duration

	mu      sync.Mutex // held while a result is taken
	next    time.Time  // when the next may be taken
	seen    *tally
	damaged int
}

// readings is what a reader has read.
type readings struct {
	counts
	Damaged int           `json:"damaged,omitempty"` // results that are not what their tasks make
	Elapsed time.Duration `json:"elapsed"`
}

func newPartyReader() *cobra.Command {
	var endpoint string
	r := &reader{}
	cmd := &cobra.Command{
		Use: readerCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			c, err := dial(ctx, endpoint, "bench-reader")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			if r.session, err = c.OpenSession(ctx, serviceName); err != nil {
				return err
			}
			return party.Obey(ctx, party.Answer{}, r.obey)
		},
	}
	cmd.Flags().StringVar(&endpoint, "broker", "", "control endpoint")
	cmd.Flags().IntVar(&r.size, "result", 8, "bytes of a result")
	cmd.Flags().DurationVar(&r.gap, "gap", 0, "time between two results")
	return cmd
}

// obey submits a number of tasks, and then takes their results, one way or the other.
func (r *reader) obey(ctx context.Context, o party.Order) (party.Answer, error) {
	read := r.results
	switch o.Do {
	case byResults:
	case byCallbacks:
		read = r.callbacks
	default:
		return party.Answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
	ctx, stop := context.WithTimeoutCause(ctx, o.Time, fmt.Errorf("not all results were taken within %v", o.Time))
	defer stop()
	begin := time.Now()
	r.seen, r.next, r.damaged = newTally(o.Count), begin, 0
	if err := read(ctx, o.Count); err != nil {
		return party.Answer{}, err
	}
	report, err := json.Marshal(readings{counts: r.seen.counts, Damaged: r.damaged, Elapsed: time.Since(begin)})
	return party.Answer{Report: report}, err
}

func (r *reader) task(n int) []byte {
	return directive{number: uint64(n), result: r.size}.payload(directiveSize)
}

func (r *reader) results(ctx context.Context, tasks int) error {
	for n := range tasks {
		if _, err := r.session.Submit(ctx, r.task(n)); err != nil {
			return err
		}
	}
	for result, err := range r.session.Results(ctx) {
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.take(ctx, result)
	}
	return nil
}

func (r *reader) callbacks(ctx context.Context, tasks int) error {
	var all sync.WaitGroup
	for n := range tasks {
		all.Add(1)
		err := r.session.SubmitFunc(ctx, r.task(n), func(result client.Result) {
			defer all.Done()
			r.take(ctx, result)
		})
		if err != nil {
			return err
		}
	}
	taken := make(chan struct{})
	go func() {
		all.Wait()
		close(taken)
	}()
	select {
	case <-taken:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take takes a result when its time has come, and looks at every byte of it.
func (r *reader) take(ctx context.Context, result client.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-time.After(time.Until(r.next)):
	case <-ctx.Done():
		return
	}
	r.next = r.next.Add(r.gap)
	if now := time.Now(); r.next.Before(now) {
		r.next = now // it makes up for one that was missed, by a late timer, and not for more: it reads slowly
	}
	number, _ := numberOf(result.Payload)
	switch {
	case result.Err != nil:
		r.seen.Failed++
		r.seen.Failure = cmp.Or(r.seen.Failure, result.Err.Error())
	case !isResultOf(result.Payload, number, r.size):
		r.damaged++
	default:
		r.seen.result(number)
	}
}
