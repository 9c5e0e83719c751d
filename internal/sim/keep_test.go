package sim

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// stage is a kept session, number 3, to which a client has attached; others have submitted to it before.
type stage struct {
	w *World
	*appSession
	h *hosted
}

func (w *World) stage() stage {
	h := &hosted{holder: &holder{service: w.services[0]}}
	h.kept = &kept{number: 3, epoch: w.broker.epoch, open: &session.Open{}, tasks: map[uint64]*task{}}
	w.broker.shares.sessions[3] = h
	a := &w.seats[0].client.app
	helm{a}.attach(h, false)
	s := a.sessions[len(a.sessions)-1]
	s.opened = true
	w.at += int64(time.Second)
	return stage{w: w, appSession: s, h: h}
}

// meets has a task have reached the session, and an instance, which has answered so.
func (s stage) meets(t *task) {
	s.h.meets(t, uint64(t.id))
	t.session.keeps = true
	t.successes = 1
	t.answered, t.answeredAs = s.h.epoch, s.h.number
	t.attempts.last = dispatch{epoch: s.h.epoch, session: s.h.number}
}

// another is one more task of the session that the first one is of.
func (s stage) another(t *task) *task {
	u := s.w.newTask(t.session, 16)
	u.id, u.act, u.retry = protocol.NewTaskID(2, 1), actEcho, t.retry
	s.w.checker.submitted(u)
	return u
}

// result brings a result of the task with an id.
func (s stage) result(id protocol.TaskID, said content, size uint32) {
	payload := append(binary.BigEndian.AppendUint64(nil, uint64(said)), make([]byte, size)...)[:size]
	s.app.relayed(&engine.Completion{Task: id, Session: s.session, Payload: payload, Foreign: true})
}

// error brings the error of a task.
func (s stage) error(id protocol.TaskID, code protocol.Code) {
	s.app.relayed(&engine.Completion{Task: id, Session: s.session, Err: protocol.Errorf(code, "x", "y"), Foreign: true})
}

// leftWith has the session be left in order, after a task's answer was taken.
func (s stage) leftWith(took ...*task) {
	s.left, s.took = true, took
	s.w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeDetached, "x", "y"))
}

// ends has the session be closed in order.
func (s stage) ends() {
	s.closing = true
	s.w.checker.sessionEnds(s.appSession, nil)
}

