package sim

import (
	"strings"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// task is one task that a client submitted, and all that became of it.
type task struct {
	content    content
	session    *appSession
	id         protocol.TaskID
	size       uint32
	resultSize uint32
	act        act
	done       bool

	executions int // begun
	successes  int // that returned a result
	failures   int
	panics     int
	retries    int
	deaths     int // processes that ended under it
	reign      protocol.Epoch
	reignAs    protocol.SessionNumber // its session's number there
	deathsNow  int                    // of those processes, under the present reign
	dispatches int                    // frames to instances that name it
	answered   protocol.Epoch         // of the manager that sent its answer,
	answeredAs protocol.SessionNumber // and its session there: another number is another session to the broker
	heldBy     *hosted                // where its bytes are counted; nil: nowhere
	refusable  bool                   // its service's share of bytes may have been spent when it came
	refusedBy  protocol.Stamp         // of the frame that said so last
	attempts   attempts
	slot       uint32 // at its client
	wishes
	sayings
	taken    bool           // a client has said that it has taken its answer, and may have been heard,
	surely   int64          // when that was known to have been heard; 0: it was not
	buried   protocol.Epoch // of the manager that put it into the dead-letter list,
	buriedAs protocol.SessionNumber
}

// checker holds what clients, hooks and launchers see to what weft promises. Each method is told of one thing that
// happened, and reports what must not be by World.fail.
type checker struct {
	w          *World
	containers map[string]bool // that were started
}

// newTask draws a task.
func (w *World) newTask(s *appSession, size uint32) *task {
	draw := &w.drawApp
	t := &task{session: s, size: size}
	t.content = content(draw.next()>>32<<32 | uint64(len(w.tasks)))
	t.resultSize = uint32(draw.between(8, 200))
	if draw.chance(w.plan.external) {
		t.resultSize = uint32(draw.between(protocol.InlinePayload, 96<<10))
	}
	if draw.chance(w.plan.oddTasks) {
		for t.act = act(1 + draw.n(int(acts)-2)); !w.allowsAct(t.act); t.act = act(draw.n(int(acts) - 1)) {
		}
	}
	w.tasks = append(w.tasks, t)
	return t
}

// taskOf finds the task that a payload names; nil when there is none.
func (w *World) taskOf(c content) *task {
	if n := uint64(uint32(c)); n < uint64(len(w.tasks)) && w.tasks[n].content == c {
		return w.tasks[n]
	}
	return nil
}

// died notes that a process ended while the hook of a task ran in it. No task may do that for ever.
func (k *checker) died(t *task) {
	t.deaths++
	if e, as := k.w.broker.epoch, t.attempts.last.session; t.reign != e || t.reignAs != as {
		t.reign, t.reignAs, t.deathsNow = e, as, 0
	}
	t.deathsNow++
	if l := t.retry; t.deathsNow > l.Attempts+l.HostLosses {
		k.w.fail("attempts", "task %v of session %d has seen the end of %d instances; attempts: %d, losses of hosts: %d",
			t.id, t.session.index, t.deathsNow, l.Attempts, l.HostLosses)
	}
}

// submitted notes that a client has accepted a task.
func (k *checker) submitted(t *task) {
	t.submitted = k.w.at
	t.session.open++
	k.w.open++
	k.w.tally.add(Tasks)
}

// completed judges the answer to a task.
func (k *checker) completed(t *task, got content, size uint32, err *protocol.Error) {
	w := k.w
	s := t.session
	if t.done {
		w.fail("result", "task %v of session %d is answered twice", t.id, s.index)
		return
	}
	t.done = true
	s.open--
	w.open--
	k.w.promises.concluded(t, err)
	if err != nil {
		w.tally.add(TaskErrors)
		k.failed(t, err)
		return
	}
	w.broker.shares.answered(t)
	w.tally.add(Results)
	if t.buried != 0 && t.buried == t.answered && t.buriedAs == t.answeredAs {
		w.fail("dead", "task %v of session %d has a result, and is in the dead-letter list", t.id, s.index)
	}
	switch {
	case got != resultOf(t.content):
		w.fail("result", "task %v of session %d gets a result that is not its own: %#x, want %#x", t.id, s.index, uint64(got), uint64(resultOf(t.content)))
	case size != t.resultSize:
		w.fail("result", "task %v of session %d gets a result of %d bytes, its hook returned %d", t.id, s.index, size, t.resultSize)
	case t.successes == 0:
		w.fail("result", "task %v of session %d gets a result, and no hook has returned one", t.id, s.index)
	}
}

// failed judges an error: it has to be explained by what happened.
func (k *checker) failed(t *task, err *protocol.Error) {
	w, s := k.w, t.session
	limits := t.retry
	explained := false
	switch err.Code { //nolint:exhaustive // the others are not of the task, but of its session
	case protocol.CodeTaskFailed, protocol.CodeTaskPanicked, protocol.CodeAttemptsSpent, protocol.CodeHostLossSpent:
		w.broker.shares.answered(t)
	}
	switch err.Code {
	case protocol.CodeOverloaded:
		if explained = k.explains(s, err); !explained && t.refusable && err.RetryAfter > 0 {
			explained = true
		}
	case protocol.CodeTaskFailed:
		explained = t.failures > 0
	case protocol.CodeTaskPanicked:
		explained = t.panics > 0
	case protocol.CodeAttemptsSpent:
		explained = k.ended()+t.failures+t.panics >= limits.Attempts // that the task was sent to, whether it came there or not
	case protocol.CodeHostLossSpent:
		explained = k.ended() >= limits.HostLosses
	case protocol.CodeNotAccepting:
		explained = w.halted[s.session.Number()] || w.plan.on.Has(Steering) && w.reigns > 1
	default:
		explained = k.w.promises.explainsEnd(t, err) || k.explains(s, err)
	}
	if (err.Code == protocol.CodeAttemptsSpent || err.Code == protocol.CodeHostLossSpent) && t.buried != t.answered {
		w.fail("dead", "task %v of session %d was given up after its attempts, and is not in the dead-letter list (answered by %v, buried by %v): %v", t.id, s.index, t.answered, t.buried, err)
	}
	if !explained {
		w.fail("error", "task %v of session %d fails, and nothing that happened explains it (executed %d times, %d results, %d failures, dispatched %d times, submitted %v and begun %v ago, of which it has %v and %v): %v",
			t.id, s.index, t.executions, t.successes, t.failures, t.dispatches, time.Duration(w.at-t.submitted), time.Duration(w.at-t.begun), t.timeout, t.run, err)
	}
}

// ended is how many instances have died, or may be taken for dead.
func (k *checker) ended() int {
	n := uint64(0)
	for _, c := range []Count{InstanceCrashes, AgentCrashes, AgentExits, Poisoned, Killed, Panics, InstanceExits, Pauses, ClockJumps, Partitions, Disconnects} {
		n += k.w.tally[c]
	}
	return int(n) * k.w.plan.places
}

// explains says whether what happened explains that a session ends with an error.
func (k *checker) explains(s *appSession, err *protocol.Error) bool {
	w := k.w
	if strings.HasPrefix(err.Op, "start container ") {
		return w.plan.on.Has(InstanceTrouble) || w.plan.on.Has(AgentExit)
	}
	if s.keeps && s.explainsEnd(err) {
		return true
	}
	switch err.Code { //nolint:exhaustive // the others need an excuse
	case protocol.CodeInternal, protocol.CodeMalformed, protocol.CodeUnknownKind, protocol.CodeInvalid, protocol.CodeOverloaded,
		protocol.CodePayloadTooLarge, protocol.CodePermission, protocol.CodeVersion:
		return false // never, whatever happened
	case protocol.CodeUnknownService:
		return true // it was opened when the service was not registered
	case protocol.CodeCreateFailed:
		return w.plan.on.Has(InstanceTrouble) || w.plan.on.Has(InstanceExit) || w.plan.on.Has(CrashInstance) || w.plan.on.Has(CrashAgent) || w.plan.on.Has(Clocks) || w.chaos.troubled()
	case protocol.CodeArtefact, protocol.CodeNoCapacity:
		return w.plan.on.Has(InstanceTrouble) || w.plan.on.Has(CrashAgent) || w.chaos.troubled()
	}
	return s.excused != "" || w.at < s.app.c.place.doubted
}

// sessionEnds judges the end of a session.
func (k *checker) sessionEnds(s *appSession, err *protocol.Error) {
	w := k.w
	w.tally.add(SessionsEnded)
	if s.keeps {
		k.keptEnds(s, err)
	}
	switch {
	case err != nil:
		if !k.explains(s, err) {
			w.fail("session", "session %d ends, and nothing that happened explains it: %v", s.index, err)
		}
	case !s.closing && s.excused == "":
		w.fail("session", "session %d ends in order, and nobody closed it", s.index)
	}
}

// abandoned forgets the open tasks of a session whose client is gone: nobody waits for them.
func (k *checker) abandoned(s *appSession) {
	k.w.open -= s.open
	s.open = 0
}

// clientEnds judges a client that was closed: everything that it accepted must be answered.
func (k *checker) clientEnds(c *client) {
	for _, t := range c.pending {
		if t != nil {
			k.w.fail("result", "%s is closed, and task %v of session %d was not answered", c.process.name, t.id, t.session.index)
			return
		}
	}
	for _, r := range c.app.asked {
		k.w.fail("answer", "%s is closed, and its request %d was not answered", c.process.name, r.id)
		return
	}
}

// started judges the start of a container: none is started twice.
func (k *checker) started(a *agent, id string) {
	if k.containers[id] {
		k.w.fail("container", "%s starts container %s, which was started before", a.process.name, id)
	}
	k.containers[id] = true
}

// leaves judges a frame of a manager loop: a task is not dispatched again once it was answered.
func (k *checker) leaves(c *conn, records []byte, payloads []payload) {
	h, rest, err := protocol.ParseHeader(records)
	if err != nil {
		k.w.fail("frame", "%s sends a frame that cannot be read: %v", c.r.name, err)
		return
	}
	owner, _ := c.d.process.owner.(*client)
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for {
		ok, err := r.Next(&rec)
		if err != nil {
			k.w.fail("frame", "%s sends a record that cannot be read: %v", c.r.name, err)
		}
		if !ok || err != nil {
			return
		}
		var said content
		if rec.External && len(payloads) > 0 {
			said, payloads = payloads[0].content, payloads[1:]
		} else if len(rec.Payload) >= 8 {
			said = contentOf(rec.Payload)
		}
		switch rec.Kind { //nolint:exhaustive // the others say nothing of tasks
		case protocol.KindDispatch:
			t := k.w.taskOf(said)
			if t == nil {
				k.w.fail("dispatch", "%s dispatches a task that nobody submitted: %#x", c.r.name, uint64(said))
				return
			}
			t.dispatches++
			if s := k.w.broker.shares.sessions[rec.Session]; t.dispatches == 1 && t.session.ranked && k.w.plan.calm && s != nil && s.lost == 0 {
				k.w.promises.firsts = append(k.w.promises.firsts, t)
			}
			k.w.promises.dispatched(t, c, &rec, h.Epoch)
			if t.answered == h.Epoch && t.answeredAs == rec.Session {
				k.w.fail("dispatch", "%s dispatches task %v of session %d, which it has answered", c.r.name, t.id, t.session.index)
			}
		case protocol.KindResult, protocol.KindFailure:
			if owner == nil {
				break
			}
			if t := k.w.broker.shares.keeping[rec.Session].knows(rec.Task); t != nil {
				k.answers(t, h, &rec)
				break
			}
			if at := int(protocol.TaskID(rec.Task).Slot()); at < len(owner.pending) {
				if t := owner.pending[at]; t != nil && t.taskID() == protocol.TaskID(rec.Task) && t.session.session.Number() == rec.Session {
					k.answers(t, h, &rec)
				}
			}
		}
	}
}

// answers notes the answer of a manager to a task: its end, or that the task may come again.
func (k *checker) answers(t *task, h protocol.Header, rec *protocol.Record) {
	if rec.Kind == protocol.KindFailure {
		var e protocol.Error
		if protocol.Unmarshal(rec.Kind, rec.Payload, &e) == nil && e.Code == protocol.CodeOverloaded {
			k.refused(t, h.Sequence, &e)
			return
		}
	}
	t.answered, t.answeredAs = h.Epoch, rec.Session
}

// refused judges that a manager has not taken a task.
func (k *checker) refused(t *task, by protocol.Stamp, e *protocol.Error) {
	w := k.w
	if t.refusedBy == by {
		return // it is said again
	}
	t.refusedBy, t.arrived = by, 0
	w.tally.add(Refused)
	if w.tracing {
		w.trace("task %v of session %d is refused: %v", t.id, t.session.index, e)
	}
	if t.session.keeps {
		return // that answers were taken may be heard later; who attaches does not know the bytes of the tasks of others
	}
	if w.plan.on.Has(Scarce) && e.RetryAfter <= 0 {
		return // a session that was opened anew while memory was short was granted less than it had before
	}
	if !t.refusable || e.RetryAfter <= 0 {
		w.fail("overload", "task %v of session %d is refused, and there was room for it, or it is not said when there may be: %v", t.id, t.session.index, e)
	}
	w.broker.shares.answered(t)
}

// recorded notes the positions of records that open sessions, before they are handed over.
func (k *checker) recorded(b *broker, records [][]byte) {
	for i, encoded := range records {
		r, err := control.DecodeRecord(encoded)
		if err != nil {
			k.w.fail("record", "%s hands over a record that cannot be read: %v", b.process.name, err)
			return
		}
		if r.Open != nil {
			b.committer.opened[r.Open.Session] = b.committer.appended + uint64(i) + 1
		}
	}
}

// confirms judges a frame of the control loop: no session is told of before its record is durable.
func (k *checker) confirms(to *conn, records []byte) {
	b := to.r.broker
	_, rest, err := protocol.ParseHeader(records)
	if err != nil {
		k.w.fail("frame", "%s sends a frame that cannot be read: %v", b.control.actor.name, err)
		return
	}
	r := protocol.NewReader(rest)
	var rec protocol.Record
	for {
		ok, err := r.Next(&rec)
		if !ok || err != nil {
			return
		}
		if rec.Kind == protocol.KindError && rec.Task == 0 && to.d.process.kind == agentParty && !k.w.chaos.troubled() {
			k.w.fail("forgotten", "%s refuses what %s says outside of any request: it has forgotten the node, and nothing has happened", b.control.actor.name, to.d.actor.name)
		}
		if rec.Kind == protocol.KindSessionState {
			var body protocol.SessionState
			if protocol.Unmarshal(rec.Kind, rec.Payload, &body) == nil {
				k.reasoned("a client", body.Session, body.State, body.Reason)
			}
		}
		if rec.Kind != protocol.KindSessionOpened {
			continue
		}
		var body protocol.SessionOpened
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			k.w.fail("frame", "%s sends %v that cannot be read: %v", b.control.actor.name, rec.Kind, err)
			return
		}
		if at := b.committer.opened[body.Session]; at == 0 || at > b.committer.durable {
			k.w.fail("durable", "%s says that session %d is open; its record is the %dth, and %d are durable",
				b.control.actor.name, body.Session, at, b.committer.durable)
		}
	}
}

