package instance

import (
	"github.com/weft-fabric/weft/protocol"
)

// Answer is the answer to a request about the data of a session.
type Answer struct {
	Request uint64
	Value   []byte          // of Get
	Found   bool            // of Get: there is something under the key
	Err     *protocol.Error // why it was not done; CodeUnavailable: the session manager is gone, and the data with it
}

// requests are those about the data of sessions that the manager has not answered.
type requests struct {
	last    uint64
	open    []asked
	answers []Answer // for the shell
}

type asked struct {
	id      uint64
	session protocol.SessionNumber
}

// Put asks the manager to keep something with a session, or to take it away. An [Answer] with the number that it returns
// follows, unless it is forgotten. Requests are carried out in the order in which they are made.
func Put(e *Engine, s *Session, body protocol.PutData) uint64 {
	return request(e, s, protocol.KindPutData, body)
}

// Get asks the manager for what is kept with a session, as [Put] does.
func Get(e *Engine, s *Session, key string) uint64 {
	return request(e, s, protocol.KindGetData, protocol.GetData{Key: key})
}

// Forget drops the answer to a request, which is carried out all the same.
func Forget(e *Engine, id uint64) { e.requests.take(id) }

func request(e *Engine, s *Session, kind protocol.Kind, body any) uint64 {
	q := &e.requests
	q.last++
	if !e.roster.hears(s.era) {
		q.answers = append(q.answers, Answer{Request: q.last, Err: managerGone(s.Bind.Session)})
		return q.last
	}
	q.open = append(q.open, asked{q.last, s.Bind.Session})
	e.lines.at(Data).link.Append(kind, s.Bind.Session, q.last, protocol.Marshal(body))
	return q.last
}

// take takes a request out that is open, and says whether it was.
func (q *requests) take(id uint64) bool {
	for i := range q.open {
		if q.open[i].id == id {
			q.open = append(q.open[:i], q.open[i+1:]...)
			return true
		}
	}
	return false
}

// answered takes the manager's answer.
func (q *requests) answered(rec *protocol.Record) {
	if !q.take(rec.Task) {
		return
	}
	a := Answer{Request: rec.Task}
	switch rec.Kind { //nolint:exhaustive // there are no other answers
	case protocol.KindSessionData:
		var body protocol.SessionData
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			a.Err = protocol.AsError(err, "get")
		}
		a.Value, a.Found = body.Value, body.Found
	case protocol.KindError:
		a.Err = new(protocol.Error)
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, a.Err); err != nil {
			a.Err = protocol.AsError(err, "session data")
		}
	}
	q.answers = append(q.answers, a)
}

// fail answers all requests that are open, since the manager is no more.
func (q *requests) fail() {
	for _, r := range q.open {
		q.answers = append(q.answers, Answer{Request: r.id, Err: managerGone(r.session)})
	}
	q.open = nil
}

func managerGone(session protocol.SessionNumber) *protocol.Error {
	return protocol.Errorf(protocol.CodeUnavailable, "session data", "the manager of session %d is gone, and its data with it", session)
}
