package client

import (
	"context"
	"sync"
	"sync/atomic"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// Nearly all tasks are small, and there is nothing to be said of them but whose function gets the result. They are not given
// to the engine by who submits them, for whom its lock and its memory, which the driver has at hand, are dear. They are laid
// into the intake, and whoever locks the client's state next gives them to the engine before anything else is done: mostly
// the driver, many at once.

// intakeMost is the size in bytes of a payload at most that is laid into the intake: it is copied twice.
const intakeMost = 512

// intakeKeeps is how many bytes of payloads there is room for when the intake is empty.
const intakeKeeps = 1 << 20

// intake has tasks that were submitted and that the engine does not know yet.
type intake struct {
	any    atomic.Bool // there are tasks; written under mu
	asleep atomic.Bool // the driver sleeps, or is about to: ring when there is work; set to true under mu, with nothing here

	mu       sync.Mutex
	shut     bool // nobody would look for tasks here
	tasks    []entrant
	payloads []byte

	// What was taken out last, to be used again. It is guarded by the client's mu.
	oldTasks    []entrant
	oldPayloads []byte
}

// entrant is a task in the intake. Its payload follows that of the task before.
type entrant struct {
	session *Session
	fn      func(Result)
	size    int
}

// gate says what of a session goes by the intake. It is guarded by the intake's mu.
type gate struct {
	room int    // so many tasks more
	most int    // bytes of a payload
	came uint64 // tasks that were laid into it
}

// enter lays a task into the intake, and says whether it could.
func enter(ctx context.Context, s *Session, payload []byte, fn func(Result)) bool {
	if ctx.Err() != nil {
		return false
	}
	in := &s.client.intake
	in.mu.Lock()
	if s.gate.room <= 0 || len(payload) > s.gate.most || in.shut {
		in.mu.Unlock()
		return false
	}
	s.gate.room--
	s.gate.came++
	n := len(in.tasks)
	if n == 0 {
		in.any.Store(true)
	}
	if n == cap(in.tasks) {
		in.tasks = append(in.tasks, entrant{})[:n]
	}
	in.tasks = in.tasks[:n+1]
	t := &in.tasks[n]
	t.session, t.fn, t.size = s, fn, len(payload)
	in.payloads = append(in.payloads, payload...)
	ring := n == 0 && in.rouse()
	in.mu.Unlock()
	if ring {
		s.client.wake.Ring()
	}
	return true
}

// rouse says whether the driver sleeps, and that it does not any more.
func (in *intake) rouse() bool { return in.asleep.Load() && in.asleep.CompareAndSwap(true, false) }

// sleep notes that the driver sleeps, unless there are tasks.
func (in *intake) sleep() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.tasks) > 0 {
		return false
	}
	in.asleep.Store(true)
	return true
}

// close lets nothing more in, unless there are tasks.
func (in *intake) close() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.tasks) > 0 {
		return false
	}
	in.shut = true
	return true
}

// open lets tasks in again, or no more for good.
func (in *intake) open(yes bool) {
	in.mu.Lock()
	in.shut = !yes
	in.mu.Unlock()
}

// door is the lock of the client's state.
type door struct {
	sync.Mutex
	client *Client
}

// Lock locks the state, and gives the engine what was submitted before.
func (d *door) Lock() {
	d.Mutex.Lock()
	if in := &d.client.intake; in.any.Load() {
		in.empty(d.client)
	}
}

// empty gives the engine what is in the intake. The caller holds the client's mu.
func (in *intake) empty(c *Client) {
	in.mu.Lock()
	tasks, payloads := in.tasks, in.payloads
	in.tasks, in.payloads = in.oldTasks, in.oldPayloads
	in.any.Store(false)
	in.mu.Unlock()
	list, rest := tasks, payloads
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].session == list[0].session {
			n++
		}
		rest = submitRun(c, list[:n], rest)
		list = list[n:]
	}
	clear(tasks)
	in.oldTasks, in.oldPayloads = tasks[:0], payloads[:0]
	if cap(payloads) > intakeKeeps {
		in.oldTasks, in.oldPayloads = nil, nil
	}
}

// submitRun gives the engine tasks of one session, and returns what follows their payloads. What the session does not take
// any more, since it has ended meanwhile, ends with why.
func submitRun(c *Client, tasks []entrant, payloads []byte) (rest []byte) {
	s := tasks[0].session
	s.entered += uint64(len(tasks))
	run, err := engine.Begin(s.core)
	for i := range tasks {
		t := &tasks[i]
		payload := payloads[:t.size]
		payloads = payloads[t.size:]
		var at uint32
		if err == nil {
			at, err = run.Submit(payload)
		}
		if err != nil {
			c.runner.push([]callback{{fn: t.fn, result: Result{Err: taskError(protocol.AsError(err, "submit"))}}}, nil)
			continue
		}
		if int(at) >= len(c.pending) {
			c.pending = append(c.pending, make([]pending, int(at)+1-len(c.pending))...)
		}
		p := &c.pending[at] // which is empty
		p.session, p.fn = s, t.fn
	}
	run.End()
	return payloads
}

// grant lets tasks of the session into the intake, as many as there is room for. The caller holds the client's mu.
func grant(s *Session) {
	if !s.quick {
		return
	}
	room := 0
	if len(s.queue) == 0 && s.refusal() == nil {
		room = engine.Free(s.core, intakeMost)
	}
	most := int(min(intakeMost, s.core.MaxPayload()))
	in := &s.client.intake
	in.mu.Lock()
	s.gate.room, s.gate.most = room-int(s.gate.came-s.entered), most
	in.mu.Unlock()
}
