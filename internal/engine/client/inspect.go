package client

import "fmt"

// Verify says what in an engine contradicts itself; nil when nothing does. It walks over everything and changes nothing:
// a simulation calls it between steps.
func Verify(e *Engine) error {
	tasks := 0
	for _, s := range e.sessions {
		n, bytes, before := 0, int64(0), uint64(0)
		for at := s.first; at != 0; at = e.slots[at-1].next {
			t := &e.slots[at-1]
			if t.session != s || t.id.Sequence() <= before || (t.frame != nil) == (t.handle != 0) {
				return fmt.Errorf("session %d: task %v is in its list after sequence %d, with a frame: %v, with a handle: %v",
					s.number, t.id, before, t.frame != nil, t.handle != 0)
			}
			before = t.id.Sequence()
			n++
			bytes += int64(t.size)
		}
		if n != s.tasks || bytes != s.bytes {
			return fmt.Errorf("session %d has %d tasks with %d bytes, by its count %d with %d", s.number, n, bytes, s.tasks, s.bytes)
		}
		tasks += n
	}
	if tasks != e.outstanding || len(e.slots)-len(e.free) != tasks {
		return fmt.Errorf("the sessions have %d tasks, the count is %d, and %d slots are in use", tasks, e.outstanding, len(e.slots)-len(e.free))
	}
	return nil
}
