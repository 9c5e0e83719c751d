package sim

import (
	"encoding/binary"
	"fmt"

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
	base    int     // attempts before its session was opened anew
	opened  uint32  // number of the session when the base was taken
	attempt int     // of the last part
	next    int     // number of the next part of it
	of      uint32  // run that said it
	percent float64 // of the last word of progress
	toldOf  int     // attempt of that
	spoke   bool    // a hook has said something: each further attempt has a number of its own, also where none counts as one
	sent    int     // parts, by the execution that was successful last
	sentBy  uint32  // which that is
}

// saying is what a part says of itself.
type saying struct {
	content content
	run     uint32 // of its task, among its executions
	attempt uint32
	number  uint32
	size    uint32
}

const sayingSize = 24

// put writes it to the beginning of a part.
func (s *saying) put(part []byte) {
	binary.BigEndian.PutUint64(part, uint64(s.content))
	for n, v := range [...]uint32{s.run, s.attempt, s.number, s.size} {
		binary.BigEndian.PutUint32(part[8+4*n:], v)
	}
}

// sayingOf reads what put has written; of less than that it is nothing.
func sayingOf(part []byte) (s saying) {
	if len(part) < sayingSize {
		return s
	}
	s.content = contentOf(part)
	for n, v := range [...]*uint32{&s.run, &s.attempt, &s.number, &s.size} {
		*v = binary.BigEndian.Uint32(part[8+4*n:])
	}
	return s
}

// word is what an attempt of a task says of how far it is.
const word = "attempt %d of %d"

// tells says how far the task is.
func (h *hookRun) tells(percent float64) {
	engine.Progress(h.instance.engine, h.instance.process.now(), &h.job, percent, fmt.Sprintf(word, h.job.Attempt, uint64(h.task.content)))
}

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
	h.parts, h.size, h.run = draw.between(1, 8), pick(draw, sayingSize, sayingSize, 2000, 90<<10), uint32(h.task.executions)
	h.task.spoke = true
	h.says((h.parts + 1) / 2)
	h.tells(float64(draw.between(1, 50)))
}

// concludes has it say the rest.
func (h *hookRun) concludes() {
	if h.parts > 0 && h.waits == nil {
		h.says(h.parts)
		h.tells(100)
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
		says := saying{content: h.task.content, run: h.run, attempt: uint32(h.job.Attempt), number: uint32(h.said), size: uint32(h.size)}
		says.put(part)
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
		w.tally.add(PartsSent)
	}
}

// saysOn has it go on, since the window is open again.
func (h *hookRun) saysOn() {
	h.waits.Shell, h.waits = nil, nil
	h.says(h.parts)
	h.instance.actor.ring()
}

// said takes what a task has said. Parts come whole, in order, without gaps, each attempt from its first one on, and those of
// one attempt are of one execution. What is told of how far it is was said by the attempt that is named.
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
	if t.opened == 0 {
		t.opened = t.session.session.Number()
	}
	if s.Progress != nil {
		w.tally.add(Progressed)
		a.progressed(t, s.Progress)
		return
	}
	w.tally.add(PartsCame)
	c.unread = append(c.unread, unread{source: s.Source, bytes: s.Weight})
	is := sayingOf(s.Payload)
	if s.Attempt > t.attempt {
		t.attempt, t.next, t.of = s.Attempt, 0, is.run
	}
	next := saying{content: t.content, run: t.of, attempt: uint32(t.attempt - t.base), number: uint32(t.next), size: uint32(len(s.Payload))}
	if t.rebased(s.Attempt, int(is.attempt)) {
		next.attempt = is.attempt
	}
	if is != next || s.Attempt != t.attempt || s.Number != t.next {
		w.fail("parts", "%s gets as part %d of attempt %d of task %v what was sent as %+v; the next is %+v",
			c.process.name, s.Number, s.Attempt, s.Task, is, next)
	}
	t.next++
}

// progressed takes how far a task is: as the attempt that is named has said, and never less than before.
func (a *app) progressed(t *task, p *protocol.Progress) {
	name, w := a.c.process.name, a.c.w
	if p.Attempt < t.toldOf || p.Attempt == t.toldOf && p.Percent < t.percent {
		w.fail("parts", "%s hears that task %v is done to %v %% in attempt %d, after %v %% in attempt %d", name, t.id, p.Percent, p.Attempt, t.percent, t.toldOf)
	}
	var attempt int
	var of content
	if n, _ := fmt.Sscanf(p.Text, word, &attempt, &of); n != 2 || of != t.content || attempt != p.Attempt-t.base && !t.rebased(p.Attempt, attempt) {
		w.fail("parts", "%s hears of attempt %d of task %v what that has not said: %q; %d attempts were before its session was opened anew", name, p.Attempt, t.id, p.Text, t.base)
	}
	t.percent, t.toldOf = p.Percent, p.Attempt
}

// rebased says whether it is since the session was opened anew that what is heard as of one attempt was said by another: its
// client adds the attempts before. That is so when another broker has taken over, and when the broker had given the client up,
// which asked for the session again: it has another number then.
func (t *task) rebased(heard, said int) bool {
	number := t.session.session.Number()
	if t.session.app.c.w.reigns == 1 && t.opened == number || heard-said <= t.base {
		return false
	}
	t.base, t.opened = heard-said, number
	return true
}

// silencing are the classes after which a conversation may end in which parts are on their way.
const silencing = Faults(1<<Partition | 1<<Pause | 1<<CrashBroker | 1<<Move | 1<<Clocks)

// heardAll judges that all parts of what was executed with success are heard before its result.
func (k *promises) heardAll(t *task) {
	if k.w.plan.on&silencing == 0 && t.successes == 1 && t.code == 0 && t.sent > 0 && (t.of != t.sentBy || t.next != t.sent) {
		k.w.fail("parts", "task %v of session %d has a result, its execution %d has sent %d parts, and of execution %d there were %d heard",
			t.id, t.session.index, t.sentBy, t.sent, t.of, t.next)
	}
}
