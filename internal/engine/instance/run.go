package instance

import (
	"bytes"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// maxAnswers is how many bytes of results one run has.
const maxAnswers = 16 << 10

// Run is plain tasks of one session that one goroutine runs, one after the other: [Run.Next] and [Run.Answer] need no lock
// around the engine. What is to be known of each without them is how many were begun, which the shell counts: by that number
// somebody else, who holds the lock, takes back what has not begun, and what has ended, with [Run.Cut].
type Run struct {
	session *Session
	era     uint32
	tasks   []byte // records, from the first
	count   int    // tasks in it
	cut     bool   // what had not begun was given back
	current uint64 // then: the last that was begun
	told    int    // bytes of answers that are in the link
	answers []byte // begins where results do

	// Of the goroutine that runs it.
	reader protocol.Reader
	head   protocol.PlainHead
	said   int // bytes of answers
	memory arena
}

// Begin says whether what is to run next are plain tasks, and takes all of one session. They count as one job. job is made
// ready for [Run.Next], which is called for each that is begun. No message may be taken in before [Run.Cut] or [Run.End].
func (r *Run) Begin(e *Engine, job *Job) bool {
	if e.running >= e.cfg.Slots || e.life.forced || !e.roster.mayServe() {
		return false
	}
	s := e.roster.turns.first()
	if s.queue.live > 0 {
		return false
	}
	e.running++
	s.running++
	if r.answers == nil {
		r.answers = make([]byte, maxAnswers)
	}
	r.session, r.era, r.cut, r.told, r.said = s, e.roster.era, false, 0, 0
	r.tasks, r.count = s.queue.takeRun()
	r.reader = protocol.NewReader(r.tasks)
	r.head = protocol.NewPlainHead(protocol.KindResult, s.Bind.Session)
	*job = Job{Session: s, Attempt: 1, MaxPayload: e.roster.manager.maxPayload, era: r.era}
	e.roster.turns.pass()
	return true
}

// Count is how many tasks there are.
func (r *Run) Count() int { return r.count }

// Next puts the next task into job. There must be one.
func (r *Run) Next(job *Job) {
	_, task, payload, id, _ := r.reader.PlainDispatch()
	job.ID, job.task, job.Payload = id, task, r.memory.keep(payload)
}

// Answer answers the task in job with its result, which is copied. It says no when the result is not to travel like that, or
// when there is no room: then the run has to end with the [Outcome] of this task.
func (r *Run) Answer(job *Job, result []byte) bool {
	end := r.said + protocol.RecordSize(len(result))
	if len(result) >= protocol.InlinePayload || int64(len(result)) > job.MaxPayload || end > len(r.answers) {
		return false
	}
	protocol.AppendPlain(r.answers[:r.said], r.head, job.task, result)
	r.said = end
	return true
}

// Cut takes a run back from a goroutine that has begun so many of its tasks and is still in the last one: the others were
// answered, or are queued again. The goroutine may not begin another one.
func (r *Run) Cut(e *Engine, begun int) {
	if r.cut {
		return
	}
	said := protocol.NewReader(r.answers)
	tasks := protocol.NewReader(r.tasks)
	for range begun - 1 {
		tasks.PlainDispatch()
		said.Plain(protocol.KindResult)
	}
	_, r.current, _, _, _ = tasks.PlainDispatch()
	r.cut = true
	r.tell(&e.roster, len(r.answers)-len(said.Rest()))
	rest := bytes.Clone(tasks.Rest())
	r.session.queue.leave(rest) // the goroutine may not have read the last one yet
	r.giveBack(&e.roster, rest, begun)
}

// End ends a run of which so many tasks were begun. All were answered, but for the last one when it has an outcome of its
// own: out is nil otherwise.
func (r *Run) End(e *Engine, now time.Time, job *Job, begun int, out *Outcome) {
	s := r.session
	if !r.cut {
		r.giveBack(&e.roster, r.reader.Rest(), begun)
	}
	r.cut, r.session, job.Payload = false, nil, nil
	if job.stream != nil && out == nil {
		e.roster.closeStream(job)
	}
	r.tell(&e.roster, r.said)
	if out != nil {
		e.Done(now, job, out)
		return
	}
	e.running--
	s.running--
	if s.seat != bound {
		e.roster.settle(s)
	}
}

// tell says the answers up to that byte.
func (r *Run) tell(to *roster, upTo int) {
	if upTo > r.told && to.hears(r.era) {
		link.AppendEncoded(to.manager.link, r.answers[r.told:upTo])
	}
	r.told = upTo
}

// giveBack queues the rest again.
func (r *Run) giveBack(to *roster, rest []byte, begun int) {
	s := r.session
	if n := r.count - begun; n > 0 && s.seat == bound { // else it was let go meanwhile, and its tasks with it
		s.queue.putBack(rest, n)
		to.turns.activate(s)
	}
}
