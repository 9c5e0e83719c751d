package manager

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// What becomes of a task that did not succeed (docs/architecture.md, "Retries"). One whose failure may pass waits, in
// state taskDelayed, for its next attempt; one whose attempts are spent is told to its client, and goes to the control
// loop's dead-letter list.

const (
	// longestDelay bounds what a task waits for its next attempt, whatever it or its service says.
	longestDelay = 24 * time.Hour
	// placesKept is how many instances are remembered of those that a task failed on.
	placesKept = 4
)

// mishap is what is remembered of the attempts of a task that did not succeed.
type mishap struct {
	last *protocol.Error        // what the last one ended with
	on   []protocol.InstanceRef // the last that it ran on, the latest last
}

// retries is what a manager does about tasks that did not succeed.
type retries struct{ *manager }

// policy is the retry policy in force for a task: its own where it has one, otherwise its session's.
func (m retries) policy(k uint32) *protocol.Retry {
	if x := m.slab.extraOf(k); x != nil && x.retry != nil {
		return x.retry
	}
	return &m.slab.slots[k].session.retry
}

// own gives a task the retry policy that its options say, where they say one.
func (m retries) own(k uint32, o *protocol.TaskOptions) {
	r := protocol.Retry{
		Attempts: int(o.Attempts), HostLosses: int(o.HostLosses),
		Backoff: protocol.Duration(o.Backoff), MaxBackoff: protocol.Duration(o.MaxBackoff),
	}
	if r.Attempts == 0 && r.HostLosses == 0 && r.Backoff == 0 && r.MaxBackoff == 0 {
		return
	}
	r = r.Or(m.slab.slots[k].session.retry)
	m.slab.needExtra(k).retry = &r
}

// passing says whether a failure may pass, so that the task is worth another attempt.
func passing(e *protocol.Error, p *protocol.Retry) bool {
	const yes, no = 1, 2
	return e.Retry == yes || e.Retry != no && len(p.On) > 0 && slices.Contains(p.On, e.Code.String())
}

// mended takes the failure of a task that was at an instance, and says that it is not what its client is answered: the task
// was asked to stop, or is run again.
func (m retries) mended(k uint32, i *instance, rec *protocol.Record) bool {
	t := &m.slab.slots[k]
	if !rec.External {
		t.session.stats.failing.note(t.session, i, "OnTaskExec", t.id, rec.Payload)
	}
	if t.state == taskStopping {
		m.giveUp(k, m.slab.extraOf(k).stop.why)
		return true
	}
	if !m.again(k, i, rec) {
		return false
	}
	if planted.Is(planted.HandleReleasedTwice) {
		m.core.node.Release(m.slab.slots[k].handle)
	}
	return true
}

// again deals with the failure of a task that was at an instance, unless it is final and for the client as it is.
func (m retries) again(k uint32, i *instance, rec *protocol.Record) bool {
	var e protocol.Error
	if rec.External || protocol.Unmarshal(rec.Kind, rec.Payload, &e) != nil {
		return false
	}
	// A client takes this code for the broker's word that the task was never accepted, and sends it again.
	borrowed := e.Code == protocol.CodeOverloaded
	if borrowed {
		e.Code, e.Msg = protocol.CodeTaskFailed, e.Code.String()+": "+e.Msg
	}
	p := m.policy(k)
	if !passing(&e, p) {
		if borrowed {
			m.giveUp(k, &e)
		}
		return borrowed
	}
	t := &m.slab.slots[k]
	t.attempts++
	t.suspect = false // it has been answered
	m.remember(k, i, &e)
	switch {
	case int(t.attempts) >= p.Attempts && (!planted.Is(planted.AttemptsOneMore) || int(t.attempts) > p.Attempts):
		m.bury(k, protocol.Errorf(protocol.CodeAttemptsSpent, "task", "it failed in the last of %d attempts, on %s: %v", t.attempts, i.where(), &e))
	case planted.Is(planted.RetryLost):
		m.finish(k)
	default:
		d := m.core.chance.backoff(p, int(t.attempts), e.RetryAfter)
		t.session.happened(protocol.EventRetry, "task %d failed in attempt %d of %d, on %s, and is run again in %v: %v",
			t.id.Sequence(), t.attempts, p.Attempts, i.where(), d.Round(time.Millisecond), &e)
		m.delay(k, d)
	}
	return true
}

// remember notes what an attempt of a task on an instance ended with.
func (m retries) remember(k uint32, i *instance, e *protocol.Error) {
	x := m.slab.needExtra(k)
	if x.mishap == nil {
		x.mishap = &mishap{}
	}
	h := x.mishap
	h.last = e
	if len(h.on) == placesKept {
		h.on = append(h.on[:0], h.on[1:]...)
	}
	h.on = append(h.on, protocol.InstanceRef{Container: i.container, Node: i.node})
}

// chance draws the random parts of delays.
type chance struct{ *rand.Rand }

// backoff is how long a task waits that has failed so often: the policy's backoff, doubled with each failure up to its
// most, less a random part of up to a half; and no less than the failure asked for.
func (c chance) backoff(p *protocol.Retry, failures int, least time.Duration) time.Duration {
	most := min(time.Duration(p.MaxBackoff), longestDelay)
	d := min(time.Duration(p.Backoff), most)
	for ; failures > 1 && d < most; failures-- {
		d = min(2*d, most)
	}
	d -= time.Duration(c.Int64N(int64(d)/2 + 1))
	return max(d, min(least, longestDelay))
}

// delay has a task that is in no list wait for its next attempt.
func (m retries) delay(k uint32, d time.Duration) {
	t := &m.slab.slots[k]
	t.move(taskDelayed)
	m.slab.pushBack(&t.session.delayed, k)
	x := m.slab.needExtra(k)
	if x.next = m.core.now.Add(d); planted.Is(planted.BackoffIgnored) {
		x.next = m.core.now
	}
	m.alarms.set(alarm{at: x.next, task: m.slab.wireID(k), kind: alarmBackoff})
	t.session.stats.Delayed += d
	t.session.touch()
}

// rested queues a task whose delay is over.
func (m retries) rested(k uint32) {
	t := &m.slab.slots[k]
	if t.state != taskDelayed {
		return
	}
	s := t.session
	m.slab.remove(&s.delayed, k)
	t.move(taskQueued)
	m.enqueue(k)
	s.fill()
}

// bury gives up a task, which is in no list, whose attempts are spent: its client gets the error, and the dead-letter
// list the task.
func (m retries) bury(k uint32, e *protocol.Error) {
	t := &m.slab.slots[k]
	s := t.session
	d := &session.Dead{Letter: protocol.DeadLetter{
		At: m.core.now, Service: m.service.Name, Version: m.service.Version, Session: s.number, Task: t.id, Size: int64(t.size),
		Attempts: int(t.attempts), Losses: int(t.losses), Error: e,
	}}
	if x := m.slab.extraOf(k); x != nil && x.mishap != nil {
		d.Letter.Last, d.Letter.Instances = x.mishap.last, x.mishap.on
	}
	if t.handle != 0 {
		d.Handle = m.core.node.Retain(t.handle)
	} else {
		d.Payload = bytes.Clone(t.buf.data[t.off : t.off+t.size])
	}
	if !planted.Is(planted.DeadLetterLost) {
		m.core.note(session.Note{Dead: d})
	}
	s.stats.Dead++
	s.happened(protocol.EventDead, "task %d: %v", t.id.Sequence(), e)
	m.giveUp(k, e)
}
