package manager

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/broker/session"
)

// Of what happens often, a session's event log gets the first few by themselves, and then how many more there were, less
// and less often for as long as that goes on.
const (
	eventsAlone = 3           // events of a kind that are told by themselves
	eventsFirst = time.Second // that they are counted for when there are more, the first time; then twice that, and so on
	eventsMost  = time.Minute
)

// flood is the events of one kind of a session of late.
type flood struct {
	kind   string
	until  time.Time
	window time.Duration
	alone  int // told by themselves
	more   int // that were not told
}

// happened tells the session's event log of something. Whatever is not told is not formatted.
func (s *hosted) happened(kind, format string, args ...any) {
	now := s.manager.core.now
	f := s.floodOf(kind)
	f.settle(s, now)
	if f.alone == eventsAlone {
		f.more++
		return
	}
	f.alone++
	s.tellEvent(kind, fmt.Sprintf(format, args...))
}

// floodOf gives what is counted of a kind.
func (s *hosted) floodOf(kind string) *flood {
	for i := range s.floods {
		if s.floods[i].kind == kind {
			return &s.floods[i]
		}
	}
	s.floods = append(s.floods, flood{kind: kind})
	return &s.floods[len(s.floods)-1]
}

// settle tells what was not told when its time has come; after a while without any, events are told by themselves again.
func (f *flood) settle(s *hosted, now time.Time) {
	switch {
	case now.Before(f.until):
		return
	case f.more > 0:
		f.tell(s)
		f.window = min(2*f.window, eventsMost)
	default:
		f.alone, f.window = 0, eventsFirst
	}
	f.until = now.Add(f.window)
}

// tell tells how many events were not told.
func (f *flood) tell(s *hosted) {
	if f.more > 0 {
		s.tellEvent(f.kind, fmt.Sprintf("%d more like these", f.more))
	}
	f.more = 0
}

// settleFloods tells what was not told of the session; at its end, whatever there is.
func (s *hosted) settleFloods(end bool) {
	for i := range s.floods {
		f := &s.floods[i]
		if end {
			f.tell(s)
		} else if f.more > 0 {
			f.settle(s, s.manager.core.now)
		}
	}
}

func (s *hosted) tellEvent(kind, detail string) {
	s.manager.core.note(session.Note{Event: &session.Happened{Session: s.number, Kind: kind, Detail: detail}})
}
