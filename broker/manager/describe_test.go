package manager

import "fmt"

// describe tells what the core is at, for a failing test.
func (w *world) describe() string { return describe(w.core) }

func describe(c *Core) string {
	out := ""
	for _, m := range c.managers {
		for _, i := range m.instances {
			out += fmt.Sprintf("\n%s ready %v draining %v reserved %v flight %d credit %d turns %d:", i.container, i.isReady, i.draining, i.reserved, i.flight, i.credit, len(i.turns))
			for _, t := range i.seats {
				out += fmt.Sprintf(" [%d state %d flight %d]", t.session.number, t.state, t.flight)
			}
		}
		for _, s := range m.sessions {
			out += fmt.Sprintf("\nsession %d queue %d suspects %d delayed %d flight %d seats %d waits %v closing %v blocked %v", s.number, s.queue.n, s.suspects.n, s.delayed.n, s.flight.n, len(s.seats), s.waits, s.closing, s.client.blocked())
		}
	}
	return out
}
