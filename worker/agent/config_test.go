package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
	"github.com/weft-fabric/weft/worker/launcher"
)

func TestNodeName(t *testing.T) {
	for host, want := range map[string]string{
		"node-1.example.com":           "node-1.example.com",
		"Big Iron_2":                   "big-iron_2",
		"-x-":                          "x",
		"höst":                         "h-st",
		"...":                          "node",
		"":                             "node",
		strings.Repeat("a", 70):        strings.Repeat("a", 63),
		strings.Repeat("a", 62) + ".b": strings.Repeat("a", 62),
	} {
		got := nodeName(host)
		if got != want || !protocol.ValidName(got) {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	a, err := New(Config{Broker: "broker"})
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	c := a.config
	if a.Name() != nodeName(host) || c.NodeType != protocol.NodeTypeCPU || c.Grace != 10*time.Second ||
		!strings.HasSuffix(a.Dir(), "weft/agent-"+a.Name()) || !slices.Equal(a.endpoints, []string{"tcp://broker:7700"}) {
		t.Errorf("%+v, %q", c, a.endpoints)
	}
	if a, err = New(Config{Broker: "b", Capacity: protocol.Capacity{GPU: 1}}); err != nil || a.config.NodeType != protocol.NodeTypeGPU {
		t.Errorf("a node with a GPU is %+v (%v)", a, err)
	}
}

// The command that stands for the agent's own program is that; any other is what it says.
func TestOwnProgram(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string][2]string{"weft": {own, "/opt/weft"}, "/bin/weft": {"/bin/weft", "/bin/weft"}} {
		for i, program := range []string{"", "/opt/weft"} {
			a, err := New(Config{Broker: "b", Program: program})
			if err != nil {
				t.Fatal(err)
			}
			if got := a.spec(protocol.StartContainer{ID: "c", Command: command}).Command; got != want[i] {
				t.Errorf("Program %q: %s is %s, want %s", program, command, got, want[i])
			}
		}
	}
}

func TestDefaultDir(t *testing.T) {
	if dir, err := defaultDir(0, "n1"); dir != "/var/lib/weft/agent-n1" || err != nil {
		t.Errorf("root: %q, %v", dir, err)
	}
	t.Setenv("XDG_CACHE_HOME", "/home/u/.cache")
	if dir, err := defaultDir(1000, "n1"); dir != "/home/u/.cache/weft/agent-n1" || err != nil {
		t.Errorf("user: %q, %v", dir, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if dir, err := defaultDir(1000, "n1"); err == nil || !strings.Contains(err.Error(), "Dir") {
		t.Errorf("nowhere: %q, %v", dir, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for field, c := range map[string]Config{
		"Broker":   {Broker: "udp://x"},
		"Name":     {Broker: "b", Name: "A b"},
		"NodeType": {Broker: "b", Name: "n", NodeType: "tpu"},
		"Capacity": {Broker: "b", Name: "n", Capacity: protocol.Capacity{Memory: -1}},
		"Dir":      {Broker: "b", Name: "n", Dir: "state"},
		"Program":  {Broker: "b", Name: "n", Program: "weft"},
		"Grace":    {Broker: "b", Name: "n", Grace: -1},
	} {
		_, err := New(c)
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeInvalid}) || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s: %v, want an error that names it", field, err)
		}
	}
	a, err := New(Config{Broker: "b", IOThreads: -1, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "IOThreads") {
		t.Errorf("IOThreads -1: %v", err)
	}
}

func TestFolderCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Broker: "b", Dir: filepath.Join(file, "sub")})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "want a folder that can be written") {
		t.Errorf("%v", err)
	}
}

func TestOwnerMark(t *testing.T) {
	mark := ownerMark("n1", "/a")
	if !launcher.ValidID(mark) || mark != ownerMark("n1", "/a") {
		t.Errorf("mark %q", mark)
	}
	if mark == ownerMark("n2", "/a") || mark == ownerMark("n1", "/b") {
		t.Error("two agents have one mark")
	}
	if long := ownerMark(strings.Repeat("n", 63), "/a"); !launcher.ValidID(long) {
		t.Errorf("mark %q", long)
	}
}

func TestStartError(t *testing.T) {
	start := func(err error) error { return &launcher.StartError{ID: "c1", Path: "/x", Err: err, Want: "better"} }
	for name, tt := range map[string]struct {
		err  error
		code protocol.Code
		says string
	}{
		"missing":   {start(launcher.ErrMissing), protocol.CodeArtefact, "/x: no such file; want better"},
		"no want":   {&launcher.StartError{Path: "/x", Err: unix.ENOEXEC}, protocol.CodeArtefact, "/x: exec format error"},
		"processes": {start(unix.EAGAIN), protocol.CodeOverloaded, "run out"},
		"disk":      {start(fmt.Errorf("log: %w", unix.ENOSPC)), protocol.CodeOverloaded, "run out"},
		"spec":      {&launcher.SpecError{Field: "ID", Value: "/", Want: "a name"}, protocol.CodeInvalid, `ID "/": want a name`},
		"duplicate": {fmt.Errorf("start: %w", launcher.ErrDuplicate), protocol.CodeAlreadyExists, "still running"},
		"closed":    {fmt.Errorf("start: %w", launcher.ErrClosed), protocol.CodeUnavailable, "ending"},
		"slow":      {context.DeadlineExceeded, protocol.CodeOverloaded, "longer than"},
		"other":     {errors.New("what"), protocol.CodeInternal, "what"},
	} {
		got := startError("c1", tt.err)
		if got.Code != tt.code || got.Op != "start container c1" || !strings.Contains(got.Msg, tt.says) {
			t.Errorf("%s: %v, want %v that says %q", name, got, tt.code, tt.says)
		}
	}
}

func TestExited(t *testing.T) {
	out := []string{"last"}
	for _, tt := range []struct {
		exit launcher.Exit
		want core.Exited
	}{
		{launcher.Exit{Code: 3, Reason: "why", Output: out}, core.Exited{ID: "c", Code: 3, Reason: "why", Output: out}},
		{launcher.Exit{Code: -1, Signal: 9}, core.Exited{ID: "c", Code: -1, Signal: "SIGKILL"}},
		{launcher.Exit{Code: -1, Signal: 99}, core.Exited{ID: "c", Code: -1, Signal: "signal 99"}},
	} {
		if got := exited("c", tt.exit); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%+v: %+v, want %+v", tt.exit, got, tt.want)
		}
	}
}

func TestLockFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	held, real, err := lock(link)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if want, _ := filepath.EvalSymlinks(dir); real != want {
		t.Errorf("the folder is %q, want %q", real, want)
	}
	if _, _, err := lock(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("InUse: process %d has it", os.Getpid())) {
		t.Errorf("taken twice: %v", err)
	}
}
