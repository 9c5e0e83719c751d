package instance

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

func TestTablesAreWhole(t *testing.T) {
	if got := life.Reachable(Connecting); len(got) != int(Ended)+1 {
		t.Errorf("reachable states of an instance: %v", got)
	}
	if got := seats.Reachable(binding); len(got) != int(gone)+1 {
		t.Errorf("reachable states of a session: %v", got)
	}
	for c := range life.Cells() {
		if c.From == Ended && c.Refused == "" {
			t.Errorf("%v leads out of the end", c.On)
		}
		if c.To < c.From {
			t.Errorf("%v leads from %v back to %v", c.On, c.From, c.To)
		}
	}
	for c := range seats.Cells() {
		if c.To < c.From {
			t.Errorf("%v leads from %v back to %v", c.On, c.From, c.To)
		}
	}
}

func TestLifeInOrder(t *testing.T) {
	w := newWorld(t, Config{})
	w.pump()
	var job Job
	if !w.e.Next(&job) || job.Kind != Create || w.e.State() != Creating {
		t.Fatalf("job %v in state %v, want Create in creating", job.Kind, w.e.State())
	}
	if w.ends[Data].dialed != "" {
		t.Error("the loop was dialled before OnCreateService has returned")
	}
	w.e.Done(w.now, &job, &Outcome{})
	w.pump()
	if w.ends[Data].dialed != refer || w.e.State() != Serving {
		t.Fatalf("dialled %q in state %v", w.ends[Data].dialed, w.e.State())
	}
	w.heard()
	w.tell(protocol.KindBind, 5, 0, protocol.Bind{Session: 5, Name: "n"})
	w.run(nil)
	w.want("bind", said{kind: protocol.KindBound, session: 5})
	w.dispatch(5, 9, "x")
	w.run(nil)
	w.want("task", said{kind: protocol.KindResult, session: 5, task: 9, body: "x"})
	w.tell(protocol.KindUnbind, 5, 0, nil)
	w.run(nil)
	w.want("unbind", said{kind: protocol.KindUnbound, session: 5})
	w.tell(protocol.KindLeave, 0, 0, nil)
	w.begin()
	if len(w.jobs) != 1 || w.jobs[0].Kind != Destroy {
		t.Fatalf("jobs %+v, want Destroy", w.jobs)
	}
	w.finish(0, nil)
	w.pass(time.Second)
	if w.e.State() != Ended || w.e.Err() != nil {
		t.Errorf("state %v, error %v", w.e.State(), w.e.Err())
	}
	if last := w.ends[Control].said[len(w.ends[Control].said)-1]; last.kind != protocol.KindBye {
		t.Errorf("the last word was %+v, want BYE", last)
	}
	if _, ok := w.e.Deadline(); ok {
		t.Error("an ended instance waits for something")
	}
}

func TestTurnsAndOrder(t *testing.T) {
	w := serving(t, Config{}, 1, 2, 3)
	for i, s := range []uint32{1, 1, 1, 1, 2, 2, 3} {
		w.dispatch(s, uint64(i+1), "")
	}
	w.run(nil)
	var order []uint64
	for _, s := range w.heard() {
		order = append(order, s.task)
	}
	if want := []uint64{1, 5, 7, 2, 6, 3, 4}; !slices.Equal(order, want) {
		t.Errorf("ran %v, want %v: by turns of sessions, in order within each", order, want)
	}
}

// A session whose tasks come one by one never waits for two of another that keeps its queue filled.
func TestLonelySessionGoesFirst(t *testing.T) {
	w := serving(t, Config{}, 1, 2)
	w.dispatch(1, 1, "")
	w.dispatch(2, 100, "")
	var order []uint64
	for i := range uint64(6) {
		w.begin()
		order = append(order, w.jobs[0].task)
		// While it runs, its own session gets the next one first.
		if i%2 == 0 {
			w.dispatch(1, i+2, "")
		} else {
			w.dispatch(1, i+2, "")
			w.dispatch(2, 101+i, "")
		}
		w.finish(0, nil)
	}
	if want := []uint64{1, 100, 2, 102, 3, 104}; !slices.Equal(order, want) {
		t.Errorf("ran %v, want %v", order, want)
	}
}

