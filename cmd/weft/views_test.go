package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

var rewrite = flag.Bool("rewrite", false, "write what the tests got to testdata, to be read before it is committed")

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test ./cmd/weft -rewrite writes it anew):\n--- got\n%s--- want\n%s", name, got, want)
	}
}

func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func someServices() []protocol.ServiceInfo {
	price := protocol.Service{
		Name: "price", Version: "1.20", Function: "prices trades", Tags: []string{"risk", "eod"},
		Artefacts: map[string]protocol.Artefact{
			"linux/arm64": {Command: "/opt/arm/price"}, "linux/amd64": {Command: "/opt/price", Args: []string{"serve"}},
		},
		Requests: []protocol.ContainerRequest{{
			Capacity: protocol.Capacity{CPU: 500, GPU: 1, Memory: 64 << 20, Network: 1 << 20, DiskIO: 1 << 30},
			Priority: 3, Node: "n1", Rack: "r1", NodeType: "gpu", Nodes: 2,
		}},
		Instances: protocol.Instances{Min: 2, Max: 8}, Interface: protocol.Interface{Task: "{symbol: string, days: int}", Result: "float"},
		Env: map[string]string{"MODE": "fast", "LEVEL": "3"},
	}
	next := price
	next.Version, next.Env = "2.0.0-rc1", nil
	return []protocol.ServiceInfo{
		{
			Service: price.WithDefaults(), Default: true, Registered: noon().Add(-90 * time.Minute), Sessions: 1200, Instances: 3, Starting: 1,
			Managers: []protocol.ManagerInfo{
				{Loop: 2, Share: protocol.Share{CPU: 50, Memory: 256 << 20}, CPU: 13, Memory: 3 << 20, Sessions: 1200},
			},
		},
		{Service: next.WithDefaults(), Registered: noon().Add(-time.Minute)},
		{
			Default:    true,
			Service:    protocol.Service{Name: "by-hand"}.WithDefaults(),
			Registered: noon().Add(-50 * time.Hour), Reason: "no node has 4 cores\nlast lines: …",
		},
	}
}

func someSessions() []protocol.SessionInfo {
	return []protocol.SessionInfo{
		{
			Session: 7, Name: "nightly", Service: "price", Version: "1.20", Environment: "default", Client: "risk-ui",
			State: protocol.SessionRunning, Opened: noon().Add(-75 * time.Second), StartDelay: 123 * time.Millisecond,
			Queued: 65536, InFlight: 12, Done: 1234567, Failed: 2, Nodes: []string{"n1", "n2"}, Loop: 2,
		},
		{
			Session: 12, Service: "by-hand", Environment: "default", Client: "count", State: protocol.SessionQueued,
			Opened: noon().Add(-1500 * time.Millisecond), Loop: -1,
			Reason: "not enough cpu of a manager loop for its session manager: 0.05 needed, 0 of 1 free; to be freed by closing all sessions of price",
		},
	}
}

func someDeadLetters() []protocol.DeadLetter {
	return []protocol.DeadLetter{
		{
			ID: 3, At: noon().Add(-time.Hour), Service: "price", Version: "1.20", Environment: "risk", Session: 7, SessionName: "night", Client: "desk",
			Parameters: []byte("parameters"), Task: protocol.NewTaskID(12, 3), Size: 1 << 20, Attempts: 4,
			Error:     protocol.Errorf(protocol.CodeAttemptsSpent, "task", "it failed in the last of 4 attempts, on c2: no route\nto host"),
			Last:      protocol.Errorf(protocol.CodeTaskFailed, "OnTaskExec", "no route\nto host"),
			Instances: []protocol.InstanceRef{{Container: "c1", Node: "n1"}, {Container: "c2"}},
		},
		{
			ID: 5, At: noon().Add(-time.Minute), Service: "by-hand", Version: "1", Environment: "default", Session: 8, Client: "desk",
			Task: protocol.NewTaskID(1, 3), Losses: 8, Error: protocol.Errorf(protocol.CodeHostLossSpent, "task", "8 instances were lost under it"),
		},
	}
}

