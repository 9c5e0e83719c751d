package control

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// queryLimit is how long a manager has to answer a question. Its loop answers in its next turn, or when the manager has
// arrived where it is going: one that takes longer is stuck.
const queryLimit = 5 * time.Second

// queries is the questions to managers that have not been answered.
type queries struct {
	c    *Core
	next uint64
	open ordered.Map[uint64, query]
}

// query is one question.
type query struct {
	asked time.Time
	loop  int // that was asked
	then  func(*session.Answer)
}

// ask asks a manager, which must have a loop. Later, and once, then is called with the answer: the manager's, or the error
// that it does not answer.
func (q *queries) ask(m *manager, o session.Query, then func(*session.Answer)) {
	q.next++
	o.ID, o.Manager = q.next, m.hosting
	q.open.Set(o.ID, query{asked: q.c.now, loop: m.holdsOf(), then: then})
	q.c.managers.order(m, session.Order{Query: &o})
}

// answered takes the answer of a manager.
func (q *queries) answered(a *session.Answer) {
	if asked, ok := q.open.Get(a.ID); ok {
		q.open.Delete(a.ID)
		asked.then(a)
	}
}

// beat gives up what was not answered in time.
func (q *queries) beat() {
	for id, asked := range q.open.All() {
		if q.c.now.Sub(asked.asked) > queryLimit {
			q.answered(&session.Answer{ID: id, Error: protocol.Errorf(protocol.CodeUnavailable, "query",
				"manager loop %d has not answered for %v", asked.loop, queryLimit)})
		}
	}
}

// askOf asks the manager of an open session, and answers the request by what answer makes of what that says; an error goes
// back as it is.
func (q *queries) askOf(p *party, r *protocol.Record, number protocol.SessionNumber, o session.Query, answer func(*session.Answer) (protocol.Kind, any)) error {
	s, ok := q.c.sessions.open.Get(number)
	op := fmt.Sprintf("session %d", number)
	switch {
	case !ok:
		if _, over := q.c.sessions.over.Get(number); over {
			return protocol.Errorf(protocol.CodeSessionClosed, op, "it is over, and none of its tasks is left")
		}
		return protocol.Errorf(protocol.CodeUnknownSession, op, "no session has the number")
	case s.manager.hosting == 0:
		return protocol.Errorf(protocol.CodeUnavailable, op, "its session manager waits for its share of the management node; no task of it was taken yet")
	}
	id := r.Task // the record is the party's frame, which is used again
	q.ask(s.manager, o, func(a *session.Answer) {
		if a.Error != nil {
			p.refuse(q.c.out, id, a.Error)
			return
		}
		kind, body := answer(a)
		p.answer(q.c.out, 0, kind, id, body)
	})
	return nil
}

func getTask(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.TaskRef](r)
	if err != nil {
		return err
	}
	return c.queries.askOf(p, r, req.Session, session.Query{Task: req}, func(a *session.Answer) (protocol.Kind, any) {
		a.Task.Error = cutError(a.Task.Error)
		return protocol.KindTaskInfo, a.Task
	})
}

// cancelled is the error of a task that somebody has cancelled.
func cancelled(by, reason string) *protocol.Error {
	if reason == "" {
		return protocol.Errorf(protocol.CodeCancelled, "task", "cancelled by %s", by)
	}
	return protocol.Errorf(protocol.CodeCancelled, "task", "cancelled by %s: %s", by, cut(reason))
}

// cancelTask ends a task of any client. One that is over is left as it is.
func cancelTask(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.TaskRef](r)
	if err != nil {
		return err
	}
	if req.Sequence == 0 {
		return protocol.Errorf(protocol.CodeInvalid, "cancel task", "sequence: is 0; the tasks of a session count from 1")
	}
	by := itsClient
	if s, ok := c.sessions.open.Get(req.Session); ok {
		by = s.askedBy(p)
	}
	q := session.Query{Cancel: &session.Cancel{Session: req.Session, Sequence: req.Sequence, Error: cancelled(by, req.Reason)}}
	return c.queries.askOf(p, r, req.Session, q, func(*session.Answer) (protocol.Kind, any) { return protocol.KindDone, nil })
}

// listTasks answers with the unfinished tasks of a session whose sequence is above After, a decimal number.
func listTasks(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.TaskInfo](req.Limit)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(req.After, 10, 64); req.After != "" && err != nil {
		return protocol.Errorf(protocol.CodeInvalid, "list tasks", "after: %q is not the sequence of a task", req.After)
	}
	return c.queries.askOf(p, r, req.Session, session.Query{Tasks: req}, func(a *session.Answer) (protocol.Kind, any) {
		for _, e := range a.Tasks.Entries {
			if e.Error = cutError(e.Error); !page.add(e) {
				break
			}
		}
		return protocol.KindTaskPage, protocol.TaskPage{Entries: page.entries, More: page.more || a.Tasks.More}
	})
}
