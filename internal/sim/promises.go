package sim

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// dispatch is where a task was sent to.
type dispatch struct {
	to      *process
	wire    uint64
	epoch   protocol.Epoch
	session protocol.SessionNumber
	attempt uint8
}

// promises holds what is done with single tasks to what was promised when they were submitted.
type promises struct {
	w      *World
	unseen int64   // when something was sent last to where nobody is
	firsts []*task // of sessions with priorities, dispatched for the first time in this turn of a manager loop
}

// attempts is what can be seen of the attempts of a task under one broker.
type attempts struct {
	last   dispatch
	sent   int64     // when it was sent there
	failed bool      // the last one has ended with a failure that may pass,
	at     time.Time // by the clock of the broker,
	least  time.Duration
	again  int      // were begun because the one before had failed so
	spared dispatch // which ended because its instance was killed for another task
}

// passes says whether a failure may pass, by the policy in force.
func passes(e *protocol.Error, p *protocol.Retry) bool {
	return e.Retry == 1 || e.Retry == 0 && slices.Contains(p.On, e.Code.String())
}

// dispatched judges a record that sends a task to an instance: the number of the attempt, the wait before it, and whether
// its session may have anything begun.
func (k *promises) dispatched(t *task, c *conn, rec *protocol.Record, epoch protocol.Epoch) {
	w, a := k.w, &t.attempts
	x, _ := rec.Execution()
	now := dispatch{to: c.d.process, wire: rec.Task, epoch: epoch, session: rec.Session, attempt: x.Attempt}
	last := a.last
	if now == last {
		return // it is said again
	}
	if last.epoch != epoch || last.session != rec.Session {
		*a, last = attempts{}, dispatch{}
	}
	p := &t.retry
	if int(x.Attempt) >= p.Attempts+p.HostLosses && !t.spoke {
		w.fail("attempts", "%s begins attempt %d of task %v of session %d; attempts: %d, losses of hosts: %d",
			c.r.name, x.Attempt, t.id, t.session.index, p.Attempts, p.HostLosses)
	}
	h := w.broker.shares.sessions[rec.Session]
	if h != nil && h.suspended && w.plan.calm {
		w.fail("suspend", "%s begins task %v of session %d, which is suspended", c.r.name, t.id, t.session.index)
	}
	if a.failed && h != nil && h.lost <= a.sent && x.Attempt == last.attempt+1 {
		k.begunAgain(t, c)
	}
	seen := k.unseen < a.sent // otherwise it may have been sent to an instance that died meanwhile
	if a.spared == last && !t.spoke && last.epoch != 0 && !a.failed && x.Attempt != last.attempt && w.plan.calm && seen {
		w.fail("spared", "%s begins attempt %d of task %v of session %d, whose attempt %d ended because its instance was killed for another task",
			c.r.name, x.Attempt, t.id, t.session.index, last.attempt)
	}
	a.last, a.sent, a.failed = now, w.at, false
}

// begunAgain judges another attempt of a task whose last one has failed.
func (k *promises) begunAgain(t *task, c *conn) {
	w, a := k.w, &t.attempts
	p := &t.retry
	w.tally.add(Backoffs)
	if a.again++; a.again >= p.Attempts {
		w.fail("attempts", "%s begins task %v of session %d again after %d failures; attempts: %d", c.r.name, t.id, t.session.index, a.again, p.Attempts)
	}
	wait := time.Duration(p.Backoff)
	for range a.again - 1 { // attempts that were seen to fail; others may have been given up for another task's sake
		wait = min(2*wait, time.Duration(p.MaxBackoff))
	}
	if waited := w.broker.process.now().Sub(a.at); waited < wait/2 || waited < a.least {
		w.fail("backoff", "%s begins task %v of session %d again %v after the failure of attempt %d; at least %v, and %v as the failure asks for",
			c.r.name, t.id, t.session.index, waited, a.last.attempt, wait/2, a.least)
	}
}

// failedAttempt notes that the hook of a task has failed at an instance.
func (k *promises) failedAttempt(t *task, h *hookRun) {
	a := &t.attempts
	if a.last.to != h.instance.process || a.last.epoch != h.instance.life.epoch || a.last.epoch != k.w.broker.epoch {
		return
	}
	a.failed = passes(h.out.Err, &t.retry)
	a.at, a.least = k.w.broker.process.now(), h.out.Err.RetryAfter
}

// ranked judges what was dispatched in a turn of a manager loop: no task with a lower priority before one of its session
// that was there and waits on.
func (k *promises) ranked() {
	for _, t := range k.firsts {
		if !t.session.app.c.process.alive || k.unseen > 0 && k.w.at-k.unseen < int64(2*protocol.PeerTimeout) {
			continue // not all that was sent was seen
		}
		for _, u := range t.session.app.c.pending {
			if u != nil && u.session == t.session && u.arrived > 0 && u.dispatches == 0 && u.answered == 0 && u.options.Priority > t.options.Priority {
				k.w.fail("priority", "task %v of session %d with priority %d is dispatched, and task %v with %d waits",
					t.id, t.session.index, t.options.Priority, u.id, u.options.Priority)
			}
		}
	}
	clear(k.firsts)
	k.firsts = k.firsts[:0]
}

// kills judges that an instance is to be killed since a hook there has not ended: one was told to, and had its grace.
// The other tasks there are not to suffer.
func (k *promises) kills(n *session.Kill) {
	w := k.w
	w.tally.add(KilledForHook)
	at := slices.IndexFunc(w.instances, func(i *instance) bool { return i.container != nil && i.container.order.ID == n.Container })
	if at < 0 {
		return // it has ended meanwhile
	}
	i := w.instances[at]
	i.spares = true
	for _, h := range i.hooks { // of what had not begun there it cannot be seen whether it is there still
		if t := h.task; t != nil && t.attempts.last.to == i.process {
			t.attempts.spared = t.attempts.last
		}
	}
	const onTheWay = 200 * time.Millisecond
	since := w.at - int64(time.Duration(i.service.spec.Limits.Grace)-onTheWay)
	deaf := func(h *hookRun) bool { return h.told > 0 && h.told <= since }
	if w.plan.calm && !slices.ContainsFunc(i.hooks, deaf) && !slices.ContainsFunc(i.ended, deaf) && w.at-i.stopped > int64(onTheWay) {
		w.fail("killed", "%s is to be killed (%s), and no hook there was told to end for as long as the grace of its service, %v",
			i.process.name, n.Reason, time.Duration(i.service.spec.Limits.Grace))
	}
}

// buried judges a dead letter: its task was given up because its attempts were spent.
func (k *promises) buried(loop string, epoch protocol.Epoch, d *session.Dead) {
	k.w.tally.add(DeadLetters)
	var t *task
	if len(d.Payload) >= 8 {
		t = k.w.taskOf(contentOf(d.Payload))
	}
	if t == nil {
		k.w.fail("dead", "%s gives up a task that nobody submitted: %+v", loop, d.Letter)
		return
	}
	if t.buried == epoch && t.buriedAs == d.Letter.Session {
		k.w.fail("dead", "%s puts task %v of session %d into the dead-letter list twice", loop, t.id, t.session.index)
	}
	t.buried, t.buriedAs = epoch, d.Letter.Session
}
