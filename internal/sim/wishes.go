package sim

import (
	"slices"
	"strings"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/protocol"
)

// wishes is what a task was submitted with, and what was asked of it afterwards.
type wishes struct {
	options   protocol.TaskOptions
	retry     protocol.Retry // in force
	timeout   time.Duration  // in force; 0: none
	run       time.Duration  // in force; 0: none
	after     []*task        // that have to succeed before it is begun
	ref       engine.Ref     // when it is more than its payload
	ordered   bool
	order     uint64 // among the ordered ones of its session
	submitted int64
	arrived   int64 // at a manager, for the first time; 0: it has not
	begun     int64 // for the first time; 0: never
	spared    bool  // an instance was killed under it because of another task, or of itself
	cancelled int64 // when somebody asked first that it be ended; 0: never
	told      int64 // when its client had its end
	code      protocol.Code
}

// wish draws what a task is submitted with beside its payload.
func (a *app) wish(t *task) {
	w, s := a.c.w, t.session
	draw := &w.drawApp
	o := &t.options
	if w.plan.on.Has(Deadlines) {
		if draw.chance(100) {
			o.Timeout = draw.span(20*time.Millisecond, 20*time.Second)
		}
		if draw.chance(100) {
			o.Run = draw.span(20*time.Millisecond, 5*time.Second)
		}
	}
	if s.ranked && draw.chance(500) {
		o.Priority = int8(draw.between(-3, 3))
	}
	t.retry = s.retry
	if draw.chance(50) {
		r := w.drawRetry(draw)
		o.Attempts, o.HostLosses = uint8(r.Attempts), uint8(r.HostLosses)
		o.Backoff, o.MaxBackoff = time.Duration(r.Backoff), time.Duration(r.MaxBackoff)
		r.On = nil
		t.retry = r.Or(s.retry)
	}
	t.timeout, t.run = s.timeout, s.run
	if o.Timeout > 0 {
		t.timeout = o.Timeout
	}
	if o.Run > 0 {
		t.run = o.Run
	}
	if t.ordered = s.ordered; t.ordered {
		s.lastOrder++
		t.order = s.lastOrder
	}
	if draw.chance(w.plan.joins) {
		for range draw.between(1, 3) {
			if len(a.c.pending) == 0 {
				break
			}
			of := a.c.pending[draw.n(len(a.c.pending))]
			if of == nil || slices.Contains(t.after, of) || of.session != s && !w.plan.roomy { // that one may wait until this one is closed
				continue
			}
			t.after = append(t.after, of)
		}
	}
}

// wishful says whether the task is more than its payload.
func (t *task) wishful() bool {
	return t.options != protocol.TaskOptions{} || t.ordered || len(t.after) > 0
}

// start submits a task with all that is wished for it.
func (a *app) start(t *task, payload []byte, h protocol.Handle, size int) (protocol.TaskID, error) {
	wish := engine.Task{Payload: payload, Handle: h, Size: size, Options: t.options, Ordered: t.ordered}
	for _, of := range t.after {
		wish.After = append(wish.After, of.slot)
		a.c.w.tally.add(Joined)
	}
	ref, err := t.session.session.Start(a.c.process.now(), &wish)
	if err != nil {
		return 0, err
	}
	t.ref = ref
	if id := ref.ID(); id != 0 {
		return id, nil
	}
	return protocol.NewTaskID(0, ref.Slot()), nil // it has ended with one that it waits for
}

// taskID is the id of the task, which one that waits for others gets when it is sent.
func (t *task) taskID() protocol.TaskID {
	if t.id.Sequence() == 0 && !t.done && t.wishful() {
		t.id = t.ref.ID()
	}
	return t.id
}

