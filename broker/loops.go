package broker

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/zmqx"
)

// burst is how many messages a loop takes before it sends.
const burst = 64

// backlog is how many messages of a peer may wait for a loop. What waits there is not counted as memory in use, and a peer
// may send all of its credit at once.
const backlog = 32

// shell is what both kinds of loops have: one goroutine that owns a ROUTER and its core. Nothing in it blocks but the
// wait for the socket or the mailbox.
type shell struct {
	out    outlet
	waiter *zmqx.Waiter
	wake   *zmqx.Wake
	stop   <-chan struct{}
	began  time.Time     // the turn that is under way; zero: the loop slept
	busy   time.Duration // for which the loop was at work with the turn before
	gauge  gauge
	before int64 // bytes of payload frames before the last messages were received
}

// gauge is what others may see of a loop.
type gauge struct {
	turn   atomic.Int64 // when the turn began that is under way, in nanoseconds of Unix time; 0: the loop sleeps
	worked atomic.Int64 // nanoseconds that it was at work, up to the turn before
}

// receive takes a burst of messages; those that cannot be read are dropped with a word.
func (s *shell) receive() (messages []zmqx.Message, drained bool, err error) {
	s.before = s.out.payloads.Size()
	messages, drained, err = s.out.socket.Recv(burst)
	if err != nil {
		return nil, true, err
	}
	for i := range messages {
		if bad := messages[i].Bad; bad != nil {
			s.out.log.Warn().Err(bad).Uint32("peer", messages[i].Peer).Msg("a message was dropped")
		}
	}
	return messages, drained, nil
}

// sleep waits until there is something to do, or until the deadline.
func (s *shell) sleep(deadline time.Time, timed bool) error {
	now := time.Now()
	s.busy, s.began = now.Sub(s.began), time.Time{}
	s.gauge.turn.Store(0)
	timeout := time.Duration(-1)
	if timed {
		timeout = max(0, deadline.Sub(now))
	}
	_, _, err := s.waiter.Wait(timeout)
	return err
}

// ending says whether the loop is to end.
func (s *shell) ending() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// turn is one turn of a loop: it steps the core with what came, and says when the next is due at the latest.
type turn func(now time.Time, messages []zmqx.Message) (deadline time.Time, timed bool, err error)

// run is a loop: it receives, lets turn step the core, and sleeps until there is more or the core's deadline has come.
// It returns when it is told to stop or when its socket fails. The messages are valid during the turn.
func (s *shell) run(turn turn) error {
	for !s.ending() {
		messages, drained, err := s.receive()
		if err != nil {
			return err
		}
		now := time.Now()
		if !s.began.IsZero() {
			s.busy = now.Sub(s.began)
		}
		s.began = now
		s.gauge.turn.Store(now.UnixNano())
		s.gauge.worked.Add(int64(s.busy))
		deadline, timed, err := turn(now, messages)
		if err != nil {
			return err
		}
		if drained && len(s.out.gone) == 0 {
			if err := s.sleep(deadline, timed); err != nil {
				return err
			}
		}
	}
	return nil
}

// controlLoop is the shell of the control core.
type controlLoop struct {
	shell
	core      *control.Core
	mail      *mailbox[control.Event]
	managers  []*managerLoop
	committer *committer
	memory    *memory
	desk      *desk
	observe   func(turn time.Duration)

	letters []control.Event
	batch   control.Batch
}

