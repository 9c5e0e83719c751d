package client

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// WithIdleTimeout has the session closed when it was without an unfinished task for d: it ends with [ErrSessionExpired].
// Without it, or with 0, it may be idle for ever.
func WithIdleTimeout(d time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Idle = d }
}

// WithLifetime has the session killed when it was open for d, whatever it does then: its unfinished tasks fail with
// [ErrSessionExpired]. Without it, or with 0, it lives until it is closed.
func WithLifetime(d time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Lifetime = d }
}

// checkTimes says what is wrong with the times that a session is to have.
func checkTimes(s *protocol.OpenSession) error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"WithIdleTimeout", s.Idle}, {"WithLifetime", s.Lifetime}, {"WithDisconnect: grace", s.Grace}} {
		if f.d < 0 {
			return protocol.Errorf(protocol.CodeInvalid, "open session", "%s: %v is negative", f.name, f.d)
		}
	}
	return nil
}