func TestSlotsBoundJobs(t *testing.T) {
	w := serving(t, Config{Slots: 3}, 1)
	for i := range uint64(5) {
		w.dispatch(1, i+1, "")
	}
	w.begin()
	if len(w.jobs) != 3 || w.e.Ready() != 0 {
		t.Errorf("%d jobs, %d more ready, want 3 and none", len(w.jobs), w.e.Ready())
	}
	w.finish(1, nil)
	if w.e.Ready() != 1 {
		t.Errorf("%d ready, want 1", w.e.Ready())
	}
}

func TestRecall(t *testing.T) {
	w := serving(t, Config{}, 1)
	for i := range uint64(4) {
		w.dispatch(1, i+1, "x")
	}
	w.begin() // task 1 runs
	for _, n := range []uint64{1, 3, 99, 4, 3} {
		w.tell(protocol.KindRecall, 1, n, nil)
	}
	w.tell(protocol.KindRecall, 8, 1, nil)
	w.want("recall", said{kind: protocol.KindRecalled, session: 1, task: 3}, said{kind: protocol.KindRecalled, session: 1, task: 4})
	w.finish(0, nil)
	w.run(nil)
	w.want("the rest", said{kind: protocol.KindResult, session: 1, task: 1, body: "x"}, said{kind: protocol.KindResult, session: 1, task: 2, body: "x"})
}

func TestTaskOfUnknownSessionGoesBack(t *testing.T) {
	w := serving(t, Config{})
	w.dispatch(4, 1, "x")
	w.want("task", said{kind: protocol.KindRecalled, session: 4, task: 1})
	w.tell(protocol.KindUnbind, 4, 0, nil)
	w.want("unbind", said{kind: protocol.KindUnbound, session: 4})
}

func TestUnbindWaitsForWhatRuns(t *testing.T) {
	w := serving(t, Config{Slots: 2}, 1, 2)
	w.dispatch(1, 1, "a")
	w.dispatch(1, 2, "b")
	w.dispatch(1, 3, "c")
	w.begin()
	w.tell(protocol.KindUnbind, 1, 0, nil)
	w.tell(protocol.KindBind, 1, 0, protocol.Bind{Session: 1, Name: "again"})
	w.pump()
	if len(w.cancels) != 1 || w.cancels[0].Bind.Session != 1 {
		t.Errorf("cancelled %v, want session 1", w.cancels)
	}
	if w.finish(0, nil); w.begin() {
		t.Errorf("%v begins while a task of its session runs", w.jobs[len(w.jobs)-1].Kind)
	}
	w.finish(0, nil)
	w.begin()
	if len(w.jobs) != 1 || w.jobs[0].Kind != Unbind {
		t.Fatalf("jobs %+v, want Unbind alone", w.jobs)
	}
	w.finish(0, nil)
	w.begin()
	if len(w.jobs) != 1 || w.jobs[0].Kind != Bind || w.jobs[0].Session.Bind.Name != "again" {
		t.Fatalf("jobs %+v, want Bind", w.jobs)
	}
	w.finish(0, nil)
	w.want("unbind", said{kind: protocol.KindStopping, session: 1}, said{kind: protocol.KindStopping, session: 1},
		said{kind: protocol.KindResult, session: 1, task: 1, body: "a"}, said{kind: protocol.KindResult, session: 1, task: 2, body: "b"},
		said{kind: protocol.KindUnbound, session: 1}, said{kind: protocol.KindBound, session: 1})
}

func TestUnbindDuringBind(t *testing.T) {
	for name, c := range map[string]struct {
		err  *protocol.Error
		want []said
	}{
		"returns nil": {nil, []said{{kind: protocol.KindBound, session: 1}, {kind: protocol.KindUnbound, session: 1}}},
		"fails":       {&protocol.Error{Code: protocol.CodeBindFailed}, []said{{kind: protocol.KindRefused, session: 1, body: "*"}, {kind: protocol.KindUnbound, session: 1}}},
	} {
		w := serving(t, Config{})
		w.tell(protocol.KindBind, 1, 0, protocol.Bind{Session: 1})
		w.begin()
		w.tell(protocol.KindUnbind, 1, 0, nil)
		w.pump()
		w.finish(0, func(_ *Job, out *Outcome) { out.Err = c.err })
		w.run(nil)
		w.want(name, append([]said{{kind: protocol.KindStopping, session: 1}}, c.want...)...)
	}
}

