package control_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/control"
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

// relayed is a broker with a kept session, number 2 of the client app, that goes from client to client.
type relayed struct {
	*world
	keys uint64
	seen int // orders that were looked at
}

func newRelayed(t *testing.T) *relayed {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	r := &relayed{world: w, keys: 10}
	w.send(w.peers["app"], protocol.KindOpenSession, 2, protocol.OpenSession{Key: 2, Service: "price", Disconnect: protocol.DisconnectKeep})
	r.ordered()
	return r
}

// ordered gives the orders to attach that came since the last call.
func (r *relayed) ordered() (all []session.Attach) {
	for ; r.seen < len(r.orders); r.seen++ {
		if o := r.orders[r.seen].Order.Attach; o != nil {
			all = append(all, *o)
		}
	}
	return all
}

// comes has a client ask for the session by force, and gives its tenure.
func (r *relayed) comes(p *peer) uint64 {
	r.t.Helper()
	r.keys++
	r.send(p, protocol.KindAttachSession, r.keys, protocol.AttachSession{Key: r.keys, Session: 2, Force: true})
	o := r.ordered()
	if len(o) != 1 || o[0].Session != 2 {
		r.t.Fatalf("ordered was %+v", o)
	}
	return o[0].Tenure
}

// has has the manager tell that the session is a client's.
func (r *relayed) has(client, tenure uint64) {
	r.note(0, session.Note{Attached: &session.Attached{Session: 2, Client: client, Tenure: tenure, Next: 1}})
}

// hears gives what peers are told of some kinds while something is done: by whom, with the task field.
func (r *relayed) hears(do func(), kinds ...protocol.Kind) (all []string) {
	r.on = func(p *peer, rec protocol.Record) {
		if slices.Contains(kinds, rec.Kind) {
			said := fmt.Sprintf("%s %v %d", p.name, rec.Kind, rec.Task)
			if rec.Kind == protocol.KindRefer {
				said += " " + decode[protocol.Refer](r.t, rec).Endpoint
			}
			all = append(all, said)
		}
	}
	do()
	r.on = nil
	return all
}

// detached is how often the manager was told that the session has no client.
func (r *relayed) detached() (n int) {
	for _, o := range r.orders {
		if o.Order.Detach != nil {
			n++
		}
	}
	return n
}

// closed is how often the manager was told to close the session.
func (r *relayed) closed() (n int) {
	for _, o := range r.orders {
		if o.Order.Close != nil {
			n++
		}
	}
	return n
}

// TestWordsOfATenureBefore: what a client, or a manager, says of a time before is not taken for the one that it has now.
func TestWordsOfATenureBefore(t *testing.T) {
	r := newRelayed(t)
	app := r.peers["app"]
	late := r.join("late", protocol.Hello{Role: protocol.RoleClient, Name: "late"}, 3)
	if first, second := r.comes(late), r.comes(app); first != 1 || second != 2 {
		t.Fatalf("the tenures are %d and %d", first, second)
	}
	if got := r.hears(func() { r.has(3, 1) }, protocol.KindSessionOpened, protocol.KindError); !slices.Equal(got, []string{"late Error 11"}) {
		t.Fatalf("told was %v", got)
	}
	if got := r.hears(func() { r.has(2, 2) }, protocol.KindSessionOpened, protocol.KindError); !slices.Equal(got, []string{"app SessionOpened 12"}) {
		t.Fatalf("told was %v", got)
	}
	r.note(0, session.Note{Leave: &session.Leave{Session: 2, Client: 2, Tenure: 0, Referrals: 1}})
	r.send(app, protocol.KindDetachSession, 50, protocol.DetachSession{Session: 2, Tenure: 1})
	if r.detached() != 0 {
		t.Fatal("it was left by a word of a time before")
	}
	for i, c := range []struct {
		close  protocol.CloseSession
		orders int
	}{
		{protocol.CloseSession{Own: true}, 0}, // it had given it up before it was open
		{protocol.CloseSession{Own: true, Tenure: 1}, 0},
		{protocol.CloseSession{Own: true, Tenure: 2}, 1},
	} {
		c.close.Session, c.close.Mode = 2, protocol.CloseFinish
		r.send(app, protocol.KindCloseSession, uint64(70+i), c.close)
		if n := r.closed(); n != c.orders {
			t.Fatalf("it is closed %d times by %+v", n, c.close)
		}
	}
	r.note(0, session.Note{Leave: &session.Leave{Session: 2, Client: 2, Tenure: 2, Referrals: 1}})
	if r.detached() != 1 {
		t.Fatal("it was not left")
	}
	r.comes(app)
	r.send(app, protocol.KindDetachSession, 51, protocol.DetachSession{Session: 2, Tenure: 3})
	if r.detached() != 2 {
		t.Fatal("it was not left where there is a manager")
	}
}

