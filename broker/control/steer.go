package control

import (
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// steering is what a session was steered to.
type steering struct {
	stopped   bool // it takes no further tasks
	suspended bool // nothing more of it is begun
}

// take changes the steering as an action says, and gives what happened in words; "" when that changes nothing.
func (g *steering) take(action string) string {
	before := *g
	what := ""
	switch action {
	case protocol.SteerStop:
		g.stopped, what = true, "takes no further tasks"
	case protocol.SteerAccept:
		g.stopped, what = false, "takes tasks again"
	case protocol.SteerSuspend:
		g.suspended, what = true, "suspended"
	case protocol.SteerResume:
		g.suspended, what = false, "resumed"
	}
	if *g == before {
		return ""
	}
	return what
}

// steerSession steers a session of any client. One that is over is left as it is.
func steerSession(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.SteerSession](r)
	if err != nil {
		return err
	}
	switch req.Action {
	case protocol.SteerStop, protocol.SteerAccept, protocol.SteerSuspend, protocol.SteerResume, protocol.SteerCancel:
	default:
		return protocol.Errorf(protocol.CodeInvalid, "steer session", "action: %q is none of %s, %s, %s, %s, %s", req.Action,
			protocol.SteerStop, protocol.SteerAccept, protocol.SteerSuspend, protocol.SteerResume, protocol.SteerCancel)
	}
	s, over, err := c.sessions.find(req.Session, "steer session")
	if err != nil {
		return err
	}
	if !over {
		c.sessions.steer(s, s.askedBy(p), req)
	}
	p.answer(c.out, 0, protocol.KindDone, r.Task, nil)
	return nil
}

// steer has the session's manager do what is asked, unless it does so already.
func (t *sessions) steer(s *sess, by string, req *protocol.SteerSession) {
	if req.Action == protocol.SteerCancel {
		if s.manager.hosting != 0 { // otherwise it has no tasks
			t.c.managers.order(s.manager, session.Order{Cancel: &session.Cancel{Session: s.number, Error: cancelled(by, req.Reason)}})
		}
		return
	}
	what := s.steering.take(req.Action)
	if what == "" {
		return
	}
	detail := what + ", by " + by
	if req.Reason != "" {
		detail += ": " + req.Reason
	}
	t.happened(s, protocol.EventSteered, detail)
	if s.manager.hosting != 0 { // otherwise it is opened so
		t.c.managers.order(s.manager, session.Order{Steer: &session.Steer{Session: s.number, Action: req.Action}})
	}
}

// find finds a session that is open, or over and still known.
func (t *sessions) find(number protocol.SessionNumber, op string) (s *sess, over bool, err error) {
	s, ok := t.open.Get(number)
	if ok {
		return s, false, nil
	}
	if s, ok = t.over.Get(number); ok {
		return s, true, nil
	}
	return nil, false, protocol.Errorf(protocol.CodeUnknownSession, op, "no session has the number %d", number)
}

// askedBy names who asks something of the session.
func (s *sess) askedBy(p *party) string {
	if s.has(p) {
		return itsClient
	}
	return p.name()
}
