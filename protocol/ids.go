package protocol

import "fmt"

// Peer names one connection of a ROUTER: the number in the routing id that libzmq generated for it. A peer that
// reconnects gets a new one; who a peer is comes from its HELLO, never from this number.
type Peer = uint32

// Handle names a payload frame that a shell holds; 0 is none. Cores keep, forward or release it and never look inside.
type Handle = uint32

// SessionNumber names a session in one epoch of one fabric; 0 is none.
type SessionNumber = uint32

// Epoch orders the reigns of brokers: counter << 8 | node. A frame of a lower epoch than the receiver's is refused.
type Epoch uint64

// NewEpoch makes the epoch with this counter of the broker that has this node number.
func NewEpoch(counter uint64, node uint8) Epoch { return Epoch(counter<<8 | uint64(node)) }

// Counter is the part of the epoch that grows.
func (e Epoch) Counter() uint64 { return uint64(e) >> 8 }

// Node is the number of the broker whose reign it is.
func (e Epoch) Node() uint8 { return uint8(e) }

// String gives "counter.node".
func (e Epoch) String() string { return fmt.Sprintf("%d.%d", e.Counter(), e.Node()) }

// TaskID names a task for its client: its sequence in its session (40 bits, from 1, without gaps, given when the task
// is first written to a frame) << 24 | the slot in the client's slab. Session and task id together are what a service
// may use as a key of idempotency: they stay the same when a task is run again.
type TaskID uint64

// Limits of the parts of a [TaskID].
const (
	MaxTaskSequence = 1<<40 - 1
	MaxTaskSlot     = 1<<24 - 1
)

// NewTaskID makes the id of the task with this sequence and slot, which must be within their limits.
func NewTaskID(sequence uint64, slot uint32) TaskID { return TaskID(sequence<<24 | uint64(slot)) }

// Sequence is the task's place in its session, from 1.
func (t TaskID) Sequence() uint64 { return uint64(t) >> 24 }

// Slot is the index in the client's slab.
func (t TaskID) Slot() uint32 { return uint32(t) & MaxTaskSlot }

// String gives "sequence:slot", for logs. For people a task is named by its session and sequence: see client.Task.Key.
func (t TaskID) String() string { return fmt.Sprintf("%d:%d", t.Sequence(), t.Slot()) }