// turn is one turn of the loop.
func (l *controlLoop) turn(now time.Time, messages []zmqx.Message) (deadline time.Time, timed bool, err error) {
	l.observe(l.busy)
	l.letters = l.mail.take(l.letters[:0])
	for _, ev := range l.letters {
		if c, ok := ev.(control.Committed); ok {
			if err := l.out.durable(c.Position); err != nil {
				return time.Time{}, false, err
			}
			l.desk.durable(c.Position)
		}
		l.core.Step(now, ev)
	}
	for i := range messages {
		if m := &messages[i]; m.Bad == nil {
			l.core.Step(now, control.Frame{Peer: m.Peer, Bytes: m.Records, Payloads: m.Payloads})
		}
	}
	for _, peer := range l.out.takeGone() {
		l.core.Step(now, control.PeerGone{Peer: peer})
	}
	if at, ok := l.core.Deadline(); ok && !now.Before(at) {
		l.core.Step(now, l.memory.pressure())
		l.core.Tick(now)
	}
	l.batch.Reset()
	if l.core.Take(&l.batch) {
		if err := l.carryOut(&l.batch); err != nil {
			return time.Time{}, false, err
		}
	}
	deadline, timed = l.core.Deadline()
	return deadline, timed, nil
}

// carryOut does what the core wants done: records first, then orders, so that a loop knows of a session before its
// client does, then what is sent.
func (l *controlLoop) carryOut(b *control.Batch) error {
	l.committer.append(0, b.Records)
	for _, o := range b.Orders {
		l.managers[o.Loop].mail.put(o.Order)
	}
	l.desk.answers(b.Answers)
	for _, r := range b.Raw {
		if err := l.out.send(r.Peer, r.Bytes, nil); err != nil {
			return err
		}
	}
	err := l.out.frames(b.Frames)
	l.out.release(b.Released)
	return err
}

// managerLoop is the shell of a manager core.
type managerLoop struct {
	shell
	index   int
	core    *manager.Core
	mail    *mailbox[session.Order]
	control *mailbox[control.Event]
	memory  *memory

	letters []session.Order
	batch   manager.Batch
	told    manager.Memory
}

// turn is one turn of the loop.
func (l *managerLoop) turn(now time.Time, messages []zmqx.Message) (deadline time.Time, timed bool, err error) {
	if l.busy > 0 {
		l.core.Step(now, manager.Event{Kind: manager.EventBusy, Busy: l.busy})
	}
	l.told = l.memory.tell(l.index, l.before)
	l.core.Step(now, manager.Event{Kind: manager.EventMemory, Memory: &l.told})
	// After receiving: an order was given before any frame that answers to it was sent.
	l.letters = l.mail.take(l.letters[:0])
	for _, o := range l.letters {
		l.core.Step(now, manager.Event{Kind: manager.EventOrder, Order: o})
	}
	for i := range messages {
		if m := &messages[i]; m.Bad == nil {
			l.core.Step(now, manager.Event{Kind: manager.EventFrame, Peer: m.Peer, Records: m.Records, Payloads: m.Payloads})
		}
	}
	for _, peer := range l.out.takeGone() {
		l.core.Step(now, manager.Event{Kind: manager.EventGone, Peer: peer})
	}
	if at, ok := l.core.Deadline(); ok && !now.Before(at) {
		l.core.Tick(now)
	}
	l.batch.Reset()
	if l.core.Take(&l.batch) {
		if err := l.carryOut(&l.batch); err != nil {
			return time.Time{}, false, err
		}
	}
	bytes, promised := manager.Holds(l.core)
	l.memory.note(l.index, bytes, promised)
	deadline, timed = l.core.Deadline()
	return deadline, timed, nil
}

func (l *managerLoop) carryOut(b *manager.Batch) error {
	l.out.retain(b.Retained)
	for _, n := range b.Notes {
		if d := n.Dead; d != nil && d.Handle != 0 {
			d.Payload = bytes.Clone(l.out.payloads.Bytes(d.Handle))
			l.out.payloads.Release(d.Handle)
			d.Handle = 0
		}
		l.control.put(control.Note{Loop: l.index, Note: n})
	}
	for _, r := range b.Raw {
		if err := l.out.send(r.Peer, r.Bytes, nil); err != nil {
			return err
		}
	}
	err := l.out.frames(b.Frames)
	l.out.release(b.Released)
	return err
}
