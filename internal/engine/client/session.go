package client

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Session is a session of this client, from [Engine.Open] to the [Note] that it ended.
type Session struct {
	engine *Engine
	spec   protocol.OpenSession
	number protocol.SessionNumber // 0 until it was opened
	opened bool
	anew   bool // the number is of a broker before; this one was asked for another
	ended  bool
	epoch  protocol.Epoch  // of the broker that opened it last
	err    *protocol.Error // why it ended, or will refuse

	conn *conn      // where it is served; nil: not known
	link *link.Link // of conn, or one that never opens, from which nothing leaves

	sequence  uint64
	list           // unfinished tasks that were written
	held      list // those that wait for others, and have no sequence
	tasks     int  // of both
	bytes     int64
	cancelled uint64   // CancelAll was for the tasks up to this sequence
	order     []*extra // ordered tasks that were not told of, in the order of their submission
	kept      int      // ordered tasks that were answered, and are not delivered
	keptBytes int64

	windowTasks int   // wished; 0: as granted
	windowBytes int64 // wished; 0: as granted
	taskCredit  int
	byteCredit  int64
	maxPayload  int64
	version     string
	declared    protocol.Interface // of the service, as it was when the session was opened

	closing string    // the mode in which it is to be closed, "" while it is not
	told    bool      // the wish to close was sent
	drainBy time.Time // its end was told, the last results are on their way at most until then

	tenure    *tenure
	referrals uint64 // since it was opened
	stay      uint64 // how often the session was given to a client before, as the broker told
}

// Number is the session's number; 0 until it is open. A broker that takes over may give it another.
func (s *Session) Number() protocol.SessionNumber { return s.number }

// Version is the version of the service, as the broker told it.
func (s *Session) Version() string { return s.version }

// Service is the name of the service.
func (s *Session) Service() string { return s.spec.Service }

// Declared is what the service declared of its types; it does not change once the session is open.
func (s *Session) Declared() protocol.Interface { return s.declared }

// MaxPayload is how many bytes a payload may have.
func (s *Session) MaxPayload() int64 { return s.maxPayload }

// Tasks is the number of its unfinished tasks.
func (s *Session) Tasks() int { return s.tasks }

// Window is how many tasks may be unfinished, or not be delivered.
func (s *Session) Window() int { return s.taskCredit }

// Accepting says whether it takes tasks, given room.
func (s *Session) Accepting() bool {
	return s.opened && !s.ended && s.closing == "" && !s.tenure.leaving()
}

// Open asks for a session; a [Note] tells when it is open or that it was refused. Key in spec is given by the engine.
// Tasks and bytes are the most that shall be unfinished, 0: as the broker grants.
func (e *Engine) Open(spec protocol.OpenSession, tasks int, bytes int64) *Session {
	s := newSession(e, spec, tasks, bytes)
	if spec.Disconnect == protocol.DisconnectKeep {
		s.tenure = newTenure(s)
	}
	if !s.ended {
		ask(s)
	}
	return s
}

// newSession makes a session that is to be asked for, or is over since the client is closed.
func newSession(e *Engine, spec protocol.OpenSession, tasks int, bytes int64) *Session {
	e.lastKey++
	spec.Key = e.lastKey
	s := &Session{engine: e, spec: spec, windowTasks: tasks, windowBytes: bytes, link: e.node.Link()}
	if e.shut {
		s.ended = true
		e.out.Notes = append(e.out.Notes, Note{
			Session: s, Ended: true, Err: protocol.Errorf(protocol.CodeClosed, "open session", "the client is closed"),
		})
		return s
	}
	e.sessions = append(e.sessions, s)
	return s
}

// Close asks to close a session. By protocol.CloseFinish it takes no more tasks, and is closed when the last of its
// tasks is finished; by protocol.CloseKill its tasks fail when the broker has closed it. A session that is not open
// yet ends at once. A [Note] tells its end.
func (e *Engine) Close(s *Session, mode string) {
	if s.ended || s.closing == protocol.CloseKill {
		return
	}
	s.closing = mode
	if mode == protocol.CloseKill {
		s.told = false
	}
	if !s.opened { // its answer is met by a kill, see sessionOpened
		s.closing = protocol.CloseKill
		s.end(protocol.Errorf(protocol.CodeSessionClosed, "open session", "given up before it was open"))
		return
	}
	s.sendClose()
}

// sendClose sends the wish to close when its time has come.
func (s *Session) sendClose() {
	e := s.engine
	if s.closing == "" || s.told || s.anew || s.closing == protocol.CloseFinish && pending(s) {
		return
	}
	s.told = true
	e.ask(protocol.KindCloseSession, s, protocol.CloseSession{Session: s.number, Mode: s.closing, Own: true, Tenure: s.stay})
}

// drained notes that s has no unfinished task.
func (s *Session) drained() {
	if !s.drainBy.IsZero() {
		s.end(nil)
		return
	}
	s.sendClose()
}

// end ends a session: its unfinished tasks fail with err.
func (s *Session) end(err *protocol.Error) {
	e := s.engine
	s.ended, s.err = true, err
	if err == nil {
		s.err = protocol.Errorf(protocol.CodeSessionClosed, "session", "it was closed")
	}
	for _, l := range []*list{&s.held, &s.list} {
		for l.first != 0 {
			s.At(l.first - 1).fail(s.err)
		}
	}
	if s.conn == nil {
		s.link.Close()
	}
	s.conn = nil
	if e.numbers[s.number] == s {
		delete(e.numbers, s.number)
	}
	for i := range e.sessions {
		if e.sessions[i] == s {
			e.sessions = append(e.sessions[:i], e.sessions[i+1:]...)
			break
		}
	}
	e.out.Notes = append(e.out.Notes, Note{Session: s, Ended: true, Err: err})
}

// park takes the referral of s away: what is submitted from now on waits for the next one.
func (s *Session) park() {
	e := s.engine
	if s.conn == nil {
		return
	}
	s.conn = nil
	s.link = e.node.Link()
}

// refer takes the news of where s is served, and sends what is unfinished there. The connection to where it was served
// stays: results may still come by it, and s may come back.
func (s *Session) refer(now time.Time, endpoint string) {
	e := s.engine
	s.referrals++
	if s.conn != nil && s.conn.endpoint == endpoint {
		s.tenure.farewell() // which counts only when it knows of all referrals
		return
	}
	s.park()
	var to *conn
	for _, c := range e.conns {
		if !c.control && c.endpoint == endpoint {
			to = c
		}
	}
	if to == nil {
		to = e.dial(now, endpoint, false)
	}
	parked := s.link
	s.conn, s.link = to, to.link
	s.resend()
	parked.Close()
}
