package instance

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

var byTest = protocol.Errorf(protocol.CodeCancelled, "task", "by test")

func TestAbort(t *testing.T) {
	w := serving(t, Config{}, 1)
	w.dispatch(1, 1, "a")
	w.dispatch(1, 2, "b")
	w.dispatch(1, 3, "c")
	w.begin()
	w.tell(protocol.KindAbort, 1, 2, byTest) // has not begun
	w.tell(protocol.KindAbort, 1, 1, byTest) // runs
	w.tell(protocol.KindRecall, 1, 2, nil)   // is over
	w.want("abort", said{kind: protocol.KindFailure, session: 1, task: 2, body: string(protocol.Marshal(byTest))},
		said{kind: protocol.KindStopping, session: 1, task: 1})
	if len(w.aborts) != 1 || !w.aborts[0].For(&w.jobs[0]) || w.aborts[0].Err.Code != protocol.CodeCancelled {
		t.Fatalf("ordered %+v", w.aborts)
	}
	w.finish(0, func(_ *Job, out *Outcome) { out.Err = protocol.Errorf(protocol.CodeTaskFailed, "test", "ended") })
	w.run(nil)
	w.want("rest", said{kind: protocol.KindFailure, session: 1, task: 1, body: "*"}, said{kind: protocol.KindResult, session: 1, task: 3, body: "c"})
	w.tell(protocol.KindAbort, 1, 3, byTest) // was answered
	w.tell(protocol.KindAbort, 9, 3, byTest) // of a session that is not here
	w.want("too late")
	// One that runs is not taken for another one.
	w.dispatch(1, 4, "d")
	w.begin()
	w.tell(protocol.KindAbort, 1, 4, byTest)
	w.pump()
	if o := w.aborts[len(w.aborts)-1]; !o.For(&w.jobs[0]) || w.aborts[0].For(&w.jobs[0]) {
		t.Fatalf("ordered %+v", w.aborts)
	}
	w.finish(0, nil) // it had a result nevertheless
	w.want("result", said{kind: protocol.KindStopping, session: 1, task: 4}, said{kind: protocol.KindResult, session: 1, task: 4, body: "d"})
}

func TestAbortOfTheLastTaskThatWaits(t *testing.T) {
	w := serving(t, Config{}, 1, 2)
	w.dispatch(1, 1, "a")
	w.begin()
	w.dispatch(2, 2, "b")
	w.tell(protocol.KindAbort, 2, 2, byTest)
	w.want("abort", said{kind: protocol.KindFailure, session: 2, task: 2, body: "*"})
	w.finish(0, nil)
	w.run(nil)
	w.dispatch(2, 3, "c")
	w.run(nil)
	w.want("next", said{kind: protocol.KindResult, session: 1, task: 1, body: "a"}, said{kind: protocol.KindResult, session: 2, task: 3, body: "c"})
}

func TestLimits(t *testing.T) {
	w := serving(t, Config{}, 1)
	for i, x := range []protocol.Execution{
		{}, {Timeout: 3 * time.Second}, {Run: time.Second, Watch: true}, {Timeout: 3 * time.Second, Run: 5 * time.Second, Watch: true},
	} {
		x.ID, x.Attempt = protocol.NewTaskID(uint64(i)+1, 0), 1
		w.ends[Data].link.AppendDispatch(1, uint64(i)+1, nil, &x)
	}
	w.pump()
	arrived := w.now
	w.now = w.now.Add(2 * time.Second)
	for i, want := range []time.Duration{0, 3 * time.Second, 3 * time.Second, 3 * time.Second} {
		w.begin()
		job := &w.jobs[0]
		due := job.Limits.DueFrom(w.now)
		if (want == 0) != due.IsZero() || want > 0 && due.Sub(arrived) != want {
			t.Errorf("task %d is due %v after it arrived, want %v", i+1, due.Sub(arrived), want)
		}
		var told []said
		if i >= 2 {
			told = []said{{kind: protocol.KindStarted, session: 1, task: uint64(i) + 1}}
		}
		w.want("beginning", told...)
		w.finish(0, nil)
		w.heard()
	}
}

func TestDismissedWithAHookThatDoesNotEnd(t *testing.T) {
	w := serving(t, Config{Slots: 2}, 1)
	w.dispatch(1, 1, "a")
	w.dispatch(1, 2, "b")
	w.dispatch(1, 3, "c")
	w.begin()
	w.tell(protocol.KindLeave, 0, 0, byTest)
	w.pump()
	if w.begin() {
		t.Fatalf("%v begins", w.jobs[len(w.jobs)-1].Kind)
	}
	w.pass(time.Second)
	if w.e.State() != Ended || !w.e.Abandons() || protocol.CodeOf(w.e.Err()) != protocol.CodeCancelled {
		t.Fatalf("state %v, %v", w.e.State(), w.e.Err())
	}
	if s := w.ends[Control].said; s[len(s)-1].kind != protocol.KindBye {
		t.Fatalf("said at last %+v", s[len(s)-1])
	}
	w.finish(0, nil) // a hook returns after all
	if w.begin() {
		t.Fatal("it goes on")
	}
}