// wish draws what a session is opened with beside its service.
func (s *appSession) wish(spec *protocol.OpenSession) {
	w := s.app.c.w
	draw := &w.drawApp
	limits := &s.service.spec.Limits
	s.retry, s.timeout, s.run = s.service.spec.Retry, time.Duration(limits.Timeout), time.Duration(limits.Run)
	s.ranked, s.ordered = draw.chance(w.plan.ranked), draw.chance(w.plan.ordered)
	if s.keeps = draw.chance(w.plan.keeps); s.keeps {
		spec.Disconnect = protocol.DisconnectKeep
		if draw.chance(300) {
			spec.Grace = draw.span(6*time.Second, time.Minute)
		}
	}
	if draw.chance(300) {
		spec.Retry = w.drawRetry(draw)
		s.retry = spec.Retry.Or(s.service.spec.Retry)
	}
	if w.plan.on.Has(Deadlines) {
		if draw.chance(100) {
			spec.Timeout = draw.span(100*time.Millisecond, 20*time.Second)
			s.timeout = spec.Timeout
		}
		if draw.chance(100) {
			spec.Run = draw.span(50*time.Millisecond, 5*time.Second)
			s.run = spec.Run
		}
	}
}

// cancel gives tasks up: one, or all of a session, by the client itself or as an operator does.
func (a helm) cancel() {
	w := a.c.w
	draw := &w.drawApp
	switch n := draw.n(10); {
	case n < 6:
		if len(a.c.pending) == 0 {
			return
		}
		t := a.c.pending[draw.n(len(a.c.pending))]
		if t == nil {
			return
		}
		a.gaveUp(t)
		t.session.session.At(t.slot).Cancel()
	case n < 8:
		s := a.pick(func(s *appSession) bool { return s.opened })
		if s == nil {
			return
		}
		for _, t := range a.c.pending {
			if t != nil && t.session == s {
				a.gaveUp(t)
			}
		}
		w.cancelled[s.session.Number()] = true
		s.session.CancelAll()
	default:
		a.cancelOf()
	}
	a.c.harvest()
}

// cancelOf cancels tasks of some session by its number, as an operator does. A broker that takes over may find another
// session under it.
func (a helm) cancelOf() {
	w := a.c.w
	place := w.seats[w.drawApp.n(len(w.seats))]
	if place.client == nil || len(place.client.app.sessions) == 0 {
		return
	}
	s := place.client.app.sessions[w.drawApp.n(len(place.client.app.sessions))]
	number := s.session.Number()
	if number == 0 {
		return
	}
	w.cancelled[number] = true
	w.cancelsByNumber = true
	w.tally.add(Cancelled)
	if w.drawApp.n(2) == 0 {
		a.ask(protocol.KindSteerSession, protocol.SteerSession{Session: number, Action: protocol.SteerCancel}, nil)
		return
	}
	a.ask(protocol.KindCancelTask, protocol.TaskRef{Session: number, Sequence: uint64(w.drawApp.between(1, 60))}, nil)
}

func (a helm) gaveUp(t *task) {
	if t.cancelled == 0 {
		t.cancelled = a.c.w.at
		a.c.w.tally.add(Cancelled)
	}
}

// explainsEnd says whether what was wished for a task explains that it ends with an error.
func (k *promises) explainsEnd(t *task, err *protocol.Error) bool {
	w := k.w
	passed := time.Duration(w.at - t.submitted)
	switch err.Code { //nolint:exhaustive // the others are not about wishes
	case protocol.CodeCancelled:
		return t.cancelled > 0 || w.cancelled[t.session.session.Number()] || // by whoever has it, or has had it
			t.session.keeps && t.options.Timeout > 0 && (passed >= t.options.Timeout || w.plan.on.Has(Clocks)) || // by who left it then
			w.cancelsByNumber && w.reigns > 1
	case protocol.CodeDeadline:
		if w.plan.on.Has(Clocks) {
			return t.timeout > 0 || t.run > 0
		}
		const rounding = time.Millisecond
		return t.timeout > 0 && passed >= t.timeout*9/10-rounding || t.run > 0 && t.begun > 0 && time.Duration(w.at-t.begun) >= t.run-rounding
	case protocol.CodeIndeterminate:
		return t.options.Timeout > 0 && (w.plan.on.Has(Clocks) || passed >= t.options.Timeout)
	case protocol.CodeDependency:
		return slices.ContainsFunc(t.after, func(of *task) bool { return of.done && of.code != 0 || of.cancelled > 0 || of.ordered && !of.done })
	}
	return false
}

