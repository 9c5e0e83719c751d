package protocol

import "time"

// GetStats asks for the statistics of a session, or of a service.
type GetStats struct {
	Session uint32 `json:"session,omitempty"` // its number
	Service string `json:"service,omitempty"` // its name
	Version string `json:"version,omitempty"` // of the service; empty: all
}

// Stats is what was counted of a session, or of all sessions of a service, since it began. Times come from a look every
// 50 ms, those of Executing from what instances report of batches of tasks, at their mean.
type Stats struct {
	Since     time.Time     `json:"since"`     // when the count began
	At        time.Time     `json:"at"`        // when it was taken
	Submitted uint64        `json:"submitted"` // tasks accepted
	Done      uint64        `json:"done"`      // with a result
	Failed    uint64        `json:"failed"`    // with a failure, in whatever way
	Cancelled uint64        `json:"cancelled"` // of those: cancelled, or their deadline passed
	Dead      uint64        `json:"dead"`      // of those: in the dead-letter list
	Refused   uint64        `json:"refused"`   // tasks that found no room, and were not accepted
	Retried   uint64        `json:"retried"`   // attempts that were not the first
	Late      uint64        `json:"late"`      // results dropped because their attempt had been given up
	BytesIn   uint64        `json:"bytes_in"`  // of payloads
	BytesOut  uint64        `json:"bytes_out"` // of results
	Queued    Histogram     `json:"queued"`    // from arrival to dispatch
	Executing Histogram     `json:"executing"` // in OnTaskExec
	InFlight  Histogram     `json:"in_flight"` // from dispatch to result at the broker, sampled
	Returning Histogram     `json:"returning"` // from there until the client had it, sampled
	Delayed   time.Duration `json:"delayed"`   // that tasks waited for their next attempt, together
	Active    time.Duration `json:"active"`    // with tasks that were unfinished, or results that the client had not taken
	Blocked   time.Duration `json:"blocked"`   // of that: it was the client that had not taken results
	Starved   time.Duration `json:"starved"`   // of that: tasks waited while no instance had room for them
	Serving   time.Duration `json:"serving"`   // of that: instances were there; two for a second count two seconds
	Busy      time.Duration `json:"busy"`      // that slots of these instances were executing, together
	Waiting   int           `json:"waiting"`   // tasks that wait now
	Flying    int           `json:"flying"`    // tasks at instances now
	Instances int           `json:"instances"` // that serve now
	Most      int           `json:"most"`      // instances that it may have
	Slots     int           `json:"slots"`     // of an instance
	Delay     time.Duration `json:"delay"`     // from opening to running, of a session
}

// Merge adds what another has counted, of another session or another time.
func (s *Stats) Merge(of *Stats) {
	if s.Since.IsZero() || !of.Since.IsZero() && of.Since.Before(s.Since) {
		s.Since = of.Since
	}
	if of.At.After(s.At) {
		s.At = of.At
	}
	s.Submitted += of.Submitted
	s.Done += of.Done
	s.Failed += of.Failed
	s.Cancelled += of.Cancelled
	s.Dead += of.Dead
	s.Refused += of.Refused
	s.Retried += of.Retried
	s.Late += of.Late
	s.BytesIn += of.BytesIn
	s.BytesOut += of.BytesOut
	s.Queued.Merge(of.Queued)
	s.Executing.Merge(of.Executing)
	s.InFlight.Merge(of.InFlight)
	s.Returning.Merge(of.Returning)
	s.Delayed += of.Delayed
	s.Active += of.Active
	s.Blocked += of.Blocked
	s.Starved += of.Starved
	s.Serving += of.Serving
	s.Busy += of.Busy
	s.Waiting += of.Waiting
	s.Flying += of.Flying
	s.Instances += of.Instances
	s.Most = max(s.Most, of.Most)
	s.Slots = max(s.Slots, of.Slots)
	s.Delay = max(s.Delay, of.Delay)
}
