package protocol

import "time"

// Progress says how far a task has come.
type Progress struct {
	Percent float64 `json:"percent"`        // 0 to 100
	Text    string  `json:"text,omitempty"` // for people
	Attempt int     `json:"attempt"`        // which says so, from 1
}

// PartialGrant lets an instance send more of a task's parts.
type PartialGrant struct {
	Bytes int64 `json:"bytes"` // that were passed on, beyond what was granted before
}

// PutData keeps something with a session at its manager, for all its instances, for as long as the session lives.
type PutData struct {
	Key    string `json:"key"`              // 1 to MaxDataKey bytes
	Value  []byte `json:"value,omitempty"`  // at most MaxDataValue bytes
	Delete bool   `json:"delete,omitempty"` // take the key away instead
}

// GetData asks for what is kept under a key.
type GetData struct {
	Key string `json:"key"` // as it was put
}

// SessionData answers GetData.
type SessionData struct {
	Key   string `json:"key"`             // that was asked for
	Value []byte `json:"value,omitempty"` // what was put last
	Found bool   `json:"found"`           // there is something under the key
}

// Taken says that the application has taken the results of these tasks: the manager of a kept session forgets them.
type Taken struct {
	Tasks []uint64 `json:"tasks"` // task ids
}

// AttachSession asks for a session that was kept when its client left it, or was lost. Key is as in OpenSession.
type AttachSession struct {
	Key     uint64 `json:"key"`             // the client's own number for the session
	Session uint32 `json:"session"`         // its number
	Force   bool   `json:"force,omitempty"` // take it from a client that is still there
}

// DetachSession leaves a session, which is kept for Grace whatever its policy was.
type DetachSession struct {
	Session uint32        `json:"session"`          // its number
	Grace   time.Duration `json:"grace,omitempty"`  // for which it waits for AttachSession; 0: as it was opened, or as the broker says
	Tenure  uint64        `json:"tenure,omitempty"` // as SessionOpened said
}

// Ways to steer a session. Each may be asked for again without effect.
const (
	SteerStop    = "stop-submission" // further tasks are refused with CodeNotAccepting; those accepted go on
	SteerAccept  = "accept"          // tasks are taken again
	SteerSuspend = "suspend"         // nothing more of it is begun; what was begun goes on
	SteerResume  = "resume"          // tasks are begun again
	SteerCancel  = "cancel"          // all its unfinished tasks are cancelled; the session goes on
)

// SteerSession changes what a session does.
type SteerSession struct {
	Session uint32 `json:"session"`          // its number
	Action  string `json:"action"`           // stop-submission, accept, suspend, resume or cancel
	Reason  string `json:"reason,omitempty"` // for people
}

// TaskRef names a task.
type TaskRef struct {
	Session  uint32 `json:"session"`          // its session's number
	Sequence uint64 `json:"sequence"`         // its place in the session, from 1
	Reason   string `json:"reason,omitempty"` // of a cancel, for people
}

// States of a task as a broker tells them.
const (
	TaskQueued    = "queued"    // it waits for an instance
	TaskDelayed   = "delayed"   // it failed, and waits for its next attempt
	TaskSuspect   = "suspect"   // an instance died under it: it waits to run alone
	TaskHeld      = "held"      // its session is suspended
	TaskScheduled = "scheduled" // it is at an instance
	TaskRunning   = "running"   // its hook runs, as far as that is known
	TaskStopping  = "stopping"  // it is cancelled, or its time is over, and it has not stopped yet
	TaskDone      = "done"      // its result is there and was not taken
	TaskDead      = "dead"      // it is in the dead-letter list
	TaskOver      = "over"      // its result was delivered, or its failure was
)

