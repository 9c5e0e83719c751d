package core

import (
	"time"

	"github.com/weft-fabric/weft/internal/fsm"
	"github.com/weft-fabric/weft/protocol"
)

// State is what an agent knows of a container.
type State uint8

// States of a container.
const (
	Starting   State = iota // the shell was told to start it
	Abandoned               // it is being started, and was told to end meanwhile
	Running                 // its process runs
	Stopping                // it was told to end
	Ended                   // it is gone, or never was; kept until the broker knows
	stateCount = iota
)

// String names the state.
func (s State) String() string {
	return [...]string{"starting", "abandoned", "running", "stopping", "ended"}[s]
}

// wire is the state as the protocol names it.
func (s State) wire() string {
	return [...]string{
		protocol.ContainerStarting, protocol.ContainerStopping, protocol.ContainerRunning, protocol.ContainerStopping,
		protocol.ContainerExited,
	}[s]
}

// Change is what happens to a container.
type Change uint8

// Changes of a container.
const (
	OrderStart  Change = iota // the broker orders its start, again
	OrderStop                 // the broker, or the end of the agent, orders its end
	HasStarted                // its process runs
	HasFailed                 // it could not be started
	HasExited                 // its process is gone
	changeCount = iota
)

// String names the change.
func (c Change) String() string {
	return [...]string{"order to start", "order to stop", "started", "failed to start", "exited"}[c]
}

// Containers returns the table of a container's states. It is built anew by each call.
func Containers() *fsm.Table[State, Change] {
	states, changes := make([]State, stateCount), make([]Change, changeCount)
	for i := range states {
		states[i] = State(i)
	}
	for i := range changes {
		changes[i] = Change(i)
	}
	const once = "a container is started once"
	return fsm.Must(fsm.New(states, changes,
		fsm.Move(Starting, OrderStart, Starting),
		fsm.Move(Starting, OrderStop, Abandoned),
		fsm.Move(Starting, HasStarted, Running),
		fsm.Move(Starting, HasFailed, Ended),
		fsm.Refuse(Starting, HasExited, "a process ends after it started"),

		fsm.Move(Abandoned, OrderStart, Abandoned),
		fsm.Move(Abandoned, OrderStop, Abandoned),
		fsm.Move(Abandoned, HasStarted, Stopping),
		fsm.Move(Abandoned, HasFailed, Ended),
		fsm.Refuse(Abandoned, HasExited, "a process ends after it started"),

		fsm.Move(Running, OrderStart, Running),
		fsm.Move(Running, OrderStop, Stopping),
		fsm.Refuse(Running, HasStarted, once),
		fsm.Refuse(Running, HasFailed, once),
		fsm.Move(Running, HasExited, Ended),

		fsm.Move(Stopping, OrderStart, Stopping),
		fsm.Move(Stopping, OrderStop, Stopping),
		fsm.Refuse(Stopping, HasStarted, once),
		fsm.Refuse(Stopping, HasFailed, once),
		fsm.Move(Stopping, HasExited, Ended),

		fsm.Move(Ended, OrderStart, Ended),
		fsm.Move(Ended, OrderStop, Ended),
		fsm.RefuseRest[State, Change](Ended, "the container is over"),
	))
}

// container is one container of the node.
type container struct {
	id       string
	state    State
	service  string
	grace    time.Duration // of the order that abandoned its start
	last     protocol.ContainerState
	reported uint64 // id of the last report; 0: what it said was taken note of, or nothing was said
}
