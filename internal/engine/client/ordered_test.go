package client

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/protocol"
)

// ordered submits ordered tasks and gives them.
func (w *world) ordered(s *Session, n int, payload []byte) (all []Ref) {
	for range n {
		all = append(all, w.start(s, Task{Payload: payload, Ordered: true}))
	}
	w.settle()
	return all
}

func TestOrdered(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	all := w.ordered(s, 10, small)
	h := w.broker.sessions[s.number]
	loose := w.submit(s, small)
	w.settle()
	w.broker.answer(h, 10, false) // the loose one
	for range 9 {
		w.broker.answer(h, len(h.queue)-1, len(h.queue)%3 == 0) // the last first, failures among them
	}
	w.route()
	w.settle()
	w.expect(s, loose, small)
	if len(w.order) != 1 {
		t.Fatalf("%d tasks have ended before the first", len(w.order)-1)
	}
	w.answerAll()
	failed := 0
	for i, c := range w.order[1:] {
		if c.Task != all[i].ID() {
			t.Fatalf("task %v is told of in place %d", c.Task, i)
		}
		if c.Err != nil {
			failed++
		}
	}
	if len(w.order) != 11 || failed != 3 {
		t.Errorf("%d tasks have ended, %d failed", len(w.order), failed)
	}
	if s.tasks != 0 || s.kept != 10 || s.keptBytes != int64(10*len(small)) {
		t.Errorf("%d are unfinished, %d are kept with %d bytes", s.tasks, s.kept, s.keptBytes)
	}
	for _, r := range all {
		r.Delivered()
	}
	if s.kept != 0 || s.keptBytes != 0 || len(w.e.free) != len(w.e.slots) {
		t.Errorf("%d are kept, %d of %d slots are free", s.kept, len(w.e.free), len(w.e.slots))
	}
}

// TestOrderedKeepsItsCredit: what is not delivered has its place in the window, so that not more than the window is kept.
func TestOrderedKeepsItsCredit(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	all := w.ordered(s, 64, small)
	w.answerAll()
	if w.e.Outstanding() != 0 || w.e.Room(s, 1) {
		t.Fatalf("%d are unfinished, room: %t", w.e.Outstanding(), w.e.Room(s, 1))
	}
	w.e.Close(s, protocol.CloseFinish) // does not wait for anybody to take them
	w.settle()
	if n := w.notes[len(w.notes)-1]; !n.Ended || n.Err != nil {
		t.Errorf("last note %+v, want the end in order", n)
	}
	all[0].Delivered()
	if s.kept != 63 {
		t.Errorf("%d are kept", s.kept)
	}
}

// TestOrderedWithSpentCredit: results that wait for an earlier one do not keep the credit that its result needs.
func TestOrderedWithSpentCredit(t *testing.T) {
	for _, size := range []int{1000, 9000} {
		w := newWorld(t) // which takes 8 KiB of results
		s := w.open()
		all := w.ordered(s, 20, make([]byte, size))
		h, e := w.broker.sessions[s.number], w.broker.routers["loop-0"].ends[42]
		for range 19 {
			w.broker.answer(h, 1, false)
			w.route()
			w.settle()
			if e.sent-e.consumed >= e.credit {
				t.Fatalf("%d bytes are not consumed, the credit is %d: the first result does not come", e.sent-e.consumed, e.credit)
			}
		}
		w.answerAll()
		if len(w.order) != 20 || w.order[0].Task != all[0].ID() {
			t.Fatalf("%d tasks have ended", len(w.order))
		}
		for i, c := range w.order {
			if want := uint32(0); i > 0 && c.Size != want || i == 0 && c.Size != uint32(size) {
				t.Errorf("result %d counts %d bytes of credit", i, c.Size)
			}
		}
	}
}

// TestOrderedAndGivenUp: a task whose time is over does not hold up those after it.
func TestOrderedAndGivenUp(t *testing.T) {
	w := newWorld(t)
	w.broker.stubborn = true
	s := w.open()
	first := w.start(s, Task{Payload: small, Ordered: true, Options: protocol.TaskOptions{Timeout: time.Second}})
	rest := w.ordered(s, 2, small)
	h := w.broker.sessions[s.number]
	w.broker.answer(h, 1, false)
	w.route()
	w.run(1100 * time.Millisecond)
	if len(w.order) != 2 || !w.order[0].Early || w.order[1].Task != rest[0].ID() {
		t.Fatalf("told of: %+v", w.order)
	}
	first.Delivered()
	if s.kept != 1 { // of rest
		t.Errorf("%d are kept", s.kept)
	}
	w.answerAll()
	if !w.stopped[first.Slot()] || first.slot().session != nil {
		t.Error("its slot was not given back")
	}
	for _, r := range rest {
		r.Delivered()
	}
	if len(w.e.free) != len(w.e.slots) {
		t.Errorf("%d of %d slots are free", len(w.e.free), len(w.e.slots))
	}
}

