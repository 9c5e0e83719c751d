package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/protocol"
)

// maxAsked is how many commands may wait for their answers at once.
const maxAsked = 64

// desk takes commands to the control loop from anywhere in the process, and their answers to those who wait. The loop
// never waits for them: an answer has a place of its own, and is dropped where nobody waits any more. Its exported methods
// are safe for concurrent use; the others are the control loop's.
type desk struct {
	mail *mailbox[control.Event]
	stop <-chan struct{} // closed when the broker ends

	mu   sync.Mutex
	last uint64
	// asked has a place until its answer comes, also when nobody waits any more: so what is in the mailbox is bounded.
	asked map[uint64]chan control.Answer

	committed uint64 // position up to which answers may be told
	gated     []control.Answer
}

func newDesk(mail *mailbox[control.Event], stop <-chan struct{}) *desk {
	return &desk{mail: mail, stop: stop, asked: make(map[uint64]chan control.Answer)}
}

// Command has the control loop serve a request; see [admin.Broker].
func (d *desk) Command(ctx context.Context, kind protocol.Kind, body []byte) (protocol.Kind, []byte, error) {
	a, err := d.ask(ctx, func(id uint64) control.Event { return control.Command{ID: id, By: "http", Kind: kind, Body: body} })
	return a.Kind, a.Body, err
}

// Census has the control loop count what there is.
func (d *desk) Census(ctx context.Context) (*control.Census, error) {
	a, err := d.ask(ctx, func(id uint64) control.Event { return control.Survey{ID: id} })
	return a.Census, err
}

// ask hands an event with an id of its own to the control loop and waits for the answer.
func (d *desk) ask(ctx context.Context, event func(id uint64) control.Event) (control.Answer, error) {
	place, err := d.put(event)
	if err != nil {
		return control.Answer{}, err
	}
	select {
	case a := <-place:
		return a, nil
	case <-d.stop:
		return control.Answer{}, protocol.Errorf(protocol.CodeUnavailable, "broker", "it stops")
	case <-ctx.Done():
		return control.Answer{}, protocol.Errorf(protocol.CodeUnavailable, "broker", "the control loop has not answered: %v", context.Cause(ctx))
	}
}

// put hands the event over, and gives the place where its answer will be.
func (d *desk) put(event func(id uint64) control.Event) (<-chan control.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) >= maxAsked {
		return nil, &protocol.Error{
			Code: protocol.CodeOverloaded, Op: "broker", RetryAfter: time.Second,
			Msg: fmt.Sprintf("%d commands wait for their answers, and at most %d may", len(d.asked), maxAsked),
		}
	}
	d.last++
	place := make(chan control.Answer, 1)
	d.asked[d.last] = place
	d.mail.put(event(d.last))
	return place, nil
}

// answers takes what the core has answered. What is not durable yet waits.
func (d *desk) answers(all []control.Answer) {
	for _, a := range all {
		if a.After > d.committed {
			d.gated = append(d.gated, a)
			continue
		}
		d.mu.Lock()
		place, waits := d.asked[a.ID]
		delete(d.asked, a.ID)
		d.mu.Unlock()
		if waits {
			place <- a // which has room for it
		}
	}
}

// durable tells what waited for positions up to this one.
func (d *desk) durable(position uint64) {
	d.committed = max(d.committed, position)
	waited := d.gated
	d.gated = nil
	d.answers(waited)
}
