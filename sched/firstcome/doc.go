// Package firstcome decides which container runs on which node. [Scheduler] is its seam; [FIFO] fills it in
// the simplest way: one queue, in which the service that was submitted first goes first and preference does not block:
// what finds no room lets the next one try.
//
// The package is pure and incremental: it is told of every change, keeps what follows from it, and does work only for
// what changed. It knows nothing of sessions or of the wire. Equal calls in equal order give equal answers. Nothing in
// it is safe for concurrent use.
package firstcome

import (
	"fmt"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/sched/resource"
)

// Node is a compute node as the scheduler sees it.
type Node struct {
	Name     string
	Rack     string
	Type     string // cpu or gpu
	Platform platform.Platform
	Capacity resource.Vector
}

// Request says what one container needs and where it may run; how many there are to be is said by [Scheduler.Want].
type Request struct {
	ID       string // of the request, unique
	Service  string // that the request belongs to; its place in the queue is shared by all its requests
	Capacity resource.Vector
	Priority int // among the requests of one service; the higher goes first
	// Where it may run; what is empty does not matter.
	Node      string
	Rack      string
	NodeType  string
	Platforms []platform.Platform // one of them must run there
	Nodes     int                 // least number of distinct nodes that the containers must be spread over
	Except    []string            // names of nodes that are out of the question for now
}

// Container names a placed container, from 1; a number is never used again.
type Container uint64

// Placement is one decision: a container of the request runs on the node, and holds its capacity until it is released.
type Placement struct {
	Container Container
	Request   string
	Node      string
}

// Scheduler is the seam between who wants containers and who decides where they run.
type Scheduler interface {
	// SetNode brings a node in, or changes it. Containers that it holds stay, also when they now exceed it.
	SetNode(n Node)
	// RemoveNode takes a node out; what it held is released. A name that is not known is of no effect.
	RemoveNode(name string)
	// Submit puts a request at the end of the queue, wanting nothing. One that is known is changed and keeps its place
	// and its containers.
	Submit(r Request)
	// Want says how many containers a request is to have in all, those included that it holds; at less than it holds
	// it is for the caller to choose and release some. A request that wants nothing and holds nothing is forgotten.
	Want(request string, count int)
	// Release gives back what a container holds. One that is not known is of no effect.
	Release(c Container)
	// Next decides one placement; ok is false when nothing that is wanted can be placed now.
	Next() (p Placement, ok bool)
	// Explain says which queue, dimension or property of a node stands in the way of what a request still wants; ""
	// when nothing does. The nodes that are full lack nothing but room: they would do if containers there ended.
	Explain(request string) (why string, full []string)
	// Satisfiable says whether a request could ever be satisfied by the nodes that are known, were they empty. The
	// error is an *[Unsatisfiable]. While no node is known, everything is satisfiable.
	Satisfiable(r Request) error
}

// Barrier is what can stand between a request and a node, in the order in which it is looked at.
type Barrier uint8

// The barriers.
const (
	NoBarrier     Barrier = iota
	WrongNode             // another node is asked for
	WrongRack             // another rack is asked for
	WrongType             // another node type is asked for
	WrongPlatform         // nothing there is to run on its platform
	Excepted              // the caller has ruled it out
	TooSmall              // it would not hold the container even when empty
	NoRoom                // it does not hold the container now
	Spread                // the containers must be spread over more nodes
)

// String names the barrier.
func (b Barrier) String() string {
	names := [...]string{
		"none", "node", "rack", "node type", "platform", "excepted", "capacity", "room", "spread",
	}
	if int(b) < len(names) {
		return names[b]
	}
	return fmt.Sprintf("barrier %d", uint8(b))
}

// Unsatisfiable is the error of [Scheduler.Satisfiable].
type Unsatisfiable struct {
	Barrier Barrier // the last one, at the nodes that came furthest
	Reason  string  // in words, for all nodes
}

// Error gives the reason.
func (u *Unsatisfiable) Error() string { return u.Reason }
