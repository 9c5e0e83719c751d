package control

import (
	"fmt"
	"strings"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/protocol"
)

// explainedSessions is how many sessions are named with what they wait for.
const explainedSessions = 20

// Kinds of reasons that are not the scheduler's. Those of the scheduler are the names of its barriers.
const (
	reasonBackoff  = "backoff"  // its containers ended too often
	reasonManager  = "manager"  // its session manager waits for its share of the management node
	reasonByHand   = "by_hand"  // it has no artefacts
	reasonStarting = "starting" // a container that it was given is not ready yet
	reasonFailed   = "failed"   // how the last container ended, where none serves
	reasonIdle     = "idle"     // no session has asked for anything
)

// explain answers with what a session or a service waits for.
func explain(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.Explain](r)
	if err != nil {
		return err
	}
	var e protocol.Explained
	switch {
	case (req.Session == 0) == (req.Service == ""):
		return protocol.Errorf(protocol.CodeInvalid, "explain", "session %d and service %q are named; name one of them", req.Session, cut(req.Service))
	case req.Session != 0:
		e, err = c.sessions.explain(req.Session)
	default:
		e, err = c.explainService(protocol.ServiceRef{Name: req.Service, Version: req.Version})
	}
	if err != nil {
		return err
	}
	p.answer(c.out, 0, protocol.KindExplained, r.Task, e)
	return nil
}

// explain says what a session waits for.
func (t *sessions) explain(number protocol.SessionNumber) (protocol.Explained, error) {
	s, over, err := t.find(number, "explain")
	if err != nil {
		return protocol.Explained{}, err
	}
	info := t.info(s)
	e := protocol.Explained{Session: s.number, Service: info.Service, State: info.State}
	if over {
		if info.Reason != "" {
			e.Reasons = []protocol.Reason{{Kind: info.State, Text: info.Reason}}
		}
		return e, nil
	}
	e.Requests = []protocol.ExplainedRequest{t.c.managers.explained(s.manager)}
	return e, nil
}

// explainService says what a service waits for.
func (c *Core) explainService(ref protocol.ServiceRef) (protocol.Explained, error) {
	entries, err := c.catalogue.Find(ref)
	if err != nil {
		return protocol.Explained{}, err
	}
	e := protocol.Explained{Service: ref.Name}
	for _, entry := range entries {
		for m := range c.managers.of(entry) {
			if len(e.Requests) < protocol.MaxPage {
				e.Requests = append(e.Requests, c.managers.explained(m))
			}
		}
	}
	if len(e.Requests) == 0 {
		e.Reasons = []protocol.Reason{{Kind: reasonIdle, Text: "no session has asked for it"}}
	}
	return e, nil
}

// explained says what a manager's request for containers has, wants, and waits for.
func (t *managers) explained(m *manager) protocol.ExplainedRequest {
	e := protocol.ExplainedRequest{
		Request: m.rid(), Version: m.service.Version, Queue: m.charged.queue, Policy: t.c.queues.policy(m.charged.queue),
		Wanted: m.want, Held: m.count.live() + m.byHand[fleet.Serving], Capacity: m.service.Requests[0].Capacity,
	}
	for number := range m.sessions.All() {
		if len(e.Sessions) == explainedSessions {
			break
		}
		e.Sessions = append(e.Sessions, number)
	}
	add := func(kind, text string) {
		if text != "" {
			e.Reasons = append(e.Reasons, protocol.Reason{Kind: kind, Text: cut(text)})
		}
	}
	add(reasonManager, t.c.hosts.shares.Explain(m.id))
	if !m.startable() {
		if e.Held < m.want {
			add(reasonByHand, "it has no artefacts: an instance has to be started by hand")
		}
		return e
	}
	if until, waits := m.backoff.Holds(t.c.now); waits && m.want > m.count.live() {
		add(reasonBackoff, fmt.Sprintf("%d containers died without a result in between; the next one starts in %v", m.backoff.Deaths(), until.Sub(t.c.now)))
	}
	if !m.serving() && m.last != "" {
		add(reasonFailed, "the last container: "+m.last)
	}
	t.c.pass.spend(t.lookup.Nodes())
	told, ok := t.sched.Explain(m.rid())
	if !ok || told.Held >= told.Want {
		if !m.serving() && m.count.live() > 0 {
			add(reasonStarting, m.starting())
		}
		return e
	}
	e.Wanted, e.Held, e.Position = told.Want, told.Held, told.Position
	for _, r := range told.Reasons {
		e.Reasons = append(e.Reasons, protocol.Reason{
			Kind: strings.ReplaceAll(r.Barrier.String(), " ", "_"), Queue: r.Queue, Dimension: strings.ReplaceAll(r.Dimension, " ", "_"), Short: r.Short, Nodes: r.Nodes, Text: cut(r.Text),
		})
	}
	return e
}
