package instance

import (
	"time"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// roster is the sessions at an instance: it takes them in and lets them go as their manager says, and answers it.
type roster struct {
	life     *lifetime // of the instance; it is only read here
	manager  *wire
	orders   *orders
	sessions []*Session // that are not gone, in the order of their Bind
	turns    turns
	streams  []*Stream // of tasks that run and have said something
	woken    []*Stream // to be told to try again
	memory   arena     // of inline payloads
	era      uint32    // grows when the manager is another process: what ran before is of no interest
}

// find gives the newest session of that number that is not gone.
func (r *roster) find(number protocol.SessionNumber) *Session {
	for i := len(r.sessions) - 1; i >= 0; i-- {
		if s := r.sessions[i]; s.Bind.Session == number {
			return s
		}
	}
	return nil
}

// hears says whether the manager to which something was promised in that era is there to be told.
func (r *roster) hears(era uint32) bool { return era == r.era && r.manager.live() }

// bind takes a session in. A session that is here already, and is not being let go, is confirmed. A draining instance
// leaves the question open, because a refusal would be the session's end: its manager asks it to let go again.
func (r *roster) bind(body protocol.Bind) {
	if r.life.state != Serving && r.life.state != Draining {
		return
	}
	s := &Session{Bind: body, era: r.era}
	if old := r.find(body.Session); old != nil {
		switch old.seat {
		case bound:
			r.manager.link.Append(protocol.KindBound, body.Session, 0, nil)
			return
		case binding:
			return
		case releasing, unbinding, gone:
			old.next, s.waits = s, true
		}
	}
	r.sessions = append(r.sessions, s)
	r.invite(s)
}

// invite lets OnSessionBind run when nothing stands in its way.
func (r *roster) invite(s *Session) {
	if !s.waits && r.life.state == Serving {
		r.turns.call(s)
	}
}

// bindDone takes the outcome of OnSessionBind.
func (r *roster) bindDone(s *Session, out *Outcome) {
	s.running--
	lives := r.hears(s.era)
	if out.Err != nil {
		r.discard(s)
		if lives {
			r.manager.link.Append(protocol.KindRefused, s.Bind.Session, 0, protocol.Marshal(out.Err))
		}
		r.drop(s)
		return
	}
	s.take(bindDone)
	if lives {
		r.manager.link.Append(protocol.KindBound, s.Bind.Session, 0, nil)
	}
	if s.seat == bound && s.queue.size() > 0 {
		r.turns.activate(s)
	}
	r.settle(s)
}

// unbind obeys the manager: what has not started is dropped, what runs is told to end, then OnSessionUnbind runs.
func (r *roster) unbind(number protocol.SessionNumber) {
	s := r.find(number)
	if s == nil {
		r.manager.link.Append(protocol.KindUnbound, number, 0, nil)
		return
	}
	if s.running > 0 {
		r.orders.add(Order{Kind: Cancel, Session: s})
		if !s.asked && s.seat != unbinding {
			for range s.running {
				r.manager.link.Append(protocol.KindStopping, number, 0, nil)
			}
		}
	}
	s.asked = true
	r.release(s)
}

// unbindDone notes that OnSessionUnbind has returned.
func (r *roster) unbindDone(s *Session) {
	s.running--
	r.drop(s)
}

// newEra lets go of all sessions, because the manager that sent them is no more.
func (r *roster) newEra() {
	r.era++
	r.closeStreams()
	r.releaseAll(true)
}

// releaseAll lets every session go. With cancel the contexts of their hooks end at once.
func (r *roster) releaseAll(cancel bool) {
	for i := len(r.sessions) - 1; i >= 0; i-- {
		s := r.sessions[i]
		if cancel {
			r.orders.add(Order{Kind: Cancel, Session: s})
		}
		r.release(s)
	}
}

// release begins to let a session go.
func (r *roster) release(s *Session) {
	if !planted.Is(planted.QueueKept) {
		r.discard(s)
		r.turns.retire(s)
	}
	if s.seat == binding && !s.begun {
		r.drop(s)
		return
	}
	s.take(release)
	r.settle(s)
}

// discard drops the tasks of a session that have not started.
func (r *roster) discard(s *Session) {
	for s.queue.live > 0 {
		r.manager.node.Release(s.queue.first().handle)
		s.queue.pop()
	}
	s.queue.clear()
}

// settle lets OnSessionUnbind run when nothing of the session runs any more.
func (r *roster) settle(s *Session) {
	if s.seat == releasing && s.running == 0 {
		s.take(quiet)
		r.turns.call(s)
	}
}

// drop forgets a session that holds nothing of the service.
func (r *roster) drop(s *Session) {
	if s.seat == unbinding {
		s.take(left)
	} else {
		s.take(bindLost)
	}
	if s.asked && s.era == r.era {
		r.manager.link.Append(protocol.KindUnbound, s.Bind.Session, 0, nil)
	}
	r.sessions = remove(r.sessions, s)
	r.turns.uncall(s)
	for _, before := range r.sessions {
		if before.next == s {
			before.next = nil
		}
	}
	if s.next != nil {
		s.next.waits = false
		r.invite(s.next)
	}
}

// dispatch queues a task.
func (r *roster) dispatch(now time.Time, rec *protocol.Record, handle protocol.Handle) {
	s := r.find(rec.Session)
	if s == nil || s.seat > bound {
		r.manager.node.Release(handle)
		if s == nil { // it never started here, and the manager may have it back
			r.manager.link.Append(protocol.KindRecalled, rec.Session, rec.Task, nil)
		}
		return
	}
	t := s.queue.push(&r.memory)
	t.task, t.payload, t.handle = rec.Task, r.memory.keep(rec.Payload), handle
	if id, plain := rec.PlainID(); plain {
		t.id, t.attempt = id, 1
	} else {
		t.options(now, rec)
	}
	if s.queue.size() == 1 && s.seat == bound {
		r.turns.activate(s)
	}
}

// dispatchRun queues n plain tasks, which are copied.
func (r *roster) dispatchRun(number protocol.SessionNumber, records []byte, n int) {
	s := r.find(number)
	if s != nil && s.seat <= bound {
		s.queue.pushPlain(records, n)
		if s.queue.size() == n && s.seat == bound {
			r.turns.activate(s)
		}
		return
	}
	reader := protocol.NewReader(records)
	for _, task, _, _, ok := reader.PlainDispatch(); ok && s == nil; _, task, _, _, ok = reader.PlainDispatch() {
		r.manager.link.Append(protocol.KindRecalled, number, task, nil) // it never started here, and the manager may have it back
	}
}

// options takes what a record says of how its task is to be run.
func (t *task) options(now time.Time, rec *protocol.Record) {
	x, _ := rec.Execution()
	t.id, t.attempt = x.ID, x.Attempt
	if x.Timeout > 0 || x.Run > 0 || x.Watch {
		t.limits = &Limits{Run: x.Run, watch: x.Watch}
		if x.Timeout > 0 {
			t.limits.Due = now.Add(x.Timeout)
		}
	}
}

// recall gives a task back that has not started. Of one that has, the result is the answer.
func (r *roster) recall(number protocol.SessionNumber, name uint64) {
	s := r.find(number)
	if s == nil {
		return
	}
	t, ok := s.queue.remove(name, &r.memory)
	if !ok {
		return
	}
	r.manager.node.Release(t.handle)
	if s.queue.size() == 0 {
		r.turns.retire(s)
	}
	r.manager.link.Append(protocol.KindRecalled, number, name, nil)
}

// abort ends a task: one that has not started never will, and is answered by why; the context of one that runs ends.
func (r *roster) abort(number protocol.SessionNumber, name uint64, why *protocol.Error) {
	s := r.find(number)
	if s == nil {
		return
	}
	if t, ok := s.queue.remove(name, &r.memory); ok {
		r.manager.node.Release(t.handle)
		if s.queue.size() == 0 {
			r.turns.retire(s)
		}
		r.manager.link.Append(protocol.KindFailure, number, name, protocol.Marshal(why))
		return
	}
	if s.running > 0 { // of a task that was answered meanwhile, nothing comes of it
		r.orders.add(Order{Kind: Abort, Session: s, Err: why, task: name})
		r.manager.link.Append(protocol.KindStopping, number, name, nil)
	}
}

// mayServe says whether a task is to run now: hooks of sessions go first, and results are not piled up.
func (r *roster) mayServe() bool {
	return len(r.turns.active) > 0 && len(r.turns.hooks) == 0 && r.life.state == Serving &&
		r.manager.link.Held() < MaxHeld
}

// nextTask puts the next task into job. There must be one.
func (r *roster) nextTask(job *Job) {
	s := r.turns.first()
	s.running++
	*job = Job{Session: s, era: r.era, MaxPayload: r.manager.maxPayload}
	if s.queue.live > 0 {
		job.begin(s.queue.first())
		s.queue.pop()
	} else {
		t := s.queue.takePlain(&r.memory)
		job.begin(&t)
	}
	if job.Limits != nil && job.Limits.watch {
		r.manager.link.Append(protocol.KindStarted, s.Bind.Session, job.task, nil)
	}
	r.turns.pass()
}

// begin fills in what is said of a task.
func (j *Job) begin(t *task) {
	j.ID, j.Attempt, j.task = t.id, t.attempt, t.task
	j.Payload, j.Handle, j.Limits = t.payload, t.handle, t.limits
}

// nextHook says whether a hook of a session is due, and puts it into job.
func (r *roster) nextHook(job *Job) bool {
	s := r.turns.hook()
	if s == nil {
		return false
	}
	*job = Job{Kind: Bind, Session: s, era: r.era}
	if s.seat == unbinding {
		job.Kind = Unbind
	}
	s.begun = true
	s.running++
	return true
}

// taskDone answers a task with its outcome. The caller settles the session.
func (r *roster) taskDone(job *Job, out *Outcome) {
	s := job.Session
	s.running--
	manager := r.manager
	if job.stream != nil {
		r.closeStream(job)
	}
	switch {
	case !r.hears(job.era): // nobody waits for it
		manager.node.Release(out.Handle)
	case out.Err != nil:
		manager.node.Release(out.Handle)
		manager.link.Append(protocol.KindFailure, s.Bind.Session, job.task, protocol.Marshal(out.Err))
	case out.Handle != 0:
		manager.link.AppendExternal(protocol.KindResult, s.Bind.Session, job.task, out.Size, out.Handle)
	default:
		manager.link.Append(protocol.KindResult, s.Bind.Session, job.task, out.Result)
	}
}
