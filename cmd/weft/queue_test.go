package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func (s *scripted) ApplyQueues(_ context.Context, q protocol.ApplyQueues) (protocol.QueuesApplied, error) {
	applied := protocol.QueuesApplied{DryRun: q.DryRun}
	if len(q.Queues) > 1 {
		applied.Changes = []protocol.QueueChange{
			{Change: protocol.ChangeAdded, Queue: q.Queues[1].Name, Fields: []protocol.FieldChange{{Field: "parent", New: "root"}, {Field: "policy", New: "fair"}}},
			{Change: protocol.ChangeChanged, Queue: "day", Fields: []protocol.FieldChange{{Field: "max", Old: "cpu 4", New: "cpu 6"}, {Field: "min", Old: "gpu 1"}}, Services: []string{"price", "var"}},
			{Change: protocol.ChangeRemoved, Queue: "old"},
			{Change: protocol.ChangeAdded, Shape: "small", Fields: []protocol.FieldChange{{Field: "cpu", New: "1"}}},
		}
	}
	return applied, s.tell("apply %d %v %t", len(q.Queues), sortedNames(q.Shapes), q.DryRun)
}

func (s *scripted) Queues(_ context.Context, f client.Filter) iter.Seq2[protocol.QueueInfo, error] {
	return matching(s.err, someQueues(), func(q protocol.QueueInfo) bool { return f.Name == "" || f.Name == q.Queue.Name })
}

func (s *scripted) Shapes(context.Context) (protocol.Shapes, error) {
	return protocol.Shapes{"small": {CPU: 1000, Memory: 2 << 30}, "large": {CPU: 8000, GPU: 1, Memory: 64 << 30, Further: protocol.Amounts{"fpga": 1}}}, s.err
}

func (s *scripted) DrainQueue(_ context.Context, name string, undo bool) error {
	return s.tell("drain %s %t", name, undo)
}

func (s *scripted) CordonNode(_ context.Context, name string, on bool, reason string) error {
	return s.tell("cordon %s %t %q", name, on, reason)
}

func (s *scripted) Overview(context.Context) (protocol.Overview, error) {
	return protocol.Overview{
		At: noon(), Brokers: []protocol.BrokerGlance{{Name: "b1", Role: "primary", Epoch: 1793, Since: noon().Add(-time.Hour), Loops: 2, Managers: 1, CPU: 50, Memory: 64 << 20, Uptime: time.Hour}},
		Nodes: protocol.NodesGlance{
			Up: 3, Gone: 1, Cordoned: 1, Capacity: protocol.Capacity{CPU: 12000, GPU: 2, Memory: 24 << 30, Further: protocol.Amounts{"fpga": 4}},
			Used: protocol.Capacity{CPU: 2500, GPU: 1, Memory: 3 << 30},
		},
		Devices: []protocol.DeviceGlance{{Node: "n2", GPUs: 2, Used: 1}}, Services: 4,
		Queues:     protocol.QueuesGlance{Queues: 4, Leaves: 3, Draining: 1, Running: 5, Pending: 7, Waiting: []protocol.QueueWaiting{{Queue: "risk.eod", Pending: 7, Running: 4, Ratio: 1.2}}},
		Containers: protocol.ContainersGlance{Serving: 4, Starting: 1, Leaving: 2}, Sessions: protocol.SessionsGlance{Running: 2, Scheduled: 1, Queued: 3, Closing: 1},
	}, s.err
}

func (s *scripted) Explain(_ context.Context, of protocol.Explain) (protocol.Explained, error) {
	e := protocol.Explained{Session: of.Session, Service: "price", Requests: []protocol.ExplainedRequest{{
		Request: "4", Version: "1.20", Queue: "risk.eod", Policy: "fair", Position: 3, Wanted: 5, Held: 2, Capacity: protocol.Capacity{CPU: 1000, Memory: 512 << 20}, Sessions: []uint32{7, 9},
		Reasons: []protocol.Reason{{Kind: "queue", Queue: "risk", Dimension: "cpu", Text: "queue risk is at its maximum: cpu 4 of 4 used, 1 more needed"}, {Kind: "room", Dimension: "memory", Nodes: 3, Text: "not enough memory on 3 nodes"}},
	}}}
	if of.Session != 0 {
		e.State = protocol.SessionRunning
	}
	return e, s.tell("explain %+v", of)
}

