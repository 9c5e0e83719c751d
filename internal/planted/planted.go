// Package planted names the bugs that are planted in weft's cores to find out whether the simulator finds them. A core
// asks [Is] where a bug is planted:
//
//	if planted.Is(planted.FrameNotKept) {
//		return // as if somebody had forgotten what follows
//	}
//
// Is is a constant false in every program that is built without the tag plantedbugs, so that nothing of it is left there.
// With the tag, [Choose] plants one bug for the whole process.
package planted

// Bug is one planted bug.
type Bug uint8

// The bugs. Each is of a kind that happens: something that is forgotten, done twice, or done too early.
const (
	None                  Bug = iota
	FrameNotKept              // link: a frame is not kept until it is acknowledged
	FrameTakenTwice           // link: a frame that comes twice is processed twice
	LostWelcomeBelieved       // link: a HELLO resumes what its sender does not know to be gone
	StaleHelloTaken           // link: a HELLO that a later one has overtaken begins a conversation
	TaskLostWithHost          // manager: the unanswered task of a lost instance is forgotten
	SuspectBeside             // manager: a suspect runs beside other tasks
	UnbindTooEarly            // manager: Unbind is sent while a task is unanswered
	TaskTakenTwice            // manager: a task that comes twice is taken twice
	RecalledForgotten         // manager: a task that was given back is not queued again
	HandleKept                // manager: the payload frame of a finished task is not released
	HandleReleasedTwice       // manager: a payload frame that is not forwarded is released twice
	GenerationKept            // manager: a slot is used again under its old generation, and the session of an answer is not looked at
	RefusalIgnored            // manager: a session whose binding was refused waits on
	AttemptNotCounted         // manager: a task that ends its instance may do so for ever
	CreditForgotten           // manager: the bytes of a task that failed stay counted
	ShareKept                 // control: the share of a manager that is retired is not given back
	ShareLeftBehind           // sched: a manager that moves keeps its share of the loop where it was
	SessionNotAsked           // manager: the session of an answer is not looked at, so that one to a manager that is retired is taken for another task's
	BeyondShareStarves        // manager: managers beyond their share wait as long as others have work
	RetryLost                 // manager: a task that asks for another try is forgotten
	AttemptsOneMore           // manager: a task may fail once more than its policy says
	BackoffIgnored            // manager: a task that failed does not wait for its next attempt
	DeadLetterLost            // manager: a task that is given up is not put into the dead-letter list
	RefusedKept               // manager: a task that was refused is taken for a duplicate when it comes again
	CancelForgetsQueued       // manager: a task that is cancelled before it is begun has no answer
	AbortNotSent              // manager: an instance is not told to end a task
	SparedCounted             // manager: who was at an instance that was killed for another task has lost a host
	WrongInstanceKilled       // manager: another instance is killed than the one whose hook does not end
	FlyingDeadlineIgnored     // manager: the deadline of a task that is at an instance is forgotten
	SuspendIgnored            // manager: a session that is suspended has its tasks begun
	RanksForgotten            // manager: the tasks with priorities are forgotten when their session is killed
	PlainFirst                // manager: tasks without a priority go before those with a high one
	KeptForgotten             // manager: the answer of a kept session is not retained when its client is there to take it
	KeptInTheWay              // manager: kept answers keep out the task that they wait for
	AttachedTwice             // manager, client: who attaches is told each answer twice, and passes both on
	DataLeftBehind            // manager: the data of a session do not go with its manager to another loop
	PartsMixed                // manager: parts that were kept of an attempt are passed on as of the next one
	FailureNotConsumed        // client: the bytes of an error are not given back
	ConsumedTwice             // client: the bytes of a result are given back twice
	ReferralKept              // client: where a session was served under another reign is not forgotten
	CloseForgotten            // client: the wish to close is not repeated to a broker that takes over
	TwoSubmitted              // client: what is unfinished is sent again without what is in payload frames
	AckBeforeCommit           // control: a session is told of before its record is durable
	CloseDropped              // control: the sessions of a client that is away stay open
	NodeLostInSilence         // control: the containers of a lost node are not reported lost
	ForgetDropped             // control: the loops do not hear that a client is gone
	StartCountedTwice         // control: a container is counted twice
	QueueMaxIgnored           // sched: a queue above a leaf may exceed its maximum
	PlaceForgotten            // control: a session's containers may run anywhere
	OneSlotMore               // instance: one hook more than there are slots
	QueueKept                 // instance: the tasks of a session that is let go stay queued
	DrainNotRepeated          // instance: a manager that remembers nothing does not hear of the drain
	ExitUnreported            // agent: the end of a container is not reported again to a broker that takes over
	bugs
)

var names = [bugs]string{
	"none", "frame-not-kept", "frame-taken-twice", "lost-welcome-believed", "stale-hello-taken", "task-lost-with-host", "suspect-beside",
	"unbind-too-early", "task-taken-twice", "recalled-forgotten", "handle-kept", "handle-released-twice", "generation-kept", "refusal-ignored",
	"attempt-not-counted", "credit-forgotten", "share-kept", "share-left-behind", "session-not-asked", "beyond-share-starves", "retry-lost",
	"attempts-one-more", "backoff-ignored", "dead-letter-lost", "refused-kept", "cancel-forgets-queued", "abort-not-sent", "spared-counted", "wrong-instance-killed", "flying-deadline-ignored", "suspend-ignored",
	"ranks-forgotten", "plain-first", "kept-forgotten", "kept-in-the-way", "attached-twice", "data-left-behind", "parts-mixed", "failure-not-consumed", "consumed-twice",
	"referral-kept", "close-forgotten", "two-submitted", "ack-before-commit", "close-dropped", "node-lost-in-silence",
	"forget-dropped", "start-counted-twice", "queue-max-ignored", "place-forgotten", "one-slot-more", "queue-kept", "drain-not-repeated", "exit-unreported",
}

// String names the bug as Parse reads it.
func (b Bug) String() string { return names[b] }

// All gives every bug.
func All() []Bug {
	all := make([]Bug, 0, bugs-1)
	for b := None + 1; b < bugs; b++ {
		all = append(all, b)
	}
	return all
}

// Parse finds a bug by its name; ok is false when there is none.
func Parse(name string) (b Bug, ok bool) {
	for b := range bugs {
		if names[b] == name {
			return b, true
		}
	}
	return None, false
}
