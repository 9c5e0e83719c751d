package manager

import (
	"bytes"
	"strings"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// What tasks say while they run: parts of their results, and how far they have come (docs/architecture.md, "Parts"). Both
// count against the client's credit for results. When that is spent parts are kept here: the window of a task bounds
// them, since the instance is granted only what was passed on. Of progress the last word is kept. What is said while a kept session has no client is lost.

// stream is what one task has said. It is a part of the task's extra.
type stream struct {
	attempt  uint8              // that the task is at
	waits    bool               // in hosted.stalled
	untold   bool               // the client does not know of progress yet
	passed   uint32             // parts of the attempt that the client was sent
	kept     [][]byte           // parts that it was not sent, in order
	held     int64              // weight of them
	owed     int64              // weight of those that were passed on and that the instance does not know of
	progress *protocol.Progress // the last word
	words    uint32             // of progress that the client was sent
}

// streamOf gives the stream of a task, nil when it has said nothing.
func (s *slab) streamOf(k uint32) *stream {
	if x := s.extraOf(k); x != nil {
		return x.stream
	}
	return nil
}

// begins notes that a task that has said something is dispatched again, and gives the number of the attempt: one above
// all by which it has said anything, so that who hears it knows that it begins anew.
func (t *stream) begins(attempt uint8) uint8 {
	if attempt <= t.attempt && t.attempt < 255 {
		attempt = t.attempt + 1
	}
	if !planted.Is(planted.PartsMixed) {
		t.kept, t.held = nil, 0
	}
	t.attempt, t.passed, t.owed, t.untold = attempt, 0, 0, false
	return attempt
}

// streams is what the tasks of a manager have said.
type streams struct{ *manager }

// speaker finds the task at an instance that says something by an attempt, and its stream. k is 0 when the task has been
// given up, or this attempt of it.
func (m streams) speaker(i *instance, rec *protocol.Record, attempt uint8) (k uint32, t *stream) {
	if k = m.slab.flying(i, rec); k == 0 {
		return 0, nil
	}
	x := m.slab.needExtra(k)
	if x.stream == nil {
		x.stream = &stream{attempt: attempt}
	}
	if x.stream.attempt != attempt {
		return 0, nil
	}
	return k, x.stream
}

// part takes a part of a task's result.
func (m streams) part(i *instance, rec *protocol.Record) {
	attempt, _, ok := rec.Numbered()
	if !ok || rec.External {
		return
	}
	k, t := m.speaker(i, rec, attempt)
	if k == 0 {
		return
	}
	if t.held >= protocol.PartialWindow || int64(rec.Size) > min(protocol.MaxPartial, m.service.Limits.Payload) {
		m.land(k)
		m.giveUp(k, protocol.Errorf(protocol.CodeTaskFailed, "part", "instance %s sent a part of %d bytes, %d are not passed on: "+
			"it keeps neither the limit for parts nor the window of its task", i.container, rec.Size, t.held))
		return
	}
	s := m.slab.slots[k].session
	if len(t.kept) == 0 && !s.client.deaf() {
		m.passPart(k, t, rec.Payload)
		return
	}
	w := protocol.PartialWeight(len(rec.Payload))
	t.kept = append(t.kept, bytes.Clone(rec.Payload))
	t.held += w
	m.slab.said += w
	t.stall(s, k)
}

// passPart sends the client the next part of a task, and in time grants the instance as much.
func (m streams) passPart(k uint32, t *stream, part []byte) {
	task := &m.slab.slots[k]
	s := task.session
	w := protocol.PartialWeight(len(part))
	if !s.client.absent() {
		s.client.sent += w
		link.AppendNumbered(s.client.link, protocol.KindPartial, s.number, uint64(task.id), part, t.attempt, t.passed)
	}
	t.passed++
	if t.owed += w; t.owed >= protocol.PartialWindow/4 && task.seat != nil {
		task.seat.instance.link.Append(protocol.KindPartialGrant, s.number, m.slab.wireID(k), protocol.Marshal(protocol.PartialGrant{Bytes: t.owed}))
		t.owed = 0
	}
}

// progressed takes word of how far a task has come.
func (m streams) progressed(i *instance, rec *protocol.Record) {
	var p protocol.Progress
	if rec.External || protocol.Unmarshal(rec.Kind, rec.Payload, &p) != nil || p.Attempt < 1 {
		return
	}
	k, t := m.speaker(i, rec, uint8(min(p.Attempt, 255)))
	if k == 0 {
		return
	}
	if len(p.Text) > protocol.MaxText {
		p.Text = strings.ToValidUTF8(p.Text[:protocol.MaxText], "")
	}
	t.progress, t.untold = &p, true
	s := m.slab.slots[k].session
	if s.client.deaf() {
		t.stall(s, k)
		return
	}
	m.passProgress(k, t)
}

func (m streams) passProgress(k uint32, t *stream) {
	s := m.slab.slots[k].session
	t.untold = false
	t.words++
	if s.client.absent() {
		return
	}
	body := protocol.Marshal(t.progress)
	s.client.sent += protocol.PartialWeight(len(body))
	link.AppendNumbered(s.client.link, protocol.KindProgress, s.number, uint64(m.slab.slots[k].id), body, t.attempt, t.words-1)
}

// stall notes that a task has something for a client that takes nothing now.
func (t *stream) stall(s *hosted, k uint32) {
	if !t.waits {
		t.waits = true
		s.stalled = append(s.stalled, s.manager.slab.wireID(k))
	}
}

// passStalled passes on one thing of the session's first stalled task, which is the last then if it has more.
func (m streams) passStalled(s *hosted) {
	id := s.stalled[0]
	s.stalled = s.stalled[1:]
	k := m.slab.find(id)
	t := m.slab.streamOf(k)
	if k == 0 || t == nil {
		return
	}
	t.waits = false
	switch {
	case m.slab.slots[k].seat == nil: // that attempt is over
		return
	case len(t.kept) > 0:
		m.passKept(k, t)
	case t.untold:
		m.passProgress(k, t)
	}
	if t.untold || len(t.kept) > 0 {
		t.stall(s, k)
	}
}

// passKept passes on the first part that is kept.
func (m streams) passKept(k uint32, t *stream) {
	part := t.kept[0]
	t.kept[0] = nil
	t.kept = t.kept[1:]
	w := protocol.PartialWeight(len(part))
	t.held -= w
	m.slab.said -= w
	m.passPart(k, t, part)
}

// deaf says that the client takes nothing now. One that is absent takes everything, for nobody.
func (cl *client) deaf() bool { return cl.blocked() && !cl.absent() }

// passStalled passes on what was kept for the client, by turns of its sessions and of their tasks, while it takes it.
func (cl *client) passStalled() {
	for some := true; some; {
		some = false
		for range cl.sessions {
			if cl.blocked() {
				return
			}
			cl.turn++
			if s := cl.sessions[cl.turn%len(cl.sessions)]; len(s.stalled) > 0 {
				streams{s.manager}.passStalled(s)
				some = true
			}
		}
	}
}

// lastWords passes on all that a task has said and its client was not sent, since its result is next.
func (m streams) lastWords(k uint32) {
	t := m.slab.streamOf(k)
	if t == nil {
		return
	}
	for len(t.kept) > 0 {
		m.passKept(k, t)
	}
	if t.untold {
		m.passProgress(k, t)
	}
}

// conclude sends the client the answer of a task that has said something: with how many parts were sent before it, since
// they may come by another connection. The payload frame h, if any, is taken over.
func (t *stream) conclude(s *hosted, kind protocol.Kind, id protocol.TaskID, payload []byte, size uint32, h protocol.Handle) {
	if h != 0 {
		link.AppendNumberedExternal(s.client.link, kind, s.number, uint64(id), size, h, t.attempt, t.passed)
		return
	}
	link.AppendNumbered(s.client.link, kind, s.number, uint64(id), payload, t.attempt, t.passed)
}

// passAll passes on all that is stalled, for a session whose client has left: nobody hears it, and its tasks go on.
func (m streams) passAll(s *hosted) {
	for len(s.stalled) > 0 {
		m.passStalled(s)
	}
}
