package embed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// operator asks a fabric by HTTP.
type operator struct {
	t      *testing.T
	at     string
	client http.Client
}

func newOperator(t *testing.T, f *embed.Fabric) *operator {
	o := &operator{t: t, at: f.HTTP(), client: http.Client{Transport: &http.Transport{}}}
	t.Cleanup(o.client.CloseIdleConnections)
	return o
}

// ask sends a request, and reads the answer into v where it is not nil.
func (o *operator) ask(method, path, body string, v any) (status int, text string) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, o.at+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	res, err := o.client.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	all, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		o.t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(all, v); err != nil || res.StatusCode != http.StatusOK {
			o.t.Fatalf("%s %s: status %d, %v: %s", method, path, res.StatusCode, err, all)
		}
	}
	return res.StatusCode, string(all)
}

// until asks until the answer is as it should be.
func (o *operator) until(path string, good func(status int, text string) bool) {
	o.t.Helper()
	for began := time.Now(); ; {
		status, text := o.ask(http.MethodGet, path, "", nil)
		if good(status, text) {
			return
		}
		if time.Since(began) > patience {
			o.t.Fatalf("GET %s: status %d: %s", path, status, text)
		}
	}
}

// What an operator does by HTTP is what the broker does: the same lists, the same changes, the same refusals.
func TestOperatorsByHTTP(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	f, c := embed.Test(t, embed.WithHTTP("127.0.0.1:0"), embed.Service("square", newSquare), embed.Service("slow", each(
		func(ctx context.Context, _ *worker.TaskContext) ([]byte, error) {
			select {
			case <-held:
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		})))
	defer close(held)
	o := newOperator(t, f)
	o.until("/readyz", func(status int, _ string) bool { return status == 200 })
	if status, text := o.ask(http.MethodGet, "/healthz", "", nil); status != 200 {
		t.Errorf("healthz: status %d, %s", status, text)
	}

	s := open(t, c, "square")
	for i := range 10 {
		if got, err := square.Call(t.Context(), s, i); err != nil || got != i*i {
			t.Fatalf("square of %d is %d, %v", i, got, err)
		}
	}
	var services protocol.ServicePage
	o.ask(http.MethodGet, "/v1/services?limit=1", "", &services)
	if len(services.Entries) != 1 || !services.More || services.Entries[0].Service.Name != "slow" {
		t.Fatalf("the first page of the catalogue is %+v", services)
	}
	o.ask(http.MethodGet, "/v1/services?after="+services.Next, "", &services)
	if len(services.Entries) != 1 || services.Entries[0].Service.Name != "square" || services.Entries[0].Instances != 1 {
		t.Errorf("the next page is %+v", services)
	}
	var stats protocol.Stats
	o.ask(http.MethodGet, fmt.Sprintf("/v1/sessions/%d/stats", s.Number()), "", &stats)
	if stats.Done != 10 {
		t.Errorf("statistics %+v", stats)
	}
	var node protocol.NodeInfo
	o.ask(http.MethodGet, "/v1/nodes/embedded", "", &node)
	if node.Name != "embedded" || node.Containers != 1 {
		t.Errorf("the node is %+v", node)
	}

	if status, text := o.ask(http.MethodPost, "/v1/environments", `{"name": "eod"}`, nil); status != 204 {
		t.Errorf("an environment: status %d, %s", status, text)
	}
	if status, text := o.ask(http.MethodPost, "/v1/services", `{"name": "Bad Name"}`, nil); status != 400 || !strings.Contains(text, "Bad Name") {
		t.Errorf("a bad service: status %d, %s", status, text)
	}
	if status, text := o.ask(http.MethodDelete, "/v1/services/square", "", nil); status != 409 || !strings.Contains(text, "InUse") {
		t.Errorf("a service in use: status %d, %s", status, text)
	}
	killed(t, c, o)
	metricsOf(o)
	configured(o)
}

// configured looks at queues and nodes, and configures them.
func configured(o *operator) {
	o.t.Helper()
	var overview protocol.Overview
	if o.ask(http.MethodGet, "/v1/overview", "", &overview); overview.Nodes.Up != 1 || overview.Services != 2 || overview.Sessions.Running != 1 {
		o.t.Errorf("at a glance: %+v", overview)
	}
	var dry, applied protocol.QueuesApplied
	tree := `{"queues": [{"name": "root"}, {"name": "default", "parent": "root"}, {"name": "eod", "parent": "root", "weight": 2}]}`
	if o.ask(http.MethodPut, "/v1/queues?dry_run", tree, &dry); !dry.DryRun || len(dry.Changes) == 0 {
		o.t.Errorf("a dry run: %+v", dry)
	}
	if status, text := o.ask(http.MethodGet, "/v1/queues/eod", "", nil); status != 404 {
		o.t.Errorf("a queue after the dry run: status %d, %s", status, text)
	}
	o.ask(http.MethodPut, "/v1/queues", tree, &applied)
	var queue protocol.QueueInfo
	if o.ask(http.MethodGet, "/v1/queues/eod", "", &queue); applied.DryRun || queue.Queue.Parent != "root" || !queue.Leaf {
		o.t.Errorf("applied %+v; the queue is %+v", applied, queue)
	}
	if status, text := o.ask(http.MethodPut, "/v1/queues", `{"queues": [{"name": "root"}, {"name": "a", "parent": "b"}]}`, nil); status != 400 || !strings.Contains(text, "Invalid") {
		o.t.Errorf("bad queues: status %d, %s", status, text)
	}
	for _, action := range []string{"cordon", "uncordon"} {
		if status, text := o.ask(http.MethodPost, "/v1/nodes/embedded/"+action, `{"reason": "a fan"}`, nil); status != 204 {
			o.t.Errorf("%s: status %d, %s", action, status, text)
		}
		var node protocol.NodeInfo
		if o.ask(http.MethodGet, "/v1/nodes/embedded", "", &node); node.Cordoned != (action == "cordon") {
			o.t.Errorf("after %s the node is %+v", action, node)
		}
	}
	o.until("/metrics", func(_ int, text string) bool {
		return strings.Contains(text, `weft_queue_running_containers{queue="eod"} 0`) && strings.Contains(text, `weft_queue_used{dimension="cpu",queue="root",unit="cores"} 0.00`)
	})
}

// killed has a session killed by HTTP in the middle of a task.
func killed(t *testing.T, c *client.Client, o *operator) {
	t.Helper()
	s := open(t, c, "slow", client.WithEnvironment("eod"))
	task, err := s.Submit(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/v1/sessions/%d", s.Number())
	o.until(path, func(_ int, text string) bool { return strings.Contains(text, `"in_flight":1`) })
	var tasks protocol.TaskPage
	o.ask(http.MethodGet, path+"/tasks", "", &tasks)
	if len(tasks.Entries) != 1 || tasks.Entries[0].Sequence != 1 {
		t.Errorf("its tasks are %+v", tasks)
	}
	if status, text := o.ask(http.MethodDelete, path+"?mode=kill&reason=enough", "", nil); status != 204 {
		t.Errorf("a kill: status %d, %s", status, text)
	}
	if _, err := task.Wait(t.Context()); protocol.CodeOf(err) != protocol.CodeSessionKilled || !strings.Contains(err.Error(), "enough") {
		t.Errorf("its task ended with %v", err)
	}
	o.until(path, func(_ int, text string) bool { return strings.Contains(text, `"state":"closed"`) })
	var events protocol.EventPage
	o.ask(http.MethodGet, path+"/events", "", &events)
	if !slices.ContainsFunc(events.Entries, func(e protocol.SessionEvent) bool { return strings.Contains(e.Detail, "by http") }) {
		t.Errorf("events %+v", events.Entries)
	}
	if status, text := o.ask(http.MethodGet, path+"/tasks/1", "", nil); status != 410 {
		t.Errorf("a task of a session that is over: status %d, %s", status, text)
	}
}

// metricsOf looks at the metrics after ten tasks that are done and one that failed.
func metricsOf(o *operator) {
	o.t.Helper()
	var missing []string
	o.until("/metrics", func(status int, text string) bool {
		lines := strings.Split(text, "\n")
		missing = nil
		for _, want := range []string{
			`weft_control_loop_up 1`, `weft_nodes{state="ready"} 1`, `weft_sessions{state="running"} 1`, `weft_sessions_opened_total 2`,
			`weft_services 2`, `weft_tasks_submitted_total 11`, `weft_tasks_finished_total 10`, `weft_tasks_failed_total 1`, `weft_tasks_unfinished 0`,
		} {
			if !slices.Contains(lines, want) {
				missing = append(missing, want)
			}
		}
		return status == 200 && len(missing) == 0
	})
}

func TestNoHTTPUnlessAskedFor(t *testing.T) {
	t.Parallel()
	f, _ := embed.Test(t, embed.WithListen("tcp://127.0.0.1:0"))
	if at := f.HTTP(); at != "" {
		t.Errorf("HTTP is at %s", at)
	}
}
