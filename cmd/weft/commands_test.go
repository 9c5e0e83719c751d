package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/internal/terminaltest"
	"github.com/weft-fabric/weft/protocol"
)

// scripted is a broker that answers from lists, and notes what it is told.
type scripted struct {
	over    bool // session 7 is over
	told    []string
	err     error  // that all requests end with
	dialled string // where it was looked for
	looks   int    // at events
	filter  client.Filter

	declared protocol.Interface
}

func (s *scripted) operator() operator { return operator{s, s, s, s, s, s, s, s} }

func (s *scripted) tell(format string, args ...any) error {
	s.told = append(s.told, fmt.Sprintf(format, args...))
	return s.err
}

func (s *scripted) RegisterService(_ context.Context, v protocol.Service) error {
	if err := v.WithDefaults().Validate(); err != nil {
		return err
	}
	s.declared = v.Interface
	return s.tell("register %s %v", v.Name, platformsOf(v))
}

func (s *scripted) DeregisterService(_ context.Context, name, version string) error {
	return s.tell("deregister %s %q", name, version)
}

func (s *scripted) MoveService(_ context.Context, name, version string, loop int) error {
	return s.tell("move %s %q %d", name, version, loop)
}

func (s *scripted) RestartService(_ context.Context, name, version string, idle bool) error {
	return s.tell("restart %s %q %t", name, version, idle)
}

func (s *scripted) CloseSession(_ context.Context, n protocol.SessionNumber, mode, _ string) error {
	return s.tell("close %d %s", n, mode)
}

func (s *scripted) SteerSession(_ context.Context, n protocol.SessionNumber, action, reason string) error {
	return s.tell("%s %d %q", action, n, reason)
}

func (s *scripted) Task(_ context.Context, session protocol.SessionNumber, sequence uint64) (protocol.TaskInfo, error) {
	for _, t := range someTasks() {
		if t.Session == session && t.Sequence == sequence {
			return t, s.err
		}
	}
	return protocol.TaskInfo{Session: session, Sequence: sequence, State: protocol.TaskOver}, s.err
}

func (s *scripted) Tasks(_ context.Context, session protocol.SessionNumber) iter.Seq2[protocol.TaskInfo, error] {
	return matching(s.err, someTasks(), func(t protocol.TaskInfo) bool { return t.Session == session })
}

func (s *scripted) CancelTask(_ context.Context, session protocol.SessionNumber, sequence uint64, reason string) error {
	return s.tell("cancel task %d/%d %q", session, sequence, reason)
}

func (s *scripted) DeadLetters(_ context.Context, f client.Filter) iter.Seq2[protocol.DeadLetter, error] {
	return matching(s.err, someDeadLetters(), func(l protocol.DeadLetter) bool {
		return (f.Service == "" || f.Service == l.Service) && (f.Session == 0 || f.Session == l.Session)
	})
}

func (s *scripted) LostDeadLetters(context.Context) (uint64, error) { return 0, s.err }

func (s *scripted) DeadLetter(_ context.Context, id uint64) (protocol.DeadLetter, []byte, error) {
	for _, l := range someDeadLetters() {
		if l.ID == id {
			return l, []byte("the payload"), s.err
		}
	}
	return protocol.DeadLetter{}, nil, protocol.Errorf(protocol.CodeNotFound, "get dead letter", "id: the dead-letter list has no entry %d", id)
}

func (s *scripted) RetryDeadLetter(ctx context.Context, id uint64) ([]byte, error) {
	if _, _, err := s.DeadLetter(ctx, id); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "result %d", id), s.tell("retry %d", id)
}

// DropDeadLetters drops of those that there are.
func (s *scripted) DropDeadLetters(_ context.Context, which protocol.DropDead) (n int, err error) {
	for _, l := range someDeadLetters() {
		if (len(which.IDs) == 0 || slices.Contains(which.IDs, l.ID)) && (which.Service == "" || which.Service == l.Service) {
			n++
		}
	}
	return n, s.tell("drop %v %q %t", which.IDs, which.Service, which.All)
}

