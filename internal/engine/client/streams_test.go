package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// say has a loop say something numbered of a task, and carries it.
func (w *world) say(loop string, kind protocol.Kind, s *Session, id protocol.TaskID, body string, attempt uint8, number uint32) {
	e := w.broker.routers[loop].ends[42]
	if kind == protocol.KindResult {
		e.sent += int64(len(body))
	} else {
		e.sent += protocol.PartialWeight(len(body))
	}
	link.AppendNumbered(e.link, kind, s.Number(), uint64(id), []byte(body), attempt, number)
	w.broker.flush()
	w.route()
	w.settle()
}

// spoken gives what was said since the last call, in short.
func (w *world) spoken() []string {
	var out []string
	for _, s := range w.said {
		if s.Progress != nil {
			out = append(out, fmt.Sprintf("%d at %v", s.Attempt, s.Progress.Percent))
		} else {
			out = append(out, fmt.Sprintf("%d.%d=%s", s.Attempt, s.Number, s.Payload))
		}
	}
	w.said = nil
	return out
}

func (w *world) hears(what string, want ...string) {
	w.t.Helper()
	if got := w.spoken(); !slices.Equal(got, want) {
		w.t.Fatalf("%s: heard %q, want %q", what, got, want)
	}
}

// moved brings a task to a session whose manager has moved from loop-0 to loop-1.
func moved(t *testing.T) (w *world, s *Session, id protocol.TaskID) {
	w = newWorld(t)
	s = w.open()
	id = w.submit(s, small)
	w.settle()
	w.broker.refer(w.broker.sessions[s.Number()], "loop-1")
	w.route()
	w.settle()
	return w, s, id
}

func progressAt(percent float64, attempt int) string {
	return string(protocol.Marshal(protocol.Progress{Percent: percent, Attempt: attempt}))
}

func TestPartsOfTwoLoopsComeInOrder(t *testing.T) {
	w, s, id := moved(t)
	w.say("loop-1", protocol.KindPartial, s, id, "c", 1, 2)
	w.say("loop-1", protocol.KindPartial, s, id, "b", 1, 1)
	w.say("loop-1", protocol.KindProgress, s, id, progressAt(50, 1), 1, 1)
	w.say("loop-1", protocol.KindResult, s, id, "all", 1, 3)
	w.hears("before the first part", "1 at 50")
	if len(w.done[s]) != 0 {
		t.Fatal("the result overtook its parts")
	}
	w.say("loop-0", protocol.KindProgress, s, id, progressAt(10, 1), 1, 0)
	w.say("loop-0", protocol.KindPartial, s, id, "a", 1, 0)
	w.hears("all", "1.0=a", "1.1=b", "1.2=c")
	w.expect(s, id, []byte("all"))
}

func TestPartsOfAnAttemptThatIsOver(t *testing.T) {
	w, s, id := moved(t)
	w.say("loop-0", protocol.KindPartial, s, id, "a", 1, 0)
	w.say("loop-1", protocol.KindPartial, s, id, "A", 2, 0)
	w.say("loop-0", protocol.KindPartial, s, id, "b", 1, 1)
	w.say("loop-1", protocol.KindPartial, s, id, "A", 2, 0)
	w.say("loop-0", protocol.KindProgress, s, id, progressAt(90, 1), 1, 7)
	w.say("loop-1", protocol.KindPartial, s, id, "b2", 2, 2)
	w.say("loop-1", protocol.KindPartial, s, id, "b2", 2, 2)
	w.hears("attempts", "1.0=a", "2.0=A")
	w.say("loop-1", protocol.KindPartial, s, id, "anew", 3, 0)
	w.hears("the third attempt", "3.0=anew")
	w.say("loop-1", protocol.KindResult, s, id, "r", 3, 1)
	w.expect(s, id, []byte("r"))
}

