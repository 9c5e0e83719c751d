package sim

import (
	"encoding/binary"
	"slices"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

const time20ms = 20 * time.Millisecond

// app is the application in a client: it opens sessions, submits tasks, reads results or does not, closes, kills, asks.
// The first client is the operator's as well.
type app struct {
	c        *client
	operates bool
	sessions []*appSession // that have not ended
	reads    bool
	next     int64 // when it acts again; 0: never
	asked    []asked
	scratch  []byte
}

// appSession is a session as its application sees it.
type appSession struct {
	app     *app
	session *engine.Session
	service *service
	index   uint32
	opened  bool
	ended   bool
	closing bool
	killed  bool
	excused string // why its tasks may fail in ways that their hooks do not explain; empty: they may not
	open    int    // tasks without an answer
	retry   protocol.Retry
	timeout time.Duration // of its tasks; 0: none
	run     time.Duration // of its tasks; 0: none
	ranked  bool          // its tasks have priorities
	node    string        // the only one on which it is to run; empty: any
	ordered bool          // the ends of its tasks come in order

	keepsake                    // of one that may outlive its client
	lastOrder, delivered uint64 // of its ordered tasks
	righted              int64  // when it was last to be resumed, at the end
}

// asked is a request of an application that was not answered yet.
type asked struct {
	id      uint64
	kind    protocol.Kind
	service *service
	at      int64
}

func (a *app) init(c *client, operates bool) {
	a.c, a.operates, a.reads = c, operates, true
	a.next = c.w.at + 1
}

// turn lets the application act when its time has come.
func (a *app) turn() {
	w := a.c.w
	if a.next > 0 && w.at >= a.next {
		a.next = w.at + int64(w.drawApp.span(w.plan.think/4, w.plan.think*2))
		a.act()
	}
	if a.reads || w.healing {
		a.read()
	}
}

// read consumes the results that have come.
func (a *app) read() {
	for _, u := range a.c.unread {
		a.consumed(u)
	}
	a.c.unread = a.c.unread[:0]
	a.take()
}

func (a *app) consumed(u unread) {
	for i := range a.c.accounts {
		if a.c.accounts[i].source == u.source {
			a.c.accounts[i].bytes += u.bytes
			return
		}
	}
	a.c.accounts = append(a.c.accounts, u)
}

// act does one thing that an application may do.
func (a *app) act() {
	w := a.c.w
	if a.operates {
		a.operate()
	}
	if w.healing {
		a.windUp()
		return
	}
	draw := &w.drawApp
	if draw.chance(w.plan.kills) {
		a.close(protocol.CloseKill)
	}
	if draw.chance(w.plan.steers) {
		helm{a}.steer()
	}
	if draw.chance(w.plan.cancels) {
		helm{a}.cancel()
	}
	if draw.chance(w.plan.comes) {
		helm{a}.come()
	}
	switch n := draw.n(1000); {
	case len(a.sessions) == 0 || n < 60 && len(a.sessions) < w.plan.sessions:
		a.open()
	case n < 860:
		a.submitSome()
	case n < 890:
		a.close(protocol.CloseFinish)
	case n < 930 && w.plan.stalls:
		a.reads = !a.reads
		w.tally.add(ReadsStopped)
	case n < 960:
		a.ask(protocol.KindListSessions, protocol.ListRequest{Limit: 10, All: true}, nil)
	case n < 965 && w.allows(ClientExit):
		w.tally.add(ClientExits)
		a.shut()
	case n < 970:
		a.ask(protocol.KindListNodes, protocol.ListRequest{}, nil)
	}
}

// windUp is what an application does when everything is healed: nothing new, and later it closes and ends.
func (a *app) windUp() {
	w := a.c.w
	a.reads = true
	helm{a}.putRight()
	helm{a}.comeForAll()
	if w.phase >= closingPhase || !w.plan.roomy {
		for _, s := range a.sessions {
			if s.opened && !s.closing && !s.left {
				s.closing = true
				a.c.engine.Close(s.session, protocol.CloseFinish)
			}
		}
	}
	if w.phase >= leavingPhase && !a.c.closed {
		a.c.place.leave = true
		a.shut()
	}
}

func (a *app) open() {
	w := a.c.w
	draw := &w.drawApp
	svc := w.services[draw.n(len(w.services))]
	if (w.broker == nil || svc.registered != w.broker.epoch) && !draw.chance(50) {
		return // most wait until they hear that the service is there
	}
	spec := protocol.OpenSession{Service: svc.name, Name: a.c.process.name}
	if draw.chance(300) {
		spec.MinInst = draw.between(0, 2)
		spec.MaxInst = spec.MinInst + draw.between(0, 2)
	}
	if draw.chance(w.plan.bindFails) {
		spec.Parameters = []byte("refuse")
	}
	tasks, bytes := 0, int64(0)
	if draw.chance(300) {
		tasks, bytes = draw.between(1, 20), int64(draw.between(1, 256))<<10
	}
	w.lastSession++
	s := &appSession{app: a, service: svc, index: w.lastSession}
	s.wish(&spec)
	s.node = w.queueing.ofSession(&spec, svc)
	if len(spec.Parameters) > 0 {
		s.excused = "its binding is refused"
	}
	s.session = a.c.engine.Open(spec, tasks, bytes)
	a.sessions = append(a.sessions, s)
	w.tally.add(Sessions)
}

// pick gives a session by chance, nil when there is none that is meant.
func (a *app) pick(meant func(*appSession) bool) *appSession {
	if len(a.sessions) == 0 {
		return nil
	}
	if s := a.sessions[a.c.w.drawApp.n(len(a.sessions))]; meant(s) {
		return s
	}
	return nil
}

func (a *app) submitSome() {
	w := a.c.w
	s := a.pick(func(s *appSession) bool { return s.session.Accepting() })
	if s == nil {
		return
	}
	for range w.drawApp.between(1, w.plan.burst) {
		if !a.submit(s) {
			return
		}
	}
}

// submit submits one task and says whether there was room.
func (a *app) submit(s *appSession) bool {
	w := a.c.w
	draw := &w.drawApp
	size := draw.between(8, 120)
	external := draw.chance(w.plan.external)
	if external {
		size = draw.between(protocol.InlinePayload, 96<<10)
	}
	if !a.c.engine.Room(s.session, size) {
		w.tally.add(NoRoom)
		return false
	}
	t := w.newTask(s, uint32(size))
	a.wish(t)
	var err error
	if external {
		h := a.c.process.table.add(t.content, t.size)
		if t.wishful() {
			t.id, err = a.start(t, nil, h, size)
		} else {
			t.id, err = a.c.engine.SubmitHandle(s.session, h, size)
		}
		if err != nil {
			a.c.process.table.release(h)
		}
	} else {
		a.scratch = binary.BigEndian.AppendUint64(a.scratch[:0], uint64(t.content))
		a.scratch = append(a.scratch, make([]byte, size-8)...)
		if t.wishful() {
			t.id, err = a.start(t, a.scratch, 0, size)
		} else {
			t.id, err = a.c.engine.Submit(s.session, a.scratch)
		}
	}
	if err != nil {
		w.fail("submit", "%s: room for %d bytes in session %d, which accepts, and yet: %v", a.c.process.name, size, s.index, err)
		return false
	}
	t.slot = t.id.Slot()
	at := int(t.slot)
	for at >= len(a.c.pending) {
		a.c.pending = append(a.c.pending, nil)
	}
	if old := a.c.pending[at]; old != nil {
		w.fail("slot", "%s: task %v takes the place of task %v, which is unfinished", a.c.process.name, t.id, old.id)
	}
	a.c.pending[at] = t
	w.checker.submitted(t)
	if t.wishful() && t.ref.ID() == 0 {
		a.c.harvest() // it has ended already, and its place is free
	}
	return true
}

func (a *app) close(mode string) {
	s := a.pick(func(s *appSession) bool { return !s.killed && !s.left && (mode == protocol.CloseKill || !s.closing) })
	if s == nil {
		return
	}
	s.closing = true
	if mode == protocol.CloseKill || !s.opened {
		s.killed, s.excused = true, "its application killed it"
		a.c.w.tally.add(SessionsKilled)
	}
	if s.keeps {
		a.c.w.chaos.excuse(s.session.Number(), s, "who had it has closed it")
		if h := a.c.w.broker.shares.sessions[s.session.Number()]; h != nil && h.kept != nil {
			h.excused = "who had it has closed it"
		}
	}
	a.c.engine.Close(s.session, mode)
}

// shut closes the client.
func (a *app) shut() {
	for _, s := range a.sessions {
		s.excused = "its client was closed"
	}
	a.c.engine.Shut()
	a.c.harvest()
	a.c.closed = true
}

// abandon forgets the application with its process.
func (a *app) abandon() {
	for _, s := range a.sessions {
		s.excused = "its client is gone"
		a.c.w.checker.abandoned(s)
	}
	a.sessions = nil
}

func (a *app) ask(kind protocol.Kind, body any, svc *service) {
	id := a.c.engine.Request(kind, body)
	a.asked = append(a.asked, asked{id: id, kind: kind, service: svc, at: a.c.w.at})
	a.c.w.tally.add(Requests)
}

// operate keeps the services registered, takes one away now and then, and closes a session of somebody else.
func (a *app) operate() {
	w := a.c.w
	connected, _ := a.c.engine.Connected()
	if !connected || w.broker == nil {
		return
	}
	for _, svc := range w.services {
		if svc.registered != w.broker.epoch && !a.isAsking(svc) {
			a.ask(protocol.KindRegisterService, svc.spec, svc)
		}
	}
	if w.healing {
		return
	}
	draw := &w.drawApp
	if svc := w.services[draw.n(len(w.services))]; draw.chance(w.plan.moves) {
		a.ask(protocol.KindMoveService, protocol.MoveService{Name: svc.name, Loop: draw.n(w.plan.loops)}, nil)
	}
	if draw.chance(20) {
		helm{a}.query()
	}
	switch n := draw.n(1000); {
	case !w.allows(Operator):
	case n < 10:
		svc := w.services[draw.n(len(w.services))]
		if svc.registered == w.broker.epoch && !a.isAsking(svc) {
			a.ask(protocol.KindDeregisterService, protocol.ServiceRef{Name: svc.name}, svc)
		}
	case n < 20:
		a.closeOther()
	}
}

func (a *app) isAsking(svc *service) bool {
	return slices.ContainsFunc(a.asked, func(r asked) bool { return r.service == svc })
}

// closeOther closes a session of another client.
func (a *app) closeOther() {
	w := a.c.w
	place := w.seats[w.drawApp.n(len(w.seats))]
	if place.client == nil || len(place.client.app.sessions) == 0 {
		return
	}
	s := place.client.app.sessions[0]
	if s.session.Number() == 0 {
		return
	}
	mode := protocol.CloseFinish
	if w.drawApp.chance(500) {
		mode = protocol.CloseKill
	}
	// A number means another session under another broker.
	for _, other := range place.client.app.sessions {
		other.excused = "an operator may have closed it"
	}
	w.struck[s.session.Number()] = true
	w.chaos.brokerLost()
	w.tally.add(ClosedByOperator)
	a.ask(protocol.KindCloseSession, protocol.CloseSession{Session: s.session.Number(), Mode: mode}, nil)
}

// answered takes the answer to a request.
func (a *app) answered(answer engine.Answer) {
	w := a.c.w
	i := slices.IndexFunc(a.asked, func(r asked) bool { return r.id == answer.Request })
	if i < 0 {
		w.fail("answer", "%s got an answer to request %d, which has been answered or was never sent", a.c.process.name, answer.Request)
		return
	}
	r := a.asked[i]
	a.asked = slices.Delete(a.asked, i, i+1)
	w.tally.add(Answers)
	if answer.Err != nil || w.broker == nil {
		return
	}
	if r.kind == protocol.KindListTasks || r.kind == protocol.KindGetTask {
		w.tally.add(Told)
		w.checker.told(a.c.process.name, r.kind, answer.Body)
	}
	if r.kind == protocol.KindListSessions {
		a.listed(answer.Body)
	}
	switch r.kind { //nolint:exhaustive // the others change nothing
	case protocol.KindRegisterService:
		r.service.registered = w.broker.epoch
	case protocol.KindDeregisterService:
		r.service.registered = 0
		w.tally.add(Deregistered)
	}
}

// listed looks at a list of sessions: who waits for a session manager is said why.
func (a *app) listed(body []byte) {
	w := a.c.w
	var page protocol.SessionPage
	if err := protocol.Unmarshal(protocol.KindSessionPage, body, &page); err != nil {
		w.fail("answer", "%s gets a list of sessions that cannot be read: %v", a.c.process.name, err)
		return
	}
	for _, s := range page.Entries {
		if s.Loop < 0 {
			w.checker.reasoned(a.c.process.name, s.Session, s.State, s.Reason)
		}
	}
}

// note takes what happened to a session.
func (a *app) note(n engine.Note) {
	w := a.c.w
	i := slices.IndexFunc(a.sessions, func(s *appSession) bool { return s.session == n.Session })
	if i < 0 {
		w.fail("session", "%s is told of a session that has ended", a.c.process.name)
		return
	}
	s := a.sessions[i]
	if !n.Ended {
		if s.opened {
			w.fail("session", "%s: session %d is opened twice", a.c.process.name, s.index)
		}
		s.opened = true
		w.tally.add(SessionsOpened)
		if s.attached != nil {
			w.tally.add(SessionsAttached)
		}
		return
	}
	s.ended = true
	a.sessions = slices.Delete(a.sessions, i, i+1)
	w.checker.sessionEnds(s, n.Err)
}

// claim finds the task that has ended; nil, which is a failure, when nobody waits for it.
func (a *app) claim(done *engine.Completion) *task {
	c := a.c
	at := int(done.Task.Slot())
	var t *task
	if at < len(c.pending) {
		t = c.pending[at]
		c.pending[at] = nil
	}
	if t != nil && t.id.Sequence() == 0 {
		t.id = done.Task
	}
	if t == nil || t.id != done.Task || t.session.session != done.Session {
		c.w.fail("result", "%s gets a result of task %v, which nobody waits for", c.process.name, done.Task)
		return nil
	}
	return t
}

// completed takes the end of a task.
func (a *app) completed(t *task, done *engine.Completion) {
	c, w := a.c, a.c.w
	got, size := c.resultIn(done)
	w.checker.completed(t, got, size, done.Err)
	t.taken = t.taken || done.Early // its answer, when it comes, is taken by the engine at once
	if t.ordered {
		t.ref.Delivered()
	}
	a.owes(t.session, t, done)
}
