package manager

import (
	"fmt"
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// taskState is where a task is. The table of legal changes is in taskMoves; tests walk it.
type taskState uint8

const (
	taskFree      taskState = iota // the slot holds no task
	taskQueued                     // waits in its session's queue
	taskSuspect                    // waits to run alone: an instance died while it was unanswered
	taskFlying                     // dispatched and unanswered
	taskRecalling                  // dispatched, asked back, unanswered
	taskStopping                   // dispatched, to be ended, unanswered
	taskDelayed                    // failed, and waits for its next attempt
	taskDone                       // answered: the result is kept until it is taken
	taskFailed                     // answered: the failure is kept until it is taken
	taskStates
)

// taskMoves says which state may follow which: taskMoves[from] has the bit of to.
var taskMoves = [taskStates]uint16{
	taskFree:      1 << taskQueued,
	taskQueued:    1<<taskFlying | 1<<taskFree | 1<<taskFailed,
	taskSuspect:   1<<taskFlying | 1<<taskFree | 1<<taskFailed,
	taskFlying:    1<<taskFree | 1<<taskRecalling | 1<<taskStopping | 1<<taskSuspect | 1<<taskQueued | 1<<taskDelayed | 1<<taskDone | 1<<taskFailed,
	taskRecalling: 1<<taskFree | 1<<taskStopping | 1<<taskQueued | 1<<taskSuspect | 1<<taskDelayed | 1<<taskDone | 1<<taskFailed,
	taskStopping:  1<<taskFree | 1<<taskDone | 1<<taskFailed,
	taskDelayed:   1<<taskQueued | 1<<taskFree | 1<<taskFailed,
	taskDone:      1 << taskFree,
	taskFailed:    1 << taskFree,
}

// slot holds one unfinished task. Its place in the slab and its generation make the id by which instances know it, so
// that a late answer is known by its generation.
type slot struct {
	id         protocol.TaskID
	session    *hosted
	seat       *seat   // while dispatched
	buf        *buffer // of an inline payload
	handle     protocol.Handle
	off, size  uint32
	gen        uint32
	prev, next uint32
	state      taskState
	suspect    bool  // it was unanswered when an instance died
	attempts   uint8 // that failed or ended an instance
	losses     uint8 // instances lost under it otherwise
	special    bool  // it has an extra
}

// move changes the state. A change that the table does not have is a defect of this package, and ends the program
// before it answers anybody wrong.
func (t *slot) move(to taskState) {
	if taskMoves[t.state]&(1<<to) == 0 {
		panic(illegal{t.state, to})
	}
	t.state = to
}

// illegal is a change of state that the table does not have.
type illegal struct{ from, to taskState }

func (e illegal) Error() string {
	return fmt.Sprintf("manager: a task cannot go from state %d to %d", e.from, e.to)
}

// answered says that only the answer of the task is left, of a kept session.
func (t *slot) answered() bool { return t.state == taskDone || t.state == taskFailed }

// wireID is the task's id towards instances.
func (s *slab) wireID(i uint32) uint64 { return uint64(s.slots[i].gen)<<32 | uint64(i) }

// find gives the slot of an id that an instance named; 0 when it is stale or invented.
func (s *slab) find(id uint64) uint32 {
	i := uint32(id)
	if i == 0 || uint64(i) >= uint64(len(s.slots)) {
		return 0
	}
	if t := &s.slots[i]; t.state == taskFree || t.gen != uint32(id>>32) {
		return 0
	}
	return i
}

// slab holds the unfinished tasks of a manager. Slot 0 is never used.
type slab struct {
	slots []slot
	free  []uint32
	used  int

	base uint32 // generation of slots that are made

	extras map[uint32]*extra // of tasks that are special, by slot
	said   int64             // weight of the parts that are kept in them
}

func newSlab() slab { return slab{slots: make([]slot, 1, 64)} }

// take gives a free slot, which is all zero but for its generation.
func (s *slab) take() uint32 {
	s.used++
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.slots = append(s.slots, slot{gen: s.base})
	return uint32(len(s.slots) - 1)
}

// put frees a slot that is in no list.
func (s *slab) put(i uint32) {
	t := &s.slots[i]
	t.move(taskFree)
	if t.special {
		s.dropExtra(i)
	}
	next := t.gen + 1
	if planted.Is(planted.GenerationKept) {
		next = t.gen
	}
	*t = slot{gen: next}
	s.free = append(s.free, i)
	s.used--
}

// trimFrom is from how many slots on it is looked whether they are still needed.
const trimFrom = 1 << 14

// trim gives the memory of slots at the end back that hold no task, when hardly any does. Should they be made again, their
// generations go on.
func (s *slab) trim() {
	n := len(s.slots)
	if n < trimFrom || s.used > n/4 {
		return
	}
	for n > 1 && s.slots[n-1].state == taskFree {
		n--
	}
	if n > len(s.slots)/2 {
		return
	}
	for _, t := range s.slots[n:] {
		s.base = max(s.base, t.gen+1)
	}
	s.slots = append(make([]slot, 0, n+n/4+64), s.slots[:n]...)
	s.free = slices.Clone(slices.DeleteFunc(s.free, func(i uint32) bool { return int(i) >= n }))
}

// list is a queue of slots; a slot is in one list at most.
type list struct {
	head, tail uint32
	n          int
}

func (s *slab) pushBack(l *list, i uint32) {
	t := &s.slots[i]
	t.prev, t.next = l.tail, 0
	if l.tail != 0 {
		s.slots[l.tail].next = i
	} else {
		l.head = i
	}
	l.tail = i
	l.n++
}

func (s *slab) pushFront(l *list, i uint32) {
	t := &s.slots[i]
	t.prev, t.next = 0, l.head
	if l.head != 0 {
		s.slots[l.head].prev = i
	} else {
		l.tail = i
	}
	l.head = i
	l.n++
}

func (s *slab) remove(l *list, i uint32) {
	t := &s.slots[i]
	if t.prev != 0 {
		s.slots[t.prev].next = t.next
	} else {
		l.head = t.next
	}
	if t.next != 0 {
		s.slots[t.next].prev = t.prev
	} else {
		l.tail = t.prev
	}
	t.prev, t.next = 0, 0
	l.n--
}
