package manager

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// fails answers the first n tasks of an instance with an error.
func (p *party) fails(n int, e protocol.Error) {
	for ; n > 0 && len(p.tasks) > 0; n-- {
		g := p.tasks[0]
		p.tasks = p.tasks[1:]
		p.link.Append(protocol.KindFailure, g.session, g.id, protocol.Marshal(&e))
	}
	p.w.settle()
}

// dead gives the dead letters that were noted.
func (w *world) dead() (list []*session.Dead) {
	for _, n := range w.notes {
		if n.Dead != nil {
			list = append(list, n.Dead)
		}
	}
	return list
}

func retried(code protocol.Code, retry uint8) protocol.Error {
	return protocol.Error{Code: code, Op: "OnTaskExec", Msg: "the licence server is busy", Retry: retry}
}

// submitWith gives the core a task with options from a client.
func (w *world) submitWith(client uint64, number uint32, seq uint64, payload string, o *protocol.TaskOptions) {
	w.t.Helper()
	b := protocol.AppendTask(nil, number, protocol.NewTaskID(seq, uint32(seq)), []byte(payload), o)
	if err := w.core.ends[client].client.fromClient(b, &intake{reader: protocol.NewReader(b)}); err != nil {
		w.t.Fatalf("%v", err)
	}
	w.settle()
}

// until lets time go by in small steps until an instance has a task, and gives how long that took.
func (w *world) until(p *party, limit time.Duration) time.Duration {
	w.t.Helper()
	for begin := w.now; ; {
		if len(p.tasks) > 0 {
			return w.now.Sub(begin)
		}
		if w.now.Sub(begin) > limit {
			w.t.Fatalf("nothing is dispatched within %v%s", limit, w.describe())
		}
		w.now = w.now.Add(time.Millisecond)
		w.core.Tick(w.now)
		w.settle()
	}
}

func TestFailedTaskWaitsLongerEachTime(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) {
		s.Retry = protocol.Retry{Attempts: 6, Backoff: protocol.Duration(100 * time.Millisecond), MaxBackoff: protocol.Duration(500 * time.Millisecond)}
	})
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	for n, most := range []time.Duration{100, 200, 400, 500, 500} {
		if i.tasks[0].attempt != uint8(n+1) {
			t.Fatalf("attempt %d says that it is number %d", n+1, i.tasks[0].attempt)
		}
		i.fails(1, retried(protocol.CodeTaskFailed, 1))
		if got := w.core.byID[1].slab.slots[1].state; got != taskDelayed {
			t.Fatalf("after failure %d the task is in state %d", n+1, got)
		}
		most *= time.Millisecond
		if took := w.until(i, time.Second); took < most/2 || took > most+time.Millisecond {
			t.Fatalf("failure %d: it waited for %v, want %v to %v", n+1, took, most/2, most)
		}
	}
	w.runAll()
	c.want(t, 1, "r:x")
	if d := w.dead(); len(d) > 0 {
		t.Fatalf("a task that succeeded is among the dead letters: %+v", d[0].Letter)
	}
	w.drained()
}

func TestBackoffIsWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(Config{Seed: rapid.Uint64().Draw(t, "seed")})
		p := &protocol.Retry{
			Backoff:    protocol.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "backoff")),
			MaxBackoff: protocol.Duration(rapid.Int64().Draw(t, "most") & (1<<63 - 1)),
		}
		n := rapid.IntRange(1, 255).Draw(t, "failures")
		least := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "least"))
		full := float64(p.Backoff)
		for range n - 1 {
			full *= 2
		}
		full = min(full, float64(p.MaxBackoff), float64(longestDelay))
		got := float64(c.chance.backoff(p, n, 0))
		if got < full/2-1 || got > full+1 {
			t.Fatalf("%v is not within %v to %v", time.Duration(got), time.Duration(full/2), time.Duration(full))
		}
		if got := c.chance.backoff(p, n, least); got < min(least, longestDelay) || got > longestDelay {
			t.Fatalf("%v, when at least %v was asked for", got, least)
		}
	})
}

// Tasks that failed together are not run again together.
func TestDelaysAreSpread(t *testing.T) {
	c := New(Config{Seed: 3})
	p := protocol.DefaultRetry()
	var early, late int
	for range 1000 {
		switch d := c.chance.backoff(&p, 1, 0); {
		case d < 600*time.Millisecond:
			early++
		case d > 900*time.Millisecond:
			late++
		}
	}
	if early < 100 || late < 100 {
		t.Fatalf("of 1000 delays between 0.5 and 1 s %d are below 0.6 s and %d above 0.9 s", early, late)
	}
}

