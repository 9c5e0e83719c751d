package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	engine "github.com/weft-fabric/weft/internal/engine/client"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// Result is the end of a task.
type Result struct {
	// Payload is what OnTaskExec returned. It belongs to whom it was given.
	Payload []byte
	// Err says why there is none: a *protocol.Error.
	Err error
	// Task is the task's id in its session.
	Task protocol.TaskID
}

// Task is a task that was submitted with [Session.Submit]. It is safe for concurrent use.
//
// Its result waits in this process, and counts against the client's credit for results, until somebody takes it: Wait,
// [Session.Results], or Cancel.
type Task struct {
	session *Session
	call    bool // nobody but Call knows it
	ahead   bool // of Map: it is not submitted when there is no credit for it
	ordered bool // it has a place among the ordered ones

	// Guarded by the client's mu.
	finished bool
	given    bool            // taken by Wait or Results, or cancelled
	watched  bool            // Done was called before it was finished
	answered bool            // the fabric does nothing more for it
	waiting  int32           // in Wait, or for ever after Done
	size     uint32          // of the result; 0 when its credit was given back
	id       protocol.TaskID // its sequence may be 0 until it is finished, see ID
	ready    chan struct{}   // closed when finished; made by the first who waits
	stopped  chan struct{}   // closed when answered; made by the first who asks
	next     *Task           // in the results of the session
	stream   *stream         // of what it says; nil: nobody asked for that
	account  *account

	// Written before finished, not changed after.
	payload []byte
	err     error
}

// ID is the task's id in its session. With the number of the session it is what a service may use to notice that it
// runs a task again. Its sequence is 0 as long as the task waits for others ([After]).
func (t *Task) ID() protocol.TaskID {
	t.session.client.mu.Lock()
	defer t.session.client.mu.Unlock()
	if t.unfinished() {
		return t.ref().ID()
	}
	return t.id
}

// Key names the task in its fabric, as "session/sequence": so do services (worker.TaskContext.Key) and the command weft. It
// is empty as long as the task waits for others ([After]).
func (t *Task) Key() string {
	id := t.ID()
	if id.Sequence() == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", t.session.Number(), id.Sequence())
}

// unfinished says whether the engine has the task, which is in its slot then. The caller holds the client's mu.
func (t *Task) unfinished() bool {
	return !t.finished && t.session.client.pending[t.id.Slot()].task == t
}

// ref is the task in the engine. The caller holds the client's mu.
func (t *Task) ref() engine.Ref { return t.session.core.At(t.id.Slot()) }

// Done is closed when the task is finished: Wait does not block then. A task that Done was called for does not appear
// in [Session.Results].
func (t *Task) Done() <-chan struct{} {
	c := t.session.client
	c.mu.Lock()
	t.waiting++
	ring := false
	if !t.finished && !t.watched {
		t.watched = true
		ring = c.block()
	}
	ready := t.channel()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	return ready
}

// channel gives what is closed when t is finished. The caller holds the client's mu.
func (t *Task) channel() chan struct{} {
	if t.ready == nil {
		t.ready = make(chan struct{})
		if t.finished {
			close(t.ready)
		}
	}
	return t.ready
}

// Wait waits for the result. The error is the task's, a *protocol.Error, or one that is both a *protocol.Error and
// ctx.Err() when ctx ended first; the task goes on then, and Wait may be called again. Calls after the first that
// succeeded return the same slice.
func (t *Task) Wait(ctx context.Context) ([]byte, error) {
	c := t.session.client
	c.mu.Lock()
	if t.finished {
		t.take()
		c.mu.Unlock()
		t.consumed()
		t.session.taken(t.id)
		return t.payload, t.err
	}
	if ctx.Err() != nil {
		c.mu.Unlock()
		return nil, contextError(ctx, "wait", goesOn)
	}
	t.waiting++
	ready := t.channel()
	ring := c.block()
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	var err error
	select {
	case <-ready:
	case <-ctx.Done():
		err = contextError(ctx, "wait", goesOn)
	}
	c.mu.Lock()
	t.waiting--
	c.blocked--
	if err != nil && !t.finished {
		c.mu.Unlock()
		return nil, err
	}
	t.take()
	c.mu.Unlock()
	t.consumed()
	t.session.taken(t.id)
	return t.payload, t.err
}

// finish tells that t has its result or error. The caller holds the client's mu.
func (t *Task) finish() {
	t.finished = true
	s := t.session
	if !t.call {
		s.unclaimed--
	}
	if t.call || t.watched {
		s.client.blocked--
	}
	if t.ready != nil {
		close(t.ready)
	}
	if t.waiting == 0 && !t.given && !t.call {
		s.results.push(t)
	}
	if t.stream != nil {
		t.stream.wake()
	}
	s.results.wake()
}