// TaskInfo is what can be seen of a task.
type TaskInfo struct {
	Session   uint32        `json:"session"`                     // its session's number
	Task      TaskID        `json:"task"`                        // its id
	Sequence  uint64        `json:"sequence"`                    // its place in the session, from 1
	State     string        `json:"state"`                       // queued, delayed, suspect, held, scheduled, running, stopping, done, dead or over
	Since     time.Time     `json:"since,omitempty,omitzero"`    // when it arrived, or was begun
	Size      int64         `json:"size"`                        // bytes of its payload
	Priority  int           `json:"priority,omitempty"`          // in its session
	Attempts  int           `json:"attempts"`                    // that failed, or ended their instance
	Losses    int           `json:"losses,omitempty"`            // instances lost under it otherwise
	Deadline  time.Time     `json:"deadline,omitempty,omitzero"` // when it is given up
	Next      time.Time     `json:"next,omitempty,omitzero"`     // when it is run again
	Run       time.Duration `json:"run,omitempty"`               // that it may execute
	Container string        `json:"container,omitempty"`         // of the instance that it is at
	Node      string        `json:"node,omitempty"`              // of that instance
	Progress  *Progress     `json:"progress,omitempty"`          // what it said last
	Error     *Error        `json:"error,omitempty"`             // of its last failed attempt, or why it is stopping
	Stage     string        `json:"stage,omitempty"`             // of its cancel: requested, acknowledged or killing
}

// Stages of a cancel.
const (
	StageRequested    = "requested"    // the instance was told; what has not begun never will
	StageAcknowledged = "acknowledged" // the hook's context has ended
	StageKilling      = "killing"      // the grace is over, and the instance is being killed
)

// TaskPage is one page of the unfinished tasks of a session, in the order of their sequences.
type TaskPage struct {
	Entries []TaskInfo `json:"entries"`        // in order
	More    bool       `json:"more,omitempty"` // there is a next page
}

// DeadLetter is a task that was given up after its attempts.
type DeadLetter struct {
	ID          uint64        `json:"id"`                     // in the list, from 1, never used again
	At          time.Time     `json:"at"`                     // when it was given up
	Service     string        `json:"service"`                // its name
	Version     string        `json:"version"`                // of the service
	Environment string        `json:"environment"`            // of its session
	Session     uint32        `json:"session"`                // its number
	SessionName string        `json:"session_name,omitempty"` // for people
	Client      string        `json:"client"`                 // name of the client
	Parameters  []byte        `json:"parameters,omitempty"`   // of its session; left out in lists
	Task        TaskID        `json:"task"`                   // its id there
	Size        int64         `json:"size"`                   // bytes of its payload
	Attempts    int           `json:"attempts"`               // that failed or ended their instance
	Losses      int           `json:"losses,omitempty"`       // instances lost under it otherwise
	Error       *Error        `json:"error"`                  // with which its client was told
	Last        *Error        `json:"last,omitempty"`         // what the last attempt ended with
	Instances   []InstanceRef `json:"instances,omitempty"`    // the last that it ran on, at most 4, the latest last
}

// InstanceRef names an instance.
type InstanceRef struct {
	Container string `json:"container"` // its id
	Node      string `json:"node"`      // its name
}

// DeadPage is one page of the dead-letter list, the oldest first.
type DeadPage struct {
	Entries []DeadLetter `json:"entries"`           // in order
	More    bool         `json:"more,omitempty"`    // there is a next page
	Dropped uint64       `json:"dropped,omitempty"` // entries that went, the oldest first, because the list was full
}

// GetDead asks for an entry of the dead-letter list with a part of its payload.
type GetDead struct {
	ID     uint64 `json:"id"`               // of the entry
	Offset int64  `json:"offset,omitempty"` // of the part
}

// DeadPart answers GetDead.
type DeadPart struct {
	Letter  DeadLetter `json:"letter"`         // the entry
	Payload []byte     `json:"payload"`        // from the offset on, as much as goes into a body
	More    bool       `json:"more,omitempty"` // the payload goes on
}

// DropDead takes entries off the dead-letter list. What is named beside IDs narrows it; nothing at all is refused.
type DropDead struct {
	IDs     []uint64 `json:"ids,omitempty"`     // these
	Service string   `json:"service,omitempty"` // those of this service
	All     bool     `json:"all,omitempty"`     // all
}

// DeadDropped answers DropDead.
type DeadDropped struct {
	Count int `json:"count"` // entries that were on the list, and are off it now
}
