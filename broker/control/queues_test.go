package control_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// toldOps sends a request of an operator and gives the answer's body.
func toldOps[T any](w *world, kind protocol.Kind, body any) T {
	w.t.Helper()
	var got T
	found := false
	w.on = func(p *peer, r protocol.Record) {
		if p.name == "ops" && r.Task == 4711 {
			found = true
			got = decode[T](w.t, r)
		}
	}
	w.send(w.peers["ops"], kind, 4711, body)
	w.on = nil
	if !found {
		w.t.Fatalf("%v was not answered", kind)
	}
	return got
}

// A broker begins with the queues of its configuration, or not at all.
func TestQueuesAtTheStart(t *testing.T) {
	cfg := config()
	cfg.Queues = &protocol.ApplyQueues{Queues: []protocol.Queue{{Name: "root"}, {Name: "a", Parent: "root", Policy: "lifo"}}}
	if _, err := New(cfg); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "queues[1].policy (queue a)") {
		t.Errorf("a wrong configuration: %v", err)
	}
	w := newWorld(t, func(c *Config) {
		c.Queues = &protocol.ApplyQueues{
			Queues: []protocol.Queue{{Name: "all"}, {Name: "b", Parent: "all", Max: protocol.Amounts{"fpga": 0}}, {Name: "a", Parent: "all"}},
			Shapes: protocol.Shapes{"small": {CPU: 1}},
		}
	})
	w.quiet = true
	w.join("ops", protocol.Hello{Role: protocol.RoleClient}, 1)
	page := toldOps[protocol.QueuePage](w, protocol.KindListQueues, protocol.ListRequest{})
	var names []string
	for _, q := range page.Entries {
		names = append(names, q.Queue.Name)
	}
	if fmt.Sprint(names) != "[all b a]" || page.Shapes["small"].CPU != 1 {
		t.Errorf("%v, %v", names, page.Shapes)
	}
}

// A queue may limit what no node has yet, and what none has is not a limit of others.
func TestQueuesOfFurtherDimensions(t *testing.T) {
	w := newWorld(t, nil)
	w.quiet = true
	given(w, 1, 1)
	queues := []protocol.Queue{{Name: "root"}, {Name: "default", Parent: "root", Max: protocol.Amounts{"fpga": 1}}}
	applied := toldOps[protocol.QueuesApplied](w, protocol.KindApplyQueues, protocol.ApplyQueues{Queues: queues})
	if len(applied.Changes) != 1 || applied.Changes[0].Fields[0].New != "fpga 1" {
		t.Fatalf("%+v", applied)
	}
	n := w.join("n2", protocol.Hello{Role: protocol.RoleAgent, Name: "n2"}, 200)
	w.send(n, protocol.KindRegisterNode, 1, protocol.RegisterNode{
		Name: "n2", Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30, Further: protocol.Amounts{"fpga": 4}},
	})
	w.send(w.peers["ops"], protocol.KindRegisterService, 2, protocol.Service{
		Name: "chip", Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/opt/chip"}}, Instances: protocol.Instances{Max: 3},
		Requests: []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 100, Further: protocol.Amounts{"fpga": 1}}}},
	})
	w.send(w.peers["app"], protocol.KindOpenSession, 3, protocol.OpenSession{Key: 2, Service: "chip"})
	for loop := range 2 {
		w.note(loop, session.Note{Wanted: &session.Wanted{Manager: 2, Instances: 3}})
	}
	e := toldOps[protocol.Explained](w, protocol.KindExplain, protocol.Explain{Service: "chip"})
	if len(e.Requests) != 1 || e.Requests[0].Held != 1 || e.Requests[0].Wanted != 3 || len(e.Requests[0].Reasons) != 1 {
		t.Fatalf("%+v", e)
	}
	if r := e.Requests[0].Reasons[0]; r.Kind != "queue_max" || r.Queue != "default" || r.Dimension != "fpga" {
		t.Errorf("%+v", r)
	}
	q := toldOps[protocol.QueuePage](w, protocol.KindListQueues, protocol.ListRequest{Name: "default"}).Entries[0]
	if q.Used["fpga"] != 1 || q.Guaranteed["fpga"] != 4 || q.Max["fpga"] != 1 || q.Max["cpu"] != 8000 {
		t.Errorf("used %v, guaranteed %v, at most %v", q.Used, q.Guaranteed, q.Max)
	}
	var many []protocol.Queue
	for i := range 11 {
		many = append(many, protocol.Queue{Name: fmt.Sprint("q", i), Parent: "root", Max: protocol.Amounts{fmt.Sprint("d", i): 1}})
	}
	refused := toldOps[protocol.Error](w, protocol.KindApplyQueues, protocol.ApplyQueues{Queues: append(queues[:1:1], many...), DryRun: true})
	if refused.Code != protocol.CodeInvalid || !strings.Contains(refused.Msg, `with "d9" it would have more`) {
		t.Errorf("more dimensions than a fabric may have: %v", &refused)
	}
	if err := w.core.Verify(); err != nil {
		t.Error(err)
	}
}
