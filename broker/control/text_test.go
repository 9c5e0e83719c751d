package control_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestNobodyMakesAListTooLarge has clients and instances say the longest things there are, wherever others will see them:
// every list can be sent, and says the beginning.
func TestNobodyMakesAListTooLarge(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Loops, c.ManagerCPU = 1, 20 })
	w.quiet = true
	given(w, 1, 1)
	ops := w.peers["ops"]
	long := strings.Repeat("é", protocol.MaxBody/2-1000)
	app := w.join(long, protocol.Hello{Role: protocol.RoleClient, Name: long}, 3)
	w.send(ops, protocol.KindRegisterService, 2, protocol.Service{Name: "hand"}) // waits for a session manager
	w.send(app, protocol.KindOpenSession, 1, protocol.OpenSession{Key: 1, Service: "hand"})
	w.send(app, protocol.KindCloseSession, 2, protocol.CloseSession{Session: 2, Mode: protocol.CloseKill, Reason: long})
	w.send(app, protocol.KindOpenSession, 3, protocol.OpenSession{Key: 2, Service: "hand", Name: long})
	for nodes := range 500 { // each has a session manager of its own
		w.send(app, protocol.KindOpenSession, 4, protocol.OpenSession{Key: uint64(3 + nodes), Service: "hand", Nodes: nodes + 1})
	}
	w.note(0, session.Note{Changed: &session.Changed{Session: 1, State: protocol.SessionClosed, Error: protocol.Errorf(protocol.CodeBindFailed, long, "%s", long)}})

	var answers []protocol.Kind
	w.on = func(p *peer, r protocol.Record) {
		if p != ops {
			return
		}
		answers = append(answers, r.Kind)
		if len(r.Payload) > protocol.MaxBody/2+10*protocol.MaxText {
			t.Errorf("%v has %d bytes", r.Kind, len(r.Payload))
		}
	}
	w.send(ops, protocol.KindListServices, 1, protocol.ListRequest{})
	w.send(ops, protocol.KindListSessions, 2, protocol.ListRequest{All: true})
	for n := range uint32(3) {
		w.send(ops, protocol.KindListEvents, 3, protocol.ListRequest{Session: n + 1})
	}
	want := []protocol.Kind{protocol.KindServicePage, protocol.KindSessionPage, protocol.KindEventPage, protocol.KindEventPage, protocol.KindEventPage}
	if !slices.Equal(answers, want) {
		t.Errorf("answers %v, want %v", answers, want)
	}

	w.on = func(_ *peer, r protocol.Record) {
		if want := fmt.Sprintf("at most %d are allowed", protocol.MaxService); r.Kind != protocol.KindError || !strings.Contains(decode[protocol.Error](t, r).Msg, want) {
			t.Errorf("%v, want an error that says: %s", r.Kind, want)
		}
	}
	w.send(ops, protocol.KindRegisterService, 4, protocol.Service{Name: "large", Function: long})
}

// TestLongTextsOfContainersAreCut has a container die with much to say, as often as its service may.
func TestLongTextsOfContainersAreCut(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	n1, ops := w.peers["n1"], w.peers["ops"]
	long := protocol.Errorf(protocol.CodeCreateFailed, "OnCreateService", "%s", strings.Repeat("é", 400_000))
	w.send(n1, protocol.KindContainerState, 2, protocol.ContainerState{ID: fmt.Sprintf("c%x-1", uint64(epoch)), State: protocol.ContainerExited, Error: long})
	seen := false
	w.on = func(p *peer, r protocol.Record) {
		if p != ops {
			return
		}
		page := decode[protocol.SessionPage](t, r)
		reason := page.Entries[0].Reason
		seen = strings.Contains(reason, "OnCreateService: CreateFailed: é") && strings.HasSuffix(reason, "…") && len(reason) <= protocol.MaxText
	}
	w.send(ops, protocol.KindListSessions, 2, protocol.ListRequest{})
	if !seen {
		t.Error("the session's reason does not begin with what the container said, or does not end soon")
	}
}
