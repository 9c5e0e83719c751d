package manager

import (
	"math"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// What the loops of a broker hold together is bounded (docs/architecture.md, "Memory"). The shell adds it up and tells
// each core, which grants less while it is much, and refuses tasks while it is nearly all. What makes it less is never
// refused: results, acknowledgements, cancels, the end of sessions.

// Memory is what the shell tells of the memory that a broker may use.
type Memory struct {
	Limit    int64 // bytes of all loops together; 0: there is none
	Used     int64 // of it
	Promised int64 // bytes of results that the other loops expect of tasks at instances
}

// level is how far the memory is used.
type level uint8

const (
	levelNormal level = iota
	levelHigh         // less is granted anew
	levelFull         // tasks are refused
)

// Parts of the limit, in percent, from which a level holds, and below which it is over.
const (
	highFrom, highUntil = 70, 65
	fullFrom, fullUntil = 90, 85
)

// Times after which a refused task may be sent again: the first where the level is full by a hair, and the most.
const (
	retryAfter  = 100 * time.Millisecond
	retryAtMost = 5 * time.Second
)

// pressure is what a core knows of the memory of its broker.
type pressure struct {
	Memory
	level level
	limit int64 // what tasks and kept answers may have at most, in bytes, of the broker's memory, until the shell tells again
	roof  int64 // the same, or what the loop may have when that is less
}

// gauge looks at the memory of a core's broker.
type gauge struct{ *Core }

// next gives the level that follows from the memory in use.
func (l level) next(m Memory) level {
	from := func(percent int64) bool { return m.Limit > 0 && m.Used >= m.Limit/100*percent }
	switch {
	case from(fullFrom), l == levelFull && from(fullUntil):
		return levelFull
	case from(highFrom), l >= levelHigh && from(highUntil):
		return levelHigh
	}
	return levelNormal
}

// remember takes the shell's word of the memory in use.
func (c gauge) remember(m Memory) {
	p := &c.pressure
	p.Memory, p.level = m, p.level.next(m)
	if p.level >= levelHigh {
		c.buffers.dropSpare()
	}
	switch {
	case m.Limit == 0:
		p.limit = math.MaxInt64
	case p.level == levelFull:
		p.limit = 0
	default:
		p.limit = c.bytes + c.kept + m.Limit/100*fullFrom - m.Used
	}
	p.roof = min(c.cfg.QueuedBytes, p.limit)
}

// full says whether a task of that size is to be refused for want of memory. Who holds nothing may have any task.
func (c gauge) full(size int64) bool {
	held := c.bytes + c.kept
	return held+size > c.pressure.roof && (held > 0 || c.pressure.level == levelFull || size > c.cfg.QueuedBytes)
}

// fullOfTasks says whether a task of that size is to be refused even if kept answers took nothing of what the loop may have.
func (c gauge) fullOfTasks(size int64) bool {
	return c.bytes+size > c.cfg.QueuedBytes || c.bytes+c.kept+size > c.pressure.limit
}

// tight says whether what is used, and what is expected of the tasks at instances, leaves little: clients are then given
// little beyond what they have taken.
func (c gauge) tight() bool {
	p := &c.pressure
	return p.Limit > 0 && p.Used+p.Promised+c.promised >= p.Limit/100*highFrom
}

// overloaded refuses a task for want of memory. The more is used beyond the limit, the later it may come again.
func (c gauge) overloaded() *protocol.Error {
	p := &c.pressure
	e := protocol.Errorf(protocol.CodeOverloaded, "Task", "manager loop %d holds %d bytes of unfinished tasks, its limit is %d",
		c.cfg.Loop, c.bytes+c.kept, c.cfg.QueuedBytes)
	if p.Limit > 0 && c.bytes+c.kept <= c.cfg.QueuedBytes/2 {
		e = protocol.Errorf(protocol.CodeOverloaded, "Task", "the broker holds %d bytes of tasks, results and what peers have not acknowledged, "+
			"its limit is %d (--memory): tasks are refused from %d %% on", p.Used, p.Limit, fullFrom)
	}
	e.RetryAfter = c.later()
	return e
}

// later is when a refused task may come again: doubled for each third part of the way from where the level is full to the
// limit, less a random part of up to a half.
func (c gauge) later() time.Duration {
	p := &c.pressure
	d := retryAfter
	if p.Limit > 0 {
		thirds := (p.Used - p.Limit/100*fullFrom) * 3 / max(p.Limit/100*(100-fullFrom), 1)
		d = min(d<<min(max(thirds, 0), 6), retryAtMost)
	}
	return d - time.Duration(c.chance.Int64N(int64(d/2)))
}

// What a slot takes in memory, and an extra with its places in the map and among the alarms.
const (
	slotBytes  = 64
	extraBytes = 320
)

// Holds is what a core holds in memory, for the shell to add up: bytes beside payload frames, which the shell knows,
// and bytes of the results that it expects of the tasks at instances.
func Holds(c *Core) (bytes, promised int64) {
	// Of frames that peers have not acknowledged the transport may have a copy.
	bytes = c.buffers.pinned + c.buffers.spare + 2*c.node.Kept() + c.data
	for _, m := range c.managers {
		bytes += int64(cap(m.slab.slots))*slotBytes + int64(len(m.slab.extras))*extraBytes + m.slab.said
	}
	return bytes, c.promised
}
