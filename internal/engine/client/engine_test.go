package client

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

var (
	small = []byte("sixteen bytes it")
	large = bytes.Repeat([]byte("0123456789abcdef"), 1024)
)

func TestTasksComeBackOnce(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	a, b := w.submit(s, small), w.submit(s, large)
	if a.Sequence() != 1 || b.Sequence() != 2 {
		t.Errorf("sequences %v and %v, want 1 and 2", a, b)
	}
	w.answerAll()
	w.expect(s, a, small)
	w.expect(s, b, large)
	h := w.broker.sessions[s.Number()]
	for _, again := range h.done {
		w.broker.result(h, again, false)
	}
	w.route()
	w.settle() // collect fails on a second completion
	if w.e.Outstanding() != 0 || s.Tasks() != 0 {
		t.Errorf("%d tasks are unfinished, %d of the session", w.e.Outstanding(), s.Tasks())
	}
}

func TestFailureIsAnError(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	w.broker.answer(w.broker.sessions[s.Number()], 0, true)
	w.route()
	w.settle()
	if c := w.done[s][id]; c.Err == nil || c.Err.Code != protocol.CodeTaskFailed {
		t.Errorf("got %+v, want TaskFailed", c)
	}
}

func TestSubmitBeforeReferral(t *testing.T) {
	w := newWorld(t)
	w.broker.hold = true
	s := w.open()
	a, b := w.submit(s, small), w.submit(s, large)
	w.settle()
	h := w.broker.sessions[s.Number()]
	if len(h.queue) != 0 || len(w.lines) != 1 {
		t.Fatalf("%d tasks and %d connections before the referral", len(h.queue), len(w.lines))
	}
	w.broker.refer(h, "loop-1")
	w.route()
	w.answerAll()
	w.expect(s, a, small)
	w.expect(s, b, large)
}

func TestReferredElsewhere(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	ids := []protocol.TaskID{w.submit(s, small), w.submit(s, large), w.submit(s, small)}
	w.settle()
	h := w.broker.sessions[s.Number()]
	// The other loop knows nothing of what this one was given.
	h.queue, h.seen, h.top = nil, map[uint64]bool{}, 0
	w.broker.refer(h, "loop-1")
	w.route()
	w.answerAll()
	for i, id := range ids {
		w.expect(s, id, [][]byte{small, large, small}[i])
	}
	if len(w.lines) != 3 {
		t.Errorf("%d connections, want control and both loops: the first may still bring results", len(w.lines))
	}
}

func TestCutConnections(t *testing.T) {
	for name, endpoint := range map[string]string{"control": "control", "data": "loop-0"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.open()
			before := w.submit(s, large) // on the wire when it is cut
			for _, l := range w.lines {
				if l.endpoint == endpoint {
					w.cut(l)
				}
			}
			after := w.submit(s, small)
			w.run(3 * time.Second)
			w.answerAll()
			w.run(time.Second)
			w.expect(s, before, large)
			w.expect(s, after, small)
			if n := len(w.broker.sessions); n != 1 {
				t.Errorf("%d sessions, want that one to go on", n)
			}
		})
	}
}

// TestResultsAfterSilentReconnect: the connection breaks while the client only waits. Nothing but its own heartbeat
// tells the loop where results go now.
func TestResultsAfterSilentReconnect(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.run(2 * time.Second) // all is acknowledged
	for _, l := range w.lines {
		if l.endpoint != "control" {
			w.cut(l)
		}
	}
	w.broker.answer(w.broker.sessions[s.Number()], 0, false) // lost with the connection
	w.route()
	w.run(2 * time.Second)
	w.expect(s, id, small)
}

// TestLastAcknowledgementIsLost: the loop holds a result until it is acknowledged, and the client, which waits for
// nothing any more, has to say so again.
func TestLastAcknowledgementIsLost(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, large)
	w.answerAll()
	w.expect(s, id, large)
	loop := w.broker.routers["loop-0"].ends[42].link
	w.run(400 * time.Millisecond)
	if loop.Unacked() == 0 {
		t.Fatal("the result is acknowledged before the client has said anything")
	}
	for range 10 { // ticks of which nothing arrives
		w.now = w.now.Add(100 * time.Millisecond)
		w.e.Tick(w.now)
		w.pump()
	}
	for _, l := range w.lines {
		if l.endpoint == "loop-0" {
			w.cut(l)
		}
	}
	w.run(3 * time.Second)
	if n := loop.Unacked(); n != 0 {
		t.Errorf("%d frames of results are held though the client has got them", n)
	}
}

