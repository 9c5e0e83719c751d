package control

import (
	"fmt"
	"iter"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched/resource"
)

// Inspection is what a simulation looks at after each step of a core.
type Inspection struct {
	Parties, Sessions, Managers, Containers int
	Nodes                                   int    // that are up
	Records                                 uint64 // handed to the store
}

// Inspect counts what the core holds. It changes nothing and is cheap.
func (c *Core) Inspect() Inspection {
	i := Inspection{
		Parties: c.lobby.parties.Len(), Sessions: c.sessions.open.Len(), Managers: c.managers.byID.Len(),
		Records: c.out.position,
	}
	for _, n := range c.crew.fleet.Nodes() {
		if n.State == fleet.Up {
			i.Nodes++
		}
	}
	for _, m := range c.managers.byID.All() {
		i.Containers += m.containers.Len()
	}
	return i
}

// Verify says what in the core contradicts itself; nil when nothing does. It walks over everything and changes nothing.
func (c *Core) Verify() error {
	sessions := 0
	loops := make([]load, len(c.hosts.loops))
	for id, m := range c.managers.byID.All() {
		var count, byHand tally
		for name, k := range m.containers.All() {
			switch {
			case k.State == fleet.Exited:
				return fmt.Errorf("manager %d has container %s, which is gone", id, name)
			case k.Node == nil:
				byHand[k.State]++
			default:
				count[k.State]++
			}
		}
		if count != m.count || byHand != m.byHand {
			return fmt.Errorf("manager %d has containers %v and by hand %v, by its count %v and %v", id, count, byHand, m.count, m.byHand)
		}
		sessions += m.sessions.Len()
		if m.waits != (m.hosting == 0 && m.sessions.Len() > 0) {
			return fmt.Errorf("manager %d has %d sessions, hosting %d, and waits for its share: %v", id, m.sessions.Len(), m.hosting, m.waits)
		}
		if m.hosting != 0 {
			loops[m.loop].managers++
			loops[m.loop].sessions += m.sessions.Len()
		}
	}
	var states openTally
	for _, s := range c.sessions.open.All() {
		with := *s
		with.among = &states
		with.count(1)
	}
	if states != c.sessions.states {
		return fmt.Errorf("open sessions have the states %v, by their count %v", states, c.sessions.states)
	}
	if sessions != c.sessions.open.Len() {
		return fmt.Errorf("%d sessions are open, and the managers have %d", c.sessions.open.Len(), sessions)
	}
	for i, has := range loops {
		if has != c.hosts.loops[i] {
			return fmt.Errorf("loop %d has %+v, by its count %+v", i, has, c.hosts.loops[i])
		}
	}
	if c.pass.due { // it goes on
		return nil
	}
	return c.hosts.verify()
}

// Holding is what one container on a node takes, and the queue that is charged for it.
type Holding struct {
	Queue    string
	Capacity protocol.Capacity
}

// Holdings iterates over all containers on nodes.
func (c *Core) Holdings() iter.Seq[Holding] {
	return func(yield func(Holding) bool) {
		for _, m := range c.managers.byID.All() {
			for _, k := range m.containers.All() {
				if k.Node != nil && !yield(Holding{m.charged.queue, k.Capacity}) {
					return
				}
			}
		}
	}
}

// verify holds the shares that were given against what the loops and the node have.
func (h *hosts) verify() error {
	given := make([]protocol.Share, len(h.loops))
	memory := int64(0)
	for _, m := range h.c.managers.byID.All() {
		if (h.running[m.hosting] == m) != (m.hosting != 0) {
			return fmt.Errorf("manager %d has hosting %d, which is another's", m.id, m.hosting)
		}
		if m.hosting != 0 {
			given[m.holdsOf()].CPU += m.share.CPU
			memory += m.share.Memory
		}
	}
	for i, has := range given {
		free := h.shares.Free(i)
		if has.CPU+free[resource.CPU] != h.c.cfg.ManagerCPU || memory+free[resource.Memory] != h.c.cfg.ManagerMemory || free.Negative() {
			return fmt.Errorf("of loop %d %d millicores are given and of the node %d bytes; free are %v", i, has.CPU, memory, free)
		}
	}
	if first, ok := h.shares.First(); ok {
		return fmt.Errorf("manager %d waits for its share, and there is room for it", first.ID)
	}
	if h.shares.Waits() && h.idlest() != nil {
		return fmt.Errorf("manager %d has no sessions, and another one waits for a share", h.idlest().id)
	}
	return nil
}
