package client

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

func TestCloseFinish(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.e.Close(s, protocol.CloseFinish)
	w.settle()
	if _, err := w.e.Submit(s, nil); protocol.CodeOf(err) != protocol.CodeSessionClosed {
		t.Errorf("submit while closing: %v", err)
	}
	if w.broker.sessions[s.Number()].closed {
		t.Fatal("closed before its task was finished")
	}
	w.answerAll()
	w.expect(s, id, small)
	if n := w.notes[len(w.notes)-1]; !n.Ended || n.Err != nil {
		t.Errorf("last note %+v, want the end in order", n)
	}
}

func TestKill(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, large)
	w.settle()
	w.e.Close(s, protocol.CloseFinish)
	w.e.Close(s, protocol.CloseKill) // outdoes it
	w.settle()
	if c := w.done[s][id]; c.Err == nil || c.Err.Code != protocol.CodeSessionKilled {
		t.Errorf("got %+v, want SessionKilled", c)
	}
	if n := w.notes[len(w.notes)-1]; !n.Ended || n.Err == nil || n.Err.Code != protocol.CodeSessionKilled {
		t.Errorf("last note %+v", n)
	}
}

// TestEndOvertakesResults: the end comes by another connection than the last results.
func TestEndOvertakesResults(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		w := newWorld(t)
		s := w.open()
		id := w.submit(s, small)
		w.settle()
		h := w.broker.sessions[s.Number()]
		w.broker.end(h, protocol.SessionClosed, nil)
		w.route()
		w.settle()
		if w.e.Outstanding() != 1 {
			t.Fatal("the result was not waited for")
		}
		if arrives {
			w.broker.answer(h, 0, false)
			w.route()
			w.settle()
			w.expect(s, id, small)
		} else {
			w.run(protocol.PeerTimeout + time.Second)
			if c := w.done[s][id]; c.Err == nil || c.Err.Code != protocol.CodeSessionClosed {
				t.Errorf("got %+v, want SessionClosed", c)
			}
		}
		if n := w.notes[len(w.notes)-1]; !n.Ended {
			t.Errorf("last note %+v, want the end", n)
		}
	}
}

func TestSessionFails(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	w.broker.end(w.broker.sessions[s.Number()], protocol.SessionFailed, protocol.Errorf(protocol.CodeCreateFailed, "create", "no"))
	w.route()
	w.settle()
	if c := w.done[s][id]; c.Err == nil || c.Err.Code != protocol.CodeCreateFailed {
		t.Errorf("got %+v, want CreateFailed", c)
	}
	if _, err := w.e.Submit(s, nil); protocol.CodeOf(err) != protocol.CodeCreateFailed {
		t.Errorf("submit afterwards: %v", err)
	}
}

func TestOpenRefusedAndGivenUp(t *testing.T) {
	w := newWorld(t)
	given := w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0)
	w.e.Close(given, protocol.CloseFinish)
	w.settle()
	if n := w.broker.hosts(42); n != 0 {
		t.Errorf("%d sessions are open, want the one that was given up to be killed", n)
	}
	w.broker.refuse = protocol.Errorf(protocol.CodeUnknownService, "open", "no")
	w.e.Open(protocol.OpenSession{Service: "none"}, 0, 0)
	w.settle()
	if n := w.notes[len(w.notes)-1]; !n.Ended || n.Err == nil || n.Err.Code != protocol.CodeUnknownService {
		t.Errorf("note %+v, want UnknownService", n)
	}
}

func TestRequests(t *testing.T) {
	w := newWorld(t)
	early := w.e.Request(protocol.KindListNodes, protocol.ListRequest{}) // before a broker answered
	w.settle()
	lost := w.e.Request(protocol.KindListNodes, protocol.ListRequest{})
	w.e.Forget(w.e.Request(protocol.KindListNodes, protocol.ListRequest{}))
	w.pump()
	w.restart()
	w.run(3 * time.Second)
	if len(w.answers) != 2 || w.answers[0].Request != early || w.answers[1].Request != lost || w.answers[1].Kind != protocol.KindNodePage {
		t.Errorf("answers %+v, want %d and %d", w.answers, early, lost)
	}
}

// Whatever a request is answered with reaches who asked.
func TestEveryAnswer(t *testing.T) {
	w := newWorld(t)
	want := map[uint64]protocol.Kind{}
	for kind, answer := range asked {
		want[w.e.Request(kind, protocol.NewBody(kind))] = answer
	}
	w.settle()
	for _, a := range w.answers {
		if a.Kind != want[a.Request] || a.Err != nil {
			t.Errorf("request %d is answered with %v (%v), want %v", a.Request, a.Kind, a.Err, want[a.Request])
		}
		delete(want, a.Request)
	}
	if len(want) > 0 {
		t.Errorf("no answer of %v", want)
	}
}

