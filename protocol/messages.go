package protocol

import "time"

// Roles that a HELLO may name.
const (
	RoleClient   = "client"   // opens sessions, sends tasks; also the command line
	RoleAgent    = "agent"    // the daemon of a compute node
	RoleInstance = "instance" // one running copy of a service
)

// Hello begins a conversation, on a control or on a data connection.
type Hello struct {
	MinVersion  uint8  `json:"min_version"`            // lowest version of the protocol that the sender speaks
	MaxVersion  uint8  `json:"max_version"`            // highest
	Role        string `json:"role"`                   // client, agent or instance
	Principal   string `json:"principal,omitempty"`    // empty until there are keys
	Name        string `json:"name,omitempty"`         // program or node, for people
	Endpoint    string `json:"endpoint"`               // as it was dialled
	Host        string `json:"host,omitempty"`         // equal for processes that can meet over ipc
	KeepsScheme bool   `json:"keeps_scheme,omitempty"` // REFER must stay on the transport that was dialled

	// To resume: the receiver's incarnation and the last of its frames that the sender took over; 0 the first time.
	Peer     uint64 `json:"peer,omitempty"`
	Received Stamp  `json:"received,omitempty"`

	// Of an instance.
	Service   string `json:"service,omitempty"`   // Of an instance: the service that it runs
	Version   string `json:"version,omitempty"`   // of that service
	Container string `json:"container,omitempty"` // empty when it was started by hand
	Token     string `json:"token,omitempty"`     // from the descriptor that the agent handed down
	Slots     int    `json:"slots,omitempty"`     // OnTaskExec that it runs at once
	Sessions  int    `json:"sessions,omitempty"`  // sessions that it can hold bound
	// Interface is what the functions of an instance take and give, where it knows: an instance that is not what its
	// service declares is refused with CodeInterface.
	Interface Interface `json:"interface,omitempty,omitzero"`

	// ResultCredit is how many bytes of unconsumed results a client takes on this connection.
	ResultCredit int64 `json:"result_credit,omitempty"`
}

// Welcome answers Hello.
type Welcome struct {
	Version    uint8         `json:"version"`     // of the protocol, spoken from now on
	Heartbeat  time.Duration `json:"heartbeat"`   // longest silence of a peer that has something unfinished
	Timeout    time.Duration `json:"timeout"`     // silence after which a peer counts as lost
	MaxPayload int64         `json:"max_payload"` // bytes
	Broker     string        `json:"broker"`      // name, for people

	// Resumed says that the conversation before goes on: frames after Received are sent again, nothing else is lost.
	// Otherwise the receiver knows nothing of the sender.
	Resumed  bool  `json:"resumed,omitempty"`
	Received Stamp `json:"received,omitempty"`
}

// Refer says where a session (to a client) or a service (to an instance) is served. A higher epoch voids it.
type Refer struct {
	Service  string `json:"service"`           // its name
	Session  uint32 `json:"session,omitempty"` // its number; 0 to an instance
	Endpoint string `json:"endpoint"`          // to dial
	Epoch    Epoch  `json:"epoch"`             // of the broker that says so
}

