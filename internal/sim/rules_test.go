package sim

import (
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// rule is a history in a calm world, of which one task was submitted, and what the checker must say of it.
type rule struct {
	kind    string // of the failure; empty: nothing is wrong
	history func(w *World, t *task)
}

// judge holds the checker to rules.
func judge(t *testing.T, rules map[string]rule) {
	t.Helper()
	for name, r := range rules {
		t.Run(name, func(t *testing.T) {
			w := calmWorld(t)
			w.at, w.now = int64(time.Minute), epochOfTime.Add(time.Minute)
			s := &appSession{app: &w.seats[0].client.app, service: w.services[0]}
			s.session = s.app.c.engine.Open(protocol.OpenSession{Service: s.service.name}, 0, 0)
			one := w.newTask(s, 16)
			one.id, one.act = protocol.NewTaskID(1, 0), actEcho
			one.retry = protocol.Retry{Attempts: 3, HostLosses: 3, Backoff: protocol.Duration(time.Second), MaxBackoff: protocol.Duration(time.Second)}
			s.app.c.pending = []*task{one}
			w.checker.submitted(one)
			r.history(w, one)
			switch {
			case r.kind == "" && w.failure != nil:
				t.Errorf("the checker says %v, and nothing is wrong", w.failure)
			case r.kind != "" && (w.failure == nil || w.failure.Kind != r.kind):
				t.Errorf("the checker says %v, want a failure of kind %s", w.failure, r.kind)
			}
		})
	}
}