func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	for _, l := range w.lines {
		w.kill(l)
	}
	id := w.submit(s, small)
	w.run(5 * time.Second)
	for _, l := range w.lines {
		w.revive(l)
	}
	w.run(3 * time.Second)
	w.answerAll()
	w.expect(s, id, small)
}

func TestNewBroker(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(), w.open()
	done := w.submit(a, small)
	w.answerAll()
	ids := map[*Session][]protocol.TaskID{a: {w.submit(a, small), w.submit(a, large)}, b: {w.submit(b, large)}}
	w.settle()
	old := []protocol.SessionNumber{a.Number(), b.Number()}
	w.restart()
	w.run(5 * time.Second)
	if a.Number() == old[0] || b.Number() == old[1] || a.Number() == 0 {
		t.Errorf("numbers are %d and %d, as before", a.Number(), b.Number())
	}
	during := w.submit(a, small)
	w.answerAll()
	w.expect(a, done, small)
	w.expect(a, during, small)
	w.expect(a, ids[a][0], small)
	w.expect(a, ids[a][1], large)
	w.expect(b, ids[b][0], large)
	for _, n := range w.notes {
		if n.Ended {
			t.Errorf("a session ended: %v", n.Err)
		}
	}
}

func TestLowerEpochIsIgnored(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	f := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: protocol.NewEpoch(6, 1), Incarnation: 99})
	f = protocol.AppendRecord(f, protocol.KindRehello, 0, 0, nil)
	for _, l := range w.lines {
		w.e.Receive(w.now, l.id, f, nil)
		if c := w.e.conn(l.id); c.phase != up {
			t.Errorf("%s is greeted anew because of an old epoch", l.endpoint)
		}
	}
	w.answerAll()
	w.expect(s, id, small)
}

func TestCredit(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	for range w.broker.credits.TaskCredit {
		if !w.e.Room(s, 1) {
			t.Fatal("no room within the credit")
		}
		w.submit(s, []byte("x"))
	}
	if _, err := w.e.Submit(s, nil); protocol.CodeOf(err) != protocol.CodeOverloaded || w.e.Room(s, 0) {
		t.Errorf("beyond the credit: %v", err)
	}
	w.answerAll()
	if _, err := w.e.SubmitHandle(s, w.payload(nil), 64<<10+1); protocol.CodeOf(err) != protocol.CodePayloadTooLarge {
		t.Errorf("over the limit: %v", err)
	}
	for range 4 {
		w.submit(s, bytes.Repeat([]byte("y"), 64<<10))
	}
	if w.e.Room(s, 1) {
		t.Error("room beyond the bytes")
	}
}

func TestWindowOfTheUser(t *testing.T) {
	w := newWorld(t)
	s := w.e.Open(protocol.OpenSession{Service: "echo"}, 2, 10)
	w.settle()
	w.submit(s, bytes.Repeat([]byte("z"), 100)) // the first goes whatever its size
	if w.e.Room(s, 1) {
		t.Error("room beyond the window's bytes")
	}
	w.answerAll()
	w.submit(s, nil)
	w.submit(s, nil)
	if w.e.Room(s, 0) {
		t.Error("room beyond the window's tasks")
	}
}

func TestResultCreditIsTold(t *testing.T) {
	w := newWorld(t) // 8 KiB: told at 2 KiB
	s := w.open()
	payload := bytes.Repeat([]byte("r"), 1000)
	for range 3 {
		w.submit(s, payload)
	}
	w.answerAll()
	at := w.broker.routers["loop-0"].ends[42]
	if at.sent != 3000 || at.consumed != 0 {
		t.Fatalf("sent %d, consumed %d before anything was taken", at.sent, at.consumed)
	}
	for i, want := range []int64{0, 0, 3000} {
		w.e.Consumed(w.order[i].Source, 1000)
		w.settle()
		if at.consumed != want {
			t.Errorf("after %d of 3: %d consumed, want %d", i+1, at.consumed, want)
		}
	}
	if !live(w, w.order[0].Source) {
		t.Error("the source of the conversation counts no more")
	}
	w.restart()
	w.run(5 * time.Second)
	if live(w, w.order[0].Source) {
		t.Error("the source of a conversation that is over still counts")
	}
	w.e.Consumed(w.order[0].Source, 1<<30) // the model fails on credit beyond what it sent
	w.settle()
}

