package manager

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// keeping opens a kept session and connects its client.
func (w *world) keeping(inc uint64, n uint32) *party {
	w.order(session.Order{Open: &session.Open{
		Manager: 1, Session: n, Client: inc, Bind: protocol.Bind{Session: n}, TaskCredit: 100, ByteCredit: 32 << 20, Keep: true,
	}})
	return w.client(inc)
}

func (w *world) detach(n uint32) {
	w.order(session.Order{Detach: &session.Detach{Session: n}})
}

// attach gives a session to a client, and what was told of it.
func (w *world) attach(n uint32, inc uint64) *session.Attached {
	w.t.Helper()
	w.order(session.Order{Attach: &session.Attach{Session: n, Client: inc}})
	for _, note := range slices.Backward(w.notes) {
		if note.Attached != nil {
			return note.Attached
		}
	}
	w.t.Fatalf("nothing was told")
	return nil
}

// comes gives a session to a client, which connects then.
func (w *world) comes(n uint32, inc uint64) (*party, *session.Attached) {
	told := w.attach(n, inc)
	return w.client(inc), told
}

// taken tells that results were taken.
func (p *party) taken(n uint32, sequences ...uint64) {
	var ids []uint64
	for _, seq := range sequences {
		ids = append(ids, uint64(protocol.NewTaskID(seq, uint32(seq))))
	}
	p.link.Append(protocol.KindTaken, n, 0, protocol.Marshal(protocol.Taken{Tasks: ids}))
	p.w.settle()
}

