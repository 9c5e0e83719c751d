package manager

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

const testGrace = 2 * time.Second

// graceful makes manager 1 of a service with a short grace.
func (w *world) graceful() {
	w.serve(func(s *protocol.Service) { s.Limits.Grace = protocol.Duration(testGrace) })
}

// cancel has a client cancel a task; 0: all.
func (p *party) cancel(number uint32, seq uint64) {
	id := uint64(0)
	if seq > 0 {
		id = uint64(protocol.NewTaskID(seq, uint32(seq)))
	}
	p.link.Append(protocol.KindCancel, number, id, nil)
	p.w.settle()
}

// begin has the first task run, and tells of it where that was asked for.
func (p *party) begin() {
	if len(p.tasks) == 0 || p.waits {
		return
	}
	g := p.tasks[0]
	if !p.began[g.id] && p.executions[g.id].Watch {
		p.began[g.id] = true
		p.link.Append(protocol.KindStarted, g.session, g.id, nil)
	}
}

// abort ends a task: the first one runs, and goes on when the instance is stubborn.
func (p *party) abort(rec *protocol.Record, payload []byte) {
	for n, g := range p.tasks {
		if g.id != rec.Task {
			continue
		}
		if n == 0 {
			p.link.Append(protocol.KindStopping, rec.Session, rec.Task, nil)
		}
		if n > 0 || !p.stubborn {
			p.tasks = append(p.tasks[:n], p.tasks[n+1:]...)
			body := payload
			if n == 0 {
				body = protocol.Marshal(protocol.Errorf(protocol.CodeTaskFailed, "OnTaskExec", "context canceled"))
			}
			p.link.Append(protocol.KindFailure, rec.Session, rec.Task, body)
			p.begin()
		}
		return
	}
}

// unbind drops the tasks of a session, and says whether a hook of it goes on.
func (p *party) unbind(number uint32) bool {
	goesOn := len(p.tasks) > 0 && p.tasks[0].session == number && p.stubborn
	kept := p.tasks[:0]
	for n, g := range p.tasks {
		if g.session != number || n == 0 && goesOn {
			kept = append(kept, g)
		}
	}
	p.tasks = kept
	if goesOn {
		p.owed = append(p.owed, number)
		p.link.Append(protocol.KindStopping, number, 0, nil)
	}
	return goesOn
}

// returns lets go of a session whose hook has returned.
func (p *party) returns(number uint32) {
	if at := slices.Index(p.owed, number); at >= 0 {
		p.owed = slices.Delete(p.owed, at, at+1)
		p.link.Append(protocol.KindUnbound, number, 0, nil)
	}
}

// kills gives the containers that were to be killed.
func (w *world) kills() (all []string) {
	for _, n := range w.notes {
		if n.Kill != nil {
			all = append(all, n.Kill.Container)
		}
	}
	return all
}

// stage is the state of a task, with the stage of its end.
func (w *world) stage(number uint32, seq uint64) string {
	a := w.task(number, seq)
	if a.Error != nil {
		return a.Error.Code.String()
	}
	return strings.TrimSuffix(a.Task.State+" "+a.Task.Stage, " ")
}

func TestCancelOfTasksThatWait(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	for n := range uint64(4) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	c.cancel(1, 2)
	c.cancel(1, 2) // twice
	c.want(t, 2, "!Cancelled")
	i := w.instance("a", 200, nil)
	w.settle()
	if len(i.tasks) != 2 || i.tasks[1].client != protocol.NewTaskID(3, 3) {
		t.Fatalf("the instance was given %v", i.tasks)
	}
	c.cancel(1, 0)
	for n := range uint64(4) {
		c.want(t, n+1, "!Cancelled")
	}
	if k := w.kills(); k != nil {
		t.Fatalf("killed %v", k)
	}
	want := []string{
		"cancel: task 2 was not at an instance and is over: cancelled by its client",
		"cancel: all tasks, 1 not at an instance and over, 2 asked to stop: cancelled by its client",
		"cancel: task 1: its hook's context has ended on a on node node-a",
	}
	if got := w.events(1); !slices.Equal(got, want) {
		t.Fatalf("events %q", got)
	}
	c.submit(1, 5, "after")
	w.settle()
	w.runAll()
	c.want(t, 5, "r:after")
	w.drained()
}

