// Package control is the core of the control loop: the session controller, put together from the service
// catalogue, the fleet of nodes and containers, and the scheduler. It speaks with clients, agents and instances over
// protocol/link, and with the manager loops by broker/session's orders and notes.
//
// The package is pure. A [Core] belongs to one goroutine, the shell of the control loop: it calls [Core.Step] for each
// event, [Core.Tick] when [Core.Deadline] has come, and after either [Core.Take] to learn what is to be done.
package control

import (
	"time"

	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
	"github.com/weft-fabric/weft/sched"
)

// Event is what can happen to a core: [Frame], [PeerGone], [Note], [Committed], [Pressure], [Command]
// or [Survey].
type Event interface{ event() }

// Frame is one message from a peer. Bytes may be used again when Step returns. The core takes over the payload
// handles and releases all of them: control records have no payloads of their own.
type Frame struct {
	Peer     protocol.Peer
	Bytes    []byte
	Payloads []protocol.Handle
}

// PeerGone tells that a message could not be sent to this peer because its connection is gone.
type PeerGone struct{ Peer protocol.Peer }

// Note is what a manager loop, by its index, tells the control loop.
type Note struct {
	Loop int
	Note session.Note
}

// Committed tells that this core's records up to Position, counted from 1, are durable.
type Committed struct{ Position uint64 }

// Pressure tells what all manager loops together hold in bytes, and may hold.
type Pressure struct{ Used, Limit int64 }

// much says whether less is to be granted anew.
func (p Pressure) much() bool { return p.Limit > 0 && p.Used >= p.Limit/10*7 }

// full says whether manager loops refuse tasks.
func (p Pressure) full() bool { return p.Limit > 0 && p.Used >= p.Limit/10*9 }

func (Pressure) event()  {}
func (Frame) event()     {}
func (PeerGone) event()  {}
func (Note) event()      {}
func (Committed) event() {}

// Raw is a bare frame, of no conversation, that is to be sent as it is.
type Raw struct {
	Peer  protocol.Peer
	Bytes []byte
}

// LoopOrder is an order to one manager loop.
type LoopOrder struct {
	Loop  int
	Order session.Order
}

// Batch is what a core wants done. The shell hands over the records first, then the orders, then sends the frames as
// protocol/link says: a frame whose After is above the committed position waits ([link.Ready]), and so does an answer.
type Batch struct {
	Records  [][]byte // for the store, in order: each has the next position, from 1
	Orders   []LoopOrder
	Frames   []*link.Frame
	Raw      []Raw
	Answers  []Answer
	Released []protocol.Handle
}

// Reset empties the batch and keeps its room.
func (b *Batch) Reset() {
	clear(b.Records)
	clear(b.Orders)
	clear(b.Frames)
	clear(b.Raw)
	clear(b.Answers)
	b.Records, b.Orders, b.Frames, b.Raw, b.Answers = b.Records[:0], b.Orders[:0], b.Frames[:0], b.Raw[:0], b.Answers[:0]
	b.Released = b.Released[:0]
}

// Config says what a core is. Zero values of the fields marked so stand for their defaults.
type Config struct {
	Epoch       protocol.Epoch
	Incarnation uint64 // of the broker's process, drawn once; not 0
	Broker      string // name, for people
	Loops       int    // manager loops, at least 1
	Places      Places // where they are reached
	// ClientGrace is the silence after which a client's sessions are closed; 0: 30 s.
	ClientGrace time.Duration
	// PeerTimeout is the silence after which an agent, or an instance without one, is lost; 0: protocol.PeerTimeout.
	PeerTimeout time.Duration
	// MaxPayload bounds the payload of a task or result of any service in bytes; 0: protocol.DefaultMaxPayload.
	MaxPayload int64
	// ManagerCPU is what each loop has for its session managers, in millicores; 0: 1000.
	ManagerCPU int64
	// ManagerMemory is what the management node has for the unfinished tasks of all session managers, in bytes; 0: 1 GiB,
	// or MaxPayload where that is more.
	ManagerMemory int64
	// MaxSessions bounds the sessions open at once; 0: 100,000.
	MaxSessions int
	// DeadLetters is how many tasks the dead-letter list holds, and DeadLetterBytes how many bytes; the oldest go first.
	// 0: 1000, and 64 MiB, or what one task with the largest payload may take where that is more.
	DeadLetters     int
	DeadLetterBytes int64
	// Scores say which node is the best one for a container; the zero value: as package sched has it.
	Scores sched.Scores
	// Queues are the queues and shapes at the start; nil: one queue for everything, and no shapes.
	Queues *protocol.ApplyQueues
	// Token draws the secret by which a started instance proves itself; required.
	Token func() string
}
