package probe

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// tree makes a folder with files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The machine that the test runs on can be measured, whatever it is.
func TestThisMachine(t *testing.T) {
	p := New(Options{Folders: []string{t.TempDir()}})
	n := p.Node(t.Context())
	if n.Platform.OS != runtime.GOOS || n.Platform.Arch != runtime.GOARCH {
		t.Errorf("platform %v", n.Platform)
	}
	if n.CoresLogical < 1 || n.CoresUsable <= 0 || n.CoresUsable > float64(n.CoresLogical) {
		t.Errorf("%d cores, %v usable", n.CoresLogical, n.CoresUsable)
	}
	if n.MemoryTotal == 0 || n.MemoryUsable == 0 || n.MemoryUsable > n.MemoryTotal {
		t.Errorf("memory %d, usable %d", n.MemoryTotal, n.MemoryUsable)
	}
	if name, err := os.Hostname(); n.Hostname != name || err != nil {
		t.Errorf("hostname %q, want %q", n.Hostname, name)
	}
	if n.Kernel == "" {
		t.Errorf("%+v", n)
	}
	if len(n.Disks) == 0 {
		t.Error("no disks")
	}
	for _, d := range n.Disks {
		if d.Size == 0 || d.Free > d.Size || d.Type == "" || d.Mount == "" {
			t.Errorf("disk %+v", d)
		}
	}
	if !slices.ContainsFunc(n.Interfaces, func(i Interface) bool { return i.Loopback }) {
		t.Errorf("no loopback among %+v", n.Interfaces)
	}
	for _, what := range n.Missing {
		t.Log("missing:", what)
	}

	u := p.Usage(t.Context())
	if u.CPUBusy != 0 {
		t.Errorf("busy %v before there was a Usage to compare with", u.CPUBusy)
	}
	if u.Uptime <= 0 || u.MemoryAvailable == 0 || len(u.Disks) != len(n.Disks) {
		t.Errorf("%+v", u)
	}
}

const cpuinfo = `processor	: 0
model name	: Fast CPU 9000
cpu MHz		: 3000.000

processor	: 1
model name	: Fast CPU 9000

`

// proc is a machine of our own: two cores, and no cgroups.
func proc() map[string]string {
	return map[string]string{
		"cpuinfo":                   cpuinfo,
		"meminfo":                   "MemTotal: 8000 kB\nMemFree: 3000 kB\nMemAvailable: 5000 kB\nBuffers: 0 kB\nCached: 1000 kB\n",
		"stat":                      "cpu  100 0 100 800 0 0 0 0 0 0\n",
		"loadavg":                   "0.50 0.25 0.125 1/100 4242\n",
		"filesystems":               "nodev\tproc\n\text4\n",
		"sys/kernel/random/boot_id": "b0071d00-0000-0000-0000-000000000001\n",
		"net/dev":                   "Inter-| Receive | Transmit\n face |bytes|bytes\n    lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n  eth0: 1000 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n  eth1: 24 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n",
		"self/mountinfo":            "",
		"self/cgroup":               "",
		"1/mountinfo":               "",
	}
}

func sys() map[string]string {
	return map[string]string{
		"devices/system/cpu/cpu0/topology/core_cpus_list": "0-1\n",
		"devices/system/cpu/cpu1/topology/core_cpus_list": "0-1\n",
	}
}

