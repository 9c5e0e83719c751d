package instance

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// begun brings an instance into the second of four tasks of a run.
func begunRun(t *testing.T) (w *world, run *Run, job *Job) {
	w, run, job = serving(t, Config{Slots: 2}, 1), new(Run), new(Job)
	for n := range uint64(4) {
		w.dispatch(1, n+1, "x")
	}
	w.pump()
	if !run.Begin(w.e, job) || run.Count() != 4 {
		t.Fatalf("a run of %d tasks, want 4", run.Count())
	}
	run.Next(job)
	run.Answer(job, []byte("one"))
	run.Next(job)
	return w, run, job
}

// What has not begun when the session was let go meanwhile is dropped with it.
func TestRunOfASessionThatIsLetGo(t *testing.T) {
	w, run, job := begunRun(t)
	w.e.Stop(w.now)
	w.e.Tick(w.now.Add(time.Hour)) // the manager is silent
	run.Answer(job, nil)
	run.End(w.e, w.now, job, 2, nil)
	var next Job
	if run.Begin(w.e, job) || !w.e.Next(&next) || next.Kind != Unbind {
		t.Errorf("next is hook %d, want that of the session's end", next.Kind)
	}
	if n := w.e.roster.sessions[0].queue.size(); n != 0 {
		t.Errorf("%d tasks are queued", n)
	}
}

// What a cut run still answers is not told to a manager that is another one.
func TestRunThatOutlivesItsManager(t *testing.T) {
	w, run, job := begunRun(t)
	run.Cut(w.e, 2)
	w.want("the cut", said{kind: protocol.KindResult, session: 1, task: 1, body: "one"})
	run.Cut(w.e, 2) // changes nothing
	w.renew(Data)
	w.pass(time.Minute)
	w.heard()
	run.Answer(job, []byte("two"))
	run.End(w.e, w.now, job, 2, nil)
	w.want("the end")
}

// A goroutine that has begun the last task of a run, and has not read it yet, finds it where it was, whatever has come since
// the run was cut.
func TestCutRunKeepsWhatWasBegun(t *testing.T) {
	w, run, job := begunRun(t)
	run.Answer(job, []byte("two"))
	run.Next(job)
	run.Answer(job, []byte("three"))
	run.Cut(w.e, 4)
	for n := range uint64(4) {
		w.dispatch(1, n+11, "y")
	}
	w.pump()
	run.Next(job)
	if job.task != 4 || string(job.Payload) != "x" {
		t.Fatalf("the last is task %d with payload %q, want 4 with x", job.task, job.Payload)
	}
	run.Answer(job, []byte("four"))
	run.End(w.e, w.now, job, 4, nil)
	var next Run
	if !next.Begin(w.e, job) || next.Count() != 4 {
		t.Fatalf("%d tasks follow, want 4", next.Count())
	}
	if next.Next(job); job.task != 11 {
		t.Errorf("task %d follows, want 11", job.task)
	}
}
