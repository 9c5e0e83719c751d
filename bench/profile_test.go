package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

func TestValidateProfile(t *testing.T) {
	good := profileConfig{shape: smallShape, seconds: 1, top: 5, format: formatTable}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*profileConfig){
		"--window: 0 is not":         func(k *profileConfig) { k.window = 0 },
		"--seconds: 0 is not":        func(k *profileConfig) { k.seconds = 0 },
		"--top: -1 is not":           func(k *profileConfig) { k.top = -1 },
		`--format: "lines" is not`:   func(k *profileConfig) { k.format = formatLines },
		"--perf: exec: \"perf\": ex": func(k *profileConfig) { k.perf = true },
	} {
		t.Setenv("PATH", t.TempDir())
		k := good
		spoil(&k)
		if err := k.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The time of a sample is that of the function it is in, also when that was inlined, and not that of its callers.
func TestWeigh(t *testing.T) {
	line := func(names ...string) *profile.Location {
		l := &profile.Location{}
		for _, name := range names {
			l.Line = append(l.Line, profile.Line{Function: &profile.Function{Name: name}})
		}
		return l
	}
	caller, leaf := line("main"), line("inlined", "outer")
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample: []*profile.Sample{
			{Location: []*profile.Location{leaf, caller}, Value: []int64{1, 100}},
			{Location: []*profile.Location{leaf}, Value: []int64{2, 200}},
			{Location: []*profile.Location{caller}, Value: []int64{1, 50}},
			{Value: []int64{1, 7}},
		},
	}
	w, err := weigh(p)
	if err != nil || len(w) != 3 || w["inlined"] != 300 || w["main"] != 50 || w["unknown"] != 7 {
		t.Errorf("%v, %v", w, err)
	}
	p.SampleType = p.SampleType[:1]
	if w, err := weigh(p); err == nil {
		t.Errorf("%v of a profile without times", w)
	}
	if _, err := readGoProfile(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a profile that is not there was read")
	}
}

