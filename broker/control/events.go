package control

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// diary is what happened to a session: the last protocol.MaxEvents of it.
type diary struct {
	first  uint64 // number of the first that is kept, less 1
	events []event
	waits  string // the reason that was noted last, until the session is bound
}

type event struct {
	at           time.Time
	kind, detail string
}

// happened notes something that happened to a session.
func (t *sessions) happened(s *sess, kind, detail string) {
	d := &s.diary
	e := event{t.c.now, kind, cut(detail)}
	if len(d.events) < protocol.MaxEvents {
		d.events = append(d.events, e)
		return
	}
	copy(d.events, d.events[1:])
	d.events[len(d.events)-1] = e
	d.first++
}

// waits notes why a session waits, when that is not what was noted before; "" is no reason.
func (t *sessions) waits(s *sess, why string) {
	if why != "" && why != s.diary.waits {
		s.diary.waits = why
		t.happened(s, protocol.EventWaiting, why)
	}
}

// notedPerNode is how long it takes for each node until it is looked again for what sessions wait: it means to look at all.
const notedPerNode = 500 * time.Microsecond

// noteWaits notes for the sessions of a manager that serves nothing why they wait.
func (t *managers) noteWaits(m *manager) {
	if m.serving() && !m.waits || m.sessions.Len() == 0 || t.c.now.Sub(m.noted) < time.Duration(t.lookup.Nodes())*notedPerNode {
		return
	}
	m.noted = t.c.now
	if why := m.explain(t, false); why != "" {
		for _, s := range m.sessions.All() {
			t.c.sessions.waits(s, why)
		}
	}
}

// seated takes what a manager tells of a session and an instance.
func (t *sessions) seated(n *session.Seat) {
	s, ok := t.open.Get(n.Session)
	if !ok {
		return
	}
	detail := "instance " + onNode(n.Container, n.Node)
	if n.Reason != "" {
		detail += ": " + n.Reason
	}
	if n.Event == protocol.EventLost {
		t.lost(s, n)
	}
	if n.Event == protocol.EventBound {
		s.diary.waits = ""
	}
	t.happened(s, n.Event, detail)
}

// tells takes what a manager tells of a session.
func (t *sessions) tells(n *session.Happened) {
	if s, ok := t.open.Get(n.Session); ok {
		t.happened(s, n.Kind, n.Detail)
	}
}

func onNode(container, node string) string {
	if node == "" {
		return container
	}
	return container + " on node " + node
}

// noteEnd notes the end of a session.
func (t *sessions) noteEnd(s *sess, err *protocol.Error) {
	kind, why := protocol.EventClosed, ""
	if s.state == session.Failed {
		kind = protocol.EventFailed
	}
	if err != nil {
		why = err.Error()
	}
	t.happened(s, kind, why)
}

// closingDetail says by whom, how and why a session is closed.
func closingDetail(by string, req *protocol.CloseSession) string {
	how := "when its tasks are finished"
	if req.Mode == protocol.CloseKill {
		how = "at once"
	}
	if req.Reason != "" {
		how += ": " + req.Reason
	}
	if by == "" {
		return how
	}
	return fmt.Sprintf("by %s, %s", by, how)
}

// listEvents answers with the events of a session whose number is above After, a decimal number.
func listEvents(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.SessionEvent](req.Limit)
	if err != nil {
		return err
	}
	after := uint64(0)
	if req.After != "" {
		if after, err = strconv.ParseUint(req.After, 10, 64); err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "list events", "after: %q is not the number of an event", req.After)
		}
	}
	s, _, err := c.sessions.find(req.Session, "list events")
	if err != nil {
		return err
	}
	for i, e := range s.diary.events {
		number := s.diary.first + uint64(i) + 1
		if number > after && !page.add(protocol.SessionEvent{Number: number, At: e.at, Kind: e.kind, Detail: e.detail}) {
			break
		}
	}
	p.answer(c.out, 0, protocol.KindEventPage, r.Task, protocol.EventPage{
		Entries: page.entries, More: page.more, Over: s.state.Over() && !page.more,
	})
	return nil
}
