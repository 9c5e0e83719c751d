package control

import (
	"fmt"
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// keptOver is how many sessions that are over can still be seen.
const keptOver = 1000

// sess is one session.
type sess struct {
	number   protocol.SessionNumber
	client   *party
	request  protocol.OpenSession
	manager  *manager
	state    session.State
	position uint64 // of the last record that tells of it
	opened   time.Time
	running  time.Time
	ended    time.Time
	since    time.Time       // when it came into its state, closing being one
	closing  string          // the mode in which it was asked to close
	failure  *protocol.Error // why it is being given up
	ending   *protocol.Error // why it is being closed, when that is not in order
	verdict  *protocol.Error // with which it ended; nil: in order
	seen     session.Figures
	diary    diary
	counted  *protocol.Stats   // when it is over
	mishap   *protocol.Failure // the last
	steering steering
	tenure   tenure
	active   time.Time // when it was opened, or had something unfinished last

	environment *environment
	among       *openTally // in which it is counted while it is open

	taskCredit int   // unfinished tasks
	byteCredit int64 // bytes of them
}

// sessions is the session controller: it opens and closes sessions, and keeps what is known of them.
type sessions struct {
	c      *Core
	open   ordered.Map[uint32, *sess]
	over   ordered.Map[uint32, *sess] // the last that ended
	tasks  TaskCensus
	states openTally
	ended  []protocol.SessionNumber // of over, in the order in which they ended
	number protocol.SessionNumber
	expiry expiry
}

func newSessions(c *Core) *sessions {
	t := &sessions{c: c}
	t.expiry.sessions = t
	return t
}

func openSession(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.OpenSession](r)
	if err != nil {
		return err
	}
	s := p.client.keys[req.Key]
	if s == nil {
		if s, err = c.sessions.add(p, req); err != nil {
			return err
		}
	}
	s.tenure.referrals = 0
	p.answer(c.out, s.position, protocol.KindSessionOpened, r.Task, s.opening())
	c.sessions.tellWhere(s)
	return nil
}

// opening is what a client of the session is told of it first.
func (s *sess) opening() protocol.SessionOpened {
	svc := &s.manager.service
	return protocol.SessionOpened{
		Session: s.number, Service: svc.Name, Version: svc.Version,
		TaskCredit: s.taskCredit, ByteCredit: s.byteCredit, MaxPayload: svc.Limits.Payload, Interface: svc.Interface, Tenure: s.tenure.number,
	}
}

// refer tells the client of a session where it is served, unless its manager is on its way: who arrives tells.
func (t *sessions) refer(s *sess) {
	if s.manager.transit == nil && !s.tenure.away {
		s.tenure.referrals++
		t.c.managers.refer(s.client, s.position, s.manager, s.number)
	}
}

// tellWhere tells the client of a session where it is served, or for what it waits.
func (t *sessions) tellWhere(s *sess) {
	m := s.manager
	if m.hosting == 0 {
		s.client.push(t.c.out, s.position, protocol.KindSessionState, protocol.SessionState{
			Session: s.number, State: s.state.String(), Reason: cut(m.explain(t.c.managers, true)),
		})
		return
	}
	t.refer(s)
	if s.state == session.Running {
		s.tell(t.c.out, nil)
	}
}

// checkOpen says what is wrong with a request for a session in itself.
func checkOpen(r *protocol.OpenSession) error {
	bad := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeInvalid, "open session", format, args...)
	}
	switch {
	case r.Service == "":
		return bad("service: is empty; it is the name of a registered service")
	case r.Queue != "" && !protocol.ValidName(r.Queue):
		return bad("queue: %q is not the name of a queue", r.Queue)
	case r.Environment != "" && !protocol.ValidName(r.Environment):
		return bad("environment: %q is not the name of an environment", r.Environment)
	case r.MinInst < 0 || r.MaxInst < 0:
		return bad("instances: %d to %d has a negative number", r.MinInst, r.MaxInst)
	case r.MaxInst > 0 && r.MinInst > r.MaxInst:
		return bad("instances: at least %d and at most %d cannot both be", r.MinInst, r.MaxInst)
	case r.Request().Check() != nil:
		return bad("%v", r.Request().Check())
	case len(r.Parameters) > protocol.MaxBody/2:
		return bad("parameters: %d bytes, at most %d are allowed", len(r.Parameters), protocol.MaxBody/2)
	}
	if err := checkTimes(r); err != nil {
		return err
	}
	return r.Retry.Validate("open session", "retry.")
}

