package session

import (
	"github.com/weft-fabric/weft/internal/fsm"
	"github.com/weft-fabric/weft/protocol"
)

// State is where a session is in its life.
type State uint8

// The states; [State.String] gives their names on the wire.
const (
	Queued    State = iota // no container was given to its service yet
	Scheduled              // a container was given, no instance is bound yet
	Running                // an instance has been bound
	Failed                 // it could not go on
	Closed                 // it is over
)

// String gives the name that the protocol uses.
func (s State) String() string {
	switch s {
	case Queued:
		return protocol.SessionQueued
	case Scheduled:
		return protocol.SessionScheduled
	case Running:
		return protocol.SessionRunning
	case Failed:
		return protocol.SessionFailed
	case Closed:
		return protocol.SessionClosed
	default:
		return ""
	}
}

// Over says whether the session has ended, one way or the other.
func (s State) Over() bool { return s == Failed || s == Closed }

// Event is what moves a session from state to state.
type Event uint8

// The events.
const (
	Placed   Event = iota // its service has a container
	Unplaced              // its service has no container any more
	Bound                 // an instance holds it
	Broke                 // it cannot go on
	Ended                 // it was closed and nothing of it is left
)

// String names the event in documents and messages.
func (e Event) String() string {
	switch e {
	case Placed:
		return "placed"
	case Unplaced:
		return "unplaced"
	case Bound:
		return "bound"
	case Broke:
		return "broke"
	case Ended:
		return "ended"
	default:
		return ""
	}
}

// Table says what becomes of a session. A session that has run counts as running until its end: what it waits for when
// its instances were lost is told by its reason.
var Table = fsm.Must(fsm.New(
	[]State{Queued, Scheduled, Running, Failed, Closed},
	[]Event{Placed, Unplaced, Bound, Broke, Ended},

	fsm.Move(Queued, Placed, Scheduled),
	fsm.Refuse[State, Event](Queued, Unplaced, "it had no container"),
	fsm.Move(Queued, Bound, Running),
	fsm.Move(Queued, Broke, Failed),
	fsm.Move(Queued, Ended, Closed),

	fsm.Refuse[State, Event](Scheduled, Placed, "it has a container already"),
	fsm.Move(Scheduled, Unplaced, Queued),
	fsm.Move(Scheduled, Bound, Running),
	fsm.Move(Scheduled, Broke, Failed),
	fsm.Move(Scheduled, Ended, Closed),

	fsm.Refuse[State, Event](Running, Placed, "it has been running already"),
	fsm.Refuse[State, Event](Running, Unplaced, "a session that has run waits for another instance without being queued again"),
	fsm.Refuse[State, Event](Running, Bound, "it has been running already"),
	fsm.Move(Running, Broke, Failed),
	fsm.Move(Running, Ended, Closed),

	fsm.RefuseRest[State, Event](Failed, "a failed session stays failed"),
	fsm.RefuseRest[State, Event](Closed, "a closed session stays closed"),
))
