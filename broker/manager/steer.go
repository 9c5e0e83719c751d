package manager

import "github.com/weft-fabric/weft/protocol"

// steering changes what a session does. What it does already is done again without effect.
type steering struct{ *hosted }

// take does what the control loop orders.
func (s steering) take(action string) {
	if s.closed {
		return
	}
	switch action {
	case protocol.SteerStop:
		s.stopped = true
	case protocol.SteerAccept:
		s.stopped = false
	case protocol.SteerSuspend:
		s.suspend()
	case protocol.SteerResume:
		s.resume()
	}
}

// suspend has nothing more of the session begun: what is at instances and was not begun is asked back, the last first,
// so that it comes back into the queue in its order.
func (s steering) suspend() {
	if s.suspended {
		return
	}
	s.suspended = true
	m := s.manager
	for k := s.flight.tail; k != 0; k = m.slab.slots[k].prev {
		if t := &m.slab.slots[k]; !t.suspect && t.seat != nil { // one that is there alone has been begun
			m.recall(k, t.seat.instance)
		}
	}
	if s.waits {
		s.waits = false
		m.waiting = without(m.waiting, s.hosted)
	}
	for _, t := range s.seats {
		if t.instance.reserved {
			t.instance.serve() // for the suspects of others
		}
	}
}

// resume lets the session's tasks be begun again.
func (s steering) resume() {
	if s.suspended {
		s.suspended = false
		s.fill()
	}
}