// OpenSession asks for a session. Key is the client's own number for it: the same incarnation asking again with the
// same key gets the same session.
type OpenSession struct {
	Key         uint64 `json:"key"`                     // the client's own number for the session
	Service     string `json:"service"`                 // its name
	Version     string `json:"version,omitempty"`       // empty: the default one, see section 7.1
	Environment string `json:"environment,omitempty"`   // empty: default
	Queue       string `json:"queue,omitempty"`         // that is charged for it, a leaf; empty: the service's
	Name        string `json:"name,omitempty"`          // for people
	MinInst     int    `json:"min_instances,omitempty"` // 0: as the service says
	MaxInst     int    `json:"max_instances,omitempty"` // 0: as the service says
	NodeType    string `json:"node_type,omitempty"`     // cpu or gpu; empty: as the service says
	Nodes       int    `json:"nodes,omitempty"`         // least number of distinct nodes; 0: as the service says
	Node        string `json:"node,omitempty"`          // name of the only node that may do; empty: as the service says
	Rack        string `json:"rack,omitempty"`          // name of the only rack that may do; empty: as the service says
	Relax       bool   `json:"relax,omitempty"`         // node or rack is what it prefers: where it finds no room there, another place may do
	Priority    int    `json:"priority,omitempty"`      // of its containers among those of its service, the higher comes first; 0: as the service says
	Parameters  []byte `json:"parameters,omitempty"`    // the application's, handed to OnSessionBind

	Retry      Retry         `json:"retry,omitempty,omitzero"` // of its tasks; what is left out is as the service says
	Timeout    time.Duration `json:"timeout,omitempty"`        // of a task from its arrival to its result; 0: as the service says
	Run        time.Duration `json:"run,omitempty"`            // that a task may execute; 0: as the service says
	Idle       time.Duration `json:"idle,omitempty"`           // without an unfinished task, after which it is closed; 0: never
	Lifetime   time.Duration `json:"lifetime,omitempty"`       // after which it is killed; 0: never
	Disconnect string        `json:"disconnect,omitempty"`     // when its client is gone: close (empty too) or keep
	Grace      time.Duration `json:"grace,omitempty"`          // from the loss of the client to the close, or of a kept session to its end; 0: as the broker says
}

// What becomes of a session whose client is gone.
const (
	DisconnectClose = "close" // it is killed after its grace
	DisconnectKeep  = "keep"  // it goes on, keeps its results, and waits for AttachSession for as long as its grace
)

// SessionOpened answers OpenSession and AttachSession. Where the session is served follows in Refer, now or when there is room.
type SessionOpened struct {
	Session    uint32 `json:"session"`     // its number from now on
	Service    string `json:"service"`     // its name
	Version    string `json:"version"`     // of the service
	TaskCredit int    `json:"task_credit"` // unfinished tasks
	ByteCredit int64  `json:"byte_credit"` // bytes of payload of unfinished tasks
	MaxPayload int64  `json:"max_payload"` // bytes
	// Interface is what the service declares of its types, for typed clients.
	Interface Interface `json:"interface,omitempty,omitzero"`
	// Of a session that was attached to: the first sequence that no task of it has had, and its tasks whose results
	// nobody has taken.
	Next   uint64 `json:"next,omitempty"`
	Untold int    `json:"untold,omitempty"`
	Tenure uint64 `json:"tenure,omitempty"` // how often the session was given to a client before
}

// Ways to close a session.
const (
	CloseFinish = "finish" // what was accepted is finished first
	CloseKill   = "kill"   // unfinished tasks fail with CodeSessionKilled
)

// CloseSession asks to close a session.
type CloseSession struct {
	Session uint32 `json:"session"`          // its number
	Mode    string `json:"mode"`             // finish or kill
	Reason  string `json:"reason,omitempty"` // for people
	Own     bool   `json:"own,omitempty"`    // only while Tenure, which is the client's own, is not over
	Tenure  uint64 `json:"tenure,omitempty"` // as SessionOpened said
}

// States of a session, as lists and SESSION-STATE name them.
const (
	SessionQueued    = "queued"    // no container was given to its service yet
	SessionScheduled = "scheduled" // a container was given, no instance is bound yet
	SessionRunning   = "running"   // an instance has been bound
	SessionFailed    = "failed"    // it cannot go on; Reason says why
	SessionClosed    = "closed"    // it is over
	SessionClosing   = "closing"   // in lists only: it was asked to close, and has unfinished tasks
)

// SessionState tells a client of a change of its session that it did not ask for, or of the end that it did.
type SessionState struct {
	Session uint32 `json:"session"`          // its number
	State   string `json:"state"`            // queued, scheduled, running, failed or closed
	Reason  string `json:"reason,omitempty"` // what it waits for, for people
	Error   *Error `json:"error,omitempty"`  // why it ended, when not in order
}

