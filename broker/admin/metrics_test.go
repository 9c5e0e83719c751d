package admin

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/protocol"
)

func someCensus() *control.Census {
	return &control.Census{
		Nodes: []control.NodeCensus{
			{Name: "n1", Up: true, Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30, Further: protocol.Amounts{"fpga": 3}}, Used: protocol.Capacity{CPU: 1500}},
			{Name: "n2", Capacity: protocol.Capacity{CPU: 4000}},
		},
		NodeStates: []control.Count{{State: "ready", N: 1}, {State: "lost", N: 1}},
		Containers: []control.Count{{State: "serving", N: 2}},
		Sessions:   []control.Count{{State: "running", N: 3}, {State: "closing", N: 0}},
		Opened:     7, Services: 2, Cordoned: 1,
		Tasks: control.TaskCensus{Submitted: 21, Done: 9, Failed: 8, Cancelled: 3, Dead: 2, Retried: 6, Unfinished: 4},
	}
}

// someQueues answers with two pages of queues.
func someQueues(kind protocol.Kind, body []byte) (protocol.Kind, any) {
	var list protocol.ListRequest
	switch err := protocol.Unmarshal(kind, body, &list); {
	case kind != protocol.KindListQueues || err != nil:
		return protocol.KindError, protocol.Errorf(protocol.CodeInternal, "test", "%v, %v", kind, err)
	case list.After == "":
		return protocol.KindQueuePage, protocol.QueuePage{More: true, Entries: []protocol.QueueInfo{{
			Queue: protocol.Queue{Name: "root"}, Used: protocol.Amounts{"cpu": 1500, "fpga": 2},
			Guaranteed: protocol.Quantities{"cpu": 3000.5}, Max: protocol.Quantities{"memory": 1024}, Running: 3, Pending: 5,
		}}}
	default:
		return protocol.KindQueuePage, protocol.QueuePage{Entries: []protocol.QueueInfo{{Queue: protocol.Queue{Name: list.After + ".eod"}}}}
	}
}

func TestMetrics(t *testing.T) {
	b := &fakeBroker{census: someCensus(), asked: someQueues, loops: []Loop{{Name: "control", Busy: time.Second}, {Name: "0", Busy: 1500 * time.Millisecond}}}
	s := newServer(b)
	s.Observe(time.Millisecond)
	problems, err := testutil.GatherAndLint(s.metrics.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("the linter says %v, %v", problems, err)
	}
	w := ask(s.Handler(), get, "/metrics", "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(w.Body.Bytes()))
	if err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v", w.Code, err)
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "weft_uptime_seconds", "weft_control_loop_turn_seconds"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	lines := strings.Split(w.Body.String(), "\n")
	for _, want := range []string{
		`weft_build_info{commit="",go="go1",libzmq="4.3.4",platform="linux/amd64",version="v1.2.3"} 1`,
		`weft_control_loop_up 1`,
		`weft_nodes{state="ready"} 1`,
		`weft_nodes{state="lost"} 1`,
		`weft_nodes_cordoned 1`,
		`weft_node_capacity{dimension="cpu",node="n1",unit="cores"} 4`,
		`weft_node_used{dimension="cpu",node="n1",unit="cores"} 1.5`,
		`weft_node_capacity{dimension="memory",node="n1",unit="bytes"} 1.073741824e+09`,
		`weft_node_used{dimension="memory",node="n1",unit="bytes"} 0`,
		`weft_node_capacity{dimension="fpga",node="n1",unit=""} 3`,
		`weft_node_used{dimension="fpga",node="n1",unit=""} 0`,
		`weft_queue_used{dimension="cpu",queue="root",unit="cores"} 1.5`,
		`weft_queue_used{dimension="fpga",queue="root",unit=""} 2`,
		`weft_queue_guaranteed{dimension="cpu",queue="root",unit="cores"} 3.0005`,
		`weft_queue_max{dimension="memory",queue="root",unit="bytes"} 1024`,
		`weft_queue_running_containers{queue="root"} 3`,
		`weft_queue_pending_containers{queue="root"} 5`,
		`weft_queue_pending_containers{queue="root.eod"} 0`,
		`weft_containers{state="serving"} 2`,
		`weft_sessions{state="running"} 3`,
		`weft_sessions{state="closing"} 0`,
		`weft_sessions_opened_total 7`,
		`weft_services 2`,
		`weft_tasks_submitted_total 21`,
		`weft_tasks_finished_total 9`,
		`weft_tasks_failed_total 8`,
		`weft_tasks_cancelled_total 3`,
		`weft_tasks_dead_total 2`,
		`weft_task_retries_total 6`,
		`weft_tasks_unfinished 4`,
		`weft_memory_held_bytes 300`,
		`weft_memory_limit_bytes 1000`,
		`weft_loop_busy_seconds_total{loop="control"} 1`,
		`weft_loop_busy_seconds_total{loop="0"} 1.5`,
		`weft_control_loop_turn_seconds_count 1`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no line %s", want)
		}
	}
	if text := w.Body.String(); strings.Contains(text, `node="n2"`) || strings.Contains(text, `dimension="gpu"`) {
		t.Error("there is a node that is lost, or a dimension that no node has")
	}
}

// A control loop that does not answer is told, and does not hold up the rest; one that is asked often counts once a second.
func TestMetricsWhenTheControlLoopIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{census: someCensus(), asked: someQueues}
		s := newServer(b)
		for range 5 {
			if w := ask(s.Handler(), get, "/metrics", ""); !strings.Contains(w.Body.String(), "\nweft_control_loop_up 1\n") {
				t.Fatalf("%s", w.Body)
			}
		}
		if b.surveys != 1 {
			t.Errorf("five scrapes at once are %d surveys", b.surveys)
		}
		<-time.After(2 * sampleEvery)
		b.setStuck(true)
		began := time.Now()
		w := ask(s.Handler(), get, "/metrics", "")
		text := w.Body.String()
		if w.Code != 200 || !strings.Contains(text, "\nweft_control_loop_up 0\n") || !strings.Contains(text, "\nweft_memory_held_bytes 300\n") ||
			strings.Contains(text, "weft_nodes") || time.Since(began) != sampleTime {
			t.Errorf("after %v status %d: %s", time.Since(began), w.Code, text)
		}
	})
}