// add opens a session.
func (t *sessions) add(p *party, req *protocol.OpenSession) (*sess, error) {
	c := t.c
	if err := checkOpen(req); err != nil {
		return nil, err
	}
	if t.open.Len() >= c.cfg.MaxSessions {
		return nil, &protocol.Error{
			Code: protocol.CodeOverloaded, Op: "open session", RetryAfter: time.Second,
			Msg: fmt.Sprintf("%d sessions are open, and at most %d may be", t.open.Len(), c.cfg.MaxSessions),
		}
	}
	e, err := c.catalogue.Get(req.Service, req.Version)
	if err != nil {
		return nil, err
	}
	environment, err := c.environments.forSession(req.Environment)
	if err != nil {
		return nil, err
	}
	m, err := c.managers.obtain(e, demandOf(p, req))
	if err != nil {
		return nil, err
	}
	t.number++
	s := &sess{number: t.number, client: p, request: *req, manager: m, environment: environment, opened: c.now, since: c.now, active: c.now, among: &t.states}
	s.count(1)
	s.taskCredit, s.byteCredit = c.hosts.credit(m)
	s.position = c.out.record(&Record{At: c.now, Open: &OpenRecord{
		Session: s.number, Client: p.incarnation, Version: e.Service.Version, Request: *req,
	}})
	t.open.Set(s.number, s)
	t.expiry.watch(s)
	environment.sessions.Set(s.number, s)
	t.happened(s, protocol.EventOpened, fmt.Sprintf("by %s, with version %s of service %s, in environment %s",
		p.name(), e.Service.Version, e.Service.Name, environment.name))
	m.sessions.Set(s.number, s)
	c.managers.touch(m) // what it wants may have waited for a session
	p.client.own(s)
	if m.hosting != 0 {
		t.serve(s)
	}
	return s, nil
}

// serve puts a session into the care of its manager, which has a share of the management node.
func (t *sessions) serve(s *sess) {
	c, m, req := t.c, s.manager, &s.request
	c.hosts.loops[m.loop].sessions++
	s.client.client.hostedBy(m.loop)
	if m.placed {
		s.move(c.now, session.Placed)
		t.happened(s, protocol.EventScheduled, "its service has containers")
	}
	c.managers.order(m, session.Order{Open: &session.Open{
		Manager: m.hosting, Session: s.number, Client: s.client.incarnation, Tenure: s.tenure.number,
		Bind: protocol.Bind{
			Session: s.number, Name: req.Name, Environment: s.environment.name,
			Principal: s.client.hello.Principal, Parameters: req.Parameters,
		},
		TaskCredit: s.taskCredit, ByteCredit: s.byteCredit, MinInst: req.MinInst, MaxInst: req.MaxInst,
		Keep: s.keeps(), Stopped: s.steering.stopped, Suspended: s.steering.suspended,
		Retry: req.Retry, Timeout: req.Timeout, Run: req.Run,
	}})
	if s.tenure.away { // its client has left it meanwhile
		tenancies{t}.leaving(s)
		c.managers.order(m, session.Order{Detach: &session.Detach{Session: s.number}})
	}
}

// move takes an event of the session; one that the table refuses is of no effect.
func (s *sess) move(now time.Time, e session.Event) bool {
	next, ok := session.Table.Next(s.state, e)
	if next != s.state {
		s.count(-1)
		s.state, s.since = next, now
		s.count(1)
	}
	return ok
}

// tell pushes the session's state to its client.
func (s *sess) tell(o *outbox, err *protocol.Error) {
	if !s.tenure.away {
		s.client.push(o, s.position, protocol.KindSessionState, protocol.SessionState{Session: s.number, State: s.state.String(), Error: err})
	}
}

func closeSession(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.CloseSession](r)
	if err != nil {
		return err
	}
	req.Reason = cut(req.Reason)
	if req.Mode != protocol.CloseFinish && req.Mode != protocol.CloseKill {
		return protocol.Errorf(protocol.CodeInvalid, "close session", "mode: %q is neither %s nor %s", req.Mode, protocol.CloseFinish, protocol.CloseKill)
	}
	s, over, err := c.sessions.find(req.Session, "close session")
	if err != nil {
		return err
	}
	if !over && (!req.Own || req.Tenure == s.tenure.number) { // otherwise others have it now
		c.sessions.close(s, s.askedBy(p), req)
	}
	p.answer(c.out, s.position, protocol.KindDone, r.Task, nil)
	return nil
}

// itsClient is by whom a session of its own is closed.
const itsClient = "its client"

// close passes on that a session is to be closed; by is who wants it, "" when nobody does. What was asked before and is no
// less counts.
func (t *sessions) close(s *sess, by string, req *protocol.CloseSession) {
	code := protocol.CodeSessionClosed
	if req.Mode == protocol.CloseKill {
		code = protocol.CodeSessionKilled
	}
	t.closeAs(s, by, req, code)
}

