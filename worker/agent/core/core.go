package core

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/fsm"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

const (
	beatEvery   = protocol.Heartbeat / 2
	statusEvery = protocol.Heartbeat
	// registerAgain is how long after a refused registration the next is tried.
	registerAgain = 2 * time.Second
	// shutdownMargin is how long beyond their grace containers are waited for when the agent ends.
	shutdownMargin = 5 * time.Second
	nobody         = -1
)

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
	config  Config
	table   *fsm.Table[State, Change]
	brokers []*broker
	epoch   protocol.Epoch
	leader  int // the broker that is obeyed; nobody before the first welcome

	containers ordered.Map[string, *container]
	reports    map[uint64]string // containers by the id of their last report
	nextID     uint64
	usage      protocol.NodeStatus

	registering  uint64    // id of the registration under way; 0 none
	registered   bool      // the leader knows the node
	registerAt   time.Time // when a refused registration is tried again; zero: none was refused
	nextStatus   time.Time
	nextBeat     time.Time
	ending       bool
	endBy        time.Time // when the end no longer waits for containers
	over         bool
	announceOver bool   // Take has to say that it is over
	lastRefusal  string // noted last

	frames []*link.Frame // scratch
	starts []protocol.StartContainer
	stops  []Stop
	notes  []Note
}

// New makes a core whose first greetings are due at now.
func New(now time.Time, config Config) *Core {
	c := &Core{
		config: config, table: Containers(), leader: nobody, reports: map[uint64]string{},
		nextStatus: now.Add(statusEvery), nextBeat: now.Add(beatEvery),
	}
	for _, endpoint := range config.Brokers {
		node := link.NewNode(0, config.Incarnation)
		c.brokers = append(c.brokers, &broker{endpoint: endpoint, node: node, link: node.Link(), greetAt: now})
	}
	return c
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
		c.lost(now, c.brokers[e.Broker], "there is no connection")
	case Reachable:
		if b := c.brokers[e.Broker]; !b.link.Up() {
			c.greet(now, b)
		}
	case Usage:
		c.usage.Load1, c.usage.MemFree = e.Load1, e.MemFree
	case Started:
		c.started(e)
	case StartFailed:
		c.failed(e)
	case Exited:
		c.exited(e)
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
	for _, b := range c.brokers {
		switch {
		case !b.link.Up() && !now.Before(b.greetAt):
			c.greet(now, b)
		case b.link.Up() && !now.Before(b.heard.Add(b.timeout)):
			c.lost(now, b, fmt.Sprintf("nothing was heard for %v", b.timeout))
			c.greet(now, b)
		}
	}
	if !c.registerAt.IsZero() && !now.Before(c.registerAt) {
		c.register()
	}
	if !now.Before(c.nextStatus) {
		c.nextStatus = now.Add(statusEvery)
		c.status()
	}
	if !now.Before(c.nextBeat) {
		c.nextBeat = now.Add(beatEvery)
		for _, b := range c.brokers {
			b.link.Beat(true)
		}
	}
	if c.ending && !now.Before(c.endBy) {
		for id, k := range c.containers.All() {
			if k.state != Ended {
				c.note(NoteForced, "", id, "has not ended in time")
			}
		}
		c.leave()
	}
	c.finish()
}

// Deadline says when Tick has something to do; ok is false when there is nothing to wait for.
func (c *Core) Deadline() (at time.Time, ok bool) {
	if c.over {
		return time.Time{}, false
	}
	at = c.nextBeat
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	sooner(c.nextStatus)
	for _, b := range c.brokers {
		if b.link.Up() {
			sooner(b.heard.Add(b.timeout))
		} else {
			sooner(b.greetAt)
		}
	}
	if !c.registerAt.IsZero() {
		sooner(c.registerAt)
	}
	if c.ending {
		sooner(c.endBy)
	}
	return at, true
}

// Take moves what is to be done into out and says whether there is anything.
func (c *Core) Take(out *Batch) bool {
	out.Sends, out.Starts, out.Stops, out.Notes = out.Sends[:0], out.Starts[:0], out.Stops[:0], out.Notes[:0]
	for i, b := range c.brokers {
		c.frames = b.node.Take(c.frames[:0])
		for _, f := range c.frames {
			out.Sends = append(out.Sends, Send{Broker: i, Frame: f})
		}
	}
	out.Starts = append(out.Starts, c.starts...)
	out.Stops = append(out.Stops, c.stops...)
	out.Notes = append(out.Notes, c.notes...)
	clear(c.starts)
	clear(c.notes)
	c.starts, c.stops, c.notes = c.starts[:0], c.stops[:0], c.notes[:0]
	out.Over = c.announceOver
	c.announceOver = false
	return len(out.Sends)+len(out.Starts)+len(out.Stops)+len(out.Notes) > 0 || out.Over
}

// Containers returns the states of the containers that the core knows, in the order of their ids.
func (c *Core) Containers() []protocol.Container {
	var all []protocol.Container
	for id, k := range c.containers.All() {
		all = append(all, protocol.Container{ID: id, Service: k.service, State: k.state.wire()})
	}
	return all
}

func (c *Core) note(kind NoteKind, endpoint, id, text string) {
	c.notes = append(c.notes, Note{Kind: kind, Broker: endpoint, Container: id, Text: text})
}

func (c *Core) newID() uint64 {
	c.nextID++
	return c.nextID
}

// shutdown begins the end of the agent.
func (c *Core) shutdown(now time.Time, grace time.Duration) {
	if c.ending {
		return
	}
	c.ending = true
	c.endBy = now.Add(grace + shutdownMargin)
	for id, k := range c.containers.All() {
		c.stop(id, k, grace)
	}
}

// finish ends the agent once its containers have ended.
func (c *Core) finish() {
	if !c.ending || c.over {
		return
	}
	for _, k := range c.containers.All() {
		if k.state != Ended {
			return
		}
	}
	c.leave()
}

// leave takes leave of the brokers.
func (c *Core) leave() {
	for _, b := range c.brokers {
		if b.link.Up() {
			b.link.Append(protocol.KindBye, 0, 0, nil)
		}
	}
	c.over, c.announceOver = true, true
}
