package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
)

// stampSize is how many bytes a task of a paced load has at least: it carries the time at which it was due.
const stampSize = 8

// A pacer that has tasks to send more often than this sends them in bursts, so that it does not wake up for each.
const burstEvery = 200 * time.Microsecond

// pace is the load that a client is to make. It lasts for Warm, and then for Time in which it is measured.
type pace struct {
	Rate     float64       `json:"rate"` // tasks/s of all clients; 0: as many as the window lets through
	Arrivals string        `json:"arrivals,omitempty"`
	Client   int           `json:"client,omitempty"` // which one this is, from 0 on
	Clients  int           `json:"clients,omitempty"`
	Seed     uint64        `json:"seed,omitempty"`
	Warm     time.Duration `json:"warm"`
	Time     time.Duration `json:"time"`
	Late     time.Duration `json:"late,omitempty"` // the load is given up when it is so far behind its schedule
}

// paced is what became of it. What is not said to be of the whole load is of the tasks that were due while it was measured.
type paced struct {
	Sent    uint64        `json:"sent"`    // of the whole load
	Due     uint64        `json:"due"`     // tasks
	Done    uint64        `json:"done"`    // of those that were due, at any time
	Within  uint64        `json:"within"`  // tasks that were completed while it was measured, whenever they were due
	Elapsed time.Duration `json:"elapsed"` // from the beginning of the measurement to the last result
	Latency []byte        `json:"latency"` // from when a task was due to its result; of those not sent, until it was given up
	Late    []byte        `json:"late"`    // from when the first task of a burst was due until it was sent
	GivenUp bool          `json:"given_up,omitempty"`
}

// pacer is the client of a paced load.
type pacer struct {
	submit  func(context.Context, []byte, func(client.Result)) error
	payload int
}

func newPartyPacer() *cobra.Command {
	var endpoint string
	var window int
	p := &pacer{}
	cmd := &cobra.Command{
		Use: pacerCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			c, err := dial(ctx, endpoint, "bench-pacer")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			s, err := c.OpenSession(ctx, serviceName, client.WithWindow(window, 0))
			if err != nil {
				return err
			}
			p.submit = func(ctx context.Context, b []byte, f func(client.Result)) error { return s.SubmitFunc(ctx, b, f) }
			return party.Obey(ctx, party.Answer{}, p.obey)
		},
	}
	cmd.Flags().StringVar(&endpoint, "broker", "", "control endpoint")
	cmd.Flags().IntVar(&p.payload, "payload", stampSize, "bytes of a task")
	cmd.Flags().IntVar(&window, "window", 0, "tasks outstanding")
	return cmd
}

func (p *pacer) obey(ctx context.Context, o party.Order) (party.Answer, error) {
	if o.Do != "pace" {
		return party.Answer{}, fmt.Errorf("unknown order %q", o.Do)
	}
	var how pace
	if err := json.Unmarshal(o.More, &how); err != nil {
		return party.Answer{}, fmt.Errorf("read how to pace: %w", err)
	}
	done, err := p.pace(ctx, how)
	if err != nil {
		return party.Answer{}, err
	}
	report, err := json.Marshal(done)
	return party.Answer{Report: report}, err
}

// receiver takes the results of a paced load.
type receiver struct {
	begin      time.Time
	from, till time.Duration // what is measured, from the beginning on
	size       int           // of a result

	mu      sync.Mutex
	latency *hdrhistogram.Histogram
	all     uint64 // results in all
	of      uint64 // of tasks that were due while it was measured
	within  uint64 // that came while it was measured
	last    time.Duration
	expects uint64 // results in all; 0 while tasks are sent
	ended   chan struct{}
	failure error
}

// took notes a result. It is all that is done for one beside sending it, since it is measured too.
func (r *receiver) took(res client.Result) {
	now := time.Since(r.begin)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case res.Err != nil:
		r.failure = cmp.Or(r.failure, res.Err)
	case len(res.Payload) != r.size:
		r.failure = cmp.Or(r.failure, fmt.Errorf("a result of %d bytes for a task of %d", len(res.Payload), r.size))
	default:
		due := time.Duration(binary.LittleEndian.Uint64(res.Payload))
		if due >= r.from {
			record(r.latency, now-due)
			r.of++
		}
		if now >= r.from && now < r.till {
			r.within++
		}
		r.last = now
	}
	if r.all++; r.all == r.expects {
		close(r.ended)
	}
}

