package control_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// asked is what a peer got last.
type asked struct {
	environments []protocol.EnvironmentInfo
	events       protocol.EventPage
	opened       protocol.SessionNumber
	refused      protocol.Code
}

func ask(w *world, p *peer, kind protocol.Kind, body any) (a asked) {
	w.on = func(_ *peer, r protocol.Record) {
		switch r.Kind { //nolint:exhaustive // the others are of no interest here
		case protocol.KindEnvironmentPage:
			a.environments = decode[protocol.EnvironmentPage](w.t, r).Entries
		case protocol.KindEventPage:
			a.events = decode[protocol.EventPage](w.t, r)
		case protocol.KindSessionOpened:
			a.opened = decode[protocol.SessionOpened](w.t, r).Session
		case protocol.KindError:
			a.refused = decode[protocol.Error](w.t, r).Code
		}
	}
	w.send(p, kind, 1, body)
	w.on = nil
	return a
}

// Whatever is created, deleted, opened and closed: an environment is there as long as it should be, counts its sessions,
// and the records tell the same.
func TestEnvironments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, nil)
		w.quiet = true
		given(w, 0, 1)
		ops, app := w.peers["ops"], w.peers["app"]
		type model struct {
			deleting bool
			sessions []uint32
		}
		there := map[string]*model{"default": {sessions: []uint32{1}}}
		names := []string{"default", "a", "b", "c"}
		key := uint64(1)
		name := rapid.SampledFrom(names)
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				n := name.Draw(t, "name")
				got := ask(w, ops, protocol.KindCreateEnvironment, protocol.Environment{Name: n}).refused
				want := protocol.Code(0)
				if m := there[n]; m == nil {
					there[n] = &model{}
				} else if m.deleting {
					want = protocol.CodeInUse
				}
				if got != want {
					t.Fatalf("create %s: %v, want %v", n, got, want)
				}
			},
			"delete": func(t *rapid.T) {
				n, force := name.Draw(t, "name"), rapid.Bool().Draw(t, "force")
				got := ask(w, ops, protocol.KindDeleteEnvironment, protocol.DeleteEnvironment{Name: n, Force: force}).refused
				want := protocol.Code(0)
				switch m := there[n]; {
				case m == nil:
					want = protocol.CodeNoEnvironment
				case n == "default":
					want = protocol.CodeInvalid
				case len(m.sessions) > 0 && !force && !m.deleting:
					want = protocol.CodeInUse
				case len(m.sessions) == 0:
					delete(there, n)
				default:
					m.deleting = true
				}
				if got != want {
					t.Fatalf("delete %s: %v, want %v", n, got, want)
				}
			},
			"open": func(t *rapid.T) {
				n := name.Draw(t, "name")
				key++
				a := ask(w, app, protocol.KindOpenSession, protocol.OpenSession{Key: key, Service: "price", Environment: n})
				m := there[n]
				if ok := m != nil && !m.deleting; ok != (a.refused == 0) || !ok && a.refused != protocol.CodeNoEnvironment {
					t.Fatalf("open in %s: %v", n, a.refused)
				} else if ok {
					m.sessions = append(m.sessions, a.opened)
				}
			},
			"end": func(t *rapid.T) {
				n := name.Draw(t, "name")
				m := there[n]
				if m == nil || len(m.sessions) == 0 {
					return
				}
				w.note(0, session.Note{Changed: &session.Changed{Session: m.sessions[0], State: protocol.SessionClosed}})
				if m.sessions = m.sessions[1:]; m.deleting && len(m.sessions) == 0 {
					delete(there, n)
				}
			},
			"": func(t *rapid.T) {
				list := ask(w, ops, protocol.KindListEnvironments, protocol.ListRequest{}).environments
				if len(list) != len(there) {
					t.Fatalf("%d environments, want %d", len(list), len(there))
				}
				recorded := map[string]bool{"default": true}
				for _, r := range w.history {
					switch {
					case r.Environment != nil:
						recorded[r.Environment.Environment.Name] = true
					case r.Gone != nil:
						delete(recorded, *r.Gone)
					}
				}
				for _, e := range list {
					m := there[e.Name]
					if m == nil || e.Sessions != len(m.sessions) || (e.State == protocol.EnvironmentDeleting) != m.deleting || !recorded[e.Name] {
						t.Fatalf("%+v, want %+v; recorded: %t", e, m, recorded[e.Name])
					}
				}
				if len(recorded) != len(there) {
					t.Fatalf("recorded are %v", recorded)
				}
			},
		})
	})
}

func TestOnlyTheLastEventsAreKept(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 1, 1)
	const more = 100
	for i := range more {
		w.note(0, session.Note{Seat: &session.Seat{Session: 1, Container: fmt.Sprint("c", i), Event: protocol.EventPaged}})
	}
	page := ask(w, w.peers["ops"], protocol.KindListEvents, protocol.ListRequest{Session: 1}).events
	if len(page.Entries) != protocol.MaxEvents || page.More || page.Over {
		t.Fatalf("%d events, more %t, over %t", len(page.Entries), page.More, page.Over)
	}
	for i, e := range page.Entries {
		if e.Number != page.Entries[0].Number+uint64(i) {
			t.Fatalf("event %d has number %d", i, e.Number)
		}
	}
	last := page.Entries[protocol.MaxEvents-1]
	if last.Number != more+2 || last.Detail != "instance c99" || !last.At.Equal(start) { // after opened and scheduled
		t.Errorf("%+v", last)
	}
}

// The same reason is noted once, a container's restart that comes nearer is no new reason.
func TestReasonsToWaitAreNotedWhenTheyChange(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	n1 := w.peers["n1"]
	for id := range 6 { // until restarts are held back for seconds
		w.send(n1, protocol.KindContainerState, uint64(id+1), protocol.ContainerState{ID: fmt.Sprintf("c701-%d", id+1), State: protocol.ContainerExited, Code: 1})
		w.advance(5 * time.Second)
	}
	held := 0
	var before string
	for _, e := range ask(w, w.peers["ops"], protocol.KindListEvents, protocol.ListRequest{Session: 1}).events.Entries {
		if e.Kind != protocol.EventWaiting {
			continue
		}
		count, _, isHeld := strings.Cut(e.Detail, " containers died")
		if isHeld {
			held++
		}
		if count == before {
			t.Errorf("noted twice: %s", e.Detail)
		}
		before = count
	}
	if held == 0 {
		t.Error("that restarts are held back was not noted")
	}
}

// A reason that comes back after the session was bound is noted again.
func TestAReasonToWaitThatComesBack(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 0, 1)
	w.advance(time.Second)
	w.note(0, session.Note{Seat: &session.Seat{Session: 1, Container: "hand-1", Event: protocol.EventBound}})
	w.advance(2 * time.Second)
	kinds := ""
	for _, e := range ask(w, w.peers["ops"], protocol.KindListEvents, protocol.ListRequest{Session: 1}).events.Entries {
		kinds += e.Kind + " "
	}
	if kinds != "opened waiting bound waiting " {
		t.Errorf("%s", kinds)
	}
}
