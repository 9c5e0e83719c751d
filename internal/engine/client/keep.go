package client

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Sessions that outlive their client. Of a kept session the broker keeps each answer until it is told that the application
// has taken it. A client may leave a session, and may attach to one that another has left: it is sent the answers that
// nobody has taken, of tasks which it knows by their ids only, and goes on with the sequences where the other has stopped.

// takenMost is how many tasks one record names.
const takenMost = 4096

// tenure is what a session has to do with that; nil for one that lives and dies with this client.
type tenure struct {
	*Session
	untaken map[protocol.TaskID]struct{} // tasks whose answers came and were not taken
	unsaid  []uint64                     // tasks whose answers were taken, to be told
	said    []word                       // what was told, until it has been heard
	listed  bool                         // in Engine.telling

	left   bool // the session is being left
	parted bool // which was said to where it is served, behind all that was submitted
	grace  time.Duration

	// Of a session that was attached to.
	attached bool
	force    bool
	next     uint64                       // of its own sequences, the first; 0 until it is open
	awaited  int                          // answers of others' tasks that are to come
	seen     map[protocol.TaskID]struct{} // others' tasks whose answers came
}

// word is a frame with tasks whose answers were taken.
type word struct {
	frame *link.Frame
	tasks []uint64
}

func newTenure(s *Session) *tenure {
	return &tenure{Session: s, untaken: map[protocol.TaskID]struct{}{}}
}

// Attach asks for a session that another client has left; a [Note] tells when it is open or that it was refused. By force it
// is taken from a client that is still there. Completions of tasks that this client has not submitted are Foreign. Tasks
// and bytes are as in [Engine.Open].
func Attach(e *Engine, number protocol.SessionNumber, force bool, tasks int, bytes int64) *Session {
	s := newSession(e, protocol.OpenSession{}, tasks, bytes)
	s.number = number
	s.tenure = newTenure(s)
	s.tenure.attached, s.tenure.force, s.tenure.seen = true, force, map[protocol.TaskID]struct{}{}
	switch had := e.numbers[number]; {
	case s.ended:
	case had != nil:
		s.end(inUse(number))
	default:
		ask(s)
	}
	return s
}

// inUse is why a session is not attached to that this client has.
func inUse(number protocol.SessionNumber) *protocol.Error {
	return protocol.Errorf(protocol.CodeInUse, "attach session", "session %d is open in this client", number)
}

// ask asks the broker for the session.
func ask(s *Session) {
	e := s.engine
	if k := s.tenure; k != nil && k.attached {
		if !s.opened {
			s.epoch = e.node.Epoch // 0: the number is of the first broker that is found
		}
		e.numbers[s.number] = s // its answers may come before the broker's word that it is open
		e.ask(protocol.KindAttachSession, s, protocol.AttachSession{Key: s.spec.Key, Session: s.number, Force: k.force && !s.opened})
		return
	}
	e.ask(protocol.KindOpenSession, s, s.spec)
}

// Awaited is how many answers of tasks that this client has not submitted are to come, of a session that was attached to.
func Awaited(s *Session) int {
	if s.tenure == nil {
		return 0
	}
	return s.tenure.awaited
}

// opens takes what the broker says of a session that is open now.
func (k *tenure) opens(body *protocol.SessionOpened) {
	if k == nil || !k.attached {
		return
	}
	k.next = max(body.Next, 1)
	k.awaited = max(body.Untold-len(k.seen), 0)
	k.sequence = max(k.next-1, k.engine.used[body.Session])
	delete(k.engine.used, body.Session)
	k.spec.Service = body.Service
}

// lost says that an attached session is not to be found at the broker that takes requests now, which is not the one that
// had it.
func (k *tenure) lost() bool {
	return k != nil && k.attached && k.epoch != 0 && k.engine.node.Epoch > k.epoch
}

