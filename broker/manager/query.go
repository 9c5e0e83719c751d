package manager

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// inquiry answers the questions of operators to the managers of a loop.
type inquiry struct{ core *Core }

// answer answers one.
func (n inquiry) answer(q *session.Query) {
	c := n.core
	a := &session.Answer{ID: q.ID}
	var err *protocol.Error
	switch {
	case q.Task != nil:
		a.Task, err = n.task(q.Task.Session, q.Task.Sequence)
	case q.Cancel != nil:
		a.Task, err = n.cancel(q.Cancel)
	case q.Tasks != nil:
		a.Tasks, err = n.tasks(q.Tasks)
	case q.Stats != nil:
		a.Stats, err = n.stats(q)
	default:
		err = protocol.Errorf(protocol.CodeUnknownKind, "query", "manager loop %d knows no such question", c.cfg.Loop)
	}
	a.Error = err
	c.note(session.Note{Answer: a})
}

// session gives the session that a question is about.
func (n inquiry) session(number protocol.SessionNumber) (*hosted, *protocol.Error) {
	if s := n.core.sessions[number]; s != nil {
		return s, nil
	}
	return nil, protocol.Errorf(protocol.CodeUnknownSession, "session "+strconv.FormatUint(uint64(number), 10), "its session manager does not have it any more")
}

// task tells of one task.
func (n inquiry) task(number protocol.SessionNumber, sequence uint64) (*protocol.TaskInfo, *protocol.Error) {
	s, err := n.session(number)
	if err != nil {
		return nil, err
	}
	if k := s.find(sequence); k != 0 {
		i := s.info(k)
		return &i, nil
	}
	if s.seen.has(sequence) {
		return &protocol.TaskInfo{Session: number, Sequence: sequence, State: protocol.TaskOver}, nil
	}
	return nil, protocol.Errorf(protocol.CodeNotFound, "task", "session %d has had no task %d", number, sequence)
}

// cancel ends a task, and tells of it as it is then.
func (n inquiry) cancel(o *session.Cancel) (*protocol.TaskInfo, *protocol.Error) {
	s, err := n.session(o.Session)
	if err != nil {
		return nil, err
	}
	endings{s.manager}.cancel(s, o)
	return n.task(o.Session, o.Sequence)
}

// tasks tells of unfinished tasks in the order of their sequences.
func (n inquiry) tasks(q *protocol.ListRequest) (*protocol.TaskPage, *protocol.Error) {
	s, err := n.session(q.Session)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseUint(q.After, 10, 64) // the control loop has looked at it
	limit := q.Limit
	if limit <= 0 || limit > protocol.MaxPage {
		limit = protocol.MaxPage
	}
	m := s.manager
	sequence := func(k uint32) uint64 { return m.slab.slots[k].id.Sequence() }
	var (
		first []uint32 // with the lowest sequences of those that were looked at
		bound uint64   // above it none is of interest any more
	)
	cut := func() {
		slices.SortFunc(first, func(a, b uint32) int { return cmp.Compare(sequence(a), sequence(b)) })
		if len(first) > limit {
			first = first[:limit+1]
			bound = sequence(first[limit])
		}
	}
	for k := range s.tasks {
		if v := sequence(k); v <= after || bound > 0 && v > bound {
			continue
		}
		if first = append(first, k); len(first) > 2*limit {
			cut()
		}
	}
	cut()
	page := &protocol.TaskPage{More: len(first) > limit}
	for _, k := range first[:min(limit, len(first))] {
		page.Entries = append(page.Entries, s.info(k))
	}
	return page, nil
}

// tasks iterates over the session's unfinished tasks, in no order. Each may be ended while it is looked at.
func (s *hosted) tasks(yield func(uint32) bool) {
	m := s.manager
	for _, l := range append(s.queue.lists(), &s.suspects, &s.delayed, &s.flight) {
		for k, next := l.head, uint32(0); k != 0; k = next {
			next = m.slab.slots[k].next
			if !yield(k) {
				return
			}
		}
	}
}

// find gives the unfinished task of a sequence, 0 when there is none. What it learns of the others it keeps until the
// next tick: who asks for one asks for several.
func (s *hosted) find(sequence uint64) uint32 {
	slots := s.manager.slab.slots
	if s.index == nil {
		s.index = make(map[uint64]uint32, s.unfinished())
		for k := range s.tasks {
			s.index[slots[k].id.Sequence()] = k
		}
	}
	k := s.index[sequence]
	if t := &slots[k]; k == 0 || t.session != s || t.answered() || t.id.Sequence() != sequence {
		return 0
	}
	return k
}

// info tells of one unfinished task.
func (s *hosted) info(k uint32) protocol.TaskInfo {
	m := s.manager
	t := &m.slab.slots[k]
	i := protocol.TaskInfo{
		Session: s.number, Task: t.id, Sequence: t.id.Sequence(), Size: int64(t.size),
		Attempts: int(t.attempts), Losses: int(t.losses),
	}
	switch t.state {
	case taskQueued:
		i.State = protocol.TaskQueued
	case taskSuspect:
		i.State = protocol.TaskSuspect
	case taskFlying, taskRecalling:
		i.State = protocol.TaskScheduled
	case taskStopping:
		i.State, i.Stage = protocol.TaskStopping, protocol.StageRequested
	case taskDone, taskFailed:
		i.State = protocol.TaskOver
	case taskDelayed:
		i.State = protocol.TaskDelayed
	case taskFree, taskStates:
	}
	if i.State != protocol.TaskOver {
		i.Since = m.watch.arrived(m.core.now, t)
	}
	if t.seat != nil {
		i.Container, i.Node = t.seat.instance.container, t.seat.instance.node
	}
	if x := m.slab.extraOf(k); x != nil {
		i.Deadline, i.Run = x.deadline, x.run
		if t.state == taskDelayed {
			i.Next = x.next
		}
		if x.mishap != nil {
			i.Error = x.mishap.last
		}
		if t.seat != nil && !x.begun.IsZero() {
			i.Since = x.begun
			if i.State == protocol.TaskScheduled {
				i.State = protocol.TaskRunning
			}
		}
		if x.stop != nil {
			i.Error = x.stop.why
			switch {
			case t.seat.instance.killed:
				i.Stage = protocol.StageKilling
			case x.stop.acknowledged:
				i.Stage = protocol.StageAcknowledged
			}
		}
		if x.stream != nil {
			i.Progress = x.stream.progress
		}
	}
	return i
}
