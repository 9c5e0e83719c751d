package client

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// A task that a manager refused since it is overloaded is sent again after a time that doubles from refusedMin to
// refusedMax, or as long as the manager says when that is more, and up to half as long again.
const (
	refusedMin = 50 * time.Millisecond
	refusedMax = 5 * time.Second
)

// refused takes that a manager has not taken a task since it is overloaded: it is sent again later. Where nobody wants it any
// more, or its session takes no tasks, that is its end, and done says why.
func (r Ref) refused(done *Completion) bool {
	s, e, x := r.session, r.session.engine, r.extra()
	switch {
	case x.told:
		return false
	case x.cancelled || r.slot().id.Sequence() <= s.cancelled:
		done.Err = protocol.Errorf(protocol.CodeCancelled, "task", "it was cancelled, and never begun")
		return false
	case !s.drainBy.IsZero():
		done.Err = closedBefore()
		return false
	}
	d := max(min(refusedMin<<min(x.refusals, 16), refusedMax), done.Err.RetryAfter)
	x.refusals++
	x.refusal = done.Err
	x.again = e.now.Add(d + time.Duration(e.random.Int64N(int64(d/2)+1)))
	e.alarms.arm(x)
	return true
}

func closedBefore() *protocol.Error {
	return protocol.Errorf(protocol.CodeSessionClosed, "session", "it was closed before the task was begun")
}

// left says whether a manager may have got the task.
func (t *slot) left() bool {
	switch {
	case t.sent:
		return true
	case t.frame != nil:
		return t.frame.Left()
	case t.handle != 0 && t.extra != nil:
		return t.extra.mark.Left()
	}
	return t.handle != 0
}

// answered says whether nothing more is to come of the task: its slot is kept until it is delivered.
func (t *slot) answered() bool { return t.extra != nil && t.extra.kept }

// told says whether the completion of the task is decided.
func (t *slot) told() bool { return t.extra != nil && t.extra.told }

// withdraw makes sure that no manager gets a task that none can have: of one that is held, or that waits since it was
// refused, and of one whose frame has not left. It says why it was never begun; nil: it cannot be withdrawn.
func (t *slot) withdraw() *protocol.Error {
	never := func(format string, args ...any) *protocol.Error {
		return protocol.Errorf(0, "task", format, args...)
	}
	x := t.extra
	switch {
	case t.id.Sequence() == 0:
		return never("it was never sent: it waited for %d other tasks", x.waits)
	case x != nil && !x.again.IsZero():
		return never("it was never begun: it was refused %d times, at last by %v", x.refusals, x.refusal)
	case t.sent:
	case t.frame != nil && t.frame.Withdraw(int(t.off)), t.handle != 0 && x != nil && x.mark.Withdraw(int(t.off)):
		return never("it was never sent: the session's manager was not reached")
	}
	return nil
}

// Expire gives a task up since its time is over. Its completion has CodeDeadline when it was surely never begun, otherwise
// CodeIndeterminate, and the fabric is told to end it. It is called at the end of the task's Timeout by the engine
// itself. The task in the slot must be unfinished.
func (r Ref) Expire() {
	x := r.extra()
	if x.told {
		return
	}
	t := r.slot()
	if t.stream != nil && t.stream.end != nil { // its result is here, and waits for parts
		r.conclude(t.stream.end.done)
		return
	}
	done := Completion{Session: r.session, Task: t.id, Err: t.withdraw()}
	if done.Err != nil {
		done.Err.Code = protocol.CodeDeadline
		r.conclude(done)
		return
	}
	done.Early = true
	done.Err = protocol.Errorf(protocol.CodeIndeterminate, "task", "its time is over, and there is no word of it: it was sent, and "+
		"may have run, or run still")
	x.ask()
	if t.stream != nil {
		t.stream.hush(r.session.engine)
	}
	x.tell(done)
	r.session.engine.alarms.arm(x)
}

// Cancel gives a task up. What no manager can have got ends with CodeCancelled at once; otherwise the fabric is told
// to end it, and its completion is what the fabric says. The task in the slot must be unfinished.
func (r Ref) Cancel() {
	x := r.extra()
	if x.cancelled || x.told || r.withdrawn() {
		return
	}
	x.resolve(protocol.Errorf(protocol.CodeCancelled, "task", "it was cancelled"))
	x.ask()
}

// withdrawn ends a task that no manager has got with CodeCancelled, and says whether it could.
func (r Ref) withdrawn() bool {
	why := r.slot().withdraw()
	if why == nil {
		return false
	}
	why.Code = protocol.CodeCancelled
	r.fail(why)
	return true
}

// ask tells the fabric to end a task.
func (x *extra) ask() {
	if !x.cancelled {
		x.cancelled = true
		x.session.sendCancel(x.slot().id)
	}
}

// sendCancel tells the fabric to end a task. Where the session is served nowhere, what is sent again there will say it.
func (s *Session) sendCancel(id protocol.TaskID) {
	if s.conn != nil {
		s.link.Append(protocol.KindCancel, s.number, uint64(id), nil)
	}
}

