package instance

import (
	"slices"

	"github.com/weft-fabric/weft/protocol"
)

// task is one dispatched task that has not started.
type task struct {
	task    uint64 // the manager's name for it; 0: recalled
	id      protocol.TaskID
	payload []byte
	handle  protocol.Handle
	attempt uint8
	limits  *Limits // nil: none
}

// queue is the tasks of one session that have not started, first in first out.
type queue struct {
	items []task
	head  int
	live  int // items that were not recalled
	hint  int // where in items the next recall probably is
}

// push gives the place of one more task, all zero, to be filled in where it is: there is one for each task, and it need not
// be copied.
func (q *queue) push() *task {
	if len(q.items) == cap(q.items) {
		q.widen()
	}
	n := len(q.items)
	q.items = q.items[:n+1]
	q.live++
	return &q.items[n] // what is behind the end is all zero
}

// widen makes room for a task at the end.
func (q *queue) widen() {
	if q.head == 0 {
		q.items = slices.Grow(q.items, 1)
		return
	}
	n := copy(q.items, q.items[q.head:])
	clear(q.items[n:])
	q.items = q.items[:n]
	q.hint, q.head = q.hint-q.head, 0
}

// first is the first task, to be read before the next call of pop. There must be one.
func (q *queue) first() *task {
	for q.items[q.head].task == 0 {
		q.head++
	}
	return &q.items[q.head]
}

// pop drops the first task.
func (q *queue) pop() {
	*q.first() = task{}
	q.live--
	if q.head++; q.live == 0 {
		q.items, q.head = q.items[:0], 0
	}
}

// remove takes the task of that name out, wherever it is. Managers recall neighbours, so that it begins to look
// beside the last one.
func (q *queue) remove(name uint64) (task, bool) {
	n := len(q.items) - q.head
	if n == 0 || name == 0 {
		return task{}, false
	}
	start := q.hint - q.head
	if start < 0 || start >= n {
		start = n - 1
	}
	for i := range n {
		at := q.head + (start+i/2+1)%n // forward
		if i%2 == 0 {
			at = q.head + (start-i/2+n)%n // and backward by turns
		}
		if q.items[at].task == name {
			t := q.items[at]
			q.items[at] = task{}
			q.live--
			q.hint = at
			if q.live == 0 {
				q.items, q.head = q.items[:0], 0
			}
			return t, true
		}
	}
	return task{}, false
}