// foreign takes the answer of a task that this client has not submitted, and says whether it is one that somebody waits
// for.
func foreign(e *Engine, rec *protocol.Record, done *Completion) bool {
	s := e.numbers[rec.Session]
	if s == nil || s.ended || s.tenure == nil || !s.tenure.attached {
		return false
	}
	k := s.tenure
	if _, again := k.seen[done.Task]; again && !planted.Is(planted.AttachedTwice) || k.next != 0 && done.Task.Sequence() >= k.next {
		return false
	}
	done.Session, done.Foreign = s, true
	return true
}

// arrives passes on the answer of a task that this client has not submitted.
func (k *tenure) arrives(done Completion) {
	k.seen[done.Task] = struct{}{}
	if k.next != 0 && k.awaited > 0 {
		k.awaited--
	}
	k.untaken[done.Task] = struct{}{}
	k.engine.out.Completions = append(k.engine.out.Completions, done)
	if !pending(k.Session) {
		k.drained()
	}
}

// answered notes that the fabric has answered a task of this client. What was told of it already is not taken by anybody,
// unless that waits here for those before it.
func (k *tenure) answered(t *slot) {
	if k == nil {
		return
	}
	k.untaken[t.id] = struct{}{}
	if t.told() && t.extra.done == nil {
		Taken(k.Session, t.id)
	}
}

// untold is how many answers nobody has taken, those of others that are to come among them.
func (k *tenure) untold() int {
	if k == nil {
		return 0
	}
	return len(k.untaken) + k.awaited
}

// pending says whether answers are to come.
func pending(s *Session) bool { return s.tasks > 0 || s.tenure != nil && s.tenure.awaited > 0 }

// Taken tells that the application has taken the answer of a task, which the broker need not keep any more. Of a session
// that is not kept it is of no effect.
func Taken(s *Session, id protocol.TaskID) {
	k := s.tenure
	if k == nil || s.ended {
		return
	}
	if _, here := k.untaken[id]; !here {
		return
	}
	delete(k.untaken, id)
	k.unsaid = append(k.unsaid, uint64(id))
	k.list()
}

// list notes that there is something to tell.
func (k *tenure) list() {
	if e := k.engine; !k.listed {
		k.listed = true
		e.telling = append(e.telling, k.Session)
	}
}

// tellTaken tells what was taken, and what is being left, where it is known who is to be told.
func tellTaken(e *Engine) {
	if len(e.telling) == 0 {
		return
	}
	waiting := e.telling[:0]
	for _, s := range e.telling {
		k := s.tenure
		k.say()
		if k.left && !k.parted && s.conn != nil && s.conn.phase == up {
			k.parted = true
			s.link.Append(protocol.KindDetachSession, s.number, s.referrals, protocol.Marshal(protocol.DetachSession{Session: s.number, Grace: k.grace, Tenure: s.stay}))
		}
		k.heard()
		if k.listed = (len(k.unsaid)+len(k.said) > 0 || k.left && !k.parted) && !s.ended; k.listed {
			waiting = append(waiting, s)
		}
	}
	clear(e.telling[len(waiting):])
	e.telling = waiting
}

// say tells what was taken of the session. Before a conversation is open nothing is said: it would be dropped when that
// begins.
func (k *tenure) say() {
	if k == nil || k.conn == nil || k.conn.phase != up {
		return
	}
	for len(k.unsaid) > 0 {
		n := min(len(k.unsaid), takenMost)
		f, _ := k.link.Append(protocol.KindTaken, k.number, 0, protocol.Marshal(protocol.Taken{Tasks: k.unsaid[:n]}))
		f.Hold()
		k.said = append(k.said, word{f, k.unsaid[:n]})
		k.unsaid = k.unsaid[n:]
	}
	k.unsaid = nil
}

// heard forgets what was told and has been heard; of a session that is over, everything.
func (k *tenure) heard() {
	n := 0
	for n < len(k.said) && (k.ended || k.said[n].frame.Over()) {
		k.said[n].frame.Drop()
		n++
	}
	k.said = slices.Delete(k.said, 0, n)
}