// concluded notes how a task has ended for its client, and judges when that is.
func (k *promises) concluded(t *task, err *protocol.Error) {
	w := k.w
	t.told = w.at
	if err != nil {
		t.code = err.Code
		switch err.Code { //nolint:exhaustive // the others are counted elsewhere
		case protocol.CodeCancelled:
			w.tally.add(CancelsDone)
			if strings.Contains(err.Msg, "never") {
				w.tally.add(NeverBegun)
			}
		case protocol.CodeDeadline:
			w.tally.add(DeadlinesPassed)
		case protocol.CodeIndeterminate:
			w.tally.add(Indeterminate)
		case protocol.CodeDependency:
			w.tally.add(DependenciesFailed)
		}
	}
	if t.ordered {
		s := t.session
		if t.order < s.delivered {
			w.fail("order", "task %v of session %d, the %dth, is delivered after the %dth", t.id, s.index, t.order, s.delivered)
		}
		s.delivered = t.order
	}
	k.heardAll(t)
	if late := k.overdue(t); late > 0 {
		w.fail("overdue", "task %v of session %d ends %v after it had to, with code %v", t.id, s0(t), late, t.code)
	}
}

func s0(t *task) uint32 { return t.session.index }

// allowance is what may pass, where nothing disturbs, between an event and what everybody does because of it.
const allowance = 4 * time.Second

// overdue says for how long a task should have ended, where nothing disturbs; 0: it need not have. When it is cancelled or
// its time is over it has the grace of its service to stop, and then its instance is killed.
func (k *promises) overdue(t *task) time.Duration {
	w := k.w
	if !w.plan.calm || t.ordered { // an ordered one waits for those before it
		return 0
	}
	from, since := int64(0), t.arrived
	if t.cancelled > 0 && t.arrived > 0 {
		from = max(t.cancelled, t.arrived)
	}
	if t.options.Timeout > 0 {
		since = t.submitted
	}
	if t.timeout > 0 && since > 0 && (from == 0 || from > since+int64(t.timeout)) {
		from = since + int64(t.timeout)
	}
	if over := t.begun + int64(t.run); t.run > 0 && !t.spared && t.executions == 1 && t.failures+t.panics+t.deaths+t.successes == 0 && (from == 0 || from > over) {
		from = over
	}
	if from == 0 {
		return 0
	}
	spec := &t.session.service.spec
	may := time.Duration(spec.Limits.Grace) + allowance
	if len(spec.Artefacts) == 0 { // nobody but itself tells that an instance lives
		may += protocol.PeerTimeout
	}
	return max(0, time.Duration(w.at-from)-may)
}

// mayBegin judges the beginning of a task's hook by what was wished: nothing that it waits for is missing, and its client
// has not been told that it was ended.
func (k *promises) mayBegin(h *hookRun, t *task, bad func(string)) {
	w := k.w
	for _, before := range t.after {
		if before.successes == 0 || before.code != 0 {
			bad("OnTaskExec begins for a task that waits for another one")
		}
	}
	if t.begun == 0 {
		t.begun = w.at
	}
	of := w.broker.shares.sessions[t.answeredAs]
	answered := t.answered == h.instance.life.epoch && of != nil && of.lost == 0
	// Who was given up opens its kept sessions anew, and they go on under their old numbers as well.
	if t.done && (t.code == protocol.CodeCancelled || t.code == protocol.CodeDeadline) && answered && h.session.number == t.answeredAs {
		bad("OnTaskExec begins for a task whose client was told that it was ended")
	}
}
