package control_test

import (
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// TestAPassIsDoneInSlices has a thousand containers started at once: no call of Tick takes more than its steps, the loop is
// asked to come again at once in between, and all of them are started in the end.
func TestAPassIsDoneInSlices(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	ops := w.join("ops", protocol.Hello{Role: protocol.RoleClient}, 1)
	const many = 1000
	w.send(ops, protocol.KindRegisterService, 1, protocol.Service{
		Name: "price", Instances: protocol.Instances{Min: many, Max: many},
		Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/opt/price"}},
	})
	n := w.join("n1", protocol.Hello{Role: protocol.RoleAgent}, 100)
	w.send(n, protocol.KindRegisterNode, 1, protocol.RegisterNode{
		Name: "n1", Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: many * 1000, Memory: 1 << 40},
	})
	w.send(ops, protocol.KindOpenSession, 1, protocol.OpenSession{Key: 1, Service: "price"})
	w.core.Step(w.now, Note{Note: session.Note{Wanted: &session.Wanted{Manager: 1, Instances: many}}})
	slices, before := 0, Containers(w.core)
	for at, _ := w.core.Deadline(); !at.After(w.now); at, _ = w.core.Deadline() {
		w.core.Tick(w.now)
		slices++
		if steps := LastSlice(w.core); steps > SliceSteps || Containers(w.core)-before > SliceSteps {
			t.Fatalf("slice %d: %d steps, %d containers more; at most %d are allowed", slices, steps, Containers(w.core)-before, SliceSteps)
		}
		before = Containers(w.core)
	}
	if got := Containers(w.core); got != many || slices < many/SliceSteps {
		t.Errorf("%d containers after %d slices", got, slices)
	}
}

// TestManyEventsLeadToOnePass has a hundred sessions opened before the core is given time: nothing is started meanwhile.
func TestManyEventsLeadToOnePass(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	before := Containers(w.core)
	for i := range 100 {
		w.core.Step(w.now, Note{Note: session.Note{Wanted: &session.Wanted{Manager: 1, Instances: 1 + i%3}}})
	}
	if got := Containers(w.core); got != before {
		t.Fatalf("%d containers before the pass", got)
	}
	if at, ok := w.core.Deadline(); !ok || at.After(w.now) {
		t.Fatalf("the pass is due at %v, and it is %v", at, w.now)
	}
	w.settle()
	if got := Containers(w.core); got != 1 {
		t.Errorf("%d containers after the pass, want 1", got)
	}
	if at, _ := w.core.Deadline(); !at.After(w.now) {
		t.Errorf("a pass is due when nothing has happened")
	}
	w.core.Step(w.now, Committed{Position: 1})
	if at, _ := w.core.Deadline(); !at.After(w.now.Add(time.Millisecond)) {
		t.Error("a pass is due for a record that is durable")
	}
}
