package manager

import (
	"slices"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// How a session outlives its client. A kept session retains each answer, in the slot of its task, until a client says that
// it has taken it. When its client leaves, an absent one takes its place, to which nothing is said, and whose credit for
// results is what the real one had; whoever comes is sent all that is retained.
//
// Which answer the application wants first is not known here: what is retained may wait there for a task that is not here
// yet. So it never keeps out the one task with which its session goes on.

// keep is what a session retains.
type keep struct {
	on    bool
	tasks list              // answered and not taken, in the order of their answers
	at    map[uint64]uint32 // their slots by sequence
	bytes int64             // of their answers

	beyond uint64 // sequence of the task that was let in although retained answers took its room; 0: none, or it is answered
}

// retained counts bytes of answers that are kept, or not any more.
func (s *hosted) retained(n int64) {
	s.kept.bytes += n
	s.manager.kept += n
	s.manager.core.kept += n
}

// keeper keeps a session for whoever comes for it.
type keeper struct{ *hosted }

// answer answers a task, which is in no list, and forgets it, or keeps its answer. The payload frame h, if any, is taken
// over.
func (s keeper) answer(k uint32, kind protocol.Kind, payload []byte, size uint32, h protocol.Handle) {
	t := &s.manager.slab.slots[k]
	id := t.id
	var said *stream
	if t.special {
		said = s.manager.slab.streamOf(k)
	}
	if s.kept.on && (!planted.Is(planted.KeptForgotten) || s.client.absent()) {
		s.manager.unload(k)
		s.retain(k, kind, payload, size, h)
	} else {
		s.manager.finish(k)
	}
	cl := s.client
	cl.sent += int64(size)
	if said != nil {
		said.conclude(s.hosted, kind, id, payload, size, h)
	} else if h != 0 {
		cl.link.AppendExternal(kind, s.number, uint64(id), size, h)
	} else {
		cl.link.Append(kind, s.number, uint64(id), payload)
	}
}

// goesOn says whether a task of that sequence and size is let in although retained answers take the room that it needs, and
// notes it. Of a session it is one at a time, and any that is older, which the application may want first. The memory of
// the broker holds for it as for others.
func (s keeper) goesOn(sequence uint64, size int64) bool {
	k, m := &s.kept, s.manager
	if !k.on || k.beyond != 0 && sequence > k.beyond || m.bytes+size > m.share.Memory || (gauge{m.core}).fullOfTasks(size) || planted.Is(planted.KeptInTheWay) {
		return false
	}
	k.beyond = sequence
	return true
}

// retain keeps the answer of a task in the place of its payload, which was given up.
func (s keeper) retain(k uint32, kind protocol.Kind, payload []byte, size uint32, h protocol.Handle) {
	m := s.manager
	c := m.core
	t := &m.slab.slots[k]
	state := taskDone
	if kind == protocol.KindFailure {
		state = taskFailed
	}
	t.move(state)
	t.size, t.off, t.suspect = size, 0, false
	if t.special {
		m.slab.dropExtra(k)
	}
	t.buf, t.handle = nil, 0
	if h != 0 {
		t.handle = c.node.Retain(h)
	} else {
		t.buf = c.buffers.copyOf(payload, c.now)
		c.buffers.hold(t.buf, size)
		c.buffers.drop(t.buf, 0)
	}
	if s.kept.at == nil {
		s.kept.at = make(map[uint64]uint32)
	}
	s.kept.at[t.id.Sequence()] = k
	if s.kept.beyond == t.id.Sequence() {
		s.kept.beyond = 0
	}
	m.slab.pushBack(&s.kept.tasks, k)
	s.retained(int64(size))
}

// take forgets the answers of tasks that were taken.
func (s keeper) take(tasks []uint64) {
	for _, id := range tasks {
		sequence := protocol.TaskID(id).Sequence()
		if k := s.kept.at[sequence]; k != 0 && uint64(s.manager.slab.slots[k].id) == id {
			s.drop(k)
		}
	}
}

// drop forgets the answer of a task.
func (s keeper) drop(k uint32) {
	m := s.manager
	c := m.core
	t := &m.slab.slots[k]
	delete(s.kept.at, t.id.Sequence())
	m.slab.remove(&s.kept.tasks, k)
	s.retained(-int64(t.size))
	if t.buf != nil {
		c.buffers.drop(t.buf, t.size)
	}
	c.node.Release(t.handle)
	m.slab.put(k)
}

// clear forgets all.
func (s keeper) clear() {
	for s.kept.tasks.head != 0 {
		s.drop(s.kept.tasks.head)
	}
	s.kept.on = false
}

// detach has the session go on without a client. Whoever it had learns so behind the last result that he gets.
func (s keeper) detach() {
	if s.closed {
		return
	}
	s.kept.on = true
	if cl := s.client; !cl.absent() {
		allowed := cl.allowed
		s.leave()
		s.client = s.nobody(allowed)
		lender(s).promise()
		streams{s.manager}.passAll(s.hosted)
		s.fill() // they may have waited for the client's credit
	}
}

// attach gives the session to a client, which is sent what nobody has taken.
func (s keeper) attach(o *session.Attach) {
	c, incarnation := s.manager.core, o.Client
	if s.closed {
		if cl := s.client; !cl.absent() && cl.other != incarnation {
			s.dismiss() // the control loop tells the end to the other one only
		}
		return
	}
	s.kept.on = true
	if s.client.absent() || s.client.other != incarnation {
		s.leave()
		s.tenure = o.Tenure
		cl := c.clientOf(incarnation)
		s.client = cl
		cl.sessions = append(cl.sessions, s.hosted)
		for k := s.kept.tasks.head; k != 0; k = s.manager.slab.slots[k].next {
			s.say(k)
			if planted.Is(planted.AttachedTwice) {
				s.say(k)
			}
		}
		cl.passStalled()
	}
	c.note(session.Note{Attached: &session.Attached{
		Session: s.number, Client: incarnation, Tenure: o.Tenure, Next: s.seen.highest() + 1, Untold: s.unfinished() + s.kept.tasks.n,
	}})
	s.fill()
}

// say sends an answer that is kept to the session's client.
func (s keeper) say(k uint32) {
	t := &s.manager.slab.slots[k]
	kind := protocol.KindResult
	if t.state == taskFailed {
		kind = protocol.KindFailure
	}
	s.client.sent += int64(t.size)
	if t.handle != 0 {
		s.client.link.AppendExternal(kind, s.number, uint64(t.id), t.size, s.manager.core.node.Retain(t.handle))
		return
	}
	s.client.link.Append(kind, s.number, uint64(t.id), t.buf.data[t.off:t.off+t.size])
}

// leave takes the session off its client, if it has one.
func (s keeper) leave() {
	cl := s.client
	lender(s).withdraw()
	if cl.absent() {
		return
	}
	cl.relieve()
	s.dismiss()
	cl.sessions = without(cl.sessions, s.hosted)
	if cl.recent == s.hosted {
		cl.recent = nil
	}
	cl.unlook(s.hosted)
	s.manager.core.note(session.Note{Left: &session.Left{Session: s.number, Client: cl.other}})
}

// dismiss tells its client that the session has nothing to do with it any more, and which time it means: the same client
// may have come back before it hears that.
func (s keeper) dismiss() {
	s.client.link.Append(protocol.KindError, s.number, s.tenure, protocol.Marshal(protocol.Errorf(
		protocol.CodeDetached, "session", "session %d goes on without this client", s.number)))
}

// nobody makes the client of a session that has none: its credit for results is spent by those that are kept.
func (s keeper) nobody(allowed int64) *client {
	c := s.manager.core
	if allowed == 0 {
		allowed = protocol.DefaultResultCredit
	}
	e := &end{link: c.node.Link()}
	e.link.Close()
	return &client{end: e, core: c, allowed: allowed, sent: s.kept.bytes}
}

// absent says that nobody is there.
func (cl *client) absent() bool { return cl.other == 0 }

// taken takes a client's word that the results of tasks of a kept session were taken.
func (cl *client) taken(rec *protocol.Record) error {
	var body protocol.Taken
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		return err
	}
	switch s := cl.core.sessions[rec.Session]; {
	case s == nil: // it was here before its manager went to another loop
		cl.core.note(session.Note{Taken: &session.Taken{Client: cl.other, Session: rec.Session, Tasks: slices.Clone(body.Tasks)}})
	case s.client == cl:
		keeper{s}.take(body.Tasks)
	}
	return nil
}

// leaves takes a client's word, behind all its tasks, that it leaves a session. Where the session is not here any more it
// says so again.
func (cl *client) leaves(rec *protocol.Record) error {
	var body protocol.DetachSession
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		return err
	}
	if s := cl.core.sessions[rec.Session]; s != nil && s.client == cl && !s.closed {
		cl.core.note(session.Note{Leave: &session.Leave{Session: s.number, Client: cl.other, Tenure: body.Tenure, Grace: max(body.Grace, 0), Referrals: rec.Task}})
	}
	return nil
}
