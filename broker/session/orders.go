package session

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Order is what the control loop tells a manager loop. Exactly one field is set. Orders reach a loop in the order in
// which they were given, and before any frame that answers to them.
type Order struct {
	Serve   *Serve
	Retire  *Retire
	Open    *Open
	Close   *Close
	Steer   *Steer
	Detach  *Detach
	Attach  *Attach
	Taken   *Taken
	Admit   *Admit
	Lost    *Lost
	Dismiss *Dismiss
	Forget  *Forget
	Move    *Move
	Adopt   *Adopt
	Cancel  *Cancel
	Query   *Query
}

// Serve makes the session manager of a service. Instances are asked for by [Wanted].
type Serve struct {
	Manager uint32 // names the manager from now on, never used again
	Service protocol.Service
	Share   protocol.Share // that it holds of the management node; neither is 0
}

// Retire ends a manager that has no sessions. Its instances stay as they are, without a manager, until [Admit] gives
// them another one, or [Dismiss] or [Lost] ends them.
type Retire struct{ Manager uint32 }

// Open puts a session into the care of a manager. Its client will say HELLO with this incarnation.
type Open struct {
	Manager    uint32
	Session    protocol.SessionNumber
	Client     uint64 // incarnation
	Tenure     uint64 // how often the session was given to a client before
	Bind       protocol.Bind
	TaskCredit int
	ByteCredit int64
	MinInst    int // 0: as the service says
	MaxInst    int
	Keep       bool // results stay until they are taken
	Stopped    bool // it was steered before a manager had it
	Suspended  bool
	Timeout    time.Duration  // of a task from its arrival to its result; 0: as the service says
	Run        time.Duration  // that a task may execute; 0: as the service says
	Retry      protocol.Retry // of its tasks; what is left out is as the service says
}

// Close closes a session; [Changed] with a final state follows. With Kill its unfinished tasks fail with Error,
// otherwise they are finished first.
type Close struct {
	Session protocol.SessionNumber
	Kill    bool
	Error   *protocol.Error
}

// Steer has a session do what [protocol.SteerSession] says, but for a cancel.
type Steer struct {
	Session protocol.SessionNumber
	Action  string
}

// Detach takes a session off its client, which has left it or is gone: it goes on without one, and keeps its results.
type Detach struct{ Session protocol.SessionNumber }

// Attach gives a session to another client, which is sent all results that nobody has taken; [Attached] follows.
type Attach struct {
	Session protocol.SessionNumber
	Client  uint64 // incarnation
	Tenure  uint64 // how often the session was given to a client before
}

// Taken says that a client has taken results of a kept session. It is a note of a loop that does not host it any more, and
// an order to the one that does.
type Taken struct {
	Client  uint64 // incarnation
	Session protocol.SessionNumber
	Tasks   []uint64
}

// Admit announces an instance, which will say HELLO with this incarnation, or which a retired manager has left behind.
type Admit struct {
	Manager     uint32
	Container   string
	Incarnation uint64
	Node        string
	Slots       int
	Sessions    int
	ByHand      bool // no agent attests that it lives: its own heartbeats count
}

// Lost says that an instance is dead.
type Lost struct {
	Container string
	Reason    string
}

// Dismiss asks that an instance be given nothing more and be let go when it is done; [Released] follows.
type Dismiss struct{ Container string }

// Forget drops what is known of a client that is gone, after its sessions were closed.
type Forget struct{ Client uint64 }

// Move asks a loop to hand over a manager. [Moved] follows; nothing of the manager is heard from this loop afterwards.
type Move struct{ Manager uint32 }

// Adopt gives a loop a manager that another one has handed over, with all that it has. Its clients and instances come
// when they are referred.
type Adopt struct{ State any }

// Cancel ends tasks of a session: those that were not begun fail with Error at once, others when they have stopped, or
// when their instance was killed because they did not. Asked for again it is of no effect.
type Cancel struct {
	Session  protocol.SessionNumber
	Sequence uint64 // of the task in its session; 0: all that are unfinished
	Error    *protocol.Error
}

// Query asks something of a manager. [Answer] with its ID follows in any case, also from a loop that does not have the
// manager. Exactly one of the pointers is set.
type Query struct {
	ID      uint64
	Manager uint32
	Task    *protocol.TaskRef     // what is known of a task
	Tasks   *protocol.ListRequest // unfinished tasks of a session; After is a sequence as a decimal number
	Cancel  *Cancel               // is carried out; the answer is Task
	Stats   *protocol.GetStats    // of a session; without one, of all open sessions of the manager together
}

// Note is what a manager loop tells the control loop. Exactly one field is set.
type Note struct {
	Wanted      *Wanted
	Changed     *Changed
	Seat        *Seat
	Ready       *Ready
	Delivered   *Delivered
	Released    *Released
	Silent      *Silent
	Misdirected *Misdirected
	Figures     *Figures
	Usage       *Usage
	Moved       *Moved
	Attached    *Attached
	Leave       *Leave
	Left        *Left
	Taken       *Taken
	Answer      *Answer
	Event       *Happened
	Kill        *Kill
	Counted     *Counted
	Dead        *Dead
	Mishap      *Mishap
}