func TestCancelInThreeStages(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	i.stubborn = true
	for n := range uint64(4) {
		c.submit(1, n+1, "x")
	}
	w.settle() // 1 runs, 2 is at the instance
	if got := w.stage(1, 1); got != protocol.TaskScheduled {
		t.Fatal(got)
	}
	w.core.Step(w.now, Event{Kind: EventOrder, Order: session.Order{Cancel: &session.Cancel{
		Session: 1, Sequence: 1, Error: protocol.Errorf(protocol.CodeCancelled, "task", "by test"),
	}}})
	for _, want := range []string{"stopping requested", "stopping acknowledged"} { // nothing is on its way after a question
		if got := w.stage(1, 1); got != want {
			t.Fatal(got)
		}
	}
	w.pass(testGrace - 100*time.Millisecond)
	if k := w.kills(); k != nil {
		t.Fatalf("killed %v before its time", k)
	}
	w.pass(100 * time.Millisecond)
	if k := w.kills(); !slices.Equal(k, []string{"a"}) {
		t.Fatalf("killed %v", k)
	}
	if got := w.stage(1, 1); got != "stopping killing" {
		t.Fatal(got)
	}
	c.submit(1, 5, "x")
	w.settle()
	endings{w.core.managers[0]}.kill(w.core.instances["a"], "again")
	w.settle()
	if len(i.tasks) != 2 || len(w.kills()) != 1 {
		t.Fatalf("a killed instance has %d tasks, and was killed %d times", len(i.tasks), len(w.kills()))
	}
	b := w.instance("b", 201, nil)
	if len(c.answers) > 0 {
		t.Fatalf("answered before the process was gone: %v", c.answers)
	}
	i.die()
	c.want(t, 1, "!Cancelled")
	if got := w.task(1, 2).Task; got.Losses != 0 || got.Attempts != 0 {
		t.Fatalf("the loss counts for another task: %+v", got)
	}
	for _, g := range b.tasks {
		if g.attempt != 1 {
			t.Fatalf("%+v", g)
		}
	}
	w.runAll()
	for n := range uint64(4) {
		c.want(t, n+2, "r:x")
	}
	w.drained()
}

func TestKilledInstanceIsGivenNothing(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	for n := range uint64(4) {
		c.submit(1, n+1, "x")
	}
	w.settle()
	endings{w.core.managers[0]}.kill(w.core.instances["a"], "by test")
	i.run(2)
	w.pass(time.Second)
	if len(i.tasks) != 0 {
		t.Fatalf("it was given %v", i.tasks)
	}
	i.die()
	w.instance("b", 201, nil)
	w.runAll()
	w.drained()
}

func TestCloseInOrderHasAllTheTime(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	w.client(100, 1)
	i := w.party("a", 200, protocol.Hello{Role: protocol.RoleInstance, Container: "a"})
	i.hold = true // OnSessionBind runs
	w.order(session.Order{Admit: &session.Admit{Manager: 1, Container: "a", Incarnation: 200, Slots: 1, Sessions: 10}})
	i.link.Greet(i.hello)
	w.settle()
	w.order(session.Order{Close: &session.Close{Session: 1}})
	i.link.Append(protocol.KindStopping, 1, 0, nil)
	w.pass(10 * testGrace)
	if k := w.kills(); k != nil {
		t.Fatalf("killed %v", k)
	}
}

func TestResultThatWasOnItsWayWins(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	i.run(1)       // the answer waits in the instance
	c.cancel(1, 1) // settles both, the cancel first or last
	got := c.answers[protocol.NewTaskID(1, 1)]
	if len(got) != 1 || got[0] != "r:x" && got[0] != "!Cancelled" {
		t.Fatalf("answered %q", got)
	}
	// In the other order of the two.
	c.submit(1, 2, "y")
	w.settle()
	k := w.core.sessions[1].find(2)
	endings{w.core.managers[0]}.end(k, protocol.Errorf(protocol.CodeCancelled, "task", "by test"))
	g := i.tasks[0]
	i.tasks = nil
	i.link.Append(protocol.KindResult, g.session, g.id, []byte("r:y"))
	w.settle()
	c.want(t, 2, "r:y")
	w.pass(2 * testGrace)
	if k := w.kills(); k != nil {
		t.Fatalf("killed %v", k)
	}
	w.drained()
}

