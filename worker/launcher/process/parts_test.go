package process

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
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

func TestEnvironment(t *testing.T) {
	agent := map[string]string{"PATH": "/agent/bin", "HOME": "/root", "SECRET": "x"}
	lookup := func(key string) (string, bool) { v, ok := agent[key]; return v, ok }
	env, path := environment("me", launcher.Spec{ID: "c"}, lookup)
	if want := []string{"PATH=/agent/bin", "HOME=/root", "WEFT_OWNER=me", "WEFT_CONTAINER=c"}; !slices.Equal(env, want) || path != "/agent/bin" {
		t.Errorf("%q, %q; want %q", env, path, want)
	}
	env, path = environment("me", launcher.Spec{ID: "c", Env: []string{"A=1", "PATH=/spec", "A=2", "E="}, Identity: []byte("x")}, lookup)
	if want := []string{"PATH=/spec", "HOME=/root", "A=2", "E=", "WEFT_OWNER=me", "WEFT_CONTAINER=c", "WEFT_IDENTITY_FD=3"}; !slices.Equal(env, want) || path != "/spec" {
		t.Errorf("%q, %q; want %q", env, path, want)
	}
	clear(agent)
	if env, path = environment("me", launcher.Spec{ID: "c"}, lookup); path != defaultPath || env[0] != "PATH="+defaultPath {
		t.Errorf("without a PATH: %q, %q", env, path)
	}
}

func TestFindCommand(t *testing.T) {
	dir := t.TempDir()
	runs := []platform.Platform{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "386"}}
	file := func(name, text string, mode os.FileMode) string {
		writeFile(t, filepath.Join(dir, name), text, mode)
		return filepath.Join(dir, name)
	}
	if err := os.MkdirAll(filepath.Join(dir, "first", "tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	tool := file("tool", "#!/bin/sh\n", 0o755)
	for name, tt := range map[string]struct {
		command string
		path    string // "" for none
		reason  error
		says    string
	}{
		"script":            {tool, tool, nil, ""},
		"by name":           {"tool", tool, nil, ""},
		"name not in PATH":  {"nothing", "", launcher.ErrMissing, "PATH, which is first"},
		"missing":           {dir + "/none", "", launcher.ErrMissing, "linux/amd64 or linux/386"},
		"below a file":      {tool + "/x", "", launcher.ErrMissing, "linux/amd64"},
		"folder":            {dir, "", launcher.ErrNotExecutable, "folder"},
		"no permission":     {file("plain", "#!/bin/sh\n", 0o644), "", launcher.ErrNotExecutable, "chmod +x"},
		"text":              {file("text", "hello\n", 0o755), "", launcher.ErrNotExecutable, "#!"},
		"empty":             {file("empty", "", 0o755), "", launcher.ErrNotExecutable, "#!"},
		"foreign":           {file("foreign", foreignELF(), 0o755), "", launcher.ErrPlatform, "linux/s390x: want an executable for linux/amd64 or linux/386"},
		"machine we ignore": {file("odd", strings.Replace(foreignELF(), "\x16", "\x2b", 1), 0o755), "", launcher.ErrPlatform, "EM_SPARCV9"},
	} {
		path, err := findCommand(launcher.Spec{ID: "c", Command: tt.command}, "first:"+dir+"/first:"+dir, runs)
		if tt.reason == nil {
			if err != nil || path != tt.path {
				t.Errorf("%s: %q, %v; want %q", name, path, err, tt.path)
			}
			continue
		}
		var failed *launcher.StartError
		if !errors.Is(err, tt.reason) || !errors.As(err, &failed) || failed.Path != tt.command || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %v that names %q and says %q", name, err, tt.reason, tt.command, tt.says)
		}
	}
}

func TestEmulatedPlatform(t *testing.T) {
	path := filepath.Join(t.TempDir(), "foreign")
	writeFile(t, path, foreignELF(), 0o755)
	l := open(t, Options{Platforms: []platform.Platform{{OS: "linux", Arch: "s390x"}}})
	_, err := l.Start(t.Context(), launcher.Spec{ID: "a", Command: path})
	if err == nil || errors.Is(err, launcher.ErrPlatform) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v; want the kernel to be asked", err)
	}
}

func TestMissingInterpreter(t *testing.T) {
	l := open(t, Options{})
	path := filepath.Join(t.TempDir(), "script")
	writeFile(t, path, "#!/no/such/python3 -u\nprint()\n", 0o755)
	_, err := l.Start(t.Context(), launcher.Spec{ID: "a", Command: path})
	if !errors.Is(err, launcher.ErrMissing) || !strings.Contains(err.Error(), path+": its interpreter /no/such/python3") {
		t.Errorf("%v; want the interpreter to be named", err)
	}
}