// reaches looks at a message that reaches an instance: a task of a reign that is over must not be executed.
func (k *checker) reaches(i *instance, line engine.Line, m *message) {
	h, rest, err := protocol.ParseHeader(m.bytes)
	if err != nil || line != engine.Data {
		return
	}
	l := &i.life
	if h.Epoch < l.epoch {
		tasksIn(rest, m.payloads, protocol.KindDispatch, func(_ *protocol.Record, c content) {
			if t := k.w.taskOf(c); t != nil {
				l.stale = append(l.stale, t)
			}
		})
		return
	}
	l.epoch = h.Epoch
	if len(l.stale) > 0 {
		tasksIn(rest, m.payloads, protocol.KindDispatch, func(_ *protocol.Record, c content) {
			for n := range l.stale {
				if t := l.stale[n]; t != nil && t.content == c {
					l.stale[n] = nil
				}
			}
		})
	}
}

// tasksIn calls yield for what the payload of each record of a kind says.
func tasksIn(records []byte, payloads []payload, kind protocol.Kind, yield func(*protocol.Record, content)) {
	r := protocol.NewReader(records)
	var rec protocol.Record
	for {
		ok, err := r.Next(&rec)
		if !ok || err != nil {
			return
		}
		var said content
		if rec.External && len(payloads) > 0 {
			said, payloads = payloads[0].content, payloads[1:]
		} else if len(rec.Payload) >= 8 {
			said = contentOf(rec.Payload)
		}
		if rec.Kind == kind {
			yield(&rec, said)
		}
	}
}
