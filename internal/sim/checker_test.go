package sim

import (
	"slices"
	"testing"

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
		w.checker.confirms(w.broker, protocol.AppendBody(b, protocol.KindSessionOpened, 0, 1, protocol.SessionOpened{Session: 5}))
	}},
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
	}, protocol.Execution{ID: t.id, Attempt: 1})
}

func TestCheckerComplains(t *testing.T) {
	for name, c := range illegal {
		w := calmWorld(t)
		s := &appSession{app: &w.seats[0].client.app, service: w.services[0]}
		one := w.newTask(s, 16)
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
