package instance

import (
	"math"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// running brings the world to an instance at which task 9 of session 5 runs, and gives its job.
func running(t *testing.T) (*world, *Job) {
	w := serving(t, Config{Slots: 2}, 5)
	w.dispatch(5, 9, "x")
	w.begin()
	if len(w.jobs) != 1 || w.jobs[0].Kind != Exec {
		t.Fatalf("jobs %+v, want the task", w.jobs)
	}
	return w, &w.jobs[0]
}

func mustEmit(t *testing.T, w *world, job *Job, part string) {
	t.Helper()
	if wait, err := Emit(w.e, job, []byte(part)); wait != nil || err != nil {
		t.Fatalf("a part of %d bytes: to wait %t, %v", len(part), wait != nil, err)
	}
}

func TestPartsGoBeforeTheResult(t *testing.T) {
	w, job := running(t)
	mustEmit(t, w, job, "a")
	mustEmit(t, w, job, "")
	mustEmit(t, w, job, "b")
	w.finish(0, nil)
	part := said{kind: protocol.KindPartial, session: 5, task: 9}
	a, b := part, part
	a.body, b.body = "a", "b"
	w.want("parts", a, part, b, said{kind: protocol.KindResult, session: 5, task: 9, body: "x"})
	if len(w.e.roster.streams) != 0 {
		t.Error("the stream of a task that has ended is kept")
	}
}

func TestWindowOfParts(t *testing.T) {
	w, job := running(t)
	part := strings.Repeat("p", protocol.PartialWindow/2)
	mustEmit(t, w, job, part)
	mustEmit(t, w, job, part)
	wait, err := Emit(w.e, job, nil)
	if wait == nil || err != nil {
		t.Fatalf("a part beyond the window: to wait %t, %v", wait != nil, err)
	}
	grant := func(task uint64, n int64) []*Stream {
		w.tell(protocol.KindPartialGrant, 5, task, protocol.PartialGrant{Bytes: n})
		w.deliver()
		w.take()
		return append([]*Stream(nil), w.batch.Granted...)
	}
	if got := grant(8, 1<<20); got != nil {
		t.Error("the grant of another task opened the window")
	}
	if got := grant(9, 100); got != nil {
		t.Error("a window that is full still was opened")
	}
	if got := grant(9, 100); len(got) != 1 || got[0] != wait {
		t.Errorf("woken %v, want the one who waits", got)
	}
	mustEmit(t, w, job, "")
	if got := grant(9, math.MaxInt64); got != nil || wait.out != 0 {
		t.Errorf("woken %v while nobody waits, %d bytes out after everything was granted", got, wait.out)
	}
	if got := grant(9, -5); got != nil || wait.out != 0 {
		t.Errorf("a grant of less than nothing left %d bytes out", wait.out)
	}
}

func TestWhoWaitsHearsThatTheManagerIsGone(t *testing.T) {
	w, job := running(t)
	mustEmit(t, w, job, strings.Repeat("p", protocol.PartialWindow))
	if wait, _ := Emit(w.e, job, nil); wait == nil {
		t.Fatal("the window has no end")
	}
	w.cut(Data)
	w.renew(Data) // another process
	woken := 0
	for range 100 {
		w.now = w.now.Add(protocol.Heartbeat / 2)
		w.e.Tick(w.now)
		for busy := true; busy; {
			busy = w.take()
			woken += len(w.batch.Granted)
			w.deliver()
		}
	}
	if woken != 1 || len(w.e.roster.streams) != 0 {
		t.Fatalf("%d were woken, %d streams outlive their manager", woken, len(w.e.roster.streams))
	}
	if wait, err := Emit(w.e, job, nil); wait != nil || protocol.CodeOf(err) != protocol.CodeUnavailable {
		t.Errorf("a part for a manager that is gone: to wait %t, %v", wait != nil, err)
	}
	if Progress(w.e, w.now, job, 1, "") {
		t.Error("progress for a manager that is gone is something to be done")
	}
}

func progressOf(t *testing.T, s said) protocol.Progress {
	t.Helper()
	var p protocol.Progress
	if s.kind != protocol.KindProgress || protocol.Unmarshal(s.kind, []byte(s.body), &p) != nil {
		t.Fatalf("%+v, want progress", s)
	}
	return p
}

func TestProgressIsToldNowAndThen(t *testing.T) {
	w, job := running(t)
	if !Progress(w.e, w.now, job, 1, "first") {
		t.Error("the first word is nothing to be done")
	}
	if got := w.heard(); len(got) != 1 || progressOf(t, got[0]) != (protocol.Progress{Percent: 1, Text: "first", Attempt: 1}) {
		t.Fatalf("said %+v, want the first word at once", got)
	}
	if !Progress(w.e, w.now, job, 2, "") {
		t.Error("no timer for the second word")
	}
	if Progress(w.e, w.now, job, 3, "") {
		t.Error("another timer for the third word")
	}
	if at, _ := w.e.Deadline(); at.Sub(w.now) > progressEvery {
		t.Errorf("the next word is due in %v", at.Sub(w.now))
	}
	w.pass(progressEvery)
	if got := w.heard(); len(got) != 1 || progressOf(t, got[0]).Percent != 3 {
		t.Fatalf("said %+v, want the third word alone", got)
	}
	Progress(w.e, w.now, job, math.NaN(), strings.Repeat("ä", protocol.MaxText))
	Progress(w.e, w.now, job, 400, "last")
	w.finish(0, nil)
	got := w.heard()
	if len(got) != 2 || progressOf(t, got[0]) != (protocol.Progress{Percent: 100, Text: "last", Attempt: 1}) || got[1].kind != protocol.KindResult {
		t.Errorf("said %+v, want the last word and the result", got)
	}
}

func TestProgressIsWithinBounds(t *testing.T) {
	w, job := running(t)
	Progress(w.e, w.now, job, math.NaN(), strings.Repeat("ä", protocol.MaxText))
	if got := w.heard(); len(got) != 1 || progressOf(t, got[0]).Percent != 0 || len(progressOf(t, got[0]).Text) > protocol.MaxText {
		t.Errorf("said %+v", got)
	}
}

// answers takes what the engine has for its shell.
func (w *world) answers() []Answer {
	w.take()
	return append([]Answer(nil), w.batch.Answers...)
}

func TestDataOfASession(t *testing.T) {
	w, job := running(t)
	s := job.Session
	put := Put(w.e, s, protocol.PutData{Key: "k", Value: []byte("v")})
	get := Get(w.e, s, "k")
	dropped := Get(w.e, s, "other")
	Forget(w.e, dropped)
	got := w.heard()
	if len(got) != 3 || got[0].kind != protocol.KindPutData || got[0].task != put || got[1].kind != protocol.KindGetData || got[1].task != get {
		t.Fatalf("said %+v, want the requests in order", got)
	}
	w.tell(protocol.KindDone, 5, put, nil)
	w.tell(protocol.KindSessionData, 5, get, protocol.SessionData{Key: "k", Value: []byte("v"), Found: true})
	w.tell(protocol.KindError, 5, dropped, protocol.Error{Code: protocol.CodeOverloaded})
	w.tell(protocol.KindDone, 5, 99, nil)
	w.deliver()
	a := w.answers()
	if len(a) != 2 || a[0].Request != put || a[0].Err != nil || a[1].Request != get || string(a[1].Value) != "v" || !a[1].Found {
		t.Errorf("answers %+v", a)
	}
	put = Put(w.e, s, protocol.PutData{Key: "k"})
	w.heard()
	w.tell(protocol.KindError, 5, put, protocol.Error{Code: protocol.CodeOverloaded})
	w.deliver()
	if a := w.answers(); len(a) != 1 || protocol.CodeOf(a[0].Err) != protocol.CodeOverloaded {
		t.Errorf("answers %+v, want that the session has no room", a)
	}
}

// deliver hands the instance what its manager said, without taking what it says.
func (w *world) deliver() {
	for _, f := range w.ends[Data].node.Take(nil) {
		if _, records, payloads, ok := f.Leave(); ok {
			w.e.Receive(w.now, Data, records, payloads)
		}
		f.Sent()
	}
}

func TestDataGoesWithItsManager(t *testing.T) {
	w, job := running(t)
	s := job.Session
	Put(w.e, s, protocol.PutData{Key: "k"})
	w.cut(Data)
	w.renew(Data)
	var got []Answer
	for range 100 {
		w.now = w.now.Add(protocol.Heartbeat / 2)
		w.e.Tick(w.now)
		for busy := true; busy; {
			busy = w.take()
			got = append(got, w.batch.Answers...)
			w.deliver()
		}
		if len(got) > 0 {
			break
		}
	}
	if len(got) != 1 || protocol.CodeOf(got[0].Err) != protocol.CodeUnavailable {
		t.Fatalf("answers %+v, want that the manager is gone", got)
	}
	id := Get(w.e, s, "k")
	if a := w.answers(); len(a) != 1 || a[0].Request != id || protocol.CodeOf(a[0].Err) != protocol.CodeUnavailable {
		t.Errorf("answers %+v to a request of a session of a manager that is gone", a)
	}
}