func TestShut(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	w.e.Request(protocol.KindListNodes, protocol.ListRequest{})
	w.e.Shut()
	w.e.Shut()
	w.pump()
	if c := w.done[s][id]; c.Err == nil || c.Err.Code != protocol.CodeClosed {
		t.Errorf("task: %+v, want Closed", c)
	}
	if len(w.answers) != 1 || w.answers[0].Err.Code != protocol.CodeClosed {
		t.Errorf("answers %+v, want Closed", w.answers)
	}
	for _, l := range w.lines {
		if n := len(l.out); n == 0 || !bytes.Contains(l.out[n-1].records, []byte{0x94, byte(protocol.KindBye)}) {
			t.Errorf("%s was not told BYE", l.endpoint)
		}
	}
	if _, ok := w.e.Deadline(); ok {
		t.Error("something is still due")
	}
	if !w.e.Leaving() {
		t.Error("BYE counts as heard before it was sent")
	}
	w.settle()
	for range 2 { // the first may follow another frame
		w.broker.beat()
	}
	w.broker.flush()
	w.settle()
	if w.e.Leaving() {
		t.Error("BYE counts as unheard though the broker has acknowledged it")
	}
	if late := w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0); late.Accepting() {
		t.Error("a session was opened after the end")
	}
}

// TestCloseWhileTheBrokerIsReplaced: the wish to close outlives the broker that was asked.
func TestCloseWhileTheBrokerIsReplaced(t *testing.T) {
	for _, mode := range []string{protocol.CloseFinish, protocol.CloseKill} {
		w := newWorld(t)
		s := w.open()
		w.e.Close(s, mode)
		w.pump()
		w.restart() // what asked for it is lost
		w.run(5 * time.Second)
		if n := w.notes[len(w.notes)-1]; !n.Ended {
			t.Errorf("%s: the session is still there", mode)
		}
		if n := w.broker.hosts(42); n != 0 {
			t.Errorf("%s: %d sessions are open at the new broker", mode, n)
		}
	}
}

// TestCloseBeforeItIsOpenAnew: the number that the broker before gave is somebody else's with the next one.
func TestCloseBeforeItIsOpenAnew(t *testing.T) {
	for _, mode := range []string{protocol.CloseFinish, protocol.CloseKill} {
		w := newWorld(t)
		first, second := w.open(), w.open()
		number := second.Number()
		w.restart()
		w.broker.last = number - 2 // the next numbers are second's and one that is new
		w.untilAsked()
		w.e.Close(second, mode)
		w.run(5 * time.Second)
		if first.Number() != number {
			t.Fatalf("the first has number %d, want the second's before, %d", first.Number(), number)
		}
		if !first.Accepting() || second.Accepting() || w.broker.hosts(42) != 1 {
			t.Errorf("%s: the first takes tasks: %t, the second: %t, %d are open", mode, first.Accepting(), second.Accepting(), w.broker.hosts(42))
		}
	}
}

// untilAsked carries what is on the way until the engine has asked a new broker for its sessions, and nothing more.
func (w *world) untilAsked() {
	for range 1000 {
		w.step(100 * time.Millisecond)
		w.route()
		for i := 0; i < len(w.lines); i++ {
			for l := w.lines[i]; len(l.out) > 0; {
				w.up(l)
			}
			for l := w.lines[i]; len(l.in) > 0; {
				w.down(l)
				if len(w.e.requests) > 0 {
					return
				}
			}
		}
	}
	w.t.Fatal("no broker answers")
}

// TestForgottenByARestartedBroker: that it was restarted is what is wrong, not that a service was never registered.
func TestForgottenByARestartedBroker(t *testing.T) {
	for code, says := range map[protocol.Code]string{
		protocol.CodeUnknownService: "restarted and has forgotten service echo",
		protocol.CodeNoEnvironment:  "restarted and has forgotten environment lab",
		protocol.CodeNoCapacity:     "as it was refused",
	} {
		w := newWorld(t)
		s := w.e.Open(protocol.OpenSession{Service: "echo", Environment: "lab"}, 0, 0)
		w.settle()
		id := w.submit(s, small)
		w.settle()
		w.restart()
		w.broker.refuse = protocol.Errorf(code, "service echo", "as it was refused")
		w.run(5 * time.Second)
		n := w.notes[len(w.notes)-1]
		if !n.Ended || n.Err == nil || n.Err.Code != code || !strings.Contains(n.Err.Msg, says) {
			t.Errorf("note %+v, want %q", n, says)
		}
		if c := w.done[s][id]; c.Err != n.Err {
			t.Errorf("the task ended with %v, the session with %v", c.Err, n.Err)
		}
	}
}
