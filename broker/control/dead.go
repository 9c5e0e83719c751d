package control

import (
	"strconv"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// deadLetters is the dead-letter list: the tasks that were given up after their attempts, with their payloads. It is
// bounded in entries and in bytes; the oldest go first, and are counted.
type deadLetters struct {
	c       *Core
	list    ordered.Map[uint64, *deadLetter] // by id, and so in the order in which they came
	bytes   int64
	last    uint64 // id
	dropped uint64
}

type deadLetter struct {
	letter  protocol.DeadLetter
	payload []byte
	size    int64 // bytes of both
}

// Bounds of the list where the configuration does not say otherwise.
const (
	defaultDeadLetters     = 1000
	defaultDeadLetterBytes = 64 << 20
)

// withDeadLetters checks and completes what the configuration says of the list. One entry has to go into it, whatever
// its task, its session's parameters and what was said of it.
func (cfg *Config) withDeadLetters() error {
	one := cfg.MaxPayload + protocol.MaxBody
	if cfg.DeadLetters == 0 {
		cfg.DeadLetters = defaultDeadLetters
	}
	if cfg.DeadLetterBytes == 0 {
		cfg.DeadLetterBytes = max(defaultDeadLetterBytes, one)
	}
	switch {
	case cfg.DeadLetters < 0:
		return protocol.Errorf(protocol.CodeInvalid, "control", "DeadLetters: %d is negative", cfg.DeadLetters)
	case cfg.DeadLetterBytes < one:
		return protocol.Errorf(protocol.CodeInvalid, "control", "DeadLetterBytes: %d is less than %d, which one task with the largest payload may take",
			cfg.DeadLetterBytes, one)
	}
	return nil
}

// add takes what a manager tells of a task that it has given up.
func (t *deadLetters) add(n *session.Dead) {
	l := n.Letter
	s, ok := t.c.sessions.open.Get(l.Session)
	if !ok {
		s, ok = t.c.sessions.over.Get(l.Session)
	}
	if ok {
		l.Environment, l.SessionName, l.Client, l.Parameters = s.environment.name, cut(s.request.Name), s.client.name(), s.request.Parameters
	}
	l.Error, l.Last = cutError(l.Error), cutError(l.Last)
	t.last++
	l.ID = t.last
	d := &deadLetter{letter: l, payload: n.Payload, size: int64(len(protocol.Marshal(l)) + len(n.Payload))}
	t.list.Set(l.ID, d)
	t.bytes += d.size
	for t.list.Len() > t.c.cfg.DeadLetters || t.bytes > t.c.cfg.DeadLetterBytes {
		id, _, _ := t.list.First()
		t.drop(id)
		t.dropped++
	}
}

// drop takes an entry off the list.
func (t *deadLetters) drop(id uint64) {
	if d, ok := t.list.Get(id); ok {
		t.bytes -= d.size
		t.list.Delete(id)
	}
}

// listDead answers with the entries whose id is above After, a decimal number, without the parameters of their sessions.
func listDead(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.ListRequest](r)
	if err != nil {
		return err
	}
	page, err := newPager[protocol.DeadLetter](req.Limit)
	if err != nil {
		return err
	}
	after := uint64(0)
	if req.After != "" {
		if after, err = strconv.ParseUint(req.After, 10, 64); err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "list dead letters", "after: %q is not the id of an entry", req.After)
		}
	}
	for id, d := range c.dead.list.All() {
		l := d.letter
		if id <= after || req.Session != 0 && l.Session != req.Session || req.Service != "" && l.Service != req.Service ||
			req.Version != "" && l.Version != req.Version || req.Environment != "" && l.Environment != req.Environment {
			continue
		}
		l.Parameters = nil
		if !page.add(l) {
			break
		}
	}
	p.answer(c.out, 0, protocol.KindDeadPage, r.Task, protocol.DeadPage{Entries: page.entries, More: page.more, Dropped: c.dead.dropped})
	return nil
}

// getDead answers with an entry and as much of its payload, from the offset on, as goes into the answer.
func getDead(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.GetDead](r)
	if err != nil {
		return err
	}
	d, ok := c.dead.list.Get(req.ID)
	switch {
	case !ok:
		return protocol.Errorf(protocol.CodeNotFound, "get dead letter", "id: the dead-letter list has no entry %d", req.ID)
	case req.Offset < 0 || req.Offset > int64(len(d.payload)):
		return protocol.Errorf(protocol.CodeInvalid, "get dead letter", "offset: %d is not within 0 to %d, the size of the payload", req.Offset, len(d.payload))
	}
	part := d.payload[req.Offset:]
	room := protocol.MaxBody - len(protocol.Marshal(d.letter)) - 1024
	more := len(part) > room
	if more {
		part = part[:room]
	}
	p.answer(c.out, 0, protocol.KindDeadPart, r.Task, protocol.DeadPart{Letter: d.letter, Payload: part, More: more})
	return nil
}

// dropDead takes entries off the list, and answers with how many there were. One that was there once is off it already.
func dropDead(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.DropDead](r)
	if err != nil {
		return err
	}
	if len(req.IDs) == 0 && req.Service == "" && !req.All {
		return protocol.Errorf(protocol.CodeInvalid, "drop dead letters", "ids: is empty; name entries, a service, or all")
	}
	t := c.dead
	for _, id := range req.IDs {
		if id == 0 || id > t.last {
			return protocol.Errorf(protocol.CodeNotFound, "drop dead letters", "ids: the dead-letter list has had no entry %d", id)
		}
	}
	ids := req.IDs
	if len(ids) == 0 {
		for id := range t.list.All() {
			ids = append(ids, id)
		}
	}
	var gone protocol.DeadDropped
	for _, id := range ids {
		if d, ok := t.list.Get(id); ok && (req.Service == "" || d.letter.Service == req.Service) {
			t.drop(id)
			gone.Count++
		}
	}
	p.answer(c.out, 0, protocol.KindDeadDropped, r.Task, gone)
	return nil
}
