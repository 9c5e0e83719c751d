package manager

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// steer has a session of the world steered.
func (w *world) steer(number uint32, action string) {
	w.order(session.Order{Steer: &session.Steer{Session: number, Action: action}})
}

// submitAt is submit with a priority.
func (p *party) submitAt(number uint32, seq uint64, payload string, priority int8) {
	o := protocol.TaskOptions{Priority: priority}
	link.AppendTask(p.link, number, protocol.NewTaskID(seq, uint32(seq)), []byte(payload), &o)
}

func TestTasksGoByPriorityAndThenInOrder(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	for n, p := range []int8{0, -5, 3, 0, 127, 3, -128, -5} {
		c.submitAt(1, uint64(n+1), fmt.Sprint(n+1), p)
	}
	w.settle()
	i := w.instance("a", 200, nil)
	var order []string
	for len(i.tasks) > 0 {
		order = append(order, i.tasks[0].payload)
		i.run(1)
		w.settle()
	}
	if want := []string{"5", "3", "6", "1", "4", "2", "8", "7"}; !slices.Equal(order, want) {
		t.Fatalf("executed in order %v, want %v", order, want)
	}
	w.drained()
}

func TestPlainTasksHaveNoExtra(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.submit(1, 1, "plain")
	c.submitAt(1, 2, "high", 1)
	w.settle()
	m := w.core.byID[1]
	if len(m.slab.extras) != 1 {
		t.Fatalf("%d tasks have an extra, want the one with a priority", len(m.slab.extras))
	}
	w.instance("a", 200, nil)
	w.runAll()
	if len(m.slab.extras) != 0 {
		t.Fatalf("%d extras are left", len(m.slab.extras))
	}
	w.drained()
}

func TestSuspendedSessionBeginsNothingMore(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, func(a *session.Admit) { a.Slots = 3 })
	for n := range uint64(8) {
		c.submit(1, n+1, fmt.Sprint(n+1))
	}
	w.settle()
	if len(i.tasks) != 6 {
		t.Fatalf("%d tasks were dispatched", len(i.tasks))
	}
	w.steer(1, protocol.SteerSuspend)
	w.steer(1, protocol.SteerSuspend) // again, without effect
	if len(i.tasks) != 1 || i.returned != 5 {
		t.Fatalf("%d tasks are there and %d were given back, want the one that runs", len(i.tasks), i.returned)
	}
	c.submit(1, 9, "9")
	c.submit(2, 100, "other")
	w.settle()
	w.runAll()
	w.pass(2 * time.Second)
	c.want(t, 1, "r:1")
	c.want(t, 100, "r:other")
	if len(i.tasks) != 0 || len(c.answers) != 2 {
		t.Fatalf("%d tasks were begun while suspended, %d answered", len(i.tasks), len(c.answers))
	}
	if s := w.core.sessions[1]; s.queue.n != 8 || s.waits {
		t.Fatalf("%d wait", s.queue.n)
	}

	w.steer(1, protocol.SteerResume)
	w.steer(1, protocol.SteerResume)
	var order []string
	for len(i.tasks) > 0 {
		order = append(order, i.tasks[0].payload)
		i.run(1)
		w.settle()
	}
	if want := []string{"2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(order, want) {
		t.Fatalf("executed in order %v, want %v", order, want)
	}
	w.drained()
}

func TestSuspendedSuspectsWait(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	a := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	a.die()
	w.steer(1, protocol.SteerSuspend)
	b := w.instance("b", 201, nil)
	w.pass(time.Second)
	if len(b.tasks) != 0 {
		t.Fatal("a suspended suspect was begun")
	}
	w.steer(1, protocol.SteerResume)
	if len(b.tasks) != 1 {
		t.Fatal("a resumed suspect was not begun")
	}
	w.runAll()
	c.want(t, 1, "r:x")
	w.drained()
}

