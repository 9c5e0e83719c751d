package control_test

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestClientThatCameBackIsNotForgotten: a process was silent for so long that its sessions were taken off it, and comes back
// before their manager has heard. What is done for the one that was gone must not have the loops forget the one that is here.
func TestClientThatCameBackIsNotForgotten(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	app := w.peers["app"]
	w.send(app, protocol.KindOpenSession, 2, protocol.OpenSession{Key: 2, Service: "price", Disconnect: protocol.DisconnectKeep})
	forgotten := func() (n int) {
		for _, o := range w.orders {
			if o.Order.Forget != nil && o.Order.Forget.Client == 2 {
				n++
			}
		}
		return n
	}
	app.muted = true
	w.advance(time.Minute)
	w.note(0, session.Note{Changed: &session.Changed{Session: 1, State: protocol.SessionClosed}})
	app.muted = false
	w.connect(app)
	w.send(app, protocol.KindOpenSession, 3, protocol.OpenSession{Key: 3, Service: "price"})
	w.note(0, session.Note{Left: &session.Left{Session: 2, Client: 2}})
	if n := forgotten(); n != 0 {
		t.Fatalf("a client that is here was forgotten %d times", n)
	}
	app.muted = true
	w.advance(time.Minute)
	w.note(0, session.Note{Changed: &session.Changed{Session: 3, State: protocol.SessionClosed}})
	if n := forgotten(); n != 1 {
		t.Fatalf("a client that is gone was forgotten %d times", n)
	}
}
