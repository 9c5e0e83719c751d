package control

import (
	"cmp"
	"fmt"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

const (
	// leastShare and shareParts give the share of the node's memory that a manager has when its service does not say.
	leastShare = 64 << 20
	shareParts = 16
	// nowhere is the loop of what no loop serves.
	nowhere = -1
)

// hosted is what a manager has of the management node.
type hosted struct {
	share   protocol.Share
	hosting uint32        // names it to its loop while it has its share; 0: it has none
	waits   bool          // in line for its share
	loop    int           // on which it runs; after its retirement, on which its instances are
	usage   session.Usage // as its loop told
}

// info is what can be seen of a manager that has its share.
func (m *manager) info() protocol.ManagerInfo {
	return protocol.ManagerInfo{
		Loop: m.loop, Share: m.share, CPU: m.usage.CPU, Memory: m.usage.Memory, Sessions: m.sessions.Len(),
	}
}

// hosts has session managers run on the loops of the management node: each has a share of it from when it is made until
// it is retired, and who finds no room waits in line.
type hosts struct {
	c       *Core
	shares  *sched.Shares
	loops   []load
	running map[uint32]*manager // by hosting
	last    uint32
	changed bool // since shares were given out last, so that more may be now

	pressure Pressure
}

// frugal is by what a session is granted less while memory is short.
const frugal = 4

// credit is the most tasks, and bytes of them, that a new session of a manager may have unfinished.
func (h *hosts) credit(m *manager) (tasks int, bytes int64) {
	limits := m.service.Limits
	tasks, bytes = limits.Tasks, min(limits.Bytes, m.share.Memory)
	if h.pressure.much() {
		tasks, bytes = max(1, tasks/frugal), max(min(bytes, limits.Payload), bytes/frugal)
	}
	return tasks, bytes
}

// explainPressure says what the want of memory does to the tasks of a service, "" when there is none.
func (h *hosts) explainPressure() string {
	p := h.pressure
	switch {
	case p.full():
		return fmt.Sprintf("the broker's memory is full: %d of %d bytes are used (weft broker --memory), further tasks are refused for now", p.Used, p.Limit)
	case p.much():
		return fmt.Sprintf("the broker's memory is short: %d of %d bytes are used (weft broker --memory), new sessions are granted less", p.Used, p.Limit)
	}
	return ""
}

// load is what a manager loop has to do.
type load struct{ managers, sessions int }

func newHosts(c *Core) *hosts {
	loop, node := resource.Vector{resource.CPU: c.cfg.ManagerCPU}, resource.Vector{resource.Memory: c.cfg.ManagerMemory}
	return &hosts{
		c: c, shares: sched.NewShares(c.cfg.Loops, loop, node), loops: make([]load, c.cfg.Loops), running: make(map[uint32]*manager),
	}
}

// shareOf is the share that a manager of the service has.
func (h *hosts) shareOf(s protocol.Service) protocol.Share {
	whole := h.c.cfg.ManagerMemory
	return protocol.Share{
		CPU:    s.Manager.CPU,
		Memory: cmp.Or(s.Manager.Memory, min(whole, max(whole/shareParts, leastShare, s.Limits.Payload))),
	}
}

func amount(s protocol.Share) resource.Vector {
	return resource.Vector{resource.CPU: s.CPU, resource.Memory: s.Memory}
}

// satisfiable says whether a manager of the service could ever have its share.
func (h *hosts) satisfiable(s protocol.Service) error {
	if err := h.shares.Satisfiable(amount(h.shareOf(s))); err != nil {
		return protocol.Errorf(protocol.CodeNoCapacity, "service "+s.Name, "manager: %v", err)
	}
	return nil
}

// room says whether a manager would be given its share at once.
func (h *hosts) room(m *manager) bool {
	for i := range h.loops {
		if h.shares.Room(i, amount(m.share)) {
			return !h.shares.Waits()
		}
	}
	return false
}

// ask puts a manager in line for its share, which it may be given at once; one that has it or waits already keeps what
// it has.
func (h *hosts) ask(m *manager) {
	if m.hosting != 0 || m.waits {
		return
	}
	m.waits = true
	h.shares.Ask(sched.Share{ID: m.id, Name: m.service.Name, Amount: amount(m.share)})
	h.admit()
}

// admit gives shares to who waits for one, in order. Managers that have no sessions make room, those first that have
// had none for longest.
func (h *hosts) admit() {
	h.changed = false
	for h.shares.Waits() {
		first, ok := h.shares.First()
		if ok {
			m, _ := h.c.managers.byID.Get(first.ID) // who waits has sessions, and is kept for them
			h.host(m, h.choose(m))
			continue
		}
		m := h.idlest()
		if m == nil {
			return
		}
		h.retire(m)
	}
}

// choose gives the loop for a manager that finds room on at least one: that of its instances, or else the one that has
// the fewest managers, and of those the fewest sessions.
func (h *hosts) choose(m *manager) int {
	need := amount(m.share)
	for _, c := range m.containers.All() {
		if c.Hosting != 0 && h.shares.Room(c.Loop, need) {
			return c.Loop
		}
	}
	best := nowhere
	for i, l := range h.loops {
		if !h.shares.Room(i, need) {
			continue
		}
		if best == nowhere || l.managers < h.loops[best].managers ||
			l.managers == h.loops[best].managers && l.sessions < h.loops[best].sessions {
			best = i
		}
	}
	return best
}

// idlest gives the manager that has had no session for longest, nil when all have some. One that is on its way to another
// loop is not asked before it has arrived.
func (h *hosts) idlest() (idlest *manager) {
	for _, m := range h.c.managers.byID.All() {
		if m.hosting != 0 && m.transit == nil && m.sessions.Len() == 0 && (idlest == nil || m.idleSince.Before(idlest.idleSince)) {
			idlest = m
		}
	}
	return idlest
}

// host gives the manager that is first in line its share, and has it run on the loop with the sessions that waited and
// the instances that are warm.
func (h *hosts) host(m *manager, loop int) {
	c := h.c
	h.shares.Give(loop)
	h.last++
	m.waits, m.hosting, m.loop, m.usage = false, h.last, loop, session.Usage{}
	h.running[m.hosting] = m
	h.loops[loop].managers++
	c.out.order(loop, session.Order{Serve: &session.Serve{Manager: m.hosting, Service: m.service, Share: m.share}})
	c.crew.rehouse(m)
	for _, s := range m.sessions.All() {
		c.sessions.serve(s)
		c.sessions.refer(s)
	}
	c.managers.touch(m)
}

// move takes the share of a manager from another loop than the one on which it runs. The error says why it cannot.
func (h *hosts) move(m *manager, to int) error {
	if h.shares.Move(m.id, to) {
		return nil
	}
	return h.noRoom(m, to)
}

// movable says whether a manager could take its share from that loop now. The error says why it cannot.
func (h *hosts) movable(m *manager, to int) error {
	if h.shares.Movable(m.id, to) {
		return nil
	}
	return h.noRoom(m, to)
}

func (h *hosts) noRoom(m *manager, to int) error {
	return protocol.Errorf(protocol.CodeNoCapacity, "move service", "loop: %d has %s cores free for session managers, the one of service %s needs %s",
		to, resource.CPU.Format(h.shares.Free(to)[resource.CPU]), m.service.Name, resource.CPU.Format(m.share.CPU))
}

// retire takes a manager that has no sessions and is not on its way off its loop, and gives its share back. Its
// instances stay warm.
func (h *hosts) retire(m *manager) {
	h.c.managers.order(m, session.Order{Retire: &session.Retire{Manager: m.hosting}})
	delete(h.running, m.hosting)
	h.loops[m.loop].managers--
	if !planted.Is(planted.ShareKept) {
		h.shares.Release(m.id)
	}
	m.hosting, m.want = 0, 0
	h.changed = true
	h.c.managers.touch(m)
}

// left takes a session that is over off its manager.
func (h *hosts) left(s *sess) {
	m := s.manager
	m.sessions.Delete(s.number)
	if m.hosting != 0 {
		h.loops[m.loop].sessions--
	}
	if m.sessions.Len() > 0 {
		return
	}
	m.idleSince = h.c.now
	h.changed = true
	if m.waits {
		m.waits = false
		h.shares.Leave(m.id)
	}
	h.c.managers.touch(m)
}

// used takes a manager's word of what it uses of its share.
func (h *hosts) used(n *session.Usage) {
	if m, ok := h.running[n.Manager]; ok {
		m.usage = *n
	}
}
