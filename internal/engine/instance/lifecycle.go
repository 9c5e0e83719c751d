package instance

import "github.com/weft-fabric/weft/internal/fsm"

// State is where an instance is in its life.
type State uint8

// The states of an instance.
const (
	Connecting State = iota // it says HELLO to a broker and waits to be referred to its manager
	Creating                // OnCreateService runs
	Serving                 // it takes sessions and tasks
	Draining                // it starts no further task; its manager takes back what it can
	Leaving                 // sessions are let go, OnDestroyService runs, BYE is said
	Ended                   // it is over; [Engine.Err] says how
)

var stateNames = [...]string{"connecting", "creating", "serving", "draining", "leaving", "ended"}

// String names the state in a word.
func (s State) String() string { return nameOf(stateNames[:], uint8(s)) }

// Event is what moves an instance from state to state.
type Event uint8

// The events of an instance.
const (
	Referred     Event = iota // the broker said where the service is served
	Created                   // OnCreateService returned nil
	CreateFailed              // OnCreateService failed
	Stop                      // the process is asked to end
	Panicked                  // OnTaskExec panicked
	Leave                     // the manager lets the instance go
	Orphaned                  // the manager does not answer a draining instance
	Rejected                  // the broker does not want this instance
	Finished                  // nothing is left to be done
)

var eventNames = [...]string{
	"referred", "created", "create-failed", "stop", "panicked", "leave", "orphaned", "rejected", "finished",
}

// String names the event in a word.
func (e Event) String() string { return nameOf(eventNames[:], uint8(e)) }

func nameOf(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

const (
	whyUnborn  = "no session or task came yet"
	whyCreated = "OnCreateService runs once"
	whyGone    = "the instance is over"
	whyBusy    = "it is not leaving"
	whyServes  = "only a draining instance gives its manager up; others wait for it"
)

// life is the table of an instance's life.
var life = fsm.Must(fsm.New(
	[]State{Connecting, Creating, Serving, Draining, Leaving, Ended},
	[]Event{Referred, Created, CreateFailed, Stop, Panicked, Leave, Orphaned, Rejected, Finished},

	fsm.Move(Connecting, Referred, Creating),
	fsm.Move(Connecting, Stop, Leaving),
	fsm.Move(Connecting, Rejected, Leaving),
	fsm.RefuseRest[State, Event](Connecting, whyUnborn),

	fsm.Move(Creating, Referred, Creating),
	fsm.Move(Creating, Created, Serving),
	fsm.Move(Creating, CreateFailed, Leaving),
	fsm.Move(Creating, Stop, Draining),
	fsm.Move(Creating, Rejected, Draining),
	fsm.RefuseRest[State, Event](Creating, whyUnborn),

	fsm.Move(Serving, Referred, Serving),
	fsm.Move(Serving, Stop, Draining),
	fsm.Move(Serving, Panicked, Draining),
	fsm.Move(Serving, Leave, Leaving),
	fsm.Move(Serving, Rejected, Leaving),
	fsm.Refuse(Serving, Created, whyCreated),
	fsm.Refuse(Serving, CreateFailed, whyCreated),
	fsm.Refuse(Serving, Orphaned, whyServes),
	fsm.Refuse(Serving, Finished, whyBusy),

	fsm.Move(Draining, Referred, Draining),
	fsm.Move(Draining, Created, Draining),
	fsm.Move(Draining, CreateFailed, Leaving),
	fsm.Move(Draining, Stop, Draining),
	fsm.Move(Draining, Panicked, Draining),
	fsm.Move(Draining, Leave, Leaving),
	fsm.Move(Draining, Orphaned, Leaving),
	fsm.Move(Draining, Rejected, Leaving),
	fsm.Refuse(Draining, Finished, whyBusy),

	fsm.Move(Leaving, Stop, Leaving),
	fsm.Move(Leaving, Panicked, Leaving),
	fsm.Move(Leaving, Leave, Leaving),
	fsm.Move(Leaving, Rejected, Leaving),
	fsm.Move(Leaving, Finished, Ended),
	fsm.RefuseRest[State, Event](Leaving, "the instance is on its way out"),

	fsm.RefuseRest[State, Event](Ended, whyGone),
))

// seat is where a session is at an instance.
type seat uint8

const (
	binding   seat = iota // OnSessionBind waits or runs
	bound                 // tasks may run
	releasing             // it is to be let go when its hook and its running tasks have ended
	unbinding             // OnSessionUnbind waits or runs
	gone                  // it is over
)

var seatNames = [...]string{"binding", "bound", "releasing", "unbinding", "gone"}

func (s seat) String() string { return nameOf(seatNames[:], uint8(s)) }

// turn is what moves a session at an instance from seat to seat.
type turn uint8

const (
	bindDone turn = iota // OnSessionBind returned nil
	bindLost             // OnSessionBind failed, or was never begun
	release              // the session is to be let go
	quiet                // none of its tasks runs
	left                 // OnSessionUnbind returned
)

var turnNames = [...]string{"bind-done", "bind-lost", "release", "quiet", "left"}

func (t turn) String() string { return nameOf(turnNames[:], uint8(t)) }

// seats is the table of a session at an instance.
var seats = fsm.Must(fsm.New(
	[]seat{binding, bound, releasing, unbinding, gone},
	[]turn{bindDone, bindLost, release, quiet, left},

	fsm.Move(binding, bindDone, bound),
	fsm.Move(binding, bindLost, gone),
	fsm.Move(binding, release, releasing),
	fsm.RefuseRest[seat, turn](binding, "a session is bound before anything else"),

	fsm.Move(bound, release, releasing),
	fsm.RefuseRest[seat, turn](bound, "OnSessionBind has returned, and nobody asked to let the session go"),

	fsm.Move(releasing, bindDone, releasing),
	fsm.Move(releasing, bindLost, gone),
	fsm.Move(releasing, release, releasing),
	fsm.Move(releasing, quiet, unbinding),
	fsm.Refuse(releasing, left, "OnSessionUnbind has not begun"),

	fsm.Move(unbinding, release, unbinding),
	fsm.Move(unbinding, left, gone),
	fsm.RefuseRest[seat, turn](unbinding, "OnSessionUnbind ends it"),

	fsm.RefuseRest[seat, turn](gone, "the session is gone"),
))

// Drawings gives the state tables of an instance and of a session at an instance, drawn for docs/states.md: pictures in
// Mermaid's notation, and tables in Markdown.
func Drawings() (lifePicture, lifeTable, seatPicture, seatTable string) {
	return life.Mermaid(), life.Markdown(), seats.Mermaid(), seats.Markdown()
}
