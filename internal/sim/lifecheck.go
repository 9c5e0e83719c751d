package sim

import (
	"encoding/binary"

	engine "github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

func contentOf(b []byte) content { return content(binary.BigEndian.Uint64(b)) }

// instanceLife is what the hooks of one instance have seen.
type instanceLife struct {
	creating, created     bool
	destroying, destroyed bool
	running               int
	sessions              []*boundSession // bound or being bound or let go
	stopped               bool
	epoch                 protocol.Epoch // the highest of the frames that reached it on its data line
	stale                 []*task        // that were dispatched by a reign that was over
}

// boundSession is what the hooks of one session at one instance have seen.
type boundSession struct {
	number  protocol.SessionNumber
	state   boundState
	running int // tasks
}

type boundState uint8

const (
	isBinding boundState = iota
	isBound
	isUnbinding
	isGone
)

// begins judges the beginning of a hook: hooks come in the order that package worker promises.
func (k *checker) begins(h *hookRun) {
	i := h.instance
	l := &i.life
	bad := func(what string) { k.w.fail("hooks", "%s: %s", i.process.name, what) }
	l.running++
	k.w.tally.add(Hooks)
	switch {
	case l.running > i.slots:
		bad("more hooks run at once than it has slots")
	case l.destroying || l.destroyed:
		bad("a hook begins after OnDestroyService")
	case h.job.Kind != engine.Create && !l.created:
		bad("a hook begins before OnCreateService has returned")
	}
	switch h.job.Kind {
	case engine.Create:
		if l.creating || l.created || l.running > 1 {
			bad("OnCreateService begins, and is not the first")
		}
		l.creating = true
	case engine.Destroy:
		if len(l.sessions) > 0 || l.running > 1 {
			bad("OnDestroyService begins, and is not the last")
		}
		l.destroying = true
	case engine.Bind:
		k.bindBegins(h, bad)
	case engine.Unbind:
		k.unbindBegins(h, bad)
	case engine.Exec:
		k.execBegins(h, bad)
	}
}

func (k *checker) bindBegins(h *hookRun, bad func(string)) {
	l := &h.instance.life
	number := h.job.Session.Bind.Session
	for _, s := range l.sessions {
		if s.number == number {
			bad("OnSessionBind begins for a session that is here")
		}
	}
	if h.job.Session.Shell != nil {
		bad("OnSessionBind begins twice")
	}
	h.session = &boundSession{number: number}
	h.job.Session.Shell = h.session
	l.sessions = append(l.sessions, h.session)
	k.w.tally.add(Binds)
}

func (k *checker) unbindBegins(h *hookRun, bad func(string)) {
	s, _ := h.job.Session.Shell.(*boundSession)
	if s == nil || s.state != isBound {
		bad("OnSessionUnbind begins for a session that is not bound")
		return
	}
	if s.running > 0 {
		bad("OnSessionUnbind begins while a task of the session runs")
	}
	s.state = isUnbinding
	h.session = s
}

func (k *checker) execBegins(h *hookRun, bad func(string)) {
	w := k.w
	s, _ := h.job.Session.Shell.(*boundSession)
	if s == nil || s.state != isBound {
		bad("OnTaskExec begins for a session that is not bound")
		return
	}
	h.session = s
	s.running++
	t := w.taskOf(h.read())
	switch {
	case t == nil:
		bad("OnTaskExec gets a payload that nobody submitted")
		return
	case t.taskID() != h.job.ID:
		bad("OnTaskExec gets the payload of another task")
	case t.session.service != h.instance.service && !t.session.renumbered():
		bad("OnTaskExec gets a task of another service")
	}
	for _, old := range h.instance.life.stale {
		if old == t {
			bad("OnTaskExec begins for a task of a reign that is over")
		}
	}
	h.task = t
	k.w.promises.mayBegin(h, t, bad)
	t.executions++
	k.w.queueing.executes(h.instance, t)
	w.tally.add(Executions)
	if t.executions > 1 {
		w.tally.add(ExecutedAgain)
	}
}

// ends notes the end of a hook.
func (k *checker) ends(h *hookRun) {
	i := h.instance
	l := &i.life
	l.running--
	failed := h.out.Err != nil
	switch h.job.Kind {
	case engine.Create:
		l.creating, l.created = false, !failed
	case engine.Destroy:
		l.destroying, l.destroyed = false, true
	case engine.Bind:
		if failed {
			k.lets(l, h.session)
		} else {
			h.session.state = isBound
		}
	case engine.Unbind:
		k.lets(l, h.session)
	case engine.Exec:
		if h.session != nil {
			h.session.running--
		}
		if t := h.task; t != nil {
			switch {
			case h.out.Panicked:
				t.panics++
				k.w.promises.failedAttempt(t, h)
			case failed:
				t.failures++
				k.w.promises.failedAttempt(t, h)
			default:
				t.successes++
				t.sent, t.sentBy = h.said, h.run
				if h.act == actSlow && k.w.at-h.begun > int64(protocol.PeerTimeout) {
					k.w.tally.add(LongRuns)
				}
			}
		}
	}
}

func (k *checker) lets(l *instanceLife, s *boundSession) {
	s.state = isGone
	for n := range l.sessions {
		if l.sessions[n] == s {
			l.sessions = append(l.sessions[:n], l.sessions[n+1:]...)
			return
		}
	}
}

// instanceEnds judges the end of an instance in order: what was created is destroyed, what was bound is unbound.
func (k *checker) instanceEnds(i *instance) {
	l := &i.life
	switch {
	case l.running > 0 || l.creating:
		k.w.fail("hooks", "%s ends while a hook runs", i.process.name)
	case len(l.sessions) > 0:
		k.w.fail("hooks", "%s ends without OnSessionUnbind of session %d", i.process.name, l.sessions[0].number)
	case l.created && !l.destroyed:
		k.w.fail("hooks", "%s ends without OnDestroyService", i.process.name)
	}
}
