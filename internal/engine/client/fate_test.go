package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// ends expects that a task has ended with a code, and says how.
func (w *world) ends(s *Session, id protocol.TaskID, code protocol.Code, early bool) Completion {
	w.t.Helper()
	c, ok := w.done[s][id]
	if !ok {
		w.t.Fatalf("task %v has not ended, want %v", id, code)
	}
	if c.Err == nil || c.Err.Code != code || c.Early != early {
		w.t.Fatalf("task %v ended with %v, early: %t; want %v, %t", id, c.Err, c.Early, code, early)
	}
	return c
}

// unfinished expects that a task has not ended.
func (w *world) unfinished(s *Session, id protocol.TaskID) {
	w.t.Helper()
	if c, ok := w.done[s][id]; ok {
		w.t.Fatalf("task %v has ended: %+v", id, c)
	}
}

// away makes the loop that serves a session vanish, and gives its wire.
func (w *world) away(s *Session) *wire {
	l := w.line(s.conn.id)
	w.kill(l)
	l.refused = true
	w.e.Unsent(w.now, l.id)
	w.pump()
	return l
}

func sizes(t *testing.T, f func(t *testing.T, payload []byte)) {
	for _, payload := range [][]byte{small, large} {
		t.Run(fmt.Sprint(len(payload)), func(t *testing.T) { f(t, payload) })
	}
}

func TestCancelIsAnsweredByTheFabric(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	other := w.submit(s, small)
	w.settle()
	r := s.At(id.Slot())
	r.Cancel()
	r.Cancel() // once is enough
	w.pump()
	w.unfinished(s, id)
	w.settle()
	w.ends(s, id, protocol.CodeCancelled, false)
	if got := w.broker.sessions[s.number].cancelled; len(got) != 1 || got[0] != uint64(id) {
		t.Errorf("the broker was told to cancel %v, want %d once", got, id)
	}
	w.answerAll()
	w.expect(s, other, small)
}

// TestCancelRacesWithTheResult: what the fabric says counts, once, and the slot's next task is not met by it.
func TestCancelRacesWithTheResult(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	h := w.broker.sessions[s.number]
	w.broker.answer(h, 0, false) // under way
	s.At(id.Slot()).Cancel()
	w.route()
	w.settle()
	w.expect(s, id, small)
	next := w.submit(s, small)
	if next.Slot() != id.Slot() {
		t.Fatalf("slot %d, want that of the task before, %d", next.Slot(), id.Slot())
	}
	w.answerAll()
	w.expect(s, next, small)
}

// TestCancelOfWhatNeverLeft ends the task at once, and no manager gets it.
func TestCancelOfWhatNeverLeft(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		s := w.open()
		l := w.away(s)
		r := w.start(s, Task{Payload: payload, Options: protocol.TaskOptions{Priority: 1}})
		id := r.ID()
		after := w.submit(s, payload)
		r.Cancel()
		w.pump()
		w.ends(s, id, protocol.CodeCancelled, false)
		w.revive(l)
		w.run(3 * time.Second)
		w.answerAll()
		w.expect(s, after, payload)
		h := w.broker.sessions[s.number]
		if len(h.done) != 1 || w.broker.withdrawn != 1 || len(h.cancelled) != 0 {
			t.Errorf("%d tasks came to the broker, %d were withdrawn, cancelled: %v; want 1, 1, none", len(h.done), w.broker.withdrawn, h.cancelled)
		}
		if len(w.refs) != 0 {
			t.Errorf("%d payloads are held", len(w.refs))
		}
	})
}

// TestCancelOfAPlainFrameTask: of a payload frame without options it is not known whether it has left.
func TestCancelOfAPlainFrameTask(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	l := w.away(s)
	id := w.submit(s, large)
	s.At(id.Slot()).Cancel()
	w.pump()
	w.unfinished(s, id)
	w.revive(l)
	w.run(3 * time.Second)
	w.ends(s, id, protocol.CodeCancelled, false)
}

