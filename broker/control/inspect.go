package control

import (
	"fmt"

	"github.com/weft-fabric/weft/broker/fleet"
)

// Inspection is what a simulation looks at after each step of a core.
type Inspection struct {
	Parties, Sessions, Managers, Containers int
	Records                                 uint64 // handed to the store
}

// Inspect counts what the core holds. It changes nothing and is cheap.
func (c *Core) Inspect() Inspection {
	i := Inspection{
		Parties: c.lobby.parties.Len(), Sessions: c.sessions.open.Len(), Managers: c.managers.byID.Len(),
		Records: c.out.position,
	}
	for _, m := range c.managers.byID.All() {
		i.Containers += m.containers.Len()
	}
	return i
}

// Verify says what in the core contradicts itself; nil when nothing does. It walks over everything and changes nothing.
func (c *Core) Verify() error {
	sessions := 0
	loops := make([]load, len(c.managers.loops))
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
		loops[m.loop].sessions += m.sessions.Len()
		if !m.retired {
			loops[m.loop].managers++
		}
	}
	if sessions != c.sessions.open.Len() {
		return fmt.Errorf("%d sessions are open, and the managers have %d", c.sessions.open.Len(), sessions)
	}
	for i, has := range loops {
		if has != c.managers.loops[i] {
			return fmt.Errorf("loop %d has %+v, by its count %+v", i, has, c.managers.loops[i])
		}
	}
	return nil
}
