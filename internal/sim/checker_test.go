package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// illegal are histories that the checker must complain about, by what is wrong with them.
var illegal = map[string]struct {
	kind    string
	history func(w *World, t *task)
}{
	"answered twice": {"result", func(w *World, t *task) {
		t.successes = 1
		w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
		w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
	}},
	"the result of another task": {"result", func(w *World, t *task) {
		t.successes = 1
		w.checker.completed(t, resultOf(t.content+1), t.resultSize, nil)
	}},
	"a result that was cut": {"result", func(w *World, t *task) {
		t.successes = 1
		w.checker.completed(t, resultOf(t.content), t.resultSize-1, nil)
	}},
	"a result that no hook returned": {"result", func(w *World, t *task) {
		w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
	}},
	"a failure of no hook": {"error", func(w *World, t *task) {
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeTaskFailed, "x", "y"))
	}},
	"killed by nobody": {"error", func(w *World, t *task) {
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeSessionKilled, "x", "y"))
	}},
	"credit exceeded": {"error", func(w *World, t *task) {
		t.session.excused = "anything"
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeOverloaded, "x", "y"))
	}},
	"a session that nobody closed": {"session", func(w *World, t *task) { w.checker.sessionEnds(t.session, nil) }},
	"a container started twice": {"container", func(w *World, _ *task) {
		w.checker.started(w.nodes[0].agent, "c1")
		w.checker.started(w.nodes[0].agent, "c1")
	}},
	"more deaths than attempts": {"attempts", func(w *World, t *task) {
		for range 1000 {
			w.checker.died(t)
		}
	}},
	"dispatched after its answer": {"dispatch", func(w *World, t *task) {
		t.answered, t.answeredAs = 7, 3
		w.checker.leaves(w.toInstance(), dispatchOf(t, 7, 3), nil)
	}},
	"dispatched without a submission": {"dispatch", func(w *World, t *task) {
		other := *t
		other.content++
		w.checker.leaves(w.toInstance(), dispatchOf(&other, 7, 3), nil)
	}},
	"a frame that cannot be read": {"frame", func(w *World, _ *task) { w.checker.leaves(w.toInstance(), []byte("junk"), nil) }},
	"told before it is durable": {"durable", func(w *World, _ *task) {
		b := protocol.AppendHeader(nil, protocol.Header{Version: 1})
		w.checker.confirms(w.toInstance(), protocol.AppendBody(b, protocol.KindSessionOpened, 0, 1, protocol.SessionOpened{Session: 5}))
	}},
}

// attempt has a manager send a task to an instance as an attempt of session 3 in reign 7.
func (w *World) attempt(t *task, c *conn, number uint8) {
	rec := protocol.Record{Kind: protocol.KindDispatch, Session: 3, Task: 1}
	frame := protocol.AppendDispatch(nil, 3, 1, nil, &protocol.Execution{ID: t.id, Attempt: number})
	r := protocol.NewReader(frame)
	if ok, err := r.Next(&rec); !ok || err != nil {
		panic(err)
	}
	if w.broker.shares.sessions[3] == nil {
		w.broker.shares.sessions[3] = &hosted{}
	}
	w.promises.dispatched(t, c, &rec, 7)
}

