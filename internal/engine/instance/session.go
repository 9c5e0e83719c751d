package instance

import "github.com/weft-fabric/weft/protocol"

// Session is one session at this instance. Its number may come again when it was let go.
type Session struct {
	// Bind is what the manager said of it.
	Bind protocol.Bind
	// Shell belongs to the shell.
	Shell any

	seat    seat
	queue   queue
	running int  // of its tasks and hooks
	asked   bool // the manager waits for Unbound
	era     uint32
	next    *Session // of the same number, to be bound when this one is gone
	waits   bool     // another one of the same number is not gone yet
	begun   bool     // OnSessionBind was begun
	served  uint64   // when one of its tasks was begun last, by the count of the turns
}

// take moves the session in its table; a refused turn changes nothing.
func (s *Session) take(t turn) { s.seat, _ = seats.Next(s.seat, t) }
