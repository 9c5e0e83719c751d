package control_test

import (
	"strings"
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

// TestAttachToWhatIsOver: who attaches to a session that is over hears why it ended, and is not asked to try again later.
func TestAttachToWhatIsOver(t *testing.T) {
	for ended, want := range map[protocol.Code]protocol.Code{
		protocol.CodeOverloaded:     protocol.CodeSessionClosed, // as a start may fail
		protocol.CodeUnavailable:    protocol.CodeSessionClosed,
		protocol.CodeSessionExpired: protocol.CodeSessionExpired,
	} {
		w := newWorld(t, nil)
		w.quiet = true
		given(w, 1, 1)
		why := protocol.Errorf(ended, "start container c1", "no disk")
		w.note(0, session.Note{Changed: &session.Changed{Session: 1, State: protocol.SessionFailed, Error: why}})
		var got *protocol.Error
		w.on = func(_ *peer, rec protocol.Record) {
			if rec.Kind == protocol.KindError {
				e := decode[protocol.Error](t, rec)
				got = &e
			}
		}
		w.send(w.join("next", protocol.Hello{Role: protocol.RoleClient, Name: "next"}, 3), protocol.KindAttachSession, 7,
			protocol.AttachSession{Key: 1, Session: 1})
		if got == nil || got.Code != want || !strings.HasPrefix(got.Msg, "session 1 is over: ") || !strings.HasSuffix(got.Msg, "no disk") {
			t.Errorf("after %v: %v, want %v", why, got, want)
		}
	}
}