func someQueues() []protocol.QueueInfo {
	weight := 2.5
	return []protocol.QueueInfo{
		{Queue: protocol.Queue{Name: "root"}, Used: protocol.Amounts{"cpu": 2500, "gpu": 1, "memory": 3 << 30}, Guaranteed: protocol.Quantities{"cpu": 12000, "gpu": 2, "memory": 24 << 30}, Ratio: 0.5, Running: 5, Pending: 7, Services: 3, Sessions: 6},
		{Queue: protocol.Queue{Name: "risk", Parent: "root", Weight: &weight, Max: protocol.Amounts{"cpu": 4000, "gpu": 0}}, Depth: 1, Used: protocol.Amounts{"cpu": 2500}, Guaranteed: protocol.Quantities{"cpu": 8571.4, "gpu": 1.43}, Max: protocol.Quantities{"cpu": 4000, "gpu": 0}, Ratio: 0.29, Running: 5, Pending: 7, Services: 3, Sessions: 6},
		{Queue: protocol.Queue{Name: "risk.eod", Parent: "risk", Policy: "capacity", UserLimit: "25", Min: protocol.Amounts{"memory": 1 << 30}, MaxPercent: "62.5", Priority: 3, Reserve: true}, Depth: 2, Leaf: true, Used: protocol.Amounts{"cpu": 2500}, Ratio: 1.2, Running: 4, Pending: 7, Services: 2, Sessions: 5},
		{Queue: protocol.Queue{Name: "default", Parent: "root", Capacity: "30"}, Depth: 1, Leaf: true, Draining: true},
	}
}

const someQueueFile = `queues:
  - {name: root, max: {cpu: 16.0, gpu: 0}}
  - name: risk
    parent: root
    capacity_pct: 62.50
    min: {memory: 1GiB}
    policy: capacity
    user_limit_pct: 25
    priority: -2
    reserve: true
  - &rest {name: rest, parent: root, capacity_pct: 37.5, max_pct: "40"}
shapes:
  small: {cpu: 0.5, memory: 2GiB, fpga: 1}
`

