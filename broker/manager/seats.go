package manager

import (
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// seatState is where the binding of a session to an instance is.
type seatState uint8

const (
	seatBinding seatState = iota // Bind was sent
	seatBound
	seatYielding // gets no more tasks; Unbind follows when those there are answered
	seatLeaving  // Unbind was sent
)

// sliceTime is how long a session keeps a seat that another waits for.
const sliceTime = 500 * time.Millisecond

// seat is the binding of a session to an instance.
type seat struct {
	session  *hosted
	instance *instance
	state    seatState
	flight   int    // tasks of the session at the instance, unanswered
	bytes    int64  // payload bytes of them
	answered uint64 // since the instance reported last what it executed
	used     uint64 // when it was last given a task, by Core.clock
	since    time.Time
	turning  bool // in instance.turns

	stuck   int       // hooks of a killed session that have not returned
	overdue time.Time // when they are taken not to return
}

// bind gives a session a seat at an instance, which must have a place.
func (s *hosted) bind(i *instance) {
	c := s.manager.core
	c.clock++
	t := &seat{session: s, instance: i, used: c.clock, since: c.now}
	s.seats = append(s.seats, t)
	i.seats = append(i.seats, t)
	i.link.Append(protocol.KindBind, s.number, 0, s.binding)
	if s.waits {
		s.waits = false
		s.manager.waiting = without(s.manager.waiting, s)
	}
}

// seatOf finds the seat of a session at an instance.
func (i *instance) seatOf(number protocol.SessionNumber) *seat {
	for _, t := range i.seats {
		if t.session.number == number {
			return t
		}
	}
	return nil
}

func (i *instance) bound(number protocol.SessionNumber) {
	c := i.manager.core
	t := i.seatOf(number)
	if t == nil || t.state != seatBinding {
		t.returned()
		return
	}
	t.state = seatBound
	t.since = c.now
	s := t.session
	t.tell(protocol.EventBound, "")
	if !s.running {
		s.running = true
		c.note(session.Note{Changed: &session.Changed{Session: s.number, State: protocol.SessionRunning}})
	}
	s.touch()
	s.fill()
}

// refused takes the failure of OnSessionBind: the session fails, since another instance would do the same.
func (i *instance) refused(number protocol.SessionNumber, body []byte) {
	t := i.seatOf(number)
	if t == nil || t.flight > 0 || planted.Is(planted.RefusalIgnored) {
		return
	}
	t.unseat()
	s := t.session
	if s.closed {
		s.settleEnd()
	} else {
		e := &protocol.Error{}
		if protocol.Unmarshal(protocol.KindRefused, body, e) != nil {
			e = protocol.Errorf(protocol.CodeBindFailed, "OnSessionBind", "instance %s refused session %d", i.container, number)
		}
		s.stats.failing.note(s, i, "OnSessionBind", 0, body)
		s.broke = true
		s.close(true, e)
	}
	i.vacated()
}

// vacated uses a place that has become free.
func (i *instance) vacated() {
	i.invite()
	i.serve()
	i.leave()
}

// invite gives the places of an instance, free ones and those of sessions with nothing to do, to sessions that wait.
func (i *instance) invite() {
	for m := i.manager; i.serves() && !i.reserved && len(m.waiting) > 0 && i.hasPlace(); {
		m.waiting[0].place(i)
	}
}

// letGo takes the session off an instance as soon as its tasks there are answered.
func (t *seat) letGo() {
	switch {
	case t.state == seatLeaving:
	case t.flight == 0, planted.Is(planted.UnbindTooEarly):
		t.unbind()
	default:
		t.state = seatYielding
	}
}

// unbind takes the session off an instance now.
func (t *seat) unbind() {
	if t.state == seatLeaving {
		return
	}
	t.state = seatLeaving
	t.instance.link.Append(protocol.KindUnbind, t.session.number, 0, nil)
}

func (i *instance) unbound(number protocol.SessionNumber) {
	t := i.seatOf(number)
	if t == nil || t.state != seatLeaving {
		return
	}
	i.flight -= t.flight // of a killed session: their slots are free already
	i.bytes -= t.bytes
	t.flight, t.bytes = 0, 0
	t.unseat()
	s := t.session
	if s.closed {
		s.settleEnd()
	} else {
		t.tell(protocol.EventPaged, "")
		if s.queue.n+s.suspects.n > 0 {
			s.fill()
		}
	}
	i.vacated()
}

// tell tells the control loop what became of a seat.
func (t *seat) tell(event, reason string) {
	i := t.instance
	t.session.manager.core.note(session.Note{Seat: &session.Seat{
		Session: t.session.number, Container: i.container, Node: i.node, Event: event, Reason: reason,
	}})
}

// unseat removes a seat that holds no tasks.
func (t *seat) unseat() {
	t.session.seats = without(t.session.seats, t)
	t.instance.seats = without(t.instance.seats, t)
	if t.turning {
		t.turning = false
		t.instance.turns = without(t.instance.turns, t)
	}
	t.session.touch()
}

func (s *hosted) settleEnd() {
	if len(s.seats) == 0 {
		s.gone(nil)
	}
}

// seatEagerly binds a session to the instance with the most free places, if there is one.
func (s *hosted) seatEagerly() {
	var best *instance
	for _, i := range s.manager.instances {
		if i.serves() && len(i.seats) < i.places && (best == nil || i.places-len(i.seats) > best.places-len(best.seats)) {
			best = i
		}
	}
	if best != nil {
		s.bind(best)
	}
}

// widen looks for one more seat for a session whose tasks find no credit where it is bound: a free place, or the place
// of the session that has been idle for longest. A session without any seat waits for one.
func (s *hosted) widen() {
	var best *instance
	for _, i := range s.manager.instances {
		if !i.serves() || i.reserved || i.seatOf(s.number) != nil || i.room() <= 0 {
			continue
		}
		if best == nil || i.room() > best.room() {
			if i.hasPlace() {
				best = i
			}
		}
	}
	if best != nil {
		s.place(best)
		return
	}
	if s.waits || heeded(s) {
		return
	}
	for _, i := range s.manager.instances {
		if i.serves() && !i.reserved && i.hasPlace() {
			s.place(i)
			return
		}
	}
	s.waits = true
	s.manager.waiting = append(s.manager.waiting, s)
}

// hasPlace says whether a session can be bound: there is a free place, or a session with nothing to do gives up its own.
func (i *instance) hasPlace() bool { return len(i.seats) < i.places || i.idleSeat() != nil }

// place binds a session to an instance that has a place.
func (s *hosted) place(i *instance) {
	if len(i.seats) >= i.places {
		// Unbind goes first and is done first: the place is free when Bind is read.
		i.idleSeat().unbind()
	}
	s.bind(i)
}

// idleSeat gives the seat that was used longest ago of those whose session has nothing unfinished, or is suspended.
func (i *instance) idleSeat() *seat {
	var best *seat
	for _, t := range i.seats {
		if t.state == seatBound && t.flight == 0 && (t.session.unfinished() == 0 || t.session.suspended) && (best == nil || t.used < best.used) {
			best = t
		}
	}
	return best
}

// rotate gives sessions that wait without a seat the place of one that has had its slice of time.
func (m *manager) rotate() {
	c := m.core
	waiting := len(m.waiting)
	for _, i := range m.instances {
		if waiting == 0 {
			return
		}
		if !i.serves() || i.reserved {
			continue
		}
		leaving := len(i.seats) - i.places // places promised twice
		var oldest *seat
		for _, t := range i.seats {
			if t.state >= seatYielding {
				leaving++
			}
			if t.state == seatBound && (oldest == nil || t.since.Before(oldest.since)) {
				oldest = t
			}
		}
		if leaving > 0 {
			waiting -= leaving
			continue
		}
		if oldest != nil && c.now.Sub(oldest.since) >= sliceTime {
			oldest.letGo()
			waiting--
		}
	}
}