func TestCancelOfARecalledTask(t *testing.T) {
	for _, first := range []string{"recall", "cancel"} {
		w := newWorld(t)
		w.graceful()
		c := w.client(100, 1)
		w.instance("a", 200, nil)
		c.submit(1, 1, "x")
		c.submit(1, 2, "x")
		w.settle()
		m := w.core.managers[0]
		k := w.core.sessions[1].find(2)
		if first == "recall" {
			m.recall(k, m.instances[0])
			endings{m}.end(k, protocol.Errorf(protocol.CodeCancelled, "task", "by test"))
		} else {
			endings{m}.end(k, protocol.Errorf(protocol.CodeCancelled, "task", "by test"))
			if m.recall(k, m.instances[0]) {
				t.Fatal("a task that is to stop was asked back")
			}
		}
		w.settle()
		c.want(t, 2, "!Cancelled")
		w.runAll()
		c.want(t, 1, "r:x")
		w.drained()
	}
}

func TestCancelOfASuspect(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	i.die()
	if got := w.stage(1, 1); got != protocol.TaskSuspect {
		t.Fatal(got)
	}
	c.cancel(1, 1)
	c.want(t, 1, "!Cancelled")
	w.drained()
}

func TestInstanceLostWhileATaskStops(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	i.stubborn = true
	c.submit(1, 1, "x")
	c.submit(1, 2, "y")
	w.settle()
	c.cancel(1, 1)
	i.die() // by itself: it is no kill
	c.want(t, 1, "!Cancelled")
	if got := w.task(1, 2).Task; got.Losses != 1 {
		t.Fatalf("the loss of a host does not count for the other: %+v", got)
	}
	w.instance("b", 201, nil)
	w.pass(2 * testGrace)
	w.runAll()
	c.want(t, 2, "r:y")
	if k := w.kills(); k != nil {
		t.Fatalf("killed %v, for a task that is over", k)
	}
	w.drained()
}

func TestSessionClosesWhileATaskStops(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	i.stubborn = true
	c.submit(1, 1, "x")
	w.settle()
	c.cancel(1, 1)
	w.order(session.Order{Close: &session.Close{Session: 1}})
	w.pass(testGrace)
	if k := w.kills(); !slices.Equal(k, []string{"a"}) {
		t.Fatalf("killed %v", k)
	}
	if got := w.changed(1); slices.Contains(got, protocol.SessionClosed) {
		t.Fatal("it is closed, and a task of it runs")
	}
	i.die()
	c.want(t, 1, "!Cancelled")
	if got := w.changed(1); got[len(got)-1] != protocol.SessionClosed {
		t.Fatalf("%v", got)
	}
	w.drained()
}

// TestKillOfASessionWhoseHookIgnoresIt has the instance killed, unless the hook returns in time; a hook of another session
// on the same instance, and what follows a hook that has returned, may take as long as they like.
func TestKillOfASessionWhoseHookIgnoresIt(t *testing.T) {
	for _, returns := range []bool{false, true} {
		w := newWorld(t)
		w.graceful()
		c := w.client(100, 1, 2)
		i := w.instance("a", 200, nil)
		i.stubborn = true
		c.submit(1, 1, "x")
		w.settle()
		w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "session 1", "by test")}})
		w.pass(testGrace / 2)
		if returns {
			g := i.tasks[0]
			i.tasks = nil
			i.link.Append(protocol.KindFailure, g.session, g.id, protocol.Marshal(protocol.Errorf(protocol.CodeTaskFailed, "x", "context canceled")))
		}
		w.pass(testGrace)
		if got := len(w.kills()); got != map[bool]int{false: 1, true: 0}[returns] {
			t.Fatalf("the hook returns: %v, killed were %v", returns, w.kills())
		}
		w.pass(10 * testGrace) // OnSessionUnbind waits for its turn
		if returns && len(w.kills()) > 0 {
			t.Fatalf("killed were %v", w.kills())
		}
		i.die()
		w.drained()
	}
}

