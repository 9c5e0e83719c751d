package core

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// shutdownMargin is how long beyond their grace containers are waited for when the agent ends.
const shutdownMargin = 5 * time.Second

// Config is what a [Core] is made for. All of it has to be given.
type Config struct {
	// Brokers are the control endpoints as they are dialled, one for each broker. Events and sends name a broker by
	// its place here.
	Brokers []string
	// Incarnation was drawn once by this process; not 0.
	Incarnation uint64
	// Node is the registration, without containers.
	Node protocol.RegisterNode
	// Host is equal for processes that can meet over ipc.
	Host string
	// KeepsScheme keeps peers on the transport that was dialled.
	KeepsScheme bool
	// Jitter draws from [0, 1).
	Jitter func() float64
}

// Core is the state of an agent. Make it with [New].
type Core struct {
	do     *actions
	lines  *lines
	roster *roster
	leader *leader

	ending       bool
	endBy        time.Time // when the end no longer waits for containers
	over         bool
	announceOver bool // Take has to say that it is over
}

// New makes a core whose first greetings are due at now.
func New(now time.Time, config Config) *Core {
	do := &actions{}
	lines, roster := newLines(now, config, do), newRoster(do)
	return &Core{do: do, lines: lines, roster: roster, leader: newLeader(now, config.Node, lines, roster, do)}
}

// Step takes one event.
func (c *Core) Step(now time.Time, ev Event) {
	if c.over {
		return
	}
	switch e := ev.(type) {
	case Received:
		c.receive(now, e.Broker, e.Frame)
	case Gone:
		c.lines.lost(now, c.lines.brokers[e.Broker], "there is no connection")
	case Reachable:
		if b := c.lines.brokers[e.Broker]; !b.link.Up() {
			c.lines.greet(now, b)
		}
	case Usage:
		c.leader.usage.Load1, c.leader.usage.MemFree = e.Load1, e.MemFree
	case Started:
		c.tell(c.roster.started(e))
	case StartFailed:
		c.tell(c.roster.failed(e))
	case Exited:
		c.tell(c.roster.exited(e))
	case Shutdown:
		c.shutdown(now, e.Grace)
	}
	c.finish()
}

// Tick does what is due at now.
func (c *Core) Tick(now time.Time) {
	if c.over {
		return
	}
	c.lines.tick(now)
	c.leader.tick(now)
	c.lines.beat(now)
	if c.ending && !now.Before(c.endBy) {
		c.roster.abandon()
		c.leave()
	}
	c.finish()
}

// Deadline says when Tick has something to do; ok is false when there is nothing to wait for.
func (c *Core) Deadline() (at time.Time, ok bool) {
	if c.over {
		return time.Time{}, false
	}
	at = sooner(c.lines.deadline(), c.leader.deadline())
	if c.ending {
		at = sooner(at, c.endBy)
	}
	return at, true
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Take moves what is to be done into out and says whether there is anything.
func (c *Core) Take(out *Batch) bool {
	out.Sends, out.Starts, out.Stops, out.Notes = out.Sends[:0], out.Starts[:0], out.Stops[:0], out.Notes[:0]
	c.lines.take(out)
	c.do.take(out)
	out.Over = c.announceOver
	c.announceOver = false
	return len(out.Sends)+len(out.Starts)+len(out.Stops)+len(out.Notes) > 0 || out.Over
}

// Containers returns the states of the containers that the core knows, in the order of their ids.
func (c *Core) Containers() []protocol.Container { return c.roster.list() }

// tell reports a container when something is to be said of it: k is nil when not.
func (c *Core) tell(k *container) {
	if k != nil {
		c.leader.report(k)
	}
}

// shutdown begins the end of the agent.
func (c *Core) shutdown(now time.Time, grace time.Duration) {
	if c.ending {
		return
	}
	c.ending = true
	c.endBy = now.Add(grace + shutdownMargin)
	for _, k := range c.roster.containers.All() {
		c.tell(c.roster.stop(k, grace))
	}
}

// finish ends the agent once its containers have ended.
func (c *Core) finish() {
	if c.ending && !c.over && c.roster.ended() {
		c.leave()
	}
}

// leave takes leave of the brokers.
func (c *Core) leave() {
	c.lines.bye()
	c.over, c.announceOver = true, true
}
