package core

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// Event is what a shell tells a [Core].
type Event interface{ event() }

type (
	// Received is the frame of records of a message from a broker. It is read during Step only.
	Received struct {
		Broker int
		Frame  []byte
	}
	// Gone says that something could not be sent to the broker: there is no connection.
	Gone struct{ Broker int }
	// Reachable says that there is a connection to the broker again.
	Reachable struct{ Broker int }
	// Usage is how busy the node is: the load average of a minute, and the bytes of memory that are available.
	Usage struct {
		Load1   float64
		MemFree uint64
	}
	// Started says that a container's process runs.
	Started struct {
		ID  string
		PID int
	}
	// StartFailed says that a container could not be started, and why.
	StartFailed struct {
		ID    string
		Error *protocol.Error
	}
	// Exited says how a container that had started ended.
	Exited struct {
		ID     string
		Code   int    // exit code; -1 when a signal ended it
		Signal string // its name; empty when there was none
		Reason string // in words
		Output []string
	}
	// Shutdown ends the agent: containers are stopped with this grace, then the brokers are told.
	Shutdown struct{ Grace time.Duration }
)

func (Received) event()    {}
func (Gone) event()        {}
func (Reachable) event()   {}
func (Usage) event()       {}
func (Started) event()     {}
func (StartFailed) event() {}
func (Exited) event()      {}
func (Shutdown) event()    {}

// Batch is what a [Core] wants of its shell. [Core.Take] overwrites it.
type Batch struct {
	Sends  []Send                    // in order for each broker
	Starts []protocol.StartContainer // to be answered by Started or StartFailed
	Stops  []Stop                    // of containers that have started
	Notes  []Note                    // for the log
	// Over says that everything is done: the shell sends what is in this batch and ends.
	Over bool
}

// Send is a frame to a broker. The shell calls Leave and Sent on it; when it cannot be sent it steps [Gone].
type Send struct {
	Broker int
	Frame  *link.Frame
}

// Stop asks for the end of a container: by a polite signal first, by force when the grace is over; at once when
// there is none.
type Stop struct {
	ID    string
	Grace time.Duration
}

// NoteKind says what a [Note] is about.
type NoteKind uint8

// Kinds of notes.
const (
	NoteWelcomed   NoteKind = iota // a broker answered; Text says which
	NoteRegistered                 // the node is known to the broker that the agent obeys
	NoteRefused                    // a broker refused something
	NoteLost                       // the conversation with a broker broke
	NoteIgnored                    // something was not what it should be, and was ignored
	NoteStarted                    // a container runs
	NoteEnded                      // a container ended, or could not be started
	NoteForced                     // the agent ends though containers have not
)

// String names the kind.
func (k NoteKind) String() string {
	return [...]string{"welcomed", "registered", "refused", "lost", "ignored", "started", "ended", "forced"}[k]
}

// Note is a line for the log.
type Note struct {
	Kind      NoteKind
	Broker    string // endpoint; empty when it is not about a broker
	Container string // id; empty when it is not about a container
	Text      string
}
