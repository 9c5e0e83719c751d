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
	MinVersion  uint8  `json:"min_version"`
	MaxVersion  uint8  `json:"max_version"`
	Role        string `json:"role"`
	Principal   string `json:"principal,omitempty"` // empty until there are keys
	Name        string `json:"name,omitempty"`      // program or node, for people
	Endpoint    string `json:"endpoint"`            // as it was dialled
	Host        string `json:"host,omitempty"`      // equal for processes that can meet over ipc
	KeepsScheme bool   `json:"keeps_scheme,omitempty"`

	// To resume: the receiver's incarnation and the last of its frames that the sender took over; 0 the first time.
	Peer     uint64 `json:"peer,omitempty"`
	Received Stamp  `json:"received,omitempty"`

	// Of an instance.
	Service   string `json:"service,omitempty"`
	Version   string `json:"version,omitempty"`
	Container string `json:"container,omitempty"` // empty when it was started by hand
	Token     string `json:"token,omitempty"`     // from the descriptor that the agent handed down
	Slots     int    `json:"slots,omitempty"`
	Sessions  int    `json:"sessions,omitempty"`

	// ResultCredit is how many bytes of unconsumed results a client takes on this connection.
	ResultCredit int64 `json:"result_credit,omitempty"`
}

// Welcome answers Hello.
type Welcome struct {
	Version    uint8         `json:"version"`
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
	Service  string `json:"service"`
	Session  uint32 `json:"session,omitempty"`
	Endpoint string `json:"endpoint"`
	Epoch    Epoch  `json:"epoch"`
}

// OpenSession asks for a session. Key is the client's own number for it: the same incarnation asking again with the
// same key gets the same session.
type OpenSession struct {
	Key         uint64 `json:"key"`
	Service     string `json:"service"`
	Version     string `json:"version,omitempty"` // empty: the newest registered
	Environment string `json:"environment,omitempty"`
	Queue       string `json:"queue,omitempty"`
	Name        string `json:"name,omitempty"`
	MinInst     int    `json:"min_instances,omitempty"` // 0: as the service says
	MaxInst     int    `json:"max_instances,omitempty"`
	NodeType    string `json:"node_type,omitempty"`
	Nodes       int    `json:"nodes,omitempty"` // least number of distinct nodes
	Parameters  []byte `json:"parameters,omitempty"`
}

// SessionOpened answers OpenSession. Where the session is served follows in Refer, now or when there is room.
type SessionOpened struct {
	Session    uint32 `json:"session"`
	Service    string `json:"service"`
	Version    string `json:"version"`
	TaskCredit int    `json:"task_credit"` // unfinished tasks
	ByteCredit int64  `json:"byte_credit"` // bytes of payload of unfinished tasks
	MaxPayload int64  `json:"max_payload"` // bytes
}

// Ways to close a session.
const (
	CloseFinish = "finish" // what was accepted is finished first
	CloseKill   = "kill"   // unfinished tasks fail with CodeSessionKilled
)

// CloseSession asks to close a session.
type CloseSession struct {
	Session uint32 `json:"session"`
	Mode    string `json:"mode"`
	Reason  string `json:"reason,omitempty"`
}

// States of a session that SPEC S5 names.
const (
	SessionQueued    = "queued"    // no container was given to its service yet
	SessionScheduled = "scheduled" // a container was given, no instance is bound yet
	SessionRunning   = "running"   // an instance has been bound
	SessionFailed    = "failed"    // it cannot go on; Reason says why
	SessionClosed    = "closed"    // it is over
)

// SessionState tells a client of a change of its session that it did not ask for, or of the end that it did.
type SessionState struct {
	Session uint32 `json:"session"`
	State   string `json:"state"`
	Error   *Error `json:"error,omitempty"`
}

// Bind asks an instance to hold a session.
type Bind struct {
	Session     uint32 `json:"session"`
	Name        string `json:"name,omitempty"`
	Environment string `json:"environment,omitempty"`
	Principal   string `json:"principal,omitempty"`
	Parameters  []byte `json:"parameters,omitempty"`
}

// ServiceRef names a service; an empty version is all versions.
type ServiceRef struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// ListRequest asks for one page of a list in the order of its keys.
type ListRequest struct {
	After   string `json:"after,omitempty"` // the last key of the page before
	Limit   int    `json:"limit,omitempty"` // 0: MaxPage
	Name    string `json:"name,omitempty"`  // only what has this name
	Service string `json:"service,omitempty"`
	Session uint32 `json:"session,omitempty"`
	All     bool   `json:"all,omitempty"` // also what is over
}