// kill closes a session at once that nobody asked to close.
func (t *sessions) kill(s *sess, why string) {
	t.close(s, "", &protocol.CloseSession{Session: s.number, Mode: protocol.CloseKill, Reason: why})
}

// closeAs is close with the code of the error for what comes of it.
func (t *sessions) closeAs(s *sess, by string, req *protocol.CloseSession, code protocol.Code) {
	kill := req.Mode == protocol.CloseKill
	if s.closing == req.Mode || s.closing == protocol.CloseKill || s.failure != nil {
		return
	}
	if s.closing == "" {
		s.since = t.c.now
	}
	s.count(-1)
	s.closing = req.Mode
	s.count(1)
	detail := closingDetail(by, req)
	if s.stays() {
		detail += "; " + staysOpen
	}
	t.happened(s, protocol.EventClosing, detail)
	s.position = t.c.out.record(&Record{At: t.c.now, Close: req})
	reason := req.Reason
	if reason == "" {
		reason = "it was closed on request"
	}
	err := protocol.Errorf(code, fmt.Sprintf("session %d", s.number), "%s", reason)
	if kill || code == protocol.CodeSessionExpired {
		s.ending = err
	}
	if s.manager.hosting == 0 { // nobody else knows of it
		if by == itsClient { // which has no tasks that wait to be sent, or gives them up
			err = s.ending
		}
		t.end(s, session.Ended, err)
		return
	}
	t.c.managers.order(s.manager, session.Order{Close: &session.Close{Session: s.number, Kill: kill, Error: err}})
}

// fail gives a session up.
func (t *sessions) fail(s *sess, err *protocol.Error) {
	if s.failure != nil {
		return
	}
	s.failure = err
	if s.manager.hosting == 0 {
		t.end(s, session.Broke, err)
		return
	}
	t.c.managers.order(s.manager, session.Order{Close: &session.Close{Session: s.number, Kill: true, Error: err}})
}

// abandon closes the sessions of a client that is gone.
func (t *sessions) abandon(p *party, why string) {
	for _, s := range p.client.open.All() {
		if s.keeps() && !s.ends() {
			tenancies{t}.detach(s, 0, why)
			continue
		}
		t.kill(s, why)
	}
	t.forget(p)
}

// forget lets the loops forget a client that is gone once none of its sessions is left.
func (t *sessions) forget(p *party) {
	if !p.gone || p.client.open.Len() > 0 || p.client.leaving > 0 || planted.Is(planted.ForgetDropped) {
		return
	}
	slices.Sort(p.client.loops)
	back, here := t.c.lobby.parties.Get(p.incarnation)
	for _, i := range p.client.loops {
		if here && back != p { // the same process has come back, and the loops know it by the same number
			back.client.hostedBy(i)
			continue
		}
		t.c.out.order(i, session.Order{Forget: &session.Forget{Client: p.incarnation}})
	}
	p.client.loops = nil
}

// changed takes what a manager tells of a session.
func (t *sessions) changed(n *session.Changed) {
	s, ok := t.open.Get(n.Session)
	if !ok {
		return
	}
	why := cutError(n.Error) // which an instance may have said
	switch n.State {
	case protocol.SessionRunning:
		if s.move(t.c.now, session.Bound) {
			s.running = t.c.now
			t.happened(s, protocol.EventRunning, "")
			s.tell(t.c.out, nil)
		}
	case protocol.SessionFailed:
		t.end(s, session.Broke, why)
	case protocol.SessionClosed:
		switch {
		case s.failure != nil:
			t.end(s, session.Broke, s.failure)
		case why == nil:
			t.end(s, session.Ended, s.ending)
		default:
			t.end(s, session.Ended, why)
		}
	}
}

// end takes a session out, and tells its client.
func (t *sessions) end(s *sess, e session.Event, err *protocol.Error) {
	s.move(t.c.now, e)
	s.verdict, s.ended = err, t.c.now
	t.noteEnd(s, err)
	state := protocol.SessionState{Session: s.number, State: s.state.String(), Error: err}
	s.position = t.c.out.record(&Record{At: t.c.now, End: &state})
	s.tell(t.c.out, err)
	t.open.Delete(s.number)
	t.expiry.timed.Delete(s.number)
	t.over.Set(s.number, s)
	if t.ended = append(t.ended, s.number); len(t.ended) > keptOver {
		t.over.Delete(t.ended[0])
		t.ended = t.ended[1:]
	}
	t.c.hosts.left(s)
	t.c.environments.leave(s)
	p := s.client
	if !s.tenure.away {
		p.client.open.Delete(s.number)
		delete(p.client.keys, s.request.Key)
	}
	tenancies{t}.over(s)
	t.forget(p)
}

