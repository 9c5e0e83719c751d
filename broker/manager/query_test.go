package manager

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// ask asks something, and gives the one answer.
func (w *world) ask(q session.Query) *session.Answer {
	w.t.Helper()
	q.ID = uint64(len(w.notes)) + 1000
	w.order(session.Order{Query: &q})
	var found *session.Answer
	for _, n := range w.notes {
		if n.Answer != nil && n.Answer.ID == q.ID {
			if found != nil {
				w.t.Fatalf("two answers")
			}
			found = n.Answer
		}
	}
	if found == nil {
		w.t.Fatalf("no answer")
	}
	return found
}

// task asks for one task.
func (w *world) task(number uint32, sequence uint64) *session.Answer {
	w.t.Helper()
	return w.ask(session.Query{Task: &protocol.TaskRef{Session: number, Sequence: sequence}})
}

// events gives what was told to the event log of a session.
func (w *world) events(number uint32) (told []string) {
	for _, n := range w.notes {
		if n.Event != nil && n.Event.Session == number {
			told = append(told, n.Event.Kind+": "+n.Event.Detail)
		}
	}
	return told
}

func TestTasksAreToldOf(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	for n := range uint64(5) {
		c.submit(1, n+1, "12345")
	}
	w.settle()
	if a := w.task(1, 5); a.Error != nil || a.Task.State != protocol.TaskQueued || a.Task.Size != 5 || a.Task.Task != protocol.NewTaskID(5, 5) {
		t.Fatalf("%+v, %v", a.Task, a.Error)
	}
	if a := w.task(1, 1); a.Task.State != protocol.TaskScheduled || a.Task.Container != "a" || a.Task.Node != "node-a" {
		t.Fatalf("%+v", a.Task)
	}
	i.run(1)
	w.settle()
	if a := w.task(1, 1); a.Task.State != protocol.TaskOver || a.Task.Sequence != 1 {
		t.Fatalf("%+v", a.Task)
	}
	c.submit(1, 6, "") // after somebody has asked
	w.settle()
	if a := w.task(1, 6); a.Error != nil || a.Task.Sequence != 6 {
		t.Fatalf("%+v", a)
	}
	for _, q := range []protocol.TaskRef{{Session: 1, Sequence: 7}, {Session: 1}, {Session: 2, Sequence: 1}} {
		if a := w.task(q.Session, q.Sequence); a.Error == nil || a.Task != nil {
			t.Fatalf("%+v: %+v", q, a)
		}
	}
	if a := w.ask(session.Query{}); a.Error.Code != protocol.CodeUnknownKind {
		t.Fatalf("%+v", a)
	}
	w.runAll()
	w.drained()
}

func TestPagesOfTasksAreInOrderAndWhole(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	for n := range uint64(100) { // in an order of its own, beside another session's
		c.submit(1, n*37%100+1, "")
		c.submit(2, n+1, "")
	}
	w.settle()
	for _, limit := range []int{1, 7, 50, 99, 100, 0} {
		var got, want []uint64
		after := ""
		for pages := 0; ; pages++ {
			a := w.ask(session.Query{Tasks: &protocol.ListRequest{Session: 1, Limit: limit, After: after}})
			for _, e := range a.Tasks.Entries {
				got = append(got, e.Sequence)
				after = strconv.FormatUint(e.Sequence, 10)
			}
			if !a.Tasks.More {
				break
			}
			if len(a.Tasks.Entries) != limit || pages > 100 {
				t.Fatalf("a page of %d with %d", limit, len(a.Tasks.Entries))
			}
		}
		for n := range uint64(100) {
			want = append(want, n+1)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("limit %d: %d", limit, got)
		}
	}
	if a := w.ask(session.Query{Tasks: &protocol.ListRequest{Session: 9}}); a.Error == nil {
		t.Fatal("of a session that is not there")
	}
}

func TestEventsDoNotFlood(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.client(100, 1)
	s := w.core.sessions[1]
	for n := range 100_000 {
		s.happened(protocol.EventRetry, "task %d", n)
	}
	s.happened(protocol.EventCancel, "another kind")
	w.pass(900 * time.Millisecond)
	alone := []string{"retry: task 0", "retry: task 1", "retry: task 2", "cancel: another kind"}
	if got := w.events(1); !slices.Equal(got, alone) {
		t.Fatalf("told were %q", got)
	}
	w.pass(200 * time.Millisecond)
	if got := w.events(1); !slices.Equal(got[4:], []string{"retry: 99997 more like these"}) {
		t.Fatalf("then told were %q", got[4:])
	}
	before := len(w.events(1))
	for range 3600 { // an hour of it
		for range 10 {
			s.happened(protocol.EventRetry, "again")
		}
		w.now = w.now.Add(time.Second)
		w.core.Tick(w.now)
	}
	w.settle()
	if n := len(w.events(1)) - before; n < 50 || n > 80 {
		t.Fatalf("an hour of events made %d lines", n)
	}
	w.pass(3 * time.Minute)
	s.happened(protocol.EventRetry, "after a while")
	s.happened(protocol.EventRetry, "after a while")
	s.happened(protocol.EventRetry, "after a while")
	s.happened(protocol.EventRetry, "the end")
	w.order(session.Order{Close: &session.Close{Session: 1}})
	got := w.events(1)
	if tail := got[len(got)-4:]; !slices.Equal(tail, []string{"retry: after a while", "retry: after a while", "retry: after a while", "retry: 1 more like these"}) {
		t.Fatalf("at the end %q", tail)
	}
}