// failed says what went wrong first.
func (r *receiver) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// wait waits until as many results have come as tasks were sent.
func (r *receiver) wait(ctx context.Context, sent uint64) error {
	r.mu.Lock()
	r.expects = sent
	complete := r.all == sent
	r.mu.Unlock()
	if !complete {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return r.failed()
}

// sender sends the tasks of a paced load.
type sender struct {
	*receiver
	submit  func(context.Context, []byte, func(client.Result)) error
	payload []byte
	note    func(client.Result)
	paced
	late *hdrhistogram.Histogram
}

// send sends a task that says when it was due.
func (s *sender) send(ctx context.Context, due time.Duration) error {
	binary.LittleEndian.PutUint64(s.payload, uint64(due))
	if err := s.submit(ctx, s.payload, s.note); err != nil {
		return err
	}
	s.Sent++
	if due >= s.from {
		s.Due++
	}
	return nil
}

// pace makes the load and waits for its results.
func (p *pacer) pace(ctx context.Context, o pace) (*paced, error) {
	s := sender{
		receiver: &receiver{
			begin: time.Now(), from: o.Warm, till: o.Warm + o.Time, size: p.payload, latency: newHistogram(), ended: make(chan struct{}),
		},
		submit: p.submit, payload: make([]byte, p.payload), late: newHistogram(),
	}
	s.note = s.took // once, not for each task
	var err error
	if o.Rate > 0 {
		err = s.open(ctx, newSchedule(o.Rate, o.Arrivals, o.Client, o.Clients, o.Seed), o.Late)
	} else {
		err = s.closed(ctx)
	}
	if err = errors.Join(err, s.wait(ctx, s.Sent)); err != nil {
		return nil, err
	}
	s.Done, s.Within, s.Elapsed = s.of, s.within, max(s.last-s.from, o.Time)
	if s.Latency, err = packHistogram(s.latency); err != nil {
		return nil, err
	}
	s.Late, err = packHistogram(s.late)
	return &s.paced, err
}

// open sends each task when it is due, whatever has become of those before it; one that cannot be sent then is sent as soon
// as it can. When it is too late with them it gives up: those that were due count with the time that they have waited.
func (s *sender) open(ctx context.Context, at schedule, late time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	woken := time.Duration(0)
	for at.due() < s.till {
		now := time.Since(s.begin)
		if due := at.due(); due > now {
			timer.Reset(max(due, min(woken+burstEvery, s.till)) - now)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			woken = time.Since(s.begin)
			continue
		}
		record(s.late, now-at.due())
		if now-at.due() > late {
			s.giveUp(at, now)
			return s.failed()
		}
		for due := at.due(); due <= now && due < s.till; due = at.due() {
			if err := s.send(ctx, due); err != nil {
				return errors.Join(err, s.failed())
			}
			at.advance()
		}
		if err := s.failed(); err != nil {
			return err
		}
	}
	return nil
}

// giveUp counts the tasks that are overdue and will not be sent.
func (s *sender) giveUp(at schedule, now time.Duration) {
	s.GivenUp = true
	s.mu.Lock()
	defer s.mu.Unlock()
	for due := at.due(); due <= now && due < s.till; due = at.due() {
		if due >= s.from {
			s.Due++
			record(s.latency, now-due)
		}
		at.advance()
	}
}

// closedStep is after how many tasks a closed load looks at the clock.
const closedStep = 16

// closed keeps the window full.
func (s *sender) closed(ctx context.Context) error {
	for now := time.Duration(0); now < s.till; now = time.Since(s.begin) {
		for range closedStep {
			if err := s.send(ctx, now); err != nil {
				return errors.Join(err, s.failed())
			}
		}
		if err := s.failed(); err != nil {
			return err
		}
	}
	return nil
}
