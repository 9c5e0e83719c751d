package sim

import (
	"slices"
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// shares is what can be seen of the shares of the management node in one reign: by the orders to the loops who holds
// which, and by what clients send how many bytes a manager may have. It holds the broker to what the node has.
type shares struct {
	w        *World
	managers map[uint32]*holder                 // by the number that orders give them
	sessions map[protocol.SessionNumber]*hosted // that are open at their manager
	lodgings map[string]*lodging                // by container
	moving   map[any]*holder                    // by what is handed over
	cpu      []int64                            // given of each loop
	memory   int64                              // given of the node
	kept     []*hosted                          // sessions that outlive their clients, and are not over
	keeping  map[protocol.SessionNumber]*hosted // all that did, since what is known of their tasks may be said again
}

// holder is a session manager that has its share.
type holder struct {
	loop     int
	service  *service
	share    protocol.Share
	sessions int
	idle     int64 // since when it has had none
	bytes    int64 // of the tasks that it was sent and that have no answer; at least what it holds
}

// hosted is a session that a manager was told of.
type hosted struct {
	holder *holder
	bytes  int64 // of its tasks
	over   bool

	suspended bool
	lost      int64 // when an instance died that held it, last
	data      registers
	*kept     // nil: it ends with its client
}

// lodging is an instance that a manager was told of.
type lodging struct {
	holder *holder
	serves bool
	gone   bool // it was let go
}

func newShares(b *broker) shares {
	return shares{
		w: b.w, managers: make(map[uint32]*holder), sessions: make(map[protocol.SessionNumber]*hosted),
		lodgings: make(map[string]*lodging), moving: make(map[any]*holder), keeping: make(map[protocol.SessionNumber]*hosted), cpu: make([]int64, b.w.plan.loops),
	}
}

// ordered judges an order to a loop.
func (k *shares) ordered(loop int, o *session.Order) {
	switch {
	case o.Serve != nil:
		h := &holder{loop: loop, service: k.w.serviceNamed(o.Serve.Service.Name), share: o.Serve.Share, idle: k.w.at}
		k.managers[o.Serve.Manager] = h
		k.w.tally.add(Hosted)
		k.give(h, loop)
	case o.Retire != nil:
		k.retired(o.Retire.Manager)
	case o.Move != nil:
		if h := k.managers[o.Move.Manager]; h != nil {
			k.cpu[h.loop] -= h.share.CPU
			k.memory -= h.share.Memory
		}
	case o.Adopt != nil:
		k.give(k.moving[o.Adopt.State], loop)
	case o.Open != nil:
		if h := k.managers[o.Open.Manager]; h != nil {
			h.sessions++
			k.sessions[o.Open.Session] = &hosted{holder: h, suspended: o.Open.Suspended}
			k.keeps(o.Open)
		} else {
			k.w.fail("share", "loop %d is to open session %d at manager %d, which has no share", loop, o.Open.Session, o.Open.Manager)
		}
	case o.Steer != nil:
		if s := k.sessions[o.Steer.Session]; s != nil && (o.Steer.Action == protocol.SteerSuspend || o.Steer.Action == protocol.SteerResume) {
			s.suspended = o.Steer.Action == protocol.SteerSuspend
		}
	case o.Detach != nil:
		k.tenanted(o.Detach.Session, 0)
	case o.Attach != nil:
		k.tenanted(o.Attach.Session, o.Attach.Client)
	case o.Admit != nil:
		k.admitted(loop, o.Admit)
	case o.Dismiss != nil:
		k.dismissed(o.Dismiss.Container)
	}
}

// give notes that a manager takes its share of a loop. No loop and no node may give more than it has.
func (k *shares) give(h *holder, loop int) {
	w := k.w
	if h == nil {
		w.fail("share", "loop %d is given a manager that none has handed over", loop)
		return
	}
	h.loop = loop
	k.cpu[loop] += h.share.CPU
	k.memory += h.share.Memory
	if k.cpu[loop] > w.plan.managerCPU || k.memory > w.plan.managerMemory {
		w.fail("share", "the session managers of loop %d have %d of %d millicores, all together %d of %d bytes",
			loop, k.cpu[loop], w.plan.managerCPU, k.memory, w.plan.managerMemory)
	}
}

func (k *shares) retired(manager uint32) {
	h := k.managers[manager]
	if h == nil || h.sessions > 0 {
		k.w.fail("share", "manager %d is retired, and it has sessions, or no share", manager)
		return
	}
	delete(k.managers, manager)
	k.cpu[h.loop] -= h.share.CPU
	k.memory -= h.share.Memory
	if k.early(h) {
		k.w.tally.add(RetiredEarly)
	}
}

// early says whether a manager without sessions has not been idle for as long as it may.
func (k *shares) early(h *holder) bool {
	return h.sessions == 0 && time.Duration(k.w.at-h.idle) < time.Duration(h.service.spec.Limits.Idle)
}

func (k *shares) admitted(loop int, o *session.Admit) {
	h := k.managers[o.Manager]
	if h == nil {
		k.w.fail("share", "loop %d is told of %s for manager %d, which has no share", loop, o.Container, o.Manager)
		return
	}
	old := k.lodgings[o.Container]
	k.lodgings[o.Container] = &lodging{holder: h}
	switch {
	case old == nil:
	case !old.serves: // it is young, not warm
	case old.holder.loop == loop:
		k.w.tally.add(WarmAdopted)
	default:
		k.w.tally.add(WarmReferred)
	}
}

// dismissed notes an instance that is let go: while nobody has used it for less than its idle time it gives way.
func (k *shares) dismissed(container string) {
	l := k.lodgings[container]
	if l == nil || l.gone {
		return
	}
	l.gone = true
	if l.serves && k.early(l.holder) && !k.w.plan.on.Has(Operator) {
		k.w.tally.add(GaveWay)
	}
}

// noted takes what a manager loop tells.
func (k *shares) noted(n *session.Note) {
	switch {
	case n.Moved != nil:
		k.w.tally.add(Moves)
		k.moving[n.Moved.State] = k.managers[n.Moved.Manager]
	case n.Seat != nil && n.Seat.Event == protocol.EventLost:
		if s := k.sessions[n.Seat.Session]; s != nil {
			s.lost = k.w.at
		}
	case n.Kill != nil:
		k.w.promises.kills(n.Kill)
	case n.Dead != nil:
		k.w.promises.buried(k.w.broker.process.name, k.w.broker.epoch, n.Dead)
	case n.Ready != nil:
		if l := k.lodgings[n.Ready.Container]; l != nil {
			l.serves = true
		}
	case n.Changed != nil && n.Changed.State != protocol.SessionRunning:
		s := k.sessions[n.Changed.Session]
		delete(k.sessions, n.Changed.Session)
		if s == nil {
			break
		}
		k.keepsNoMore(s)
		h := s.holder
		h.bytes -= s.bytes
		s.over = true
		if h.sessions--; h.sessions == 0 {
			h.idle = k.w.at
		}
	}
}

// arrives looks at a message that reaches a manager loop: its tasks may be refused when the bytes of their manager's share
// are spent. What is counted is never less than what the manager holds.
func (k *shares) arrives(m *message) {
	h, rest, err := protocol.ParseHeader(m.bytes)
	if err != nil {
		return
	}
	tasksIn(rest, m.payloads, protocol.KindTask, func(rec *protocol.Record, c content) {
		t, s := k.w.taskOf(c), k.sessions[rec.Session]
		if t == nil || s == nil || h.Epoch != k.w.broker.epoch {
			return
		}
		if t.arrived == 0 {
			t.arrived = k.w.at
		}
		if t.heldBy != s {
			t.heldBy = s
			s.bytes += int64(t.size)
			s.holder.bytes += int64(t.size)
		}
		if used, ok := k.w.broker.memoryUsed(); ok && used >= memoryLimit/100*85 { // full is over below that
			t.refusable = true
		}
		t.refusable = t.refusable || s.holder.bytes > s.holder.share.Memory ||
			slices.ContainsFunc(k.kept, func(of *hosted) bool { return of.holder == s.holder }) // whose answers count as well
		s.meets(t, rec.Task)
	})
}

// answered notes that a client has the answer of a manager to a task.
func (k *shares) answered(t *task) {
	if s := t.heldBy; s != nil && !s.over {
		t.heldBy = nil
		s.bytes -= int64(t.size)
		s.holder.bytes -= int64(t.size)
	}
}

// reasoned holds a session that waits to a reason.
func (k *checker) reasoned(who string, number protocol.SessionNumber, state, reason string) {
	switch state {
	case protocol.SessionRunning, protocol.SessionFailed, protocol.SessionClosed:
		return
	}
	k.w.tally.add(Waits)
	if reason == "" {
		k.w.fail("reason", "%s is told that session %d is %s, and not why", who, number, state)
	}
}