func TestInterpreter(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"#!/bin/sh -e\n": "/bin/sh", "#! /usr/bin/env python3": "/usr/bin/env", "#!\n": "", "": "", "text": "", foreignELF(): "",
	} {
		path := filepath.Join(dir, "f")
		writeFile(t, path, text, 0o600)
		if got := interpreter(path); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := interpreter("/bin/sh"); !strings.Contains(got, "ld") && got != "" {
		t.Errorf("/bin/sh: %q, want a loader", got)
	}
	if got := interpreter(dir + "/none"); got != "" {
		t.Errorf("a missing file: %q", got)
	}
}

func TestMissingFolder(t *testing.T) {
	l := open(t, Options{})
	for _, dir := range []string{"/no/such/folder", "/etc/passwd"} {
		_, err := l.Start(t.Context(), launcher.Spec{ID: "a", Command: "/bin/sh", Dir: dir})
		if !errors.Is(err, launcher.ErrMissing) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v; want it to name the folder %s", err, dir)
		}
	}
}

// The starter waits its turn no longer than the caller's context.
func TestStarterCancelled(t *testing.T) {
	s := &starter{requests: make(chan startRequest)} // nobody takes requests
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.start(ctx, "/bin/true", nil, &os.ProcAttr{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestLogs(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{LogFolder: dir, LogSize: 100, LogFiles: 3, KeepLogs: 2})
	e := launchertest.AwaitExit(t, start(t, l, launchertest.Program{Lines: 100}.Spec(t, "a")))
	if !strings.HasPrefix(e.Reason, "ended by itself") || strings.Contains(e.Reason, "log") {
		t.Errorf("reason %q", e.Reason)
	}
	var whole string
	for _, name := range []string{"output.log.2", "output.log.1", "output.log"} {
		text, err := os.ReadFile(filepath.Join(dir, "a", name))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 100 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		whole += string(text)
	}
	if names, _ := readNames(filepath.Join(dir, "a")); len(names) != 3 {
		t.Errorf("files %q, want 3", names)
	}
	if !strings.HasSuffix(whole, "line 97\nline 98\nline 99\nready\n") || !strings.Contains(whole, "line 80\nline 81\n") {
		t.Errorf("logs hold\n%s", whole)
	}
	launchertest.AwaitExit(t, start(t, l, launchertest.Program{Lines: 1}.Spec(t, "a"))) // goes on in the same file
	before, _ := os.ReadFile(filepath.Join(dir, "a", "output.log.1"))
	now, _ := os.ReadFile(filepath.Join(dir, "a", "output.log"))
	if !strings.HasSuffix(string(before)+string(now), "line 99\nready\nline 0\nready\n") {
		t.Errorf("logs hold\n%s%s", before, now)
	}
}

func TestPruneLogs(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, id := range []string{"a", "b", "c", "d"} {
		sub := filepath.Join(dir, id)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{logName, logName + ".1"} {
			writeFile(t, filepath.Join(sub, name), "x", 0o600)
			when := at.Add(time.Duration(i) * time.Hour)
			if err := os.Chtimes(filepath.Join(sub, name), when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "other"), 0o755); err != nil { // not one of ours
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "c", "more"), "x", 0o600)
	pruneLogs(dir, 1, func(id string) bool { return id == "a" })
	names, err := readNames(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if want := []string{"a", "c", "d", "other"}; !slices.Equal(names, want) { // c keeps what is not a log
		t.Errorf("left: %q, want %q", names, want)
	}
	if left, _ := readNames(filepath.Join(dir, "c")); !slices.Equal(left, []string{"more"}) {
		t.Errorf("left in c: %q", left)
	}
	pruneLogs(filepath.Join(dir, "none"), 1, func(string) bool { return false })
}

// A disk that fails costs the log and not the container.
func TestLogFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(dir, "a", logName)); err != nil {
		t.Fatal(err)
	}
	l := open(t, Options{LogFolder: dir})
	e := launchertest.AwaitExit(t, start(t, l, launchertest.Program{Lines: 3, Code: 2}.Spec(t, "a")))
	if e.Code != 2 || !slices.Equal(e.Output, []string{"line 0", "line 1", "line 2", "ready"}) || !strings.Contains(e.Reason, unix.ENOSPC.Error()) {
		t.Errorf("%+v", e)
	}
}

func TestLogCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), "in the way", 0o600)
	l := open(t, Options{LogFolder: dir})
	_, err := l.Start(t.Context(), launcher.Spec{ID: "a", Command: "/bin/sh"})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want an error that names %s", err, dir)
	}
}