// broken are histories of single tasks in which something that was promised is not kept, by what that is.
var broken = map[string]struct {
	kind    string
	history func(w *World, t *task, c *conn)
}{
	"more attempts than the policy says": {"attempts", func(w *World, t *task, c *conn) { w.attempt(t, c, 6) }},
	"more failures than the policy says": {"attempts", func(w *World, t *task, c *conn) {
		t.retry.HostLosses, t.retry.Backoff, t.retry.MaxBackoff = 9, 0, 0
		for n := range uint8(4) {
			w.attempt(t, c, n+1)
			t.attempts.failed = true
		}
	}},
	"again without the backoff": {"backoff", func(w *World, t *task, c *conn) {
		w.attempt(t, c, 1)
		t.attempts.failed, t.attempts.at = true, w.now.Add(-400*time.Millisecond)
		w.attempt(t, c, 2)
	}},
	"sooner than the failure asks for": {"backoff", func(w *World, t *task, c *conn) {
		w.attempt(t, c, 1)
		t.attempts.failed, t.attempts.at, t.attempts.least = true, w.now.Add(-2*time.Second), 3*time.Second
		w.attempt(t, c, 2)
	}},
	"begun though its session is suspended": {"suspend", func(w *World, t *task, c *conn) {
		w.broker.shares.sessions[3] = &hosted{suspended: true}
		w.attempt(t, c, 1)
	}},
	"counted for the instance of another task": {"spared", func(w *World, t *task, c *conn) {
		w.attempt(t, c, 1)
		t.attempts.spared = t.attempts.last
		w.attempt(t, c, 2)
	}},
	"counted for an instance that was not seen": {"", func(w *World, t *task, c *conn) {
		w.attempt(t, c, 1)
		t.attempts.spared, w.promises.unseen = t.attempts.last, w.at
		w.attempt(t, c, 2)
	}},
	"a low priority first": {"priority", func(w *World, t *task, c *conn) {
		high := w.newTask(t.session, 16)
		high.arrived, high.options.Priority = 1, 1
		c.d.process.owner = nil
		t.session.app.c.pending = []*task{t, high}
		w.promises.firsts = []*task{t}
		w.promises.ranked()
	}},
	"given up and nowhere to be seen": {"dead", func(w *World, t *task, _ *conn) {
		t.failures, t.answered = 3, 7
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeAttemptsSpent, "x", "y"))
	}},
	"a result and in the dead-letter list": {"dead", func(w *World, t *task, _ *conn) {
		t.successes, t.answered, t.buried = 1, 7, 7
		w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
	}},
	"cancelled by nobody": {"error", func(w *World, t *task, _ *conn) {
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeCancelled, "x", "y"))
	}},
	"given up before its time": {"error", func(w *World, t *task, _ *conn) {
		t.timeout = time.Second
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeDeadline, "x", "y"))
	}},
	"failed for a task that succeeded": {"error", func(w *World, t *task, _ *conn) {
		t.after = []*task{{wishes: wishes{told: 1}, done: true}}
		w.checker.completed(t, 0, 0, protocol.Errorf(protocol.CodeDependency, "x", "y"))
	}},
	"ends long after its cancel": {"overdue", func(w *World, t *task, _ *conn) {
		t.cancelled, t.arrived, t.successes = 1, 1, 1
		w.at = int64(time.Hour)
		w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
	}},
	"out of order": {"order", func(w *World, t *task, _ *conn) {
		t.ordered, t.order, t.session.delivered, t.successes = true, 1, 2, 1
		w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
	}},
	"begun before what it waits for": {"begun", func(w *World, t *task, c *conn) {
		t.after = []*task{{}}
		w.promises.mayBegin(&hookRun{instance: &instance{w: w, process: c.d.process}}, t, func(what string) { w.fail("begun", "%s", what) })
	}},
	"begun after its client was told that it was cancelled": {"begun", func(w *World, t *task, c *conn) {
		w.broker.shares.sessions[3] = &hosted{}
		t.done, t.code, t.answered, t.answeredAs = true, protocol.CodeCancelled, 7, 3
		h := &hookRun{instance: &instance{w: w, process: c.d.process, life: instanceLife{epoch: 7}}, session: &boundSession{number: 3}}
		w.promises.mayBegin(h, t, func(what string) { w.fail("begun", "%s", what) })
	}},
	"begun in another session": {"", func(w *World, t *task, c *conn) {
		w.broker.shares.sessions[3] = &hosted{}
		t.done, t.code, t.answered, t.answeredAs = true, protocol.CodeCancelled, 7, 3
		h := &hookRun{instance: &instance{w: w, process: c.d.process, life: instanceLife{epoch: 7}}, session: &boundSession{number: 2}}
		w.promises.mayBegin(h, t, func(what string) { w.fail("begun", "%s", what) })
	}},
	"an instance killed though its hooks end": {"killed", func(w *World, _ *task, c *conn) {
		w.at = int64(time.Hour)
		i := &instance{w: w, process: c.d.process, service: w.services[0]}
		i.container = &container{order: protocol.StartContainer{ID: "c1"}, instance: i}
		w.instances = append(w.instances, i)
		w.promises.kills(&session.Kill{Container: "c1"})
	}},
	"refused though there is room": {"overload", func(w *World, t *task, _ *conn) {
		w.checker.refused(t, 1, &protocol.Error{Code: protocol.CodeOverloaded, RetryAfter: time.Second})
	}},
}

func TestPromises(t *testing.T) {
	for name, c := range broken {
		w := calmWorld(t)
		w.at, w.now = int64(time.Minute), epochOfTime.Add(time.Minute)
		s := &appSession{app: &w.seats[0].client.app, service: w.services[0]}
		s.session = s.app.c.engine.Open(protocol.OpenSession{Service: s.service.name}, 0, 0)
		one := w.newTask(s, 16)
		one.retry = protocol.Retry{Attempts: 3, HostLosses: 3, Backoff: protocol.Duration(time.Second), MaxBackoff: protocol.Duration(time.Second)}
		w.checker.submitted(one)
		c.history(w, one, w.toInstance())
		switch {
		case c.kind == "" && w.failure != nil:
			t.Errorf("%s: the checker says %v, and nothing is wrong", name, w.failure)
		case c.kind != "" && (w.failure == nil || w.failure.Kind != c.kind):
			t.Errorf("%s: the checker says %v, want a failure of kind %s", name, w.failure, c.kind)
		}
	}
}

func (w *World) toInstance() *conn {
	p := w.newProcess(instanceParty, "i", 1, nil)
	return &conn{d: &dealer{process: p, actor: p.newActor("i", nil)}, r: w.broker.routers[1]}
}

