package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
)

// surger is a client of the check of overload. It keeps account of every task that it has ever sent.
type surger struct {
	sessions  []*client.Session
	payloads  []int // sizes of tasks, in turns
	execution time.Duration
	result    int // bytes

	mu      sync.Mutex
	arrived sync.Cond
	results []uint8 // how many there were, by the number of the task
	done    uint64  // results in all
	failure error   // of the first task that failed
}

// newPartySurge is a client that sends more than there is room for.
func newPartySurge() *cobra.Command {
	var endpoint string
	var sessions int
	s := &surger{}
	s.arrived.L = &s.mu
	cmd := &cobra.Command{
		Use: surgeCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			c, err := dial(ctx, endpoint, "bench-surge")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			for range sessions {
				open, err := c.OpenSession(ctx, serviceName)
				if err != nil {
					return err
				}
				s.sessions = append(s.sessions, open)
			}
			return party.Obey(ctx, party.Answer{}, s.obey)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&endpoint, "broker", "", "control endpoint")
	flags.IntVar(&sessions, "sessions", 1, "sessions to open")
	flags.IntSliceVar(&s.payloads, "payloads", []int{directiveSize}, "bytes of tasks, in turns")
	flags.DurationVar(&s.execution, "execution", 0, "time that a task takes")
	flags.IntVar(&s.result, "result", 8, "bytes of a result")
	return cmd
}

func (s *surger) obey(ctx context.Context, o party.Order) (party.Answer, error) {
	switch o.Do {
	case "steady":
		return s.load(ctx, o.Time, o.Count)
	case "surge":
		return s.surge(ctx, o.Time, float64(o.Count))
	case "send":
		for range o.Count {
			if err := s.send(ctx); err != nil {
				return party.Answer{}, err
			}
		}
		return party.Answer{Tasks: uint64(o.Count)}, nil
	case "drain":
		return s.drain(ctx)
	default:
		return party.Answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
}

// send sends the next task. It blocks while there is no credit.
func (s *surger) send(ctx context.Context) error {
	s.mu.Lock()
	n := len(s.results)
	s.results = append(s.results, 0)
	s.mu.Unlock()
	d := directive{number: uint64(n), execution: s.execution, result: s.result}
	return s.sessions[n%len(s.sessions)].SubmitFunc(ctx, d.payload(s.payloads[n%len(s.payloads)]), s.took)
}

// took notes a result.
func (s *surger) took(r client.Result) {
	n, _ := numberOf(r.Payload)
	right := isResultOf(r.Payload, n, s.result)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Err != nil:
		s.fail(r.Err)
	case !right || n >= uint64(len(s.results)):
		s.fail(fmt.Errorf("a result of %d bytes that is of no task", len(r.Payload)))
	case s.results[n] > 0:
		s.fail(fmt.Errorf("task %d has another result", n))
	default:
		s.results[n]++
	}
	s.done++
	s.arrived.Broadcast()
}

func (s *surger) fail(err error) {
	if s.failure == nil {
		s.failure = err
	}
}

// load keeps so many tasks outstanding for a while, at least, and says how many results came in that time.
func (s *surger) load(ctx context.Context, d time.Duration, outstanding int) (party.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	defer context.AfterFunc(ctx, s.arrived.Broadcast)()
	begin := time.Now()
	s.mu.Lock()
	before := s.done
	s.mu.Unlock()
	for ctx.Err() == nil {
		s.mu.Lock()
		for len(s.results)-int(s.done) >= outstanding && ctx.Err() == nil {
			s.arrived.Wait()
		}
		s.mu.Unlock()
		if err := s.send(ctx); err != nil {
			s.forget()
			if ctx.Err() == nil {
				return party.Answer{}, err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return party.Answer{Tasks: s.done - before, Elapsed: time.Since(begin)}, s.failure
}

// surge sends so many tasks a second, or as many as the broker lets it, for a while.
func (s *surger) surge(ctx context.Context, d time.Duration, perSecond float64) (party.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	begin, sent := time.Now(), 0
	for ctx.Err() == nil {
		for float64(sent) < time.Since(begin).Seconds()*perSecond {
			if err := s.send(ctx); err != nil {
				s.forget()
				if ctx.Err() == nil {
					return party.Answer{}, err
				}
				break
			}
			sent++
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return party.Answer{Tasks: uint64(sent), Elapsed: time.Since(begin)}, nil
}

// forget takes the last task off the account, which was not sent.
func (s *surger) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = s.results[:len(s.results)-1]
}

// drain waits until every task has its result, and says how many there were.
func (s *surger) drain(ctx context.Context) (party.Answer, error) {
	defer context.AfterFunc(ctx, s.arrived.Broadcast)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for int(s.done) < len(s.results) && ctx.Err() == nil {
		s.arrived.Wait()
	}
	if int(s.done) < len(s.results) {
		return party.Answer{}, fmt.Errorf("%d of %d tasks have no result", len(s.results)-int(s.done), len(s.results))
	}
	return party.Answer{Tasks: s.done}, s.failure
}
