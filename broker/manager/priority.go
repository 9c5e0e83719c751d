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

// of gives the list of a queued task.
func (q *queue) of(s *slab, k uint32) *list {
	if !s.slots[k].special {
		return &q.plain
	}
	return q.rank(s.extras[k].priority)
}

// rank gives the list of a priority.
func (q *queue) rank(priority int8) *list {
	if priority == 0 {
		return &q.plain
	}
	at, ok := slices.BinarySearchFunc(q.ranks, priority, func(r rank, p int8) int { return int(p) - int(r.priority) })
	if !ok {
		q.ranks = slices.Insert(q.ranks, at, rank{priority: priority})
	}
	return &q.ranks[at].list
}

// next is the list with the task that is next, which is empty when there is none.
func (q *queue) next() *list {
	for i := range q.ranks {
		r := &q.ranks[i]
		if r.priority < 0 && q.plain.n > 0 || planted.Is(planted.PlainFirst) && q.plain.n > 0 {
			break
		}
		if r.n > 0 {
			return &r.list
		}
	}
	return &q.plain
}

// take takes the next task, which there is, out of its list.
func (q *queue) take(s *slab) uint32 {
	l := q.next()
	k := l.head
	s.remove(l, k)
	q.n--
	return k
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
func (m *manager) enqueue(k uint32) {
	q := &m.slab.slots[k].session.queue
	q.n++
	m.slab.pushBack(q.of(&m.slab, k), k)
}

// requeue puts a task that is in no list before the others of its priority.
func (m *manager) requeue(k uint32) {
	q := &m.slab.slots[k].session.queue
	q.n++
	m.slab.pushFront(q.of(&m.slab, k), k)
}

// unqueue takes a queued task out of its list.
func (m *manager) unqueue(k uint32) {
	q := &m.slab.slots[k].session.queue
	q.n--
	m.slab.remove(q.of(&m.slab, k), k)
}