// Bind asks an instance to hold a session.
type Bind struct {
	Session     uint32 `json:"session"`               // its number
	Name        string `json:"name,omitempty"`        // the client's name for it
	Environment string `json:"environment,omitempty"` // of the session
	Principal   string `json:"principal,omitempty"`   // on whose behalf the session was opened
	Parameters  []byte `json:"parameters,omitempty"`  // of OPEN-SESSION
}

// ServiceRef names a service; an empty version is all versions.
type ServiceRef struct {
	Name    string `json:"name"`              // of the service
	Version string `json:"version,omitempty"` // empty: all
}

// MoveService has the session managers of a service go to another manager loop.
type MoveService struct {
	Name    string `json:"name"`              // of the service
	Version string `json:"version,omitempty"` // empty: all
	Loop    int    `json:"loop"`              // from 0
}

// RestartService has the instances of a service replaced by new ones.
type RestartService struct {
	Name    string `json:"name"`              // of the service
	Version string `json:"version,omitempty"` // empty: all
	Idle    bool   `json:"idle,omitempty"`    // only those that are kept warm for no session: they are ended
}

// ListRequest asks for one page of a list in the order of its keys.
type ListRequest struct {
	After       string `json:"after,omitempty"`       // where the page before ended
	Limit       int    `json:"limit,omitempty"`       // 0: MaxPage
	Name        string `json:"name,omitempty"`        // only what has this name; of services: or matches it, * being any letters and ? one
	Service     string `json:"service,omitempty"`     // only sessions of this service
	Version     string `json:"version,omitempty"`     // only services of this version, or their sessions
	Tag         string `json:"tag,omitempty"`         // only services with this tag
	Words       string `json:"words,omitempty"`       // only services whose name, tags or function have all these words
	Environment string `json:"environment,omitempty"` // only sessions of this environment
	Session     uint32 `json:"session,omitempty"`     // only the session of this number
	All         bool   `json:"all,omitempty"`         // also what is over
}

// ServicePage, SessionPage and NodePage are answers to lists; More says that there is a next page.
type (
	// ServicePage is one page of the catalogue.
	ServicePage struct {
		Entries []ServiceInfo `json:"entries"`
		More    bool          `json:"more,omitempty"`
		Next    string        `json:"next,omitempty"` // after for the next page, when there is one
	}
	// SessionPage is one page of the sessions.
	SessionPage struct {
		Entries []SessionInfo `json:"entries"`
		More    bool          `json:"more,omitempty"`
	}
	// NodePage is one page of the nodes.
	NodePage struct {
		Entries []NodeInfo `json:"entries"`
		More    bool       `json:"more,omitempty"`
	}
)

// ServiceInfo is a service of the catalogue and how it fares.
type ServiceInfo struct {
	Service    Service       `json:"service"`            // as it was registered
	Registered time.Time     `json:"registered"`         // when
	Default    bool          `json:"default"`            // of its versions, the one of sessions that name none
	Sessions   int           `json:"sessions"`           // that are open
	Instances  int           `json:"instances"`          // that serve
	Starting   int           `json:"starting"`           // that are asked for or start
	Loops      []int         `json:"loops,omitempty"`    // manager loops that serve it, sorted
	Reason     string        `json:"reason,omitempty"`   // why it has fewer instances than it would
	Managers   []ManagerInfo `json:"managers,omitempty"` // its session managers that have a share of the management node
}

// ManagerInfo is what can be seen of a session manager.
type ManagerInfo struct {
	Loop     int   `json:"loop"`     // of the management node, on which it runs
	Share    Share `json:"share"`    // of the management node, that it holds
	CPU      int64 `json:"cpu"`      // millicores that it used in the last second
	Memory   int64 `json:"memory"`   // bytes of its unfinished tasks
	Sessions int   `json:"sessions"` // that it has
}

