package instance

import "slices"

// turns is the order in which sessions are served.
type turns struct {
	active []*Session // with queued tasks, first who was served longest ago
	served uint64     // counts tasks that were begun
	hooks  []*Session // whose OnSessionBind or OnSessionUnbind is due, in order
}

// activate puts a session that has tasks again into the turns.
func (t *turns) activate(s *Session) {
	i := len(t.active)
	for i > 0 && t.active[i-1].served > s.served {
		i--
	}
	t.active = slices.Insert(t.active, i, s)
}

// retire takes a session out whose tasks are not to run.
func (t *turns) retire(s *Session) { t.active = remove(t.active, s) }

// first is the session that was served longest ago. There must be one.
func (t *turns) first() *Session { return t.active[0] }

// pass gives the turn to the next session after a task of the first one was taken.
func (t *turns) pass() {
	s := t.active[0]
	t.served++
	s.served = t.served
	if s.queue.size() == 0 || len(t.active) > 1 {
		t.rotate()
	}
}

// rotate puts the first session behind the others, or drops it when it has no tasks.
func (t *turns) rotate() {
	s := t.active[0]
	if s.queue.size() == 0 {
		t.active = slices.Delete(t.active, 0, 1)
		return
	}
	copy(t.active, t.active[1:])
	t.active[len(t.active)-1] = s
}

// call has a hook of a session run when it is its turn.
func (t *turns) call(s *Session) { t.hooks = append(t.hooks, s) }

// uncall takes a session out whose hook is not to run.
func (t *turns) uncall(s *Session) { t.hooks = remove(t.hooks, s) }

// hook takes the session whose hook is due first; nil when none is.
func (t *turns) hook() *Session {
	if len(t.hooks) == 0 {
		return nil
	}
	s := t.hooks[0]
	t.hooks = slices.Delete(t.hooks, 0, 1)
	return s
}

// queued counts the tasks that wait.
func (t *turns) queued() int {
	n := 0
	for _, s := range t.active {
		n += s.queue.size()
	}
	return n
}

func remove(list []*Session, s *Session) []*Session {
	if i := slices.Index(list, s); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