// TestSentAgainWhileCancelled: a broker that takes over is told of the task and of its cancel, and answers.
func TestSentAgainWhileCancelled(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		w.broker.stubborn = true
		s := w.open()
		id, kept := w.submit(s, payload), w.submit(s, payload)
		w.settle()
		s.At(id.Slot()).Cancel()
		w.settle()
		w.unfinished(s, id)
		w.restart()
		w.run(5 * time.Second)
		w.ends(s, id, protocol.CodeCancelled, false)
		if h := w.broker.sessions[s.number]; len(h.cancelled) != 1 || h.cancelled[0] != uint64(id) || len(h.queue) != 1 {
			t.Errorf("the new broker was told to cancel %v, and has %d tasks", h.cancelled, len(h.queue))
		}
		w.answerAll()
		w.expect(s, kept, payload)
	})
}

// TestCancelWhileTheSessionMoves: the task was sent to the loop before, so that it cannot be taken back.
func TestCancelWhileTheSessionMoves(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	h := w.broker.sessions[s.number]
	w.broker.refer(h, "loop-1")
	w.route()
	control := w.lines[0]
	for len(control.in) > 0 {
		w.down(control)
	}
	if s.conn.endpoint != "loop-1" || s.conn.phase == up {
		t.Fatalf("the session is served at %s, phase %d", s.conn.endpoint, s.conn.phase)
	}
	s.At(id.Slot()).Cancel()
	w.pump()
	w.unfinished(s, id)
	w.run(time.Second)
	w.ends(s, id, protocol.CodeCancelled, false)
}

func TestCancelAll(t *testing.T) {
	w := newWorld(t)
	w.broker.stubborn = true
	s := w.open()
	first, second := w.submit(s, small), w.submit(s, large)
	w.settle()
	w.broker.overload = 1
	refused := w.submit(s, small)
	w.settle()
	held := w.start(s, Task{Payload: small, After: []uint32{first.Slot()}})
	l := w.away(s)
	unsent := w.submit(s, small)
	upTo := s.CancelAll()
	w.pump()
	w.ends(s, refused, protocol.CodeCancelled, false)
	w.ends(s, unsent, protocol.CodeCancelled, false)
	w.ends(s, protocol.NewTaskID(0, held.Slot()), protocol.CodeCancelled, false)
	w.unfinished(s, first)
	late := w.submit(s, small)
	if s.Ended(upTo) {
		t.Error("all have ended, want two to be unfinished")
	}
	w.broker.stubborn = false
	w.revive(l)
	w.restart() // the new broker is told, after what it is for and before the rest
	w.run(5 * time.Second)
	w.ends(s, first, protocol.CodeCancelled, false)
	w.ends(s, second, protocol.CodeCancelled, false)
	w.unfinished(s, late)
	if !s.Ended(upTo) {
		t.Error("not all have ended")
	}
	w.answerAll()
	w.expect(s, late, small)
}

// Where a session goes with the tasks that it has, those that came after CancelAll are not cancelled by what is said again.
func TestCancelAllSparesLaterTasksThatMove(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.stubborn = true
	early := w.submit(s, small)
	w.settle()
	s.CancelAll()
	w.settle()
	late := w.submit(s, small)
	w.settle()
	w.broker.stubborn = false
	w.broker.refer(w.broker.sessions[s.number], "loop-1") // whose manager knows both tasks
	w.run(5 * time.Second)
	w.ends(s, early, protocol.CodeCancelled, false)
	w.unfinished(s, late)
	w.answerAll()
	w.expect(s, late, small)
}

func TestRefusedTasksAreSentAgain(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		s := w.open()
		w.broker.overload, w.broker.retryAfter = 3, 700*time.Millisecond
		id := w.submit(s, payload)
		w.settle()
		h := w.broker.sessions[s.number]
		for n := 1; n <= 3; n++ {
			if h.refused[1] != n || s.Tasks() != 1 || s.bytes != int64(len(payload)) {
				t.Fatalf("refused %d times, %d tasks with %d bytes", h.refused[1], s.Tasks(), s.bytes)
			}
			w.step(699 * time.Millisecond)
			w.settle()
			if h.refused[1] != n || len(h.queue) > 0 {
				t.Fatal("sent again before the broker wants it")
			}
			w.step(351 * time.Millisecond) // half as much again at the most
			w.settle()
		}
		w.unfinished(s, id)
		w.answerAll()
		w.expect(s, id, payload)
		w.run(3 * time.Second)
		if len(w.refs) != 0 || len(w.e.alarms) != 0 {
			t.Errorf("%d payloads and %d alarms are left", len(w.refs), len(w.e.alarms))
		}
	})
}

