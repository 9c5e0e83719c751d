package manager

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// hosted is a session in the care of a manager.
type hosted struct {
	number  protocol.SessionNumber
	manager *manager
	client  *client
	binding []byte // encoded body of Bind
	minInst int
	maxInst int
	credit  int           // unfinished tasks
	allowed int64         // bytes of them
	timeout time.Duration // of a task that says nothing else; 0: none
	run     time.Duration // that a task may execute which says nothing else; 0: without limit
	retry   protocol.Retry

	seen     seen
	queue    queue
	suspects list
	delayed  list
	flight   list
	bytes    int64
	seats    []*seat
	kept     keep
	stalled  []uint64 // tasks that have something for a client that is blocked, by their wire ids
	data     data

	expect   int64 // bytes of a result, by those before; 0: not known
	promised int64 // bytes of results that its tasks at instances are expected to have

	done, failed uint64
	running      bool            // an instance was bound
	stopped      bool            // takes no further tasks
	suspended    bool            // nothing more of it is begun
	closing      bool            // to be closed when its tasks are done
	why          *protocol.Error // when it is closing: what further tasks are refused with
	closed       bool            // tells nothing any more, lets its seats go
	waits        bool            // in manager.waiting
	dirty        bool            // in Core.filled
	lined        bool            // in client.line
	told         bool            // in Core.changed
	cancelled    uint64          // of failed: cancelled, or their time was over
	killed       bool            // is closed, and its unfinished tasks were given up
	broke        bool            // it cannot go on
	tenure       uint64          // how often it was given to a client before

	stats  counts
	floods []flood
	index  map[uint64]uint32 // slots by sequence, since somebody has asked; until the next tick
}

// client is the program that sessions belong to, on this loop.
type client struct {
	*end
	core     *Core
	sessions []*hosted
	recent   *hosted // whose task came last
	turn     int     // of sessions whose tasks have something for it
	allowed  int64   // bytes of results that it takes unconsumed; 0: without limit
	sent     int64   // bytes of results sent
	consumed int64

	probe    probe
	probed   int64     // the mark of the last one that was answered
	due      bool      // the next result is to carry a probe
	latest   *hosted   // whose result was seen last
	promised int64     // bytes of results that tasks at instances are expected to have
	line     []*hosted // sessions whose tasks wait for credit for their results, in turn
}

func (s *hosted) unfinished() int { return s.queue.n + s.suspects.n + s.delayed.n + s.flight.n }

// open takes a session into care.
func (c *Core) open(o *session.Open) {
	m := c.byID[o.Manager]
	if m == nil || c.sessions[o.Session] != nil {
		return
	}
	cl := c.clientOf(o.Client)
	s := &hosted{
		number: o.Session, manager: m, client: cl, binding: protocol.Marshal(o.Bind),
		minInst: o.MinInst, maxInst: o.MaxInst, credit: o.TaskCredit, allowed: o.ByteCredit, retry: o.Retry.Or(m.service.Retry),
		kept: keep{on: o.Keep}, stopped: o.Stopped, suspended: o.Suspended, tenure: o.Tenure,
	}
	s.timeout, s.run = m.limitsOf(o.Timeout, o.Run)
	s.stats.Since = c.now
	c.sessions[s.number] = s
	m.sessions = append(m.sessions, s)
	cl.sessions = append(cl.sessions, s)
	m.demand()
	s.seatEagerly()
}

// clientOf gives the client of an incarnation.
func (c *Core) clientOf(incarnation uint64) *client {
	e := c.ends[incarnation]
	if e == nil {
		e = c.newEnd(incarnation)
		e.client = &client{end: e, core: c}
	}
	return e.client
}

func (c *Core) newEnd(incarnation uint64) *end {
	e := &end{link: c.node.Link(), other: incarnation, heard: c.now}
	e.link.Keeps = true // results are not said twice
	c.ends[incarnation] = e
	c.order = append(c.order, e)
	return e
}

