package client

import (
	"math"
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// creditStep is how many consumed bytes of results are told at the latest, when that is less than a quarter of the credit.
const creditStep = 1 << 20

// slot is an unfinished task, in the list of its session by sequence, or one that is held or kept, see extra. The payload
// is either in frame or in handle. A slot is one cache line, as a test sees to.
type slot struct {
	id         protocol.TaskID // its sequence is 0 while it is held
	session    *Session        // nil: the slot is free
	frame      *link.Frame
	extra      *extra  // nil: nothing is to be said of it beyond its payload
	stream     *stream // what it has said while it ran; nil: nothing
	off, size  uint32  // of the payload
	prev, next uint32
	handle     protocol.Handle
	sent       bool // a frame before the one that it is in has left
}

// plain says that there is nothing of the task but its payload and its place.
func (t *slot) plain() bool { return t.extra == nil && t.stream == nil }

// list is a list of slots. Its members and their neighbours are slot + 1; 0: none.
type list struct{ first, last uint32 }

func (l *list) push(slots []slot, at uint32) {
	t := &slots[at]
	t.prev, t.next = l.last, 0
	if l.last == 0 {
		l.first = at + 1
	} else {
		slots[l.last-1].next = at + 1
	}
	l.last = at + 1
}

func (l *list) remove(slots []slot, at uint32) {
	t := &slots[at]
	if t.prev == 0 {
		l.first = t.next
	} else {
		slots[t.prev-1].next = t.next
	}
	if t.next == 0 {
		l.last = t.prev
	} else {
		slots[t.next-1].prev = t.prev
	}
	t.prev, t.next = 0, 0
}

// Room says whether a task of size bytes may be submitted in s now. A session that has nothing unfinished has room for
// any payload.
func (e *Engine) Room(s *Session, size int) bool {
	n := s.tasks + s.kept + s.tenure.untold()
	return n == 0 || n < s.taskCredit && s.bytes+s.keptBytes+int64(size) <= s.byteCredit
}

// Free is how many tasks of at most so many bytes each the session surely takes, and whether it is their number that is
// limited, not their bytes. For one that outlives its client it is none: its room is not known before.
func Free(s *Session, bytes int) (tasks int, limited bool) {
	if !s.Accepting() || s.tenure != nil {
		return 0, false
	}
	tasks = max(0, s.taskCredit-s.tasks-s.kept)
	if most := int((s.byteCredit - s.bytes - s.keptBytes) / int64(bytes)); most < tasks {
		return max(0, most), false
	}
	return tasks, true
}

// Submit writes a task whose payload is below protocol.InlinePayload; the payload is copied. The error is a
// *protocol.Error: CodeSessionClosed or why the session ended, CodePayloadTooLarge, CodeOverloaded when there is no room.
func (e *Engine) Submit(s *Session, payload []byte) (protocol.TaskID, error) {
	if err := s.admit(len(payload)); err != nil {
		return 0, err
	}
	b, err := Begin(s)
	if err != nil {
		return 0, err
	}
	at, err := b.Submit(payload)
	b.End()
	if err != nil {
		return 0, err
	}
	return e.slots[at].id, nil
}

// Submissions are tasks of one session that are submitted one after the other, in fewer steps than by [Engine.Submit].
// Between [Begin] and [Submissions.End] nothing else may be asked of the engine.
type Submissions struct {
	session *Session
	run     link.Run
	bytes   int64
	tasks   int
}

// Begin begins to submit tasks. The error, and those of [Submissions.Submit], are as of [Engine.Submit]; whether there is
// room the caller has seen by [Free].
func Begin(s *Session) (Submissions, error) {
	if err := s.refusal(); err != nil {
		return Submissions{}, err
	}
	if s.tenure != nil {
		s.tenure.say() // which is what there is room by, maybe
	}
	return Submissions{session: s, run: link.NewRun(s.link, protocol.KindTask, s.number)}, nil
}

// Submit writes a task, and tells its slot.
func (b *Submissions) Submit(payload []byte) (at uint32, err error) {
	s := b.session
	if err := exhausted(s); err != nil {
		return 0, err
	}
	e := s.engine
	at = vacant(e)
	s.sequence++
	id := protocol.NewTaskID(s.sequence, at)
	frame, off := b.run.Add(uint64(id), payload)
	frame.Hold()
	t := &e.slots[at]
	t.id, t.session, t.frame = id, s, frame
	t.off, t.size = uint32(off), uint32(len(payload))
	s.push(e.slots, at)
	b.tasks++
	b.bytes += int64(len(payload))
	return at, nil
}

// End ends what [Begin] began without an error; otherwise it has no effect.
func (b *Submissions) End() {
	if s := b.session; s != nil {
		b.run.End()
		s.tasks += b.tasks
		s.bytes += b.bytes
		s.engine.outstanding += b.tasks
	}
}

// SubmitHandle is [Engine.Submit] for a payload frame of size bytes. The engine takes over one reference when it
// returns no error.
func (e *Engine) SubmitHandle(s *Session, h protocol.Handle, size int) (protocol.TaskID, error) {
	if err := s.admit(size); err != nil {
		return 0, err
	}
	t, id := s.enlist(s.take(uint32(size)))
	t.handle = h
	s.write(t, nil)
	return id, nil
}

// admit says why no task of size bytes may be submitted, or nil.
func (s *Session) admit(size int) error {
	switch err := s.refusal(); {
	case err != nil:
		return err
	case int64(size) > s.maxPayload:
		return protocol.Errorf(protocol.CodePayloadTooLarge, "submit",
			"a payload of %d bytes, service %s takes at most %d (limits.payload of its description)", size, s.spec.Service, s.maxPayload)
	case !s.engine.Room(s, size):
		return protocol.Errorf(protocol.CodeOverloaded, "submit",
			"%d tasks with %d bytes are unfinished, at most %d with %d are allowed", s.tasks, s.bytes, s.taskCredit, s.byteCredit)
	}
	return exhausted(s)
}

// refusal says why no task may be submitted, whether there is room or not; nil: none.
func (s *Session) refusal() error {
	switch {
	case s.ended || s.closing != "" || s.tenure.leaving():
		if s.err != nil {
			return s.err
		}
		if s.tenure.leaving() {
			return protocol.Errorf(protocol.CodeDetached, "submit", "session %d is being left", s.number)
		}
		return protocol.Errorf(protocol.CodeSessionClosed, "submit", "session %d is closed", s.number)
	}
	return nil
}

// exhausted says what there are no more of; nil: nothing.
func exhausted(s *Session) error {
	e := s.engine
	switch {
	case len(e.free) == 0 && len(e.slots) > protocol.MaxTaskSlot:
		return protocol.Errorf(protocol.CodeOverloaded, "submit", "%d tasks of this client are unfinished", len(e.slots))
	case s.sequence >= protocol.MaxTaskSequence:
		return protocol.Errorf(protocol.CodeOverloaded, "submit", "the session has had %d tasks: open another", s.sequence)
	}
	return nil
}

// vacant gives a slot that no task has, all zero.
func vacant(e *Engine) uint32 {
	if n := len(e.free); n > 0 {
		at := e.free[n-1]
		e.free = e.free[:n-1]
		return at
	}
	e.slots = append(e.slots, slot{})
	return uint32(len(e.slots) - 1)
}

// take makes a slot for a task of s, which has no id yet, and takes its credit.
func (s *Session) take(size uint32) uint32 {
	e := s.engine
	at := vacant(e)
	t := &e.slots[at]
	t.session, t.size = s, size
	s.tasks++
	s.bytes += int64(size)
	e.outstanding++
	return at
}

// enlist gives the task in a slot the next sequence of s and so its id, and puts it at the end of its list.
func (s *Session) enlist(at uint32) (*slot, protocol.TaskID) {
	if s.tenure != nil {
		s.tenure.say() // which is what there is room by, maybe
	}
	s.sequence++
	id := protocol.NewTaskID(s.sequence, at)
	t := &s.engine.slots[at]
	t.id = id
	s.push(s.engine.slots, at)
	return t, id
}

// unlink takes a task off its list and gives back its credit and what it holds. Its slot stays.
func (r Ref) unlink() {
	s, e, at := r.session, r.session.engine, r.at
	t := &e.slots[at]
	if t.id.Sequence() == 0 {
		s.held.remove(e.slots, at)
	} else {
		s.remove(e.slots, at)
	}
	s.tasks--
	s.bytes -= int64(t.size)
	e.outstanding--
	if t.frame != nil {
		t.frame.Drop()
		t.frame = nil
	}
	e.node.Release(t.handle)
	t.handle = 0
}

// write writes a task to where s is served, for the first time with its payload, or again.
func (s *Session) write(t *slot, payload []byte) {
	e := s.engine
	x := t.extra
	var o *protocol.TaskOptions
	if x != nil {
		o = x.said(e.now)
	}
	if t.handle != 0 {
		e.out.Retained = append(e.out.Retained, t.handle) // the link gets a reference of its own
		off := link.AppendTaskExternal(s.link, s.number, t.id, t.size, t.handle, o)
		if x != nil {
			x.mark, t.off = link.Last(s.link), uint32(off)
		}
		return
	}
	old := t.frame
	if old != nil {
		payload = old.At(int(t.off), int(t.size))
	}
	frame, off := link.AppendTask(s.link, s.number, t.id, payload, o)
	frame.Hold()
	t.frame, t.off = frame, uint32(off)
	if old != nil {
		old.Drop()
	}
}

// resend writes all unfinished tasks of s again, in order, under their ids, and that they are cancelled. What waits since
// it was refused goes on waiting.
func (s *Session) resend() {
	e := s.engine
	s.tenure.again()
	for at := s.first; at != 0; at = e.slots[at-1].next {
		t := &e.slots[at-1]
		if t.handle != 0 && planted.Is(planted.TwoSubmitted) {
			continue
		}
		x := t.extra
		if x != nil && !x.again.IsZero() {
			continue
		}
		t.sent = t.left()
		s.write(t, nil)
		// One by one: where it is sent there may be later tasks already, which a cancel of all would end as well.
		if x != nil && x.cancelled || t.id.Sequence() <= s.cancelled {
			s.sendCancel(t.id)
		}
	}
}

// results takes the plain results that the reader is at. Nearly all are of tasks of which there is nothing more to be said,
// and come in runs of one session: what has to be counted of these is counted once.
func (c *conn) results(r *protocol.Reader) {
	e := c.engine
	run := Run{Source: Source{conn: c.id, generation: c.generation}}
	var bytes int64 // of the payloads of the tasks of run
	var number protocol.SessionNumber
	for {
		session, task, payload, ok := r.Plain(protocol.KindResult)
		if !ok {
			break
		}
		id := protocol.TaskID(task)
		at := id.Slot()
		if s := run.Session; s == nil || session != number || uint64(at) >= uint64(len(e.slots)) ||
			e.slots[at].id != id || e.slots[at].session != s || !e.slots[at].plain() {
			c.ran(&run, bytes)
			bytes = 0
			rec := protocol.Record{Kind: protocol.KindResult, Session: session, Task: task, Payload: payload, Size: uint32(len(payload))}
			if at, ok = find(e, &rec); !ok || !e.slots[at].plain() || e.slots[at].session.tenure != nil {
				c.finished(&rec, 0)
				continue
			}
			run.Session, run.After, number = e.slots[at].session, len(e.out.Completions), session
		}
		t := &e.slots[at]
		bytes += int64(t.size)
		run.Size += int64(len(payload))
		run.Tasks++
		run.Session.remove(e.slots, at)
		if t.frame != nil {
			t.frame.Drop()
		} else {
			e.node.Release(t.handle)
		}
		*t = slot{}
		e.free = append(e.free, at)
		n := len(e.out.Results)
		e.out.Results = slices.Grow(e.out.Results, 1)[:n+1]
		to := &e.out.Results[n] // filled where it is: it need not be copied
		to.Task, to.Payload = id, payload
	}
	c.ran(&run, bytes)
}

// ran ends a run of results, whose tasks had so many bytes, and empties it.
func (c *conn) ran(run *Run, bytes int64) {
	s, e := run.Session, c.engine
	if s == nil {
		return
	}
	e.out.Runs = append(e.out.Runs, *run)
	s.tasks -= run.Tasks
	s.bytes -= bytes
	e.outstanding -= run.Tasks
	run.Session, run.Tasks, run.Size = nil, 0, 0
	if !pending(s) {
		s.drained()
	}
}

// finished takes a RESULT or a FAILURE with the payload frame it came with. One that no unfinished task waits for is
// dropped, and its bytes are consumed at once.
func (c *conn) finished(rec *protocol.Record, h protocol.Handle) {
	e := c.engine
	at, ok := find(e, rec)
	done := Completion{
		Task: protocol.TaskID(rec.Task), Payload: rec.Payload, Handle: h, Size: rec.Size,
		Source: Source{conn: c.id, generation: c.generation},
	}
	switch {
	case ok:
		done.Session = e.slots[at].session
	case !foreign(e, rec, &done):
		e.node.Release(h)
		c.consume(int64(rec.Size))
		return
	}
	switch {
	case rec.External && h == 0:
		done.Err = protocol.Errorf(protocol.CodeMalformed, rec.Kind.String(), "its payload frame of %d bytes is missing", rec.Size)
	case rec.Kind == protocol.KindFailure:
		e.node.Release(h)
		done.Handle = 0
		done.Err = decodeError(rec.Payload)
	}
	if done.Err != nil { // an error is not held back by anybody
		done.Payload, done.Size = nil, 0
		if !planted.Is(planted.FailureNotConsumed) {
			c.consume(int64(rec.Size))
		}
	}
	s := done.Session
	if done.Foreign {
		s.tenure.arrives(done)
		return
	}
	t := &e.slots[at]
	if done.Err != nil && done.Err.Code == protocol.CodeOverloaded && (c.before(s) || s.At(at).refused(&done)) {
		return
	}
	s.tenure.answered(t)
	if len(rec.Ext) > 0 && !t.told() && t.held(rec, done) {
		return
	}
	s.At(at).conclude(done)
}

// before says whether the session is served elsewhere by now: what c refused was, or is, sent again there.
func (c *conn) before(s *Session) bool { return s.conn != c && s.drainBy.IsZero() }

// Consumed tells that n bytes of results of that source were taken by the application.
func (e *Engine) Consumed(from Source, n int64) {
	if c := e.conn(from.conn); c != nil && c.generation == from.generation && !e.shut {
		c.consume(n)
	}
}

func (c *conn) consume(n int64) {
	e := c.engine
	if planted.Is(planted.ConsumedTwice) {
		n *= 2
	}
	c.consumed += n
	if c.consumed > c.told && (c.consumed-c.told >= min(creditStep, e.cfg.ResultCredit/4) || c.wanted() <= 0) {
		c.told = c.consumed
		c.link.Append(protocol.KindCredit, 0, uint64(c.consumed), nil)
	}
	if c.wanted() <= 0 {
		c.asked = 0
	}
}

// wanted is how many more bytes are to be consumed until the manager wants to be told, MaxInt64 when it has not asked.
func (c *conn) wanted() int64 {
	if c.asked == 0 {
		return math.MaxInt64
	}
	return c.asked - c.consumed
}

// Wanted is how many more bytes of results of the source are to be consumed until the broker is to be told, beside what
// Consumed tells anyway; MaxInt64 when there is no such number. It says as well whether Consumed still counts for it.
func (e *Engine) Wanted(from Source) (n int64, live bool) {
	c := e.conn(from.conn)
	if c == nil || c.generation != from.generation || e.shut {
		return math.MaxInt64, false
	}
	return c.wanted(), true
}

// renew begins anew on a data connection whose other end knows nothing of what was said before, if anything was. Parts of
// results are lost then; by one that was not heard before all that it has to say is still to come.
func (c *conn) renew(before bool) {
	e := c.engine
	c.generation++
	c.consumed, c.told, c.asked = 0, 0, 0
	if before {
		releaseEnds(e)
	}
	for _, s := range e.sessions {
		if s.conn == c {
			s.resend()
		}
	}
}
