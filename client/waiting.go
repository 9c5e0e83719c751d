package client

import (
	"context"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// waitLook is the time between two looks at why a session waits.
const waitLook = time.Second

// OnWaiting has f called when the session has no instance after a time, with the reason that the broker gives: no node has
// room, instances die when they start, a program does not serve. It is called again when the reason changes, and not any
// more once the session has had an instance. It is called by one goroutine of the session's own, which it may hold up.
func OnWaiting(after time.Duration, f func(reason string)) SessionOption {
	return func(c *sessionConfig) { c.waitsAfter, c.onWaiting = after, f }
}

// Waits asks the broker why the session has no instance: "" when it has one, has had one, or is over.
func (s *Session) Waits(ctx context.Context) (reason string, err error) {
	reason, _, err = s.waits(ctx)
	return reason, err
}

// waits is [Session.Waits]; it is not settled while the session may come to wait for a reason.
func (s *Session) waits(ctx context.Context) (reason string, settled bool, err error) {
	for i, err := range s.client.Sessions(ctx, Filter{Session: s.Number()}) {
		if err != nil {
			return "", false, err
		}
		if i.State == protocol.SessionQueued || i.State == protocol.SessionScheduled {
			return i.Reason, false, nil
		}
	}
	return "", true, nil
}

// watch calls f as [OnWaiting] says, until the session is over.
func (s *Session) watch(after time.Duration, f func(reason string)) {
	ctx := context.Background() // the end of the client ends requests
	timer := time.NewTimer(after)
	defer timer.Stop()
	said := ""
	for {
		select {
		case <-timer.C:
		case <-s.done:
			return
		}
		reason, settled, err := s.waits(ctx)
		if settled && err == nil {
			return
		}
		if what := withoutFigures(reason); what != said && what != "" {
			said = what
			f(reason)
		}
		timer.Reset(waitLook)
	}
}

// withoutFigures gives what of a reason does not change from moment to moment.
func withoutFigures(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return -1
		}
		return r
	}, s)
}
