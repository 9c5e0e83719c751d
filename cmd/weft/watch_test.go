package main

import (
	"context"
	"errors"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/terminaltest"
	"github.com/weft-fabric/weft/protocol"
)

// watcher ends the context at the third look.
type watcher struct {
	scripted
	looks int
	end   func()
	err   error // of the third look
}

func (w *watcher) Nodes(ctx context.Context, f client.Filter) iter.Seq2[protocol.NodeInfo, error] {
	if w.looks++; w.looks == 3 {
		w.end()
		if w.err != nil {
			return (&scripted{err: w.err}).Nodes(ctx, f)
		}
	}
	return w.scripted.Nodes(ctx, f)
}

// watched runs a command with --watch for two looks.
func watched(t *testing.T, out *notes, file *os.File, err error, args ...string) int {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	w := &watcher{end: end, err: err}
	if err != nil {
		w.end = func() {}
	}
	a := &app{
		out: out, errOut: out, getenv: func(string) string { return "" }, now: noon,
		dial: func(context.Context, string) (operator, error) { return operator{w, w, w, w, w, w, w, w}, nil },
	}
	if file != nil {
		a.out = file
	}
	return run(ctx, append(args, "--watch", "--interval", "1ms"), a)
}

func TestWatchAppendsOnAPipe(t *testing.T) {
	cases := []struct {
		args string
		say  string
		n    int
	}{
		{"node list", "CORES FREE", 2}, {"node list -o name", "n1\n", 2}, {"node list -o yaml", "---\n", 1}, {"node list -o json", "[\n  {", 2},
	}
	for _, c := range cases {
		out := newNotes()
		if code := watched(t, out, nil, nil, strings.Fields(c.args)...); code != exitOK {
			t.Errorf("%s: exit %d", c.args, code)
		}
		if n := strings.Count(out.String(), c.say); n != c.n || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: %d times %q in %q", c.args, n, c.say, out)
		}
	}
}

func TestWatchRedrawsOnATerminal(t *testing.T) {
	terminal := terminaltest.Open(t)
	out := newNotes()
	if code := watched(t, out, terminal.File, nil, "node", "list"); code != exitOK {
		t.Fatalf("exit %d, %s", code, out)
	}
	text := terminal.Text()
	if strings.Count(text, clearScreen) != 2 || strings.Count(text, "every 1ms, at 12:00:00") != 2 || !strings.Contains(text, "CORES FREE") {
		t.Errorf("the terminal shows %q", text)
	}
}

func TestWatchEnds(t *testing.T) {
	out := newNotes()
	if code := watched(t, out, nil, errors.New("the broker is gone"), "node", "list"); code != exitFailure || !strings.Contains(out.String(), "the broker is gone") {
		t.Errorf("exit %d, %s", code, out)
	}
	if _, errOut, code := weft(t, &scripted{}, "node", "list", "--watch", "--interval", "0s"); code != exitUsage || !strings.Contains(errOut, "--interval: 0s") {
		t.Errorf("exit %d, %s", code, errOut)
	}
}

// Colours are for terminals, and for those who want them.
func TestColours(t *testing.T) {
	terminal := terminaltest.Open(t)
	for _, c := range []struct {
		noColour string
		file     *os.File
		want     string
	}{
		{"", terminal.File, red + "x" + plain}, {"1", terminal.File, "x"}, {"", nil, "x"},
	} {
		a := &app{getenv: func(string) string { return c.noColour }}
		if got := a.paint(c.file, red, "x"); got != c.want {
			t.Errorf("NO_COLOR=%q, %v: %q", c.noColour, c.file, got)
		}
	}
}
