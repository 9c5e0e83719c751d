package client

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// endOf gives the completion of the task in a slot, which is the last that ended there.
func (w *world) endOf(s *Session, at uint32) (last Completion, ok bool) {
	for _, c := range w.order {
		if c.Session == s && c.Task.Slot() == at {
			last, ok = c, true
		}
	}
	return last, ok
}

func TestAfter(t *testing.T) {
	sizes(t, func(t *testing.T, payload []byte) {
		w := newWorld(t)
		s, other := w.open(), w.open()
		first, second := w.submit(s, small), w.submit(other, small)
		r := w.start(s, Task{Payload: payload, After: []uint32{first.Slot(), second.Slot(), first.Slot()}})
		w.settle()
		if r.ID().Sequence() != 0 || s.Tasks() != 2 || s.bytes != int64(len(small)+len(payload)) {
			t.Errorf("it has id %v; %d tasks with %d bytes are unfinished", r.ID(), s.Tasks(), s.bytes)
		}
		h, o := w.broker.sessions[s.number], w.broker.sessions[other.number]
		w.broker.answer(h, 0, false)
		w.route()
		w.settle()
		if len(h.queue) != 0 {
			t.Fatal("it was sent before all that it waits for had ended")
		}
		w.broker.answer(o, 0, false)
		w.route()
		w.settle()
		id := r.ID()
		if len(h.queue) != 1 || id.Sequence() != 2 {
			t.Fatalf("the broker has %d tasks, want the one with sequence 2, id %v", len(h.queue), id)
		}
		w.answerAll()
		w.expect(s, id, payload)
		w.run(3 * time.Second)
		if len(w.refs) != 0 {
			t.Errorf("%d payloads are left", len(w.refs))
		}
	})
}

// TestAfterAFailure: a failure goes through a chain, and no further.
func TestAfterAFailure(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	first := w.submit(s, small)
	good := w.submit(s, small)
	at := first.Slot()
	var chain []uint32
	for i := range 40 {
		payload := small
		if i%8 == 0 {
			payload = large
		}
		at = w.start(s, Task{Payload: payload, After: []uint32{at, good.Slot()}}).Slot()
		chain = append(chain, at)
	}
	beside := w.start(s, Task{Payload: small, After: []uint32{good.Slot()}})
	w.settle()
	h := w.broker.sessions[s.number]
	w.broker.answer(h, 0, true)
	w.route()
	w.settle()
	for _, at := range chain {
		if c, ok := w.endOf(s, at); !ok || c.Err == nil || c.Err.Code != protocol.CodeDependency {
			t.Fatalf("slot %d: ended %t with %v, want Dependency", at, ok, c.Err)
		}
	}
	w.answerAll()
	w.answerAll()
	if c, ok := w.endOf(s, beside.Slot()); !ok || c.Err != nil {
		t.Errorf("the task beside the chain: %t, %v", ok, c.Err)
	}
	if s.Tasks() != 0 || len(w.e.free) != len(w.e.slots) {
		t.Errorf("%d tasks are unfinished, %d of %d slots are free", s.Tasks(), len(w.e.free), len(w.e.slots))
	}
	w.run(3 * time.Second)
	if len(w.refs) != 0 {
		t.Errorf("%d payloads are left", len(w.refs))
	}
}

// TestAfterWhatIsGivenUp: who is cancelled, or whose time is over, has not succeeded.
func TestAfterWhatIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.broker.stubborn = true
	s := w.open()
	cancelled := w.submit(s, small)
	late := w.start(s, Task{Payload: small, Options: protocol.TaskOptions{Timeout: time.Second}})
	a := w.start(s, Task{Payload: small, After: []uint32{cancelled.Slot()}})
	b := w.start(s, Task{Payload: small, After: []uint32{late.Slot()}})
	w.settle()
	s.At(cancelled.Slot()).Cancel()
	w.run(1200 * time.Millisecond)
	for _, r := range []Ref{a, b} {
		if c, ok := w.endOf(s, r.Slot()); !ok || c.Err == nil || c.Err.Code != protocol.CodeDependency {
			t.Errorf("slot %d: %t, %v, want Dependency", r.Slot(), ok, c.Err)
		}
	}
	w.answerAll() // results after all: nothing waits for them
	if s.Tasks() != 0 {
		t.Errorf("%d tasks are unfinished", s.Tasks())
	}
}

func TestHeldTaskIsGivenUp(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	first := w.submit(s, small)
	after := []uint32{first.Slot()}
	cancelled := w.start(s, Task{Payload: large, After: after})
	late := w.start(s, Task{Payload: large, After: after, Options: protocol.TaskOptions{Timeout: time.Second}})
	for range 100 { // what waits no more is forgotten
		w.start(s, Task{Payload: small, After: after}).Cancel()
	}
	cancelled.Cancel()
	w.run(1100 * time.Millisecond)
	for r, code := range map[Ref]protocol.Code{cancelled: protocol.CodeCancelled, late: protocol.CodeDeadline} {
		found := false
		for _, c := range w.order {
			found = found || c.Task.Slot() == r.Slot() && c.Err != nil && c.Err.Code == code && !c.Early
		}
		if !found {
			t.Errorf("slot %d did not end with %v", r.Slot(), code)
		}
	}
	if n := cap(s.At(first.Slot()).extra().dependants); n > 16 {
		t.Errorf("room for %d that wait", n)
	}
	w.answerAll()
	w.expect(s, first, small)
	if h := w.broker.sessions[s.number]; len(h.done) != 1 {
		t.Errorf("%d tasks came to the broker, want 1", len(h.done))
	}
}

// TestHeldTaskOfAClosingSession: a session that is to be finished waits for those that wait.
func TestHeldTaskOfAClosingSession(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	first := w.submit(s, small)
	r := w.start(s, Task{Payload: small, After: []uint32{first.Slot()}})
	w.e.Close(s, protocol.CloseFinish)
	w.answerAll()
	w.answerAll()
	if c, ok := w.endOf(s, r.Slot()); !ok || c.Err != nil {
		t.Errorf("ended %t with %v", ok, c.Err)
	}
	if n := w.notes[len(w.notes)-1]; !n.Ended || n.Err != nil {
		t.Errorf("last note %+v, want the end in order", n)
	}
}