// got gives the answers of a client by sequence.
func (p *party) got() string {
	var all []string
	for id, answers := range p.answers {
		all = append(all, fmt.Sprintf("%d:%s", id.Sequence(), strings.Join(answers, "+")))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// A task of a kept session that is given up at an instance is not expected to have a result any more: otherwise the other
// sessions of its client, whose credit is spent by it, wait for ever.
func TestKeptTasksThatAreGivenUpAreExpectedNoMore(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.keeping(100, 1)
	a.submit(1, 1, "one")
	i := w.instance("a", 200, nil)
	w.runAll()
	a.submit(1, 2, "two")
	w.settle()
	if w.core.promised == 0 || len(i.tasks) != 1 {
		t.Fatalf("%d bytes are expected of %d tasks", w.core.promised, len(i.tasks))
	}
	a.cancel(1, 2)
	w.runAll()
	if w.core.promised != 0 {
		t.Fatalf("%d bytes are expected of no task", w.core.promised)
	}
}

// A session that is taken by force while it is closed, and unbound still, ends for the client that it was taken from.
func TestWhoIsClosingHearsThatItsSessionWasTaken(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.keeping(100, 1)
	a.submit(1, 1, "one")
	w.settle()
	i := w.instance("a", 200, nil)
	w.runAll()
	a.taken(1, 1)
	i.hold = true
	w.order(session.Order{Close: &session.Close{Session: 1}})
	w.order(session.Order{Attach: &session.Attach{Session: 1, Client: 101}})
	if !slices.Equal(a.refused, []string{"record"}) {
		t.Fatalf("it was told %v", a.refused)
	}
}

// Who has a session no more is told which of its times is over: it may have come back by then.
func TestWhoLosesASessionHearsWhichTenure(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.keeping(100, 1)
	give := func(client, tenure uint64) {
		w.order(session.Order{Attach: &session.Attach{Session: 1, Client: client, Tenure: tenure}})
		if n := w.notes[len(w.notes)-1].Attached; n == nil || n.Tenure != tenure || n.Client != client {
			t.Fatalf("told was %+v", w.notes[len(w.notes)-1])
		}
	}
	give(101, 1)
	b := w.client(101)
	give(100, 2)
	give(100, 2) // it has asked again
	w.detach(1)
	give(101, 3)
	a.link.Append(protocol.KindDetachSession, 1, 7, protocol.Marshal(protocol.DetachSession{Session: 1, Tenure: 2})) // late
	b.link.Append(protocol.KindDetachSession, 1, 1, protocol.Marshal(protocol.DetachSession{Session: 1, Tenure: 3}))
	w.settle()
	var said []session.Leave
	for _, n := range w.notes {
		if n.Leave != nil {
			said = append(said, *n.Leave)
		}
	}
	if !slices.Equal(said, []session.Leave{{Session: 1, Client: 101, Tenure: 3, Referrals: 1}}) {
		t.Fatalf("passed on was %+v", said)
	}
	w.settle()
	if !slices.Equal(a.tenures, []uint64{0, 2}) || !slices.Equal(b.tenures, []uint64{1}) {
		t.Fatalf("told was %v and %v", a.tenures, b.tenures)
	}
}

func TestKeptResultsAreForWhoeverComes(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.keeping(100, 1)
	big := strings.Repeat("x", protocol.InlinePayload)
	a.submit(1, 1, "one")
	a.submit(1, 2, big)
	a.submit(1, 3, "three")
	w.settle()
	i := w.instance("a", 200, nil)
	w.runAll()
	if a.got() != "1:r:one 2:r:"+big+" 3:r:three" {
		t.Fatal("not all was answered")
	}
	a.taken(1, 1, 1, 7)
	a.submit(1, 4, "four")
	a.submit(1, 5, "five")
	w.settle()
	i.run(1)
	w.settle()
	w.detach(1)
	w.detach(1)
	if !slices.Equal(a.refused, []string{"record"}) {
		t.Fatalf("its client was told %v", a.refused)
	}
	before := a.got()
	w.runAll() // five is executed without a client
	a.submit(1, 6, "too late")
	w.settle()
	if len(i.tasks) != 0 || a.got() != before {
		t.Fatal("a client that has left got something, or had something executed")
	}

	b, n := w.comes(1, 101)
	if n.Next != 6 || n.Untold != 4 || n.Client != 101 || n.Session != 1 {
		t.Fatalf("told was %+v", n)
	}
	if want := "2:r:" + big + " 3:r:three 4:r:four 5:r:five"; b.got() != want {
		t.Fatalf("%s", b.got())
	}
	b.taken(1, 2, 3)
	a.taken(1, 4) // who has left has no say
	b.submit(1, 6, "six")
	w.settle()
	w.runAll()
	b.want(t, 6, "r:six")

	c, n := w.comes(1, 102) // takes it from who is there
	if n.Next != 7 || n.Untold != 3 {
		t.Fatalf("told was %+v", n)
	}
	if c.got() != "4:r:four 5:r:five 6:r:six" || !slices.Equal(b.refused, []string{"record"}) {
		t.Fatalf("%s, and the one before was told %v", c.got(), b.refused)
	}
	c.taken(1, 4, 5, 6)
	if n = w.attach(1, 102); n.Untold != 0 || len(c.answers) != 3 { // asked again
		t.Fatalf("told was %+v", n)
	}
	w.drained()
	for _, inc := range []uint64{100, 101} {
		if !slices.ContainsFunc(w.notes, func(n session.Note) bool { return n.Left != nil && n.Left.Client == inc && n.Left.Session == 1 }) {
			t.Errorf("nobody was told that client %d has nothing to do with the session", inc)
		}
		w.order(session.Order{Forget: &session.Forget{Client: inc}})
	}
	if err := w.core.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestFailuresAreKeptAsWell(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Retry.HostLosses = 1 })
	a := w.keeping(100, 1)
	a.submit(1, 1, "x")
	w.settle()
	i := w.instance("a", 200, nil)
	w.detach(1)
	i.die()
	b, _ := w.comes(1, 101)
	b.want(t, 1, "!HostLossSpent")
	b.taken(1, 1)
	w.drained()
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Limits.Payload = 1 << 20 })
	a := w.keeping(100, 1) // whose credit for results is 1 MiB
	payload := strings.Repeat("x", 200<<10)
	for n := range uint64(20) {
		a.submit(1, n+1, payload)
	}
	w.settle()
	w.detach(1)
	i := w.instance("a", 200, nil)
	for i.run(1) > 0 {
		w.settle()
	}
	s := w.core.sessions[1]
	if s.kept.bytes < 1<<20 || s.kept.bytes > 1<<20+3*(200<<10) {
		t.Fatalf("%d bytes are kept for nobody", s.kept.bytes)
	}
	left := s.queue.n
	if left < 10 || len(i.tasks) > 0 {
		t.Fatalf("%d tasks wait", left)
	}
	w.pass(time.Second)
	if s.queue.n != left {
		t.Fatal("it went on by itself")
	}

	b, _ := w.comes(1, 101)
	for range 20 {
		w.runAll()
	}
	if len(b.answers) != 20 {
		t.Fatalf("%d of 20 were answered", len(b.answers))
	}
	for n := range uint64(20) {
		b.taken(1, n+1)
	}
	w.drained()
}

// What a client has not taken counts against its credit for tasks.
func TestWhatIsNotTakenCountsAsUnfinished(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.keeping(100, 1)
	w.instance("a", 200, nil)
	for n := range uint64(101) {
		a.submit(1, n+1, "x")
		w.settle()
		w.runAll()
	}
	a.want(t, 100, "r:x")
	a.want(t, 101, "!Overloaded")
	a.taken(1, 5)
	a.submit(1, 102, "x")
	w.settle()
	w.runAll()
	a.want(t, 102, "r:x")
	w.order(session.Order{Close: &session.Close{Session: 1}}) // takes with it what nobody took
	w.drained()
	if got := w.changed(1); got[len(got)-1] != protocol.SessionClosed {
		t.Fatalf("%v", got)
	}
}