// Wanted says how many instances a manager would have: from the service's min to max while it has sessions, and as
// before when it has none; those that serve by hand are taken off. Sent when the number changes.
type Wanted struct {
	Manager   uint32
	Instances int
}

// Changed tells that a session is running, failed or closed; Error says why when it did not end in order.
type Changed struct {
	Session protocol.SessionNumber
	State   string // protocol.SessionRunning, SessionFailed, SessionClosed
	Error   *protocol.Error
}

// Seat tells that a session was bound to an instance, taken off it, or was on it when it died.
type Seat struct {
	Session   protocol.SessionNumber
	Container string
	Node      string
	Event     string // protocol.EventBound, EventPaged, EventLost
	Reason    string
}

// Ready tells that an instance serves: its OnCreateService returned and it said HELLO.
type Ready struct{ Container string }

// Delivered tells that an instance has answered its first task: it is good for something, whatever becomes of it.
type Delivered struct{ Container string }

// Released tells that an instance has nothing bound any more and was told to leave, or left by itself.
type Released struct {
	Container string
	Reason    string
}

// Silent tells that an instance without an agent was not heard of for the peer time-out, or broke the protocol;
// the manager has dropped it as lost.
type Silent struct {
	Container string
	Reason    string
}

// Misdirected tells that a client sent something for a session that this loop does not host.
type Misdirected struct {
	Client  uint64
	Session protocol.SessionNumber
}

// Attached tells that a session was given to a client.
type Attached struct {
	Session protocol.SessionNumber
	Client  uint64 // incarnation
	Tenure  uint64 // as in [Attach]
	Next    uint64 // the first sequence that no task of it has had
	Untold  int    // tasks whose results nobody has taken, unfinished ones among them
}

// Leave tells that a client wants to leave a session, which has all that it submitted.
type Leave struct {
	Session protocol.SessionNumber
	Client  uint64 // incarnation
	Tenure  uint64 // that it means
	Grace   time.Duration
	// Referrals is how often the client was told where the session is served, by its own count.
	Referrals uint64
}

// Left tells that a session has nothing to do with a client any more, which it was taken off.
type Left struct {
	Session protocol.SessionNumber
	Client  uint64 // incarnation
}

// Figures are the state of a session, sent at most twice a second and only when they changed.
type Figures struct {
	Session  protocol.SessionNumber
	Queued   int
	InFlight int
	Done     uint64
	Failed   uint64

	Retried   uint64 // attempts that were not the first
	Cancelled uint64 // of Failed: cancelled, or their deadline passed
	Dead      uint64 // of Failed: in the dead-letter list
	Late      uint64 // answers dropped

	Nodes []string // names of the nodes of the instances that hold it, sorted
}

// Usage is what a manager uses of its share, sent at most twice a second and only when it changed.
type Usage struct {
	Manager uint32
	CPU     int64 // millicores in the last second
	Memory  int64 // bytes of its unfinished tasks
}

// Dead tells of a task that was given up after its attempts, for the dead-letter list. A payload in a frame of its own
// comes as Handle, with a reference: the shell of the manager loop, which knows what that is, puts the bytes into Payload,
// sets Handle to 0 and gives the reference back.
type Dead struct {
	Letter  protocol.DeadLetter // without what the control loop knows
	Payload []byte
	Handle  protocol.Handle
}

// Moved hands over a manager, for [Adopt]. State is known to manager loops only; who passes it on does not look into it.
type Moved struct {
	Manager uint32
	State   any
}

// Answer answers a [Query]. Exactly one of the pointers is set.
type Answer struct {
	ID    uint64
	Error *protocol.Error
	Task  *protocol.TaskInfo
	Tasks *protocol.TaskPage
	Stats *protocol.Stats
}

// Happened tells of something that happened to a session, for its event log. Its manager has seen to it that there are not
// too many.
type Happened struct {
	Session protocol.SessionNumber
	Kind    string // protocol.EventRetry and its like
	Detail  string
}

// Counted tells what was counted of a session that is over; [Changed] follows.
type Counted struct {
	Session protocol.SessionNumber
	Stats   *protocol.Stats
}

// Mishap tells that a hook failed for a session, of which there may be many: those that come one after the other are not
// all told.
type Mishap struct {
	Session protocol.SessionNumber
	Failure protocol.Failure // At, Stack, Code, Signal and Output are for the control loop to find
}

// Kill asks that an instance be ended at once, because it does not stop what it was told to stop. Its manager gives it
// nothing more; [Lost] is the answer when its process is gone.
type Kill struct {
	Container string
	Reason    string
}