// misdirected helps a client that sent something to a loop that does not host its session.
func (t *sessions) misdirected(client uint64, number protocol.SessionNumber) {
	p, ok := t.c.lobby.parties.Get(client)
	if !ok {
		return
	}
	if s, ok := t.open.Get(number); ok {
		switch {
		case s.has(p) && s.manager.hosting != 0:
			t.refer(s)
			return
		case slices.Contains(s.tenure.before, client):
			return // its manager tells it, behind the last result
		}
	}
	if s, ok := t.over.Get(number); ok && s.client == p {
		s.tell(t.c.out, s.verdict)
		return
	}
	p.push(t.c.out, 0, protocol.KindSessionState, protocol.SessionState{
		Session: number, State: protocol.SessionClosed,
		Error: protocol.Errorf(protocol.CodeUnknownSession, fmt.Sprintf("session %d", number), "it is not open for this client"),
	})
}

// figures takes the figures of a session.
func (t *sessions) figures(n *session.Figures) {
	if s, ok := t.open.Get(n.Session); ok {
		finished := n.Done + n.Failed - s.seen.Done - s.seen.Failed
		s.manager.finished += finished
		if finished > 0 || n.Queued+n.InFlight > 0 {
			s.active = t.c.now
		}
		t.tasks.follow(&s.seen, n)
		s.seen = *n
	}
}

// still gives those of the nodes that a session was last said to run on where its manager has a container still. What has
// no node, since it was started by hand, stays.
func (m *manager) still(c *Core, nodes []string) []string {
	var here []string
	for _, name := range nodes {
		n, known := c.crew.fleet.Node(name)
		has := !known
		for _, k := range m.containers.All() {
			has = has || k.Node == n
		}
		if has {
			here = append(here, name)
		}
	}
	return here
}

// staysOpen says why a session is not over that was asked to close.
const staysOpen = "it is suspended: tasks that wait are finished, and it is over, when it is resumed"

// stays says whether a session that was asked to close has tasks that wait until it is resumed.
func (s *sess) stays() bool {
	return !s.state.Over() && s.closing == protocol.CloseFinish && s.steering.suspended && s.seen.Queued > 0
}

// lacks says whether the session is open and could do with an instance: it has had none yet, tasks of it wait, or there are
// fewer than it is to have in any case. Otherwise what stands in the way of more does not matter to it: its manager would
// have them still, until it has idled for a while.
func (s *sess) lacks() bool {
	m := s.manager
	switch {
	case s.state.Over():
		return false
	case s.state != session.Running, m.hosting == 0, s.seen.Queued > 0:
		return true
	}
	least := s.request.MinInst
	if least == 0 {
		least = m.service.Instances.Min
	}
	return m.count[fleet.Serving]+m.byHand[fleet.Serving] < least
}

// info is what can be seen of a session.
func (t *sessions) info(s *sess) protocol.SessionInfo {
	i := protocol.SessionInfo{
		Session: s.number, Name: cut(s.request.Name), Service: s.manager.service.Name, Version: s.manager.service.Version,
		Environment: s.environment.name, Client: s.client.name(), State: s.state.String(),
		Opened: s.opened, Ended: s.ended, Queued: s.seen.Queued, InFlight: s.seen.InFlight, Done: s.seen.Done, Failed: s.seen.Failed,
		Nodes: s.seen.Nodes, Loop: nowhere, Stopped: s.steering.stopped, Suspended: s.steering.suspended,
		Detached: s.tenure.away && !s.state.Over(),
	}
	if !s.state.Over() {
		i.Nodes = s.manager.still(t.c, i.Nodes)
	}
	i.Since, i.Failure = s.since, s.mishap
	i.Retried, i.Cancelled, i.Dead, i.Late = s.seen.Retried, s.seen.Cancelled, s.seen.Dead, s.seen.Late
	if !s.state.Over() && s.closing != "" {
		i.State = protocol.SessionClosing
	}
	if !s.state.Over() && s.manager.hosting != 0 {
		i.Loop = s.manager.loop
	}
	if !s.running.IsZero() {
		i.StartDelay = s.running.Sub(s.opened)
	}
	switch {
	case s.verdict != nil:
		i.Reason = cut(s.verdict.Error())
	case s.stays():
		i.Reason = staysOpen
	case s.lacks():
		i.Reason = cut(s.manager.explain(t.c.managers, true))
	}
	return i
}