func (s *scripted) Close() error { return s.tell("bye") }

func (s *scripted) Services(_ context.Context, f client.Filter) iter.Seq2[protocol.ServiceInfo, error] {
	s.filter = f
	return matching(s.err, someServices(), func(v protocol.ServiceInfo) bool {
		return (f.Name == "" || f.Name == v.Service.Name) && (f.Version == "" || f.Version == v.Service.Version)
	})
}

func (s *scripted) Sessions(_ context.Context, f client.Filter) iter.Seq2[protocol.SessionInfo, error] {
	s.filter = f
	all := someSessions()
	if s.over {
		all[0].State = protocol.SessionClosed
	}
	return matching(s.err, all, func(v protocol.SessionInfo) bool {
		return (f.Session == 0 || f.Session == v.Session) && (f.Service == "" || f.Service == v.Service)
	})
}

func (s *scripted) Events(_ context.Context, n protocol.SessionNumber, from uint64) ([]protocol.SessionEvent, bool, error) {
	if s.err != nil {
		return nil, false, s.err
	}
	s.looks++
	all := someEvents()
	if n != 7 {
		return nil, false, protocol.Errorf(protocol.CodeUnknownSession, "list events", "no session has the number %d", n)
	}
	upTo := min(len(all), 4*s.looks) // more of them at each look
	return all[min(int(from), upTo):upTo], upTo == len(all), nil
}

func (s *scripted) SessionStats(_ context.Context, n protocol.SessionNumber) (protocol.Stats, error) {
	return someStats(), s.tell("stats of session %d", n)
}

func (s *scripted) ServiceStats(_ context.Context, name, version string) (protocol.Stats, error) {
	return someStats(), s.tell("stats of service %s %q", name, version)
}

func (s *scripted) CreateEnvironment(_ context.Context, e protocol.Environment) error {
	return s.tell("create %s %v", e.Name, e.Labels)
}

func (s *scripted) DeleteEnvironment(_ context.Context, name string, force bool) error {
	return s.tell("delete %s %t", name, force)
}

func (s *scripted) Environments(_ context.Context, f client.Filter) iter.Seq2[protocol.EnvironmentInfo, error] {
	return matching(s.err, someEnvironments(), func(v protocol.EnvironmentInfo) bool { return f.Name == "" || f.Name == v.Name })
}

func (s *scripted) Nodes(_ context.Context, f client.Filter) iter.Seq2[protocol.NodeInfo, error] {
	return matching(s.err, someNodes(), func(n protocol.NodeInfo) bool { return f.Name == "" || f.Name == n.Name })
}

func matching[T any](err error, all []T, ok func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err != nil {
			yield(none, err)
			return
		}
		for _, v := range all {
			if ok(v) && !yield(v, nil) {
				return
			}
		}
	}
}

// weft runs a command line against a scripted broker.
func weft(t *testing.T, b *scripted, args ...string) (out, errOut string, code int) {
	t.Helper()
	return weftWith(t, b, nil, args...)
}

// weftWith is weft with environment variables.
func weftWith(t *testing.T, b *scripted, env map[string]string, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{
		out: &o, errOut: &e, getenv: func(name string) string { return env[name] }, now: noon,
		dial: func(_ context.Context, endpoints string) (operator, error) {
			b.dialled = endpoints
			return b.operator(), nil
		},
	}
	code = run(t.Context(), args, a)
	return o.String(), e.String(), code
}

// What is over cannot be steered or ended, and is not said to have been.
func TestSessionsThatAreOver(t *testing.T) {
	for _, verb := range []string{"close", "kill", "suspend", "resume", "stop", "accept", "cancel"} {
		b := &scripted{over: true}
		out, _, code := weft(t, b, "session", verb, "7")
		if out != "session 7: is over already\n" || code != exitOK || strings.Join(b.told, "; ") != "bye" {
			t.Errorf("session %s: %q, exit %d, told %q", verb, out, code, b.told)
		}
	}
}

func TestCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "price.yaml")
	if err := os.WriteFile(file, []byte(fullService), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ args, out, told string }{
		{"service register " + file, "registered price version 1.20 (unchanged), the default\n4 instances for open sessions, with the program as it was when they started: weft service restart price@1.20 replaces them\n", `register price [linux/amd64 linux/arm64]; restart price "1.20" true`},
		{"service deregister price", "service price deregistered\n", `deregister price ""`},
		{"service deregister price@2", "service price@2 deregistered\n", `deregister price "2"`},
		{"service restart price", "service price restarts: 4 instances\n", `restart price "" false`},
		{"service restart price@2.0.0-rc1", "service price@2.0.0-rc1 restarts: 0 instances\n", `restart price "2.0.0-rc1" false`},
		{"service move price --loop 2", "service price moves to loop 2\n", `move price "" 2`},
		{"service move price@3 --loop 0", "service price@3 moves to loop 0\n", `move price "3" 0`},
		{"session close 7", "session 7: closes when its tasks are finished\n", "close 7 finish"},
		{"session kill 7", "session 7: killed\n", "close 7 kill"},
		{"session kill 7 8", "session 7: killed\nsession 8: killed\n", "close 7 kill; close 8 kill"},
		{"session suspend 7", "session 7: suspended\n", `suspend 7 "by an operator"`},
		{"session resume 7 9 --reason lunch", "session 7: resumed\nsession 9: resumed\n", `resume 7 "lunch"; resume 9 "lunch"`},
		{"session stop 7", "session 7: takes no further tasks\n", `stop-submission 7 "by an operator"`},
		{"session accept 7", "session 7: takes tasks again\n", `accept 7 "by an operator"`},
		{"session cancel 7", "session 7: its unfinished tasks are being cancelled\n", `cancel 7 "by an operator"`},
		{"task cancel 7/13", "task 7/13: is asked to stop on c2\n", `cancel task 7/13 ""`},
		{"task cancel 7/13 9/1 --reason lunch", "task 7/13: is asked to stop on c2\ntask 9/1: is over\n", `cancel task 7/13 "lunch"; cancel task 9/1 "lunch"`},
		{"task retry 3 5", "result 3\nresult 5\n", "retry 3; retry 5"},
		{"task drop 3 5", "2 tasks dropped\n", `drop [3 5] "" false`},
		{"task drop 3 4", "1 task dropped; 1 not on the dead-letter list any more\n", `drop [3 4] "" false`},
		{"task drop 3 5 --service price", "1 task of service price dropped; 1 not on the dead-letter list any more, or of another service\n", `drop [3 5] "price" false`},
		{"task drop --service price", "1 task of service price dropped\n", `drop [] "price" false`},
		{"task drop --service by-hand", "1 task of service by-hand dropped\n", `drop [] "by-hand" false`},
		{"task drop --all", "2 tasks dropped\n", `drop [] "" true`},
		{"environment create ci", "environment ci created\n", "create ci map[]"},
		{"environment create ci --label a=1 --label b=x=y", "environment ci created\n", "create ci map[a:1 b:x=y]"},
		{"environment delete ci", "environment ci deleted\n", "delete ci false"},
		{"environment delete risk --force", "environment risk: deleting, 2 sessions being killed\n", "delete risk true"},
	}
	for _, c := range cases {
		b := &scripted{}
		out, errOut, code := weft(t, b, strings.Fields(c.args)...)
		if out != c.out || errOut != "" || code != exitOK {
			t.Errorf("weft %s: %q, %q, exit %d; want %q", c.args, out, errOut, code, c.out)
		}
		if got := strings.Join(b.told, "; "); got != c.told+"; bye" {
			t.Errorf("weft %s told the broker %q, want %q", c.args, got, c.told)
		}
	}
}

