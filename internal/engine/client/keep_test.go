package client

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// dismissed has the client told, by a loop, that a tenure of a session is over, before what else is on its way arrives.
func (w *world) dismissed(n protocol.SessionNumber, tenure uint64) {
	w.broker.dismiss("loop-0", 42, n, tenure)
	w.route()
	for _, l := range w.lines {
		for l.endpoint == "loop-0" && len(l.in) > 0 {
			w.down(l)
		}
	}
}

// asks carries what the client has to say to the broker, and nothing back.
func (w *world) asks() {
	w.pump()
	for _, l := range w.lines {
		for len(l.out) > 0 {
			w.up(l)
		}
	}
}

// another is a session that another client had, after so many others.
func (w *world) another(tenure uint64) *hosted {
	s := w.broker.open(77, 1)
	s.tenure = tenure
	return s
}

// attached is a session that the client has come to have.
func (w *world) attached(n protocol.SessionNumber) *Session {
	w.t.Helper()
	s := Attach(w.e, n, false, 0, 0)
	w.settle()
	if !s.Accepting() {
		w.t.Fatalf("the session is not open: %+v", w.notes)
	}
	return s
}

// ended checks how a session has ended.
func (w *world) ended(s *Session, opened bool, code protocol.Code) {
	w.t.Helper()
	var told []Note
	for _, n := range w.notes {
		if n.Session == s {
			told = append(told, n)
		}
	}
	last := len(told) - 1
	if last < 0 || !told[last].Ended || told[last].Err == nil || told[last].Err.Code != code || (last == 1) != opened {
		w.t.Fatalf("told was %+v; want its end with %v, and before that it was open: %t", told, code, opened)
	}
}

// TestLateWordOfATenureBefore: a client that has left a session and come back takes the end of its first time for what it is.
func TestLateWordOfATenureBefore(t *testing.T) {
	w := newWorld(t)
	first := w.open()
	n := first.Number()
	Detach(first, time.Minute)
	w.settle()
	h := w.broker.sessions[n]
	if len(h.left) != 1 || h.left[0] != (protocol.DetachSession{Session: n, Grace: time.Minute}) {
		t.Fatalf("said was %+v", h.left)
	}
	w.dismissed(n, 0)
	w.ended(first, true, protocol.CodeDetached)

	h.tenure = 2
	again := w.attached(n)
	id := w.submit(again, small)
	w.dismissed(n, 0)
	w.dismissed(n, 1)
	if !again.Accepting() {
		t.Fatal("the end of a tenure before was taken for its own")
	}
	w.answerAll()
	w.expect(again, id, small)
	Detach(again, 0)
	w.settle()
	if len(h.left) != 2 || h.left[1].Tenure != 2 {
		t.Fatalf("said was %+v", h.left)
	}
	w.dismissed(n, 2)
	w.ended(again, true, protocol.CodeDetached)
}

// TestTakenBeforeItIsKnownToBeOpen: the word that a session was taken from its client by force overtakes the word that it is
// open, since they come by different connections.
func TestTakenBeforeItIsKnownToBeOpen(t *testing.T) {
	open := func(w *world) (*Session, protocol.SessionNumber) {
		return w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0), w.broker.last + 2
	}
	attach := func(w *world) (*Session, protocol.SessionNumber) {
		h := w.another(3)
		return Attach(w.e, h.number, true, 0, 0), h.number
	}
	refused := protocol.Errorf(protocol.CodeUnknownService, "open", "there is none")
	for name, c := range map[string]struct {
		ask    func(w *world) (*Session, protocol.SessionNumber)
		tenure uint64 // that is over
		refuse *protocol.Error
		over   protocol.Code
	}{
		"opened":                 {open, 0, nil, protocol.CodeDetached},
		"attached":               {attach, 3, nil, protocol.CodeDetached},
		"attached, a word late":  {attach, 2, nil, 0},
		"attached, another word": {attach, 4, nil, protocol.CodeDetached},
		"refused":                {open, 0, refused, protocol.CodeUnknownService},
		"not attached":           {attach, 2, refused, protocol.CodeUnknownService},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.open() // by which there is a connection to the loop
			w.broker.refuse = c.refuse
			s, n := c.ask(w)
			w.asks()
			w.dismissed(n, c.tenure)
			if s.ended || s.opened {
				t.Fatal("it has ended or is open, before the broker has answered")
			}
			w.settle()
			if c.over != 0 {
				w.ended(s, c.refuse == nil, c.over)
			} else if !s.Accepting() {
				t.Fatal("a late word ended it")
			}
			if len(w.e.gone) != 0 || !other.Accepting() {
				t.Fatalf("%d words are kept; the other session is open: %t", len(w.e.gone), other.Accepting())
			}
			w.dismissed(99, 0) // which it does not have
			if len(w.e.gone) != 0 {
				t.Fatal("a word is kept that can mean nothing")
			}
		})
	}
}