// ServicePage, SessionPage and NodePage are answers to lists; More says that there is a next page.
type (
	// ServicePage is one page of the catalogue.
	ServicePage struct {
		Entries []ServiceInfo `json:"entries"`
		More    bool          `json:"more,omitempty"`
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
	Service    Service   `json:"service"`
	Registered time.Time `json:"registered"`
	Sessions   int       `json:"sessions"`
	Instances  int       `json:"instances"` // that serve
	Starting   int       `json:"starting"`  // that are asked for or start
	Reason     string    `json:"reason,omitempty"`
}

// SessionInfo is what can be seen of a session.
type SessionInfo struct {
	Session     uint32        `json:"session"`
	Name        string        `json:"name,omitempty"`
	Service     string        `json:"service"`
	Version     string        `json:"version,omitempty"`
	Environment string        `json:"environment"`
	Client      string        `json:"client"`
	State       string        `json:"state"`
	Reason      string        `json:"reason,omitempty"`
	Opened      time.Time     `json:"opened"`
	StartDelay  time.Duration `json:"start_delay,omitempty"` // from opening to running
	Queued      int           `json:"queued"`                // tasks that wait in the broker
	InFlight    int           `json:"in_flight"`             // tasks at instances
	Done        uint64        `json:"done"`
	Failed      uint64        `json:"failed"`
	Nodes       []string      `json:"nodes,omitempty"` // that run it
}

// NodeInfo is what can be seen of a compute node.
type NodeInfo struct {
	Name       string        `json:"name"`
	State      string        `json:"state"`
	Platform   string        `json:"platform"`
	NodeType   string        `json:"node_type"`
	Rack       string        `json:"rack,omitempty"`
	Capacity   Capacity      `json:"capacity"`
	Free       Capacity      `json:"free"`
	Containers int           `json:"containers"`
	LastSeen   time.Duration `json:"last_seen"` // ago
	Detail     NodeDetail    `json:"detail"`
}

// NodeDetail is what the agent measured of its node.
type NodeDetail struct {
	Hostname string  `json:"hostname,omitempty"`
	OS       string  `json:"os,omitempty"`
	Kernel   string  `json:"kernel,omitempty"`
	CPUModel string  `json:"cpu_model,omitempty"`
	Cores    int     `json:"cores,omitempty"`
	Disks    []Disk  `json:"disks,omitempty"`
	Networks []NIC   `json:"networks,omitempty"`
	Load1    float64 `json:"load1,omitempty"`
	MemFree  uint64  `json:"mem_free,omitempty"` // bytes available
}

// Disk is a mounted file system.
type Disk struct {
	Mount string `json:"mount"`
	Size  uint64 `json:"size"` // bytes
	Free  uint64 `json:"free"` // bytes
}

// NIC is a network interface.
type NIC struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"`
	Speed     int      `json:"speed,omitempty"` // Mbit/s, 0 unknown
}

// RegisterNode brings a compute node into the fabric; sent again after every HELLO.
type RegisterNode struct {
	Name       string      `json:"name"`
	Platform   string      `json:"platform"`
	NodeType   string      `json:"node_type"` // cpu or gpu
	Rack       string      `json:"rack,omitempty"`
	Capacity   Capacity    `json:"capacity"`
	Detail     NodeDetail  `json:"detail"`
	Containers []Container `json:"containers,omitempty"` // that it has, to be adopted or stopped
}

// NodeStatus is an agent's heartbeat.
type NodeStatus struct {
	Load1      float64  `json:"load1"`
	MemFree    uint64   `json:"mem_free"`
	Containers []string `json:"containers,omitempty"` // whose process lives
}

// Container is one container as its agent knows it.
type Container struct {
	ID      string `json:"id"`
	Service string `json:"service"`
	State   string `json:"state"`
}

// StartContainer asks an agent to start a container. It is answered by ContainerState.
type StartContainer struct {
	ID       string            `json:"id"`
	Service  string            `json:"service"`
	Version  string            `json:"version,omitempty"`
	Command  string            `json:"command"`
	Args     []string          `json:"args,omitempty"`
	Dir      string            `json:"dir,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Token    string            `json:"token"`
	Slots    int               `json:"slots"`
	Sessions int               `json:"sessions"`
	Capacity Capacity          `json:"capacity"`
}

// StopContainer asks an agent to end a container: SIGTERM, and SIGKILL after the grace.
type StopContainer struct {
	ID    string        `json:"id"`
	Grace time.Duration `json:"grace"`
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
	ID     string   `json:"id"`
	State  string   `json:"state"`
	PID    int      `json:"pid,omitempty"`
	Code   int      `json:"code"`
	Signal string   `json:"signal,omitempty"`
	Reason string   `json:"reason,omitempty"` // in words
	Output []string `json:"output,omitempty"` // last lines
	Error  *Error   `json:"error,omitempty"`  // why it could not be started
}

// Identity is what an agent hands to an instance by an inherited descriptor.
type Identity struct {
	Container string   `json:"container"`
	Service   string   `json:"service"`
	Version   string   `json:"version,omitempty"`
	Token     string   `json:"token"`
	Node      string   `json:"node"`
	Endpoints []string `json:"endpoints"` // control endpoints of the brokers
	Slots     int      `json:"slots"`
	Sessions  int      `json:"sessions"`
	// KeepsScheme keeps the instance on the transport of Endpoints.
	KeepsScheme bool `json:"keeps_scheme,omitempty"`
}
