package fleet

import (
	"github.com/weft-fabric/weft/internal/fsm"
)

// State is where a container is in its life.
type State uint8

// The states of a container.
const (
	Asked    State = iota // its agent was asked to start it
	Starting              // its agent is about it
	Running               // its process runs; its instance may be known
	Serving               // its instance is ready for tasks
	Leaving               // it was told to end, or ends by itself
	Exited                // it is gone
)

// String names the state.
func (s State) String() string {
	switch s {
	case Asked:
		return "asked"
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Serving:
		return "serving"
	case Leaving:
		return "leaving"
	case Exited:
		return "exited"
	default:
		return ""
	}
}

// Event is what moves a container from state to state.
type Event uint8

// The events.
const (
	Begin Event = iota // the agent has begun to start it
	Run                // the agent says that the process runs, or the instance says HELLO
	Ready              // the instance can be given tasks
	Leave              // it was told to end, or said that it will
	Exit               // the process is gone, or its node is
)

// String names the event.
func (e Event) String() string {
	switch e {
	case Begin:
		return "begin"
	case Run:
		return "run"
	case Ready:
		return "ready"
	case Leave:
		return "leave"
	case Exit:
		return "exit"
	default:
		return ""
	}
}

// Table says what becomes of a container. The agent's word and the instance's come by different ways, so that what is
// late is welcome and changes nothing, as long as it tells nothing new.
var Table = fsm.Must(fsm.New(
	[]State{Asked, Starting, Running, Serving, Leaving, Exited},
	[]Event{Begin, Run, Ready, Leave, Exit},

	fsm.Move(Asked, Begin, Starting),
	fsm.Move(Asked, Run, Running),
	fsm.Refuse[State, Event](Asked, Ready, "no instance has said HELLO for it"),
	fsm.Move(Asked, Leave, Leaving),
	fsm.Move(Asked, Exit, Exited),

	fsm.Move(Starting, Begin, Starting),
	fsm.Move(Starting, Run, Running),
	fsm.Refuse[State, Event](Starting, Ready, "no instance has said HELLO for it"),
	fsm.Move(Starting, Leave, Leaving),
	fsm.Move(Starting, Exit, Exited),

	fsm.Move(Running, Begin, Running),
	fsm.Move(Running, Run, Running),
	fsm.Move(Running, Ready, Serving),
	fsm.Move(Running, Leave, Leaving),
	fsm.Move(Running, Exit, Exited),

	fsm.Move(Serving, Begin, Serving),
	fsm.Move(Serving, Run, Serving),
	fsm.Move(Serving, Ready, Serving),
	fsm.Move(Serving, Leave, Leaving),
	fsm.Move(Serving, Exit, Exited),

	fsm.Refuse[State, Event](Leaving, Begin, "it was told to end"),
	fsm.Refuse[State, Event](Leaving, Run, "it was told to end"),
	fsm.Refuse[State, Event](Leaving, Ready, "it was told to end"),
	fsm.Move(Leaving, Leave, Leaving),
	fsm.Move(Leaving, Exit, Exited),

	fsm.RefuseRest[State, Event](Exited, "a container that is gone does not come back"),
))

// NodeState is how a compute node stands with the broker.
type NodeState uint8

// The states of a node.
const (
	Up   NodeState = iota // its agent is heard
	Lost                  // its agent fell silent
	Left                  // its agent left in order
)

// String names the state as people see it.
func (s NodeState) String() string {
	switch s {
	case Up:
		return "ready"
	case Lost:
		return "lost"
	case Left:
		return "left"
	default:
		return ""
	}
}

// NodeEvent is what moves a node from state to state.
type NodeEvent uint8

// The events of nodes.
const (
	Register NodeEvent = iota // its agent registers it
	Silence                   // its agent was not heard for too long, or its place was taken
	Bye                       // its agent leaves in order
)

// String names the event.
func (e NodeEvent) String() string {
	switch e {
	case Register:
		return "register"
	case Silence:
		return "silence"
	case Bye:
		return "bye"
	default:
		return ""
	}
}

// NodeTable says what becomes of a node.
var NodeTable = fsm.Must(fsm.New(
	[]NodeState{Up, Lost, Left},
	[]NodeEvent{Register, Silence, Bye},

	fsm.Move(Up, Register, Up),
	fsm.Move(Up, Silence, Lost),
	fsm.Move(Up, Bye, Left),
	fsm.Move(Lost, Register, Up),
	fsm.RefuseRest[NodeState, NodeEvent](Lost, "a lost node comes back only by registering"),
	fsm.Move(Left, Register, Up),
	fsm.RefuseRest[NodeState, NodeEvent](Left, "a node that left comes back only by registering"),
))