// TestOrderedIsTheOrderOfSubmission also where a task waits for others: it is sent later, and told of in its place.
func TestOrderedIsTheOrderOfSubmission(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	first := w.submit(s, small)
	held := w.start(s, Task{Payload: small, Ordered: true, After: []uint32{first.Slot()}})
	next := w.ordered(s, 1, small)[0]
	w.answerAll()
	w.answerAll()
	if len(w.order) != 3 || w.order[1].Task.Slot() != held.Slot() || w.order[2].Task != next.ID() {
		t.Errorf("told of: %+v", w.order)
	}
}

// TestEveryTaskEndsOnce submits tasks of all kinds while the network and the broker fail, refuse and are replaced, and
// tasks are cancelled. In the end each was told of exactly once, the ordered ones in order, none whose forerunner failed
// has a result, and nothing is left over.
func TestEveryTaskEndsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.broker.retryAfter = 300 * time.Millisecond
		sessions := []*Session{w.open(), w.open()}
		type entry struct {
			ref     Ref
			after   []int
			ordered bool
			end     *Completion
			busy    bool // its slot is its own
		}
		var tasks []*entry
		of := map[uint32]*entry{} // by slot
		seen := 0
		told := map[*Session][]*entry{}
		look := func() {
			for ; seen < len(w.order); seen++ {
				c := w.order[seen]
				w.e.Consumed(c.Source, int64(c.Size))
				at := c.Task.Slot()
				e := of[at]
				if e == nil || e.end != nil {
					rt.Fatalf("the completion of %v is for nobody, or a second one", c.Task)
				}
				e.end = &c
				if e.ordered {
					told[c.Session] = append(told[c.Session], e)
					if rapid.Bool().Draw(rt, "taken") {
						e.ref.Delivered()
						e.ordered = false
					}
				}
				if !c.Early && !e.ordered {
					e.busy = false
				}
			}
			for at := range w.stopped {
				if e := of[at]; e != nil && !e.ordered {
					e.busy = false
				}
			}
			clear(w.stopped)
		}
		wireOf := func(dead bool) *wire {
			for _, i := range rapid.Permutation([]int{0, 1, 2, 3}).Draw(rt, "wires") {
				if i < len(w.lines) && w.lines[i].dead == dead {
					return w.lines[i]
				}
			}
			return nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) {
				look()
				if err := Verify(w.e); err != nil {
					rt.Fatal(err)
				}
			},
			"start": func(rt *rapid.T) {
				s := sessions[rapid.IntRange(0, 1).Draw(rt, "of")]
				size := rapid.SampledFrom([]int{0, 16, 5000, 9000}).Draw(rt, "size")
				for range rapid.IntRange(1, 6).Draw(rt, "tasks") {
					if !w.e.Room(s, size) {
						return
					}
					e := &entry{ordered: rapid.Bool().Draw(rt, "ordered"), busy: true}
					task := Task{Payload: make([]byte, size), Ordered: e.ordered}
					if rapid.IntRange(0, 3).Draw(rt, "timed") == 0 {
						task.Options.Timeout = time.Duration(rapid.IntRange(10, 20_000).Draw(rt, "ms")) * time.Millisecond
					}
					for i, t := range tasks {
						if t.end == nil && t.busy && rapid.IntRange(0, 5).Draw(rt, "after") == 0 {
							e.after = append(e.after, i)
							task.After = append(task.After, t.ref.Slot())
						}
					}
					e.ref = w.start(s, task)
					of[e.ref.Slot()] = e
					tasks = append(tasks, e)
					look()
				}
			},
			"cancel": func(rt *rapid.T) {
				if len(tasks) > 0 {
					if e := tasks[rapid.IntRange(0, len(tasks)-1).Draw(rt, "which")]; e.end == nil {
						e.ref.Cancel()
						w.pump() // who uses a Ref looks first
					}
				}
			},
			"cancel all": func(rt *rapid.T) {
				if rapid.IntRange(0, 5).Draw(rt, "chance") == 0 {
					sessions[rapid.IntRange(0, 1).Draw(rt, "of")].CancelAll()
					w.pump()
				}
			},
			"refuse":   func(rt *rapid.T) { w.broker.overload = rapid.IntRange(0, 8).Draw(rt, "tasks") },
			"stubborn": func(*rapid.T) { w.broker.stubborn = !w.broker.stubborn },
			"carry": func(*rapid.T) {
				w.pump()
				for _, l := range slices.Clone(w.lines) {
					for len(l.out) > 0 && !l.dead {
						w.up(l)
					}
					for len(l.in) > 0 && !l.dead {
						w.down(l)
					}
				}
			},
			"answer": func(rt *rapid.T) {
				for _, n := range w.numbers() {
					if s := w.broker.sessions[n]; !s.closed && len(s.queue) > 0 {
						w.broker.answer(s, rapid.IntRange(0, len(s.queue)-1).Draw(rt, "task"), rapid.IntRange(0, 4).Draw(rt, "fails") == 0)
					}
				}
				w.route()
			},
			"time": func(rt *rapid.T) {
				w.step(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
				w.broker.beat()
				w.route()
			},
			"vanish": func(*rapid.T) {
				if l := wireOf(false); l != nil {
					w.kill(l)
				}
			},
			"revive": func(*rapid.T) {
				if l := wireOf(true); l != nil {
					w.revive(l)
				}
			},
			"replace": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "chance") == 0 {
					overload, wait := w.broker.overload, w.broker.retryAfter
					w.restart()
					w.broker.overload, w.broker.retryAfter = overload, wait
				}
			},
		})
		for _, l := range w.lines {
			if l.dead {
				w.revive(l)
			}
		}
		w.broker.overload = 0
		for range 30 {
			w.run(time.Second)
			w.answerAll()
			look()
		}
		for i, e := range tasks {
			if e.end == nil {
				rt.Fatalf("task %d, %v, has not ended\n%s", i, e.ref.ID(), w.dump())
			}
			for _, j := range e.after {
				if e.end.Err == nil && tasks[j].end.Err != nil {
					rt.Fatalf("task %v has a result, and one that it waited for has none", e.end.Task)
				}
			}
		}
		for _, s := range sessions {
			if !slices.IsSortedFunc(told[s], func(a, b *entry) int { return slices.Index(tasks, a) - slices.Index(tasks, b) }) {
				rt.Fatal("ordered tasks were told of out of order")
			}
			for _, e := range told[s] {
				if e.ordered {
					e.ref.Delivered()
				}
			}
			if s.tasks != 0 || s.bytes != 0 || s.kept != 0 || s.keptBytes != 0 || len(s.order) != 0 {
				rt.Fatalf("%d tasks with %d bytes are left, %d with %d are kept", s.tasks, s.bytes, s.kept, s.keptBytes)
			}
		}
		if len(w.e.alarms) != 0 || len(w.early) != 0 {
			rt.Fatalf("%d alarms are left, and %d tasks have not stopped", len(w.e.alarms), len(w.early))
		}
		checkNothingLeft(rt, w)
	})
}

