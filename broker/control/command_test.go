package control_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// told has the core take an event with id 7, and gives what it answered until now to that id.
func (w *world) told(ev Event) []Answer {
	w.answers = nil
	w.step(ev)
	return w.answers
}

func newCommand(kind protocol.Kind, body any) Command {
	c := Command{ID: 7, By: "http", Kind: kind}
	if body != nil {
		c.Body = protocol.Marshal(body)
	}
	return c
}

func TestCommandsAreServedAsTheRequestsOfClients(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 2, 1)
	w.quiet = true
	for kind, body := range map[protocol.Kind]any{
		protocol.KindListNodes:    protocol.ListRequest{Limit: 1},
		protocol.KindListServices: protocol.ListRequest{},
		protocol.KindListSessions: protocol.ListRequest{Session: 1},
		protocol.KindListEvents:   protocol.ListRequest{Session: 9},
		protocol.KindMoveService:  protocol.MoveService{Name: "prise"},
	} {
		var want []byte
		var as protocol.Kind
		w.on = func(_ *peer, r protocol.Record) { as, want = r.Kind, slices.Clone(r.Payload) }
		w.send(w.peers["ops"], kind, 99, body)
		w.on = nil
		got := w.told(newCommand(kind, body))
		if len(got) != 1 || got[0].ID != 7 || got[0].Kind != as || !bytes.Equal(got[0].Body, want) || got[0].After != 0 {
			t.Errorf("%v is answered by %+v; to a client by %v %q", kind, got, as, want)
		}
	}
}

func TestCommandsWhoseAnswersWait(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 1, 1)
	w.hold = true
	got := w.told(newCommand(protocol.KindRegisterService, protocol.Service{
		Name: "risk", Artefacts: protocol.Artefacts{"linux/amd64": {Command: "/opt/risk"}},
	}))
	if len(got) != 1 || got[0].Kind != protocol.KindDone || got[0].After != w.records || w.durable >= w.records {
		t.Errorf("a registration is answered by %+v; record %d is to be durable first", got, w.records)
	}
	if got := w.told(newCommand(protocol.KindGetStats, protocol.GetStats{Session: 1})); len(got) != 0 {
		t.Fatalf("statistics before the manager has told any: %+v", got)
	}
	q := w.orders[len(w.orders)-1].Order.Query
	answer := session.Answer{ID: q.ID, Stats: &protocol.Stats{Done: 3}}
	got = w.told(Note{Loop: 0, Note: session.Note{Answer: &answer}})
	var stats protocol.Stats
	if len(got) != 1 || got[0].Kind != protocol.KindStats || protocol.Unmarshal(got[0].Kind, got[0].Body, &stats) != nil || stats.Done != 3 {
		t.Errorf("the manager's statistics became %+v", got)
	}
	w.told(newCommand(protocol.KindGetTask, protocol.TaskRef{Session: 1, Sequence: 1}))
	w.advance(7 * time.Second)
	var bad protocol.Error
	if got = w.answers; len(got) != 1 || got[0].Kind != protocol.KindError || protocol.Unmarshal(got[0].Kind, got[0].Body, &bad) != nil || bad.Code != protocol.CodeUnavailable {
		t.Errorf("a manager that says nothing: %+v", got)
	}
}

// Every command is answered exactly once, whatever is in it: whoever waits for it waits for that.
func TestEveryCommandIsAnsweredOnce(t *testing.T) {
	bodies := map[string][]byte{"nothing": nil, "an empty body": protocol.Marshal(struct{}{}), "garbage": []byte("\xc1garbage"), "zeros": make([]byte, 40)}
	for name, body := range bodies {
		for _, kind := range append(protocol.Kinds(), 99) {
			w := newWorld(t, nil)
			given(w, 1, 1)
			before := w.core.Inspect()
			w.told(Command{ID: 7, By: "http", Kind: kind, Body: body})
			w.advance(7 * time.Second)
			if len(w.answers) != 1 || w.answers[0].ID != 7 {
				t.Errorf("%v with %s: %d answers", kind, name, len(w.answers))
			}
			after := w.core.Inspect()
			if !slices.Contains(Commands(), kind) && (len(w.answers) != 1 || w.answers[0].Kind != protocol.KindError || after.Records != before.Records) {
				t.Errorf("%v with %s, which is no command: %+v", kind, name, w.answers)
			}
		}
	}
	for _, kind := range []protocol.Kind{protocol.KindOpenSession, protocol.KindAttachSession, protocol.KindDetachSession, protocol.KindBye, protocol.KindRegisterNode} {
		if slices.Contains(Commands(), kind) {
			t.Errorf("%v is a command", kind)
		}
	}
}

