package sched

import (
	"math"

	"github.com/weft-fabric/weft/sched/resource"
)

// Unlimited stands in a maximum for a dimension that it does not limit.
const Unlimited = math.MaxInt64

// Queue is how one queue of the hierarchy is configured. What is nil, empty or 0 is not given: [CheckQueues] says what
// goes together.
type Queue struct {
	Name   string
	Parent string // the name of another; empty for the root

	// What is guaranteed: a part of the parent's guarantee, or a weight among the siblings (1 where neither is given).
	Capacity *Percent
	Weight   *float64
	// Min is what the queue gets before siblings of its priority, in each dimension.
	Min *resource.Vector
	// What it never exceeds: a part of the parent's absolute maximum, or an amount in every dimension, where [Unlimited] is
	// as much as the ancestors may have.
	MaxPercent *Percent
	Max        *resource.Vector

	Priority int // among siblings; the higher goes first

	// Of leaves.
	Policy    string   // fifo (also when empty), capacity or fair
	UserLimit *Percent // of policy capacity: what one user may hold at least, however many there are
	Reserve   bool     // the head of the line keeps the place that it waits for
}

// Fault is one thing that is wrong with a list of queues.
type Fault struct {
	Queue   int    // index in the list; -1: it is about the list as a whole
	Field   string // as the formats call it: "name", "parent", "capacity_pct", "weight", "min", "max_pct", "max", "priority", "policy", "user_limit_pct", "reserve"
	Problem string // what is wrong, and what would be right
}