// TestWhoLosesASessionThatIsMovedIsReferred: a session is taken by force while its manager is on its way. Its client of before
// hears where the manager has gone to, since that is where it hears that it has the session no more.
func TestWhoLosesASessionThatIsMovedIsReferred(t *testing.T) {
	r := newRelayed(t)
	late := r.join("late", protocol.Hello{Role: protocol.RoleClient, Name: "late"}, 3)
	r.send(r.peers["app"], protocol.KindMoveService, 60, protocol.MoveService{Name: "price", Loop: 1})
	r.send(late, protocol.KindAttachSession, 61, protocol.AttachSession{Key: 61, Session: 2, Force: true})
	got := r.hears(func() { r.note(0, session.Note{Moved: &session.Moved{Manager: 1, State: uint32(1)}}) }, protocol.KindRefer)
	count := func(who string) (n int) {
		for _, said := range got {
			if said == who+" Refer 0 tcp://broker:7711" {
				n++
			}
		}
		return n
	}
	if count("app") != 2 || count("late") != 1 { // it has another session of the service
		t.Fatalf("told was %v", got)
	}
}

// TestWhoHadASessionIsKnown: the clients that a session was taken off are remembered, each once, for as long as they are here.
func TestWhoHadASessionIsKnown(t *testing.T) {
	r := newRelayed(t)
	app := r.peers["app"]
	var all []*peer
	for i := range 3 {
		all = append(all, r.join(fmt.Sprint("late", i), protocol.Hello{Role: protocol.RoleClient}, uint64(30+i)))
	}
	for range 20 {
		for _, p := range all {
			r.comes(p)
		}
	}
	r.comes(app)
	misdirected := func(client uint64) []string {
		return r.hears(func() { r.note(0, session.Note{Misdirected: &session.Misdirected{Client: client, Session: 2}}) }, protocol.KindSessionState)
	}
	if n := HadBefore(r.core, 2); n != 4 {
		t.Fatalf("%d clients are remembered", n)
	}
	for _, p := range all {
		if got := misdirected(p.node.Incarnation); len(got) != 0 {
			t.Fatalf("told was %v", got)
		}
	}
	for _, p := range all[:2] {
		r.send(p, protocol.KindBye, 0, nil)
	}
	r.comes(all[2])
	if n := HadBefore(r.core, 2); n != 2 {
		t.Fatalf("%d clients are remembered when two are gone", n)
	}
}

// TestWhoLosesASessionThatIsOverHearsSo: its manager has ended the session in the very turn in which its client left it, or
// another was given it, so that it does not tell who has it no more.
func TestWhoLosesASessionThatIsOverHearsSo(t *testing.T) {
	over := session.Note{Changed: &session.Changed{
		Session: 2, State: protocol.SessionFailed, Error: protocol.Errorf(protocol.CodeBindFailed, "OnSessionBind", "no"),
	}}
	for name, c := range map[string]struct {
		loses func(r *relayed)
		want  []string
	}{
		"left": {
			func(r *relayed) {
				r.note(0, session.Note{Leave: &session.Leave{Session: 2, Client: 2, Referrals: 1}})
			},
			[]string{"app Error 0"},
		},
		"taken": {
			func(r *relayed) { r.comes(r.join("late", protocol.Hello{Role: protocol.RoleClient, Name: "late"}, 3)) },
			[]string{"app Error 0", "late Error 11"},
		},
		"left, and the manager has told": {
			func(r *relayed) {
				r.note(0, session.Note{Leave: &session.Leave{Session: 2, Client: 2, Referrals: 1}})
				r.note(0, session.Note{Left: &session.Left{Session: 2, Client: 2}})
			},
			nil,
		},
	} {
		r := newRelayed(t)
		c.loses(r)
		got := r.hears(func() { r.note(0, over) }, protocol.KindError)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told was %v, want %v", name, got, c.want)
		}
	}
}
