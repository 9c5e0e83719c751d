package manager

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// What an instance holds at most, and how its credit follows from how fast it is (docs/architecture.md, "Credit").
const (
	instanceBytes = 16 << 20
	creditTime    = 2 * time.Millisecond
	creditMost    = 8192
)

// instance is one running copy of a service.
type instance struct {
	*end
	place
	manager *manager
	slots   int
	places  int // sessions that it holds at once
	byHand  bool

	seats    []*seat // bound, being bound or being let go
	turns    []*seat // seats whose session has tasks that found no credit, in order
	flight   int     // tasks there, unanswered
	bytes    int64   // payload bytes of them
	mean     time.Duration
	credit   int
	isReady  bool
	draining bool // gets nothing more, lets its seats go
	left     bool // was told to leave
	isLost   bool
	mute     bool      // it is not heard, though its agent says that it lives
	answered bool      // it has answered a task
	reserved bool      // gets nothing but suspects, one at a time
	last     link.Mark // the frame with the suspect that it was given last
	queued   bool      // in Core.served
	busy     time.Time
	killed   bool // was asked to be ended at once
	killedAt time.Time
	since    time.Time // when it was announced, or adopted
	sample   sample
}

// place names an instance.
type place struct{ container, node string }

// where names it for people.
func (p place) where() string {
	if p.node == "" {
		return p.container
	}
	return p.container + " on node " + p.node
}

// serves says whether the instance can be given sessions and tasks.
func (i *instance) serves() bool {
	return i.isReady && !i.draining && !i.isLost && !i.killed && !i.mute
}

// room is the number of tasks that the instance may be given now.
func (i *instance) room() int {
	if !i.serves() || i.reserved || (i.bytes >= instanceBytes && i.flight > 0) {
		return 0
	}
	return i.credit - i.flight
}

// admit announces an instance.
func (c *Core) admit(o *session.Admit) {
	m := c.byID[o.Manager]
	if m == nil {
		return
	}
	if i := c.instances[o.Container]; i != nil && i.other == o.Incarnation && i.manager.retired {
		i.adopted(m)
		return
	}
	if c.instances[o.Container] != nil || c.ends[o.Incarnation] != nil {
		return
	}
	i := &instance{
		end: c.newEnd(o.Incarnation), place: place{o.Container, o.Node}, manager: m,
		slots: max(o.Slots, 1), places: max(o.Sessions, 1), byHand: o.ByHand, busy: c.now, since: c.now,
	}
	i.credit = 2 * i.slots
	i.instance = i
	c.instances[i.container] = i
	m.instances = append(m.instances, i)
}

// adopted gives an instance that a retired manager has left behind to another one, with the places that it has not been
// given back. Their sessions are told to be over; each place goes by itself, since the next manager may take it to
// another loop, and other places of the same session stay.
func (i *instance) adopted(m *manager) {
	if i.reserved {
		i.unreserve()
	}
	for _, t := range i.seats {
		s := t.session
		s.seats = without(s.seats, t)
		t.session = &hosted{number: s.number, manager: m, closed: true, killed: s.killed, seats: []*seat{t}}
	}
	i.manager.instances = without(i.manager.instances, i)
	i.sample, i.since = sample{}, m.core.now
	i.manager = m
	m.instances = append(m.instances, i)
	if i.serves() {
		i.ready()
	}
}

// ready begins to use an instance: it said HELLO, its OnCreateService has returned.
func (i *instance) ready() {
	c := i.manager.core
	i.isReady = true
	i.busy = c.now
	c.note(session.Note{Ready: &session.Ready{Container: i.container}})
	m := i.manager
	i.invite()
	for _, s := range m.sessions {
		if len(i.seats) >= i.places {
			break
		}
		if len(s.seats) == 0 {
			s.bind(i)
		}
	}
	for _, s := range m.sessions {
		if s.queue.n+s.suspects.n > 0 {
			s.fill()
		}
	}
	m.demand()
}

