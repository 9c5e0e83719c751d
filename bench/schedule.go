package main

import (
	"math/rand/v2"
	"time"
)

// How the tasks of a load arrive.
const (
	arrivalsConstant = "constant" // at equal intervals
	arrivalsPoisson  = "poisson"  // each independent of all others, as those of many users are
)

// schedule says when the tasks of a client are due, counted from its beginning. Nothing that happens meanwhile changes it.
type schedule struct {
	gap    float64 // nanoseconds between two tasks, in the mean
	offset float64 // nanoseconds until the first one
	index  float64 // of the next task
	chance *rand.Rand
	random float64 // nanoseconds until the next task, where chance has decided it
}

// newSchedule is the schedule of one of several clients that share the tasks of a rate (in all, per second). Clients with
// equal intervals take turns.
func newSchedule(rate float64, arrivals string, client, clients int, seed uint64) schedule {
	s := schedule{gap: float64(clients) * float64(time.Second) / rate}
	if arrivals == arrivalsPoisson {
		s.chance = rand.New(rand.NewPCG(seed, uint64(client)))
		s.random = s.gap * s.chance.ExpFloat64()
		return s
	}
	s.offset = s.gap * float64(client) / float64(clients)
	return s
}

// due is when the next task is due.
func (s *schedule) due() time.Duration {
	if s.chance != nil {
		return time.Duration(s.random)
	}
	return time.Duration(s.offset + s.index*s.gap) // not a sum: it would drift
}

// advance goes on to the task after the next.
func (s *schedule) advance() {
	s.index++
	if s.chance != nil {
		s.random += s.gap * s.chance.ExpFloat64()
	}
}
