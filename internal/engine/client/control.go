package client

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// request is one that was not answered yet.
type request struct {
	id      uint64
	kind    protocol.Kind
	body    []byte
	session *Session // that it is about; nil: somebody waits for the answer
}

// Request sends a request of the control plane; an [Answer] with its number follows, unless it is forgotten. It is sent
// again to a broker that takes over.
func (e *Engine) Request(kind protocol.Kind, body any) uint64 {
	if e.shut {
		e.lastRequest++
		e.out.Answers = append(e.out.Answers, Answer{
			Request: e.lastRequest, Err: protocol.Errorf(protocol.CodeClosed, "request", "the client is closed"),
		})
		return e.lastRequest
	}
	return e.ask(kind, nil, body)
}

// Forget gives a request up: its answer is dropped.
func (e *Engine) Forget(id uint64) {
	e.requests = slices.DeleteFunc(e.requests, func(r *request) bool { return r.id == id })
}

func (e *Engine) ask(kind protocol.Kind, s *Session, body any) uint64 {
	e.lastRequest++
	r := &request{id: e.lastRequest, kind: kind, body: protocol.Marshal(body), session: s}
	e.requests = append(e.requests, r)
	e.send(r)
	return r.id
}

func (e *Engine) send(r *request) {
	if e.lead != nil {
		e.lead.link.Append(r.kind, 0, r.id, r.body)
	}
}

// rebuild tells a broker that knows nothing of this client what it needs: every session anew under its key, then the
// requests that were not answered. The referrals of the broker before are void.
func (e *Engine) rebuild() {
	e.requests = slices.DeleteFunc(e.requests, func(r *request) bool { return r.session != nil })
	clear(e.numbers) // the new broker gives its own
	for _, s := range slices.Clone(e.sessions) {
		if s.opened && s.closing == protocol.CloseKill {
			s.end(protocol.Errorf(protocol.CodeSessionKilled, "session", "it was killed"))
			continue
		}
		if s.tenure.lost() {
			s.end(protocol.Errorf(protocol.CodeUnknownSession, "session",
				"the broker that had session %d is gone, and with it what it kept", s.number))
			continue
		}
		if !planted.Is(planted.ReferralKept) {
			s.park()
		}
		s.told = planted.Is(planted.CloseForgotten)
		s.anew = true
		s.drainBy = time.Time{}
		ask(s)
	}
	for i := 0; i < len(e.conns); {
		if c := e.conns[i]; !c.control && c.epoch < e.node.Epoch {
			c.hangUp()
			continue
		}
		i++
	}
	for _, r := range e.requests {
		if r.session == nil {
			e.send(r)
		}
	}
}

// controlled takes a record that came by a control connection.
func (e *Engine) controlled(now time.Time, c *conn, rec *protocol.Record) {
	switch rec.Kind {
	case protocol.KindRefer:
		var body protocol.Refer
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil || body.Epoch != 0 && body.Epoch < e.node.Epoch {
			return
		}
		if s := e.numbers[body.Session]; s != nil {
			s.refer(now, body.Endpoint)
		}
	case protocol.KindSessionState:
		var body protocol.SessionState
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			return
		}
		if s := e.numbers[body.Session]; s != nil {
			s.changed(now, body)
		}
	case protocol.KindError:
		if rec.Session != 0 {
			detached(e, rec)
			return
		}
		e.answered(rec)
	case protocol.KindSessionOpened, protocol.KindDone,
		protocol.KindServicePage, protocol.KindSessionPage, protocol.KindNodePage,
		protocol.KindEnvironmentPage, protocol.KindEventPage,
		protocol.KindTaskInfo, protocol.KindTaskPage, protocol.KindDeadPage, protocol.KindDeadPart, protocol.KindDeadDropped,
		protocol.KindQueuesApplied, protocol.KindQueuePage, protocol.KindOverview, protocol.KindExplained,
		protocol.KindStats:
		e.answered(rec)
	case protocol.KindBye: // its connection breaks next; the conversation begins anew then
	default:
		c.refuse(rec)
	}
}

// answered takes the answer to a request.
func (e *Engine) answered(rec *protocol.Record) {
	i := slices.IndexFunc(e.requests, func(r *request) bool { return r.id == rec.Task })
	if i < 0 {
		return
	}
	r := e.requests[i]
	e.requests = slices.Delete(e.requests, i, i+1)
	var refused *protocol.Error
	if rec.Kind == protocol.KindError {
		refused = decodeError(rec.Payload)
	}
	switch {
	case r.session == nil:
		e.out.Answers = append(e.out.Answers, Answer{Request: r.id, Kind: rec.Kind, Body: rec.Payload, Err: refused})
	case r.kind == protocol.KindOpenSession, r.kind == protocol.KindAttachSession:
		r.session.sessionOpened(rec, refused)
		if !awaitsSession(e) {
			clear(e.gone)
		}
	case r.kind == protocol.KindDetachSession && refused == nil && !r.session.ended:
		r.session.end(goesOn(r.session.number))
	case refused != nil && !r.session.ended: // it cannot be closed because it is over already
		r.session.end(refused)
	}
}

