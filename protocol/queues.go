package protocol

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Decimal is a decimal number as it was written, so that nothing is lost of it; empty: left out. In JSON it is a number.
type Decimal string

// MarshalJSON writes the number as it was written, what is none as a text, and null for one that was left out.
func (d Decimal) MarshalJSON() ([]byte, error) {
	switch {
	case d == "":
		return []byte("null"), nil
	case !d.plain():
		return json.Marshal(string(d))
	default:
		return []byte(d), nil
	}
}

// plain says whether the decimal is a number as JSON writes them, without an exponent.
func (d Decimal) plain() bool {
	whole, part, point := strings.Cut(strings.TrimPrefix(string(d), "-"), ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return digits(whole) && (whole == "0" || whole[0] != '0') && (!point || digits(part))
}

// UnmarshalJSON takes a number, or a text that is one.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	text := Decimal(bytes.Trim(b, `"`))
	if text == "null" || text == "" {
		*d = ""
		return nil
	}
	if !text.plain() {
		return Errorf(CodeInvalid, "decimal", "%s is not a decimal number such as 33.3", b)
	}
	*d = text
	return nil
}

// Amounts are whole amounts by dimension: cpu in millicores, gpu in devices, memory in bytes, network and disk_io in
// bytes/s.
type Amounts map[string]int64

// Quantities are amounts by dimension that need not be whole, in the units of [Amounts].
type Quantities map[string]float64

// Shapes are what containers have, by the name of their shape.
type Shapes map[string]Capacity

// EncodeMsgpack writes the amounts in the order of their dimensions.
func (a Amounts) EncodeMsgpack(enc *msgpack.Encoder) error { return encodeSorted(enc, a) }

// EncodeMsgpack writes the quantities in the order of their dimensions.
func (q Quantities) EncodeMsgpack(enc *msgpack.Encoder) error { return encodeSorted(enc, q) }

// EncodeMsgpack writes the shapes in the order of their names.
func (s Shapes) EncodeMsgpack(enc *msgpack.Encoder) error { return encodeSorted(enc, s) }

// encodeSorted writes a map in the order of its keys, which the library does for some types of values only.
func encodeSorted[V any](enc *msgpack.Encoder, m map[string]V) error {
	if m == nil {
		return enc.EncodeNil()
	}
	if err := enc.EncodeMapLen(len(m)); err != nil {
		return err
	}
	for _, key := range sortedKeys(m) {
		if err := enc.EncodeString(key); err != nil {
			return err
		}
		if err := enc.Encode(m[key]); err != nil {
			return err
		}
	}
	return nil
}

// Queue is one queue as it is configured.
type Queue struct {
	Name       string   `json:"name"`                     // of the queue
	Parent     string   `json:"parent,omitempty"`         // name of another one; empty: it is the root
	Capacity   Decimal  `json:"capacity_pct,omitempty"`   // percent of what is guaranteed to the parent
	Weight     *float64 `json:"weight,omitempty"`         // above 0, in place of capacity_pct; left out: 1
	Min        Amounts  `json:"min,omitempty"`            // below it the queue comes before its siblings
	MaxPercent Decimal  `json:"max_pct,omitempty"`        // percent of the parent's maximum
	Max        Amounts  `json:"max,omitempty"`            // in place of max_pct; a dimension left out is not limited
	Priority   int      `json:"priority,omitempty"`       // the higher comes first
	Policy     string   `json:"policy,omitempty"`         // of a leaf: fifo, capacity or fair; empty: fifo
	UserLimit  Decimal  `json:"user_limit_pct,omitempty"` // of a leaf with the policy capacity: percent that a user may have among others
	Reserve    bool     `json:"reserve,omitempty"`        // of a leaf: the head of the line keeps the place it waits for
}

// ApplyQueues replaces the tree of queues, and the shapes, by these: all of it, or nothing when anything is wrong.
type ApplyQueues struct {
	Queues []Queue `json:"queues"`            // in any order
	Shapes Shapes  `json:"shapes,omitempty"`  // of containers
	DryRun bool    `json:"dry_run,omitempty"` // say what would change, and change nothing
}