func TestTaskRetrySavesResults(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "results")
	out, errOut, code := weft(t, &scripted{}, "task", "retry", "3", "4", "5", "--results", folder)
	if want := fmt.Sprintf("task 3: its result is in %[1]s/3\ntask 5: its result is in %[1]s/5\n", folder); out != want || code != exitNotFound || !strings.Contains(errOut, "task 4") {
		t.Errorf("%q, %q, exit %d; want %q, and that there is no task 4", out, errOut, code, want)
	}
	for _, id := range []string{"3", "5"} {
		if b, err := os.ReadFile(filepath.Join(folder, id)); string(b) != "result "+id || err != nil {
			t.Errorf("saved for task %s: %q, %v", id, b, err)
		}
	}
}

func TestListsAndDetails(t *testing.T) {
	var all strings.Builder
	for _, args := range []string{
		"service list", "service info price", "service info price@2.0.0-rc1", "session events 7", "session events 7 -o name",
		"environment list", "environment get risk", "environment get default -o json", "environment list -o name", "service list -o yaml", "session list", "session list --service by-hand",
		"session get 7", "session get 7 -o json", "task list 7", "task list 7 -o wide", "task list 7 -o name", "task get 7/12", "task get 7/14", "task get 7/99", "task get 7/12 -o json", "task list --dead", "task list --dead 7 -o wide", "task list --dead --service by-hand -o name", "task get --dead 3", "task get --dead 5 -o yaml", "task get --dead 3 --payload -", "node list", "node list --output json",
		"node list -o wide", "session list -o wide", "service list -o wide",
		"node list -o name", "session list -o name", "session get 7 -o name", "service info price -o name", "session get 7 -o wide",
	} {
		out, errOut, code := weft(t, &scripted{}, strings.Fields(args)...)
		if errOut != "" || code != exitOK {
			t.Errorf("weft %s: %q, exit %d", args, errOut, code)
		}
		fmt.Fprintf(&all, "$ weft %s\n%s\n", args, out)
	}
	golden(t, "commands.txt", all.String())
}

// What is asked of the broker follows from the flags.
func TestFilters(t *testing.T) {
	for _, c := range []struct {
		args string
		want client.Filter
	}{
		{"service list", client.Filter{}},
		{"service list option pricing", client.Filter{Words: "option pricing"}},
		{"service list --name risk --tag eod", client.Filter{Name: "risk*", Tag: "eod"}},
		{"service list --name *-eod", client.Filter{Name: "*-eod"}},
		{"service info price@1.20", client.Filter{Name: "price", Version: "1.20"}},
		{"session list --service price --version 2 --environment ci --all", client.Filter{Service: "price", Version: "2", Environment: "ci", All: true}},
	} {
		b := &scripted{}
		weft(t, b, strings.Fields(c.args)...)
		if b.filter != c.want {
			t.Errorf("weft %s: %+v, want %+v", c.args, b.filter, c.want)
		}
	}
}

func TestFollowEvents(t *testing.T) {
	b := &scripted{}
	out, errOut, code := weft(t, b, "session", "events", "7", "--follow", "--interval", "1ms")
	want := ""
	for i, e := range someEvents() {
		if i == 5 {
			want += "(3 events dropped)\n"
		}
		want += eventLine(e, noon()) + "\n"
	}
	if out != want || errOut != "" || code != exitOK || b.looks < 2 {
		t.Errorf("exit %d after %d looks, %q:\n%s--- want\n%s", code, b.looks, errOut, out, want)
	}
	for form, n := range map[string]int{formName: 6, formJSON: 6 * 5, formYAML: 6 * 3} {
		out, _, code := weft(t, &scripted{}, "session", "events", "7", "-f", "--interval", "1ms", "-o", form)
		if got := strings.Count(out, "\n"); code != exitOK || got < n-2 {
			t.Errorf("-o %s: exit %d, %d lines:\n%s", form, code, got, out)
		}
	}
	if _, errOut, code := weft(t, &scripted{}, "session", "events", "7", "--follow", "--watch"); code != exitUsage {
		t.Errorf("both at once: exit %d, %s", code, errOut)
	}
}

