package sim

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// kept is what can be seen at its manager of a session that outlives its clients.
type kept struct {
	number  protocol.SessionNumber
	epoch   protocol.Epoch
	client  uint64   // incarnation of who has it; 0: nobody
	had     []uint64 // of those who had it before
	open    *session.Open
	tasks   map[uint64]*task // that reached the manager, by their ids; nil: two have one id, since the first may have been dropped
	order   []*task          // those tasks
	excused string           // why it may end for whoever attaches to it; empty: it may not
	called  int64            // when somebody came for it last, at the end
}

// keepsake is what an application knows of a session that may outlive it.
type keepsake struct {
	keeps    bool
	left     bool    // it was left
	attached *hosted // which another client had before; nil: it was opened here
	began    int64   // when it was asked for then
	got      map[protocol.TaskID]bool
	took     []*task // whose results were taken before it was left
}

// untaken is an answer of a kept session that the application has not taken.
type untaken struct {
	session *appSession
	id      protocol.TaskID
	task    *task // nil: it is not known
	result  bool
}

// keeps notes a session that is to outlive its client.
func (k *shares) keeps(o *session.Open) {
	if !o.Keep {
		return
	}
	h := k.sessions[o.Session]
	h.kept = &kept{number: o.Session, epoch: k.w.broker.epoch, client: o.Client, open: o, tasks: make(map[uint64]*task)}
	k.kept = append(k.kept, h)
	k.keeping[h.number] = h
}

// keepsNoMore notes that a session is over.
func (k *shares) keepsNoMore(h *hosted) {
	if h.kept != nil {
		k.kept = slices.DeleteFunc(k.kept, func(s *hosted) bool { return s == h })
	}
}

// tenanted notes who has a session from now on.
func (k *shares) tenanted(number protocol.SessionNumber, client uint64) {
	if h := k.sessions[number]; h != nil && h.kept != nil {
		h.had = append(h.had, h.client)
		h.client = client
	}
}

// meets notes that a task has reached the manager of a kept session.
func (h *hosted) meets(t *task, id uint64) {
	if h.kept == nil {
		return
	}
	switch was, known := h.tasks[id]; {
	case !known:
		h.tasks[id] = t
		h.order = append(h.order, t)
	case was != t:
		h.tasks[id] = nil
	}
}

// knows gives the task of an id, as far as it is known.
func (h *hosted) knows(id uint64) *task {
	if h == nil || h.kept == nil {
		return nil
	}
	return h.tasks[id]
}

// clientOf finds the client of an incarnation that lives; nil: none does.
func (k *shares) clientOf(incarnation uint64) *client {
	w := k.w
	for _, s := range w.seats {
		if s.client.number == incarnation && s.client.process.alive {
			return s.client
		}
	}
	return nil
}

// come leaves a session, or attaches to one that another client has left, now and then by force to one that it has.
func (a helm) come() {
	w := a.c.w
	draw := &w.drawApp
	if draw.n(2) == 0 {
		if s := a.pick(func(s *appSession) bool { return s.keeps && s.opened && !s.closing && !s.left }); s != nil {
			s.left = true
			w.tally.add(SessionsLeft)
			engine.Detach(s.session, draw.span(0, time.Duration(pick(draw, 0, 60))*time.Second))
			a.c.harvest()
		}
		return
	}
	all := w.broker.shares.kept
	if len(all) == 0 {
		return
	}
	if h := all[draw.n(len(all))]; (h.client == 0 || draw.n(5) == 0) && h.client != a.c.number {
		a.attach(h, h.client != 0)
	}
}

// comeForAll attaches to what nobody has, when all is healed.
func (a helm) comeForAll() {
	w := a.c.w
	if w.phase >= leavingPhase || w.broker == nil || !w.broker.process.alive {
		return
	}
	for _, h := range w.broker.shares.kept {
		if h.client != 0 || w.at-h.called < int64(10*time.Second) {
			continue
		}
		h.called = w.at
		a.attach(h, false)
	}
}

// excuse notes that something is done to a session, by who has it, or has had it, that others who have it feel.
func (c *chaos) excuse(number protocol.SessionNumber, but *appSession, why string) {
	for _, place := range c.w.seats {
		for _, s := range place.client.app.sessions {
			if s != but && s.keeps && s.session.Number() == number {
				s.excused = why
			}
		}
	}
}

// renumbered says that a session which was attached to was of a broker before: the numbers of sessions begin anew with each
// broker as long as its store is in memory, and a request to attach that was under way then may mean another one.
func (s *appSession) renumbered() bool {
	return s.attached != nil && s.attached.epoch != s.app.c.w.broker.epoch
}

// attach attaches to a session.
func (a helm) attach(h *hosted, force bool) {
	w := a.c.w
	if slices.ContainsFunc(a.sessions, func(s *appSession) bool { return s.session.Number() == h.number }) {
		return
	}
	if force {
		w.tally.add(SessionsForced)
		w.forced[h.number] = true
	}
	spec := &h.holder.service.spec
	w.lastSession++
	s := &appSession{app: a.app, service: h.holder.service, index: w.lastSession}
	s.keeps, s.attached, s.began, s.got = true, h, w.at, make(map[protocol.TaskID]bool)
	s.retry, s.timeout, s.run = h.open.Retry.Or(spec.Retry), h.open.Timeout, h.open.Run
	if s.timeout == 0 {
		s.timeout = time.Duration(spec.Limits.Timeout)
	}
	if s.run == 0 {
		s.run = time.Duration(spec.Limits.Run)
	}
	if s.excused = h.excused; w.struck[h.number] {
		s.excused = "an operator may have closed it"
	}
	if len(h.open.Bind.Parameters) > 0 {
		s.excused = "its binding is refused"
	}
	s.session = engine.Attach(a.c.engine, h.number, force, 0, 0)
	a.sessions = append(a.sessions, s)
	w.tally.add(Sessions)
	if w.tracing {
		w.trace("%s attaches to session %d as session %d (by force: %v)", a.c.process.name, h.number, s.index, force)
	}
}