// anew begins again with an instance that has seen nothing of what it was sent.
func (i *instance) anew() {
	m := i.manager
	if i.reserved {
		i.unreserve()
	}
	for _, t := range slices.Clone(i.seats) {
		s := t.session
		var next uint32
		for k := s.flight.tail; k != 0; k = next {
			next = m.slab.slots[k].prev
			if m.slab.slots[k].seat == t {
				m.land(k)
				if !(endings{m}).unanswered(k, i) {
					m.putBack(k)
				}
			}
		}
		i.flight -= t.flight // of a killed session
		i.bytes -= t.bytes
		t.flight, t.bytes = 0, 0
		t.unseat()
		if s.closed {
			s.settleEnd()
		}
	}
	if i.draining {
		i.left = false
		i.leave()
		return
	}
	i.ready()
}

// fromInstance takes the records of an instance's frame.
func (i *instance) fromInstance(in *intake) error {
	c := i.manager.core
	var rec protocol.Record
	for {
		runs{c}.answers(i, in)
		h, ok, err := in.next(&rec)
		if err != nil || !ok {
			return err
		}
		i.manager.handled()
		switch rec.Kind {
		case protocol.KindResult, protocol.KindFailure:
			i.answer(&rec, h)
			continue
		case protocol.KindPartial:
			streams{i.manager}.part(i, &rec)
		case protocol.KindProgress:
			streams{i.manager}.progressed(i, &rec)
		case protocol.KindPutData, protocol.KindGetData:
			i.seatOf(rec.Session).dataOf().answer(i, &rec)
		case protocol.KindExecuted:
			i.executed(int64(rec.Session), time.Duration(min(rec.Task, 1<<62)))
			i.serve()
		case protocol.KindRecalled:
			i.recalled(&rec)
		case protocol.KindStarted:
			endings{i.manager}.started(i, &rec)
		case protocol.KindStopping:
			endings{i.manager}.stopping(i, &rec)
		case protocol.KindBound:
			i.bound(rec.Session)
		case protocol.KindRefused:
			i.refused(rec.Session, rec.Payload)
		case protocol.KindUnbound:
			i.unbound(rec.Session)
		case protocol.KindDrain:
			i.dismiss()
		case protocol.KindBye:
			i.byeFrom()
		default:
			i.link.Append(protocol.KindError, rec.Session, rec.Task, protocol.Marshal(protocol.Errorf(
				protocol.CodeUnknownKind, rec.Kind.String(), "a manager takes no such record from an instance")))
		}
		c.node.Release(h)
	}
}

// executed learns from how long n tasks took together.
func (i *instance) executed(n int64, took time.Duration) {
	if n <= 0 {
		return
	}
	account(i, n, took)
	m := max(took/time.Duration(n), 1)
	if i.mean == 0 {
		i.mean = m
	} else {
		i.mean += (m - i.mean) / 4
	}
	i.mean = max(i.mean, 1)
	credit := min(max(int(creditTime/i.mean), 2*i.slots), creditMost)
	if credit > i.credit && i.manager.core.pressure.level >= levelHigh {
		return
	}
	i.credit = credit
}

// answer takes a result or a failure. The payload frame h, if any, is taken over.
func (i *instance) answer(rec *protocol.Record, h protocol.Handle) {
	m := i.manager
	c := m.core
	n := m.slab.flying(i, rec)
	if rec.Task == i.sample.task {
		i.sample.answered(m, n)
	}
	if n == 0 {
		c.node.Release(h) // stale: the task was run again, or its session was killed
		i.seatOf(rec.Session).returned()
		if s := c.sessions[rec.Session]; s != nil && s.manager == m {
			s.stats.Late++
		}
		return
	}
	t := &m.slab.slots[n]
	if !i.answered {
		i.answered = true
		c.note(session.Note{Delivered: &session.Delivered{Container: i.container}})
	}
	s := t.session
	t.seat.answered++
	m.land(n)
	if rec.Kind == protocol.KindFailure {
		if (retries{m}).mended(n, i, rec) {
			c.node.Release(h)
			return
		}
		s.failed++
	} else {
		if limit := m.service.Limits.Payload; int64(rec.Size) > limit {
			c.node.Release(h)
			m.giveUp(n, protocol.Errorf(protocol.CodePayloadTooLarge, "result", "%d bytes, service %s gives at most %d (limits.payload)",
				rec.Size, m.service.Name, limit))
			return
		}
		s.done++
		s.stats.BytesOut += uint64(rec.Size)
	}
	if t.special {
		streams{m}.lastWords(n)
	}
	keeper{s}.answer(n, rec.Kind, rec.Payload, rec.Size, h)
	lender{s}.answered(int64(rec.Size))
	if cl := s.client; cl.due && cl.sent > cl.consumed {
		cl.probing(s, true)
	}
	s.touch()
	if s.closing {
		s.settleClose()
	}
}