// A suspended session gives its place up to one that has something to do.
func TestSuspendedSessionGivesItsPlaceUp(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1, 2)
	i := w.instance("a", 200, func(a *session.Admit) { a.Sessions = 1 })
	c.submit(1, 1, "1")
	c.submit(1, 2, "2")
	w.settle()
	i.run(1)
	w.steer(1, protocol.SteerSuspend)
	w.runAll()
	c.submit(2, 100, "other")
	w.settle()
	w.runAll()
	c.want(t, 1, "r:1")
	c.want(t, 100, "r:other")
	w.steer(1, protocol.SteerResume)
	w.runAll()
	w.pass(time.Second)
	w.runAll()
	c.want(t, 2, "r:2")
	w.drained()
}

func TestStoppedSessionRefusesFurtherTasks(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	c.submit(1, 1, "1")
	w.settle()
	w.steer(1, protocol.SteerStop)
	w.steer(1, protocol.SteerStop)
	c.submit(1, 2, "2")
	w.settle()
	c.want(t, 2, "!NotAccepting")
	w.instance("a", 200, nil)
	w.runAll()
	c.want(t, 1, "r:1")
	w.steer(1, protocol.SteerAccept)
	w.steer(1, protocol.SteerAccept)
	c.submit(1, 3, "3")
	w.settle()
	w.runAll()
	c.want(t, 3, "r:3")
	w.steer(7, protocol.SteerSuspend) // nobody
	w.drained()
}

// A session that was steered before it had a manager is opened so.
func TestSessionIsOpenedSteered(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.order(session.Order{Open: &session.Open{
		Manager: 1, Session: 1, Client: 100, Bind: protocol.Bind{Session: 1}, TaskCredit: 10, ByteCredit: 1000, Suspended: true,
	}})
	c := w.client(100)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	if len(i.tasks) != 0 {
		t.Fatal("it began a task")
	}
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true}})
	w.drained()
}

// TestRandomSteering lets sessions with tasks of all priorities be suspended, resumed and killed while instances die:
// each task of a session that is not killed is answered once, and none is begun while its session is suspended.
func TestRandomSteering(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.serve(func(s *protocol.Service) { s.Retry.HostLosses = 200 })
		c := w.client(100, 1, 2)
		next := map[uint32]uint64{}
		suspended := map[uint32]bool{}
		live := w.instance("i0", 1000, nil)
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.Uint32Range(1, 2).Draw(t, "session")
			had := map[uint32]int{}
			for _, g := range live.tasks {
				had[g.session]++
			}
			switch rapid.SampledFrom([]string{"submit", "submit", "run", "suspend", "resume", "die", "move"}).Draw(t, "op") {
			case "submit":
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					next[n]++
					c.submitAt(n, next[n], "x", rapid.Int8Range(-2, 2).Draw(t, "priority"))
				}
			case "run":
				live.run(rapid.IntRange(1, 3).Draw(t, "n"))
			case "suspend":
				suspended[n] = true
				w.steer(n, protocol.SteerSuspend)
			case "resume":
				suspended[n] = false
				w.steer(n, protocol.SteerResume)
			case "die":
				live.die()
				live = w.instance(fmt.Sprint("i", step+1), 1001+uint64(step), func(a *session.Admit) { a.Slots = 2 })
				clear(had)
			case "move":
				w.pass(200 * time.Millisecond)
			}
			w.settle()
			now := map[uint32]int{}
			for _, g := range live.tasks {
				now[g.session]++
			}
			for n, yes := range suspended {
				if yes && now[n] > had[n] {
					t.Fatalf("session %d is suspended, had %d tasks at an instance and has %d", n, had[n], now[n])
				}
			}
			if err := w.core.Verify(); err != nil {
				t.Fatal(err)
			}
		}
		for n := range suspended {
			w.steer(n, protocol.SteerResume)
		}
		for range 40 {
			w.runAll()
			w.pass(200 * time.Millisecond)
		}
		for n := range uint64(max(next[1], next[2])) {
			want := 0
			for _, s := range []uint32{1, 2} {
				if n+1 <= next[s] {
					want++
				}
			}
			if got := c.answers[protocol.NewTaskID(n+1, uint32(n+1))]; len(got) != want {
				t.Fatalf("tasks %d were answered %v, want %d answers\n%s", n+1, got, want, w.core.Describe())
			}
		}
		w.drained()
	})
}
