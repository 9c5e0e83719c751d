package manager

import (
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// A manager has a share of the management node. Its bytes bound its unfinished tasks. Its millicores are what
// it may use of its loop, which is one thread, before others go first: the shell tells how long the loop was busy, and
// the core apportions that to managers by the records of theirs that it handled. No clock is read for that.

const (
	// usageSlots of usageSlot are the second over which the use of a loop is summed up.
	usageSlots = 4
	usageSlot  = time.Second / usageSlots
	// patience is for how many turns in a row managers beyond their share may have to wait for the others.
	patience = 4
)

// usage is what a manager has used of its loop.
type usage struct {
	records int                       // handled since the loop's time was last apportioned
	slots   [usageSlots]time.Duration // the last of them is being filled
	sum     time.Duration             // of the slots
	over    bool                      // it is more than the share
	told    session.Usage
}

// late is who waits for the next turn, because managers within their share had work in this one.
type late struct {
	served []*instance
	filled []*hosted
	turns  int // that they have waited
}

func (l *late) some() bool { return len(l.served)+len(l.filled) > 0 }

// ledger is what is to be charged to the managers of a loop.
type ledger struct {
	worked []*manager // with records since the loop's time was last apportioned
	since  time.Time  // when the slots that are being filled were begun
}

// handled counts a record of the manager's.
func (m *manager) handled() {
	if m.usage.records == 0 {
		m.core.ledger.charge(m)
	}
	m.usage.records++
}

// charge notes that the manager is to be charged with a part of the loop's time.
func (l *ledger) charge(m *manager) { l.worked = append(l.worked, m) }

// forget drops what was to be charged to a manager.
func (l *ledger) forget(m *manager) { l.worked, m.usage.records = without(l.worked, m), 0 }

// apportion charges the managers whose records were handled since the last time with what the loop was busy.
func (l *ledger) apportion(busy time.Duration) {
	records := 0
	for _, m := range l.worked {
		records += m.usage.records
	}
	for _, m := range l.worked {
		part := time.Duration(float64(busy) * float64(m.usage.records) / float64(records))
		m.usage.records = 0
		m.usage.slots[usageSlots-1] += part
		m.usage.sum += part
		m.judgeUsage()
	}
	clear(l.worked)
	l.worked = l.worked[:0]
}

// roll begins a new slot for all managers of the loop when the time of the last one is over.
func (l *ledger) roll(now time.Time, managers []*manager) {
	gone := now.Sub(l.since) / usageSlot
	if gone <= 0 {
		return
	}
	gone = min(gone, usageSlots)
	if l.since = l.since.Add(gone * usageSlot); gone == usageSlots {
		l.since = now
	}
	for _, m := range managers {
		m.usage.roll(int(gone))
		m.judgeUsage()
	}
}

// roll forgets the n oldest slots.
func (u *usage) roll(n int) {
	for _, s := range u.slots[:n] {
		u.sum -= s
	}
	copy(u.slots[:], u.slots[n:])
	clear(u.slots[usageSlots-n:])
}

// judgeUsage finds whether the manager has used more than its share in the last second.
func (m *manager) judgeUsage() { m.usage.over = m.usage.millicores() > m.share.CPU }

// millicores is what was used in the last second.
func (u *usage) millicores() int64 { return int64(u.sum / time.Millisecond) }

// overShare refuses a task that would be more than the manager's share of the node's memory.
func (m *manager) overShare() *protocol.Error {
	e := protocol.Errorf(protocol.CodeOverloaded, "Task", "the session manager of service %s holds %d bytes of unfinished tasks, its share is %d (manager.memory)",
		m.service.Name, m.bytes+m.kept, m.share.Memory)
	e.RetryAfter = retryAfter
	return e
}

// tellUsage tells what the manager uses of its share when that has changed.
func (m *manager) tellUsage() {
	if now := (session.Usage{Manager: m.id, CPU: m.usage.millicores(), Memory: m.bytes + m.kept}); now != m.usage.told {
		m.usage.told = now
		m.core.note(session.Note{Usage: &now})
	}
}

// settle dispatches what can be. It is called once for each pump. Managers within their share go first, and others wait
// for the next pump if there were any such, though not for ever.
func (c *Core) settle() {
	first := c.dispatchAll(false)
	if !c.late.some() {
		return
	}
	if first && (c.late.turns < patience || planted.Is(planted.BeyondShareStarves)) {
		c.late.turns++
		return
	}
	c.settleAll()
}

// settleAll dispatches what can be, for whomever.
func (c *Core) settleAll() {
	c.dispatchAll(false)
	c.late.turns = 0
	c.served, c.late.served = c.late.served, c.served
	c.filled, c.late.filled = c.late.filled, c.filled
	c.dispatchAll(true)
}

// dispatchAll dispatches what can be, for managers beyond their share only when told, and says whether there was
// anybody to be served.
func (c *Core) dispatchAll(all bool) (some bool) {
	for len(c.served) > 0 || len(c.filled) > 0 {
		// Who waited comes first.
		for k := 0; k < len(c.served); k++ {
			i := c.served[k]
			if i.manager.usage.over && !all {
				c.late.served = append(c.late.served, i)
				continue
			}
			some, i.queued = true, false
			i.serveTurns()
		}
		clear(c.served)
		c.served = c.served[:0]
		for k := 0; k < len(c.filled); k++ {
			s := c.filled[k]
			if s.manager.usage.over && !all {
				c.late.filled = append(c.late.filled, s)
				continue
			}
			some, s.dirty = true, false
			s.dispatch()
		}
		clear(c.filled)
		c.filled = c.filled[:0]
	}
	return some
}