// take marks the result as taken. The caller holds the client's mu, and calls consumed without it.
func (t *Task) take() {
	if t.given {
		return
	}
	t.given = true
	if t.ordered {
		t.session.ordered.delivered(t.id.Slot())
	}
}

// consumed gives the credit of the result back, once.
func (t *Task) consumed() {
	c := t.session.client
	c.mu.Lock()
	a := t.account
	n := a.release(int64(t.size))
	t.account, t.size = nil, 0
	c.mu.Unlock()
	a.add(n)
}

// isFinished says whether Wait would not block.
func (t *Task) isFinished() bool {
	t.session.client.mu.Lock()
	defer t.session.client.mu.Unlock()
	return t.finished
}

// isReady says whether t, whose channel was made, is finished.
func (t *Task) isReady() bool {
	select {
	case <-t.ready:
		return true
	default:
		return false
	}
}

// submission is one attempt to submit, which may have to wait for credit.
type submission struct {
	size  int
	ready chan struct{} // sent to when it is to try again
}

// Submit sends a task and returns without waiting for its result. It blocks while the session has no credit: until
// results of earlier tasks have come, ctx ends, or the session does. Results come as long as somebody takes them or waits
// for one (see [WithResultCredit]): who submits more than all credit holds has to take results meanwhile. payload is
// copied.
func (s *Session) Submit(ctx context.Context, payload []byte, opts ...TaskOption) (*Task, error) {
	t := &Task{session: s, ordered: s.ordered != nil}
	if _, err := s.submit(ctx, payload, t, nil, taskConfigOf(opts)); err != nil {
		return nil, err
	}
	return t, nil
}

// SubmitFunc is [Session.Submit] with a function that gets the result, exactly once when nil is returned, never
// otherwise. It runs on a goroutine of its own: it may block, and may call any method of this package. Callbacks of one
// session may run at the same time and out of order, but for [WithOrderedResults]. When more than 10,000 block at once,
// others wait; so do they when those that block hold all credit for results (see [WithResultCredit]).
func (s *Session) SubmitFunc(ctx context.Context, payload []byte, fn func(Result), opts ...TaskOption) error {
	if fn == nil {
		return protocol.Errorf(protocol.CodeInvalid, "submit", "the function is nil")
	}
	if len(opts) == 0 {
		if in, err := enter(ctx, s, payload, fn); in || err != nil {
			return err
		}
	}
	_, err := s.submit(ctx, payload, nil, fn, taskConfigOf(opts))
	return err
}

// Call sends a task and waits for its result. The deadline of ctx is the task's, as of [WithTimeout], but never lengthens
// the time of [WithTaskTimeout] or of the service: the fabric ends the task by then, and the error says how sure that is. It
// is [ErrDeadline] and [context.DeadlineExceeded] in any case, also when a shorter limit has ended the task, and
// [ErrIndeterminate] too when the task was sent and may have run, or run still. When ctx is cancelled the error is
// both [ErrCancelled] and ctx.Err(), and the fabric is told to end the task.
func (s *Session) Call(ctx context.Context, payload []byte, opts ...TaskOption) ([]byte, error) {
	t := &Task{session: s, call: true, ready: make(chan struct{})}
	cfg, err := taskConfigOf(opts).limited(ctx, s, true)
	if err != nil {
		return nil, err
	}
	leads, err := s.submit(ctx, payload, t, nil, cfg)
	if err != nil {
		return nil, cfg.explained(err)
	}
	if leads {
		s.client.leadFor(ctx, t)
	}
	select {
	case <-t.ready:
	default:
		select {
		case <-t.ready:
		case <-ctx.Done():
			t.giveUp(ctx)
			<-t.ready
		}
	}
	t.consumed()
	s.taken(t.id)
	return t.payload, cfg.explained(t.err)
}