func TestWhoCommandsIsNamed(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 1, 1)
	w.told(newCommand(protocol.KindCloseSession, protocol.CloseSession{Session: 1, Mode: protocol.CloseKill, Reason: "too late"}))
	got := answersTo[protocol.EventPage](t, w, protocol.KindListEvents, protocol.KindEventPage, protocol.ListRequest{Session: 1})
	if last := got.Entries[len(got.Entries)-1]; !strings.Contains(last.Detail, "by http") {
		t.Errorf("the session was closed %q", last.Detail)
	}
}

func TestCensus(t *testing.T) {
	w := newWorld(t, nil)
	given(w, 2, 1)
	app := w.peers["app"]
	w.send(app, protocol.KindOpenSession, 2, protocol.OpenSession{Key: 2, Service: "price"})
	figures := func(number uint32, f session.Figures) {
		f.Session = number
		w.note(0, session.Note{Figures: &f})
	}
	figures(1, session.Figures{Queued: 5, InFlight: 2, Done: 3})
	figures(2, session.Figures{Queued: 1})
	figures(1, session.Figures{Queued: 1, InFlight: 1, Done: 6, Failed: 2, Cancelled: 1, Dead: 1, Retried: 4})
	w.send(app, protocol.KindCloseSession, 3, protocol.CloseSession{Session: 2, Mode: protocol.CloseFinish})
	w.send(w.peers["n2"], protocol.KindBye, 0, nil)
	w.send(w.peers["ops"], protocol.KindCordonNode, 4, protocol.CordonNode{Name: "n1", On: true})
	w.join("by hand", protocol.Hello{Role: protocol.RoleInstance, Service: "price"}, 77)

	census := func() *Census {
		got := w.told(Survey{ID: 7})
		if len(got) != 1 || got[0].ID != 7 || got[0].After != 0 || got[0].Census == nil {
			t.Fatalf("a survey is answered by %+v", got)
		}
		return got[0].Census
	}
	got := census()
	want := Census{
		Nodes: []NodeCensus{
			{Name: "n1", Up: true, Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30}, Used: protocol.Capacity{CPU: 1000, Memory: 64 << 20}},
			{Name: "n2", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30}},
		},
		NodeStates: []Count{{"ready", 1}, {"lost", 0}, {"left", 1}},
		Containers: []Count{{"asked", 1}, {"starting", 0}, {"running", 1}, {"serving", 0}, {"leaving", 0}},
		Sessions:   []Count{{"queued", 0}, {"scheduled", 1}, {"running", 0}, {"closing", 1}},
		Opened:     2, Services: 1, Cordoned: 1,
		Tasks: TaskCensus{Done: 6, Failed: 2, Cancelled: 1, Dead: 1, Retried: 4, Unfinished: 3, Submitted: 11},
	}
	if text(got) != text(want) {
		t.Errorf("the census is\n%s, want\n%s", text(got), text(want))
	}
	// What is over stays counted.
	figures(1, session.Figures{Done: 8, Failed: 2, Cancelled: 1, Dead: 1, Retried: 4})
	w.note(0, session.Note{Changed: &session.Changed{Session: 1, State: protocol.SessionClosed}})
	if got := census(); got.Tasks.Done != 8 || got.Tasks.Unfinished != 1 || got.Tasks.Submitted != 11 || got.Sessions[1].N != 0 {
		t.Errorf("when a session is over the census is %s", text(got))
	}
}
