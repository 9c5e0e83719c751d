package client

import (
	"slices"

	"github.com/weft-fabric/weft/protocol"
)

// What tasks say while they run. Within one conversation everything comes in order. But when a session's manager moves to
// another loop, what it said before and what it says afterwards come by two connections: the numbers of parts bring them
// back into order, and the answer of a task waits for the parts that it says were sent.

// Said is a part of a task's result, or word of how far the task has come. It is told before the [Completion] of its task.
type Said struct {
	Session *Session
	Task    protocol.TaskID
	Attempt int // by which it was said: grows whenever the task is run anew

	Progress *protocol.Progress // nil: it is a part

	// Of a part.
	Number  int    // from 0 in each attempt, without gaps
	Payload []byte // part of the received frame
	Weight  int64  // to be given to Consumed
	Source  Source
}

// stream is what one task has said.
type stream struct {
	base    int    // attempts of brokers before
	attempt uint8  // the last that was heard of; 0: none
	next    uint32 // number of the next part of it
	early   []Said // parts of it that came before that one, in order
	words   uint32 // of progress that came, the lost ones counted
	end     *ending
}

// ending is the answer of a task, which waits for parts.
type ending struct {
	done    Completion
	attempt uint8
	parts   uint32
}

// waits says whether parts that belong before the answer have not come.
func (t *stream) waits(attempt uint8, parts uint32) bool {
	return parts > 0 && (t.attempt < attempt || t.attempt == attempt && t.next < parts)
}

// find gives the slot of the unfinished task that a record is about.
func find(e *Engine, rec *protocol.Record) (at uint32, ok bool) {
	id := protocol.TaskID(rec.Task)
	at = id.Slot()
	if uint64(at) >= uint64(len(e.slots)) {
		return at, false
	}
	t := &e.slots[at]
	return at, t.session != nil && t.id == id && id.Sequence() > 0 && t.session.number == rec.Session && !t.answered()
}

// said takes a part or a word of progress. What nobody waits for is dropped, and consumed at once.
func (c *conn) said(rec *protocol.Record) {
	e := c.engine
	weight := protocol.PartialWeight(int(rec.Size))
	at, ok := find(e, rec)
	if !ok || rec.External || e.slots[at].told() {
		c.consume(weight)
		return
	}
	t := &e.slots[at]
	if t.stream == nil {
		t.stream = &stream{}
	}
	s := Said{Session: t.session, Task: t.id}
	if rec.Kind == protocol.KindProgress {
		c.consume(weight)
		var p protocol.Progress
		_, word, ok := rec.Numbered()
		if ok && word >= t.stream.words && protocol.Unmarshal(rec.Kind, rec.Payload, &p) == nil && p.Attempt >= int(t.stream.attempt) {
			t.stream.words = word + 1
			p.Attempt += t.stream.base
			s.Attempt, s.Progress = p.Attempt, &p
			e.out.Said = append(e.out.Said, s)
		}
		return
	}
	attempt, number, ok := rec.Numbered()
	s.Number, s.Payload, s.Weight, s.Source = int(number), rec.Payload, weight, Source{conn: c.id, generation: c.generation}
	if !ok || !t.stream.part(e, attempt, s) {
		c.consume(weight)
		return
	}
	if end := t.stream.end; end != nil && !t.stream.waits(end.attempt, end.parts) {
		t.session.At(at).conclude(end.done)
	}
}

// part takes a part of an attempt, and says whether it is of any worth.
func (t *stream) part(e *Engine, attempt uint8, s Said) bool {
	if attempt > t.attempt {
		t.hush(e)
		t.attempt, t.next = attempt, 0
	}
	s.Attempt = t.base + int(attempt)
	i, twice := slices.BinarySearchFunc(t.early, s.Number, func(a Said, number int) int { return a.Number - number })
	if attempt < t.attempt || s.Number < int(t.next) || twice {
		return false
	}
	t.early = slices.Insert(t.early, i, s)
	n := 0
	for n < len(t.early) && t.early[n].Number == int(t.next) {
		t.next++
		n++
	}
	e.out.Said = append(e.out.Said, t.early[:n]...)
	t.early = slices.Delete(t.early, 0, n)
	return true
}

// hush drops the parts that are not passed on, and gives their credit back.
func (t *stream) hush(e *Engine) {
	for i := range t.early {
		e.Consumed(t.early[i].Source, t.early[i].Weight)
	}
	t.early = nil
}

// held says whether the answer of a task waits for parts, and keeps it then.
func (t *slot) held(rec *protocol.Record, done Completion) bool {
	attempt, parts, ok := rec.Numbered()
	if !ok || parts == 0 {
		return false
	}
	if t.stream == nil {
		t.stream = &stream{}
	}
	if !t.stream.waits(attempt, parts) {
		return false
	}
	t.stream.end = &ending{done, attempt, parts}
	return true
}

// release finishes the tasks of a session whose answers wait for parts that will not come any more, since their
// conversation is over.
func (s *Session) release() {
	e := s.engine
	for at := s.first; at != 0; {
		t := &e.slots[at-1]
		i := at - 1
		at = t.next
		if t.stream != nil && t.stream.end != nil {
			s.At(i).conclude(t.stream.end.done)
		}
	}
}

// releaseEnds does so for all sessions.
func releaseEnds(e *Engine) {
	for _, s := range slices.Clone(e.sessions) {
		s.release()
	}
}

// beginAnew notes that all unfinished tasks of a session are run anew: by another broker, or under another number by one that
// had given the client up. Attempts are counted from 1 there.
func (s *Session) beginAnew() {
	e := s.engine
	s.release()
	for at := s.first; at != 0; at = e.slots[at-1].next {
		if t := e.slots[at-1].stream; t != nil {
			*t = stream{base: t.base + int(t.attempt)}
		}
	}
}
