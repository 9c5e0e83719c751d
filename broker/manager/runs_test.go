package manager

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Frames of all that tasks can be, in any mixture and order, are taken, dispatched and answered task by task as they are
// alone, wherever a run ends: every task has one answer, its own, and what is counted adds up. The world checks the lists,
// credits and bytes of the core after each step.
func TestRunsEndAnywhere(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		w.serve(nil)
		c := w.client(100, 1, 2)
		instances := w.instancesOf(1, "a", "b")[:1+r.IntN(2)]
		w.known(1)
		for _, i := range instances {
			i.executed(1000, time.Millisecond)
		}
		w.settle()

		want := map[uint64]string{} // by sequence; those of session 2 are odd
		var in, out [3]uint64
		var submitted, retried [3]uint64
		submit := func(number uint32, seq uint64, payload string) {
			id := uint64(protocol.NewTaskID(seq, uint32(seq)))
			switch r.IntN(12) {
			case 0:
				c.link.Append(protocol.KindTask, number, id, []byte(payload))
				c.link.Append(protocol.KindTask, number, id, []byte(payload)) // a duplicate
			case 1:
				w.submitWith(100, number, seq, payload, &protocol.TaskOptions{Priority: int8(r.IntN(3) - 1)})
			case 2:
				payload = strings.Repeat(payload, protocol.InlinePayload)
				c.submit(number, seq, payload)
			case 3:
				c.link.Append(protocol.KindCredit, 0, 0, nil) // something else in between
				c.submit(number, seq, payload)
			default:
				c.submit(number, seq, payload)
			}
			submitted[number]++
			in[number] += uint64(len(payload))
			out[number] += uint64(len("r:" + payload))
			want[seq] = "r:" + payload
		}
		next := [3]uint64{0, 2, 1}
		for range 10 {
			for range r.IntN(60) {
				number := uint32(1)
				if r.IntN(8) == 0 {
					number = 2
				}
				submit(number, next[number], strings.Repeat("p", 1+r.IntN(2)))
				next[number] += 2
			}
			w.settle()
			for _, i := range instances {
				if r.IntN(3) == 0 { // not in order
					r.Shuffle(len(i.tasks), func(a, b int) { i.tasks[a], i.tasks[b] = i.tasks[b], i.tasks[a] })
				}
				if len(i.tasks) > 0 && r.IntN(3) == 0 { // an attempt that fails, and is repeated
					g := i.tasks[0]
					i.tasks = i.tasks[1:]
					i.link.Append(protocol.KindFailure, g.session, g.id, protocol.Marshal(
						&protocol.Error{Code: protocol.CodeTaskFailed, Msg: "once", Retry: 1}))
					retried[g.session]++
				}
				i.run(r.IntN(100))
				i.executed(10, time.Microsecond)
			}
			w.settle()
			w.pass(time.Duration(r.IntN(200)) * time.Millisecond)
		}
		for range 100 {
			w.pass(time.Second)
			w.runAll()
		}
		for seq, answer := range want {
			if got := c.answers[protocol.NewTaskID(seq, uint32(seq))]; len(got) != 1 || got[0] != answer {
				t.Fatalf("seed %d: task %d was answered %.40q, want %.40q once", seed, seq, got, answer)
			}
		}
		for n := uint32(1); n <= 2; n++ {
			s := w.stats(n)
			got := fmt.Sprint(s.Submitted, s.Done, s.Failed, s.BytesIn, s.BytesOut, s.Retried, s.Queued.N())
			if exp := fmt.Sprint(submitted[n], submitted[n], 0, in[n], out[n], retried[n], submitted[n]); got != exp {
				t.Errorf("seed %d: session %d counts (submitted, done, failed, bytes in, bytes out, retried, queued) %s, want %s", seed, n, got, exp)
			}
		}
		w.drained()
	}
}

// A run takes no more than the session's credit, in tasks and in bytes; what is over is refused, each for itself.
func TestRunsStopAtTheCredit(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	s := w.core.sessions[1]
	s.credit = 5
	for seq := range uint64(8) {
		c.submit(1, seq+1, "x")
	}
	w.settle()
	if s.unfinished() != 5 || s.stats.Refused != 3 {
		t.Fatalf("%d tasks are taken and %d refused, want 5 and 3", s.unfinished(), s.stats.Refused)
	}
	w.instance("a", 200, nil)
	w.settle()
	w.runAll()
	s.credit, s.allowed = 100, 10
	for seq := uint64(6); seq < 12; seq++ {
		c.link.Append(protocol.KindTask, 1, uint64(protocol.NewTaskID(seq, uint32(seq))), []byte("four"))
	}
	w.settle()
	w.runAll()
	if s.done != 7 || s.stats.Refused != 7 {
		t.Fatalf("%d tasks are done and %d were refused, want 7 and 7", s.done, s.stats.Refused)
	}
	w.drained()
}

// A task and its result cost the core no allocation, whether it comes with others or alone.
func TestTasksAllocateNothing(t *testing.T) {
	p := newPlainPath(t)
	for _, n := range []int{1, 7, 1024} {
		for range 20 {
			p.round(n)
		}
		if allocs := testing.AllocsPerRun(100, func() { p.round(n) }); allocs >= 1 {
			t.Errorf("%v allocations for %d tasks", allocs, n)
		}
	}
}
