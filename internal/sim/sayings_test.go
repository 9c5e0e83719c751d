package sim

import (
	"fmt"
	"testing"

	clientengine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// part brings a part of the task to its client, which says something of itself.
func (w *World) part(t *task, attempt, number int, is saying) {
	payload := make([]byte, 40)
	is.put(payload)
	w.seats[0].client.app.said(&clientengine.Said{Task: t.id, Attempt: attempt, Number: number, Payload: payload})
}

// says is a part as its first execution sends it in an attempt.
func (t *task) says(attempt, number int) saying {
	return saying{content: t.content, run: 1, attempt: uint32(attempt), number: uint32(number), size: 40}
}

// parts brings so many in an attempt.
func (w *World) parts(t *task, attempt, n int) {
	for number := range n {
		w.part(t, attempt, number, t.says(attempt, number))
	}
}

// progress brings how far the task is, as another or the same attempt has said.
func (w *World) progress(t *task, attempt int, percent float64, said int) {
	p := &protocol.Progress{Attempt: attempt, Percent: percent, Text: fmt.Sprintf(word, said, uint64(t.content))}
	w.seats[0].client.app.said(&clientengine.Said{Task: t.id, Attempt: attempt, Progress: p})
}

// succeeds ends the task after an execution has sent parts.
func (w *World) succeeds(t *task, run uint32, sent int) {
	t.successes, t.sent, t.sentBy = 1, sent, run
	w.checker.completed(t, resultOf(t.content), t.resultSize, nil)
}

var partRules = map[string]rule{
	"in order":           {"", func(w *World, t *task) { w.parts(t, 1, 3); w.succeeds(t, 1, 3) }},
	"anew":               {"", func(w *World, t *task) { w.parts(t, 1, 3); w.parts(t, 3, 2); w.succeeds(t, 1, 2) }},
	"none":               {"", func(w *World, t *task) { w.succeeds(t, 1, 0) }},
	"a gap":              {"parts", func(w *World, t *task) { w.parts(t, 1, 1); w.part(t, 1, 2, t.says(1, 2)) }},
	"not from the first": {"parts", func(w *World, t *task) { w.part(t, 1, 1, t.says(1, 1)) }},
	"twice":              {"parts", func(w *World, t *task) { w.parts(t, 1, 1); w.parts(t, 1, 1) }},
	"numbered otherwise than sent": {"parts", func(w *World, t *task) {
		w.parts(t, 1, 1)
		w.part(t, 1, 1, t.says(1, 2))
	}},
	"of the attempt before": {"parts", func(w *World, t *task) {
		w.parts(t, 2, 1)
		w.part(t, 1, 1, t.says(1, 1))
	}},
	"of the attempt before, from its first": {"parts", func(w *World, t *task) { w.parts(t, 2, 1); w.parts(t, 1, 1) }},
	"numbered otherwise than it says":       {"parts", func(w *World, t *task) { w.part(t, 1, 5, t.says(1, 0)) }},
	"passed on as of the attempt before": {"parts", func(w *World, t *task) {
		w.parts(t, 2, 1)
		w.part(t, 1, 1, t.says(2, 1))
	}},
	"passed on as of the next attempt": {"parts", func(w *World, t *task) { w.part(t, 2, 0, t.says(1, 0)) }},
	"of two executions in one attempt": {"parts", func(w *World, t *task) {
		w.parts(t, 1, 1)
		is := t.says(1, 1)
		is.run = 2
		w.part(t, 1, 1, is)
	}},
	"of another task": {"parts", func(w *World, t *task) {
		is := t.says(1, 0)
		is.content++
		w.part(t, 1, 0, is)
	}},
	"cut": {"parts", func(w *World, t *task) {
		is := t.says(1, 0)
		is.size++
		w.part(t, 1, 0, is)
	}},
	"hardly anything": {"parts", func(w *World, t *task) {
		w.seats[0].client.app.said(&clientengine.Said{Task: t.id, Attempt: 1, Payload: make([]byte, sayingSize-1)})
	}},
	"of a task that is over": {"parts", func(w *World, t *task) {
		w.seats[0].client.pending[0] = nil
		w.parts(t, 1, 1)
	}},
	"of a task that had the place before": {"parts", func(w *World, t *task) {
		was := *t
		was.id = protocol.NewTaskID(7, 0)
		w.parts(&was, 1, 1)
	}},
	"under a broker that has taken over": {"", func(w *World, t *task) {
		w.parts(t, 1, 2)
		w.reigns = 2
		for n := range 2 { // its first attempt
			w.part(t, 2, n, t.says(1, n))
		}
		w.part(t, 3, 0, t.says(2, 0))
	}},
	"as of an attempt before the broker that has taken over": {"parts", func(w *World, t *task) {
		w.reigns = 2
		w.part(t, 2, 0, t.says(1, 0))
		w.part(t, 3, 0, t.says(3, 0))
	}},
	"one missing at the result":  {"parts", func(w *World, t *task) { w.parts(t, 1, 2); w.succeeds(t, 1, 3) }},
	"all missing at the result":  {"parts", func(w *World, t *task) { w.succeeds(t, 1, 3) }},
	"those of another execution": {"parts", func(w *World, t *task) { w.parts(t, 1, 3); w.succeeds(t, 2, 3) }},
	"one missing after a failure": {"", func(w *World, t *task) {
		w.parts(t, 1, 2)
		t.successes, t.sent, t.sentBy, t.code = 1, 3, 1, 1
		w.promises.heardAll(t)
	}},
	"one missing after two": {"", func(w *World, t *task) {
		w.parts(t, 1, 2)
		t.successes, t.sent, t.sentBy = 2, 3, 1
		w.promises.heardAll(t)
	}},
	"one missing after a crash": {"", func(w *World, t *task) {
		w.plan.on = w.plan.on.With(CrashBroker)
		w.parts(t, 1, 2)
		w.succeeds(t, 1, 3)
	}},
	"one missing after a drop":     {"parts", func(w *World, t *task) { w.plan.on = w.plan.on.With(Drop); w.parts(t, 1, 2); w.succeeds(t, 1, 3) }},
	"further and further":          {"", func(w *World, t *task) { w.progress(t, 1, 20, 1); w.progress(t, 1, 20, 1); w.progress(t, 1, 100, 1) }},
	"less far":                     {"parts", func(w *World, t *task) { w.progress(t, 1, 20, 1); w.progress(t, 1, 19, 1) }},
	"less far anew":                {"", func(w *World, t *task) { w.progress(t, 1, 100, 1); w.progress(t, 2, 10, 2) }},
	"an attempt that was over":     {"parts", func(w *World, t *task) { w.progress(t, 2, 10, 2); w.progress(t, 1, 100, 1) }},
	"as another attempt has said":  {"parts", func(w *World, t *task) { w.progress(t, 2, 10, 1) }},
	"as said under another broker": {"", func(w *World, t *task) { w.reigns = 2; w.progress(t, 2, 10, 1); w.progress(t, 3, 10, 2) }},
	"as another task has said": {"parts", func(w *World, t *task) {
		other := *t
		other.content++
		w.progress(&other, 1, 10, 1)
	}},
	"as nobody has said": {"parts", func(w *World, t *task) {
		w.seats[0].client.app.said(&clientengine.Said{Task: t.id, Attempt: 1, Progress: &protocol.Progress{Attempt: 1, Percent: 7}})
	}},
}

// Parts come whole, in order and from the attempt and execution that they are said to be of, all before the result; and of how
// far a task is it is heard what was said.
func TestParts(t *testing.T) { judge(t, partRules) }

// What a part says of itself is read as it was written.
func TestSayingsAreRead(t *testing.T) {
	is := saying{content: 1<<63 + 5, run: 2, attempt: 3, number: 4, size: 5}
	b := make([]byte, sayingSize)
	is.put(b)
	if got := sayingOf(b); got != is {
		t.Errorf("%+v was written, and %+v read", is, got)
	}
	if got := sayingOf(b[1:]); got != (saying{}) {
		t.Errorf("of less than a head %+v is read", got)
	}
}
