package sched

import "fmt"

// Barrier is what can stand between a request and a node, in the order in which it is looked at, or between a request and
// its turn.
type Barrier uint8

// The barriers. Those up to Spread are a node's.
const (
	NoBarrier     Barrier = iota
	WrongNode             // another node is asked for
	WrongRack             // another rack is asked for
	WrongType             // another node type is asked for
	WrongPlatform         // nothing there is to run on its platform
	Excepted              // the caller has ruled it out
	TooSmall              // it would not hold the container even when empty
	Cordoned              // it is given nothing new
	NoRoom                // it does not hold the container now
	Spread                // the containers must be spread over more nodes
	NoNode                // no node has joined
	Preferred             // it waits for the place that it prefers
	QueueMax              // its queue, or one above, is at its maximum
	UserLimit             // its user holds as much as one may while others wait
	Reserved              // a request before it keeps the place that it waits for
)

// String names the barrier.
func (b Barrier) String() string {
	names := [...]string{
		"none", "node", "rack", "node type", "platform", "excepted", "capacity", "cordoned", "room", "spread", "no node",
		"preferred place", "queue max", "user limit", "reserved",
	}
	if int(b) < len(names) {
		return names[b]
	}
	return fmt.Sprintf("barrier %d", uint8(b))
}

// Unsatisfiable is the error of [Scheduler.Satisfiable] and [Shares.Satisfiable].
type Unsatisfiable struct {
	Barrier Barrier // the last one, at the nodes that came furthest
	Reason  string  // in words, for all nodes
}

// Error gives the reason.
func (u *Unsatisfiable) Error() string { return u.Reason }
