package manager

// A client's credit for results counts those that were sent to it and that it has not consumed, and those that are to be
// expected of its tasks at instances: nobody can stop a result that is under way. What a session's results will be is
// guessed from those before. So the results of a client that takes nothing stay within its credit, whatever their size,
// and what few tasks run before the first result is known.

// tightCredit is what a client is given at most, in bytes, while memory is short. It is more than what clients consume
// without a word.
const tightCredit = 2 << 20

// lender is what a session has in its client's credit for results.
type lender struct{ *hosted }

// limit is the client's credit in bytes as it counts now; 0 is without limit.
func (cl *client) limit() int64 {
	if (gauge{cl.core}).tight() && (cl.allowed == 0 || cl.allowed > tightCredit) {
		return tightCredit
	}
	return cl.allowed
}

// blocked says that the client has spent its credit for results: its tasks wait.
func (cl *client) blocked() bool {
	limit := cl.limit()
	return limit > 0 && cl.sent-cl.consumed >= limit
}

// guess is how many bytes the result of a session's next task is expected to have; 0 is not known.
func (s lender) guess() int64 {
	if s.expect > 0 {
		return s.expect
	}
	return s.manager.expect
}

// afford is how many of n tasks of the session the client's credit allows to be dispatched now. One is allowed whatever
// its size while the client has anything left, and nothing of it is at instances.
func (s lender) afford(n int) int {
	cl := s.client
	limit := cl.limit()
	if limit == 0 {
		return n
	}
	guess := s.guess()
	if guess == 0 && limit < cl.allowed { // tight: it may be the worst
		guess = s.manager.service.Limits.Payload
	}
	switch free := limit - (cl.sent - cl.consumed) - cl.promised; {
	case free > 0 && int64(n)*guess <= free:
		return n
	case free >= guess && guess > 0:
		return int(free / guess)
	case s.flight.n == 0 && cl.promised == 0 && !cl.blocked():
		return 1
	default:
		return 0
	}
}

// promise brings what is expected of the session's tasks at instances up to date.
func (s lender) promise() {
	if now := int64(s.flight.n) * s.guess(); now != s.promised {
		s.charge(now)
	}
}

// charge has the client's credit count so many bytes of results of the session that are expected.
func (s lender) charge(bytes int64) {
	more := bytes - s.promised
	s.promised = bytes
	s.client.promised += more
	s.client.core.promised += more
}

// withdraw takes the session off its client's account, because it is over or leaves the loop.
func (s lender) withdraw() {
	s.charge(0)
	if s.lined {
		s.lined = false
		s.client.line = without(s.client.line, s.hosted)
	}
}

// learn takes the size of a result that is not what was guessed. The guess rises fast and falls slowly. When it has risen, more may be at instances
// than the credit allows: what was not begun there is asked back.
func (s lender) learn(size int64) {
	before := s.expect
	switch size = max(size, 1); {
	case size == before:
		return
	case before == 0:
		s.expect = size
		s.fill() // its seats are given more now
	case size > before:
		s.expect += (size - before + 3) / 4
	default:
		s.expect -= (before - size) / 64
	}
	if s.manager.expect = s.expect; s.expect > before {
		s.promise()
		s.client.recallExcess()
	}
}

// answered takes note of an answer of that size to a task of the session. One without bytes counts as one byte, so that it
// is known that results are small.
func (s lender) answered(size int64) {
	if max(size, 1) != s.expect {
		s.learn(size)
	}
	if len(s.client.line) > 0 {
		s.client.relieve()
	}
}

// recallExcess asks for tasks back when clearly more is to be expected of those at instances than the credit allows.
func (cl *client) recallExcess() {
	limit := cl.limit()
	excess := cl.sent - cl.consumed + cl.promised - limit
	if limit == 0 || excess <= limit/4 {
		return
	}
	for _, s := range cl.sessions {
		m := s.manager
		for k := s.flight.tail; k != 0 && excess > 0; k = m.slab.slots[k].prev {
			if t := &m.slab.slots[k]; !t.suspect && t.seat != nil && m.recall(k, t.seat.instance) {
				excess -= lender{s}.guess()
			}
		}
	}
}

// lineUp puts a session into the line of those that wait for the client's credit, or takes it out, after it was its turn
// to have its tasks dispatched. Who got something and needs more goes to the end of the line; who comes while others
// wait goes there as well.
func (s lender) lineUp(got bool) {
	cl := s.client
	if len(cl.line) == 0 && s.queue.n == 0 {
		return
	}
	waits := s.queue.n > 0 && !s.suspended
	short := waits && s.afford(1) == 0
	switch {
	case !s.lined:
		waits = short || waits && len(cl.line) > 0
	case cl.line[0] == s.hosted && (got || !short):
		cl.line = cl.line[1:]
		s.lined, waits = false, short
	default:
		waits = false
	}
	if waits {
		s.lined = true
		cl.line = append(cl.line, s.hosted)
	}
	cl.relieve()
}

// passed says whether others of the client are before the session in the line.
func (s lender) passed() bool { return len(s.client.line) > 0 && s.client.line[0] != s.hosted }

// look sees to sessions that something holds back which has passed by itself: memory is not short any more.
func (s lender) look() {
	if s.lined {
		s.client.relieve()
	}
	if len(s.stalled) > 0 && !s.client.blocked() {
		s.client.passStalled()
	}
}

// relieve has the first session dispatch its tasks that waits for the client's credit, when there is some again.
func (cl *client) relieve() {
	for len(cl.line) > 0 {
		s := cl.line[0]
		if (lender{s}).afford(1) > 0 && s.queue.n > 0 && !s.suspended {
			s.fill()
			return
		}
		if s.queue.n > 0 && !s.suspended {
			return
		}
		s.lined = false
		cl.line = cl.line[1:]
	}
}