// submit writes a task, whose result is for t or for fn, when there is credit for it, and says whether the caller, a Call,
// is to drive the sockets. When there is none it waits, or returns errNoRoom.
func (s *Session) submit(ctx context.Context, payload []byte, t *Task, fn func(Result), cfg *taskConfig) (leads bool, err error) {
	if ctx.Err() != nil {
		return false, contextError(ctx, "submit", notSent)
	}
	if cfg == nil && s.taskTimeout > 0 || cfg != nil && cfg.deadline.IsZero() { // otherwise there is none, or a Call has done it
		if cfg, err = cfg.limited(ctx, s, false); err != nil {
			return false, err
		}
	}
	if cfg != nil && cfg.stream != nil {
		if err := cfg.stream.bind(s, t); err != nil {
			return false, err
		}
	}
	c := s.client
	var h zmqx.Handle
	if len(payload) >= protocol.InlinePayload {
		h = c.payloads.New(payload)
	}
	c.mu.Lock()
	if most := s.core.MaxPayload(); int64(len(payload)) > most {
		err = protocol.Errorf(protocol.CodePayloadTooLarge, "submit",
			"a payload of %d bytes, service %s takes at most %d (limits.payload of its description)", len(payload), s.core.Service(), most)
	} else if ahead := t != nil && t.ahead; len(s.queue) > 0 || !c.eng.Room(s.core, len(payload)) || ahead && c.full() {
		if err = errNoRoom; !ahead {
			err = s.awaitCredit(ctx, cfg, len(payload))
		}
	}
	if err == nil {
		leads, err = s.write(payload, h, t, fn, cfg)
	}
	s.quick = s.quick || fn != nil && cfg == nil && s.ordered == nil
	s.wakeSubmitters() // the next, when this one left room or failed
	ring := false
	if err == nil && !leads {
		ring = c.poke()
	}
	c.mu.Unlock()
	if ring {
		c.wake.Ring()
	}
	if err != nil && h != 0 {
		c.payloads.Release(h)
	}
	return leads, err
}

// write hands a task to the engine. The caller holds the client's mu.
func (s *Session) write(payload []byte, h zmqx.Handle, t *Task, fn func(Result), cfg *taskConfig) (leads bool, err error) {
	c := s.client
	if err := s.refusal(); err != nil {
		return false, err
	}
	var words *stream
	if cfg != nil {
		words = cfg.stream
	}
	// A Call drives the sockets when nobody has them and nothing else is unfinished.
	leads = t != nil && t.call && words == nil && c.driver == free && c.eng.Outstanding() == 0
	var id protocol.TaskID
	switch {
	case cfg != nil || s.ordered != nil:
		id, err = cfg.start(s, t, payload, h)
	case h != 0:
		id, err = c.eng.SubmitHandle(s.core, h, len(payload))
	default:
		id, err = c.eng.Submit(s.core, payload)
	}
	if err != nil {
		return false, err
	}
	at := int(id.Slot())
	for at >= len(c.pending) {
		c.pending = append(c.pending, pending{})
	}
	p := &c.pending[at]
	p.session, p.task, p.fn, p.stream = s, t, fn, words
	if t != nil {
		t.id = id
		if t.call {
			c.blocked++ // the driver looks anyhow, for the task
		} else {
			s.unclaimed++
		}
	}
	if leads {
		c.driver = lead
	}
	return leads, nil
}

// tooLate says that a task's time was over before there was credit for it.
func tooLate() error {
	return protocol.Errorf(protocol.CodeDeadline, "submit", "its time was over before the session had credit for it%s", notSent)
}

// awaitCredit waits in turn until there is room for size bytes or there will be none. The caller holds the client's
// mu, before and after.
func (s *Session) awaitCredit(ctx context.Context, cfg *taskConfig, size int) error {
	c := s.client
	var over <-chan time.Time
	if cfg != nil && !cfg.deadline.IsZero() && !cfg.byCaller {
		timer := time.NewTimer(time.Until(cfg.deadline))
		defer timer.Stop()
		over = timer.C
	}
	sub := &submission{size: size, ready: make(chan struct{}, 1)}
	s.queue = append(s.queue, sub)
	grant(s) // nothing overtakes it
	for {
		if s.refusal() != nil || !s.core.Accepting() || s.queue[0] == sub && c.eng.Room(s.core, size) {
			s.queue.leave(sub)
			return nil
		}
		c.mu.Unlock()
		select {
		case <-sub.ready:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			s.queue.leave(sub)
			return contextError(ctx, "submit", notSent)
		case <-over:
			c.mu.Lock()
			s.queue.leave(sub)
			return tooLate()
		}
	}
}

// submissions are attempts that wait in turn.
type submissions []*submission

func (q *submissions) leave(sub *submission) {
	*q = slices.DeleteFunc(*q, func(s *submission) bool { return s == sub })
}

// wakeSubmitters lets the first submission that waits try again when there is room for it, all when there never will be.
// The caller holds the client's mu.
func (s *Session) wakeSubmitters() {
	if len(s.queue) == 0 {
		grant(s)
		return
	}
	waiting := s.queue
	if s.refusal() == nil && s.core.Accepting() {
		if !s.client.eng.Room(s.core, waiting[0].size) {
			return
		}
		waiting = waiting[:1]
	}
	for _, sub := range waiting {
		select {
		case sub.ready <- struct{}{}:
		default:
		}
	}
}