// flying finds the task at an instance that its record names; 0 is none. Its session tells a task of this manager from
// one that a manager before had given to the instance.
func (s *slab) flying(i *instance, rec *protocol.Record) uint32 {
	n := s.find(rec.Task)
	if t := &s.slots[n]; n == 0 || t.seat == nil || t.seat.instance != i ||
		t.session.number != rec.Session && !planted.Is(planted.GenerationKept) && !planted.Is(planted.SessionNotAsked) {
		return 0
	}
	return n
}

// land takes an answered task off its instance: it is in no list afterwards.
func (m *manager) land(n uint32) {
	t := &m.slab.slots[n]
	seat := t.seat
	i := seat.instance
	m.slab.remove(&t.session.flight, n)
	lender{t.session}.promise()
	seat.flight--
	seat.bytes -= int64(t.size)
	i.flight--
	i.bytes -= int64(t.size)
	i.busy = m.core.now
	t.seat = nil
	i.serve()
}

// dismiss lets an instance go when its tasks are done; what has not started is asked back.
func (i *instance) dismiss() {
	c := i.manager.core
	if i.draining || i.isLost {
		return
	}
	i.draining = true
	if i.reserved {
		i.unreserve()
	}
	if !i.isReady {
		// It has not said HELLO and holds nothing: it is the control loop that ends it.
		c.note(session.Note{Released: &session.Released{Container: i.container, Reason: "not needed any more"}})
		i.forget()
		return
	}
	i.recallAll()
	for _, t := range slices.Clone(i.seats) {
		t.letGo()
	}
	i.leave()
}

// leave tells an instance that holds nothing any more to end.
func (i *instance) leave() {
	c := i.manager.core
	if !i.draining || i.left || len(i.seats) > 0 {
		return
	}
	i.left = true
	i.link.Append(protocol.KindLeave, 0, 0, nil)
	c.note(session.Note{Released: &session.Released{Container: i.container, Reason: "let go"}})
	i.manager.demand()
}

// byeFrom notes that an instance ended in order.
func (i *instance) byeFrom() {
	c := i.manager.core
	if i.left {
		return
	}
	i.lost("the instance said BYE")
	c.note(session.Note{Released: &session.Released{Container: i.container, Reason: "left by itself"}})
}

// forget drops an instance that holds nothing.
func (i *instance) forget() {
	c := i.manager.core
	i.isLost = true
	delete(c.instances, i.container)
	i.manager.instances = without(i.manager.instances, i)
	c.drop(i.end)
}

// checkSilence finds instances without an agent that were not heard of.
func (m *manager) checkSilence() {
	c := m.core
	for k := 0; k < len(m.instances); k++ {
		i := m.instances[k]
		if !i.byHand || !i.isReady {
			continue
		}
		// One that was told to leave without waiting for its hooks does so, or is not to be reckoned with any more.
		overdue := i.killed && c.now.Sub(i.killedAt) >= c.cfg.PeerTimeout
		if overdue || i.silent(c) {
			reason := "not heard of for " + c.cfg.PeerTimeout.String()
			if overdue {
				reason = "it was told to leave at once, and is still there"
			}
			i.lost(reason)
			c.note(session.Note{Silent: &session.Silent{Container: i.container, Reason: reason}})
			k--
		}
	}
}