// sessionOpened takes the answer to OpenSession.
func (s *Session) sessionOpened(rec *protocol.Record, refused *protocol.Error) {
	e := s.engine
	var body protocol.SessionOpened
	if refused == nil {
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			refused = protocol.AsError(err, "open session")
		}
	}
	switch {
	case refused != nil:
		if !s.ended {
			s.end(s.afterRestart(refused))
		}
		return
	case s.ended && s.tenure != nil && s.tenure.attached: // given up meanwhile
		e.ask(protocol.KindDetachSession, s, protocol.DetachSession{Session: body.Session, Tenure: body.Tenure})
		return
	case s.ended:
		e.ask(protocol.KindCloseSession, s, protocol.CloseSession{Session: body.Session, Mode: protocol.CloseKill, Own: true, Tenure: body.Tenure})
		return
	}
	if e.numbers[s.number] == s {
		delete(e.numbers, s.number)
	}
	if had := e.numbers[body.Session]; had != nil && had != s { // asked for before this one was known to be here
		had.end(inUse(body.Session))
	}
	if s.opened && (s.epoch != e.node.Epoch || s.number != body.Session) { // its tasks are run anew
		s.beginAnew()
	}
	taken := othersHadIt(s, &body)
	s.stay = body.Tenure
	s.number, s.anew, s.epoch, s.referrals = body.Session, false, e.node.Epoch, 0
	e.numbers[s.number] = s
	s.version, s.maxPayload = body.Version, body.MaxPayload
	s.taskCredit, s.byteCredit = body.TaskCredit, body.ByteCredit
	if s.windowTasks > 0 {
		s.taskCredit = min(s.taskCredit, s.windowTasks)
	}
	if s.windowBytes > 0 {
		s.byteCredit = min(s.byteCredit, s.windowBytes)
	}
	if !s.opened {
		s.tenure.opens(&body)
		s.opened = true
		s.declared = body.Interface
		s.spec.Version = body.Version // a broker that takes over is asked for the same
		e.out.Notes = append(e.out.Notes, Note{Session: s})
	}
	if taken {
		letGo(s, goesOn(s.number))
		e.ask(protocol.KindDetachSession, s, protocol.DetachSession{Session: s.number, Tenure: s.stay})
		return
	}
	if tenure, over := e.gone[s.number]; over && tenure >= s.stay {
		letGo(s, goesOn(s.number))
		return
	}
	s.sendClose()
	if s.conn == nil && s.tasks == 0 { // with tasks it is said when it is known to whom
		s.tenure.farewell()
	}
}

// afterRestart says what a refusal means to a session that was open already: the broker has lost what it lives on.
func (s *Session) afterRestart(refused *protocol.Error) *protocol.Error {
	if !s.opened || s.engine.node.Epoch <= s.epoch {
		return refused
	}
	what := "service " + s.spec.Service
	switch refused.Code {
	case protocol.CodeUnknownService:
	case protocol.CodeNoEnvironment:
		what = "environment " + s.spec.Environment
	default:
		return refused
	}
	return protocol.Errorf(refused.Code, "session", "the broker was restarted and has forgotten %s: tell it anew of "+
		"its services and environments, then open the session again", what)
}

// changed takes the news that a session has another state.
func (s *Session) changed(now time.Time, body protocol.SessionState) {
	switch body.State {
	case protocol.SessionFailed:
		if body.Error == nil {
			body.Error = protocol.Errorf(protocol.CodeSessionClosed, "session", "it failed")
		}
		s.end(body.Error)
	case protocol.SessionClosed:
		if body.Error != nil || !pending(s) {
			s.end(body.Error)
			return
		}
		// The last results come by another connection.
		if s.closing == "" {
			s.closing = protocol.CloseFinish
		}
		s.told = true
		s.drainBy = now.Add(protocol.PeerTimeout)
		s.dismiss()
	default: // the others change nothing for the client
	}
}

// dismiss ends the tasks that the session's manager does not have, now that it takes none any more.
func (s *Session) dismiss() {
	closed := closedBefore()
	for s.held.first != 0 {
		s.At(s.held.first - 1).fail(closed)
	}
	for at := s.first; at != 0; {
		r := s.At(at - 1)
		x := r.slot().extra
		at = r.slot().next
		if x != nil && !x.again.IsZero() {
			r.fail(closed)
		}
	}
}