// again tells what may not have been heard once more, since somebody else is told from now on, or the same who knows nothing
// of it.
func (k *tenure) again() {
	if k == nil {
		return
	}
	var tasks []uint64
	for _, w := range k.said {
		w.frame.Drop()
		tasks = append(tasks, w.tasks...)
	}
	k.unsaid, k.said, k.parted = append(tasks, k.unsaid...), nil, false
	k.say()
	k.list()
}

// Detach leaves the session: it takes no more tasks here and goes on without this client, which gets what was answered
// before; a [Note] tells the end, with CodeDetached, when the broker has all that was submitted. Tasks that wait for others,
// or since they were refused, fail. The session waits for another client for the grace, 0: as it was opened, or as the
// broker says.
func Detach(s *Session, grace time.Duration) {
	if s.ended || s.closing != "" || s.tenure.leaving() {
		return
	}
	if !s.opened {
		s.engine.Close(s, protocol.CloseKill)
		return
	}
	if s.tenure == nil {
		s.tenure = newTenure(s)
	}
	k := s.tenure
	k.left, k.grace = true, grace
	k.withdraw()
	k.farewell()
}

// leaving says that the session is being left.
func (k *tenure) leaving() bool { return k != nil && k.left }

// withdraw fails the tasks that no manager has.
func (k *tenure) withdraw() {
	why := protocol.Errorf(protocol.CodeDetached, "task", "its session was left before it was sent, or taken")
	for k.held.first != 0 {
		k.At(k.held.first - 1).fail(why)
	}
	for at := k.first; at != 0; {
		r := k.At(at - 1)
		at = r.slot().next
		if x := r.slot().extra; x != nil && !x.again.IsZero() {
			r.fail(why)
		}
	}
}

// farewell has the session's manager told, behind all that was submitted and taken, that it is being left; the broker where
// there is nothing and nobody is known to be its manager.
func (k *tenure) farewell() {
	if !k.leaving() {
		return
	}
	if k.conn == nil && k.tasks == 0 {
		k.engine.ask(protocol.KindDetachSession, k.Session, protocol.DetachSession{Session: k.number, Grace: k.grace, Tenure: k.stay})
		return
	}
	k.parted = false
	k.list()
}

// detached takes the word that a session goes on without this client. It may be late, and mean a time before; and it may
// overtake the word that the session is open, which goes another way: what it means is known then.
func detached(e *Engine, rec *protocol.Record) {
	why := decodeError(rec.Payload)
	if why.Code != protocol.CodeDetached {
		return
	}
	switch s := e.numbers[rec.Session]; {
	case s != nil && s.opened && !s.anew:
		if rec.Task >= s.stay {
			letGo(s, why)
		}
	case awaitsSession(e):
		e.gone[rec.Session] = max(e.gone[rec.Session], rec.Task)
	}
}

// awaitsSession says whether the broker has not answered yet whether a session is open.
func awaitsSession(e *Engine) bool {
	return slices.ContainsFunc(e.requests, func(r *request) bool {
		return r.kind == protocol.KindOpenSession || r.kind == protocol.KindAttachSession
	})
}

// othersHadIt says that others had the session while the broker had lost this client, which asked for it again: what they
// have submitted has the sequences that this one would go on with.
func othersHadIt(s *Session, body *protocol.SessionOpened) bool {
	return s.opened && s.epoch == s.engine.node.Epoch && s.number == body.Session && body.Tenure > s.stay+1
}

// goesOn is why a session ends that others have, or may have.
func goesOn(number protocol.SessionNumber) *protocol.Error {
	return protocol.Errorf(protocol.CodeDetached, "session", "session %d goes on without this client", number)
}

// letGo ends a session that goes on without this client. Tasks of it may be on their way still, and arrive when this client
// has it again: what it submits then must have other sequences.
func letGo(s *Session, why *protocol.Error) {
	if s.tenure != nil {
		s.tenure.withdraw()
	}
	e := s.engine
	if slices.ContainsFunc(e.conns, func(c *conn) bool { return !c.control && c.link.Unacked() > 0 }) {
		e.used[s.number] = s.sequence
	}
	s.end(why)
}
