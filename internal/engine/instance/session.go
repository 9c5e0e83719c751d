package instance

import (
	"slices"

	"github.com/weft-fabric/weft/protocol"
)

// Session is one session at this instance. Its number may come again when it was let go.
type Session struct {
	// Bind is what the manager said of it.
	Bind protocol.Bind
	// Shell belongs to the shell.
	Shell any

	seat    seat
	queue   queue
	running int  // of its tasks and hooks
	asked   bool // the manager waits for Unbound
	era     uint32
	next    *Session // of the same number, to be bound when this one is gone
	waits   bool     // another one of the same number is not gone yet
	begun   bool     // OnSessionBind was begun
	served  uint64   // when one of its tasks was begun last, by the engine's count
}

// take moves the session in its table; a refused turn changes nothing.
func (s *Session) take(t turn) { s.seat, _ = seats.Next(s.seat, t) }

// find gives the newest session of that number that is not gone.
func (e *Engine) find(number protocol.SessionNumber) *Session {
	for i := len(e.sessions) - 1; i >= 0; i-- {
		if s := e.sessions[i]; s.Bind.Session == number {
			return s
		}
	}
	return nil
}

// bind takes a session in. A session that is here already, and is not being let go, is confirmed. A draining instance
// leaves the question open, because a refusal would be the session's end: its manager asks it to let go again.
func (e *Engine) bind(body protocol.Bind) {
	if e.state != Serving && e.state != Draining {
		return
	}
	s := &Session{Bind: body, era: e.era}
	if old := e.find(body.Session); old != nil {
		switch old.seat {
		case bound:
			e.lines[Data].link.Append(protocol.KindBound, body.Session, 0, nil)
			return
		case binding:
			return
		case releasing, unbinding, gone:
			old.next, s.waits = s, true
		}
	}
	e.sessions = append(e.sessions, s)
	e.invite(s)
}

// invite lets OnSessionBind run when nothing stands in its way.
func (e *Engine) invite(s *Session) {
	if !s.waits && e.state == Serving {
		e.hooks = append(e.hooks, s)
	}
}

// unbind obeys the manager: what has not started is dropped, what runs is told to end, then OnSessionUnbind runs.
func (e *Engine) unbind(number protocol.SessionNumber) {
	s := e.find(number)
	if s == nil {
		e.lines[Data].link.Append(protocol.KindUnbound, number, 0, nil)
		return
	}
	s.asked = true
	if s.running > 0 {
		e.order(Order{Kind: Cancel, Session: s})
	}
	e.release(s)
}

// release begins to let a session go.
func (e *Engine) release(s *Session) {
	for s.queue.live > 0 {
		e.lines[Data].node.Release(s.queue.pop().handle)
	}
	e.active = remove(e.active, s)
	if s.seat == binding && !s.begun {
		e.drop(s)
		return
	}
	s.take(release)
	e.settle(s)
}

// settle lets OnSessionUnbind run when nothing of the session runs any more.
func (e *Engine) settle(s *Session) {
	if s.seat == releasing && s.running == 0 {
		s.take(quiet)
		e.hooks = append(e.hooks, s)
	}
}

// drop forgets a session that holds nothing of the service.
func (e *Engine) drop(s *Session) {
	if s.seat == unbinding {
		s.take(left)
	} else {
		s.take(bindLost)
	}
	if s.asked && s.era == e.era {
		e.lines[Data].link.Append(protocol.KindUnbound, s.Bind.Session, 0, nil)
	}
	e.sessions = remove(e.sessions, s)
	e.hooks = remove(e.hooks, s)
	for _, before := range e.sessions {
		if before.next == s {
			before.next = nil
		}
	}
	if s.next != nil {
		s.next.waits = false
		e.invite(s.next)
	}
}

func remove(list []*Session, s *Session) []*Session {
	if i := slices.Index(list, s); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// activate puts a session that has tasks again into the turns.
func (e *Engine) activate(s *Session) {
	i := len(e.active)
	for i > 0 && e.active[i-1].served > s.served {
		i--
	}
	e.active = slices.Insert(e.active, i, s)
}

// dispatch queues a task.
func (e *Engine) dispatch(rec *protocol.Record, handle protocol.Handle) {
	s := e.find(rec.Session)
	if s == nil || s.seat > bound {
		e.lines[Data].node.Release(handle)
		if s == nil { // it never started here, and the manager may have it back
			e.lines[Data].link.Append(protocol.KindRecalled, rec.Session, rec.Task, nil)
		}
		return
	}
	id, attempt, _ := rec.Identity()
	s.queue.push(task{
		task: rec.Task, id: id, attempt: max(attempt, 1), payload: rec.Payload, size: rec.Size, handle: handle,
	})
	if s.queue.live == 1 && s.seat == bound {
		e.activate(s)
	}
}

// recall gives a task back that has not started. Of one that has, the result is the answer.
func (e *Engine) recall(number protocol.SessionNumber, name uint64) {
	s := e.find(number)
	if s == nil {
		return
	}
	t, ok := s.queue.remove(name)
	if !ok {
		return
	}
	e.lines[Data].node.Release(t.handle)
	if s.queue.live == 0 {
		e.active = remove(e.active, s)
	}
	e.lines[Data].link.Append(protocol.KindRecalled, number, name, nil)
}
