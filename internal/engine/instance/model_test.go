package instance

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
)

// ledger is what a manager knows of the one instance: what it asked, and what it may be answered.
type ledger struct {
	w        *world
	next     uint64
	asked    map[uint32]bool   // Unbind was sent
	sessions map[uint32]bool   // Bind was sent, Unbound was not heard
	bound    map[uint32]bool   // Bound was heard
	open     map[uint64]uint32 // tasks without answer, by session
	order    map[uint32]uint64 // last task of a session that began
	began    map[uint64]bool
	aborted  map[uint64]bool
	stopping map[uint32]int // hooks of a session that was unbound which have not returned
	hooks    map[uint32]int // Bind and Unbind under way
	execs    map[uint32]int
	held     map[uint32]bool // OnSessionBind returned nil and OnSessionUnbind did not run
	runs     []*openRun      // that were cut
}

// openRun is a run of which the last task that was begun has not ended.
type openRun struct {
	run    Run
	job    Job
	begun  int
	unread bool // who runs it has begun the last one and not looked at it yet
}

// TestModel lets a manager that moves, an instance and a network that breaks do whatever comes, and checks every promise: hooks
// never overlap where they must not, order and slots are kept, each task is answered once, and in the end nothing is
// left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 3).Draw(t, "slots")
		l := &ledger{
			w: newWorld(t, Config{Slots: slots}), asked: map[uint32]bool{}, sessions: map[uint32]bool{}, bound: map[uint32]bool{},
			open: map[uint64]uint32{}, order: map[uint32]uint64{}, began: map[uint64]bool{}, aborted: map[uint64]bool{}, stopping: map[uint32]int{}, hooks: map[uint32]int{},
			execs: map[uint32]int{}, held: map[uint32]bool{},
		}
		l.w.run(nil)
		l.listen(t)
		number := rapid.Uint32Range(1, 3)
		t.Repeat(map[string]func(*rapid.T){
			"bind": func(t *rapid.T) {
				if n := number.Draw(t, "session"); !l.sessions[n] {
					l.sessions[n] = true
					l.w.tell(protocol.KindBind, n, 0, protocol.Bind{Session: n})
				}
			},
			"unbind": func(t *rapid.T) { // as on kill: whatever is unanswered is of no interest any more
				if n := number.Draw(t, "session"); l.sessions[n] && !l.asked[n] {
					l.asked[n] = true
					l.w.tell(protocol.KindUnbind, n, 0, nil)
				}
			},
			"dispatch": func(t *rapid.T) {
				n := number.Draw(t, "session")
				if !l.bound[n] || l.asked[n] {
					return
				}
				for range rapid.IntRange(1, 8).Draw(t, "tasks") {
					l.next++
					l.open[l.next] = n
					if rapid.IntRange(0, 7).Draw(t, "external") == 7 {
						l.w.nextH++
						l.w.ends[Data].link.AppendDispatchExternal(n, l.next, 9000, l.w.nextH, &protocol.Execution{ID: protocol.NewTaskID(l.next, 0), Attempt: 1})
					} else {
						l.w.dispatch(n, l.next, fmt.Sprint(l.next))
					}
				}
			},
			"recall": func(t *rapid.T) {
				if l.next > 0 {
					task := rapid.Uint64Range(1, l.next).Draw(t, "task")
					if n, ok := l.open[task]; ok {
						l.w.tell(protocol.KindRecall, n, task, nil)
					}
				}
			},
			"abort": func(t *rapid.T) {
				if l.next > 0 {
					task := rapid.Uint64Range(1, l.next).Draw(t, "task")
					if n, ok := l.open[task]; ok && !l.asked[n] {
						l.aborted[task] = true
						l.w.tell(protocol.KindAbort, n, task, protocol.Errorf(protocol.CodeCancelled, "task", "as drawn"))
					}
				}
			},
			"begin":  func(t *rapid.T) { l.begin(t) },
			"finish": func(t *rapid.T) { l.finish(t) },
			"run":    func(t *rapid.T) { l.run(t) },
			"end":    func(t *rapid.T) { l.endRun(t) },
			"cut":    func(t *rapid.T) { l.w.cut(Line(rapid.IntRange(0, 1).Draw(t, "line"))) },
			"move":   func(t *rapid.T) { l.w.moveManager() },
			"time":   func(t *rapid.T) { l.w.pass(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond) },
			"": func(t *rapid.T) {
				l.listen(t)
				if n := len(l.w.jobs) + len(l.runs); n > slots {
					t.Fatalf("%d jobs with %d slots", n, slots)
				}
			},
		})
		l.close(t)
	})
}

func (l *ledger) begin(t *rapid.T) {
	n := len(l.w.jobs)
	l.w.begin()
	for _, job := range l.w.jobs[n:] {
		s := job.Session.Bind.Session
		switch job.Kind {
		case Bind, Unbind:
			if l.hooks[s] > 0 || l.execs[s] > 0 || l.held[s] != (job.Kind == Unbind) {
				t.Fatalf("%v of session %d with %d hooks and %d tasks of it under way, held: %v", job.Kind, s, l.hooks[s], l.execs[s], l.held[s])
			}
			l.hooks[s]++
		case Exec:
			l.begins(t, &job)
		case Create, Destroy:
			t.Fatalf("%v in the middle of life", job.Kind)
		}
	}
}

