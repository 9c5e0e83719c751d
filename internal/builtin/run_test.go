package builtin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// here is a setting for commands in a folder of the test.
func here(t *testing.T) Setting {
	t.Helper()
	return Setting{Dir: t.TempDir(), Env: append(os.Environ(), "GREETING=hello"), Limit: 1 << 20}
}

func shell(line string) Command { return Command{Args: []string{"/bin/sh", "-c", line}} }

func TestRun(t *testing.T) {
	s := here(t)
	if err := os.WriteFile(filepath.Join(s.Dir, "script"), []byte("#!/bin/sh\necho in $1\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "text"), []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name           string
		command        Command
		code           int
		out, err, says string
	}{
		{"output", shell("echo $GREETING; echo oops >&2"), 0, "hello\n", "oops\n", ""},
		{"exit code", shell("exit 7"), 7, "", "", ""},
		{"signal", shell("kill -TERM $$"), 128 + 15, "", "", ""},
		{"folder", shell("pwd"), 0, s.Dir + "\n", "", ""},
		{"no input", shell("cat"), 0, "", "", ""},
		{"input", Command{Args: []string{"cat"}, Input: []byte("a\nb\n")}, 0, "a\nb\n", "", ""},
		{"input that nobody reads", Command{Args: []string{"true"}, Input: bytes.Repeat([]byte("x"), 1<<20)}, 0, "", "", ""},
		{"relative", Command{Args: []string{"./script", "x"}}, 0, "in x\n", "", ""},
		{"not found", Command{Args: []string{"no-such-command"}}, 127, "", "", "no-such-command: executable file not found"},
		{"no file", Command{Args: []string{"./nothing"}}, 127, "", "", "nothing: no such file"},
		{"no program", Command{Args: []string{"./text"}}, 126, "", "", "permission denied"},
		{"a folder", Command{Args: []string{"/"}}, 126, "", "", "is a folder"},
		{"many words", Command{Args: append([]string{"echo"}, strings.Fields(strings.Repeat("w ", 1000))...)}, 0, strings.TrimSpace(strings.Repeat("w ", 1000)) + "\n", "", ""},
		{"too long", Command{Args: []string{"echo", strings.Repeat("x", 1<<20)}}, 126, "", "", "argument list too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := s.run(t.Context(), c.command)
			if o.Code != c.code || string(o.Out) != c.out || string(o.Err) != c.err || o.Lost != 0 {
				t.Errorf("code %d, out %.80q, err %.80q, %d lost", o.Code, o.Out, o.Err, o.Lost)
			}
			if c.says == "" && o.Problem != "" || !strings.Contains(o.Problem, c.says) {
				t.Errorf("problem %q, want %q", o.Problem, c.says)
			}
		})
	}
	s.Dir = filepath.Join(s.Dir, "gone")
	if o := s.run(t.Context(), shell("true")); o.Code != 127 || !strings.Contains(o.Problem, "the working folder") {
		t.Errorf("without its folder: %+v", o)
	}
}

// Output beyond the limit is counted, not kept, and does not hold the command up.
func TestOutputLimit(t *testing.T) {
	s := here(t)
	s.Limit = 1000
	o := s.run(t.Context(), shell("head -c 300 /dev/zero >&2; head -c 200000 /dev/zero; exit 3"))
	if len(o.Out)+len(o.Err) != 1000 || o.Lost != 200_300-1000 || o.Code != 3 {
		t.Errorf("%d and %d bytes kept, %d lost, code %d", len(o.Out), len(o.Err), o.Lost, o.Code)
	}
}

// alive says whether a process is there and is no zombie.
func alive(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("in vain waited until ", what)
		}
	}
}

// pids reads numbers of processes from a file, when as many are there as are wanted.
func pids(t *testing.T, path string, n int) (list []int) {
	t.Helper()
	var words []string
	eventually(t, path+" is written", func() bool {
		text, _ := os.ReadFile(path)
		words = strings.Fields(string(text))
		return len(words) >= n && strings.HasSuffix(string(text), "\n")
	})
	for _, w := range words {
		pid, err := strconv.Atoi(w)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, pid)
	}
	return list
}

// killed waits until processes are, who were killed before.
func killed(t *testing.T, processes []int) {
	t.Helper()
	for _, pid := range processes {
		eventually(t, "process "+strconv.Itoa(pid)+" is gone", func() bool { return !alive(pid) })
	}
}

// When the context ends the whole group is asked to end, and can clear away what it began.
func TestCancel(t *testing.T) {
	s := here(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Outcome, 1)
	go func() {
		done <- s.run(ctx, shell(`trap 'rm -f part; exit 9' TERM; touch part; sleep 1000 & echo $$ $! > pids; wait`))
	}()
	processes := pids(t, filepath.Join(s.Dir, "pids"), 2)
	cancel()
	if o := <-done; o.Code != 9 {
		t.Errorf("code %d, want that of the trap", o.Code)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "part")); !os.IsNotExist(err) {
		t.Errorf("what was begun is still there: %v", err)
	}
	killed(t, processes)
}

// Who does not heed the request is killed.
func TestCancelStubborn(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the grace")
	}
	s := here(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Outcome, 1)
	go func() {
		done <- s.run(ctx, shell(`trap '' TERM; (echo $$ > pids; sleep 1000)`))
	}()
	processes := pids(t, filepath.Join(s.Dir, "pids"), 1)
	cancel()
	if o := <-done; o.Code != 128+9 {
		t.Errorf("code %d", o.Code)
	}
	killed(t, processes)
}

// What a command leaves running is killed; what it still writes for a moment is taken.
func TestLeftBehind(t *testing.T) {
	s := here(t)
	o := s.run(t.Context(), shell(`sleep 1000 >/dev/null 2>&1 & echo $! > pids; echo done`))
	if o.Code != 0 || string(o.Out) != "done\n" {
		t.Errorf("%+v", o)
	}
	killed(t, pids(t, filepath.Join(s.Dir, "pids"), 1))
	if o = s.run(t.Context(), shell(`(sleep 0.1; echo late) &`)); string(o.Out) != "late\n" {
		t.Errorf("what came late: %q", o.Out)
	}
}