// A service can be asked for its types.
func TestRegisterWithInterface(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := platform.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}.String()
	service := func(script string) string {
		write("service", "#!/bin/sh\n"+script+"\n", 0o700) //nolint:gosec // it is to be run
		return write("service.yaml", "name: typed\nartefacts: {"+own+": {command: service, args: [serve]}}\nenv: {KIND: int}\n", 0o600)
	}
	b := &scripted{}
	file := service(`[ "$1 $WEFT_DESCRIBE" = "serve 1" ] && printf 'interface:\n  task: "%s"\n  result: "list<float>"\n' $KIND`)
	out, errOut, code := weft(t, b, "service", "register", file, "--interface")
	if code != exitOK || out != "registered typed version 1 (new)\n" || b.declared != (protocol.Interface{Task: "int", Result: "list<float>"}) {
		t.Errorf("exit %d, %q, %q, %+v", code, out, errOut, b.declared)
	}
	bare := write("bare.yaml", "name: by-hand\n", 0o600)
	out, errOut, code = weft(t, &scripted{}, "service", "register", bare)
	if code != exitOK || out != "registered by-hand version 1 (unchanged), the default\n" || !strings.Contains(errOut, "by-hand has no artefacts: no agent can start") {
		t.Errorf("no artefacts: exit %d, %q, %q", code, out, errOut)
	}
	for script, says := range map[string]string{
		"echo it does something else":                                  `does not say its types but "it does something else`,
		"echo no licence >&2; exit 3":                                  "exit status 3: no licence",
		"echo Traceback >&2; echo Error: no libzmq >&2; exit 1":        "exit status 1: Error: no libzmq",
		"echo panic: no model >&2; echo; echo goroutine 1 >&2; exit 2": "exit status 2: panic: no model",
		"echo interface: {task: what}":                                 "interface.task",
	} {
		_, errOut, code := weft(t, &scripted{}, "service", "register", service(script), "--interface")
		if code != exitUsage || !strings.Contains(errOut, says) {
			t.Errorf("%s: exit %d, %q; want it to say %q", script, code, errOut, says)
		}
	}
	chatty := service(`printf 'starting\ninterface: none yet\nalmost'; printf '\ninterface:\n  task: int\n  result: bool\n'; echo bye`)
	if _, errOut, code := weft(t, b, "service", "register", chatty, "--interface"); code != exitOK || b.declared != (protocol.Interface{Task: "int", Result: "bool"}) {
		t.Errorf("a service that prints other things: exit %d, %q, %+v", code, errOut, b.declared)
	}
	other := write("other.yaml", "name: typed\nartefacts: {plan9/arm: {command: /x}}\n", 0o600)
	if _, errOut, code := weft(t, &scripted{}, "service", "register", other, "--interface"); code != exitUsage || !strings.Contains(errOut, "no artefact for this machine") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

// A list without entries is said to be so on a terminal, and an empty table elsewhere.
func TestEmptyList(t *testing.T) {
	terminal := terminaltest.Open(t)
	var errOut bytes.Buffer
	a := &app{out: terminal.File, errOut: &errOut, form: formTable}
	if err := showList(a, "nodes", nil, nodeColumns()); err != nil || errOut.String() != "no nodes\n" {
		t.Errorf("%v, %q", err, errOut.String())
	}
	a.out = &errOut
	if err := showList(a, "nodes", nil, nodeColumns()); err != nil || !strings.Contains(errOut.String(), "MEMORY FREE") {
		t.Errorf("%v, %q", err, errOut.String())
	}
	if shown := terminal.Text(); shown != "" {
		t.Errorf("shown: %q", shown)
	}
}