// begins notes that a task begins.
func (l *ledger) begins(t *rapid.T, job *Job) {
	s, task := job.Session.Bind.Session, uint64(job.ID.Sequence())
	if l.hooks[s] > 0 || !l.held[s] {
		t.Fatalf("a task of session %d runs with %d hooks of it under way, held: %v", s, l.hooks[s], l.held[s])
	}
	if l.began[task] || task <= l.order[s] {
		t.Fatalf("task %d of session %d begins after %d; twice: %v", task, s, l.order[s], l.began[task])
	}
	if job.Handle == 0 && string(job.Payload) != fmt.Sprint(task) || job.Attempt != 1 {
		t.Fatalf("task %d, attempt %d, has payload %q", task, job.Attempt, job.Payload)
	}
	l.began[task], l.order[s] = true, task
	l.execs[s]++
}

// run lets some tasks of a run begin, of which the last may take its time.
func (l *ledger) run(t *rapid.T) {
	l.w.pump()
	var o openRun
	if !o.run.Begin(l.w.e, &o.job) {
		return
	}
	s := o.job.Session.Bind.Session
	n := rapid.IntRange(1, o.run.Count()).Draw(t, "begun")
	for o.begun < n {
		if o.begun++; o.begun > 1 {
			l.execs[s]--
		}
		if o.begun == n && rapid.Bool().Draw(t, "unread") {
			o.unread = true
			next := o.run // which it will read
			next.Next(&o.job)
		} else {
			o.run.Next(&o.job)
		}
		l.begins(t, &o.job)
		if o.begun < n && !o.run.Answer(&o.job, o.job.Payload) {
			t.Fatal("an answer has no room")
		}
	}
	l.runs = append(l.runs, &o)
	if rapid.Bool().Draw(t, "cut") {
		o.run.Cut(l.w.e, o.begun)
	} else {
		l.endRun(t)
	}
}

// endRun ends the run that was begun last.
func (l *ledger) endRun(t *rapid.T) {
	n := len(l.runs) - 1
	if n < 0 {
		return
	}
	o := l.runs[n]
	l.runs = l.runs[:n]
	l.execs[o.job.Session.Bind.Session]--
	if o.unread {
		task := o.job.task
		if o.run.Next(&o.job); o.job.task != task {
			t.Fatalf("what was begun as %d is read as %d", task, o.job.task)
		}
	}
	var out *Outcome
	if rapid.Bool().Draw(t, "odd") {
		out = &Outcome{Err: protocol.Errorf(protocol.CodeTaskFailed, "test", "as drawn")}
	} else if !o.run.Answer(&o.job, o.job.Payload) {
		t.Fatal("an answer has no room")
	}
	o.run.End(l.w.e, l.w.now, &o.job, o.begun, out)
}

func (l *ledger) finish(t *rapid.T) {
	if len(l.w.jobs) == 0 {
		return
	}
	i := rapid.IntRange(0, len(l.w.jobs)-1).Draw(t, "job")
	fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
	job := l.w.jobs[i]
	s := job.Session.Bind.Session
	l.w.finish(i, func(job *Job, out *Outcome) {
		if fails {
			out.Err = protocol.Errorf(protocol.CodeTaskFailed, "test", "as drawn")
			out.Result = nil
		} else if job.Handle != 0 {
			l.w.external(out, 9000)
		}
	})
	switch job.Kind {
	case Bind:
		l.hooks[s]--
		l.held[s] = !fails
	case Unbind:
		l.hooks[s]--
		l.held[s] = false
	default:
		l.execs[s]--
	}
}

// listen takes what the instance says and strikes it out.
func (l *ledger) listen(t *rapid.T) {
	for _, s := range l.w.heard() {
		switch s.kind {
		case protocol.KindHello:
		case protocol.KindBound:
			if !l.sessions[s.session] || l.bound[s.session] {
				t.Fatalf("%+v was not asked for", s)
			}
			l.bound[s.session] = true
		case protocol.KindRefused, protocol.KindUnbound:
			if !l.sessions[s.session] && !l.asked[s.session] {
				t.Fatalf("%+v was not asked for", s)
			}
			for task, n := range l.open {
				if n == s.session {
					delete(l.open, task)
				}
			}
			delete(l.bound, s.session)
			delete(l.sessions, s.session)
			if s.kind == protocol.KindUnbound {
				delete(l.asked, s.session)
				delete(l.stopping, s.session)
			} else if l.asked[s.session] {
				l.sessions[s.session] = true // Unbound is still to come
			}
		case protocol.KindStopping:
			if s.task == 0 {
				if l.stopping[s.session]++; !l.asked[s.session] || l.stopping[s.session] > 3 {
					t.Fatalf("%+v, and Unbind was sent: %v", s, l.asked[s.session])
				}
			} else if _, open := l.open[s.task]; !l.aborted[s.task] || open && !l.began[s.task] { // or it was answered meanwhile
				t.Fatalf("%+v: to be ended %v, began %v", s, l.aborted[s.task], l.began[s.task])
			}
		case protocol.KindResult, protocol.KindFailure, protocol.KindRecalled:
			back := s.kind == protocol.KindRecalled || s.kind == protocol.KindFailure && l.aborted[s.task] && !l.began[s.task]
			if n, ok := l.open[s.task]; !ok || n != s.session || l.began[s.task] == back {
				t.Fatalf("%+v: session %d, open %v, began %v", s, n, ok, l.began[s.task])
			}
			delete(l.open, s.task)
			if l.asked[s.session] && l.stopping[s.session] > 0 {
				l.stopping[s.session]--
			}
		default:
			t.Fatalf("the instance said %+v", s)
		}
	}
}

