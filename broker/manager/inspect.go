package manager

import "fmt"

// Inspection is what a simulation looks at after each step of a core.
type Inspection struct {
	Managers, Sessions, Instances int
	Ends                          int   // clients and instances that are known
	Tasks                         int   // slots in use
	Bytes                         int64 // payload bytes of unfinished tasks
	Kept                          int64 // bytes of answers that nobody has taken
	Promised                      int64 // bytes of the results that are expected of tasks at instances
	Pinned                        int64 // bytes of the buffers in use
	Unconsumed                    int64 // bytes of results that a client has not consumed, of the one that has most
	Late                          int   // sessions and instances of managers beyond their share that wait for the next turn
}

// Inspect counts what the core holds. It changes nothing and is cheap.
func (c *Core) Inspect() Inspection {
	i := Inspection{
		Managers: len(c.managers), Sessions: len(c.sessions), Instances: len(c.instances), Ends: len(c.order),
		Bytes: c.bytes, Kept: c.kept, Promised: c.promised, Pinned: c.buffers.pinned, Late: len(c.late.served) + len(c.late.filled),
	}
	for _, m := range c.managers {
		i.Tasks += m.slab.used
	}
	for _, e := range c.order {
		if cl := e.client; cl != nil {
			i.Unconsumed = max(i.Unconsumed, cl.sent-cl.consumed)
		}
	}
	return i
}

// Verify says what in the core contradicts itself; nil when nothing does. It walks over everything and changes nothing.
func (c *Core) Verify() error {
	if c.late.turns > patience {
		return fmt.Errorf("managers beyond their share have waited for %d turns, at most %d are allowed", c.late.turns, patience)
	}
	for _, e := range c.order {
		if e.client == nil {
			continue
		}
		if cl := e.client; cl.consumed > cl.sent {
			return fmt.Errorf("client %x has consumed %d of %d bytes of results", e.other, cl.consumed, cl.sent)
		}
	}
	bytes, kept := int64(0), int64(0)
	for _, m := range c.managers {
		tasks, held, answers := 0, int64(0), int64(0)
		for _, s := range m.sessions {
			if err := s.verify(); err != nil {
				return fmt.Errorf("session %d: %w", s.number, err)
			}
			tasks += s.unfinished() + s.kept.tasks.n
			held += s.bytes
			answers += s.kept.bytes
		}
		bytes += held
		kept += answers
		if m.slab.used != tasks {
			return fmt.Errorf("the slab of manager %d holds %d tasks, its sessions have %d", m.id, m.slab.used, tasks)
		}
		if m.bytes != held || m.bytes > m.share.Memory || m.kept != answers {
			return fmt.Errorf("manager %d has %d bytes of its share of %d and keeps %d, its sessions %d and %d",
				m.id, m.bytes, m.share.Memory, m.kept, held, answers)
		}
		if err := m.verify(); err != nil {
			return fmt.Errorf("manager %d: %w", m.id, err)
		}
		said := int64(0)
		for _, x := range m.slab.extras { // order does not matter: it is a sum
			if x.stream != nil {
				said += x.stream.held
			}
		}
		if said != m.slab.said {
			return fmt.Errorf("manager %d keeps %d bytes of parts by the count, its tasks %d", m.id, m.slab.said, said)
		}
	}
	if err := verifyPromises(c); err != nil {
		return err
	}
	if bytes != c.bytes || kept != c.kept {
		return fmt.Errorf("there are %d bytes and %d of answers by the count, and the sessions have %d and %d", c.bytes, c.kept, bytes, kept)
	}
	return nil
}

// verifyPromises holds the accounts of what is expected against each other.
func verifyPromises(c *Core) error {
	all := int64(0)
	promised, lined := make(map[*client]int64), make(map[*client]int)
	for _, m := range c.managers {
		for _, s := range m.sessions {
			all += s.promised
			promised[s.client] += s.promised
			if s.lined {
				lined[s.client]++
			}
		}
	}
	for _, e := range c.order {
		if cl := e.client; cl != nil && (cl.promised != promised[cl] || len(cl.line) != lined[cl]) {
			return fmt.Errorf("client %x expects %d bytes, its sessions %d; %d of them wait for its credit, and say so %d",
				e.other, cl.promised, promised[cl], len(cl.line), lined[cl])
		}
	}
	if all != c.promised {
		return fmt.Errorf("%d bytes of results are expected by the count, by the sessions %d", c.promised, all)
	}
	return nil
}