func TestBadUsage(t *testing.T) {
	cases := []struct {
		args string
		code int
		says string
	}{
		{"brokr", 2, `weft: unknown command "brokr": did you mean "broker"?`},
		{"events", 2, `weft: unknown command "events": did you mean "session events"?`},
		{"list", 2, `did you mean "context list" or "environment list" or "node list" or "queue list" or "service list" or "session list" or "task list"?`},
		{"completion foo", 2, `weft completion: unknown command "foo": there are bash, fish, powershell, zsh`},
		{"xyzzy", 2, `weft: unknown command "xyzzy": there are agent, broker`},
		{"service quash x", 2, `weft service: unknown command "quash": there are deregister, info, list, move, register, restart`},
		{"service info", 2, "NAME is missing"},
		{"service move x", 2, "--loop: give the number of a manager loop"},
		{"service info a b", 2, `"b" is too much`},
		{"service info a@", 2, `"a@" is neither the name of a service nor NAME@VERSION`},
		{"service deregister @1", 2, `"@1" is neither`},
		{"service info price@7", 3, `service "price" has no version "7"; there are 1.20, 2.0.0-rc1`},
		{"session events 8", 3, "no session has the number 8"},
		{"session events x", 2, `"x" is not the number`},
		{"session kill", 2, "NUMBER is missing"},
		{"session events 7 --follow --interval 0s", 2, "--interval: 0s is not above 0"},
		{"environment create Ci", 2, `"Ci" is not 1 to 63`},
		{"environment create ci --label a", 2, `"a" is not of the form NAME=VALUE`},
		{"environment create risk", 5, "there is an environment risk already"},
		{"environment get nothing", 3, `there is no environment "nothing"`},
		{"node list --colour", 2, "unknown flag: --colour (see: weft node list --help)"},
		{"node list -o xml", 2, `"xml" is not one of table, wide, json, yaml, name`},
		{"session get seven", 2, `"seven" is not the number of a session`},
		{"task get 7", 2, `"7" does not name a task: it is SESSION/TASK`},
		{"task get 7/0", 2, `"7/0" does not name a task`},
		{"task cancel 7/1 x/2", 2, `"x/2" does not name a task`},
		{"task get --dead 7/1", 2, `"7/1" is not the number of a task that was given up`},
		{"task get --dead 4", 3, "the dead-letter list has no entry 4"},
		{"task get 7/1 --payload x", 2, "--payload: only the payloads of tasks in the dead-letter list"},
		{"task retry 0", 2, `"0" is not the number of a task that was given up`},
		{"task retry 4", 3, "task 4: get dead letter: NotFound"},
		{"task drop", 2, "ID is missing"},
		{"task drop --service prise", 3, `no service "prise" is registered: did you mean "price"?`},
		{"task drop 3 --all", 2, "--all: does not go with numbers"},
		{"task list", 2, "SESSION is missing"},
		{"task list 7 --service price", 2, "--service, --environment: only with --dead"},
		{"task list 7/1", 2, `"7/1" is not the number of a session`},
		{"session close 0", 2, `"0" is not the number of a session`},
		{"service register missing.yaml", 2, "missing.yaml"},
		{"service info prise", 3, `no service "prise" is registered: did you mean "price"?`},
		{"service info nothing", 3, `no service "nothing" is registered`},
		{"session get 99", 3, "there is no session 99"},
		{"agent --capacity cpu=much", 2, `--capacity: cpu: "much" is not`},
		{"agent --broker udp://x", 2, `--broker: `},
		{"agent --log-level loud", 2, `"loud" is not one of debug, info, warn, error`},
		{"broker --log-level loud", 2, `"loud" is not one of debug, info, warn, error`},
		{"broker --listen tcp://0.0.0.0:0", 2, "0.0.0.0"},
		{"broker --manager-cpu 1", 2, `--manager-cpu: "1" could be cores or thousandths`},
		{"broker --manager-cpu 0m --manager-memory 1MiB", 2, "memory: 1048576 bytes cannot hold one payload"},
		{"broker --manager-memory lots", 2, `--manager-memory: "lots" is not an amount of bytes`},
		{"broker more", 2, `"more" is too much`},
	}
	for _, c := range cases {
		_, errOut, code := weft(t, &scripted{}, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errOut, c.says) {
			t.Errorf("weft %s: exit %d, %q; want %d and %q", c.args, code, errOut, c.code, c.says)
		}
	}
}