// A session that was not to be kept is, once its client has left it.
func TestAnySessionCanBeLeft(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.client(100, 1)
	a.submit(1, 1, "one")
	a.submit(1, 2, "two")
	w.settle()
	i := w.instance("a", 200, nil)
	i.run(1)
	w.settle()
	w.detach(1)
	w.runAll()
	if a.got() != "1:r:one" {
		t.Fatal(a.got())
	}
	b, n := w.comes(1, 101)
	if n.Untold != 1 || b.got() != "2:r:two" {
		t.Fatalf("%+v, %s", n, b.got())
	}
	w.order(session.Order{Close: &session.Close{Session: 1, Kill: true}})
	w.drained()
	w.attach(1, 101) // of one that is over; the note before is found
	w.detach(1)
}

// relocate takes manager 1 out of the loop and gives it back, as to another loop, and its instances connect again.
func (w *world) relocate() {
	w.t.Helper()
	w.order(session.Order{Move: &session.Move{Manager: 1}})
	for k, n := range slices.Backward(w.notes) {
		if n.Moved != nil {
			state := n.Moved.State
			w.notes = slices.Delete(w.notes, k, k+1)
			w.order(session.Order{Adopt: &session.Adopt{State: state}})
			break
		}
	}
	for _, p := range w.all {
		if p.hello.Role == protocol.RoleInstance && !p.dead {
			p.link.Greet(p.hello)
		}
	}
	w.settle()
}

func TestKeptSessionMoves(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	a := w.keeping(100, 1)
	a.submit(1, 1, "one")
	a.submit(1, 2, strings.Repeat("x", protocol.InlinePayload))
	a.submit(1, 3, "three")
	w.settle()
	i := w.instance("a", 200, nil)
	i.run(2)
	w.settle()
	w.detach(1)
	w.relocate()
	w.runAll()
	if err := w.core.Verify(); err != nil {
		t.Fatal(err)
	}
	b, n := w.comes(1, 101)
	if n.Next != 4 || n.Untold != 3 || len(b.answers) != 3 {
		t.Fatalf("%+v, %d answers", n, len(b.answers))
	}
	w.relocate()
	b.taken(1, 1)
	// While the manager is on its way, what was taken is passed on.
	w.order(session.Order{Move: &session.Move{Manager: 1}})
	b.taken(1, 2)
	var state any
	var passed *session.Taken
	for _, note := range w.notes {
		if note.Moved != nil {
			state = note.Moved.State
		}
		if note.Taken != nil {
			passed = note.Taken
		}
	}
	if passed == nil || passed.Client != 101 || passed.Session != 1 || len(passed.Tasks) != 1 {
		t.Fatalf("passed on was %+v", passed)
	}
	w.order(session.Order{Adopt: &session.Adopt{State: state}})
	other := *passed
	other.Client = 100
	w.order(session.Order{Taken: &other})
	if n := w.core.sessions[1].kept.tasks.n; n != 2 {
		t.Fatalf("%d are kept", n)
	}
	w.order(session.Order{Taken: passed})
	b.taken(1, 3)
	i.link.Greet(i.hello)
	w.settle()
	w.drained()
}

// TestRandomKeeping lets clients come, leave and take results of a kept session while instances die and its manager moves:
// each client gets an answer at most once, and what no client has taken is for the last.
func TestRandomKeeping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.serve(func(s *protocol.Service) { s.Retry.HostLosses, s.Retry.Attempts = 200, 100 })
		current := w.keeping(100, 1)
		clients := []*party{current}
		live := w.instance("i0", 1000, nil)
		next, made := uint64(0), uint64(0)
		taken := map[uint64]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"submit", "submit", "run", "run", "take", "leave", "come", "die", "move"}).Draw(t, "op") {
			case "submit":
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					if current == nil || w.core.sessions[1].kept.tasks.n+w.core.sessions[1].unfinished() >= 90 {
						break
					}
					next++
					size := rapid.SampledFrom([]int{1, 1, 500, protocol.InlinePayload}).Draw(t, "size")
					current.submit(1, next, strings.Repeat("x", size))
				}
			case "run":
				live.run(rapid.IntRange(1, 3).Draw(t, "n"))
			case "take":
				if current == nil {
					continue
				}
				for id := range current.answers {
					if !taken[id.Sequence()] && rapid.Bool().Draw(t, "this") {
						taken[id.Sequence()] = true
						current.taken(1, id.Sequence())
					}
				}
			case "leave":
				w.detach(1)
				current = nil
			case "come":
				made++
				var n *session.Attached
				current, n = w.comes(1, 100+made)
				clients = append(clients, current)
				if n.Next != next+1 || n.Untold != int(next)-len(taken) {
					t.Fatalf("of %d tasks %d were taken; told was %+v", next, len(taken), n)
				}
			case "die":
				made++
				live.die()
				live = w.instance(fmt.Sprint("i", made), 1000+made, nil)
			case "move":
				w.relocate()
			}
			w.settle()
			if err := w.core.Verify(); err != nil {
				t.Fatal(err)
			}
		}
		last, _ := w.comes(1, 99)
		clients = append(clients, last)
		for range 20 {
			w.runAll()
			w.pass(200 * time.Millisecond)
		}
		for _, p := range clients {
			for id, answers := range p.answers {
				if len(answers) != 1 {
					t.Fatalf("%s was given %d answers of task %d", p.name, len(answers), id.Sequence())
				}
			}
		}
		for n := range next {
			_, got := last.answers[protocol.NewTaskID(n+1, uint32(n+1))]
			if got == taken[n+1] {
				t.Fatalf("task %d was taken: %v, and the last client got it: %v\n%s", n+1, taken[n+1], got, w.core.Describe())
			}
			last.taken(1, n+1)
		}
		w.drained()
	})
}