func someTasks() []protocol.TaskInfo {
	return []protocol.TaskInfo{
		{
			Session: 7, Task: protocol.NewTaskID(12, 3), Sequence: 12, State: protocol.TaskRunning, Since: noon().Add(-90 * time.Second), Size: 1 << 20,
			Deadline: noon().Add(10 * time.Minute), Run: time.Hour, Container: "c1", Node: "n1",
			Progress: &protocol.Progress{Percent: 42.4, Text: "half of it\nnearly"},
		},
		{
			Session: 7, Sequence: 13, State: protocol.TaskStopping, Stage: protocol.StageAcknowledged, Size: 10, Container: "c2", Node: "n1",
			Error: protocol.Errorf(protocol.CodeCancelled, "task", "cancelled by weft: a mistake"), Priority: 5,
		},
		{
			Session: 7, Sequence: 14, State: protocol.TaskDelayed, Size: 10, Attempts: 2, Losses: 1, Next: noon().Add(3 * time.Second),
			Error: protocol.Errorf(protocol.CodeTaskFailed, "OnTaskExec", "no route\nto host"),
		},
		{Session: 8, Sequence: 1, State: protocol.TaskQueued},
	}
}

func someStats() protocol.Stats {
	times := func(n uint64, d time.Duration) (h protocol.Histogram) {
		h.Add(d, n)
		return h
	}
	return protocol.Stats{
		Since: noon().Add(-75 * time.Second), At: noon(), Submitted: 4100, Done: 4000, Failed: 2, Retried: 12, Dead: 1, Refused: 3,
		BytesIn: 4100 * 700, BytesOut: 4000 * 90, Queued: times(4090, 2*time.Second), Executing: times(4014, 18*time.Millisecond),
		InFlight: times(1200, 40*time.Millisecond), Active: 72 * time.Second, Starved: 70 * time.Second, Serving: 144 * time.Second,
		Busy: 140 * time.Second, Waiting: 94, Flying: 4, Instances: 2, Most: 2, Slots: 1, Delay: 123 * time.Millisecond,
	}
}

func someFailure() *protocol.Failure {
	return &protocol.Failure{
		At: noon().Add(-12 * time.Second), Hook: "OnTaskExec", Error: protocol.Errorf(protocol.CodeTaskPanicked, "OnTaskExec", "panic: index out of range [3] with length 3"),
		Container: "c1", Node: "n1", Task: protocol.NewTaskID(17, 2), Stack: "goroutine 9 [running]:\nmain.price(...)\n\t/src/price.go:40 +0x1d", Code: 2,
		Output: []string{"loading curves", "price: giving up"},
	}
}

func someEvents() []protocol.SessionEvent {
	at := func(d time.Duration) time.Time { return noon().Add(-75*time.Second + d) }
	return []protocol.SessionEvent{
		{Number: 1, At: at(0), Kind: protocol.EventOpened, Detail: "by risk-ui, with version 1.20 of service price, in environment default"},
		{Number: 2, At: at(200 * time.Millisecond), Kind: protocol.EventWaiting, Detail: "queue default: no node has 4 cores\nlast lines: …"},
		{Number: 3, At: at(time.Second), Kind: protocol.EventScheduled, Detail: "container c1 on node n1"},
		{Number: 4, At: at(2 * time.Second), Kind: protocol.EventBound, Detail: "instance c1 on node n1"},
		{Number: 5, At: at(2 * time.Second), Kind: protocol.EventRunning},
		{Number: 9, At: at(9 * time.Second), Kind: protocol.EventLost, Detail: "instance c1 on node n1: killed"},
	}
}

func someEnvironments() []protocol.EnvironmentInfo {
	return []protocol.EnvironmentInfo{
		{Name: "default", State: protocol.EnvironmentActive, Sessions: 1234},
		{
			Name: "risk", Labels: map[string]string{"desk": "rates", "cost": "4711"}, Owner: "ann",
			Created: noon().Add(-3 * time.Hour), State: protocol.EnvironmentDeleting, Sessions: 2,
		},
	}
}

