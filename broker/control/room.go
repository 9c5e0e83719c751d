package control

import (
	"cmp"
	"iter"
	"slices"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// spare says whether nobody could use the instances that the manager has: it has no sessions, or waits for its share.
func (m *manager) spare() bool { return m.sessions.Len() == 0 || m.waits }

// vacating makes room for managers where there is none.
type vacating struct{ *managers }

// makeRoom has warm instances of others give way to a container of the manager's that finds no room, unless what is
// ending already will do: as many as it takes, those first for which nobody waits, and of them those whose manager has had
// no session for longest. None ends when all that could would not do.
func (t vacating) makeRoom(m *manager) {
	if m.sessions.Len() == 0 || t.warm.Len()+t.c.crew.leaving.Len() == 0 {
		return
	}
	var here func(c *fleet.Container) bool
	o := t.lookup.Obstacle(m.rid())
	switch o.Barrier {
	case sched.NoBarrier:
		t.makeRoomOnANode(m)
		return
	case sched.QueueMax:
		here = func(c *fleet.Container) bool {
			return t.lookup.Within(t.c.crew.manager(c).charged.queue, o.Queue)
		}
	case sched.UserLimit:
		here = func(c *fleet.Container) bool {
			charged := &t.c.crew.manager(c).charged
			return charged.queue == m.charged.queue && charged.user == m.charged.user
		}
	default: // it is another one's turn
		return
	}
	var s spot
	for c := range t.c.crew.ending() {
		if here(c) {
			s.room = s.room.Add(t.vector(c.Capacity))
		}
	}
	for c := range t.coldest() {
		if here(c) {
			s.warm = append(s.warm, c)
		}
	}
	t.retreat(&s, o.Over)
}

// spot is a place in which room may be made: a node, or what a queue or a user may have.
type spot struct {
	room resource.Vector // that is there, or will be
	warm []*fleet.Container
}

// makeRoomOnANode makes room on the first node, by name, that can be made to hold a container of the manager's.
func (t vacating) makeRoomOnANode(m *manager) {
	var spots ordered.Map[string, *spot]
	at := func(c *fleet.Container) *spot {
		s, ok := spots.Get(c.Node.Name)
		if !ok {
			if t.lookup.Stands(m.rid(), c.Node.Name) == sched.NoRoom {
				s = &spot{room: t.vector(c.Node.Free())}
			}
			spots.Set(c.Node.Name, s)
		}
		return s
	}
	for c := range t.c.crew.ending() {
		if s := at(c); s != nil {
			s.room = s.room.Add(t.vector(c.Capacity))
		}
	}
	for c := range t.coldest() {
		if s := at(c); s != nil {
			s.warm = append(s.warm, c)
		}
	}
	need := t.vector(m.service.Requests[0].Capacity)
	for _, s := range spots.All() {
		if s != nil && need.Fits(s.room) {
			return
		}
	}
	for _, s := range spots.All() {
		if s != nil && t.retreat(s, need) {
			return
		}
	}
}

// retreat ends warm containers of a spot until the need is met, none when it would not be; it says whether it is.
func (t vacating) retreat(s *spot, need resource.Vector) bool {
	room := s.room
	for i := 0; ; i++ {
		if need.Fits(room) {
			for _, c := range s.warm[:i] {
				t.c.crew.retreat(c)
			}
			return true
		}
		if i == len(s.warm) {
			return false
		}
		room = room.Add(t.vector(s.warm[i].Capacity))
	}
}

// ending iterates over the containers on nodes that are leaving.
func (w *crew) ending() iter.Seq[*fleet.Container] {
	w.c.pass.spend(w.leaving.Len())
	return values(&w.leaving)
}

// coldest iterates over the warm containers on nodes in the order in which they give way.
func (t vacating) coldest() iter.Seq[*fleet.Container] {
	all := slices.SortedStableFunc(values(&t.warm), func(one, other *manager) int {
		return cmp.Or(cmp.Compare(min(one.sessions.Len(), 1), min(other.sessions.Len(), 1)),
			one.idleSince.Compare(other.idleSince), cmp.Compare(one.id, other.id))
	})
	t.c.pass.spend(len(all))
	return func(yield func(*fleet.Container) bool) {
		for _, m := range all {
			t.c.pass.spend(m.containers.Len())
			for _, c := range m.containers.All() {
				if c.Node != nil && c.State != fleet.Leaving && !yield(c) {
					return
				}
			}
		}
	}
}