// SessionInfo is what can be seen of a session.
type SessionInfo struct {
	Session     uint32        `json:"session"`                  // its number
	Name        string        `json:"name,omitempty"`           // for people
	Service     string        `json:"service"`                  // its name
	Version     string        `json:"version,omitempty"`        // of the service
	Environment string        `json:"environment"`              // of the session
	Client      string        `json:"client"`                   // name of the client
	State       string        `json:"state"`                    // as in SESSION-STATE, or closing
	Reason      string        `json:"reason,omitempty"`         // why it waits or ended
	Opened      time.Time     `json:"opened"`                   // when
	Ended       time.Time     `json:"ended,omitempty,omitzero"` // when it was over
	StartDelay  time.Duration `json:"start_delay,omitempty"`    // from opening to running
	Queued      int           `json:"queued"`                   // tasks that wait in the broker
	InFlight    int           `json:"in_flight"`                // tasks at instances
	Done        uint64        `json:"done"`                     // tasks with a result
	Failed      uint64        `json:"failed"`                   // tasks with a failure
	Nodes       []string      `json:"nodes,omitempty"`          // that run it
	Loop        int           `json:"loop"`                     // of the management node, that serves it; -1: none yet
	Since       time.Time     `json:"since,omitempty,omitzero"` // when it came into its state
	Suspended   bool          `json:"suspended,omitempty"`      // nothing of it is begun until it is resumed
	Stopped     bool          `json:"stopped,omitempty"`        // it takes no further tasks
	Detached    bool          `json:"detached,omitempty"`       // its client has left; it can be attached to
	Retried     uint64        `json:"retried,omitempty"`        // attempts that were not the first of their task
	Cancelled   uint64        `json:"cancelled,omitempty"`      // tasks that were cancelled, or whose deadline passed; of Failed
	Dead        uint64        `json:"dead,omitempty"`           // tasks that went to the dead-letter list; of Failed
	Late        uint64        `json:"late,omitempty"`           // results that came for attempts that were given up, and were dropped
	Failure     *Failure      `json:"failure,omitempty"`        // the last thing that went wrong
}

// Failure is what is known of something that went wrong in a service.
type Failure struct {
	At        time.Time `json:"at"`                  // when the broker learned of it
	Hook      string    `json:"hook,omitempty"`      // in which it was; empty: outside of any
	Error     *Error    `json:"error,omitempty"`     // what the hook returned, or why the instance was lost
	Container string    `json:"container,omitempty"` // of the instance
	Node      string    `json:"node,omitempty"`      // on which it ran
	Task      TaskID    `json:"task,omitempty"`      // which it was about
	Stack     string    `json:"stack,omitempty"`     // of a panic
	Code      int       `json:"code,omitempty"`      // exit status, when the process ended by itself
	Signal    string    `json:"signal,omitempty"`    // that ended it, by name
	Output    []string  `json:"output,omitempty"`    // its last lines
}

// Kinds of events of a session.
const (
	EventOpened    = "opened"    // by whom, with which version of the service
	EventWaiting   = "waiting"   // it has no instance yet, and why; again when the reason changes
	EventScheduled = "scheduled" // its service was given a container
	EventBound     = "bound"     // to which instance, on which node
	EventRunning   = "running"   // it was bound for the first time
	EventPaged     = "paged"     // it was taken off an instance, and can be bound again
	EventMoved     = "moved"     // its session manager went to another loop: nothing is interrupted
	EventLost      = "lost"      // an instance that held it died, and why
	EventClosing   = "closing"   // it was asked to close: by whom, how and why
	EventClosed    = "closed"    // it is over, and why when not in order
	EventFailed    = "failed"    // it cannot go on, and why
	EventRetry     = "retry"     // a task is to be run again: which, after what, when
	EventDead      = "dead"      // a task went to the dead-letter list: which, and why
	EventCancel    = "cancel"    // tasks were cancelled, how far that has come, or who was killed for it
	EventDeadline  = "deadline"  // a task's time was over
	EventSteered   = "steered"   // it was suspended, resumed, or takes no further tasks; by whom
	EventDetached  = "detached"  // its client has left it, or is gone
	EventAttached  = "attached"  // a client has come back to it
)

