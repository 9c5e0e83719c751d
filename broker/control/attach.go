package control

import (
	"fmt"
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// How sessions go from client to client. One whose client leaves it, or is gone while it is to be kept, goes on without a
// client: it is away. Whoever attaches to it is its client from then on.

// keepGrace is how long a session waits for a client that does not say how long.
const keepGrace = time.Hour

// tenure is what a session has to do with clients.
type tenure struct {
	away  bool          // it has no client: that of before is named in lists
	since time.Time     // when it came to have none
	grace time.Duration // for which it waits for one then
	// left are the clients that it was taken off, until its manager has done so.
	left      []departed
	number    uint64   // how often it was given to a client before
	referrals uint64   // that its client was told since it has it
	before    []uint64 // incarnations of the clients that it was taken off and that are here, each once
	callers   []caller // who have asked to attach and were not answered
}

// departed is a client that a session was taken off, and the number of its time.
type departed struct {
	*party
	tenure uint64
}

// caller is who has asked for a session.
type caller struct {
	party   *party
	request uint64
	tenure  uint64 // that it was given
}

// tenancies see to who has which session.
type tenancies struct{ *sessions }

// keeps says whether the session is kept when its client is gone.
func (s *sess) keeps() bool { return s.request.Disconnect == protocol.DisconnectKeep }

// has says whether a session is a client's now.
func (s *sess) has(p *party) bool { return s.client == p && !s.tenure.away }

func detachSession(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.DetachSession](r)
	if err != nil {
		return err
	}
	const op = "detach session"
	if req.Grace < 0 {
		return protocol.Errorf(protocol.CodeInvalid, op, "grace: %v is negative; 0 is as the session was opened, or as the broker says", req.Grace)
	}
	s, over, err := c.sessions.find(req.Session, op)
	switch {
	case err != nil:
		return err
	case s.client != p:
		return protocol.Errorf(protocol.CodeUnknownSession, op, "session %d is not open for this client", req.Session)
	case over || s.ends():
		return s.overFor(op)
	}
	if !s.tenure.away && req.Tenure == s.tenure.number { // otherwise it has left already
		tenancies{c.sessions}.detach(s, req.Grace, "left by its client")
	}
	p.answer(c.out, 0, protocol.KindDone, r.Task, nil)
	return nil
}

// leave takes a client's word, which came behind all its tasks, that it leaves a session; unless it means a time before, or
// was said before it had learned where the session is served: where it was, tasks were dropped maybe. It says so again then.
func (t tenancies) leave(n *session.Leave) {
	if s, ok := t.open.Get(n.Session); ok && s.client.incarnation == n.Client && !s.ends() &&
		n.Tenure == s.tenure.number && n.Referrals == s.tenure.referrals && !s.tenure.away {
		t.detach(s, n.Grace, "left by its client")
	}
}

// ends says that the session is being given up, with what it has.
func (s *sess) ends() bool { return s.closing == protocol.CloseKill || s.failure != nil }

// overFor says that the session is over, or will be in a moment, and why. It does not come back: a code that asks to try
// again later would be wrong.
func (s *sess) overFor(op string) error {
	why := s.verdict
	for _, e := range []*protocol.Error{s.failure, s.ending} {
		if why == nil {
			why = e
		}
	}
	if why == nil {
		return protocol.Errorf(protocol.CodeSessionClosed, op, "session %d is over", s.number)
	}
	if why.Code.Retryable() {
		return protocol.Errorf(protocol.CodeSessionClosed, op, "session %d is over: %v", s.number, why)
	}
	return protocol.Errorf(why.Code, op, "session %d is over: %s", s.number, why.Msg)
}

// detach has a session go on without a client.
func (t tenancies) detach(s *sess, grace time.Duration, why string) {
	for _, d := range []time.Duration{s.request.Grace, keepGrace} {
		if grace == 0 {
			grace = d
		}
	}
	t.part(s)
	s.tenure.away, s.tenure.since, s.tenure.grace = true, t.c.now, grace
	t.expiry.timed.Set(s.number, s)
	t.happened(s, protocol.EventDetached, fmt.Sprintf("%s; it waits for a client for %v", why, grace))
	if s.manager.hosting != 0 {
		t.c.managers.order(s.manager, session.Order{Detach: &session.Detach{Session: s.number}})
	}
	t.forget(s.client)
}

// part takes a session off its client, if it has one.
func (t tenancies) part(s *sess) {
	p := s.client
	if s.tenure.away {
		return
	}
	s.tenure.before = append(slices.DeleteFunc(s.tenure.before, func(had uint64) bool {
		_, here := t.c.lobby.parties.Get(had)
		return !here || had == p.incarnation
	}), p.incarnation)
	p.client.open.Delete(s.number)
	delete(p.client.keys, s.request.Key)
	if s.manager.hosting != 0 {
		t.leaving(s)
	}
}

// leaving notes that the session's manager knows it as its client's, and is to take it off him.
func (t tenancies) leaving(s *sess) {
	s.tenure.left = append(s.tenure.left, departed{s.client, s.tenure.number})
	s.client.client.leaving++
}

// left takes the word of a manager that a session has nothing to do with a client any more.
func (t tenancies) left(loop int, n *session.Left) {
	s, ok := t.open.Get(n.Session)
	if !ok {
		return
	}
	if i := slices.IndexFunc(s.tenure.left, func(p departed) bool { return p.incarnation == n.Client }); i >= 0 {
		p := s.tenure.left[i].party
		s.tenure.left = slices.Delete(s.tenure.left, i, i+1)
		p.client.hostedBy(loop) // where the manager has gone with it, maybe
		t.parted(p)
	}
}

