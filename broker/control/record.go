package control

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// Record is one change that the store keeps. Exactly one of the pointers is set.
type Record struct {
	At         time.Time              `json:"at"`
	Register   *protocol.Service      `json:"register,omitempty"`   // a service was registered
	Deregister *protocol.ServiceRef   `json:"deregister,omitempty"` // one version of a service was deregistered
	Open       *OpenRecord            `json:"open,omitempty"`       // a session was opened
	Close      *protocol.CloseSession `json:"close,omitempty"`      // it was asked to close a session
	End        *protocol.SessionState `json:"end,omitempty"`        // a session is over

	Environment *EnvironmentRecord          `json:"environment,omitempty"` // an environment was created
	Delete      *protocol.DeleteEnvironment `json:"delete,omitempty"`      // an environment is being deleted
	Gone        *string                     `json:"gone,omitempty"`        // the environment of this name is gone

	Queues *protocol.ApplyQueues `json:"queues,omitempty"` // queues and shapes took the place of those before
	Drain  *protocol.DrainQueue  `json:"drain,omitempty"`  // a queue takes no new sessions, or takes them again
	Cordon *protocol.CordonNode  `json:"cordon,omitempty"` // a node takes no new containers, or takes them again
}

// EnvironmentRecord is an environment as it was created.
type EnvironmentRecord struct {
	Environment protocol.Environment `json:"environment"`
	Owner       string               `json:"owner,omitempty"` // principal
}

// OpenRecord is a session as it was opened.
type OpenRecord struct {
	Session uint32               `json:"session"`
	Client  uint64               `json:"client"` // incarnation
	Version string               `json:"version"`
	Request protocol.OpenSession `json:"request"`
}

// Encode gives the record as the store keeps it: msgpack, keys as in the json tags.
func (r *Record) Encode() []byte { return protocol.Marshal(r) }

// DecodeRecord reads what [Record.Encode] wrote.
func DecodeRecord(b []byte) (*Record, error) {
	r := &Record{}
	if err := protocol.Unmarshal(protocol.KindHeader, b, r); err != nil {
		return nil, err
	}
	return r, nil
}