// What became of a queue or a shape.
const (
	ChangeAdded   = "added"
	ChangeRemoved = "removed"
	ChangeChanged = "changed"
)

// QueuesApplied says what ApplyQueues has changed, or would change.
type QueuesApplied struct {
	Changes []QueueChange `json:"changes,omitempty"` // queues first, in order of definition, then those that go, then shapes
	DryRun  bool          `json:"dry_run,omitempty"` // nothing was changed
}

// QueueChange is what became of one queue or one shape.
type QueueChange struct {
	Change   string        `json:"change"`             // added, removed or changed
	Queue    string        `json:"queue,omitempty"`    // its name
	Shape    string        `json:"shape,omitempty"`    // or the name of a shape
	Fields   []FieldChange `json:"fields,omitempty"`   // of one that was changed; of one that was added: what it says
	Services []string      `json:"services,omitempty"` // that name the queue or what is below it, or the shape, sorted
}

// FieldChange is what became of one field.
type FieldChange struct {
	Field string `json:"field"`         // its key
	Old   string `json:"old,omitempty"` // empty: it was left out
	New   string `json:"new,omitempty"` // empty: it is left out
}

// QueuePage is one page of the queues.
type QueuePage struct {
	Entries []QueueInfo `json:"entries"`          // parents before their children
	More    bool        `json:"more,omitempty"`   // there is a next page
	Shapes  Shapes      `json:"shapes,omitempty"` // of containers, on the first page
}

// QueueInfo is a queue and how it fares.
type QueueInfo struct {
	Queue      Queue      `json:"queue"`                // as it is configured
	Depth      int        `json:"depth"`                // of the root: 0
	Leaf       bool       `json:"leaf"`                 // services can be in it
	Draining   bool       `json:"draining,omitempty"`   // it, or one above it, takes no new sessions
	Used       Amounts    `json:"used,omitempty"`       // by the containers in it
	Guaranteed Quantities `json:"guaranteed,omitempty"` // to it
	Max        Quantities `json:"max,omitempty"`        // that it may have: the least of its maximum, those above it, and what the nodes have
	Ratio      float64    `json:"ratio"`                // of what is used to what is guaranteed
	Running    int        `json:"running"`              // containers
	Pending    int        `json:"pending"`              // containers that are wanted and not there
	Services   int        `json:"services"`             // that want or hold some, each version and, with the policy capacity, each user counted
	Sessions   int        `json:"sessions"`             // that are open
}

// DrainQueue has a queue, and those below it, take no new sessions; those that it has go on.
type DrainQueue struct {
	Name string `json:"name"`           // of the queue
	Undo bool   `json:"undo,omitempty"` // it takes sessions again
}

// CordonNode has a node take no new containers; those that it has go on.
type CordonNode struct {
	Name   string `json:"name"`             // of the node
	On     bool   `json:"on,omitempty"`     // false: it takes containers again
	Reason string `json:"reason,omitempty"` // for people
}

// Overview is the state of the fabric at a glance.
type Overview struct {
	At         time.Time        `json:"at"`                // when it was taken
	Brokers    []BrokerGlance   `json:"brokers"`           // management nodes
	Nodes      NodesGlance      `json:"nodes"`             // compute nodes
	Devices    []DeviceGlance   `json:"devices,omitempty"` // nodes with GPUs, in the order of their names, at most MaxPage
	Queues     QueuesGlance     `json:"queues"`            // queues
	Containers ContainersGlance `json:"containers"`        // those of agents and those that were started by hand
	Sessions   SessionsGlance   `json:"sessions"`          // that are open
	Services   int              `json:"services"`          // of the catalogue, each version counted
}

// BrokerGlance is a management node at a glance.
type BrokerGlance struct {
	Name     string        `json:"name"`     // of the broker
	Role     string        `json:"role"`     // primary
	Epoch    Epoch         `json:"epoch"`    // of the broker
	Since    time.Time     `json:"since"`    // when it started
	Loops    int           `json:"loops"`    // manager loops
	Managers int           `json:"managers"` // session managers that have a share of it
	CPU      int64         `json:"cpu"`      // millicores that these hold
	Memory   int64         `json:"memory"`   // bytes of unfinished tasks that these may have
	Uptime   time.Duration `json:"uptime"`   // since then
}

