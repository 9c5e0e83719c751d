package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// newTestDesk makes a desk whose control loop is the test.
func newTestDesk(t *testing.T) (*desk, chan struct{}) {
	t.Helper()
	wake, err := zmqx.NewWake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := wake.Close(); err != nil {
			t.Error(err)
		}
	})
	stop := make(chan struct{})
	return newDesk(&mailbox[control.Event]{wake: wake}, stop), stop
}

// told is what somebody who asked a desk was told.
type told struct {
	kind protocol.Kind
	body string
	err  error
}

// asks has somebody ask a desk.
func asks(ctx context.Context, d *desk) <-chan told {
	ch := make(chan told, 1)
	go func() {
		kind, body, err := d.Command(ctx, protocol.KindListNodes, []byte("question"))
		ch <- told{kind, string(body), err}
	}()
	return ch
}

// taken gives the id of the one command that the control loop finds.
func taken(t *testing.T, d *desk) uint64 {
	t.Helper()
	synctest.Wait()
	all := d.mail.take(nil)
	if len(all) != 1 {
		t.Fatalf("the control loop finds %d events", len(all))
	}
	c, ok := all[0].(control.Command)
	if !ok || c.Kind != protocol.KindListNodes || string(c.Body) != "question" || c.By == "" {
		t.Fatalf("the control loop finds %+v", all[0])
	}
	return c.ID
}

func TestDeskGivesAnswersToWhoeverAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newTestDesk(t)
		first := asks(t.Context(), d)
		a := taken(t, d)
		second := asks(t.Context(), d)
		b := taken(t, d)
		d.answers([]control.Answer{{ID: b, Kind: protocol.KindDone, Body: []byte("b")}, {ID: a, Kind: protocol.KindNodePage, Body: []byte("a")}, {ID: 99}})
		if got := <-first; got != (told{protocol.KindNodePage, "a", nil}) {
			t.Errorf("the first was told %+v", got)
		}
		if got := <-second; got != (told{protocol.KindDone, "b", nil}) {
			t.Errorf("the second was told %+v", got)
		}
		if len(d.asked) > 0 {
			t.Errorf("%d are still asked", len(d.asked))
		}
	})
}

func TestDeskHoldsAnswersUntilTheyAreDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newTestDesk(t)
		one := asks(t.Context(), d)
		d.answers([]control.Answer{{ID: taken(t, d), After: 5, Kind: protocol.KindDone}})
		d.durable(4)
		synctest.Wait()
		select {
		case got := <-one:
			t.Fatalf("told %+v before it is durable", got)
		default:
		}
		d.durable(5)
		if got := <-one; got.err != nil || got.kind != protocol.KindDone {
			t.Errorf("told %+v", got)
		}
		two := asks(t.Context(), d)
		d.answers([]control.Answer{{ID: taken(t, d), After: 5, Kind: protocol.KindDone}})
		if got := <-two; got.err != nil {
			t.Errorf("what is durable already: %+v", got)
		}
	})
}

// When the control loop is stuck nobody waits for longer than he wants to, and what waits for it is bounded.
func TestDeskOfAControlLoopThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := newTestDesk(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var waiting []<-chan told
		for range maxAsked {
			waiting = append(waiting, asks(ctx, d))
		}
		synctest.Wait()
		if got := <-asks(t.Context(), d); protocol.CodeOf(got.err) != protocol.CodeOverloaded {
			t.Errorf("one more: %+v", got)
		}
		for _, w := range waiting {
			if got := <-w; protocol.CodeOf(got.err) != protocol.CodeUnavailable || !strings.Contains(got.err.Error(), "has not answered") {
				t.Fatalf("told %+v", got)
			}
		}
		if got := <-asks(t.Context(), d); protocol.CodeOf(got.err) != protocol.CodeOverloaded {
			t.Errorf("when nobody waits any more, but all is still in the mailbox: %+v", got)
		}
		for _, ev := range d.mail.take(nil) {
			d.answers([]control.Answer{{ID: ev.(control.Command).ID, Kind: protocol.KindDone}})
		}
		last := asks(t.Context(), d)
		taken(t, d)
		close(stop)
		if got := <-last; protocol.CodeOf(got.err) != protocol.CodeUnavailable || !strings.Contains(got.err.Error(), "stops") {
			t.Errorf("when the broker stops: %+v", got)
		}
		if _, err := d.Census(t.Context()); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("afterwards: %v", err)
		}
	})
}
