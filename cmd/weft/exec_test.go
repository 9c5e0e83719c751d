package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/terminaltest"
)

// cluster of a broker and an agent, and what a command is run with.
type dev struct{ endpoint string }

func startDev(t *testing.T) dev {
	t.Helper()
	out, _ := daemon(t, "dev", "--listen", "tcp://127.0.0.1:0", "--dir", filepath.Join(t.TempDir(), "agent"),
		"--capacity", "cpu=4000,memory=1GiB", "--log-level", "error")
	return dev{out.find(t, `export WEFT_BROKER=(\S+)`)}
}

// weft runs a command in a folder, with an input.
func (d dev) weft(ctx context.Context, in io.Reader, out, errOut io.Writer, args ...string) int {
	a := newApp()
	a.in, a.out, a.errOut = in, out, errOut
	a.getenv = func(name string) string { return map[string]string{brokerVariable: d.endpoint}[name] }
	return run(ctx, args, a)
}

// hasNode waits until the agent has registered.
func (d dev) hasNode(t *testing.T) {
	t.Helper()
	eventually(t, "a node is registered", func() bool {
		var out bytes.Buffer
		return d.weft(t.Context(), nil, &out, io.Discard, "node", "list", "-o", "name") == exitOK && out.Len() > 0
	})
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("waited in vain until ", what)
		}
	}
}