func TestInstanceByHandIsToldToLeave(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		w := newWorld(t)
		w.graceful()
		c := w.client(100, 1)
		i := w.instance("a", 200, func(a *session.Admit) { a.ByHand = true })
		i.stubborn = true
		c.submit(1, 1, "x")
		w.settle()
		c.cancel(1, 0)
		w.pass(testGrace)
		if i.dismissed == "" || w.kills() != nil {
			t.Fatalf("told %q, killed %v", i.dismissed, w.kills())
		}
		if leaves {
			i.die() // as the control loop says when it says BYE
		} else {
			w.pass(protocol.PeerTimeout + time.Second)
		}
		c.want(t, 1, "!Cancelled")
		if silent := slices.ContainsFunc(w.notes, func(n session.Note) bool { return n.Silent != nil }); silent == leaves {
			t.Fatalf("it leaves: %v, and was given up: %v", leaves, silent)
		}
		w.drained()
	}
}

func TestCancelOfATaskThatComesLater(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	w.instance("a", 200, nil)
	c.cancel(1, 2)
	c.want(t, 2, "!Cancelled")
	c.submit(1, 1, "x")
	c.submit(1, 2, "x")
	w.settle()
	w.runAll()
	c.want(t, 1, "r:x")
	c.want(t, 2, "!Cancelled")
	c.cancel(1, 1) // it is over
	c.cancel(9, 1) // not its session
	c.want(t, 1, "r:x")
	w.drained()
}

func TestOperatorsCancel(t *testing.T) {
	w := newWorld(t)
	w.graceful()
	c := w.client(100, 1)
	c.submit(1, 1, "x")
	w.settle()
	cancel := func(number uint32, seq uint64) *session.Answer {
		return w.ask(session.Query{Cancel: &session.Cancel{Session: number, Sequence: seq, Error: protocol.Errorf(protocol.CodeCancelled, "task", "by ops")}})
	}
	if a := cancel(1, 1); a.Error != nil || a.Task.State != protocol.TaskOver {
		t.Fatalf("%+v, %v", a.Task, a.Error)
	}
	if a := cancel(1, 1); a.Error != nil { // again
		t.Fatal(a.Error)
	}
	if a := cancel(1, 2); a.Error == nil || a.Error.Code != protocol.CodeNotFound {
		t.Fatalf("%+v", a)
	}
	if a := cancel(2, 2); a.Error == nil {
		t.Fatalf("%+v", a)
	}
	c.want(t, 1, "!Cancelled")
	w.drained()
}

func TestManagerMovesWhileTasksStop(t *testing.T) {
	for _, kill := range []bool{false, true} {
		w := newWorld(t)
		w.graceful()
		c := w.client(100, 1)
		i := w.instance("a", 200, nil)
		i.stubborn = true
		c.submit(1, 1, "x")
		w.settle()
		if kill {
			w.order(session.Order{Close: &session.Close{Session: 1, Kill: true, Error: protocol.Errorf(protocol.CodeSessionKilled, "session 1", "by test")}})
		} else {
			c.cancel(1, 1)
		}
		w.pass(testGrace / 2)
		w.order(session.Order{Move: &session.Move{Manager: 1}})
		var state any
		for _, n := range w.notes {
			if n.Moved != nil {
				state = n.Moved.State
			}
		}
		w.core = New(w.core.cfg)
		w.now = w.now.Add(testGrace)
		w.core.Step(w.now, Event{Kind: EventOrder, Order: session.Order{Adopt: &session.Adopt{State: state}}})
		w.core.Tick(w.now)
		var b Batch
		w.core.Take(&b)
		if len(b.Notes) == 0 || b.Notes[0].Event == nil && b.Notes[0].Kill == nil {
			t.Fatalf("killed %v: nothing was told: %+v", kill, b.Notes)
		}
		if !slices.ContainsFunc(b.Notes, func(n session.Note) bool { return n.Kill != nil && n.Kill.Container == "a" }) {
			t.Fatalf("killed %v: the instance is not killed at its new loop", kill)
		}
	}
}
