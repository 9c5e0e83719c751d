package control

import (
	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// Survey asks for a [Census]; the answer is in the next batch.
type Survey struct{ ID uint64 }

// Census is what there is, in numbers. It is a copy: whoever has it may keep it.
type Census struct {
	Nodes      []NodeCensus // all that are known, by name
	Cordoned   int          // of those that are up
	NodeStates []Count      // every state, in the order of a node's life; as in the other two
	Containers []Count      // that are not gone
	Sessions   []Count      // that are open; closing is one of the states
	Opened     uint64       // sessions that ever were
	Services   int          // that are registered, each version one
	Tasks      TaskCensus
}

// Count is how many are in a state.
type Count struct {
	State string
	N     int
}

// NodeCensus is one node.
type NodeCensus struct {
	Name           string
	Up             bool
	Capacity, Used protocol.Capacity
}

// TaskCensus counts the tasks of all sessions since the broker began, as far as their managers have told: that is at most
// half a second ago. Submitted is the sum of Done, Failed and Unfinished.
type TaskCensus struct {
	Done, Failed          uint64
	Cancelled, Dead       uint64 // of Failed
	Retried               uint64 // attempts that were not the first
	Unfinished, Submitted uint64
}

// follow brings the sum up to what a session had and has now.
func (t *TaskCensus) follow(had, has *session.Figures) {
	t.Done += has.Done - had.Done
	t.Failed += has.Failed - had.Failed
	t.Cancelled += has.Cancelled - had.Cancelled
	t.Dead += has.Dead - had.Dead
	t.Retried += has.Retried - had.Retried
	t.Unfinished += uint64(has.Queued+has.InFlight) - uint64(had.Queued+had.InFlight)
	t.Submitted = t.Done + t.Failed + t.Unfinished
}

// openStates are the states of a session that is open, as people see them.
var openStates = [...]string{protocol.SessionQueued, protocol.SessionScheduled, protocol.SessionRunning, protocol.SessionClosing}

// openTally counts open sessions by their state.
type openTally [len(openStates)]int

// count counts the session, or no longer, in the state that it has now.
func (s *sess) count(n int) {
	switch {
	case s.state.Over():
	case s.closing != "":
		s.among[len(openStates)-1] += n
	default:
		s.among[s.state] += n
	}
}

// survey answers with the census.
func (c *Core) survey(ev Survey) {
	c.out.answers = append(c.out.answers, Answer{ID: ev.ID, Census: c.census()})
}

// census takes the census. It looks at every node and every session manager once.
func (c *Core) census() *Census {
	s := &Census{Opened: uint64(c.sessions.number), Services: c.catalogue.Len(), Tasks: c.sessions.tasks}
	s.Nodes = make([]NodeCensus, 0, c.crew.fleet.Known())
	var nodes [fleet.Left + 1]int
	for _, n := range c.crew.fleet.Nodes() {
		nodes[n.State]++
		if n.State == fleet.Up && n.Cordoned {
			s.Cordoned++
		}
		s.Nodes = append(s.Nodes, NodeCensus{Name: n.Name, Up: n.State == fleet.Up, Capacity: n.Capacity, Used: n.Used})
	}
	for state, n := range nodes {
		s.NodeStates = append(s.NodeStates, Count{fleet.NodeState(state).String(), n})
	}
	var containers tally
	for _, m := range c.managers.byID.All() {
		for state := range containers {
			containers[state] += m.count[state] + m.byHand[state]
		}
	}
	for state, n := range containers {
		s.Containers = append(s.Containers, Count{fleet.State(state).String(), n})
	}
	for i, n := range c.sessions.states {
		s.Sessions = append(s.Sessions, Count{openStates[i], n})
	}
	return s
}