// close brings everything to an end and looks for what is left.
func (l *ledger) close(t *rapid.T) {
	settle := func() {
		for range 60 {
			l.w.pass(time.Second)
			l.begin(t)
			for len(l.w.jobs) > 0 {
				l.finish(t)
			}
			for len(l.runs) > 0 {
				l.endRun(t)
			}
			l.listen(t)
		}
	}
	settle()
	for task, n := range l.open {
		if !l.asked[n] {
			t.Fatalf("task %d of session %d is never answered", task, n)
		}
	}
	for n := range uint32(4) {
		if l.sessions[n] && !l.asked[n] {
			l.asked[n] = true
			l.w.tell(protocol.KindUnbind, n, 0, nil)
		}
	}
	settle()
	if len(l.sessions) > 0 || len(l.w.handles) > 0 || len(l.w.e.roster.sessions) > 0 || len(l.w.e.roster.turns.active) > 0 {
		t.Fatalf("left: sessions %v, handles %v, at the instance %d and %d", l.sessions, l.w.handles, len(l.w.e.roster.sessions), len(l.w.e.roster.turns.active))
	}
}

// runs runs all tasks, whose payloads are their results.
func (w *world) runs(run *Run, job *Job) {
	var odd Outcome
	for run.Begin(w.e, job) {
		begun := 0
		for odd.Result = nil; begun < run.Count() && odd.Result == nil; begun++ {
			if run.Next(job); !run.Answer(job, job.Payload) {
				odd.Result = job.Payload
			}
		}
		if odd.Result == nil {
			run.End(w.e, w.now, job, begun, nil)
		} else {
			run.End(w.e, w.now, job, begun, &odd)
		}
	}
}

// TestHotPathAllocations lets bursts of tasks through an engine, from their frame to that of the results: nothing is
// allocated for a task, and memory for payloads, which are the hooks' for good, once for thousands.
func TestHotPathAllocations(t *testing.T) {
	w := serving(t, Config{}, 1)
	d := w.ends[Data]
	var frame []byte
	task := uint64(0)
	var (
		run Run
		job Job
	)
	payload := []byte("0123456789abcdef")
	burst := func() {
		for range 500 {
			task++
			d.link.AppendDispatch(1, task, payload, &protocol.Execution{ID: protocol.NewTaskID(task, 0), Attempt: 1})
		}
		for _, f := range d.node.Take(nil) {
			_, frame, _, _ = f.Leave()
			w.e.Receive(w.now, Data, frame, nil)
			f.Sent()
		}
		w.runs(&run, &job)
		w.e.Account(500, time.Millisecond)
		w.batch.Reset()
		w.e.Take(&w.batch)
		for _, f := range w.batch.Frames[Data] {
			_, frame, _, _ = f.Leave()
			h, _, err := protocol.ParseHeader(frame)
			if err != nil {
				t.Fatal(err)
			}
			d.link.Receive(h, len(frame))
			f.Sent()
		}
	}
	for range 50 {
		burst()
	}
	// One for the slice that the test's own Take returns.
	if n := testing.AllocsPerRun(100, burst); n > 1 {
		t.Errorf("%v allocations for a burst of 500 tasks, want 1", n)
	}
}

func BenchmarkEngine(b *testing.B) {
	w := serving(b, Config{}, 1)
	d := w.ends[Data]
	var (
		run Run
		job Job
	)
	payload := []byte("0123456789abcdef")
	b.ReportAllocs()
	for done := 0; done < b.N; done += 500 {
		for i := range uint64(500) {
			d.link.AppendDispatch(1, i+1, payload, &protocol.Execution{ID: protocol.NewTaskID(i+1, 0), Attempt: 1})
		}
		for _, f := range d.node.Take(nil) {
			_, frame, _, _ := f.Leave()
			w.e.Receive(w.now, Data, frame, nil)
			f.Sent()
		}
		w.runs(&run, &job)
		w.batch.Reset()
		w.e.Take(&w.batch)
		for _, f := range w.batch.Frames[Data] {
			_, frame, _, _ := f.Leave()
			h, _, _ := protocol.ParseHeader(frame)
			d.link.Receive(h, len(frame))
			f.Sent()
		}
	}
}
