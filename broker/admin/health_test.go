package admin

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// within gives what a path answers after some time.
func within(t *testing.T, s *Server, path string, after time.Duration) (status int, says string) {
	t.Helper()
	synctest.Wait()
	<-time.After(after) // by the clock of the bubble
	synctest.Wait()
	w := ask(s.Handler(), get, path, "")
	if w.Code == http.StatusOK {
		return w.Code, w.Body.String()
	}
	return w.Code, failureOf(t, w).Message
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{stuck: true}
		s := newServer(b)
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ended); s.pulse.run(stop) }()
		check := func(when, path string, after time.Duration, status int, want string) {
			t.Helper()
			if got, says := within(t, s, path, after); got != status || !strings.Contains(says, want) {
				t.Errorf("%s: %s answers %d %s, want %d %s", when, path, got, says, status, want)
			}
		}
		check("before the first answer", "/readyz", 0, 503, "has not answered yet")
		check("before the first answer", "/healthz", 0, 200, "ok")
		b.setStuck(false)
		check("running", "/readyz", livesWithin+2*beatEvery, 200, "ready")
		check("running", "/healthz", time.Hour, 200, "ok")

		b.setStuck(true)
		check("stuck for a moment", "/readyz", readyWithin-beatEvery, 200, "ready")
		check("stuck", "/readyz", 2*beatEvery, 503, "the control loop has not answered for 4s")
		check("stuck", "/healthz", 0, 200, "ok")
		check("stuck for long", "/healthz", livesWithin, 503, "the control loop has not answered for 19s")
		b.setStuck(false)
		check("again", "/readyz", livesWithin+beatEvery, 200, "ready")
		check("again", "/healthz", 0, 200, "ok")

		b.mu.Lock()
		b.loops = []Loop{{Name: "control", Turn: time.Now()}, {Name: "0"}, {Name: "1", Turn: time.Now().Add(-2 * time.Second)}}
		b.mu.Unlock()
		check("a long turn", "/readyz", 0, 200, "ready")
		b.mu.Lock()
		b.loops[0].Turn = time.Time{}
		b.mu.Unlock()
		check("a turn too long", "/readyz", 2*time.Second, 503, "loop 1 has been at one turn for 4s")
		close(stop)
		<-ended
		check("at the end", "/readyz", 0, 503, "the broker stops")
	})
}
