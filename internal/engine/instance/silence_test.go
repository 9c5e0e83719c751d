package instance

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// TestSilenceAsTheBrokerSays: the time-out that WELCOME announces counts, and so does how often it wants signs of life.
func TestSilenceAsTheBrokerSays(t *testing.T) {
	for timeout, every := range map[time.Duration]time.Duration{
		0:                       protocol.Heartbeat / 2,
		protocol.PeerTimeout:    protocol.Heartbeat / 2,
		time.Minute:             protocol.Heartbeat / 2,
		protocol.MinPeerTimeout: protocol.MinPeerTimeout / 8,
	} {
		w := newWorld(t, Config{Endpoints: []string{"tcp://a", "tcp://b"}})
		w.timeout = timeout
		w.run(nil)
		w.pass(time.Second)
		if at, ok := w.e.Deadline(); !ok || at.Sub(w.now) > every {
			t.Errorf("time-out %v: the next sign of life is due in %v, want within %v", timeout, at.Sub(w.now), every)
		}
		at := w.ends[Control].dialed
		w.cut(Control)
		w.ends[Control].refuse = protocol.Errorf(protocol.CodeUnavailable, "hello", "restarting")
		patience := timeout
		if patience == 0 {
			patience = protocol.PeerTimeout
		}
		w.pass(patience - 2*every)
		if w.ends[Control].dialed != at {
			t.Errorf("time-out %v: the broker is given up too early", timeout)
		}
		w.pass(4 * every)
		if w.ends[Control].dialed == at {
			t.Errorf("time-out %v: the broker is not given up", timeout)
		}
	}
}