// welcomed takes what a client's HELLO says. Results count from its first conversation, or from when one was not
// resumed.
func (cl *client) welcomed(body protocol.Hello, goesOn bool) {
	was := cl.blocked()
	cl.allowed = body.ResultCredit
	if !goesOn {
		cl.sent, cl.consumed, cl.probed, cl.probe = 0, 0, 0, probe{}
	}
	cl.resume(was)
}

// resume passes on what was kept for a client that was blocked, and has those sessions go on that waited for its credit.
func (cl *client) resume(wasBlocked bool) {
	if wasBlocked && !cl.blocked() {
		cl.passStalled()
	}
	cl.relieve()
}

// fromClient takes the records of a client's frame. The payloads of its tasks share one copy of the frame.
func (cl *client) fromClient(records []byte, in *intake) error {
	buf, err := cl.takeIn(records, in)
	if buf != nil {
		cl.core.buffers.drop(buf, 0)
	}
	return err
}

// takeIn takes the records of a frame, and gives the copy of it, if there is one.
func (cl *client) takeIn(records []byte, in *intake) (buf *buffer, err error) {
	c := cl.core
	var rec protocol.Record
	for {
		buf = runs{c}.tasks(cl, records, in, buf)
		h, ok, err := in.next(&rec)
		if err != nil || !ok {
			return buf, err
		}
		switch rec.Kind {
		case protocol.KindTask:
			if buf == nil && !rec.External {
				buf = c.buffers.copyOf(records, c.now)
			}
			cl.task(&rec, buf, uint32(in.reader.Offset()), h)
		case protocol.KindCredit:
			c.node.Release(h)
			cl.credit(int64(min(rec.Task, 1<<62)))
		case protocol.KindCancel:
			c.node.Release(h)
			cl.cancel(&rec)
		case protocol.KindDetachSession:
			c.node.Release(h)
			if err := cl.leaves(&rec); err != nil {
				return buf, err
			}
		case protocol.KindTaken:
			c.node.Release(h)
			if err := cl.taken(&rec); err != nil {
				return buf, err
			}
		case protocol.KindBye:
			c.node.Release(h)
		default:
			c.node.Release(h)
			cl.link.Append(protocol.KindError, rec.Session, rec.Task, protocol.Marshal(protocol.Errorf(
				protocol.CodeUnknownKind, rec.Kind.String(), "a manager takes no such record from a client")))
		}
	}
}

// task takes one task of a client.
func (cl *client) task(rec *protocol.Record, buf *buffer, off uint32, h protocol.Handle) {
	c := cl.core
	s := cl.recent
	if s == nil || s.number != rec.Session {
		s = c.sessions[rec.Session]
		if s == nil || s.client != cl || s.closed {
			c.node.Release(h)
			if s == nil || s.closed { // otherwise it was told that it has left the session
				cl.misdirected(rec.Session)
			}
			return
		}
		cl.recent = s
	}
	s.manager.handled()
	id := protocol.TaskID(rec.Task)
	if !s.seen.add(id.Sequence()) && !planted.Is(planted.TaskTakenTwice) {
		c.node.Release(h)
		return
	}
	if e := s.admissible(rec); e != nil {
		c.node.Release(h)
		if e.Code == protocol.CodeOverloaded && !planted.Is(planted.RefusedKept) {
			s.seen.remove(id.Sequence()) // it may come again
		}
		s.stats.Refused++
		cl.fail(s, id, e)
		s.touch()
		return
	}
	m := s.manager
	i := m.slab.take()
	t := &m.slab.slots[i] // only written here where the task is plain: a free slot is far from the processor
	t.id, t.session, t.off, t.size = id, s, off, rec.Size
	t.state = taskQueued
	if s.index != nil {
		s.index[id.Sequence()] = i
	}
	if rec.External {
		t.handle, t.off = h, m.watch.stamp(c.now)
	} else {
		t.buf = buf
		c.buffers.hold(buf, rec.Size)
	}
	if len(rec.Ext) > 0 || s.timeout > 0 {
		m.optioned(i, rec)
		m.enqueue(i)
	} else {
		s.queue.n++
		m.slab.pushBack(&s.queue.plain, i)
	}
	s.bytes += int64(rec.Size)
	s.stats.Submitted++
	s.stats.BytesIn += uint64(rec.Size)
	s.manager.bytes += int64(rec.Size)
	c.bytes += int64(rec.Size)
	s.fill()
}