func TestRefusedClient(t *testing.T) {
	w := newWorld(t)
	w.pump()
	n := w.broker.node
	f := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: n.Epoch, Incarnation: n.Incarnation})
	f = protocol.AppendBody(f, protocol.KindError, 0, 0, protocol.Errorf(protocol.CodeVersion, "hello", "too new"))
	w.e.Receive(w.now, w.lines[0].id, f, nil)
	if yes, why := w.e.Connected(); yes || why == nil || !errors.Is(why, &protocol.Error{Code: protocol.CodeVersion}) {
		t.Errorf("connected %t, refusal %v", yes, why)
	}
}

// A manager loop knows nobody who greets it first: its port is the wrong one to dial.
func TestDialledATaskPort(t *testing.T) {
	w := newWorld(t)
	w.pump()
	n := w.broker.node
	f := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: n.Epoch, Incarnation: n.Incarnation})
	f = protocol.AppendBody(f, protocol.KindError, 0, 0, protocol.Errorf(protocol.CodeUnknownSession, "hello", "nothing is served"))
	w.e.Receive(w.now, w.lines[0].id, f, nil)
	if _, why := w.e.Connected(); why == nil || why.Code != protocol.CodeInvalid || !strings.Contains(why.Msg, "control is a port for tasks") {
		t.Errorf("refusal %v", why)
	}
}

func TestHostileFrames(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	for _, l := range w.lines {
		for _, f := range [][]byte{nil, {1, 2, 3}, bytes.Repeat([]byte{0x96}, 64)} {
			h := w.payload(large)
			w.e.Receive(w.now, l.id, f, []protocol.Handle{h})
			w.pump()
			if w.refs[h] != 0 {
				t.Errorf("the payload of a frame that cannot be read is kept")
			}
		}
	}
	w.e.Receive(w.now, 77, nil, nil) // no such connection
	w.answerAll()
	w.expect(s, id, small)
}

// TestForgottenByALoop: the loop is a new process, or dropped what it knew, without a new epoch.
func TestForgottenByALoop(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	payload := bytes.Repeat([]byte("c"), 3000)
	w.submit(s, payload)
	w.answerAll()
	old := w.order[0].Source
	w.e.Consumed(old, 3000)
	w.settle()
	id := w.submit(s, payload)
	w.settle()
	h := w.broker.sessions[s.Number()]
	h.queue, h.seen, h.top = nil, map[uint64]bool{}, 0
	w.broker.routers["loop-0"].ends = map[uint64]*end{}
	w.run(2 * time.Second)
	w.answerAll()
	w.expect(s, id, payload)
	w.e.Consumed(old, 3000) // of a conversation that is over: the model fails on more than it sent
	w.settle()
	w.e.Consumed(w.order[1].Source, 3000)
	w.settle()
	if at := w.broker.routers["loop-0"].ends[42]; at.consumed != 3000 {
		t.Errorf("%d bytes consumed in the new conversation, want 3000", at.consumed)
	}
}

// TestForgottenWhereNothingIs: a loop that has forgotten the client, and serves none of its sessions, is left alone; what
// was kept for it is let go of.
func TestForgottenWhereNothingIs(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	old := w.lines[len(w.lines)-1]
	w.cut(old)
	id := w.submit(s, large)
	w.cut(old) // it was not received
	w.broker.refer(w.broker.sessions[s.Number()], "loop-1")
	w.route()
	w.answerAll()
	w.expect(s, id, large)
	w.e.Consumed(w.order[0].Source, int64(len(large)))
	frame := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: protocol.NewEpoch(7, 1), Incarnation: 99})
	frame = protocol.AppendBody(frame, protocol.KindError, 0, 0, protocol.Errorf(protocol.CodeUnknownSession, "Hello", "who?"))
	w.e.Receive(w.now, old.id, frame, nil)
	w.run(3 * time.Second)
	if w.line(old.id) != nil {
		t.Error("the connection is kept, and the loop greeted again and again")
	}
	if n := len(w.refs); n != 0 {
		t.Errorf("%d payload frames are held", n)
	}
}

