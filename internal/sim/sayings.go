package sim

import (
	"encoding/binary"

	clientengine "github.com/weft-fabric/weft/internal/engine/client"
	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// speech is what a hook says while it runs: parts of its result, the first of them at its beginning and the others at its
// end, unless its window is closed.
type speech struct {
	parts, said int
	size        int            // of each part
	run         uint32         // of its task, among its executions
	waits       *engine.Stream // its window is closed
}

// sayings is what the client of a task has heard of it.
type sayings struct {
	attempt int     // of the last part
	next    int     // number of the next part of it
	of      uint32  // run that said it
	heard   int     // parts, of all attempts
	percent float64 // of the last word of progress
	toldOf  int     // attempt of that
	spoke   bool    // a hook has said something: each further attempt has a number of its own, also where none counts as one
	emitted int     // parts that its hooks have sent
}

// partHead is what a part says: the content of its task, the execution, and its place.
const partHead = 16

// begins has a hook of a task say the first of what it has to say, and ask for data of its session.
func (h *hookRun) begins() {
	w := h.instance.w
	draw := &w.drawParty
	if h.job.Session != nil && draw.chance(w.plan.data) {
		h.instance.data.ask(h)
	}
	if !draw.chance(w.plan.parts) {
		return
	}
	h.parts, h.size, h.run = draw.between(1, 8), pick(draw, partHead, partHead, 2000, 90<<10), uint32(h.task.executions)
	h.task.spoke = true
	h.says((h.parts + 1) / 2)
	engine.Progress(h.instance.engine, h.instance.process.now(), &h.job, float64(draw.between(1, 50)), "begun")
}

// concludes has it say the rest.
func (h *hookRun) concludes() {
	if h.parts > 0 && h.waits == nil {
		h.says(h.parts)
		engine.Progress(h.instance.engine, h.instance.process.now(), &h.job, 100, "done")
	}
	if h.waits != nil {
		h.waits.Shell = nil
	}
}

// says sends parts up to a number, as far as the window allows.
func (h *hookRun) says(upTo int) {
	i, w := h.instance, h.instance.w
	part := make([]byte, h.size)
	for h.said < upTo {
		binary.BigEndian.PutUint64(part, uint64(h.task.content))
		binary.BigEndian.PutUint32(part[8:], h.run)
		binary.BigEndian.PutUint32(part[12:], uint32(h.said))
		wait, err := engine.Emit(i.engine, &h.job, part)
		switch {
		case err != nil:
			if code := protocol.CodeOf(err); code != protocol.CodeUnavailable {
				w.fail("parts", "%s cannot send a part of task %v: %v", i.process.name, h.job.ID, err)
			}
			h.parts = 0
			return
		case wait != nil:
			w.tally.add(PartsWaited)
			h.waits = wait
			wait.Shell = h
			return
		}
		h.said++
		h.task.emitted++
		w.tally.add(PartsSent)
	}
}

// saysOn has it go on, since the window is open again.
func (h *hookRun) saysOn() {
	h.waits.Shell, h.waits = nil, nil
	h.says(h.parts)
	h.instance.actor.ring()
}

// said takes what a task has said. Parts come in order, without gaps, each attempt from its first one on, and those of one
// attempt are of one execution.
func (a *app) said(s *clientengine.Said) {
	c, w := a.c, a.c.w
	at := int(s.Task.Slot())
	var t *task
	if at < len(c.pending) {
		t = c.pending[at]
	}
	if t == nil || t.taskID() != s.Task {
		w.fail("parts", "%s hears something of task %v, for which nobody waits", c.process.name, s.Task)
		return
	}
	if p := s.Progress; p != nil {
		w.tally.add(Progressed)
		if p.Attempt < t.toldOf || p.Attempt == t.toldOf && p.Percent < t.percent {
			w.fail("parts", "%s hears that task %v is done to %v %% in attempt %d, after %v %% in attempt %d", c.process.name, s.Task, p.Percent, p.Attempt, t.percent, t.toldOf)
		}
		t.percent, t.toldOf = p.Percent, p.Attempt
		return
	}
	w.tally.add(PartsCame)
	t.heard++
	c.unread = append(c.unread, unread{source: s.Source, bytes: s.Weight})
	if len(s.Payload) < partHead {
		w.fail("parts", "%s gets a part of task %v with %d bytes", c.process.name, s.Task, len(s.Payload))
		return
	}
	run, number := binary.BigEndian.Uint32(s.Payload[8:]), int(binary.BigEndian.Uint32(s.Payload[12:]))
	if s.Attempt > t.attempt {
		t.attempt, t.next, t.of = s.Attempt, 0, run
	}
	if contentOf(s.Payload) != t.content || s.Attempt < t.attempt || run != t.of || s.Number != t.next || number != t.next {
		w.fail("parts", "%s gets part %d of attempt %d of task %v, which its execution %d has sent as the %dth; the next is %d of attempt %d, of execution %d",
			c.process.name, s.Number, s.Attempt, s.Task, run, number, t.next, t.attempt, t.of)
	}
	t.next++
}

// heardAll judges, where nothing disturbs, that a task which was executed once has all its parts heard before its result.
func (k *promises) heardAll(t *task) {
	if k.w.plan.calm && t.executions == 1 && t.code == 0 && t.heard != t.emitted {
		k.w.fail("parts", "task %v of session %d has a result, and %d of its %d parts were heard", t.id, t.session.index, t.heard, t.emitted)
	}
}
