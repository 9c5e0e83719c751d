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

// queue is the tasks of one session that have not started, first in first out. Plain ones that come last are kept as they
// were encoded, in one piece, which costs nothing for each of them; when one of them is recalled, or another task follows,
// they become items.
type queue struct {
	items []task
	head  int
	live  int // items that were not recalled
	hint  int // where in items the next recall probably is

	plain []byte // records of plain tasks, which come after the items
	begun int    // bytes of plain that are no longer queued
	count int    // tasks in plain that are queued
}

// size is how many tasks there are.
func (q *queue) size() int { return q.live + q.count }

// pushPlain adds n plain tasks, which are copied.
func (q *queue) pushPlain(records []byte, n int) {
	if q.count == 0 {
		q.plain, q.begun = q.plain[:0], 0
	} else if q.begun > len(q.plain)/2 && len(q.plain)+len(records) > cap(q.plain) {
		q.plain, q.begun = q.plain[:copy(q.plain, q.plain[q.begun:])], 0
	}
	q.plain = append(q.plain, records...)
	q.count += n
}

// takePlain takes the first plain task out. There must be one, and no items before it.
func (q *queue) takePlain(memory *arena) task {
	reader := protocol.NewReader(q.plain[q.begun:])
	_, name, payload, id, _ := reader.PlainDispatch()
	q.begun = len(q.plain) - len(reader.Rest())
	q.count--
	return task{task: name, id: id, payload: memory.keep(payload), attempt: 1}
}

// takeRun takes all plain tasks out. They stay where they are until the next call of pushPlain, after leave for good.
func (q *queue) takeRun() (records []byte, n int) {
	records, n = q.plain[q.begun:], q.count
	q.begun, q.count = len(q.plain), 0
	return records, n
}

// leave leaves what takeRun gave to whom it was given, and has a copy of what is not begun instead, for putBack.
func (q *queue) leave(rest []byte) { q.plain, q.begun = rest, len(rest) }

// putBack takes the last n tasks of those that takeRun gave, or the copy of them.
func (q *queue) putBack(records []byte, n int) { q.begun, q.count = len(q.plain)-len(records), n }

// itemize makes items of the plain tasks.
func (q *queue) itemize(memory *arena) {
	for q.count > 0 {
		t := q.takePlain(memory)
		*q.add() = t
	}
}

// push gives the place of one more task, all zero, to be filled in where it is: there is one for each task, and it need not
// be copied.
func (q *queue) push(memory *arena) *task {
	q.itemize(memory)
	return q.add()
}

func (q *queue) add() *task {
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

// first is the first of the items, to be read before the next call of pop. There must be one.
func (q *queue) first() *task {
	for q.items[q.head].task == 0 {
		q.head++
	}
	return &q.items[q.head]
}

// pop drops the first of the items.
func (q *queue) pop() {
	*q.first() = task{}
	q.live--
	if q.head++; q.live == 0 {
		q.items, q.head = q.items[:0], 0
	}
}

// remove takes the task of that name out, wherever it is. Managers recall neighbours, so that it begins to look
// beside the last one.
func (q *queue) remove(name uint64, memory *arena) (task, bool) {
	q.itemize(memory)
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

// clear drops all tasks. The handles of the items are the caller's.
func (q *queue) clear() {
	for q.live > 0 {
		q.pop()
	}
	q.begun, q.count = len(q.plain), 0
}

// arenaSize is how many bytes of small payloads share memory.
const arenaSize = 32 << 10

// arena is memory for small payloads, which belongs to whoever gets them: what was given is never used again.
type arena struct{ free []byte }

// keep gives a copy.
func (a *arena) keep(payload []byte) []byte {
	n := len(payload)
	if n > len(a.free) {
		a.free = make([]byte, max(arenaSize, n))
	}
	kept := a.free[:n:n]
	a.free = a.free[n:]
	copy(kept, payload)
	return kept
}