// TestRefusalsGetRarer: without a word of the broker the time doubles.
func TestRefusalsGetRarer(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.overload = 1 << 30
	w.submit(s, small)
	w.run(time.Minute)
	if n := w.broker.sessions[s.number].refused[1]; n < 12 || n > 25 {
		t.Errorf("sent %d times in a minute", n)
	}
}

func TestRefusedThenDeadline(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.overload = 1 << 30
	r := w.start(s, Task{Payload: small, Options: protocol.TaskOptions{Timeout: 2 * time.Second}})
	id := r.ID()
	w.run(1900 * time.Millisecond)
	w.unfinished(s, id)
	w.run(200 * time.Millisecond)
	if c := w.ends(s, id, protocol.CodeDeadline, false); !strings.Contains(c.Err.Msg, "refused") {
		t.Errorf("it does not say why: %v", c.Err)
	}
}

// TestRefusedThenClosed: the session's end is the end of what waits to be sent again, at once.
func TestRefusedThenClosed(t *testing.T) {
	for _, why := range []*protocol.Error{nil, protocol.Errorf(protocol.CodeSessionKilled, "session", "killed")} {
		w := newWorld(t)
		s := w.open()
		w.broker.overload = 1 << 30
		id := w.submit(s, small)
		w.settle()
		held := w.start(s, Task{Payload: small, After: []uint32{id.Slot()}})
		w.broker.end(w.broker.sessions[s.number], protocol.SessionClosed, why)
		w.route()
		w.settle()
		code := protocol.CodeSessionClosed
		if why != nil {
			code = why.Code
		}
		w.ends(s, id, code, false)
		w.ends(s, protocol.NewTaskID(0, held.Slot()), code, false)
		if n := w.notes[len(w.notes)-1]; !n.Ended {
			t.Errorf("last note %+v, want the end", n)
		}
	}
}

// TestRefusedWhileClosing: a session that is to be finished waits for what was refused.
func TestRefusedWhileClosing(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.overload = 2
	id := w.submit(s, small)
	w.settle()
	w.e.Close(s, protocol.CloseFinish)
	w.run(time.Second)
	w.answerAll()
	w.expect(s, id, small)
	if n := w.notes[len(w.notes)-1]; !n.Ended || n.Err != nil {
		t.Errorf("last note %+v, want the end in order", n)
	}
}

// TestCancelledThenRefused: nobody wants it any more, and it was never begun.
func TestCancelledThenRefused(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.overload = 1
	id := w.submit(s, small)
	s.At(id.Slot()).Cancel()
	w.settle()
	w.ends(s, id, protocol.CodeCancelled, false)
	w.run(time.Second)
	if h := w.broker.sessions[s.number]; len(h.queue) != 0 {
		t.Errorf("the broker has %d tasks", len(h.queue))
	}
}

// TestRefusedAndReplaced: what was refused goes on waiting when a broker takes over.
func TestRefusedAndReplaced(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.broker.overload, w.broker.retryAfter = 1, 20*time.Second
	id := w.submit(s, small)
	w.settle()
	w.restart()
	w.run(10 * time.Second)
	if h := w.broker.sessions[s.number]; len(h.queue) != 0 {
		t.Error("it was sent before its time")
	}
	w.run(25 * time.Second)
	w.answerAll()
	w.expect(s, id, small)
}