func (s *hosted) verify() error {
	m := s.manager
	bytes := int64(0)
	type named struct {
		name string
		list list
		may  uint16
	}
	lists := []named{
		{"suspects", s.suspects, 1 << taskSuspect},
		{"delayed", s.delayed, 1 << taskDelayed},
		{"flight", s.flight, 1<<taskFlying | 1<<taskRecalling | 1<<taskStopping},
	}
	queued, beyond := 0, false
	for _, l := range s.queue.lists() {
		queued += l.n
		lists = append(lists, named{"queue", *l, 1 << taskQueued})
	}
	if queued != s.queue.n {
		return fmt.Errorf("%d tasks are queued, by its count %d", queued, s.queue.n)
	}
	for _, l := range lists {
		n := 0
		for k := l.list.head; k != 0; k = m.slab.slots[k].next {
			t := &m.slab.slots[k]
			if n++; t.session != s || 1<<t.state&l.may == 0 || (t.seat != nil) != (l.name == "flight") {
				return fmt.Errorf("task %v is in its list %s and in state %d, at a seat: %v", t.id, l.name, t.state, t.seat != nil)
			}
			if t.seat != nil && t.seat.instance.isLost {
				return fmt.Errorf("task %v is at %s, which is lost", t.id, t.seat.instance.container)
			}
			bytes += int64(t.size)
			beyond = beyond || t.id.Sequence() == s.kept.beyond
		}
		if n != l.list.n {
			return fmt.Errorf("its list %s has %d tasks, by its count %d", l.name, n, l.list.n)
		}
	}
	if s.kept.beyond != 0 && !beyond {
		return fmt.Errorf("task %d was let in beyond the share, and is not unfinished", s.kept.beyond)
	}
	answers := int64(0)
	for k := s.kept.tasks.head; k != 0; k = m.slab.slots[k].next {
		t := &m.slab.slots[k]
		if !t.answered() || t.session != s || s.kept.at[t.id.Sequence()] != k {
			return fmt.Errorf("task %v is kept in state %d", t.id, t.state)
		}
		answers += int64(t.size)
	}
	if answers != s.kept.bytes || len(s.kept.at) != s.kept.tasks.n || s.kept.tasks.n > 0 && !s.kept.on {
		return fmt.Errorf("it keeps %d answers with %d bytes, by its count %d with %d", len(s.kept.at), answers, s.kept.tasks.n, s.kept.bytes)
	}
	if s.flight.n == 0 && s.promised != 0 {
		return fmt.Errorf("%d bytes of results are expected of it, and none of its tasks is at an instance", s.promised)
	}
	if accepted := s.stats.Submitted; accepted != s.done+s.failed+uint64(s.unfinished()) {
		return fmt.Errorf("it has accepted %d tasks, and %d have succeeded, %d have failed and %d are unfinished", accepted, s.done, s.failed, s.unfinished())
	}
	if bytes != s.bytes || s.unfinished() > s.credit || s.bytes > s.allowed && s.unfinished() > 1 {
		return fmt.Errorf("it has %d tasks with %d bytes, by its count %d, and credit for %d with %d",
			s.unfinished(), bytes, s.bytes, s.credit, s.allowed)
	}
	return nil
}

func (m *manager) verify() error {
	reserved := 0
	for _, i := range m.instances {
		if i.reserved {
			reserved++
		}
		flight, bytes := 0, int64(0)
		for _, t := range i.seats {
			flight += t.flight
			bytes += t.bytes
			if err := t.verify(); err != nil {
				return fmt.Errorf("session %d at %s: %w", t.session.number, i.container, err)
			}
		}
		switch {
		case flight != i.flight || bytes != i.bytes:
			return fmt.Errorf("%s has %d tasks with %d bytes, its seats %d with %d", i.container, i.flight, i.bytes, flight, bytes)
		case i.flight < 0 || i.bytes < 0:
			return fmt.Errorf("%s has %d tasks with %d bytes", i.container, i.flight, i.bytes)
		case i.reserved && i.flight > 1:
			if !i.onlySuspectAlone() {
				return fmt.Errorf("%s has a suspect beside other tasks", i.container)
			}
		}
	}
	if reserved != m.reserved {
		return fmt.Errorf("%d instances are reserved, by its count %d", reserved, m.reserved)
	}
	return nil
}

// onlySuspectAlone says that no suspect is at a reserved instance together with other tasks.
func (i *instance) onlySuspectAlone() bool {
	m := i.manager
	for _, t := range i.seats {
		for k := t.session.flight.head; k != 0; k = m.slab.slots[k].next {
			if task := &m.slab.slots[k]; task.seat == t && task.suspect {
				return false
			}
		}
	}
	return true
}

func (t *seat) verify() error {
	m := t.instance.manager
	if t.session.closed {
		return nil // its tasks are given up, and counted until Unbound
	}
	n, bytes := 0, int64(0)
	for k := t.session.flight.head; k != 0; k = m.slab.slots[k].next {
		if task := &m.slab.slots[k]; task.seat == t {
			n++
			bytes += int64(task.size)
		}
	}
	switch {
	case n != t.flight || bytes != t.bytes:
		return fmt.Errorf("%d tasks with %d bytes are there, by its count %d with %d", n, bytes, t.flight, t.bytes)
	case t.state == seatLeaving && n > 0:
		return fmt.Errorf("%d tasks are unanswered, and Unbind was sent", n)
	}
	return nil
}