// CancelAll gives all tasks of s up that are unfinished, as [Ref.Cancel] does with each. Those up to the sequence that it
// returns end as the fabric says. It is told of each: a word for all that were sent before would end later ones as well,
// when the session's manager comes back to a loop where that word has not been heard.
func (s *Session) CancelAll() (upTo uint64) {
	upTo = s.sequence
	for s.held.first != 0 {
		s.At(s.held.first - 1).withdrawn()
	}
	for at := s.first; at != 0; {
		next := s.engine.slots[at-1].next
		if r := s.At(at - 1); !r.withdrawn() {
			s.cancelled = upTo
			s.sendCancel(r.ID())
		}
		at = next
	}
	return upTo
}

// Ended says whether no task with a sequence up to this one is unfinished.
func (s *Session) Ended(upTo uint64) bool {
	return s.first == 0 || s.engine.slots[s.first-1].id.Sequence() > upTo
}

// fail ends an unfinished task with an error, or with its result when that is here and waits for parts.
func (r Ref) fail(why *protocol.Error) {
	if t := r.slot().stream; t != nil && t.end != nil {
		r.conclude(t.end.done)
		return
	}
	r.conclude(Completion{Session: r.session, Task: r.ID(), Err: why})
}

// conclude ends an unfinished task: by what the fabric says of it, or since it is not to be sent.
func (r Ref) conclude(done Completion) {
	s, e, t := r.session, r.session.engine, r.slot()
	x := t.extra
	if t.stream != nil {
		t.stream.hush(e)
	}
	r.unlink()
	if x != nil {
		x.again, x.deadline = time.Time{}, time.Time{}
		e.alarms.arm(x)
	}
	switch {
	case x == nil:
		e.out.Completions = append(e.out.Completions, done)
	case x.told:
		if x.done != nil { // nobody was told yet
			x.done.Early = false
		} else {
			e.out.Stopped = append(e.out.Stopped, r.at)
		}
		e.node.Release(done.Handle)
		e.Consumed(done.Source, int64(done.Size))
	default:
		x.tell(done)
	}
	switch {
	case x != nil && x.ordered && !x.delivered:
		x.kept = true
		s.kept++
		s.keptBytes += int64(t.size)
	default:
		r.release()
	}
	if !pending(s) && !s.ended {
		s.drained()
	}
}

// release makes the slot of a task free of which nothing is to come any more.
func (r Ref) release() {
	if x := r.slot().extra; x != nil {
		x.gone = true
	}
	*r.slot() = slot{}
	r.session.engine.free = append(r.session.engine.free, r.at)
}

// tell decides how a task ends, for the application and for the tasks that wait for it.
func (x *extra) tell(done Completion) {
	s, e := x.session, x.session.engine
	x.told, x.outcome = true, done.Err
	if !x.ordered {
		e.out.Completions = append(e.out.Completions, done)
	} else {
		if s.order[0] != x && done.Size > 0 { // it waits here: what it waits for must not wait for its credit
			e.Consumed(done.Source, int64(done.Size))
			done.Size = 0
		}
		x.done = &done
		for len(s.order) > 0 && s.order[0].done != nil {
			e.out.Completions = append(e.out.Completions, *s.order[0].done)
			s.order[0].done = nil
			s.order[0] = nil
			s.order = s.order[1:]
		}
	}
	x.resolve(done.Err)
}

// Delivered tells that the application has taken the completion of an ordered task: its credit comes back.
func (r Ref) Delivered() {
	s, t := r.session, r.slot()
	t.extra.delivered = true
	if t.answered() {
		s.kept--
		s.keptBytes -= int64(t.size)
		r.release()
	}
}

// hold makes a task wait for x.
func (x *extra) hold(waiting *extra) {
	if len(x.dependants) == cap(x.dependants) { // it grows with those that wait, not with those that did
		live := x.dependants[:0]
		for _, d := range x.dependants {
			if !d.gone {
				live = append(live, d)
			}
		}
		clear(x.dependants[len(live):])
		x.dependants = live
	}
	x.dependants = append(x.dependants, waiting)
	waiting.waits++
}

// resolve tells the tasks that wait for x how it ended. Those that fail for it are told of in turn, without recursion.
func (x *extra) resolve(why *protocol.Error) {
	e := x.session.engine
	if len(x.dependants) == 0 {
		return
	}
	e.resolved = append(e.resolved, resolved{x.dependants, x.slot().id, why})
	x.dependants = nil
	if len(e.resolved) > 1 {
		return // by who is at it
	}
	for i := 0; i < len(e.resolved); i++ {
		r := e.resolved[i]
		for _, d := range r.dependants {
			if !d.gone {
				d.proceed(&r)
			}
		}
	}
	clear(e.resolved)
	e.resolved = e.resolved[:0]
}

// resolved is the end of a task that others wait for.
type resolved struct {
	dependants []*extra
	id         protocol.TaskID
	why        *protocol.Error
}

// proceed tells a task that one that it waits for has ended.
func (x *extra) proceed(r *resolved) {
	if x.told || x.waits == 0 { // given up meanwhile, or failed by another one
		return
	}
	s, t := x.session, x.slot()
	if r.why != nil {
		x.fail(protocol.Errorf(protocol.CodeDependency, "task", "task %v, for which it waited, ended with: %v", r.id, r.why))
		return
	}
	if x.waits--; x.waits > 0 {
		return
	}
	s.held.remove(s.engine.slots, x.at)
	s.enlist(x.at)
	s.write(t, x.payload)
	x.payload = nil
}