// misdirected tells of a task for a session that is not here, once for a run of them.
func (cl *client) misdirected(number protocol.SessionNumber) {
	c := cl.core
	m := session.Misdirected{Client: cl.other, Session: number}
	if n := len(c.notes); n > 0 && c.notes[n-1].Misdirected != nil && *c.notes[n-1].Misdirected == m {
		return
	}
	c.note(session.Note{Misdirected: &m})
}

// admissible says why a task cannot be taken; nil when it can.
func (s *hosted) admissible(rec *protocol.Record) *protocol.Error {
	c := s.manager.core
	limits := &s.manager.service.Limits
	switch {
	case int64(rec.Size) > limits.Payload:
		return protocol.Errorf(protocol.CodePayloadTooLarge, "Task", "payload of %d bytes, service %s takes at most %d (limits.payload)",
			rec.Size, s.manager.service.Name, limits.Payload)
	case s.stopped:
		return protocol.Errorf(protocol.CodeNotAccepting, "Task", "session %d takes no further tasks for now: its submission was stopped", s.number)
	case s.closing:
		return s.why
	case s.unfinished()+s.kept.tasks.n >= s.credit || (s.bytes+int64(rec.Size) > s.allowed && s.unfinished() > 0):
		return protocol.Errorf(protocol.CodeOverloaded, "Task", "session %d has %d tasks and %d bytes unfinished, its credit is %d and %d",
			s.number, s.unfinished(), s.bytes, s.credit, s.allowed)
	}
	full, over := gauge{c}.full(int64(rec.Size)), s.manager.bytes+s.manager.kept+int64(rec.Size) > s.manager.share.Memory
	switch {
	case !full && !over, keeper{s}.goesOn(protocol.TaskID(rec.Task).Sequence(), int64(rec.Size)):
		return nil
	case full:
		return gauge{c}.overloaded()
	}
	return s.manager.overShare()
}

// fail answers a task with an error.
func (cl *client) fail(s *hosted, id protocol.TaskID, e *protocol.Error) {
	b := protocol.Marshal(e)
	cl.sent += int64(len(b))
	cl.link.Append(protocol.KindFailure, s.number, uint64(id), b)
}

// credit takes a client's word on how many bytes of results it has taken over.
func (cl *client) credit(total int64) {
	if total <= cl.consumed || total > cl.sent {
		return
	}
	was := cl.blocked()
	cl.consumed = total
	cl.took()
	cl.resume(was)
}

// finish takes a task that is in no list out of the slab.
func (m *manager) finish(i uint32) {
	m.unload(i)
	m.slab.put(i)
}

// unload gives up the payload of a task, whose slot gets another or is put back.
func (m *manager) unload(i uint32) {
	c := m.core
	t := &m.slab.slots[i]
	s := t.session
	if t.attempts == 0 || !planted.Is(planted.CreditForgotten) {
		s.bytes -= int64(t.size)
	}
	s.manager.bytes -= int64(t.size)
	c.bytes -= int64(t.size)
	if t.buf != nil {
		c.buffers.drop(t.buf, t.size)
	}
	if !planted.Is(planted.HandleKept) {
		c.node.Release(t.handle)
	}
}

// giveUp answers a task, which is in no list, with an error and forgets it.
func (m *manager) giveUp(i uint32, e *protocol.Error) {
	t := &m.slab.slots[i]
	s := t.session
	s.failed++
	if e.Code == protocol.CodeCancelled || e.Code == protocol.CodeDeadline {
		s.cancelled++
	}
	b := protocol.Marshal(e)
	keeper{s}.answer(i, protocol.KindFailure, b, uint32(len(b)), 0)
	s.touch()
	s.settleClose()
}

