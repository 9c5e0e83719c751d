package manager

import (
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Nearly all tasks are plain: a small payload, nothing said of them, no attempt before. They come, leave and are answered in
// runs of one session, and what is here takes a run in one go: it looks once at all that is the same for the whole run,
// and counts once. What a task needs beyond that is done where single tasks are taken (client.task, manager.fly,
// instance.answer), to which a run is only a shorter way: it ends before the first task of which it does not know
// everything.

// runs takes and sends plain records.
type runs struct{ *Core }

// admits is how many plain tasks, and bytes of them, the session takes without a further look at each.
func (c runs) admits(s *hosted) (tasks int, bytes int64) {
	m := s.manager
	if s.stopped || s.closing || s.closed || s.timeout > 0 || s.index != nil || len(s.seen.above) > 0 || planted.Is(planted.TaskTakenTwice) {
		return 0, 0
	}
	return s.credit - s.unfinished() - s.kept.tasks.n,
		min(s.allowed-s.bytes, c.pressure.roof-c.bytes-c.kept, m.share.Memory-m.bytes-m.kept)
}

// tasks takes the plain tasks that come next in a client's frame, whose copy is buf, nil before the first.
func (c runs) tasks(cl *client, records []byte, in *intake, buf *buffer) *buffer {
	number, task, payload, ok := in.reader.Plain(protocol.KindTask)
	for ok {
		if buf == nil {
			buf = c.buffers.copyOf(records, c.now)
		}
		n := 0
		if s := cl.recent; s != nil && s.number == number {
			number, task, payload, ok, n = c.take(s, in, buf, task, payload)
		}
		if n == 0 {
			rec := protocol.Record{Kind: protocol.KindTask, Session: number, Task: task, Payload: payload, Size: uint32(len(payload))}
			cl.task(&rec, buf, uint32(in.reader.Offset()), 0)
			number, task, payload, ok = in.reader.Plain(protocol.KindTask)
		}
	}
	return buf
}

// take queues the task of the session that was read, and those that follow, up to the first that it is not to take. It
// gives that one, and how many were taken.
func (c runs) take(s *hosted, in *intake, buf *buffer, task uint64, payload []byte) (number uint32, next uint64, rest []byte, ok bool, n int) {
	m := s.manager
	slab := &m.slab
	room, most := c.admits(s)
	limit := min(m.service.Limits.Payload, most)
	number, ok = s.number, true
	low, last := s.seen.low, s.queue.plain.tail
	head, bytes := uint32(0), int64(0)
	for ok && n < room && number == s.number && int64(len(payload)) <= limit && bytes+int64(len(payload)) <= most &&
		protocol.TaskID(task).Sequence() == low+1 {
		i := slab.take()
		t := &slab.slots[i] // only written: a free slot is far from the processor
		t.id, t.session, t.buf = protocol.TaskID(task), s, buf
		t.off, t.size = uint32(in.reader.Offset()), uint32(len(payload))
		t.prev, t.next = last, 0
		t.state = taskQueued
		if head == 0 {
			head = i
		} else {
			slab.slots[last].next = i
		}
		last = i
		low++
		n++
		bytes += int64(len(payload))
		number, task, payload, ok = in.reader.Plain(protocol.KindTask)
	}
	if n > 0 {
		q := &s.queue.plain
		if q.tail != 0 {
			slab.slots[q.tail].next = head
		} else {
			q.head = head
		}
		q.tail = last
		q.n += n
		s.queue.n += n
		s.seen.low = low
		m.handled()
		m.usage.records += n - 1
		buf.refs += int32(n)
		buf.live += int32(bytes)
		c.buffers.live += bytes
		s.bytes += bytes
		m.bytes += bytes
		c.bytes += bytes
		s.stats.Submitted += uint64(n)
		s.stats.BytesIn += uint64(bytes)
		s.fill()
	}
	return number, task, payload, ok, n
}

// plain says that there is nothing to be known of a task but its inline payload.
func (t *slot) plain() bool {
	return !t.special && !t.suspect && t.attempts|t.losses == 0 && t.handle == 0
}

// send dispatches up to n of the session's queued tasks to a seat, for as long as they are plain, and says how many it
// has.
func (c runs) send(t *seat, n int, queued *dispatched) (sent int) {
	s, i := t.session, t.instance
	slab := &i.manager.slab
	from := &s.queue.plain
	first := from.head
	if s.run > 0 || first == 0 || n == 0 || s.queue.next() != from || !slab.slots[first].plain() {
		return 0
	}
	if i.sample.task == 0 {
		i.sample = sample{slab.wireID(first), c.now}
	}
	run := link.NewRun(i.link, protocol.KindDispatch, s.number)
	bytes, most := int64(0), instanceBytes-i.bytes
	k, last := first, uint32(0)
	for k != 0 && sent < n {
		task := &slab.slots[k]
		if !task.plain() {
			break
		}
		if !queued.more(task) {
			queued.add(task)
		}
		task.move(taskFlying)
		task.seat = t
		run.AddDispatch(slab.wireID(k), task.buf.data[task.off:task.off+task.size], task.id)
		bytes += int64(task.size)
		sent++
		last, k = k, task.next
		if bytes >= most {
			break
		}
	}
	run.End()
	slab.splice(from, &s.flight, last, sent)
	s.queue.n -= sent
	t.flight += sent
	t.bytes += bytes
	i.flight += sent
	i.bytes += bytes
	return sent
}

// splice moves the first n slots of a list, up to last, to the end of another.
func (s *slab) splice(from, to *list, last uint32, n int) {
	first, rest := from.head, s.slots[last].next
	if from.head = rest; rest != 0 {
		s.slots[rest].prev = 0
	} else {
		from.tail = 0
	}
	from.n -= n
	s.slots[first].prev, s.slots[last].next = to.tail, 0
	if to.tail != 0 {
		s.slots[to.tail].next = first
	} else {
		to.head = first
	}
	to.tail = last
	to.n += n
}

// answers takes the plain results that come next in an instance's frame.
func (c runs) answers(i *instance, in *intake) {
	number, task, payload, ok := in.reader.Plain(protocol.KindResult)
	for ok {
		n := 0
		if t := &i.manager.slab.slots[i.manager.slab.find(task)]; t.seat != nil && t.seat.instance == i &&
			(t.session.number == number || planted.Is(planted.SessionNotAsked)) {
			number, task, payload, ok, n = c.answer(t.seat, in, number, task, payload)
		}
		if n == 0 {
			i.manager.handled()
			rec := protocol.Record{Kind: protocol.KindResult, Session: number, Task: task, Payload: payload, Size: uint32(len(payload))}
			i.answer(&rec, 0)
			number, task, payload, ok = in.reader.Plain(protocol.KindResult)
		}
	}
}

// passes says whether results to the seat are passed on without a further look at each.
func (runs) passes(t *seat) bool {
	s := t.session
	return t.instance.answered && !s.kept.on && !s.client.due && s.expect > 0
}

// lands gives the task at the seat that a plain result names, if it is plain.
func (t *seat) lands(slab *slab, task uint64) (uint32, *slot) {
	k := slab.find(task)
	a := &slab.slots[k]
	if a.seat != t || a.state != taskFlying || !a.plain() {
		return 0, nil
	}
	return k, a
}

// answer passes on the result of the seat that was read, and those that follow, up to the first that it is not to
// pass on. It gives that one, and how many were passed on.
func (c runs) answer(t *seat, in *intake, number uint32, task uint64, payload []byte) (_ uint32, next uint64, rest []byte, ok bool, n int) {
	s, i := t.session, t.instance
	m := i.manager
	slab := &m.slab
	named, ok := number, true
	fits := func(size int) bool { return max(int64(size), 1) == s.expect && int64(size) <= m.service.Limits.Payload }
	k, a := t.lands(slab, task)
	if k == 0 || !c.passes(t) || !fits(len(payload)) {
		return number, task, payload, true, 0
	}
	out := link.NewRun(s.client.link, protocol.KindResult, s.number)
	l := &s.flight
	size, taken := int64(0), int64(0)
	var from holding
	for {
		if task == i.sample.task {
			i.sample.answered(m, k)
		}
		if k == l.head { // as nearly always; its follower learns at the end of the run that it is the first
			l.head = a.next
		} else {
			slab.slots[a.prev].next = a.next
			if a.next != 0 {
				slab.slots[a.next].prev = a.prev
			} else {
				l.tail = a.prev
			}
		}
		from.drop(&c.buffers, a.buf, a.size)
		taken += int64(a.size)
		size += int64(len(payload))
		out.Add(uint64(a.id), payload)
		slab.vacate(k, a)
		n++
		number, task, payload, ok = in.reader.Plain(protocol.KindResult)
		if !ok || number != named || !fits(len(payload)) {
			break
		}
		if k, a = t.lands(slab, task); k == 0 {
			break
		}
	}
	out.End()
	from.settle(&c.buffers)
	if l.head != 0 {
		slab.slots[l.head].prev = 0
	} else {
		l.tail = 0
	}
	l.n -= n
	c.answered(t, n, taken, size)
	return number, task, payload, ok, n
}

// answered counts n results of size bytes to tasks of taken bytes.
func (c runs) answered(t *seat, n int, taken, size int64) {
	s, i := t.session, t.instance
	m := i.manager
	m.handled()
	m.usage.records += n - 1
	t.answered += uint64(n)
	t.flight -= n
	t.bytes -= taken
	i.flight -= n
	i.bytes -= taken
	i.busy = c.now
	s.bytes -= taken
	m.bytes -= taken
	c.bytes -= taken
	s.done += uint64(n)
	s.stats.BytesOut += uint64(size)
	s.client.sent += size
	lender{s}.promise()
	if len(s.client.line) > 0 {
		s.client.relieve()
	}
	i.serve()
	s.touch()
	if s.closing {
		s.settleClose()
	}
}

// vacate frees the slot of a plain task that is in no list.
func (s *slab) vacate(k uint32, t *slot) {
	next := t.gen + 1
	if planted.Is(planted.GenerationKept) {
		next = t.gen
	}
	*t = slot{gen: next}
	s.free = append(s.free, k)
	s.used--
}

// holding is a buffer that tasks of a run are done with, and how many.
type holding struct {
	buf   *buffer
	tasks int32
	bytes int64
}

// drop notes that one more task of n bytes is done with a buffer.
func (h *holding) drop(p *buffers, b *buffer, n uint32) {
	if b != h.buf {
		h.settle(p)
		h.buf = b
	}
	h.tasks++
	h.bytes += int64(n)
}

// settle gives their references up.
func (h *holding) settle(p *buffers) {
	if h.buf != nil {
		h.buf.refs -= h.tasks - 1
		p.drop(h.buf, uint32(h.bytes))
	}
	*h = holding{}
}