func someNodes() []protocol.NodeInfo {
	return []protocol.NodeInfo{
		{
			Name: "n1", State: "ready", Platform: "linux/amd64", NodeType: "cpu",
			Capacity: protocol.Capacity{CPU: 4000, Memory: 8 << 30}, Free: protocol.Capacity{CPU: 2500, Memory: 6 << 30},
			Used: protocol.Capacity{CPU: 1500, Memory: 2 << 30}, Labels: map[string]string{"zone": "east", "owner": "risk"},
			Cordoned: true, CordonReason: "a fan is loud", Containers: 3, LastSeen: 420 * time.Millisecond, Detail: protocol.NodeDetail{
				Load1: 1.25, Cores: 4, MemFree: 5 << 30, Disks: []protocol.Disk{{Mount: "/", Size: 100 << 30, Free: 40 << 30}},
				Networks: []protocol.NIC{{Name: "eth0", Addresses: []string{"10.0.0.2"}, Speed: 10_000}},
			},
		},
		{
			Name: "gpu-1", State: "lost", Platform: "linux/arm64", NodeType: "gpu", Rack: "r7",
			Capacity: protocol.Capacity{CPU: 64000, Memory: 512 << 30, GPU: 8},
			Free:     protocol.Capacity{CPU: 64000, Memory: 512 << 30, GPU: 8}, LastSeen: 3 * time.Minute,
		},
	}
}

func TestTables(t *testing.T) {
	var b bytes.Buffer
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n")
	}
	check(printList(&b, formTable, someServices(), serviceColumns()))
	check(printList(&b, formTable, someSessions(), sessionColumns(noon())))
	check(printList(&b, formTable, someNodes(), nodeColumns()))
	check(printList(&b, formTable, nil, nodeColumns()))
	check(printList(&b, formTable, someEvents(), eventColumns(noon())))
	check(printList(&b, formTable, someEnvironments(), environmentColumns(noon())))
	check(printPairs(&b, describeEnvironment(someEnvironments()[1], noon())))
	check(printPairs(&b, []pair{{"events", lastEvents(slices.Repeat(someEvents(), 2), noon())}}))
	check(printPairs(&b, describeService(someServices()[0], noon())))
	check(printPairs(&b, describeService(someServices()[2], noon())))
	check(printPairs(&b, describeSession(sessionInFull{SessionInfo: someSessions()[0], Events: someEvents()}, noon())))
	failed := someSessions()[0]
	failed.State, failed.Since, failed.Failure, failed.Retried, failed.Late = protocol.SessionRunning, noon().Add(-70*time.Second), someFailure(), 12, 3
	check(printPairs(&b, describeSession(sessionInFull{SessionInfo: failed}, noon())))
	killed := &protocol.Failure{At: noon(), Container: "hand-1", Signal: "SIGKILL"}
	check(printPairs(&b, []pair{{"last failure", describeFailure(killed, noon())}}))
	golden(t, "tables.txt", b.String())
}

func TestOtherForms(t *testing.T) {
	for _, form := range []string{formJSON, formYAML} {
		var b bytes.Buffer
		if err := printList(&b, form, someServices()[:1], serviceColumns()); err != nil {
			t.Fatal(err)
		}
		if err := printList(&b, form, someSessions(), sessionColumns(noon())); err != nil {
			t.Fatal(err)
		}
		if err := printList[protocol.NodeInfo](&b, form, nil, nil); err != nil {
			t.Fatal(err)
		}
		golden(t, "lists."+form, b.String())
	}
}

func TestStateSaysWhatASessionWasSteeredTo(t *testing.T) {
	for want, s := range map[string]protocol.SessionInfo{
		"running":                               {State: "running"},
		"running, suspended":                    {State: "running", Suspended: true},
		"queued, suspended, stopped":            {State: "queued", Suspended: true, Stopped: true},
		"closing, suspended, stopped, detached": {State: "closing", Suspended: true, Stopped: true, Detached: true},
	} {
		if got := stateOf(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhatIsSaidWhenNothingIsDropped(t *testing.T) {
	for want, which := range map[string]protocol.DropDead{
		"0 tasks dropped: there are none on the dead-letter list":                  {All: true},
		"0 tasks of service price dropped: there are none on the dead-letter list": {Service: "price"},
		"0 tasks dropped; 2 not on the dead-letter list any more":                  {IDs: []uint64{3, 5}},
	} {
		if got := droppedText(&which, 0); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOneOfAThing(t *testing.T) {
	for want, got := range map[string]string{
		"1 cancelled, 1 repeat, 1 late result dropped":       counted([]tally{{1, "cancelled"}, repeats(1), late(1)}),
		"2 cancelled, 1,000 repeats, 2 late results dropped": counted([]tally{{2, "cancelled"}, repeats(1000), late(2)}),
		"": counted([]tally{repeats(0), late(0)}),
		"1 attempt, 1 lost host, backoff 0s to 0s": describeRetry(protocol.Retry{Attempts: 1, HostLosses: 1}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
