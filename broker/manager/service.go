package manager

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// manager is a session manager: it serves one service.
type manager struct {
	core      *Core
	id        uint32
	service   protocol.Service
	sessions  []*hosted
	instances []*instance // admitted and not gone
	waiting   []*hosted   // with tasks and without a seat, in order of arrival
	slab      slab        // of unfinished tasks
	alarms    alarms

	wanted   int // instances, as told to the control loop with those by hand taken off
	target   int // instances, by demand
	backlog  int // ticks in a row that tasks waited beyond the instances' credit
	reserved int // instances that run suspects
	share    protocol.Share
	bytes    int64 // payload bytes of unfinished tasks
	kept     int64 // bytes of answers that nobody has taken, of kept sessions
	expect   int64 // bytes of a result, by the session that had the last
	usage    usage
	watch    watch
	retired  bool // what is left of it are instances that wait for another manager
}

// obey carries out an order of the control loop.
func (c *Core) obey(o session.Order) {
	switch {
	case o.Serve != nil:
		m := &manager{core: c, id: o.Serve.Manager, service: o.Serve.Service, share: o.Serve.Share, slab: newSlab(), watch: watch{c.now, c.now}}
		c.managers = append(c.managers, m)
		c.byID[m.id] = m
	case o.Retire != nil:
		c.retire(o.Retire.Manager)
	case o.Open != nil:
		c.open(o.Open)
	case o.Close != nil:
		if s := c.sessions[o.Close.Session]; s != nil {
			s.close(o.Close.Kill, o.Close.Error)
		}
	case o.Steer != nil:
		if s := c.sessions[o.Steer.Session]; s != nil {
			steering{s}.take(o.Steer.Action)
		}
	case o.Detach != nil:
		if s := c.sessions[o.Detach.Session]; s != nil {
			keeper{s}.detach()
		}
	case o.Attach != nil:
		if s := c.sessions[o.Attach.Session]; s != nil {
			keeper{s}.attach(o.Attach)
		}
	case o.Taken != nil:
		if s := c.sessions[o.Taken.Session]; s != nil && s.client.other == o.Taken.Client {
			keeper{s}.take(o.Taken.Tasks)
		}
	case o.Admit != nil:
		c.admit(o.Admit)
	case o.Lost != nil:
		if i := c.instances[o.Lost.Container]; i != nil {
			i.lost(o.Lost.Reason)
		}
	case o.Dismiss != nil:
		if i := c.instances[o.Dismiss.Container]; i != nil {
			i.dismiss()
		}
	case o.Forget != nil:
		if e := c.ends[o.Forget.Client]; e != nil && e.client != nil {
			c.drop(e)
		}
	case o.Move != nil:
		c.handOver(o.Move.Manager)
	case o.Adopt != nil:
		c.takeIn(o.Adopt.State)
	case o.Cancel != nil:
		if s := c.sessions[o.Cancel.Session]; s != nil && !s.closed {
			endings{s.manager}.cancel(s, o.Cancel)
		}
	case o.Query != nil:
		inquiry{c}.answer(o.Query)
	}
}

func (c *Core) retire(id uint32) {
	m := c.byID[id]
	if m == nil {
		return
	}
	for _, s := range slices.Clone(m.sessions) {
		s.close(true, protocol.Errorf(protocol.CodeSessionKilled, "session", "its manager was retired"))
	}
	m.retired = true
	delete(c.byID, id)
	c.managers = without(c.managers, m)
}

// drop forgets the other side of a data connection.
func (c *Core) drop(e *end) {
	c.vacate(e)
	e.link.Close()
}

// vacate forgets where the other side of a data connection is.
func (c *Core) vacate(e *end) {
	if peer, ok := e.link.Peer(); ok && c.peers[peer] == e {
		delete(c.peers, peer)
	}
	delete(c.ends, e.other)
	c.order = without(c.order, e)
}

// tick looks after what no event does: demand, time slices of seats, tasks that an idle instance could take over.
func (m *manager) tick() {
	for _, s := range m.sessions {
		s.index = nil
		s.settleFloods(false)
		lender{s}.look()
	}
	m.watch.look(m)
	m.rotate()
	m.rebalance()
	m.demand()
}

// demand computes how many instances the manager wants: the count of the request, min at the first session, one more
// while tasks wait beyond the instances' credit, back to min after the idle limit. Without sessions it stays: when
// instances that nobody needs are to end is for the control loop.
func (m *manager) demand() {
	if m.retired {
		return
	}
	if len(m.sessions) == 0 {
		m.tellWanted()
		return
	}
	c := m.core
	limit := time.Duration(m.service.Limits.Idle)
	low, high, queued := m.bounds()
	serving := m.serving()
	if queued > 0 && serving >= m.target && serving > 0 {
		m.backlog++
	} else {
		m.backlog = 0
	}
	m.target = min(max(m.target, low), high)
	if m.backlog >= 2 && m.target < high {
		m.target++
		m.backlog = 0
	}
	if serving > low && queued == 0 {
		for _, i := range m.instances {
			if i.serves() && !i.byHand && i.flight == 0 && c.now.Sub(i.busy) >= limit {
				i.dismiss()
				m.target = max(low, m.target-1)
				break
			}
		}
	}
	m.tellWanted()
}

// bounds gives the least and greatest number of instances that the sessions ask for, each by its own word or else the
// service's, and the tasks that wait for an instance: not those of a session that is suspended, or of a
// client that takes no results.
func (m *manager) bounds() (low, high, queued int) {
	for _, s := range m.sessions {
		least, most := s.bounds()
		low, high = max(low, least), max(high, most)
		queued += s.ready()
	}
	return low, max(low, high), queued
}

// bounds gives the least and greatest number of instances that the session asks for.
func (s *hosted) bounds() (least, most int) {
	service := &s.manager.service
	least, most = s.minInst, s.maxInst
	if least == 0 {
		least = service.Instances.Min
	}
	if most == 0 {
		most = max(service.Instances.Max, least)
	}
	return least, most
}

func (m *manager) serving() (n int) {
	for _, i := range m.instances {
		if i.serves() {
			n++
		}
	}
	return n
}

func (m *manager) tellWanted() {
	c := m.core
	byHand := 0
	for _, i := range m.instances {
		if i.byHand && i.serves() {
			byHand++
		}
	}
	if w := max(0, m.target-byHand); w != m.wanted {
		m.wanted = w
		c.note(session.Note{Wanted: &session.Wanted{Manager: m.id, Instances: w}})
	}
}

// without returns s without the first v.
func without[T comparable](s []T, v T) []T {
	for i := range s {
		if s[i] == v {
			return append(s[:i], s[i+1:]...)
		}
	}
	return s
}