// SessionEvent is one thing that happened to a session. Its broker keeps the last MaxEvents of each.
type SessionEvent struct {
	Number uint64    `json:"number"`           // from 1 without gaps in each session
	At     time.Time `json:"at"`               // when
	Kind   string    `json:"kind"`             // in a word
	Detail string    `json:"detail,omitempty"` // for people
}

// EventPage is one page of the events of a session.
type EventPage struct {
	Entries []SessionEvent `json:"entries"`        // in the order of their numbers
	More    bool           `json:"more,omitempty"` // there is a next page
	Over    bool           `json:"over,omitempty"` // the session is over: no further event will come
}

// DefaultEnvironment is where sessions live that name no environment; it is always there.
const DefaultEnvironment = "default"

// States of an environment.
const (
	EnvironmentActive   = "active"
	EnvironmentDeleting = "deleting" // it takes no sessions, and is gone when the last is
)

// Environment is a named root under which sessions live.
type Environment struct {
	Name   string            `json:"name"`             // of the environment
	Labels map[string]string `json:"labels,omitempty"` // for people
}

// DeleteEnvironment takes an environment away.
type DeleteEnvironment struct {
	Name  string `json:"name"`            // of the environment
	Force bool   `json:"force,omitempty"` // kill its sessions first; without it, refused while there are any
}

// EnvironmentPage is one page of the environments.
type EnvironmentPage struct {
	Entries []EnvironmentInfo `json:"entries"`
	More    bool              `json:"more,omitempty"`
}

// EnvironmentInfo is what can be seen of an environment.
type EnvironmentInfo struct {
	Name     string            `json:"name"`                       // of the environment
	Labels   map[string]string `json:"labels,omitempty"`           // for people
	Owner    string            `json:"owner,omitempty"`            // principal that created it
	Created  time.Time         `json:"created,omitempty,omitzero"` // when; the default one always was
	State    string            `json:"state"`                      // active or deleting
	Sessions int               `json:"sessions"`                   // that are open
}

// NodeInfo is what can be seen of a compute node.
type NodeInfo struct {
	Name       string        `json:"name"`           // of the node
	State      string        `json:"state"`          // whether its agent lives, in a word
	Platform   string        `json:"platform"`       // such as linux/amd64
	NodeType   string        `json:"node_type"`      // cpu or gpu
	Rack       string        `json:"rack,omitempty"` // where it stands
	Capacity   Capacity      `json:"capacity"`       // of all
	Used       Capacity      `json:"used"`           // of it
	Free       Capacity      `json:"free"`           // of it
	Containers int           `json:"containers"`     // that it runs
	LastSeen   time.Duration `json:"last_seen"`      // ago
	Detail     NodeDetail    `json:"detail"`         // as its agent measured

	Labels       map[string]string `json:"labels,omitempty"`        // for people
	Cordoned     bool              `json:"cordoned,omitempty"`      // it takes no new containers
	CordonReason string            `json:"cordon_reason,omitempty"` // why not
}

// NodeDetail is what the agent measured of its node.
type NodeDetail struct {
	Hostname string  `json:"hostname,omitempty"`  // as the machine calls itself
	OS       string  `json:"os,omitempty"`        // in words
	Kernel   string  `json:"kernel,omitempty"`    // its release
	CPUModel string  `json:"cpu_model,omitempty"` // in words
	Cores    int     `json:"cores,omitempty"`     // that processes can run on
	Disks    []Disk  `json:"disks,omitempty"`     // mounted file systems
	Networks []NIC   `json:"networks,omitempty"`  // network interfaces
	Load1    float64 `json:"load1,omitempty"`     // mean load of the last minute
	MemFree  uint64  `json:"mem_free,omitempty"`  // bytes available
}

// Disk is a mounted file system.
type Disk struct {
	Mount string `json:"mount"` // path
	Size  uint64 `json:"size"`  // bytes
	Free  uint64 `json:"free"`  // bytes
}