// NodesGlance is the compute nodes at a glance.
type NodesGlance struct {
	Up       int      `json:"up"`                 // whose agent lives
	Gone     int      `json:"gone,omitempty"`     // that are lost or left, as far as they are remembered
	Cordoned int      `json:"cordoned,omitempty"` // of those that are up: take no new containers
	Capacity Capacity `json:"capacity"`           // of those that are up
	Used     Capacity `json:"used"`               // of it
}

// DeviceGlance is the devices of one node at a glance.
type DeviceGlance struct {
	Node string `json:"node"` // its name
	GPUs int64  `json:"gpus"` // that it has
	Used int64  `json:"used"` // of them
}

// QueuesGlance is the queues at a glance.
type QueuesGlance struct {
	Queues   int            `json:"queues"`             // all of them
	Leaves   int            `json:"leaves"`             // of them
	Draining int            `json:"draining,omitempty"` // leaves that take no new sessions
	Running  int            `json:"running"`            // containers
	Pending  int            `json:"pending"`            // containers that are wanted and not there
	Waiting  []QueueWaiting `json:"waiting,omitempty"`  // leaves where containers are, most first, at most 20
}

// QueueWaiting is a leaf in which containers are wanted that are not there.
type QueueWaiting struct {
	Queue   string  `json:"queue"`   // its name
	Pending int     `json:"pending"` // containers that are wanted and not there
	Running int     `json:"running"` // containers
	Ratio   float64 `json:"ratio"`   // of what is used to what is guaranteed
}

// ContainersGlance is the containers at a glance.
type ContainersGlance struct {
	Starting int `json:"starting"`          // asked for, or started and not ready
	Serving  int `json:"serving"`           // can be given tasks
	Leaving  int `json:"leaving,omitempty"` // are ended
}

// SessionsGlance is the open sessions at a glance.
type SessionsGlance struct {
	Queued    int `json:"queued"`            // no container was given to their service yet
	Scheduled int `json:"scheduled"`         // a container was given, no instance is bound yet
	Running   int `json:"running"`           // an instance has been bound
	Closing   int `json:"closing,omitempty"` // asked to close, whatever they were before
}

// Explain asks why a session, or a service, has not what it wants.
type Explain struct {
	Session uint32 `json:"session,omitempty"` // its number
	Service string `json:"service,omitempty"` // or the name of a service
	Version string `json:"version,omitempty"` // of the service; empty: all
}

// Explained says what a session or a service waits for.
type Explained struct {
	Session  uint32             `json:"session,omitempty"`  // its number
	State    string             `json:"state,omitempty"`    // of the session
	Service  string             `json:"service"`            // its name
	Requests []ExplainedRequest `json:"requests,omitempty"` // for containers; none: nothing has asked for any
	Reasons  []Reason           `json:"reasons,omitempty"`  // that do not concern a single request
}

// ExplainedRequest says what one request for containers has, wants, and waits for.
type ExplainedRequest struct {
	Request  string   `json:"request"`            // of the scheduler
	Version  string   `json:"version,omitempty"`  // of the service
	Queue    string   `json:"queue"`              // in which it stands
	Policy   string   `json:"policy,omitempty"`   // of the queue
	Position int      `json:"position,omitempty"` // in the queue, from 1; 0: it does not wait
	Wanted   int      `json:"wanted"`             // containers in all
	Held     int      `json:"held"`               // of them
	Capacity Capacity `json:"capacity"`           // of each
	Sessions []uint32 `json:"sessions,omitempty"` // numbers of those it is for, at most 20
	Reasons  []Reason `json:"reasons,omitempty"`  // why it has not all of them
}

// Reason is one thing that stands in the way of a container.
type Reason struct {
	Kind      string `json:"kind"`                // in a word
	Queue     string `json:"queue,omitempty"`     // whose limit it is
	Dimension string `json:"dimension,omitempty"` // that is short
	Short     int64  `json:"short,omitempty"`     // of it: how much is missing, at the least
	Nodes     int    `json:"nodes,omitempty"`     // on how many
	Text      string `json:"text"`                // for people
}