// close begins to close a session.
func (s *hosted) close(kill bool, why *protocol.Error) {
	m := s.manager
	if s.closed {
		return
	}
	s.closing, s.why = true, why
	if why == nil {
		s.why = protocol.Errorf(protocol.CodeSessionClosed, "Task", "session %d is closing", s.number)
	}
	if !kill {
		s.settleClose()
		return
	}
	for _, l := range append(s.queue.lists(), &s.suspects, &s.delayed, &s.flight) {
		for l.head != 0 {
			i := l.head
			m.slab.remove(l, i)
			m.finish(i)
			s.failed++
		}
	}
	s.queue = queue{}
	s.end(true, why)
}

// settleClose ends a closing session whose tasks are done.
func (s *hosted) settleClose() {
	if s.closing && !s.closed && s.unfinished() == 0 {
		s.end(false, nil)
	}
}

// end closes a session that has no tasks left, lets its seats go and tells of it: of one that was killed at once, of
// another when OnSessionUnbind has returned everywhere.
func (s *hosted) end(killed bool, why *protocol.Error) {
	s.closed, s.killed = true, killed
	keeper{s}.clear()
	s.manager.core.data -= s.data.bytes
	s.data = data{}
	lender{s}.withdraw()
	s.client.relieve()
	s.client.recent = nil
	s.client.unlook(s)
	for _, t := range slices.Clone(s.seats) {
		t.unbind()
	}
	s.manager.sessions = without(s.manager.sessions, s)
	s.manager.waiting = without(s.manager.waiting, s)
	s.client.sessions = without(s.client.sessions, s)
	s.touch()
	if len(s.seats) == 0 || killed {
		s.gone(why)
	}
}

// gone tells of the end of a session, once.
func (s *hosted) gone(why *protocol.Error) {
	c := s.manager.core
	if c.sessions[s.number] != s {
		return
	}
	delete(c.sessions, s.number)
	s.settleFloods(true)
	s.figures()
	s.stats.failing.tell(s, true)
	c.note(session.Note{Counted: &session.Counted{Session: s.number, Stats: s.stats.report(s)}})
	state := protocol.SessionClosed
	if s.broke {
		state = protocol.SessionFailed
	}
	c.note(session.Note{Changed: &session.Changed{Session: s.number, State: state, Error: why}})
}

// touch notes that a session's figures changed.
func (s *hosted) touch() {
	c := s.manager.core
	if !s.told {
		s.told = true
		c.changed = append(c.changed, s)
	}
}

// tell sends the figures that changed.
func (c *Core) tell() {
	for _, s := range c.changed {
		if s.told && c.sessions[s.number] == s {
			s.figures()
		}
	}
	clear(c.changed)
	c.changed = c.changed[:0]
	for _, m := range c.managers {
		m.tellUsage()
	}
}

func (s *hosted) figures() {
	c := s.manager.core
	s.told = false
	var nodes []string
	for _, t := range s.seats {
		if t.state == seatBound {
			nodes = insert(nodes, t.instance.node)
		}
	}
	c.note(session.Note{Figures: &session.Figures{
		Session: s.number, Queued: s.queue.n + s.suspects.n + s.delayed.n, InFlight: s.flight.n,
		Done: s.done, Failed: s.failed, Nodes: nodes,
		Retried: s.stats.Retried, Cancelled: s.cancelled, Dead: s.stats.Dead, Late: s.stats.Late,
	}})
}

// insert adds v to sorted s unless it is there.
func insert(s []string, v string) []string {
	i := 0
	for i < len(s) && s[i] < v {
		i++
	}
	if i < len(s) && s[i] == v {
		return s
	}
	s = append(s, "")
	copy(s[i+1:], s[i:])
	s[i] = v
	return s
}
