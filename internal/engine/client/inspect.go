package client

import "fmt"

// Verify says what in an engine contradicts itself; nil when nothing does. It walks over everything and changes nothing:
// a simulation calls it between steps.
func Verify(e *Engine) error {
	tasks, kept := 0, 0
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
		for at := s.held.first; at != 0; at = e.slots[at-1].next {
			t := &e.slots[at-1]
			if t.session != s || t.id.Sequence() != 0 || t.extra.waits == 0 {
				return fmt.Errorf("session %d: task %v is held for %d others", s.number, t.id, t.extra.waits)
			}
			n++
			bytes += int64(t.size)
		}
		if n != s.tasks || bytes != s.bytes {
			return fmt.Errorf("session %d has %d tasks with %d bytes, by its count %d with %d", s.number, n, bytes, s.tasks, s.bytes)
		}
		tasks += n
	}
	for i := range e.slots {
		if e.slots[i].answered() {
			kept++
		}
	}
	if tasks != e.outstanding || len(e.slots)-len(e.free) != tasks+kept {
		return fmt.Errorf("the sessions have %d tasks, the count is %d, %d are kept, and %d slots are in use",
			tasks, e.outstanding, kept, len(e.slots)-len(e.free))
	}
	for i, x := range e.alarms {
		if x.alarm != i+1 || x.gone || x.due().IsZero() {
			return fmt.Errorf("alarm %d is of slot %d, due at %v, in place %d, gone: %v", i, x.at, x.due(), x.alarm-1, x.gone)
		}
	}
	return nil
}