func TestOptionsAreTold(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		s := w.open()
		o := protocol.TaskOptions{Timeout: 20 * time.Second, Run: 3 * time.Second, Priority: -7, Attempts: 2, HostLosses: 3, Backoff: time.Second, MaxBackoff: time.Minute}
		w.start(s, Task{Payload: payload, Options: o})
		w.settle()
		told := o
		told.Timeout = 20*time.Second - maxMargin
		if got := w.broker.sessions[s.number].queue[0]; got.options != told || len(got.payload) != len(payload) {
			t.Errorf("the broker has %d bytes, %+v; want %+v", len(got.payload), got.options, told)
		}
		w.run(5 * time.Second)
		w.restart()
		w.run(5 * time.Second)
		if got := w.broker.sessions[s.number].queue[0].options.Timeout; got > 15*time.Second || got < 9*time.Second {
			t.Errorf("after 5 to 10 s %v are left of 20 s", got)
		}
	})
}

// TestDeadlineWhileTheBrokerIsAway: what was sent may have run, what never left has not.
func TestDeadlineWhileTheBrokerIsAway(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		s := w.open()
		o := protocol.TaskOptions{Timeout: 2 * time.Second}
		sent := w.start(s, Task{Payload: payload, Options: o})
		w.settle()
		l := w.away(s)
		unsent := w.start(s, Task{Payload: payload, Options: o})
		sentID, unsentID := sent.ID(), unsent.ID()
		w.run(1900 * time.Millisecond)
		w.unfinished(s, sentID)
		w.unfinished(s, unsentID)
		w.run(200 * time.Millisecond)
		w.ends(s, sentID, protocol.CodeIndeterminate, true)
		w.ends(s, unsentID, protocol.CodeDeadline, false)
		if s.Tasks() != 1 {
			t.Errorf("%d tasks are unfinished, want the one that may run", s.Tasks())
		}
		w.revive(l)
		w.run(3 * time.Second)
		h := w.broker.sessions[s.number]
		if len(h.queue)+len(h.done) != 0 || len(h.cancelled) != 1 || !w.stopped[sentID.Slot()] {
			t.Errorf("the broker has %d tasks, was told to cancel %v, stopped: %v", len(h.queue), h.cancelled, w.stopped)
		}
		if s.Tasks() != 0 || len(w.refs) != 0 {
			t.Errorf("%d tasks and %d payloads are left", s.Tasks(), len(w.refs))
		}
	})
}

// TestDeadlineWithoutABroker: a session that is served nowhere sends nothing.
func TestDeadlineWithoutABroker(t *testing.T) {
	w := newWorld(t)
	w.broker.hold = true
	s := w.e.Open(protocol.OpenSession{Service: "echo"}, 0, 0)
	w.settle()
	id := w.start(s, Task{Payload: small, Options: protocol.TaskOptions{Timeout: time.Second}}).ID()
	w.run(1100 * time.Millisecond)
	w.ends(s, id, protocol.CodeDeadline, false)
}

// TestLateResultIsDropped: the result comes after its task was given up, and gives its credit back.
func TestLateResultIsDropped(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		w.broker.stubborn = true
		s := w.open()
		id := w.start(s, Task{Payload: payload, Options: protocol.TaskOptions{Timeout: time.Second}}).ID()
		w.run(1100 * time.Millisecond)
		w.ends(s, id, protocol.CodeIndeterminate, true)
		w.answerAll()
		if !w.stopped[id.Slot()] || s.Tasks() != 0 {
			t.Errorf("stopped: %v, %d tasks are left", w.stopped, s.Tasks())
		}
		w.run(time.Second)
		if c := s.conn; c.consumed != int64(len(payload)) || len(w.refs) != 0 {
			t.Errorf("%d bytes were consumed, %d payloads are left", c.consumed, len(w.refs))
		}
	})
}

// TestGivenUpByTheSessionsEnd: nothing comes for what was given up when its session is over.
func TestGivenUpByTheSessionsEnd(t *testing.T) {
	w := newWorld(t)
	w.broker.stubborn = true
	s := w.open()
	id := w.start(s, Task{Payload: small, Options: protocol.TaskOptions{Timeout: time.Second}}).ID()
	w.run(1100 * time.Millisecond)
	w.ends(s, id, protocol.CodeIndeterminate, true)
	w.e.Close(s, protocol.CloseKill)
	w.settle()
	if !w.stopped[id.Slot()] || w.e.Outstanding() != 0 {
		t.Errorf("stopped: %v, %d are unfinished", w.stopped, w.e.Outstanding())
	}
}

