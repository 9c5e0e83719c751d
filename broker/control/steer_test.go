package control_test

import (
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestSuspendedSessionThatIsClosedSaysWhyItStays: its tasks wait until it is resumed, and so does its end.
func TestSuspendedSessionThatIsClosedSaysWhyItStays(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	ops := w.peers["ops"]
	var info protocol.SessionInfo
	var events []protocol.SessionEvent
	w.on = func(_ *peer, r protocol.Record) {
		switch r.Kind { //nolint:exhaustive // others are of no interest here
		case protocol.KindSessionPage:
			info = decode[protocol.SessionPage](t, r).Entries[0]
		case protocol.KindEventPage:
			events = decode[protocol.EventPage](t, r).Entries
		}
	}
	look := func(queued int) bool {
		w.note(0, session.Note{Figures: &session.Figures{Session: 1, Queued: queued}})
		w.send(ops, protocol.KindListSessions, 9, protocol.ListRequest{})
		return strings.Contains(info.Reason, "suspended")
	}
	w.send(ops, protocol.KindSteerSession, 2, protocol.SteerSession{Session: 1, Action: protocol.SteerSuspend})
	if look(2) {
		t.Fatal("it is said to stay open before it was closed")
	}
	w.send(ops, protocol.KindCloseSession, 3, protocol.CloseSession{Session: 1, Mode: protocol.CloseFinish})
	if info.State = ""; !look(2) || info.State != protocol.SessionClosing {
		t.Fatalf("closing and suspended: %q, %q", info.State, info.Reason)
	}
	w.send(ops, protocol.KindListEvents, 4, protocol.ListRequest{Session: 1})
	if last := events[len(events)-1]; last.Kind != protocol.EventClosing || !strings.Contains(last.Detail, "when it is resumed") {
		t.Errorf("the last event is %+v", last)
	}
	w.send(ops, protocol.KindSteerSession, 5, protocol.SteerSession{Session: 1, Action: protocol.SteerResume})
	if look(2) {
		t.Error("it was resumed, and is said to wait for that")
	}
}
