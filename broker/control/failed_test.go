package control_test

import (
	"testing"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestStateInWhichASessionEnds has sessions end in the ways there are: one that its manager could not go on with has failed,
// one that somebody closed or killed is closed.
func TestStateInWhichASessionEnds(t *testing.T) {
	no := protocol.Errorf(protocol.CodeBindFailed, "OnSessionBind", "the market is closed")
	killed := protocol.Errorf(protocol.CodeSessionKilled, "session 1", "%s", "enough")
	for name, tt := range map[string]struct {
		ask    string // to close it before, in this mode
		told   session.Changed
		state  string
		reason string
		event  string
	}{
		"refused":              {"", session.Changed{State: protocol.SessionFailed, Error: no}, "failed", no.Error(), protocol.EventFailed},
		"refused while closed": {protocol.CloseFinish, session.Changed{State: protocol.SessionFailed, Error: no}, "failed", no.Error(), protocol.EventFailed},
		"closed in order":      {protocol.CloseFinish, session.Changed{State: protocol.SessionClosed}, "closed", "", protocol.EventClosed},
		"killed":               {protocol.CloseKill, session.Changed{State: protocol.SessionClosed, Error: killed}, "closed", killed.Error(), protocol.EventClosed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.quiet = true
			given(w, 1, 1)
			if tt.ask != "" {
				w.send(w.peers["app"], protocol.KindCloseSession, 1, protocol.CloseSession{Session: 1, Mode: tt.ask, Reason: "enough"})
			}
			told := tt.told
			told.Session = 1
			w.note(0, session.Note{Changed: &told})
			found := answersTo[protocol.SessionPage](t, w, protocol.KindListSessions, protocol.KindSessionPage, protocol.ListRequest{Session: 1, All: true}).Entries[0]
			events := answersTo[protocol.EventPage](t, w, protocol.KindListEvents, protocol.KindEventPage, protocol.ListRequest{Session: 1}).Entries
			last := events[len(events)-1]
			if found.State != tt.state || found.Reason != tt.reason {
				t.Errorf("it is %s: %q; want %s: %q", found.State, found.Reason, tt.state, tt.reason)
			}
			if last.Kind != tt.event || last.Detail != tt.reason {
				t.Errorf("its last event is %s: %q", last.Kind, last.Detail)
			}
		})
	}
}