// TestSessionThatIsLeftGoesOn: what had its tasks wait, its client's credit, is not a matter of the session any more.
func TestSessionThatIsLeftGoesOn(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Limits.Payload = 1 << 20 })
	a := w.client(100, 1, 2)
	a.keeps = true
	i := w.instance("a", 200, nil)
	big := strings.Repeat("x", 500<<10)
	for n := range uint64(3) {
		a.submit(1, n+1, big)
		w.settle()
		w.runAll()
	}
	a.submit(2, 1, "y")
	w.settle()
	w.pass(time.Second)
	if !w.core.sessions[2].client.blocked() || len(i.tasks) != 0 {
		t.Fatalf("the client has credit left, or the instance %d tasks", len(i.tasks))
	}
	w.detach(2)
	w.pass(time.Second)
	w.runAll()
	if s := w.core.sessions[2]; s.unfinished() != 0 || s.kept.tasks.n != 1 {
		t.Fatalf("%d tasks of the session without a client are unfinished%s", s.unfinished(), w.describe())
	}
}

// Answers that nobody has taken fill the share. They keep out all but the one task with which the session goes on, and
// older ones.
func TestKeptAnswersLetOneTaskIn(t *testing.T) {
	w := newWorld(t)
	w.serveAs(1, protocol.Share{CPU: 50, Memory: 1000})
	a := w.keeping(100, 1)
	w.open(100, 2) // one that is not kept
	i := w.instanceOf(1, "i", 200)
	a.submit(1, 1, strings.Repeat("x", 998))
	w.settle()
	w.runAll()
	submit := func(number uint32, seq uint64, size int) (in bool) {
		t.Helper()
		before := w.core.byID[1].slab.used
		a.submit(number, seq, strings.Repeat("y", size))
		w.settle()
		return w.core.byID[1].slab.used > before
	}
	switch {
	case submit(2, 9, 1):
		t.Fatal("a task of a session that keeps nothing is let in")
	case submit(1, 10, 1001):
		t.Fatal("one is let in that is more than the share by itself")
	case !submit(1, 9, 400):
		t.Fatal("none is let in")
	case submit(1, 10, 1), submit(1, 11, 1):
		t.Fatal("a younger one is let in beside it")
	case !submit(1, 7, 400):
		t.Fatal("an older one is not let in")
	case submit(1, 5, 400):
		t.Fatal("one is let in that is beyond the share with the other unfinished ones")
	case !submit(1, 6, 100):
		t.Fatal("an older one is not let in")
	}
	w.relocate()
	if submit(1, 8, 1) {
		t.Fatal("a younger one is let in after its manager has moved")
	}
	if n := len(i.tasks); n != 3 {
		t.Fatalf("%d tasks are at the instance", n)
	}
	i.run(2) // 9 and 7
	w.settle()
	if submit(1, 8, 1) {
		t.Fatal("a younger one is let in while 6 is unfinished")
	}
	w.runAll()
	if !submit(1, 8, 1) {
		t.Fatal("none is let in when the last one is answered")
	}
	a.cancel(1, 8)
	w.memory(90<<20-50, 0, 100<<20)
	if submit(1, 3, 51) {
		t.Fatal("one is let in that is more than is left of the memory of the broker")
	}
	w.memory(90<<20, 0, 100<<20)
	if submit(1, 3, 1) {
		t.Fatal("one is let in while the memory of the broker is full")
	}
	w.memory(80<<20, 0, 100<<20)
	if !submit(1, 3, 1) {
		t.Fatal("none is let in when the last one was cancelled")
	}
	w.runAll()
	a.taken(1, 1, 3, 6, 7, 8, 9)
	w.drained()
}
