package client

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// TestSilenceAsTheBrokerSays: the time-out that WELCOME announces counts, and so does how often it wants signs of life.
func TestSilenceAsTheBrokerSays(t *testing.T) {
	for timeout, every := range map[time.Duration]time.Duration{
		0:                       protocol.Heartbeat / 2,
		time.Minute:             protocol.Heartbeat / 2,
		protocol.MinPeerTimeout: protocol.MinPeerTimeout / 8,
	} {
		w := newWorld(t)
		w.broker.timeout = timeout
		s := w.open()
		w.submit(s, small)
		w.settle()
		if at, ok := w.e.Deadline(); !ok || at.Sub(w.now) > every {
			t.Errorf("time-out %v: the next sign of life is due in %v, want within %v", timeout, at.Sub(w.now), every)
		}
		if timeout == 0 {
			timeout = protocol.PeerTimeout
		}
		c := s.conn
		if c.heard = w.now; c.link.Unacked() == 0 {
			s.link.Append(protocol.KindCredit, 0, 0, nil)
		}
		c.beat(w.now.Add(timeout))
		if c.phase != up {
			t.Errorf("time-out %v: the broker is given up at its end, want after it", timeout)
		}
		c.beat(w.now.Add(timeout + 1))
		if c.phase == up {
			t.Errorf("time-out %v: the broker is not greeted anew when it is over", timeout)
		}
	}
}