func TestReadPerf(t *testing.T) {
	got, err := readPerf(strings.NewReader(`
  12  ffffffff821ef666 do_syscall_64 ([kernel.kallsyms])
12      7f0000000000 zmq::f(int, char) (/usr/lib/libzmq.so.5.2.4)
12      7f0000000001 zmq::f(int, char) (/usr/lib/libzmq.so.5.2.4)
 345      7f0000000000 [unknown] (/usr/lib/libzmq.so.5.2.4)
`))
	if err != nil || len(got) != 2 || len(got[12]) != 2 || got[12]["do_syscall_64 [kernel]"] != 1 || got[12]["zmq::f(int, char)"] != 2 ||
		got[345]["[unknown] libzmq.so.5.2.4"] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"weft 12 f (x)", "12"} {
		if got, err := readPerf(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestTop(t *testing.T) {
	w := weights{"a": 10, "b": 40, "c": 30, "d": 0}
	near := func(got []function, names ...string) bool {
		return slices.EqualFunc(got, names, func(f function, name string) bool {
			return name == fmt.Sprintf("%s %.0f %.0f", f.Name, 100*f.Share, f.Nanos)
		})
	}
	if got := w.top(2, 800, 0); !near(got, "b 50 400", "c 38 300") { // of samples
		t.Errorf("%+v", got)
	}
	if got := w.top(9, 800, 160); !near(got, unseen+" 50 400", "b 25 200", "c 19 150", "a 6 50", "d 0 0") { // half was not seen
		t.Errorf("%+v", got)
	}
	if got := w.top(1, 800, 70); !near(got, "b 50 400") { // the clocks differ
		t.Errorf("%+v", got)
	}
	if got := (weights{}).top(3, 0, 0); len(got) != 0 {
		t.Errorf("%+v of nothing", got)
	}
}

func TestReportOfProfile(t *testing.T) {
	p := profiled{Name: "weft", Payload: 16, Clients: 1, Instances: 1, Window: 4096, PerSecond: 1e6, Processes: []processProfile{
		{Name: "broker", User: 100.04, System: 50, Functions: []function{{"f", 0.5, 75}, {"g", 0.25, 37.5}}}, {Name: "agent", User: 1},
	}}
	var b strings.Builder
	if err := p.write(&b, formatTable); err != nil {
		t.Fatal(err)
	}
	want := `weft, 16 bytes, clients 1, instances 1, window 4096: 1000000 tasks/s; processor time in ns for each task
process            user   system     both
broker            100.0     50.0    150.0
agent               1.0      0.0      1.0
all               101.0     50.0    151.0

broker            share  ns/task
                 50.0 %     75.0  f
                 25.0 %     37.5  g
`
	if b.String() != want {
		t.Errorf("got:\n%swant:\n%s", b.String(), want)
	}
	b.Reset()
	var back profiled
	if err := errors.Join(p.write(&b, formatJSON), json.Unmarshal([]byte(b.String()), &back)); err != nil || back.Processes[0].Functions[1] != p.Processes[0].Functions[1] {
		t.Errorf("JSON reads back as %+v, %v", back, err)
	}
}

// Nobody waits for ever for a profile that is not made.
func TestProfileAllFails(t *testing.T) {
	if err := profileAll(t.Context(), t.TempDir(), []process{{"nobody", 1 << 28}}, beginProfile); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		sleeper.Process.Kill()
		sleeper.Wait() //nolint:errcheck // it was killed
	}()
	no := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(no, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := profileAll(t.Context(), no, []process{{"sleeper", sleeper.Process.Pid}}, syscall.SIGCONT); err == nil || !strings.Contains(err.Error(), "profile sleeper") {
		t.Errorf("error %v", err)
	}
}

// profileOnce runs a small load with the flags, and checks what does not depend on how it was profiled.
func profileOnce(t *testing.T, flags ...string) profiled {
	t.Helper()
	cmd := newProfile()
	cmd.SetArgs(append(flags, "--clients", "2", "--window", "256", "--seconds", "0.5", "--format", "json"))
	var b strings.Builder
	cmd.SetOut(&b)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var p profiled
	if err := json.Unmarshal([]byte(b.String()), &p); err != nil || p.PerSecond <= 0 {
		t.Fatalf("%v in %s", err, b.String())
	}
	var names []string
	for _, one := range p.Processes {
		names = append(names, one.Name)
		var shares float64
		for _, f := range one.Functions {
			shares += f.Share
		}
		if one.Name != "agent "+nodeName && (one.User+one.System <= 0 || len(one.Functions) == 0 || math.Abs(shares-1) > 1e-6) {
			t.Errorf("%s: user %v, system %v, shares of %d functions make %v", one.Name, one.User, one.System, len(one.Functions), shares)
		}
	}
	if want := []string{"broker", "agent " + nodeName, "client 1", "client 2", "instance 1"}; !slices.Equal(names, want) {
		t.Errorf("processes %q, want %q", names, want)
	}
	return p
}

// The whole of it, small: every process is profiled, the instance too, which the agent has started.
func TestProfile(t *testing.T) {
	alone(t)
	out := t.TempDir()
	p := profileOnce(t, "--top", "10000", "--out", out)
	seen := slices.ContainsFunc(p.Processes, func(one processProfile) bool {
		return slices.ContainsFunc(one.Functions, func(f function) bool { return f.Name != unseen })
	})
	if !seen {
		t.Errorf("no profile has a function of Go: %+v", p.Processes)
	}
	for _, name := range []string{"broker.pprof", "agent-bench.pprof", "client-1.pprof", "client-2.pprof", "instance-1.pprof"} {
		if _, err := readGoProfile(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "profile.json")); err != nil {
		t.Error(err)
	}
}

func TestProfileWithPerf(t *testing.T) {
	probe := exec.Command("perf", "record", "-q", "-e", "cpu-clock", "-o", filepath.Join(t.TempDir(), "probe"), "--", "true")
	if text, err := probe.CombinedOutput(); err != nil {
		t.Skipf("perf cannot be used here: %v: %s", err, text)
	}
	alone(t)
	out := t.TempDir()
	begin := time.Now()
	profileOnce(t, "--top", "10000", "--perf", "--out", out)
	if info, err := os.Stat(filepath.Join(out, "perf.data")); err != nil || info.Size() == 0 || info.ModTime().Before(begin) {
		t.Errorf("%v, %v", info, err)
	}
}
