package manager

import (
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// What is counted of each session (docs/architecture.md, "Statistics"). Nothing here costs a task more than an addition:
// queued time is counted once for a run of tasks that came in one frame and leave together, execution once for what an
// instance reports, and of the times under way only one task of an instance, and one result of a client, is looked at.
// What lasts is looked at with each tick.

// stampUnit is the unit of the arrival time of a task whose payload is a frame of its own: it has 32 bits, and wraps
// around after 12 days.
const stampUnit = 256 * time.Microsecond

// watch is when a manager looks at what lasts.
type watch struct {
	made time.Time // the manager
	last time.Time // look
}

// stamp is now, in units since the manager was made.
func (w *watch) stamp(now time.Time) uint32 { return uint32(now.Sub(w.made) / stampUnit) }

// arrived says when an unfinished task came.
func (w *watch) arrived(now time.Time, t *slot) time.Time {
	if t.buf != nil {
		return t.buf.at
	}
	return now.Add(-time.Duration(w.stamp(now)-t.off) * stampUnit)
}

// counts is what is counted of a session. What is counted elsewhere is not in it: see report.
type counts struct {
	protocol.Stats
	finished uint64 // tasks, at the last look
	active   bool   // it had unfinished tasks then
	failing  failing
}

// dispatched counts how long tasks were queued that leave one after the other.
type dispatched struct {
	session *hosted
	from    *buffer // in which the run came
	n       uint64  // tasks of the run
}

// more counts a task that leaves if it is of the run.
func (d *dispatched) more(t *slot) bool {
	if t.buf != d.from || d.n == 0 || t.attempts|t.losses != 0 {
		return false
	}
	d.n++
	return true
}

// add counts a task that leaves for the first time, and is not of the run.
func (d *dispatched) add(t *slot) {
	switch {
	case t.attempts|t.losses != 0:
	case t.buf == nil:
		m := d.session.manager
		d.session.stats.Queued.Add(m.core.now.Sub(m.watch.arrived(m.core.now, t)), 1)
	default:
		d.settle()
		d.from, d.n = t.buf, 1
	}
}

// settle counts the run.
func (d *dispatched) settle() {
	if d.n > 0 {
		s := d.session
		s.stats.Queued.Add(s.manager.core.now.Sub(d.from.at), d.n)
		d.n = 0
	}
}

// sample is the one task of an instance that is looked at from its dispatch to its answer.
type sample struct {
	task uint64 // wire id; 0: none
	at   time.Time
}

// answered ends it: the task, in a slot or gone, was answered.
func (p *sample) answered(m *manager, n uint32) {
	if n != 0 {
		m.slab.slots[n].session.stats.InFlight.Add(m.core.now.Sub(p.at), 1)
	}
	*p = sample{}
}

// renew gives the sample of an instance up when it will not be answered: its task is elsewhere, or gone.
func (p *sample) renew(i *instance) {
	if p.task == 0 {
		return
	}
	slab := &i.manager.slab
	if t := &slab.slots[slab.find(p.task)]; t.seat == nil || t.seat.instance != i {
		*p = sample{}
	}
}

// account gives the sessions at an instance their part of n tasks that it executed in a time together: those that it
// has answered since its last report, at the mean.
func account(i *instance, n int64, took time.Duration) {
	took = min(took, time.Duration(i.slots)*i.manager.core.now.Sub(i.since))
	mean := took / time.Duration(n)
	for _, t := range i.seats {
		st := &t.session.stats
		if t.answered > 0 || t.flight > 0 {
			st.Busy += took
		}
		st.Executing.Add(mean, t.answered)
		t.answered = 0
	}
}

// failureEvery is how often a failure of a session is told at most: the last there was.
const failureEvery = 250 * time.Millisecond

// failing is the last failure of a hook for a session.
type failing struct {
	told time.Time // when one was told
	last protocol.Failure
	body []byte // of last.Error; empty: it was told
}

// note takes one. It is told with the next tick, or at once when none was for a while.
func (f *failing) note(s *hosted, i *instance, hook string, task protocol.TaskID, body []byte) {
	f.last = protocol.Failure{Hook: hook, Container: i.container, Node: i.node, Task: task}
	f.body = append(f.body[:0], body...)
	f.tell(s, false)
}

// tell tells of the last, when it was not told, and none was for a while, or the session is over.
func (f *failing) tell(s *hosted, over bool) {
	now := s.manager.core.now
	if len(f.body) == 0 || !over && !f.told.IsZero() && now.Sub(f.told) < failureEvery {
		return
	}
	f.last.Error = &protocol.Error{}
	if protocol.Unmarshal(protocol.KindFailure, f.body, f.last.Error) == nil {
		f.told = now
		s.manager.core.note(session.Note{Mishap: &session.Mishap{Session: s.number, Failure: f.last}})
	}
	f.body = f.body[:0]
}

// probe is the result of a client that is looked at until the client has consumed it.
type probe struct {
	mark    int64 // of consumed bytes, which the client was asked to tell of; 0: none
	at      time.Time
	session *hosted
	counts  bool // it was said with its result: the time is that of the result
}

// probing asks the client to tell when it has consumed what was sent up to now.
func (cl *client) probing(s *hosted, counts bool) {
	cl.due = false
	cl.probe = probe{mark: cl.sent, at: cl.core.now, session: s, counts: counts}
	cl.link.Append(protocol.KindAskCredit, 0, uint64(cl.sent), nil)
}

// took ends the probe when the client has consumed so many bytes.
func (cl *client) took() {
	p := &cl.probe
	if p.mark == 0 || cl.consumed < p.mark {
		return
	}
	if p.counts && p.session != nil {
		p.session.stats.Returning.Add(cl.core.now.Sub(p.at), 1)
	}
	cl.probe, cl.probed = probe{}, p.mark
}

// look sees to it that there is a probe while results are under way: with the next result, or by itself when none has
// come since the last look.
func (cl *client) look() {
	switch {
	case cl.probe.mark != 0:
	case !cl.due:
		cl.due = true
	case cl.sent > cl.probed && cl.sent > cl.consumed && cl.latest != nil && cl.link.Up():
		cl.probing(cl.latest, false)
	}
}

// unlook forgets a session that is over, or elsewhere.
func (cl *client) unlook(s *hosted) {
	if cl.probe.session == s {
		cl.probe.session = nil
	}
	if cl.latest == s {
		cl.latest = nil
	}
}

// untaken is how long a client may take for results until it counts as what a session waits for.
const untaken = 100 * time.Millisecond

// look counts what has lasted since the last tick of the manager.
func (w *watch) look(m *manager) {
	now := m.core.now
	d := now.Sub(w.last)
	w.last = now
	for _, i := range m.instances {
		i.sample.renew(i)
	}
	for _, s := range m.sessions {
		s.stats.lasted(s, d)
	}
}

// lasted counts what has lasted for d with the session.
func (st *counts) lasted(s *hosted, d time.Duration) {
	cl := s.client
	st.failing.tell(s, false)
	if n := s.done + s.failed; n != st.finished {
		st.finished = n
		cl.latest = s
	}
	if s.unfinished() == 0 {
		st.active = false
		if p := &cl.probe; p.session == s && p.mark != 0 {
			if since := s.manager.core.now.Sub(p.at); since >= untaken {
				st.Active += min(d, since)
				st.Blocked += min(d, since)
			}
		}
		return
	}
	if s.suspended && s.flight.n == 0 {
		st.active = false
		return
	}
	if !st.active { // since a moment ago
		st.active, d = true, min(d, busyTick)
	}
	st.Active += d
	room := false
	for _, t := range s.seats {
		if t.state == seatBound && t.instance.serves() {
			st.Serving += d
			room = room || t.instance.room() > 0
		}
	}
	switch {
	case s.suspended, s.queue.n+s.suspects.n == 0:
	case cl.blocked(), s.lined:
		st.Blocked += d
	case !room:
		st.Starved += d
	}
}

// report gives all that was counted of a session, as a copy.
func (st *counts) report(s *hosted) *protocol.Stats {
	m := s.manager
	now := m.core.now
	out := &protocol.Stats{}
	out.Merge(&st.Stats)
	out.At, out.Done, out.Failed, out.Cancelled = now, s.done, s.failed, s.cancelled
	out.Waiting, out.Flying = s.queue.n+s.suspects.n+s.delayed.n, s.flight.n
	out.Slots = m.service.Slots
	_, out.Most = s.bounds()
	for _, t := range s.seats {
		i := t.instance
		if t.state != seatBound || !i.serves() {
			continue
		}
		out.Instances++
		out.Slots = max(out.Slots, i.slots)
		// What is being executed is reported when it ends.
		if i.sample.task != 0 && t.flight > 0 {
			out.Busy += time.Duration(min(i.flight, i.slots)) * now.Sub(later(i.busy, i.sample.at))
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stats tells what was counted of a session, or of all sessions of a manager that are open.
func (n inquiry) stats(q *session.Query) (*protocol.Stats, *protocol.Error) {
	if q.Stats.Session != 0 {
		s, err := n.session(q.Stats.Session)
		if err != nil {
			return nil, err
		}
		return s.stats.report(s), nil
	}
	out := &protocol.Stats{At: n.core.now}
	if m := n.core.byID[q.Manager]; m != nil {
		for _, s := range m.sessions {
			out.Merge(s.stats.report(s))
		}
		_, out.Most, _ = m.bounds()
		out.Instances, out.Slots = m.serving(), max(out.Slots, m.service.Slots)
	}
	return out, nil
}
