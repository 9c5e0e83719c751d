package control

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/protocol"
)

// How sessions end by time: when they are idle for too long, have lived for too long, or their client is lost.

// checkTimes says what is wrong with the times that a session is to have.
func checkTimes(r *protocol.OpenSession) error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"timeout", r.Timeout}, {"run", r.Run}, {"idle", r.Idle}, {"lifetime", r.Lifetime}, {"grace", r.Grace}} {
		if f.d < 0 {
			return protocol.Errorf(protocol.CodeInvalid, "open session", "%s: %v is negative; 0 is without limit, or as the broker says", f.name, f.d)
		}
	}
	if r.Disconnect != "" && r.Disconnect != protocol.DisconnectClose && r.Disconnect != protocol.DisconnectKeep {
		return protocol.Errorf(protocol.CodeInvalid, "open session", "disconnect: %q is neither %s nor %s", r.Disconnect, protocol.DisconnectClose, protocol.DisconnectKeep)
	}
	return nil
}

// expiry looks after the sessions whose end is a matter of time.
type expiry struct {
	sessions *sessions
	timed    ordered.Map[uint32, *sess] // that have a limit
}

// watch looks after a session if it has a limit.
func (x *expiry) watch(s *sess) {
	if s.request.Idle > 0 || s.request.Lifetime > 0 {
		x.timed.Set(s.number, s)
	}
}

// lookAfter ends a session whose time is over.
func (x *expiry) lookAfter(s *sess) {
	if mode, why := s.expired(x.sessions.c.now); why != "" {
		x.sessions.closeAs(s, "", &protocol.CloseSession{Session: s.number, Mode: mode, Reason: why}, protocol.CodeSessionExpired)
	}
}

// expired says how and why a session is to end, "" when its time is not over.
func (s *sess) expired(now time.Time) (mode, why string) {
	r := &s.request
	switch age, idle, alone := now.Sub(s.opened), now.Sub(s.active), now.Sub(s.tenure.since); {
	case r.Lifetime > 0 && age >= r.Lifetime:
		return protocol.CloseKill, fmt.Sprintf("it has lived for its lifetime of %v", r.Lifetime)
	case r.Idle > 0 && idle >= r.Idle && s.seen.Queued+s.seen.InFlight == 0 && s.manager.hosting != 0:
		return protocol.CloseFinish, fmt.Sprintf("it was without an unfinished task for its idle limit of %v", r.Idle)
	case s.tenure.away && alone >= s.tenure.grace:
		return protocol.CloseKill, fmt.Sprintf("no client has come for it for its grace of %v", s.tenure.grace)
	default:
		return "", ""
	}
}

// graceOf is how long a session whose client is silent lives.
func (x *expiry) graceOf(s *sess) time.Duration {
	if s.request.Grace == 0 || s.keeps() {
		return x.sessions.c.cfg.ClientGrace
	}
	return max(s.request.Grace, x.sessions.c.cfg.PeerTimeout) // before that, nobody counts as lost
}

// missed looks at the sessions of a client that is silent, and says whether none is left that waits for it.
func (x *expiry) missed(p *party, silent time.Duration) bool {
	none := true
	for _, s := range p.client.open.All() {
		why := "its client was not heard for " + silent.Truncate(time.Second).String()
		switch {
		case silent <= x.graceOf(s):
			none = false
		case s.keeps() && !s.ends():
			tenancies{x.sessions}.detach(s, 0, why)
		default:
			x.sessions.kill(s, why)
		}
	}
	return none
}