func TestRefusalsOfTheBroker(t *testing.T) {
	for code, want := range map[protocol.Code]int{
		protocol.CodeInUse: exitState, protocol.CodeUnknownService: exitNotFound, protocol.CodeInternal: exitFailure,
	} {
		refusal := protocol.Errorf(code, "anything", "the reason")
		for _, args := range []string{"service list", "service info x", "session list", "session get 1", "session events 7", "environment list", "environment get x", "environment create x", "environment delete x", "node list", "service deregister x", "service move x --loop 1", "session close 3"} {
			_, errOut, got := weft(t, &scripted{err: refusal}, strings.Fields(args)...)
			if got != want || !strings.Contains(errOut, "the reason") {
				t.Errorf("weft %s refused with %v: exit %d, %q", args, code, got, errOut)
			}
		}
	}
}

// The broker that is asked is the one of the flag, else of the environment variable, else on this machine.
func TestWhichBroker(t *testing.T) {
	cases := []struct{ flag, env, want string }{
		{"", "", "tcp://127.0.0.1:7700"},
		{"", "tcp://far:1", "tcp://far:1"},
		{"tcp://near:2", "tcp://far:1", "tcp://near:2"},
	}
	for _, c := range cases {
		dialled := ""
		var out, errOut bytes.Buffer
		a := &app{
			out: &out, errOut: &errOut, now: noon,
			getenv: func(name string) string {
				if name == brokerVariable {
					return c.env
				}
				return ""
			},
			dial: func(ctx context.Context, endpoints string) (operator, error) {
				dialled = endpoints
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > dialPatience {
					t.Errorf("dialling may take until %v", deadline)
				}
				return operator{}, fmt.Errorf("dial: %w", context.DeadlineExceeded)
			},
		}
		args := []string{"node", "list"}
		if c.flag != "" {
			args = append(args, "--broker", c.flag)
		}
		code := run(t.Context(), args, a)
		if dialled != c.want || code != exitUnavailable {
			t.Errorf("flag %q, variable %q: dialled %q, exit %d; want %q", c.flag, c.env, dialled, code, c.want)
		}
		for _, says := range []string{c.want, `"weft broker"`, `"weft dev"`, "--broker", brokerVariable} {
			if !strings.Contains(errOut.String(), says) {
				t.Errorf("the error does not say %s: %s", says, errOut.String())
			}
		}
	}
}

func TestHelpSaysTheExitCodes(t *testing.T) {
	out, _, code := weft(t, &scripted{})
	if code != exitOK || !strings.Contains(out, exitHelp) {
		t.Errorf("exit %d:\n%s", code, out)
	}
	for _, name := range []string{"environment", "broker", "agent", "dev", "service", "session", "node", "context", "completion", "version"} {
		if !strings.Contains(out, "\n  "+name+" ") {
			t.Errorf("the help does not list %s:\n%s", name, out)
		}
	}
}

func TestVersion(t *testing.T) {
	out, _, code := weft(t, &scripted{}, "version")
	for _, key := range []string{"weft:", "protocol:  1 to 1", "go:", "libzmq:", "platform:"} {
		if !strings.Contains(out, key) {
			t.Errorf("no %q in:\n%s", key, out)
		}
	}
	if code != exitOK {
		t.Errorf("exit %d", code)
	}
}

func TestRuntimeFolder(t *testing.T) {
	base := t.TempDir()
	getenv := func(string) string { return base }
	folder, err := runtimeFolder(getenv, os.Getuid())
	if err != nil || folder != filepath.Join(base, "weft") {
		t.Fatalf("runtime folder %q, %v", folder, err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := runtimeFolder(getenv, os.Getuid()+1); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("the folder of another user: %v", err)
	}
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // to be refused
		t.Fatal(err)
	}
	if _, err := runtimeFolder(getenv, os.Getuid()); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("a folder that others enter: %v", err)
	}
}