// TestSameTaskIDInTwoSessions: a late result of a session must not finish the task that has its slot now.
func TestSameTaskIDInTwoSessions(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(), w.open()
	first := w.submit(a, []byte("of a"))
	w.answerAll()
	second := w.submit(b, []byte("of b"))
	if first != second {
		t.Fatalf("ids %v and %v: the slot was not used again", first, second)
	}
	w.settle()
	h := w.broker.sessions[a.Number()]
	w.broker.result(h, h.done[0], false)
	w.route()
	w.settle()
	w.answerAll()
	w.expect(a, first, []byte("of a"))
	w.expect(b, second, []byte("of b"))
}

func TestDroppedResultsAreConsumed(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.submit(s, bytes.Repeat([]byte("d"), 1000))
	w.answerAll()
	h := w.broker.sessions[s.Number()]
	for range 3 {
		w.broker.result(h, h.done[0], false)
	}
	w.route()
	w.settle()
	if at := w.broker.routers["loop-0"].ends[42]; at.consumed != at.sent-1000 {
		t.Errorf("sent %d bytes, %d consumed: want all but the 1000 that wait for the application", at.sent, at.consumed)
	}
}

// TestSilence: the transport says nothing, and nothing arrives.
func TestSilence(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	for range 120 {
		w.step(100 * time.Millisecond)
		for _, l := range w.lines {
			if l.endpoint == "loop-0" {
				l.out, l.in = nil, nil
			}
		}
		w.settle()
	}
	for _, c := range w.e.conns {
		if c.endpoint == "loop-0" && c.phase != opening {
			t.Error("the loop is not greeted again, though it is silent")
		}
	}
	w.run(3 * time.Second)
	w.answerAll()
	w.expect(s, id, small)
}

func TestReachableIsGreetedAtOnce(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	for _, l := range w.lines {
		w.kill(l)
	}
	id := w.submit(s, small)
	w.step(time.Second)
	for _, l := range w.lines {
		w.revive(l)
	}
	w.answerAll() // no time passes
	w.expect(s, id, small)
}

func TestOldReferralIsIgnored(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.push(w.broker.sessions[s.Number()], protocol.KindRefer,
		protocol.Refer{Session: s.Number(), Endpoint: "loop-1", Epoch: w.broker.node.Epoch - 1})
	w.route()
	w.settle()
	if len(w.lines) != 2 {
		t.Errorf("%d connections: a referral of an old epoch was followed", len(w.lines))
	}
}

func TestUnknownKindIsRefused(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	h := w.broker.sessions[s.Number()]
	w.broker.routers["loop-0"].ends[42].link.Append(protocol.KindBind, 0, 0, nil)
	w.broker.answer(h, 0, false) // in the same frame
	w.route()
	w.settle()
	w.expect(s, id, small)
	if len(w.broker.errors) != 1 || w.broker.errors[0] != protocol.CodeUnknownKind {
		t.Errorf("the broker was told %v, want UnknownKind", w.broker.errors)
	}
}

func TestClientThatTheLoopDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.settle()
	c := s.conn
	n := w.broker.node
	before := w.e.lead.link.Other()
	f := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: n.Epoch, Incarnation: n.Incarnation})
	f = protocol.AppendBody(f, protocol.KindError, 0, 0, protocol.Errorf(protocol.CodeUnknownSession, "hello", "who are you"))
	w.e.Receive(w.now, c.id, f, nil)
	if c.phase != down || w.e.lead.phase != opening || before == 0 {
		t.Errorf("loop %d, control %d; want the loop left alone for a while, and the broker greeted", c.phase, w.e.lead.phase)
	}
	id := w.submit(s, small)
	w.run(3 * time.Second)
	w.answerAll()
	w.expect(s, id, small)
}