func TestOutputTail(t *testing.T) {
	long := strings.Repeat("x", 3*launcher.OutputBytes)
	for name, tt := range map[string]struct {
		writes []string
		want   []string
	}{
		"nothing":          {nil, nil},
		"one newline":      {[]string{"\n"}, nil},
		"pieces":           {[]string{"he", "llo\nwor", "ld"}, []string{"hello", "world"}},
		"empty lines":      {[]string{"a\n\nb\n"}, []string{"a", "", "b"}},
		"carriage returns": {[]string{"a\r\nb\r\n"}, []string{"a", "b"}},
		"not UTF-8":        {[]string{"a\xffb\n"}, []string{"a?b"}},
		"a long line":      {[]string{long}, []string{long[:launcher.OutputBytes]}},
		"after a long one": {[]string{long, "\nend\n"}, []string{"end"}},
	} {
		o, err := openOutput(Options{}, "a")
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range tt.writes {
			if n, err := o.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%s: Write = %d, %v", name, n, err)
			}
		}
		if got := o.lines(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %d lines, want %d", name, len(got), len(tt.want))
		}
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is written in whatever pieces, the tail is the end of it and stays bounded.
func FuzzOutputTail(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), uint8(3), uint16(9000))
	f.Fuzz(func(t *testing.T, text []byte, piece uint8, repeat uint16) {
		o := &output{}
		var all []byte
		for range repeat%2000 + 1 {
			for rest := text; len(rest) > 0; {
				n := min(len(rest), int(piece)+1)
				_, _ = o.Write(rest[:n])
				rest = rest[n:]
			}
			if all = append(all, text...); len(all) > 1<<20 {
				break
			}
		}
		lines := o.lines()
		if len(o.tail) > 2*launcher.OutputBytes || len(lines) > launcher.OutputLines {
			t.Fatalf("%d bytes, %d lines", len(o.tail), len(lines))
		}
		end := strings.TrimSuffix(strings.TrimSuffix(string(all), "\n"), "\r")
		if len(lines) > 0 && utf8.Valid(all) && !strings.HasSuffix(end, strings.TrimSuffix(lines[len(lines)-1], "?")) {
			t.Fatalf("last line %q is not the end of %q", lines[len(lines)-1], end)
		}
	})
}

func TestParseStat(t *testing.T) {
	tail := " S 1 20 30 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9"
	for name, text := range map[string]string{"plain": "10 (sh)", "odd name": "10 (a) Z 9 (b) x)"} {
		p, ok := parseStat(10, []byte(text+tail))
		if want := (process{processID: processID{10, 4711}, group: 20, session: 30}); !ok || p != want {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
	}
	if p, ok := parseStat(10, []byte("10 (sh)"+strings.Replace(tail, " S ", " Z ", 1))); !ok || !p.zombie {
		t.Errorf("zombie: %+v, %v", p, ok)
	}
	for _, text := range []string{"", "10", "10 (sh)", "10 (sh) S 1 2", "10 (sh)" + strings.Replace(tail, "20", "x", 1)} {
		if p, ok := parseStat(10, []byte(text)); ok {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("10 (sh) S 1 20 30 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9"))
	f.Fuzz(func(_ *testing.T, text []byte) { parseStat(1, text) })
}

// A sweep that cannot kill says whom, and does not wait; one whose context ends says whom it waits for.
func TestSweepGivesUp(t *testing.T) {
	if found, err := sweep(t.Context(), func(process) bool { return false }); len(found) != 0 || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	self, ok := readProcess(os.Getpid())
	if !ok || !self.alive() || self.zombie {
		t.Fatalf("own process: %+v, %v", self, ok)
	}
	other := self.processID
	other.started++
	if other.alive() {
		t.Error("a process that had our number before is alive")
	}
	refused := sweeper{seen: map[processID]error{self.processID: unix.EPERM, other: unix.EPERM}, order: []processID{self.processID, other}}
	if err := refused.refusals(); !errors.Is(err, unix.EPERM) || strings.Count(err.Error(), fmt.Sprint(os.Getpid())) != 1 {
		t.Errorf("%v, want one refusal, of %d", err, os.Getpid())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := open(t, Options{})
	c := start(t, l, launchertest.Program{Wait: true}.Spec(t, "a"))
	// It is found in the first round, and the context has ended by the time it is waited for, or it is gone by then.
	found, err := sweep(ctx, func(p process) bool { return p.pid == c.PID() })
	if len(found) != 1 || found[0].PID != c.PID() || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", found, err)
	}
	launchertest.AwaitExit(t, c)
}

func TestMarksOfOthers(t *testing.T) {
	if _, _, ok := (process{processID: processID{pid: 1 << 30}}).marks(); ok {
		t.Error("a process that is not there has marks")
	}
	if got := (process{processID: processID{pid: 1 << 30}}).command(); got != "" {
		t.Errorf("and a command: %q", got)
	}
	l := open(t, Options{})
	spec := launchertest.Program{Wait: true}.Spec(t, "a")
	spec.Args = []string{strings.Repeat("é", 300)}
	c := start(t, l, spec)
	p, ok := readProcess(c.PID())
	if !ok || p.group != c.PID() || p.session != c.PID() {
		t.Errorf("%+v, want a group and session of its own", p)
	}
	launchertest.AwaitReady(t, c)
	if o, id, ok := p.marks(); !ok || o != owner(t) || id != "a" {
		t.Errorf("marks %q, %q, %v", o, id, ok)
	}
	if line := p.command(); !utf8.ValidString(line) || !strings.HasSuffix(line, "é…") || len(line) > 210 {
		t.Errorf("command line %q", line)
	}
}