// TestOrderedAndGivenUpIsTakenByTheApplication: the answer of a task that was given up, and whose end waits for those before
// it, is kept at the broker until the application has that end.
func TestOrderedAndGivenUpIsTakenByTheApplication(t *testing.T) {
	w := newWorld(t)
	w.broker.stubborn = true
	s := w.e.Open(protocol.OpenSession{Service: "echo", Disconnect: protocol.DisconnectKeep}, 0, 0)
	w.settle()
	w.ordered(s, 1, small)
	second := w.start(s, Task{Payload: small, Ordered: true, Options: protocol.TaskOptions{Timeout: time.Second}})
	id := second.ID()
	w.settle()
	w.run(1100 * time.Millisecond)
	if !second.slot().told() || len(w.order) != 0 {
		t.Fatalf("it was not given up, or told of before the first: %+v", w.order)
	}
	w.broker.answer(w.broker.sessions[s.number], 1, false)
	w.route()
	w.settle()
	if _, waits := s.tenure.untaken[id]; !waits {
		t.Fatal("the broker was told that its answer was taken")
	}
	w.answerAll()
	if len(w.order) != 2 || w.order[1].Task != id || len(s.tenure.untaken) != 2 {
		t.Fatalf("told of: %+v, not taken are %v", w.order, s.tenure.untaken)
	}
	for _, c := range w.order {
		Taken(s, c.Task)
	}
	if len(s.tenure.untaken) != 0 || s.tenure.untold() != 0 {
		t.Errorf("not taken are %v", s.tenure.untaken)
	}
}