// processes gives those whose command line has the words.
func processes(words string) (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, l := range lines {
		text, err := os.ReadFile(l)
		if err == nil && strings.Contains(strings.ReplaceAll(string(text), "\x00", " "), words) {
			pid, _ := strconv.Atoi(strings.Split(l, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestExec(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	folder := t.TempDir()
	cases := []struct {
		args, in    string
		out, errOut string
		code        int
	}{
		{"echo <{}> ::: a b c", "", "<a>\n<b>\n<c>\n", "", 0},
		{"echo", "one\ntwo words\n", "one\ntwo words\n", "", 0},
		{"-n 2 echo", "1\n2\n3\n", "1 2\n3\n", "", 0},
		{"-0 echo", "a\x00b", "a\nb\n", "", 0},
		{"--stdin -n 2 cat", "1\n2\n3\n", "1\n2\n3\n", "", 0},
		{"--tag --env GREETING=hi,there --env NAME=x --shell echo $GREETING {}; exit {} ::: 3 7 0", "", "3\thi,there 3\n7\thi,there 7\n0\thi,there 0\n", "2 of 3 commands failed, the worst with code 7", 7},
		{"--dir " + folder + " --shell pwd # ::: x", "", folder + "\n", "", 0},
		{"--dir /nowhere/at/all true ::: x", "", "", `the working folder "/nowhere/at/all" is not there`, 127},
		{"no-such-command ::: x", "", "", "weft exec: no-such-command x: no-such-command: executable file not found", 127},
		{"--shell kill -9 $$ # ::: x", "", "", "the worst with code 137", 137},
		{"--output-limit 10 echo ::: 0123456789 a", "", "0123456789a\n", "weft exec: echo 0123456789: 1 bytes of its output were cut", 125},
		{"-j 1 --halt soon false ::: " + strings.Repeat("x ", 100), "", "", "were not begun", 1},
		{"true :::", "", "", "", 0},
		{"--dry-run --shell wc {} ::: a'b", "", `/bin/sh -c 'wc '\''a'\''\'\'''\''b'\'''` + "\n", "", 0},
	}
	for _, c := range cases {
		var out, errOut bytes.Buffer
		words := append([]string{"exec"}, strings.Fields(c.args)...)
		if i := slices.Index(words, "--shell"); i > 0 { // the line is one word
			end := len(words)
			if j := slices.Index(words, ":::"); j > 0 {
				end = j
			}
			words = slices.Concat(words[:i+1], []string{strings.Join(words[i+1:end], " ")}, words[end:])
		}
		code := d.weft(t.Context(), strings.NewReader(c.in), &out, &errOut, words...)
		if code != c.code || out.String() != c.out || !strings.Contains(errOut.String(), c.errOut) || c.errOut == "" && errOut.Len() > 0 {
			t.Errorf("weft %q: exit %d, %q, %q; want %d, %q, %q", words, code, out.String(), errOut.String(), c.code, c.out, c.errOut)
		}
	}
	var out bytes.Buffer
	if d.weft(t.Context(), nil, &out, io.Discard, "session", "list", "-o", "name"); out.Len() > 0 {
		t.Errorf("sessions are left: %s", out.String())
	}
}

// A program that does not serve is told of as such.
func TestWaiting(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	file := written(t, "sleep.yaml", "name: sleeper\nfunction: sleeps\nartefacts:\n  linux/amd64: {command: /bin/sleep, args: [\"1000\"]}\n  linux/arm64: {command: /bin/sleep, args: [\"1000\"]}\n")
	if _, errOut, code := ask(t, d.endpoint, "service", "register", file); code != exitOK {
		t.Fatal(errOut)
	}
	c, err := client.Dial(t.Context(), d.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reasons := make(chan string, 100)
	s, err := c.OpenSession(t.Context(), "sleeper", client.OnWaiting(0, func(reason string) { reasons <- reason }))
	if err != nil {
		t.Fatal(err)
	}
	const want = "its program runs, and has not called worker.Serve yet"
	for reason := range reasons {
		if strings.Contains(reason, want) {
			break
		}
	}
	if reason, err := s.Waits(t.Context()); err != nil || !strings.Contains(reason, want) {
		t.Errorf("it waits: %q, %v", reason, err)
	}
	if err := s.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if reason, err := s.Waits(t.Context()); err != nil || reason != "" {
		t.Errorf("a session that is over: %q, %v", reason, err)
	}
	if _, err := c.OpenSession(t.Context(), "sleeper", client.OnWaiting(-1, nil)); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a negative time: %v", err)
	}
	out, errOut := newNotes(), newNotes()
	if code := d.weft(t.Context(), nil, out, errOut, "exec", "echo", ":::", "a"); code != exitOK || strings.Contains(errOut.String(), "waiting") {
		t.Errorf("what does not wait: exit %d, %s", code, errOut)
	}
}

func TestExecBadUsage(t *testing.T) {
	cases := []struct{ args, says string }{
		{"exec", "COMMAND is missing"},
		{"exec ::: a", "COMMAND is missing"},
		{"exec -n 0 echo ::: a", "--max-args: 0 is less than 1"},
		{"exec -j -1 echo ::: a", "--jobs: -1 is negative"},
		{"exec --retry -1 echo ::: a", "--retry: -1 is negative"},
		{"exec --halt never! echo ::: a", `--halt: "never!" is not one of never, soon, now`},
		{"exec --output-limit much echo ::: a", "--output-limit"},
		{"exec --output-limit 2GiB echo ::: a", "is not within 0 to 1GiB"},
		{"exec --env =x echo ::: a", `--env: "=x" is neither NAME nor NAME=VALUE`},
		{"exec -a /nowhere echo", "--arg-file: open /nowhere"},
		{"exec -a file echo ::: a", "one of them is too much"},
		{"exec --replace= echo ::: a", "--replace: is empty"},
	}
	for _, c := range cases {
		if _, errOut, code := weft(t, &scripted{}, strings.Fields(c.args)...); code != exitUsage || !strings.Contains(errOut, c.says) {
			t.Errorf("weft %s: exit %d, %q; want %q", c.args, code, errOut, c.says)
		}
	}
}

// Ctrl-C ends what runs, with all it has started, and prints what has ended; nothing is left behind.
func TestExecInterrupted(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	folder := t.TempDir()
	mark := strconv.Itoa(100_000 + os.Getpid()) // a time to sleep that nobody else has
	line := fmt.Sprintf(`if [ {} = quick ]; then echo quick; else trap 'rm part-{}; exit 1' TERM; touch part-{}; sleep %s & wait; fi`, mark)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	out, errOut := newNotes(), newNotes()
	go func() {
		ended <- d.weft(ctx, nil, out, errOut, "exec", "--dir", folder, "--shell", line, ":::", "quick", "a", "b", "c", "d", "e")
	}()
	out.find(t, "(quick)")
	eventually(t, "commands run", func() bool { return len(processes("sleep "+mark)) >= 2 })
	interrupt()
	if code := <-ended; code != exitInterrupted || !strings.Contains(errOut.String(), "interrupted; 1 of 6 commands had ended") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	eventually(t, "no command is left", func() bool { return len(processes("sleep "+mark)) == 0 })
	eventually(t, "what was begun is removed", func() bool {
		left, err := filepath.Glob(folder + "/*")
		return err == nil && len(left) == 0
	})
	var list bytes.Buffer
	if d.weft(t.Context(), nil, &list, io.Discard, "session", "list", "-o", "name"); list.Len() > 0 {
		t.Errorf("sessions are left: %s", list.String())
	}
}

// Who cancels the session of an exec ends what runs and what waits; the command says so.
func TestExecSessionCancelled(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	mark := strconv.Itoa(300_000 + os.Getpid())
	args := []string{"exec", "--shell", "sleep " + mark + " # {}", ":::"}
	for i := range 40 {
		args = append(args, strconv.Itoa(i))
	}
	ended := make(chan int, 1)
	out, errOut := newNotes(), newNotes()
	go func() { ended <- d.weft(t.Context(), nil, out, errOut, args...) }()
	eventually(t, "commands run", func() bool { return len(processes("sleep "+mark)) > 0 })
	var list, said bytes.Buffer
	d.weft(t.Context(), nil, &list, io.Discard, "session", "list", "-o", "name")
	if code := d.weft(t.Context(), nil, &said, &said, "session", "cancel", strings.TrimSpace(list.String()), "--reason", "a mistake"); code != exitOK {
		t.Errorf("weft session cancel %s: exit %d, %s", list.String(), code, &said)
	}
	if code := <-ended; code != exitFabric || !strings.Contains(errOut.String(), ": a mistake") {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
	eventually(t, "no command is left", func() bool { return len(processes("sleep "+mark)) == 0 })
}

// An instance that is killed takes its command with it, which is reported and not run again, unless that was asked for;
// what had not begun may be among that. All others run once.
func TestExecInstanceKilled(t *testing.T) {
	for _, retry := range []bool{false, true} {
		t.Run(fmt.Sprintf("retry=%v", retry), func(t *testing.T) {
			d := startDev(t)
			d.hasNode(t)
			folder := t.TempDir()
			mark := strconv.Itoa(200_000 + os.Getpid())
			args := []string{"exec", "--dir", folder, "--shell"}
			if retry {
				args = []string{"exec", "--retry", "3", "--dir", folder, "--shell"}
			}
			args = append(args, fmt.Sprintf(`echo {} >> runs; if [ {} = 7 ] && mkdir once; then echo $PPID > instance; sleep %s; fi; echo {}`, mark), ":::")
			for i := range 40 {
				args = append(args, strconv.Itoa(i))
			}
			ended := make(chan int, 1)
			out, errOut := newNotes(), newNotes()
			go func() { ended <- d.weft(t.Context(), nil, out, errOut, args...) }()
			var text []byte
			eventually(t, "the command runs", func() bool {
				text, _ = os.ReadFile(folder + "/instance")
				return bytes.HasSuffix(text, []byte("\n"))
			})
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			code := <-ended
			eventually(t, "the command is gone", func() bool { return len(processes("sleep "+mark)) == 0 })
			runs, err := os.ReadFile(folder + "/runs")
			if err != nil {
				t.Fatal(err)
			}
			times := map[string]int{}
			for _, w := range strings.Fields(string(runs)) {
				times[w]++
			}
			for i := range 40 {
				a := strconv.Itoa(i)
				printed := strings.Contains("\n"+out.String(), "\n"+a+"\n")
				reported := strings.Contains(errOut.String(), "… ::: "+a+": it is not known whether it ran")
				switch {
				case retry && (!printed || reported || times[a] == 0 || a == "7" && times[a] != 2):
					t.Errorf("%s: printed %v, reported %v, run %d times", a, printed, reported, times[a])
				case !retry && (printed == reported || times[a] > 1 || printed && times[a] != 1 || a == "7" && !reported):
					t.Errorf("%s: printed %v, reported %v, run %d times", a, printed, reported, times[a])
				}
			}
			if want := map[bool]int{true: exitOK, false: exitFabric}[retry]; code != want {
				t.Errorf("exit %d, want %d: %s", code, want, errOut)
			}
		})
	}
}

// gzip over the files of a tree is what gzip is elsewhere, with progress on a terminal.
func TestExecFiles(t *testing.T) {
	d := startDev(t)
	d.hasNode(t)
	folder := t.TempDir()
	const n = 100
	want := map[string]string{}
	var names strings.Builder
	for i := range n {
		name := filepath.Join(folder, fmt.Sprintf("file %d", i))
		want[name] = strings.Repeat(name+"\n", i)
		if err := os.WriteFile(name, []byte(want[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		names.WriteString(name + "\n")
	}
	terminal := terminaltest.Open(t)
	var out bytes.Buffer
	code := d.weft(t.Context(), strings.NewReader(names.String()), &out, terminal.File, "exec", "gzip", "-k", "{}")
	shown := terminal.Text()
	if code != exitOK || out.Len() > 0 || !strings.Contains(shown, "commands/") {
		t.Errorf("exit %d, %q, shown %q", code, out.String(), shown)
	}
	for name, text := range want {
		f, err := os.Open(name + ".gz")
		if err != nil {
			t.Error(err)
			continue
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Error(err)
		} else if got, err := io.ReadAll(z); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		f.Close()
	}
	if left, _ := filepath.Glob(folder + "/*"); len(left) != 2*n {
		t.Errorf("%d files", len(left))
	}
}

func TestExecWithoutNodes(t *testing.T) {
	out, _ := daemon(t, "broker", "--listen", "tcp://127.0.0.1:0", "--log-level", "error")
	endpoint := out.find(t, `listening at (\S+)\n`)
	_, errOut, code := ask(t, endpoint, "exec", "echo", ":::", "a")
	if code != exitUnavailable || !strings.Contains(errOut, "no compute node is registered") || !strings.Contains(errOut, "weft agent --broker "+endpoint) {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