// NIC is a network interface.
type NIC struct {
	Name      string   `json:"name"`                // of the interface
	Addresses []string `json:"addresses,omitempty"` // IP addresses
	Speed     int      `json:"speed,omitempty"`     // Mbit/s, 0 unknown
}

// RegisterNode brings a compute node into the fabric; sent again after every HELLO.
type RegisterNode struct {
	Name       string            `json:"name"`                 // of the node, unique in the fabric
	Platform   string            `json:"platform"`             // such as linux/amd64
	NodeType   string            `json:"node_type"`            // cpu or gpu
	Rack       string            `json:"rack,omitempty"`       // where it stands
	Labels     map[string]string `json:"labels,omitempty"`     // for people
	Capacity   Capacity          `json:"capacity"`             // that containers may use together
	Detail     NodeDetail        `json:"detail"`               // for people
	Containers []Container       `json:"containers,omitempty"` // that it has, to be adopted or stopped
}

// NodeStatus is an agent's heartbeat.
type NodeStatus struct {
	Load1      float64  `json:"load1"`                // mean load of the last minute
	MemFree    uint64   `json:"mem_free"`             // bytes available
	Containers []string `json:"containers,omitempty"` // whose process lives
}

// Container is one container as its agent knows it.
type Container struct {
	ID      string `json:"id"`      // as START-CONTAINER named it
	Service string `json:"service"` // its name
	State   string `json:"state"`   // starting, running, stopping or exited
}

// StartContainer asks an agent to start a container. It is answered by ContainerState.
type StartContainer struct {
	ID       string            `json:"id"`                // of the container, unique in the fabric
	Service  string            `json:"service"`           // its name
	Version  string            `json:"version,omitempty"` // of the service
	Command  string            `json:"command"`           // absolute path of an executable on the node, or weft: the agent's own
	Args     []string          `json:"args,omitempty"`    // of the command
	Dir      string            `json:"dir,omitempty"`     // working folder
	Env      map[string]string `json:"env,omitempty"`     // environment variables
	Token    string            `json:"token"`             // for the identity of the instance
	Slots    int               `json:"slots"`             // for the identity
	Sessions int               `json:"sessions"`          // for the identity
	Capacity Capacity          `json:"capacity"`          // that it may use
}

// StopContainer asks an agent to end a container: SIGTERM, and SIGKILL after the grace.
type StopContainer struct {
	ID    string        `json:"id"`    // of the container
	Grace time.Duration `json:"grace"` // from SIGTERM to SIGKILL
}

// States of a container as its agent tells them.
const (
	ContainerStarting = "starting"
	ContainerRunning  = "running" // the process runs
	ContainerStopping = "stopping"
	ContainerExited   = "exited" // the process is gone, or never was
)

// ContainerState tells the broker of a change.
type ContainerState struct {
	ID     string   `json:"id"`               // of the container
	State  string   `json:"state"`            // starting, running, stopping or exited
	PID    int      `json:"pid,omitempty"`    // of its process, while there is one
	Code   int      `json:"code"`             // exit status, when it ended by itself
	Signal string   `json:"signal,omitempty"` // that ended it, by name
	Reason string   `json:"reason,omitempty"` // in words
	Output []string `json:"output,omitempty"` // last lines
	Error  *Error   `json:"error,omitempty"`  // why it could not be started
}

// Identity is what an agent hands to an instance by an inherited descriptor.
type Identity struct {
	Container string   `json:"container"`         // its id, for HELLO
	Service   string   `json:"service"`           // its name
	Version   string   `json:"version,omitempty"` // of the service
	Token     string   `json:"token"`             // for HELLO
	Node      string   `json:"node"`              // name of the node
	Endpoints []string `json:"endpoints"`         // control endpoints of the brokers
	Slots     int      `json:"slots"`             // OnTaskExec to run at once
	Sessions  int      `json:"sessions"`          // to hold bound
	// KeepsScheme keeps the instance on the transport of Endpoints.
	KeepsScheme bool `json:"keeps_scheme,omitempty"`
}