var relays = map[string]rule{
	"the result of another's task": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"the results of two": {"", func(w *World, t *task) {
		s := w.stage()
		u := s.another(t)
		s.meets(t)
		s.meets(u)
		s.result(t.id, resultOf(t.content), t.resultSize)
		s.result(u.id, resultOf(u.content), u.resultSize)
	}},
	"a result whose id two tasks have": {"", func(w *World, t *task) {
		s := w.stage()
		u := s.another(t)
		u.id = t.id
		s.meets(t)
		s.meets(u)
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"for who has attached to nothing": {"relay", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.attached = nil
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"twice": {"relay", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.result(t.id, resultOf(t.content), t.resultSize)
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"a result under the id of another task": {"relay", func(w *World, t *task) {
		s := w.stage()
		u := s.another(t)
		s.meets(t)
		s.meets(u)
		s.result(t.id, resultOf(u.content), u.resultSize)
	}},
	"a result of no task": {"relay", func(w *World, t *task) {
		s := w.stage()
		s.result(t.id, resultOf(t.content+1<<40), t.resultSize)
	}},
	"a result that was cut": {"relay", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.result(t.id, resultOf(t.content), t.resultSize-1)
	}},
	"a result that no hook has returned": {"relay", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.successes = 0
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"an error of no hook": {"error", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.error(t.id, protocol.CodeTaskFailed)
	}},
	"the error of a hook": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.failures = 1
		s.error(t.id, protocol.CodeTaskFailed)
	}},
	"taken by one who has left in order": {"relay", func(w *World, t *task) {
		before := w.stage()
		before.meets(t)
		before.leftWith(t)
		w.at += int64(time.Second)
		w.seats[0].client.app.sessions = nil
		s := w.stage()
		s.h.tasks = before.h.tasks
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"taken by one who is still leaving": {"", func(w *World, t *task) {
		before := w.stage()
		before.meets(t)
		before.left, before.took = true, []*task{t}
		w.seats[0].client.app.sessions = nil
		s := w.stage()
		s.h.tasks = before.h.tasks
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"taken by one who was lost while it left": {"", func(w *World, t *task) {
		before := w.stage()
		before.meets(t)
		before.excused = "its client is gone"
		before.leftWith(t)
		w.at += int64(time.Second)
		w.seats[0].client.app.sessions = nil
		s := w.stage()
		s.h.tasks = before.h.tasks
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"taken by one who was heard to leave afterwards": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.surely = w.at
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"taken by one from whom it was taken by force while it left": {"", func(w *World, t *task) {
		before := w.stage()
		before.meets(t)
		w.forced[3] = true
		before.leftWith(t)
		w.at += int64(time.Second)
		w.seats[0].client.app.sessions = nil
		s := w.stage()
		s.h.tasks = before.h.tasks
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
	"taken under another broker": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.surely, t.answered = 1, s.h.epoch-1
		s.result(t.id, resultOf(t.content), t.resultSize)
	}},
}

// An answer that is relayed is that of a task of the session, comes once, and has not been taken for sure.
func TestRelays(t *testing.T) { judge(t, relays) }

var keptEnds = map[string]rule{
	"closed with all": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.result(t.id, resultOf(t.content), t.resultSize)
		s.ends()
	}},
	"closed without an answer": {"relay", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.ends()
	}},
	"closed without an answer while its client may have been given up": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		s.app.c.place.doubted = w.at + 1
		s.ends()
	}},
	"closed without one that another has taken": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.taken = true
		s.ends()
	}},
	"closed without one that its client has given up": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.code = protocol.CodeIndeterminate
		s.ends()
	}},
	"closed without one that was not begun": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.attempts.last = dispatch{}
		s.ends()
	}},
	"closed without one of its own": {"", func(w *World, t *task) {
		s := w.stage()
		s.meets(t)
		t.session = s.appSession
		s.ends()
	}},
	"closed without one of two with one id": {"", func(w *World, t *task) {
		s := w.stage()
		u := s.another(t)
		u.id = t.id
		s.meets(t)
		s.meets(u)
		s.ends()
	}},
	"closed by nobody": {"session", func(w *World, _ *task) {
		s := w.stage()
		w.checker.sessionEnds(s.appSession, nil)
	}},
	"taken by nobody's force": {"session", func(w *World, _ *task) {
		s := w.stage()
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeDetached, "x", "y"))
	}},
	"taken by force": {"", func(w *World, _ *task) {
		s := w.stage()
		w.forced[3] = true
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeDetached, "x", "y"))
	}},
	"killed, which force does not explain": {"session", func(w *World, _ *task) {
		w.forced[3] = true
		s := w.stage()
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeSessionKilled, "x", "y"))
	}},
	"killed by an operator": {"", func(w *World, _ *task) {
		w.struck[3] = true
		s := w.stage()
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeSessionKilled, "x", "y"))
	}},
	"left": {"", func(w *World, _ *task) { w.stage().leftWith() }},
	"not there": {"", func(w *World, _ *task) {
		s := w.stage()
		s.opened = false
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeUnknownSession, "x", "y"))
	}},
	"not there any more, and nothing has happened": {"session", func(w *World, _ *task) {
		s := w.stage()
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeUnknownSession, "x", "y"))
	}},
	"unknown to the next broker": {"", func(w *World, _ *task) {
		s := w.stage()
		w.reigns = 2
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeUnknownSession, "x", "y"))
	}},
	"in use": {"", func(w *World, _ *task) {
		s := w.stage()
		s.opened = false
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeInUse, "x", "y"))
	}},
	"in use by itself": {"session", func(w *World, _ *task) {
		s := w.stage()
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeInUse, "x", "y"))
	}},
	"refused for ever as for now": {"session", func(w *World, _ *task) {
		s := w.stage()
		s.opened = false
		w.checker.sessionEnds(s.appSession, protocol.Errorf(protocol.CodeOverloaded, "x", "y"))
	}},
}

// An answer is noted when it is sent, also when it is sent again and the session is over.
func TestAnswersOfWhatIsOver(t *testing.T) {
	judge(t, map[string]rule{"": {"", func(w *World, one *task) {
		k := &w.broker.shares
		k.managers[1] = &holder{service: w.services[0]}
		k.ordered(0, &session.Order{Open: &session.Open{Manager: 1, Session: 3, Keep: true}})
		k.sessions[3].meets(one, uint64(one.id))
		k.noted(&session.Note{Changed: &session.Changed{Session: 3, State: protocol.SessionClosed}})
		frame := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: 7, Incarnation: 1})
		frame = protocol.AppendBody(frame, protocol.KindFailure, 3, uint64(one.id), protocol.Errorf(protocol.CodeTaskFailed, "x", "y"))
		w.checker.leaves(&conn{d: &dealer{process: w.seats[0].client.process}, r: w.broker.routers[1]}, frame, nil)
		if one.answered != 7 || one.answeredAs != 3 {
			t.Errorf("its answer is noted as of %v, session %d", one.answered, one.answeredAs)
		}
	}}})
}

// A kept session ends for a reason, and who sees it closed in order has all that nobody has taken.
func TestKeptEnds(t *testing.T) { judge(t, keptEnds) }
