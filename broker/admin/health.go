package admin

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

const (
	// beatEvery is how often the control loop is asked whether it answers.
	beatEvery = time.Second
	// readyWithin is how old its last answer may be, and how long a loop may be at one turn, for the broker to be ready.
	readyWithin = 3 * time.Second
	// livesWithin is how old its last answer may be for the process to be alive.
	livesWithin = 15 * time.Second
)

// pulse asks the control loop for something small all the time, as a client would, and knows when it answered last.
type pulse struct {
	broker Broker
	began  time.Time

	mu       sync.Mutex
	answered time.Time // zero: never
	stopping bool
}

func newPulse(b Broker, now time.Time) *pulse { return &pulse{broker: b, began: now} }

// run asks until stop is closed.
func (p *pulse) run(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			p.beat(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	<-stop
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	cancel()
	asking.Wait()
}

// beat asks once.
func (p *pulse) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, livesWithin)
	defer cancel()
	if _, err := command(ctx, p.broker, protocol.KindListEnvironments, protocol.Marshal(protocol.ListRequest{Limit: 1})); err != nil {
		return
	}
	p.mu.Lock()
	p.answered = time.Now()
	p.mu.Unlock()
}

// lives says what speaks against it that the process is alive; nil: nothing.
func (p *pulse) lives(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.answered
	if last.IsZero() {
		last = p.began
	}
	if silent := now.Sub(last); silent > livesWithin {
		return protocol.Errorf(protocol.CodeUnavailable, "healthz", "the control loop has not answered for %v", silent.Truncate(time.Second))
	}
	return nil
}

// ready says what speaks against it that the broker serves; nil: nothing.
func (p *pulse) ready(now time.Time) error {
	not := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeUnavailable, "readyz", format, args...)
	}
	p.mu.Lock()
	answered, stopping := p.answered, p.stopping
	p.mu.Unlock()
	silent := now.Sub(answered)
	switch {
	case stopping:
		return not("the broker stops")
	case answered.IsZero():
		return not("the control loop has not answered yet")
	case silent > readyWithin:
		return not("the control loop has not answered for %v", silent.Truncate(time.Second))
	}
	for _, l := range p.broker.Loops() {
		if at := now.Sub(l.Turn); !l.Turn.IsZero() && at > readyWithin {
			return not("loop %s has been at one turn for %v", l.Name, at.Truncate(time.Second))
		}
	}
	return nil
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	say(w, "ok", s.pulse.lives(time.Now()))
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	say(w, "ready", s.pulse.ready(time.Now()))
}

// say answers that all is well, or what is not.
func say(w http.ResponseWriter, well string, err error) {
	if err != nil {
		fail(w, 0, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": well})
}
