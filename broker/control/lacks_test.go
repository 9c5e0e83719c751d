package control_test

import (
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestReasonGoesWithTheNeed has the manager of a session want more instances than the node holds, as it does for as long as
// its idle limit after its tasks are done: the session and its service have a reason while tasks wait, and none afterwards.
func TestReasonGoesWithTheNeed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Loops = 1 })
	given(w, 1, 2)
	w.quiet = true
	w.note(0, session.Note{Wanted: &session.Wanted{Manager: 1, Instances: 9}}) // the node has four cores
	reasons := func(what, want string) {
		t.Helper()
		sessions := answersTo[protocol.SessionPage](t, w, protocol.KindListSessions, protocol.KindSessionPage, protocol.ListRequest{})
		services := answersTo[protocol.ServicePage](t, w, protocol.KindListServices, protocol.KindServicePage, protocol.ListRequest{})
		for _, got := range []string{sessions.Entries[0].Reason, services.Entries[0].Reason} {
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s: the reason is %q, want %q", what, got, want)
			}
		}
	}
	const full = "4 of 9 containers placed"
	figures := func(queued int) {
		w.note(0, session.Note{Figures: &session.Figures{Session: 1, Queued: queued, InFlight: 1}})
	}
	reasons("nothing serves yet", full)
	serves := func(n string) {
		w.join("i"+n, protocol.Hello{Role: protocol.RoleInstance, Service: "price", Container: "c701-" + n, Token: "secret-" + n}, 10+uint64(n[0]))
		w.note(0, session.Note{Ready: &session.Ready{Container: "c701-" + n}})
	}
	serves("1")
	w.note(0, session.Note{Changed: &session.Changed{Session: 1, State: protocol.SessionRunning}})
	figures(0)
	reasons("one of the two serves that there are to be", full)
	serves("2")
	reasons("there are as many as there are to be", "")
	figures(3)
	reasons("tasks wait", full)
	figures(0)
	reasons("none do any more", "")
}