func dispatchOf(t *task, epoch protocol.Epoch, session protocol.SessionNumber) []byte {
	b := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: epoch, Incarnation: 1})
	c := uint64(t.content)
	return protocol.AppendDispatch(b, session, 1, []byte{
		byte(c >> 56), byte(c >> 48), byte(c >> 40), byte(c >> 32), byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c),
	}, &protocol.Execution{ID: t.id, Attempt: 1})
}

func TestCheckerComplains(t *testing.T) {
	for name, c := range illegal {
		w := calmWorld(t)
		s := &appSession{app: &w.seats[0].client.app, service: w.services[0]}
		s.session = s.app.c.engine.Open(protocol.OpenSession{Service: s.service.name}, 0, 0)
		one := w.newTask(s, 16)
		one.retry = protocol.Retry{Attempts: 3, HostLosses: 3, Backoff: protocol.Duration(time.Second), MaxBackoff: protocol.Duration(time.Second)}
		w.checker.submitted(one)
		c.history(w, one)
		if w.failure == nil || w.failure.Kind != c.kind {
			t.Errorf("%s: the checker says %v, want a failure of kind %s", name, w.failure, c.kind)
		}
	}
}

// hookHistory is hooks as they begin and end: + and - before the letter of the hook.
func (w *World) hookHistory(slots int, words ...string) {
	i := &instance{w: w, slots: slots, service: w.services[0]}
	i.process = w.newProcess(instanceParty, "i", 1, i)
	kinds := map[byte]engine.JobKind{'c': engine.Create, 'b': engine.Bind, 'x': engine.Exec, 'u': engine.Unbind, 'd': engine.Destroy}
	session := &engine.Session{Bind: protocol.Bind{Session: 1}}
	s := &appSession{app: &w.seats[0].client.app, service: i.service}
	running := map[byte][]*hookRun{}
	for _, word := range words {
		kind := word[1]
		if word[0] == '-' {
			h := running[kind][0]
			running[kind] = running[kind][1:]
			w.checker.ends(h)
			continue
		}
		h := w.newHook(i)
		h.job.Kind = kinds[kind]
		if kind != 'c' && kind != 'd' {
			h.job.Session = session
		}
		if kind == 'x' {
			t := w.newTask(s, 16)
			h.job.Handle = i.process.table.add(t.content, 16)
		}
		if w.checker.begins(h); w.failure != nil {
			return // as a run does
		}
		running[kind] = append(running[kind], h)
	}
	w.checker.instanceEnds(i)
}

func TestHookOrder(t *testing.T) {
	legal := []string{"+c", "-c", "+b", "-b", "+x", "-x", "+x", "-x", "+u", "-u", "+d", "-d"}
	w := calmWorld(t)
	w.hookHistory(1, legal...)
	if w.failure != nil {
		t.Fatalf("a legal history: %v", w.failure)
	}
	for name, words := range map[string][]string{
		"created twice":              append([]string{"+c", "-c"}, legal...),
		"a task before the binding":  {"+c", "-c", "+x", "-x", "+d", "-d"},
		"a task after the unbinding": append(slices.Clone(legal[:10]), "+x", "-x", "+d", "-d"),
		"bound before the creation":  {"+b", "-b"},
		"bound twice":                {"+c", "-c", "+b", "-b", "+b", "-b"},
		"two hooks in one slot":      {"+c", "-c", "+b", "-b", "+x", "+x", "-x", "-x", "+u", "-u", "+d", "-d"},
		"unbound twice":              {"+c", "-c", "+b", "-b", "+u", "-u", "+u", "-u", "+d", "-d"},
		"never unbound":              {"+c", "-c", "+b", "-b"},
		"destroyed before unbound":   {"+c", "-c", "+b", "-b", "+d", "-d"},
		"never destroyed":            {"+c", "-c"},
		"a hook after the last":      append(slices.Clone(legal), "+b", "-b"),
	} {
		w := calmWorld(t)
		w.hookHistory(1, words...)
		if w.failure == nil || w.failure.Kind != "hooks" {
			t.Errorf("%s: the checker says %v", name, w.failure)
		}
	}
}

// A task of a reign that is over must not be executed, unless the present reign has dispatched it as well.
func TestOldReign(t *testing.T) {
	w := calmWorld(t)
	i := &instance{w: w, slots: 1, service: w.services[0]}
	i.process = w.newProcess(instanceParty, "i", 1, i)
	one := w.newTask(&appSession{app: &w.seats[0].client.app, service: i.service}, 16)
	reach := func(epoch protocol.Epoch) {
		w.checker.reaches(i, engine.Data, &message{bytes: dispatchOf(one, epoch, 1)})
	}
	reach(8)
	if len(i.life.stale) != 0 {
		t.Fatal("a task of the present reign is taken for old")
	}
	reach(7)
	if !slices.Contains(i.life.stale, one) {
		t.Fatal("a task of an old reign is not noted")
	}
	reach(8)
	if slices.Contains(i.life.stale, one) {
		t.Error("a task that was dispatched again is still taken for old")
	}
}