func TestWhichFailuresAreRetried(t *testing.T) {
	for _, x := range []struct {
		on      []string
		code    protocol.Code
		retry   uint8
		retried bool
	}{
		{nil, protocol.CodeTaskFailed, 0, false},
		{nil, protocol.CodeTaskPanicked, 0, false},
		{nil, protocol.CodeTaskFailed, 1, true},
		{nil, protocol.CodeTaskFailed, 2, false},
		{[]string{"TaskFailed"}, protocol.CodeTaskFailed, 0, true},
		{[]string{"TaskFailed"}, protocol.CodeTaskFailed, 2, false},
		{[]string{"TaskFailed"}, protocol.CodeTaskPanicked, 0, false},
		{[]string{"TaskFailed", "TaskPanicked"}, protocol.CodeTaskPanicked, 0, true},
		{[]string{"TaskPanicked"}, protocol.CodeInvalid, 0, false},
	} {
		w := newWorld(t)
		w.serve(func(s *protocol.Service) { s.Retry.On = x.on })
		c := w.client(100, 1)
		i := w.instance("a", 200, nil)
		c.submit(1, 1, "x")
		w.settle()
		i.fails(1, retried(x.code, x.retry))
		w.pass(2 * time.Second)
		w.runAll()
		want := "!" + x.code.String()
		if x.retried {
			want = "r:x"
		}
		c.want(t, 1, want)
		if d := w.dead(); len(d) > 0 {
			t.Errorf("%+v is a dead letter", x)
		}
		w.drained()
	}
}

func TestFailureMayAskForTime(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Retry.Backoff = protocol.Duration(time.Millisecond) })
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	e := retried(protocol.CodeTaskFailed, 1)
	e.RetryAfter = 3 * time.Second
	i.fails(1, e)
	if took := w.until(i, time.Minute); took < 3*time.Second || took > 3*time.Second+10*time.Millisecond {
		t.Fatalf("it waited for %v, 3s were asked for", took)
	}
}

// The policy of a task goes before that of its session, and that before the service's; each gives what the former leaves
// out.
func TestPolicyInForce(t *testing.T) {
	service := protocol.Retry{Attempts: 5, HostLosses: 6, Backoff: protocol.Duration(time.Second), On: []string{"TaskFailed"}}
	for name, x := range map[string]struct {
		session protocol.Retry
		task    protocol.TaskOptions
		want    protocol.Retry
	}{
		"the service's": {want: protocol.Retry{Attempts: 5, HostLosses: 6, Backoff: service.Backoff, MaxBackoff: protocol.Duration(time.Minute), On: service.On}},
		"the session's": {
			session: protocol.Retry{Attempts: 2, On: []string{}},
			want:    protocol.Retry{Attempts: 2, HostLosses: 6, Backoff: service.Backoff, MaxBackoff: protocol.Duration(time.Minute)},
		},
		"the task's": {
			session: protocol.Retry{Attempts: 2, HostLosses: 3},
			task:    protocol.TaskOptions{Attempts: 7, Backoff: 2 * time.Second, MaxBackoff: 3 * time.Second},
			want:    protocol.Retry{Attempts: 7, HostLosses: 3, Backoff: protocol.Duration(2 * time.Second), MaxBackoff: protocol.Duration(3 * time.Second), On: service.On},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.serve(func(s *protocol.Service) { s.Retry = service })
			w.client(100)
			w.order(session.Order{Open: &session.Open{
				Manager: 1, Session: 1, Client: 100, Bind: protocol.Bind{Session: 1}, TaskCredit: 100, ByteCredit: 1 << 20, Retry: x.session,
			}})
			w.submitWith(100, 1, 1, "x", &x.task)
			if got := *(retries{w.core.byID[1]}).policy(1); fmt.Sprint(got) != fmt.Sprint(x.want) {
				t.Fatalf("%+v, want %+v", got, x.want)
			}
			if special := w.core.byID[1].slab.slots[1].special; special != (x.task != protocol.TaskOptions{}) {
				t.Fatalf("the task has an extra: %v", special)
			}
		})
	}
}

