package instance

import "github.com/weft-fabric/weft/protocol"

// task is one dispatched task that has not started.
type task struct {
	task    uint64 // the manager's name for it; 0: recalled
	id      protocol.TaskID
	payload []byte
	size    uint32
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

func (q *queue) push(t task) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items = q.items[:n]
		q.hint, q.head = q.hint-q.head, 0
	}
	q.items = append(q.items, t)
	q.live++
}

// pop takes the first task. There must be one.
func (q *queue) pop() task {
	for {
		t := q.items[q.head]
		q.items[q.head] = task{}
		q.head++
		if q.head == len(q.items) {
			q.items, q.head = q.items[:0], 0
		}
		if t.task != 0 {
			q.live--
			return t
		}
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