func TestAttemptsOfAnotherBrokerCountOn(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id, quiet := w.submit(s, small), w.submit(s, small)
	w.settle()
	w.say("loop-0", protocol.KindPartial, s, id, "a", 2, 0)
	w.say("loop-0", protocol.KindPartial, s, id, "c", 2, 2)
	w.restart()
	w.run(3 * time.Second)
	w.say("loop-0", protocol.KindPartial, s, id, "A", 1, 0)
	w.say("loop-0", protocol.KindProgress, s, id, progressAt(5, 1), 1, 0)
	w.hears("both brokers", "2.0=a", "3.0=A", "3 at 5")
	w.say("loop-0", protocol.KindResult, s, id, "r", 1, 1)
	w.say("loop-0", protocol.KindResult, s, quiet, "q", 1, 0)
	w.expect(s, id, []byte("r"))
	w.expect(s, quiet, []byte("q"))
}

// TestAttemptsUnderAnotherNumberCountOn: where a broker has given the client up, and opens its session anew, parts of what ran
// before are not mixed with those of what runs now.
func TestAttemptsUnderAnotherNumberCountOn(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	before := s.Number()
	w.say("loop-0", protocol.KindPartial, s, id, "a", 1, 0)
	w.say("loop-0", protocol.KindPartial, s, id, "b", 1, 1)
	w.forget()
	w.run(3 * time.Second)
	if s.Number() == before {
		t.Fatalf("the session has number %d as before", before)
	}
	w.say("loop-0", protocol.KindPartial, s, id, "A", 1, 0)
	w.say("loop-0", protocol.KindPartial, s, id, "B", 1, 1)
	w.hears("both", "1.0=a", "1.1=b", "2.0=A", "2.1=B")
	w.say("loop-0", protocol.KindResult, s, id, "r", 1, 2)
	w.expect(s, id, []byte("r"))
}

// A result that waits for parts whose conversation is over is not held back for ever.
func TestPartsThatCannotComeAnyMore(t *testing.T) {
	for name, end := range map[string]func(*world, *Session){
		"restart": func(w *world, _ *Session) { w.restart(); w.run(3 * time.Second) },
		"shut":    func(w *world, _ *Session) { w.e.Shut(); w.pump() },
	} {
		t.Run(name, func(t *testing.T) {
			w, s, id := moved(t)
			w.say("loop-1", protocol.KindPartial, s, id, "b", 1, 1)
			w.say("loop-1", protocol.KindResult, s, id, "r", 1, 2)
			if len(w.done[s]) != 0 {
				t.Fatal("the result overtook its parts")
			}
			end(w, s)
			w.expect(s, id, []byte("r"))
			w.hears("nothing")
		})
	}
}

func TestWhatNobodyWaitsForIsConsumed(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	id := w.submit(s, small)
	w.answerAll()
	part := strings.Repeat("p", 3000)
	w.say("loop-0", protocol.KindPartial, s, id, part, 1, 0)
	w.say("loop-0", protocol.KindProgress, s, id, part, 1, 0)
	w.say("loop-0", protocol.KindPartial, s, id+1<<40, part, 1, 0)
	e := w.broker.routers["loop-0"].ends[42]
	if e.sent-e.consumed >= 2048 {
		t.Errorf("%d of %d bytes are consumed", e.consumed, e.sent)
	}
	w.hears("nothing")
	// Of parts that are heard the application says when.
	id = w.submit(s, small)
	w.settle()
	w.say("loop-0", protocol.KindPartial, s, id, part, 1, 0)
	before := e.consumed
	w.e.Consumed(w.said[0].Source, w.said[0].Weight)
	w.run(time.Second)
	if e.consumed <= before {
		t.Error("a part that was consumed is not told")
	}
}

// TestFirstWordsOfALoopEndNothing: that one is heard for the first time says nothing of parts that come from others.
func TestFirstWordsOfALoopEndNothing(t *testing.T) {
	w := newWorld(t)
	other := w.open()
	s := w.open()
	id := w.submit(s, small)
	w.settle()
	w.say("loop-0", protocol.KindResult, s, id, "all", 1, 1)
	w.broker.refer(w.broker.sessions[other.Number()], "loop-1")
	w.route()
	w.settle()
	if len(w.done[s]) != 0 {
		t.Fatal("the result overtook its part")
	}
	w.say("loop-0", protocol.KindPartial, s, id, "a", 1, 0)
	w.hears("all", "1.0=a")
	w.expect(s, id, []byte("all"))
}
