package sim

// Count is something that is counted, so that a simulation which exercises nothing is seen.
type Count uint8

// What is counted.
const (
	Seeds Count = iota
	Connections
	Messages
	Dropped
	Delayed
	Duplicated
	Swarms
	Reordered
	CutMessages
	Partitions
	Disconnects
	Stillborn
	Pauses
	ClocksOff
	ClockJumps
	PeersGone
	Gated
	Commits
	BrokerCrashes
	ClientCrashes
	AgentCrashes
	InstanceCrashes
	ClientExits
	AgentExits
	InstanceExits
	Orders
	Notes
	Starts
	StartsFailed
	Instances
	InstancesEnded
	Killed
	Hooks
	Binds
	BindFails
	CreateFails
	Executions
	ExecutedAgain
	LongRuns
	Retries
	Panics
	Poisoned
	Sessions
	SessionsOpened
	SessionsEnded
	SessionsKilled
	ClosedByOperator
	Deregistered
	Moves
	Hosted
	RetiredEarly
	WarmAdopted
	WarmReferred
	GaveWay
	Waits
	Refused
	LateTurns
	Tasks
	Results
	TaskErrors
	NoRoom
	ReadsStopped
	Requests
	Answers
	Inspections
	Redials
	Steered
	Aborted
	KilledForHook
	HooksAbandoned
	Joined
	Cancelled
	CancelsDone
	NeverBegun
	DeadlinesPassed
	Indeterminate
	DependenciesFailed
	Told
	Backoffs
	DeadLetters
	SessionsLeft
	SessionsAttached
	SessionsForced
	Relayed
	Taken
	DataPut
	DataGot
	PartsSent
	PartsCame
	PartsWaited
	Progressed
	Shortages
	QueuesLimited
	PlacesAsked
	counts
)

var countNames = [counts]string{
	"seeds", "connections", "messages", "messages dropped", "messages delayed", "messages duplicated", "messages that arrived a hundred times", "messages reordered",
	"messages cut", "partitions", "disconnects",
	"connections in trouble from the first message on", "pauses", "clocks that were fast or slow", "clocks that jumped ahead", "sends to peers that are gone", "frames that waited for the disk",
	"commits", "crashes of brokers", "crashes of clients", "crashes of agents", "crashes of instances", "exits of clients",
	"exits of agents", "exits of instances", "orders", "notes", "container starts", "container starts that failed",
	"instances", "instances that ended in order", "instances killed after their grace", "hooks", "sessions bound",
	"sessions refused", "creations that failed", "executions", "executions of a task again", "executions longer than any time-out", "retries", "panics",
	"instances ended by a task", "sessions", "sessions opened", "sessions ended", "sessions killed",
	"sessions closed by an operator", "services deregistered", "session managers moved",
	"shares given to session managers", "session managers retired before their time", "warm instances adopted on their loop",
	"warm instances adopted by another loop", "warm instances that gave way", "sessions told why they wait for a session manager",
	"tasks refused for want of bytes", "turns after which managers beyond their share wait",
	"tasks", "results", "task errors", "submissions without room",
	"clients that stopped or began to read", "requests", "answers", "inspections",
	"connections that were made anew", "requests to steer a session", "hooks of single tasks told to end", "instances killed for a hook", "instances by hand that left a hook behind",
	"tasks that waited for others", "tasks that were to be cancelled", "tasks cancelled",
	"tasks cancelled before they were begun", "tasks whose time was over", "tasks whose fate was not known in time",
	"tasks that failed for others", "answers of session managers about tasks", "tasks that waited for their next attempt",
	"tasks in the dead-letter list", "sessions left by their clients", "sessions attached to", "sessions taken by force",
	"answers to clients that had not submitted the tasks", "answers of kept sessions taken", "data kept with sessions", "data of sessions looked up",
	"parts of results sent", "parts of results that came", "tasks whose parts had to wait", "words of progress that came",
	"shortages of memory", "looks at queues at work that have a maximum", "tasks of sessions that want one node only",
}

// String says what is counted.
func (c Count) String() string { return countNames[c] }

// Tally is the counts of a run, or of many.
type Tally [counts]uint64

func (t *Tally) add(c Count) { t[c]++ }

// Add adds the counts of another run.
func (t *Tally) Add(o *Tally) {
	for i := range t {
		t[i] += o[i]
	}
}

// Missing gives what never happened.
func (t *Tally) Missing() (never []Count) {
	for c := range counts {
		if t[c] == 0 {
			never = append(never, c)
		}
	}
	return never
}

func crashOf(k partyKind) Count { return BrokerCrashes + Count(k) }

// place is which core takes a step.
type place uint8

const (
	atControl place = iota
	atManager
	atAgent
	atClient
	atInstance
	places
)

var placeNames = [places]string{"control", "manager", "agent", "client", "instance"}

// Steps counts the inputs of each kind of core, and the faults.
type Steps [places + 1]uint64

// Total is all of them.
func (s *Steps) Total() (n uint64) {
	for _, k := range s {
		n += k
	}
	return n
}