func TestSpentAttemptsMakeADeadLetter(t *testing.T) {
	for _, size := range []int{5, protocol.InlinePayload + 1} {
		w := newWorld(t)
		w.serve(func(s *protocol.Service) { s.Retry.Attempts, s.Retry.Backoff = 6, protocol.Duration(time.Millisecond) })
		c := w.client(100, 1)
		payload := strings.Repeat("p", size)
		c.submit(1, 1, payload)
		for n := range uint64(6) {
			i := w.instance(fmt.Sprintf("i%d", n), 200+n, nil)
			w.until(i, time.Second)
			e := retried(protocol.CodeTaskFailed, 1)
			e.Msg = fmt.Sprintf("failure %d", n+1)
			i.fails(1, e)
			w.order(session.Order{Dismiss: &session.Dismiss{Container: i.name}})
		}
		c.want(t, 1, "!AttemptsSpent")
		list := w.dead()
		if len(list) != 1 || string(list[0].Payload) != payload {
			t.Fatalf("%d dead letters, want 1 with the payload", len(list))
		}
		d := list[0].Letter
		if d.Session != 1 || d.Task != protocol.NewTaskID(1, 1) || d.Size != int64(size) || d.Attempts != 6 || d.Losses != 0 || d.Service != "svc" || d.Version != "1" || !d.At.Equal(w.now) {
			t.Errorf("the dead letter is %+v", d)
		}
		if d.Last == nil || d.Last.Msg != "failure 6" || d.Error.Code != protocol.CodeAttemptsSpent || !strings.Contains(d.Error.Msg, "failure 6") {
			t.Errorf("its errors are %v and %v", d.Error, d.Last)
		}
		if got := fmt.Sprint(d.Instances); got != "[{i2 node-i2} {i3 node-i3} {i4 node-i4} {i5 node-i5}]" {
			t.Errorf("it ran on %s at last", got)
		}
		w.drained()
	}
}

func TestHostLossesHaveALimitOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Retry = protocol.Retry{Attempts: 50, HostLosses: 1} })
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	i.executed(100, time.Millisecond)
	w.settle()
	c.submit(1, 1, "x")
	c.submit(1, 2, "y")
	w.settle()
	i.die()
	c.want(t, 1, "!HostLossSpent")
	c.want(t, 2, "!HostLossSpent")
	list := w.dead()
	if len(list) != 2 || list[0].Letter.Losses != 1 || list[0].Letter.Attempts != 0 || !strings.Contains(list[0].Letter.Error.Msg, "killed") {
		t.Fatalf("dead letters: %+v", list)
	}
	w.drained()
}

// A poison task ends each instance that executes it. It is executed once more than it has attempts at most, and what was
// with it succeeds.
func TestPoisonTasksAmongOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		attempts := rapid.IntRange(1, 4).Draw(t, "attempts")
		w.serve(func(s *protocol.Service) {
			s.Retry.Attempts = attempts
			s.Instances = protocol.Instances{Min: 2, Max: 2}
		})
		c := w.client(100, 1)
		tasks := rapid.IntRange(2, 40).Draw(t, "tasks")
		poison := map[string]int{}
		for n := range tasks {
			payload := fmt.Sprintf("good-%d", n+1)
			if rapid.IntRange(0, 9).Draw(t, "poison") == 0 {
				payload = fmt.Sprintf("poison-%d", n+1)
				poison[payload] = 0
			}
			c.submit(1, uint64(n+1), payload)
		}
		next := uint64(300)
		var alive []*party
		for range 2000 {
			for len(alive) < 2 {
				next++
				i := w.instance(fmt.Sprintf("i%d", next), next, nil)
				i.executed(100, time.Millisecond)
				alive = append(alive, i)
				w.settle()
			}
			k := rapid.IntRange(0, 1).Draw(t, "instance")
			i := alive[k]
			if len(i.tasks) == 0 {
				if i = alive[1-k]; len(i.tasks) == 0 {
					break
				}
				k = 1 - k
			}
			if p := i.tasks[0].payload; strings.HasPrefix(p, "poison") {
				poison[p]++
				i.die()
				alive = append(alive[:k], alive[k+1:]...)
			} else {
				i.run(1)
				w.settle()
			}
		}
		buried := map[string]bool{}
		for _, d := range w.dead() {
			buried[string(d.Payload)] = true
		}
		for n := range tasks {
			p := fmt.Sprintf("poison-%d", n+1)
			ran, bad := poison[p]
			switch got := c.answers[protocol.NewTaskID(uint64(n+1), uint32(n+1))]; {
			case bad && (len(got) != 1 || got[0] != "!AttemptsSpent" || ran > attempts+1 || !buried[p]):
				t.Fatalf("poison task %d was executed %d times of %d and answered %v, dead letter: %v", n+1, ran, attempts, got, buried[p])
			case !bad && (len(got) != 1 || got[0] != fmt.Sprintf("r:good-%d", n+1)):
				t.Fatalf("task %d was answered %v", n+1, got)
			}
		}
		if len(buried) != len(poison) {
			t.Fatalf("%d dead letters, %d tasks are poison", len(buried), len(poison))
		}
		w.drained()
	})
}