// resultIn gives what a result says, and its size.
func (c *client) resultIn(done *engine.Completion) (got content, size uint32) {
	size = uint32(len(done.Payload))
	switch {
	case done.Err != nil:
	case done.Handle != 0:
		if p := c.process.table.held(done.Handle, "read"); p != nil {
			got, size = p.content, p.size
		}
	case len(done.Payload) >= 8:
		got = content(binary.BigEndian.Uint64(done.Payload))
	}
	return got, size
}

// owes notes what an application has to do with an answer: to read it, and of a kept session to take it.
func (a *app) owes(s *appSession, t *task, done *engine.Completion) {
	c := a.c
	if done.Size > 0 {
		c.unread = append(c.unread, unread{source: done.Source, bytes: int64(done.Size)})
	}
	if s.keeps {
		c.untaken = append(c.untaken, untaken{session: s, id: done.Task, task: t, result: done.Err == nil})
	}
}

// take takes the answers of kept sessions that have come.
func (a *app) take() {
	for _, u := range a.c.untaken {
		if u.session.ended {
			continue
		}
		a.c.w.tally.add(Taken)
		engine.Taken(u.session.session, u.id)
		if u.task != nil {
			u.task.taken = true
			if u.result && !u.session.left {
				u.session.took = append(u.session.took, u.task)
			}
		}
	}
	a.c.untaken = a.c.untaken[:0]
}

// relayed takes the answer of a task that another client has submitted: none comes twice, none that was taken before, and a
// result is that of a task of this session.
func (a *app) relayed(done *engine.Completion) {
	c, w := a.c, a.c.w
	w.tally.add(Relayed)
	i := slices.IndexFunc(a.sessions, func(s *appSession) bool { return s.session == done.Session })
	if i < 0 || a.sessions[i].attached == nil {
		w.fail("relay", "%s gets the answer of task %v of another client, and has attached to nothing", c.process.name, done.Task)
		return
	}
	s := a.sessions[i]
	if s.got[done.Task] {
		w.fail("relay", "%s gets the answer of task %v of session %d twice", c.process.name, done.Task, s.index)
		return
	}
	s.got[done.Task] = true
	t := s.attached.knows(uint64(done.Task))
	got, size := c.resultIn(done)
	if done.Err == nil {
		of := w.taskOf(content(^bits.RotateLeft64(uint64(got), -17)))
		if of == nil || t != nil && of != t || of.resultSize != size || of.successes == 0 {
			w.fail("relay", "%s gets for task %v of session %d a result that is not its own, or that no hook has returned: %#x with %d bytes",
				c.process.name, done.Task, s.index, uint64(got), size)
			return
		}
		t = of
	}
	if t != nil {
		if t.surely > 0 && t.surely < s.began && t.answeredAs == s.attached.number && t.answered == s.attached.epoch {
			w.fail("relay", "%s gets the answer of task %v of session %d, which another client had taken, who left in order", c.process.name, done.Task, s.index)
		}
		if done.Err != nil {
			w.checker.failed(t, done.Err)
		}
	}
	if done.Handle != 0 {
		c.process.table.release(done.Handle)
	}
	a.owes(s, t, done)
}

// explainsEnd says whether it is of the nature of a kept session that it ends with an error.
func (s *appSession) explainsEnd(err *protocol.Error) bool {
	if s.attached != nil && !s.opened {
		switch err.Code { //nolint:exhaustive // the others are none
		case protocol.CodeInUse, protocol.CodeUnknownSession, protocol.CodeSessionExpired, protocol.CodeSessionKilled, protocol.CodeSessionClosed, protocol.CodeDetached:
			return true
		case protocol.CodeInvalid: // its number means another session to the broker that is there now
			return s.app.c.w.reigns > 1
		}
	}
	if err.Code == protocol.CodeUnknownSession && s.app.c.w.reigns > 1 {
		return true // it had another number under the broker before
	}
	return err.Code == protocol.CodeDetached && (s.left || s.app.c.w.forced[s.session.Number()])
}

// keptEnds judges the end of a session that may outlive its client. Who leaves it in order has been heard with all that it
// had taken before; who has attached to it and sees it closed in order has got everything that nobody had taken.
func (k *checker) keptEnds(s *appSession, err *protocol.Error) {
	w := k.w
	if err == nil && s.attached == nil || w.forced[s.session.Number()] || s.excused != "" || w.at < s.app.c.place.doubted {
		return
	}
	switch {
	case err != nil && err.Code == protocol.CodeDetached && s.left:
		for _, t := range s.took {
			t.surely = w.at
		}
	case err == nil && s.opened:
		h := s.attached
		for _, t := range h.order {
			has := t.attempts.last.epoch == h.epoch && t.attempts.last.session == h.number // it has sent it to an instance
			gone := t.taken || t.code == protocol.CodeIndeterminate                        // its client has given it up
			if id := t.taskID(); has && !gone && h.tasks[uint64(id)] == t && t.session != s && !s.got[id] {
				w.fail("relay", "session %d of %s is closed in order, and it has not got the answer of task %v, which nobody has taken", s.index, s.app.c.process.name, id)
				return
			}
		}
	}
}