func TestReadQueues(t *testing.T) {
	got, err := readQueues("q.yaml", []byte(someQueueFile))
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.ApplyQueues{
		Queues: []protocol.Queue{
			{Name: "root", Max: protocol.Amounts{"cpu": 16000, "gpu": 0}},
			{Name: "risk", Parent: "root", Capacity: "62.50", Min: protocol.Amounts{"memory": 1 << 30}, Policy: "capacity", UserLimit: "25", Priority: -2, Reserve: true},
			{Name: "rest", Parent: "root", Capacity: "37.5", MaxPercent: "40"},
		},
		Shapes: protocol.Shapes{"small": {CPU: 500, Memory: 2 << 30, Further: protocol.Amounts{"fpga": 1}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if _, err := readQueues("help", []byte(queuesExample)); err != nil {
		t.Errorf("what the help shows: %v", err)
	}
}

// The file says under the same keys what the message says.
func TestQueueFileHasEveryKey(t *testing.T) {
	for file, wire := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[queueFile](): reflect.TypeFor[protocol.Queue](), reflect.TypeFor[queuesFile](): reflect.TypeFor[protocol.ApplyQueues](),
	} {
		have, want := sortedNames(fieldsOf(file)), sortedNames(fieldsOf(wire))
		if !reflect.DeepEqual(have, without(want, "dry_run")) {
			t.Errorf("%v has %q, %v has %q", file, have, wire, want)
		}
	}
}

func without(list []string, one string) (rest []string) {
	for _, s := range list {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

// Each file of testdata/queues is broken; what the comment at its end says is all that is wrong with it, line by line.
func TestReadQueuesErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/queues/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files in testdata/queues: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(text)) {
			if says, ok := strings.CutPrefix(line, "# "); ok {
				want = append(want, strings.TrimSuffix(says, "\n"))
			}
		}
		_, err = readQueues(filepath.Base(file), text)
		if *rewrite && err != nil {
			body, _, _ := strings.Cut(string(text), "\n# ")
			says := "# " + strings.ReplaceAll(err.Error(), "\n", "\n# ")
			if err := os.WriteFile(file, []byte(strings.TrimSpace(body)+"\n"+says+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err == nil || err.Error() != strings.Join(want, "\n") {
			t.Errorf("%s:\n got %v\nwant %s", file, err, strings.Join(want, "\n"))
		}
		if code := exitCode(err); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", file, code, exitUsage)
		}
	}
	for _, text := range []string{"", "# nothing\n", "a: 1\n---\nb: 2\n"} {
		if _, err := readQueues("q.yaml", []byte(text)); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestQueueCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q.yaml")
	if err := os.WriteFile(file, []byte(someQueueFile), 0o600); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, c := range []struct{ args, told string }{
		{"queue apply FILE", "apply 3 [small] false"},
		{"queue apply FILE --dry-run", "apply 3 [small] true"},
		{"queue apply FILE --dry-run -o name", "apply 3 [small] true"},
		{"queue apply FILE -o json", "apply 3 [small] false"},
		{"queue apply -", "apply 1 [] false"},
		{"queue list", ""},
		{"queue list -o wide", ""},
		{"queue list -o name", ""},
		{"queue tree", ""},
		{"queue tree -o name", ""},
		{"queue get risk", ""},
		{"queue get risk.eod", ""},
		{"queue get default", ""},
		{"queue get risk -o yaml", ""},
		{"queue shapes", ""},
		{"queue shapes -o json", ""},
		{"queue drain risk", "drain risk false"},
		{"queue drain risk --undo", "drain risk true"},
		{"node get n1", ""},
		{"node get n1 -o name", ""},
		{"node top", ""},
		{"node cordon n1 n2 --reason hot", `cordon n1 true "hot"; cordon n2 true "hot"`},
		{"node uncordon n1", `cordon n1 false ""`},
		{"status", ""},
		{"status -o json", ""},
		{"status -o name", ""},
		{"explain 7", "explain {Session:7 Service: Version:}"},
		{"explain price@1.20", "explain {Session:0 Service:price Version:1.20}"},
		{"explain 7 -o json", "explain {Session:7 Service: Version:}"},
	} {
		b := &scripted{}
		var o, e bytes.Buffer
		a := &app{
			in: strings.NewReader("queues: [{name: root}]\n"), out: &o, errOut: &e, getenv: func(string) string { return "" }, now: noon,
			dial: func(context.Context, string) (operator, error) { return b.operator(), nil },
		}
		code := run(t.Context(), strings.Fields(strings.ReplaceAll(c.args, "FILE", file)), a)
		if e.String() != "" || code != exitOK {
			t.Errorf("weft %s: %q, exit %d", c.args, e.String(), code)
		}
		if got := strings.Join(b.told, "; "); got != strings.TrimPrefix(c.told+"; bye", "; ") {
			t.Errorf("weft %s told the broker %q, want %q", c.args, got, c.told)
		}
		fmt.Fprintf(&all, "$ weft %s\n%s\n", c.args, o.String())
	}
	golden(t, "queues.txt", all.String())
}

func TestBadUsageOfQueues(t *testing.T) {
	cases := []struct {
		args string
		code int
		says string
	}{
		{"queue apply", 2, "FILE is missing"},
		{"queue apply missing.yaml", 2, "missing.yaml"},
		{"queue apply testdata/queues/cycle.yaml", 2, "cycle.yaml:3: queues[1].parent"},
		{"queue get risc", 3, `there is no queue "risc": did you mean "risk"?`},
		{"queue get nothing-of-it", 3, "see: weft queue list"},
		{"queue list -o xml", 2, `"xml" is not one of`},
		{"queue drain", 2, "NAME is missing"},
		{"node get n9", 3, `there is no node "n9"`},
		{"node cordon", 2, "NAME is missing"},
		{"explain", 2, "SESSION|SERVICE is missing"},
		{"explain 0", 2, `"0" is not the number of a session`},
		{"explain price@", 2, `"price@" is neither`},
		{"broker --queues testdata/queues/cycle.yaml", 2, "--queues: testdata/queues/cycle.yaml:3: queues[1].parent"},
		{"broker --queues missing.yaml", 2, "--queues: queues: open missing.yaml"},
		{"agent --label zone", 2, `--label: "zone" is not of the form NAME=VALUE`},
		{"agent --label Zone=1", 2, `"Zone" is not a name for a label`},
	}
	for _, c := range cases {
		_, errOut, code := weft(t, &scripted{}, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errOut, c.says) {
			t.Errorf("weft %s: exit %d, %q; want %d and %q", c.args, code, errOut, c.code, c.says)
		}
	}
	refusal := protocol.Errorf(protocol.CodeInUse, "apply queues", "the reason")
	for _, args := range []string{"queue apply -", "queue list", "queue tree", "queue get x", "queue shapes", "queue drain x", "queue drain x --undo", "node get x", "node top", "node cordon x", "node uncordon x", "status", "explain 7"} {
		var o, e bytes.Buffer
		a := &app{
			in: strings.NewReader("queues: [{name: root}]\n"), out: &o, errOut: &e, getenv: func(string) string { return "" }, now: noon,
			dial: func(context.Context, string) (operator, error) { return (&scripted{err: refusal}).operator(), nil },
		}
		if code := run(t.Context(), strings.Fields(args), a); code != exitState || !strings.Contains(e.String(), "the reason") {
			t.Errorf("weft %s refused: exit %d, %q", args, code, e.String())
		}
	}
}