func TestResultsAreBounded(t *testing.T) {
	w := serving(t, Config{}, 1)
	for i := range uint64(10) {
		w.dispatch(1, i+1, "")
	}
	w.pump()
	w.cut(Data) // nothing is acknowledged from now on
	big := func(_ *Job, out *Outcome) { w.external(out, 4<<20) }
	ran := 0
	var job Job
	for w.e.Next(&job) {
		w.jobs = append(w.jobs, job)
		w.finish(0, big)
		ran++
		w.take()
	}
	if ran != 4 {
		t.Errorf("%d results of 4 MiB are held, want 4", ran)
	}
	for range 3 { // as the manager acknowledges
		w.pass(3 * time.Second)
		w.run(big)
	}
	var results []uint64
	for _, s := range w.heard() {
		if s.kind == protocol.KindResult {
			results = append(results, s.task)
		}
	}
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(results, want) {
		t.Errorf("results %v after the conversation was resumed, want %v", results, want)
	}
	w.pass(3 * time.Second)
	if len(w.handles) != 0 {
		t.Errorf("handles %v are never released", w.handles)
	}
}

func TestPanicDrains(t *testing.T) {
	w := serving(t, Config{}, 1)
	w.dispatch(1, 1, "")
	w.dispatch(1, 2, "")
	w.begin()
	w.finish(0, func(_ *Job, out *Outcome) {
		out.Err, out.Panicked = &protocol.Error{Code: protocol.CodeTaskPanicked}, true
	})
	if w.begin() {
		t.Error("a job begins after a panic")
	}
	w.tell(protocol.KindRecall, 1, 2, nil)
	w.tell(protocol.KindBind, 2, 0, protocol.Bind{Session: 2}) // crossed with Drain: not refused, which would end the session
	w.want("panic", said{kind: protocol.KindFailure, session: 1, task: 1, body: "*"}, said{kind: protocol.KindDrain},
		said{kind: protocol.KindRecalled, session: 1, task: 2})
	w.tell(protocol.KindUnbind, 1, 0, nil)
	w.tell(protocol.KindUnbind, 2, 0, nil)
	w.run(nil)
	w.want("let go", said{kind: protocol.KindUnbound, session: 2}, said{kind: protocol.KindUnbound, session: 1})
	w.tell(protocol.KindLeave, 0, 0, nil)
	w.run(nil)
	w.pass(time.Second)
	if w.e.State() != Ended || protocol.CodeOf(w.e.Err()) != protocol.CodeTaskPanicked {
		t.Errorf("state %v, error %v", w.e.State(), w.e.Err())
	}
}

func TestDrainWaitsWhileTheManagerIsThere(t *testing.T) {
	w := serving(t, Config{Grace: time.Second, Patience: 2 * time.Second}, 1)
	w.dispatch(1, 1, "x")
	w.begin()
	w.e.Stop(w.now)
	w.pass(time.Minute)
	if w.e.State() != Draining || !w.all {
		t.Errorf("state %v, contexts ended %v: want draining for as long as the task takes, without its context", w.e.State(), w.all)
	}
	w.cut(Data)
	w.ends[Data].refuse = protocol.Errorf(protocol.CodeUnavailable, "hello", "gone")
	w.pass(3 * time.Second)
	if w.e.State() != Leaving {
		t.Errorf("state %v, want leaving when the manager is gone", w.e.State())
	}
	w.finish(0, nil)
	w.begin()
	if len(w.jobs) != 1 || w.jobs[0].Kind != Unbind {
		t.Fatalf("jobs %+v, want Unbind", w.jobs)
	}
	w.run(nil)
	w.finish(0, nil)
	w.run(nil)
	w.pass(time.Second)
	if w.e.State() != Ended || w.e.Err() != nil {
		t.Errorf("state %v, error %v", w.e.State(), w.e.Err())
	}
}

func TestStopAtEachMoment(t *testing.T) {
	for name, c := range map[string]struct {
		jobs []JobKind
		when func(w *world)
	}{
		"before the broker":    {nil, func(*world) {}},
		"during create":        {[]JobKind{Create, Destroy}, func(w *world) { w.begin() }},
		"during failed create": {[]JobKind{Create}, func(w *world) { w.begin() }},
	} {
		w := newWorld(t, Config{})
		c.when(w)
		w.e.Stop(w.now)
		w.pump()
		var ran []JobKind
		for range 5 {
			for len(w.jobs) > 0 {
				ran = append(ran, w.jobs[0].Kind)
				w.finish(0, func(_ *Job, out *Outcome) {
					if strings.Contains(name, "failed") {
						out.Err = &protocol.Error{Code: protocol.CodeCreateFailed}
					}
				})
			}
			w.begin()
		}
		w.pass(time.Second)
		if !slices.Equal(ran, c.jobs) || w.e.State() != Ended {
			t.Errorf("%s: ran %v, want %v; state %v", name, ran, c.jobs, w.e.State())
		}
		if len(c.jobs) > 0 && !w.all {
			t.Errorf("%s: OnCreateService was not told to end", name)
		}
	}
}