// TestTakenWhereNobodyServesIt: before a session has a manager the broker's control loop tells that it was taken.
func TestTakenWhereNobodyServesIt(t *testing.T) {
	w := newWorld(t)
	w.broker.hold = true
	s := w.open()
	w.broker.dismiss("control", 42, s.Number(), 0)
	w.settle()
	w.ended(s, true, protocol.CodeDetached)
}

// TestAttachToWhatIsBeingOpened: a client attaches to a session that it has opened itself, as it turns out.
func TestAttachToWhatIsBeingOpened(t *testing.T) {
	w := newWorld(t)
	w.open()
	s := w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0)
	w.asks()
	h := w.broker.sessions[w.broker.last]
	h.tenure = 1
	again := Attach(w.e, h.number, true, 0, 0)
	w.asks()
	w.settle()
	w.ended(again, false, protocol.CodeInUse)
	if len(h.left) != 1 || h.left[0].Tenure != 1 {
		t.Fatalf("what it was given is not left: %+v", h.left)
	}
	id := w.submit(s, small)
	w.dismissed(h.number, 0)
	w.ended(s, true, protocol.CodeDetached)
	w.ends(s, id, protocol.CodeDetached, false)
}

// TestOthersHadItMeanwhile: the broker has given the client up and forgotten it, and it asks for its session again. Where
// nobody had it in between it goes on; otherwise its sequences are not its own any more.
func TestOthersHadItMeanwhile(t *testing.T) {
	for _, others := range []uint64{0, 1} {
		w := newWorld(t)
		h := w.another(1)
		s := w.attached(h.number)
		id := w.submit(s, small)
		w.settle()
		h.tenure += 1 + others
		delete(w.broker.routers["control"].ends, 42)
		w.cut(w.lines[0])
		w.run(5 * time.Second)
		switch {
		case others > 0:
			w.ended(s, true, protocol.CodeDetached)
			if len(h.left) != 1 || h.left[0].Tenure != h.tenure {
				t.Fatalf("what it was given is not left: %+v", h.left)
			}
		case !s.Accepting() || len(h.left) != 0:
			t.Fatalf("it is open: %t, and was left: %+v", s.Accepting(), h.left)
		default:
			w.answerAll()
			w.expect(s, id, small)
		}
	}
}

// TestClosesItsOwnTenureOnly: what a client closes, or has given up before it was open, others may have by then.
func TestClosesItsOwnTenureOnly(t *testing.T) {
	w := newWorld(t)
	w.open()
	given := w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0)
	w.asks()
	h := w.broker.sessions[w.broker.last]
	w.e.Close(given, protocol.CloseKill)
	h.tenure = 1
	w.settle()
	if len(h.closes) != 1 || !h.closes[0].Own || h.closes[0].Tenure != 0 || h.closed {
		t.Fatalf("closed is %t by %+v", h.closed, h.closes)
	}
	o := w.another(4)
	s := w.attached(o.number)
	w.e.Close(s, protocol.CloseFinish)
	w.settle()
	if len(o.closes) != 1 || !o.closes[0].Own || o.closes[0].Tenure != 4 || !o.closed {
		t.Fatalf("closed is %t by %+v", o.closed, o.closes)
	}
}

// TestLateTasksOfATenureBefore: tasks that are on their way when a session is taken arrive when their client has it again, and
// are not taken for those that it submits then.
func TestLateTasksOfATenureBefore(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	n := s.Number()
	w.submit(s, small)
	w.answerAll()
	lost := w.submit(s, small) // sequence 2
	w.dismissed(n, 0)
	w.ends(s, lost, protocol.CodeDetached, false)
	w.broker.sessions[n].tenure = 1
	again := Attach(w.e, n, false, 0, 0)
	w.pump()
	for _, l := range w.lines { // the tasks are late
		for l.endpoint == "control" && len(l.out) > 0 {
			w.up(l)
		}
		for l.endpoint == "control" && len(l.in) > 0 {
			w.down(l)
		}
	}
	if id := w.submit(again, small); id.Sequence() != 3 {
		t.Fatalf("the first task has sequence %d", id.Sequence())
	}
	if len(w.e.used) != 0 {
		t.Fatalf("kept is %v", w.e.used)
	}
}
