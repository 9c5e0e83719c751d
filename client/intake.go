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
	room    int           // so many tasks more
	most    int           // bytes of a payload
	came    uint64        // tasks that were laid into it
	more    bool          // there will be room when a task is finished, or it is said that there will not
	waiting int           // submissions that wait for that
	news    chan struct{} // sent to, for one of them
}

// enter lays a task into the intake when there is room for it, and says whether it could: otherwise the engine is to be
// asked.
func enter(ctx context.Context, s *Session, payload []byte, fn func(Result)) (in bool, err error) {
	if ctx.Err() != nil {
		return false, contextError(ctx, "submit", notSent)
	}
	c := s.client
	c.intake.mu.Lock()
	for g := &s.gate; g.room <= 0; {
		if !g.more || len(payload) > g.most {
			c.intake.mu.Unlock()
			return false, nil
		}
		if err := awaitRoom(ctx, c, g); err != nil {
			return false, err
		}
	}
	if len(payload) > s.gate.most || c.intake.shut {
		c.intake.mu.Unlock()
		return false, nil
	}
	s.gate.room--
	s.gate.came++
	ring := c.intake.lay(s, payload, fn)
	c.intake.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	return true, nil
}

// lay takes a task of a session, and says whether the caller must ring. The caller holds mu.
func (in *intake) lay(s *Session, payload []byte, fn func(Result)) (ring bool) {
	n := len(in.tasks)
	if n == cap(in.tasks) {
		in.tasks = append(in.tasks, entrant{})
	}
	in.tasks = in.tasks[:n+1]
	t := &in.tasks[n]
	t.session, t.fn, t.size = s, fn, len(payload)
	in.payloads = append(in.payloads, payload...)
	if n > 0 {
		return false
	}
	in.any.Store(true)
	return in.rouse()
}

// awaitRoom waits until there is news of a gate. The caller holds the intake's mu, before and, unless there is an error,
// after.
func awaitRoom(ctx context.Context, c *Client, g *gate) error {
	g.waiting++
	if g.news == nil {
		g.news = make(chan struct{}, 1)
	}
	c.intake.mu.Unlock()
	var err error
	select {
	case <-g.news:
	case <-ctx.Done():
		err = contextError(ctx, "submit", notSent)
	}
	c.intake.mu.Lock()
	g.waiting--
	g.tell() // the next one
	if err != nil {
		c.intake.mu.Unlock()
	}
	return err
}

// tell wakes one of those that wait, when there is room or will be none: he tells the next. The caller holds the intake's mu.
func (g *gate) tell() {
	if g.waiting > 0 && (g.room > 0 || !g.more) {
		select {
		case g.news <- struct{}{}:
		default:
		}
	}
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
	refused := false
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
			refused = true
			continue
		}
		if int(at) >= len(c.pending) {
			c.pending = append(c.pending, make([]pending, int(at)+1-len(c.pending))...)
		}
		p := &c.pending[at] // which is empty
		p.session, p.fn = s, t.fn
	}
	run.End()
	if refused {
		grant(s) // nobody waits for the end of these
	}
	return payloads
}

// grant lets tasks of the session into the intake, as many as there is room for. The caller holds the client's mu.
func grant(s *Session) {
	if !s.quick {
		return
	}
	room, more := 0, false
	if len(s.queue) == 0 && s.refusal() == nil {
		room, more = engine.Free(s.core, intakeMost)
	}
	most := int(min(intakeMost, s.core.MaxPayload()))
	in, g := &s.client.intake, &s.gate
	in.mu.Lock()
	laid := int(g.came - s.entered)
	g.room, g.most, g.more = room-laid, most, more && s.core.Tasks()+laid > 0
	g.tell()
	in.mu.Unlock()
}