// TestTaskOfNoSlot: an answer that names no task is dropped.
func TestTaskOfNoSlot(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	w.submit(s, small)
	w.answerAll()
	h := w.broker.sessions[s.number]
	w.broker.result(h, task{id: 0, payload: small}, false)
	w.route()
	w.settle()
	if len(w.order) != 1 {
		t.Errorf("%d tasks have ended, want 1", len(w.order))
	}
}

// TestHalfOpenConnection: who greets again and gets no answer makes the connection anew.
func TestHalfOpenConnection(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	for _, l := range w.lines {
		w.cut(l)
		l.mute = true
	}
	w.run(protocol.PeerTimeout + 10*time.Second)
	w.answerAll()
	w.expect(s, id, small)
	if w.redials == 0 || w.redials > 4 {
		t.Errorf("%d connections were made anew, want one or two each", w.redials)
	}
	before := w.redials
	w.run(time.Minute)
	if w.redials != before {
		t.Error("connections are made anew while they work")
	}
}

// TestGivenUpWhileItSpeaks: a result that only waits for parts is the end of its task; what one says that was given up
// is dropped.
func TestGivenUpWhileItSpeaks(t *testing.T) {
	w, s, _ := moved(t)
	o := protocol.TaskOptions{Timeout: 2 * time.Second}
	done, late := w.start(s, Task{Payload: small, Options: o}).ID(), w.start(s, Task{Payload: small, Options: o}).ID()
	w.broker.stubborn = true
	w.settle()
	w.say("loop-1", protocol.KindPartial, s, done, "b", 1, 1)
	w.say("loop-1", protocol.KindResult, s, done, "r", 1, 2)
	w.say("loop-1", protocol.KindPartial, s, late, strings.Repeat("b", 3000), 1, 1)
	w.run(2100 * time.Millisecond)
	w.expect(s, done, []byte("r"))
	w.ends(s, late, protocol.CodeIndeterminate, true)
	w.say("loop-1", protocol.KindPartial, s, late, "a", 1, 0)
	w.say("loop-1", protocol.KindProgress, s, late, progressAt(50, 1), 1, 0)
	w.say("loop-1", protocol.KindResult, s, late, "r", 1, 5)
	w.hears("nothing")
	if !w.stopped[late.Slot()] {
		t.Error("its answer waits for parts that nobody wants")
	}
	e := w.broker.routers["loop-1"].ends[42]
	if e.sent-e.consumed >= 2048 {
		t.Errorf("%d of %d bytes are consumed", e.consumed, e.sent)
	}
}

// TestRefusedMeansNotThere: what was refused is at no manager, whatever was sent before.
func TestRefusedMeansNotThere(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.start(s, Task{Payload: small, Options: protocol.TaskOptions{Timeout: 20 * time.Second}}).ID()
	w.settle()
	w.restart()
	w.broker.overload, w.broker.retryAfter = 1<<30, time.Second
	w.run(8 * time.Second)
	if n := w.broker.sessions[s.number].refused[1]; n < 2 {
		t.Fatalf("refused %d times", n)
	}
	w.away(s)
	w.run(13 * time.Second) // it is to be sent again meanwhile, and cannot leave
	w.ends(s, id, protocol.CodeDeadline, false)
}

// TestRefusalOfTheLoopBefore: what a loop refused before the session's manager went elsewhere was sent again there, and
// may be executed.
func TestRefusalOfTheLoopBefore(t *testing.T) {
	w, s, id := moved(t)
	e := w.broker.routers["loop-0"].ends[42]
	body := protocol.Marshal(protocol.Errorf(protocol.CodeOverloaded, "Task", "too much"))
	e.sent += int64(len(body))
	e.link.Append(protocol.KindFailure, s.Number(), uint64(id), body)
	w.broker.flush()
	w.route()
	w.settle()
	w.broker.stubborn = true
	s.At(id.Slot()).Cancel()
	w.settle()
	w.unfinished(s, id) // where it is now has the word
	w.broker.stubborn = false
	w.answerAll()
	w.expect(s, id, small)
}