func TestCreateFails(t *testing.T) {
	w := newWorld(t, Config{})
	w.begin()
	w.finish(0, func(_ *Job, out *Outcome) { out.Err = protocol.Errorf(protocol.CodeCreateFailed, "create", "no model") })
	w.run(nil)
	w.pass(time.Second)
	if w.e.State() != Ended || !errors.Is(w.e.Err(), &protocol.Error{Code: protocol.CodeCreateFailed}) {
		t.Errorf("state %v, error %v", w.e.State(), w.e.Err())
	}
	var kinds []protocol.Kind
	for _, s := range w.ends[Control].said {
		kinds = append(kinds, s.kind)
	}
	if want := []protocol.Kind{protocol.KindHello, protocol.KindInstanceFailed, protocol.KindBye}; !slices.Equal(kinds, want) {
		t.Errorf("told %v, want %v", kinds, want)
	}
}

func TestRefusedByLoopForGood(t *testing.T) {
	w := newWorld(t, Config{})
	w.ends[Data].refuse = protocol.Errorf(protocol.CodeInstanceRejected, "hello", "who?")
	w.run(nil)
	w.pass(protocol.PeerTimeout / 2)
	if w.e.State() != Serving {
		t.Errorf("state %v after half of the time-out, want serving: it may be known in a moment", w.e.State())
	}
	w.pass(protocol.PeerTimeout)
	w.run(nil)
	w.pass(time.Second)
	if w.e.State() != Ended || protocol.CodeOf(w.e.Err()) != protocol.CodeInstanceRejected {
		t.Errorf("state %v, error %v", w.e.State(), w.e.Err())
	}
}

func TestTriesEndpointsInTurn(t *testing.T) {
	w := newWorld(t, Config{Endpoints: []string{"tcp://a", "tcp://b"}})
	w.ends[Control].refuse = protocol.Errorf(protocol.CodeUnavailable, "hello", "standby")
	w.pump()
	for _, want := range []string{"tcp://a", "tcp://b", "tcp://a", "tcp://b"} {
		if w.ends[Control].dialed != want {
			t.Errorf("dialled %q, want %q", w.ends[Control].dialed, want)
		}
		w.pass(switchAfter + protocol.Heartbeat/2)
	}
	w.ends[Control].refuse = nil
	w.run(nil)
	w.pass(switchAfter)
	w.run(nil)
	at := w.ends[Control].dialed
	w.cut(Control)
	w.ends[Control].refuse = protocol.Errorf(protocol.CodeUnavailable, "hello", "restarting")
	w.pass(protocol.PeerTimeout / 2)
	if w.ends[Control].dialed != at {
		t.Error("a broker that was there is given up at once")
	}
	w.pass(protocol.PeerTimeout/2 + 2*protocol.Heartbeat/2)
	if w.ends[Control].dialed == at {
		t.Error("a broker that is gone is not given up")
	}
}

func TestBlockedSocket(t *testing.T) {
	w := newWorld(t, Config{})
	w.e.Blocked(Control)
	w.pass(time.Minute)
	if len(w.ends[Control].said) != 0 {
		t.Error("HELLO was said while there is no connection")
	}
	w.e.Writable(w.now, Control)
	w.run(nil)
	if w.e.State() != Serving {
		t.Errorf("state %v", w.e.State())
	}
	w.e.Broken(w.now, Data)
	w.ends[Data].dialed = ""
	w.pass(time.Second)
	if w.ends[Data].dialed != refer {
		t.Error("a broken socket was not replaced")
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	w := serving(t, Config{}, 1)
	for _, frame := range []string{"", "x", strings.Repeat("\x96", 200)} {
		w.nextH++
		w.handles[w.nextH]++
		w.e.Receive(w.now, Data, []byte(frame), []protocol.Handle{w.nextH})
	}
	w.pump()
	if len(w.handles) != 0 {
		t.Errorf("handles %v of garbage are never released", w.handles)
	}
	w.dispatch(1, 1, "x")
	w.run(nil)
	w.want("after it", said{kind: protocol.KindResult, session: 1, task: 1, body: "x"})
}
