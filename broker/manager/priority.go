package manager

import (
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
)

// queue is the queued tasks of a session: by priority, the higher first, and in order of arrival within one.
type queue struct {
	n     int    // tasks in it
	plain list   // of priority 0, as nearly all are
	ranks []rank // of others, the highest first; one that was used once stays
}

type rank struct {
	priority int8
	list
}

// of gives the list of a priority.
func (q *queue) of(priority int8) *list {
	if priority == 0 {
		return &q.plain
	}
	at, ok := slices.BinarySearchFunc(q.ranks, priority, func(r rank, p int8) int { return int(p) - int(r.priority) })
	if !ok {
		q.ranks = slices.Insert(q.ranks, at, rank{priority: priority})
	}
	return &q.ranks[at].list
}

// first is the task that is next; 0 when there is none.
func (q *queue) first() uint32 {
	for i := range q.ranks {
		r := &q.ranks[i]
		if r.priority < 0 && q.plain.n > 0 || planted.Is(planted.PlainFirst) && q.plain.n > 0 {
			break
		}
		if r.n > 0 {
			return r.head
		}
	}
	return q.plain.head
}

// lists gives the lists that it consists of.
func (q *queue) lists() []*list {
	all := []*list{&q.plain}
	if planted.Is(planted.RanksForgotten) {
		return all
	}
	for i := range q.ranks {
		all = append(all, &q.ranks[i].list)
	}
	return all
}

// ready is how many of the session's queued tasks may be dispatched now, given an instance.
func (s *hosted) ready() int {
	if s.queue.n == 0 || s.suspended && !planted.Is(planted.SuspendIgnored) || (lender{s}).passed() {
		return 0
	}
	return lender{s}.afford(s.queue.n)
}

// enqueue puts a task that is in no list behind the others of its priority.
func (m *manager) enqueue(k uint32) { m.slab.pushBack(m.slab.queueOf(k, 1), k) }

// requeue puts a task that is in no list before the others of its priority.
func (m *manager) requeue(k uint32) { m.slab.pushFront(m.slab.queueOf(k, 1), k) }

// unqueue takes a queued task out of its list.
func (m *manager) unqueue(k uint32) { m.slab.remove(m.slab.queueOf(k, -1), k) }

// queueOf gives the list of a queued task, and counts it in (1) or out (-1).
func (s *slab) queueOf(k uint32, sign int) *list {
	t := &s.slots[k]
	q := &t.session.queue
	q.n += sign
	if t.special {
		return q.of(s.extras[k].priority)
	}
	return &q.plain
}