func TestSessionClosedWhileTasksAreDelayed(t *testing.T) {
	for _, kill := range []bool{false, true} {
		w := newWorld(t)
		w.serve(nil)
		c := w.client(100, 1)
		i := w.instance("a", 200, nil)
		c.submit(1, 1, "x")
		w.settle()
		i.fails(1, retried(protocol.CodeTaskFailed, 1))
		w.order(session.Order{Close: &session.Close{Session: 1, Kill: kill}})
		if kill != (len(w.changed(1)) == 2) { // running, closed
			t.Fatalf("kill %v: told %v while a task is delayed", kill, w.changed(1))
		}
		w.pass(2 * time.Second)
		w.runAll()
		if !kill {
			c.want(t, 1, "r:x")
		} else if len(c.answers) > 0 {
			t.Fatalf("answered %v after the kill", c.answers)
		}
		if got := w.changed(1); got[len(got)-1] != protocol.SessionClosed {
			t.Fatalf("kill %v: told %v", kill, got)
		}
		w.drained()
	}
}

func TestDeadlineComesWhileATaskIsDelayed(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *protocol.Service) { s.Retry.Backoff = protocol.Duration(10 * time.Second) })
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	w.submitWith(100, 1, 1, "x", &protocol.TaskOptions{Timeout: time.Second})
	i.fails(1, retried(protocol.CodeTaskFailed, 1))
	w.pass(1100 * time.Millisecond)
	c.want(t, 1, "!Deadline")
	if d := w.dead(); len(d) > 0 {
		t.Fatal("a task whose time was over is a dead letter")
	}
	w.pass(20 * time.Second) // its delay is over, for nobody
	w.drained()
}

func TestRefusedTaskMayComeAgain(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.order(session.Order{Open: &session.Open{
		Manager: 1, Session: 1, Client: 100, Bind: protocol.Bind{Session: 1}, TaskCredit: 1, ByteCredit: 1 << 20,
	}})
	c := w.client(100)
	c.submit(1, 1, "x")
	c.submit(1, 2, "y")
	w.settle()
	c.want(t, 2, "!Overloaded")
	w.instance("a", 200, nil)
	w.runAll()
	c.answers = map[protocol.TaskID][]string{}
	c.submit(1, 1, "x") // was accepted, and is known
	c.submit(1, 2, "y")
	w.settle()
	w.runAll()
	c.want(t, 2, "r:y")
	if len(c.answers) != 1 {
		t.Fatalf("answers: %v", c.answers)
	}
	w.drained()
}

// A service may fail with the error that it got from its manager, such as that of Put: its client must not take it for the
// word that the task was refused.
func TestServiceCannotRefuseATaskLikeTheBroker(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.client(100, 1)
	i := w.instance("a", 200, nil)
	c.submit(1, 1, "x")
	w.settle()
	i.fails(1, retried(protocol.CodeOverloaded, 0))
	w.settle()
	c.want(t, 1, "!TaskFailed")
	w.drained()
}

// The alarms of tasks that are done do not pile up until their time has come.
func TestAlarmsOfTasksThatAreDoneAreDropped(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	w.client(100, 1)
	i := w.instance("a", 200, nil)
	w.submitWith(100, 1, 1, "x", &protocol.TaskOptions{Timeout: 2 * time.Hour})
	i.tasks = nil // it stays
	for n := range uint64(3 * prunedFrom) {
		w.submitWith(100, 1, n+2, "x", &protocol.TaskOptions{Timeout: time.Hour})
		i.run(1)
		w.settle()
		w.core.Tick(w.now)
	}
	if n := len(w.core.byID[1].alarms.heap); n > prunedFrom+1 {
		t.Fatalf("%d alarms for one task", n)
	}
	if at, ok := w.core.byID[1].alarms.next(); !ok || at.After(w.now.Add(2*time.Hour)) {
		t.Fatalf("the alarm of the task that is not done is gone: next is %v", at)
	}
	w.pass(0)
	for range 2 {
		w.now = w.now.Add(2 * time.Hour)
		w.core.Tick(w.now)
	}
	if n := len(w.core.byID[1].alarms.heap); n > 1 {
		t.Fatalf("%d alarms are left", n)
	}
}