func TestFixture(t *testing.T) {
	root := tree(t, proc())
	p := New(Options{Proc: root, Sys: tree(t, sys())})
	n := p.Node(t.Context())
	if n.CPUModel != "Fast CPU 9000" || n.CoresLogical != 2 || n.CoresPhysical != 1 || n.MemoryTotal != 8000<<10 {
		t.Errorf("%+v", n)
	}
	if n.MemoryLimit != 0 || n.MemoryUsable != n.MemoryTotal || n.CPULimit != 0 {
		t.Errorf("there are no cgroups: %+v", n)
	}
	u := p.Usage(t.Context())
	if u.Uptime <= 0 || u.Load1 != 0.5 || u.Load15 != 0.125 || u.MemoryAvailable != 5000<<10 || u.MemoryUsed != 4000<<10 {
		t.Errorf("%+v", u)
	}
	if u.NetworkReceived != 1024 || u.NetworkSent != 205 {
		t.Errorf("received %d, sent %d; want 1024 and 205, without loopback", u.NetworkReceived, u.NetworkSent)
	}

	// 300 of 400 ticks were work since then: three quarters of two cores.
	if err := os.WriteFile(filepath.Join(root, "stat"), []byte("cpu  300 50 150 850 50 0 0 0 0 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u := p.Usage(t.Context()); u.CPUBusy != 1.5 {
		t.Errorf("%v cores busy, want 1.5", u.CPUBusy)
	}
	if u := p.Usage(t.Context()); u.CPUBusy != 0 {
		t.Errorf("%v cores busy while no tick went by", u.CPUBusy)
	}
}

// With nothing to read from, all is named as missing, and nothing fails.
func TestNothingToRead(t *testing.T) {
	p := New(Options{Proc: t.TempDir(), Sys: t.TempDir(), Folders: []string{"/no/such/folder"}})
	n := p.Node(t.Context())
	for _, what := range []string{"cpu_model", "cores_logical", "memory_total", "disks", "disk /no/such/folder"} {
		if !slices.ContainsFunc(n.Missing, func(s string) bool { return strings.HasPrefix(s, what+": ") }) {
			t.Errorf("%q is not among what is missing: %q", what, n.Missing)
		}
	}
	if n.CoresLogical != runtime.NumCPU() || n.CoresUsable <= 0 || n.Platform.Arch == "" {
		t.Errorf("%+v", n)
	}
	u := p.Usage(t.Context())
	if u.CPUBusy != 0 || u.MemoryUsed != 0 || len(u.Missing) == 0 {
		t.Errorf("%+v", u)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	New(Options{}).Node(ctx)
	New(Options{}).Usage(ctx)
}

func TestSpeed(t *testing.T) {
	p := New(Options{Sys: tree(t, map[string]string{
		"class/net/eth0/speed": "10000\n", "class/net/down/speed": "-1\n", "class/net/odd/speed": "4294967295\n", "class/net/text/speed": "fast\n",
	})})
	for name, want := range map[string]uint64{"eth0": 10_000_000_000, "down": 0, "odd": 0, "text": 0, "none": 0} {
		if got := p.speed(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestEncodings(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*(,omitempty)?$`)
	for _, v := range []any{Node{}, Disk{}, Interface{}, Usage{}} {
		for f := range reflect.TypeOf(v).Fields() {
			j, m := f.Tag.Get("json"), f.Tag.Get("msgpack")
			if j != m || !snake.MatchString(j) {
				t.Errorf("%T.%s: json %q, msgpack %q", v, f.Name, j, m)
			}
		}
	}
	p := New(Options{})
	n, u := p.Node(t.Context()), p.Usage(t.Context())
	var n2, n3 Node
	var u2, u3 Usage
	for _, tt := range []struct{ in, viaJSON, viaMsgpack any }{{n, &n2, &n3}, {u, &u2, &u3}} {
		text, err := json.Marshal(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, tt.viaJSON); err != nil {
			t.Fatal(err)
		}
		if text, err = msgpack.Marshal(tt.in); err != nil {
			t.Fatal(err)
		}
		if err := msgpack.Unmarshal(text, tt.viaMsgpack); err != nil {
			t.Fatal(err)
		}
	}
	for i, same := range []bool{reflect.DeepEqual(n, n2), reflect.DeepEqual(n, n3), reflect.DeepEqual(u, u2), reflect.DeepEqual(u, u3)} {
		if !same {
			t.Errorf("round trip %d changed something", i)
		}
	}
}