func (t tenancies) parted(p *party) {
	p.client.leaving--
	t.forget(p)
}

// over lets go what the tenure of a session that is over has to do with. Its manager, which has ended it, does not tell those any
// more who were to lose it.
func (t tenancies) over(s *sess) {
	for _, p := range s.tenure.left {
		p.dismiss(t.c.out, s, p.tenure)
		t.parted(p.party)
	}
	for _, w := range s.tenure.callers {
		w.party.refuse(t.c.out, w.request, s.overFor(opAttach))
	}
	s.tenure.left, s.tenure.callers = nil, nil
}

const opAttach = "attach session"

func attachSession(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.AttachSession](r)
	if err != nil {
		return err
	}
	s, over, err := c.sessions.find(req.Session, opAttach)
	if err != nil {
		return err
	}
	if over || s.ends() {
		return s.overFor(opAttach)
	}
	t := tenancies{c.sessions}
	if had := p.client.keys[req.Key]; had != s { // otherwise it asks again
		switch {
		case had != nil:
			return protocol.Errorf(protocol.CodeInvalid, opAttach, "key: %d is that of session %d of this client", req.Key, had.number)
		case s.has(p):
			return protocol.Errorf(protocol.CodeInUse, opAttach, "session %d is open for this client already", s.number)
		case !s.tenure.away && !s.keeps():
			return protocol.Errorf(protocol.CodeInvalid, opAttach, "session %d was not opened to be kept, and its client has not left it", s.number)
		case !req.Force && t.present(s):
			return protocol.Errorf(protocol.CodeInUse, opAttach, "session %d has a client, %s, which was heard %v ago: it has to leave it, or be gone for %v; or the session is taken from it by force",
				s.number, s.client.name(), c.now.Sub(s.client.heard).Truncate(time.Millisecond), c.cfg.PeerTimeout)
		}
		t.attach(s, p, req)
	}
	t.answer(s, p, r.Task)
	return nil
}

// present says whether the session's client is there.
func (t tenancies) present(s *sess) bool {
	return !s.tenure.away && !s.client.gone && t.c.now.Sub(s.client.heard) <= t.c.cfg.PeerTimeout
}

// attach gives a session to a client.
func (t tenancies) attach(s *sess, p *party, req *protocol.AttachSession) {
	detail := "by " + p.name()
	if t.present(s) {
		detail += ", by force: it was " + s.client.name() + "'s"
	}
	if !s.tenure.away && s.manager.hosting == 0 { // otherwise its manager tells, behind the last result
		s.client.dismiss(t.c.out, s, s.tenure.number)
	}
	t.part(s)
	before := s.client
	s.client, s.request.Key, s.tenure.away = p, req.Key, false
	s.tenure.number++
	p.client.own(s)
	if s.request.Idle == 0 && s.request.Lifetime == 0 {
		t.expiry.timed.Delete(s.number)
	}
	t.happened(s, protocol.EventAttached, detail)
	if s.manager.hosting != 0 {
		p.client.hostedBy(s.manager.loop)
	}
	t.forget(before)
}

// dismiss tells a client that a session which nobody serves has nothing to do with it any more. A manager says it as well.
func (p *party) dismiss(o *outbox, s *sess, tenure uint64) {
	if !p.gone {
		p.link.AppendAfter(o.gate(s.position), protocol.KindError, s.number, tenure, protocol.Marshal(protocol.Errorf(
			protocol.CodeDetached, "session", "session %d goes on without this client", s.number)))
	}
}

// answer answers who asked to attach, at once or when the session's manager has told what there is for him.
func (t tenancies) answer(s *sess, p *party, request uint64) {
	if s.manager.hosting == 0 {
		s.tenure.referrals = 0
		opened := s.opening()
		opened.Next = 1
		p.answer(t.c.out, s.position, protocol.KindSessionOpened, request, opened)
		t.tellWhere(s)
		return
	}
	s.tenure.callers = append(s.tenure.callers, caller{p, request, s.tenure.number})
	t.c.managers.order(s.manager, session.Order{Attach: &session.Attach{Session: s.number, Client: p.incarnation, Tenure: s.tenure.number}})
}

// attached takes the word of a manager that a session is a client's.
func (t tenancies) attached(n *session.Attached) {
	s, ok := t.open.Get(n.Session)
	if !ok {
		return
	}
	i := slices.IndexFunc(s.tenure.callers, func(w caller) bool { return w.tenure == n.Tenure })
	if i < 0 {
		return
	}
	w := s.tenure.callers[i]
	s.tenure.callers = slices.Delete(s.tenure.callers, i, i+1)
	if w.tenure != s.tenure.number || s.tenure.away { // it was taken off it meanwhile
		w.party.refuse(t.c.out, w.request, protocol.Errorf(protocol.CodeDetached, opAttach, "session %d was taken from this client meanwhile", s.number))
		return
	}
	s.tenure.referrals = 0
	opened := s.opening()
	opened.Next, opened.Untold = n.Next, n.Untold
	w.party.answer(t.c.out, s.position, protocol.KindSessionOpened, w.request, opened)
	t.tellWhere(s)
}

// taken passes on what a client has taken of a session whose manager has gone elsewhere.
func (t tenancies) taken(n *session.Taken) {
	if s, ok := t.open.Get(n.Session); ok && s.manager.hosting != 0 {
		t.c.managers.order(s.manager, session.Order{Taken: n})
	}
}
