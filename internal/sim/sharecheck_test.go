package sim

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// serve orders a loop to have a manager, with a share.
func (k *shares) serve(loop int, manager uint32, cpu, memory int64) {
	k.ordered(loop, &session.Order{Serve: &session.Serve{
		Manager: manager, Service: protocol.Service{Name: k.w.services[0].name}, Share: protocol.Share{CPU: cpu, Memory: memory},
	}})
}

func (k *shares) opens(manager uint32, number protocol.SessionNumber) {
	k.ordered(0, &session.Order{Open: &session.Open{Manager: manager, Session: number}})
}

func (k *shares) ends(number protocol.SessionNumber) {
	k.noted(&session.Note{Changed: &session.Changed{Session: number, State: protocol.SessionClosed}})
}

func (k *shares) retires(manager uint32) {
	k.ordered(0, &session.Order{Retire: &session.Retire{Manager: manager}})
}

// moves has a manager leave its loop; what is handed over is its number.
func (k *shares) moves(manager uint32, to int) {
	k.ordered(0, &session.Order{Move: &session.Move{Manager: manager}})
	k.noted(&session.Note{Moved: &session.Moved{Manager: manager, State: nil}})
	k.ordered(to, &session.Order{Adopt: &session.Adopt{State: nil}})
}

// submits has a task reach the manager of a session.
func (w *World) submits(t *task, number protocol.SessionNumber) {
	frame := protocol.AppendHeader(nil, protocol.Header{Version: 1, Epoch: w.broker.epoch, Incarnation: 1})
	frame = protocol.AppendRecord(frame, protocol.KindTask, number, uint64(t.id), binary.BigEndian.AppendUint64(nil, uint64(t.content)))
	w.broker.shares.arrives(&message{bytes: frame})
}

// refuses has a manager refuse a task.
func (w *World) refuses(t *task, after time.Duration) {
	w.checker.refused(t, 1, &protocol.Error{Code: protocol.CodeOverloaded, RetryAfter: after})
}

// node is a management node with two loops of 100 millicores and 1000 bytes.
func (w *World) node() *shares {
	w.plan.managerCPU, w.plan.managerMemory = 100, 1000
	k := &w.broker.shares
	k.cpu = make([]int64, 2)
	return k
}

var shareRules = map[string]rule{
	"all that a loop has":    {"", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 60, 1); k.serve(0, 2, 40, 1) }},
	"more than a loop has":   {"share", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 60, 1); k.serve(0, 2, 41, 1) }},
	"on two loops":           {"", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 60, 1); k.serve(1, 2, 41, 1) }},
	"more than the node has": {"share", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 1, 600); k.serve(1, 2, 1, 401) }},
	"all that the node has":  {"", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 1, 600); k.serve(1, 2, 1, 400) }},
	"what was given back":    {"", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 60, 600); k.retires(1); k.serve(0, 2, 60, 600) }},
	"what a manager has left behind": {"", func(w *World, _ *task) {
		k := w.node()
		k.serve(0, 1, 60, 600)
		k.moves(1, 1)
		k.serve(0, 2, 60, 400)
	}},
	"what a manager has taken along": {"share", func(w *World, _ *task) {
		k := w.node()
		k.serve(0, 1, 60, 1)
		k.moves(1, 1)
		k.serve(1, 2, 60, 1)
	}},
	"what a manager gives back where it has gone": {"", func(w *World, _ *task) {
		k := w.node()
		k.serve(0, 1, 60, 1)
		k.moves(1, 1)
		k.retires(1)
		k.serve(1, 2, 100, 1)
	}},
	"adopted from nowhere": {"share", func(w *World, _ *task) {
		w.node().ordered(1, &session.Order{Adopt: &session.Adopt{State: nil}})
	}},
	"a session without a manager": {"share", func(w *World, _ *task) { w.node().opens(1, 3) }},
	"retired with a session":      {"share", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 1, 1); k.opens(1, 3); k.retires(1) }},
	"retired without":             {"", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 1, 1); k.opens(1, 3); k.ends(3); k.retires(1) }},
	"retired twice":               {"share", func(w *World, _ *task) { k := w.node(); k.serve(0, 1, 1, 1); k.retires(1); k.retires(1) }},
	"an instance for no manager": {"share", func(w *World, _ *task) {
		w.node().ordered(0, &session.Order{Admit: &session.Admit{Manager: 1, Container: "c1"}})
	}},
	"an instance for a manager": {"", func(w *World, _ *task) {
		k := w.node()
		k.serve(0, 1, 1, 1)
		k.ordered(0, &session.Order{Admit: &session.Admit{Manager: 1, Container: "c1"}})
	}},
	"waits, for no reason": {"reason", func(w *World, _ *task) { w.checker.reasoned("x", 3, protocol.SessionQueued, "") }},
	"waits, for a reason":  {"", func(w *World, _ *task) { w.checker.reasoned("x", 3, protocol.SessionQueued, "no share") }},
	"runs, for no reason":  {"", func(w *World, _ *task) { w.checker.reasoned("x", 3, protocol.SessionRunning, "") }},

	"refused within the share": {"overload", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 16)
		k.opens(1, 3)
		w.submits(t, 3)
		w.refuses(t, time.Second)
	}},
	"refused beyond the share": {"", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 15)
		k.opens(1, 3)
		w.submits(t, 3)
		w.refuses(t, time.Second)
	}},
	"refused, and not for how long": {"overload", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 15)
		k.opens(1, 3)
		w.submits(t, 3)
		w.refuses(t, 0)
	}},
	"refused for what was answered": {"overload", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 31)
		k.opens(1, 3)
		w.submits(t, 3)
		k.answered(t)
		u := w.newTask(t.session, 16)
		w.submits(u, 3)
		w.refuses(u, time.Second)
	}},
	"refused for what is unfinished": {"", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 31)
		k.opens(1, 3)
		w.submits(t, 3)
		u := w.newTask(t.session, 16)
		w.submits(u, 3)
		w.refuses(u, time.Second)
	}},
	"refused for a session that is over": {"overload", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 31)
		k.opens(1, 3)
		k.opens(1, 4)
		w.submits(t, 3)
		k.ends(3)
		u := w.newTask(t.session, 16)
		w.submits(u, 4)
		w.refuses(u, time.Second)
	}},
	"refused for answers that the manager keeps": {"", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 16)
		k.opens(1, 3)
		k.ordered(0, &session.Order{Open: &session.Open{Manager: 1, Session: 4, Keep: true}})
		w.submits(t, 3)
		w.refuses(t, time.Second)
	}},
	"refused for answers that another manager keeps": {"overload", func(w *World, t *task) {
		k := w.node()
		k.serve(0, 1, 1, 16)
		k.serve(0, 2, 1, 16)
		k.opens(1, 3)
		k.ordered(0, &session.Order{Open: &session.Open{Manager: 2, Session: 4, Keep: true}})
		w.submits(t, 3)
		w.refuses(t, time.Second)
	}},
	"refused, as one of a kept session": {"", func(w *World, t *task) {
		t.session.keeps = true
		w.refuses(t, 0)
	}},
	"refused, which is said twice": {"", func(w *World, t *task) {
		t.refusedBy = 1
		w.refuses(t, 0)
	}},
}

// No loop and no node gives more than it has, managers have their sessions while they have their share, who waits is told why,
// and a task is refused when the share of its manager is spent.
func TestShares(t *testing.T) { judge(t, shareRules) }

var steered = map[string]rule{
	"cancelled with its session, by whoever has it": {"", func(w *World, t *task) {
		w.cancelled[t.session.session.Number()] = true
		w.checker.failed(t, protocol.Errorf(protocol.CodeCancelled, "x", "y"))
	}},
	"cancelled with another session": {"error", func(w *World, t *task) {
		t.session.keeps, w.plan.on = true, w.plan.on.With(Cancels)
		w.cancelled[99] = true
		w.checker.failed(t, protocol.Errorf(protocol.CodeCancelled, "x", "y"))
	}},
	"not taken, as whoever has its session wants": {"", func(w *World, t *task) {
		w.halted[t.session.session.Number()] = true
		w.checker.failed(t, protocol.Errorf(protocol.CodeNotAccepting, "x", "y"))
	}},
	"not taken, as another session": {"error", func(w *World, t *task) {
		t.session.keeps, w.plan.on = true, w.plan.on.With(Steering)
		w.halted[99] = true
		w.checker.failed(t, protocol.Errorf(protocol.CodeNotAccepting, "x", "y"))
	}},
}

// What ends a task because of what was asked of its session was asked of this one.
func TestSteered(t *testing.T) { judge(t, steered) }
