package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/internal/terminaltest"
	"github.com/weft-fabric/weft/protocol"
)

// cluster runs commands by a function, each when it is let go.
type cluster struct {
	mu     sync.Mutex
	held   []func()
	let    bool // at once
	run    func(c builtin.Command) (builtin.Outcome, error)
	dead   bool
	starts map[string]int
	batch  int    // held so many, all are let go; 0: never
	look   func() // at each start
}

func newCluster(run func(c builtin.Command) (builtin.Outcome, error)) *cluster {
	return &cluster{let: true, run: run, starts: map[string]int{}}
}

func (x *cluster) SubmitFunc(ctx context.Context, payload []byte, fn func(client.Result), _ ...client.TaskOption) error {
	var c builtin.Command
	if err := msgpack.Unmarshal(payload, &c); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if strings.Contains(fmt.Sprint(c.Args), "huge") {
		return protocol.Errorf(protocol.CodePayloadTooLarge, "submit", "it is huge")
	}
	if strings.Contains(fmt.Sprint(c.Args), "over") {
		return protocol.Errorf(protocol.CodeSessionClosed, "submit", "the session was closed")
	}
	x.mu.Lock()
	x.starts[c.Args[1]]++
	x.mu.Unlock()
	end := func() {
		x.mu.Lock()
		dead := x.dead
		x.mu.Unlock()
		if dead {
			fn(client.Result{Err: protocol.Errorf(protocol.CodeSessionKilled, "session", "killed")})
			return
		}
		o, err := x.run(c)
		if err != nil {
			fn(client.Result{Err: err})
			return
		}
		b, err := msgpack.Marshal(o)
		fn(client.Result{Payload: b, Err: err})
	}
	if x.look != nil {
		x.look()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.let {
		go end()
		return nil
	}
	if x.held = append(x.held, end); len(x.held) == x.batch {
		go x.release()
	}
	return nil
}

// holding waits until n are held.
func (x *cluster) holding(n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		x.mu.Lock()
		enough := len(x.held) >= n
		x.mu.Unlock()
		if enough {
			return
		}
	}
}

// release lets go what is held, the last first.
func (x *cluster) release() {
	x.mu.Lock()
	held := x.held
	x.held = nil
	x.mu.Unlock()
	for i := len(held) - 1; i >= 0; i-- {
		held[i]()
	}
}

func (x *cluster) kill() error {
	x.mu.Lock()
	x.dead = true
	x.let = true
	x.mu.Unlock()
	x.release()
	return nil
}

// says is a command that prints its argument; some arguments mean something.
func says(c builtin.Command) (builtin.Outcome, error) {
	a := c.Args[1]
	o := builtin.Outcome{Out: []byte(a + "\n")}
	switch {
	case strings.HasPrefix(a, "fail"):
		o.Code = len(a)
	case strings.HasPrefix(a, "lost"):
		return o, protocol.Errorf(protocol.CodeHostLossSpent, "task", "1 instances were lost under it")
	case strings.HasPrefix(a, "forgotten"):
		return o, protocol.Errorf(protocol.CodeUnknownService, "session", "the broker was restarted")
	case strings.HasPrefix(a, "none"):
		return builtin.Outcome{Code: exitNotFoundThere, Problem: "there is no such command"}, nil
	case strings.HasPrefix(a, "long"):
		o.Lost = 12
	case strings.HasPrefix(a, "err"):
		o.Out, o.Err, o.Problem = nil, []byte("x\ny"), "strange"
	}
	return o, nil
}

func echoing(args iter.Seq2[string, error]) iter.Seq2[job, error] {
	return template{words: []string{"echo"}, place: "{}"}.jobs(args, 1)
}

func running(x *cluster) (r *runner, out, errOut *bytes.Buffer) {
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	return newRunner(x, out, errOut), out, errOut
}

func TestRunner(t *testing.T) {
	cases := []struct {
		args, out, errOut string
		worst, failed     int
	}{
		{"a b c", "a\nb\nc\n", "", 0, 0},
		{"", "", "", 0, 0},
		{"a fail fail2 b", "a\nfail\nfail2\nb\n", "weft exec: echo fail: exit code 4\nweft exec: echo fail2: exit code 5\n", 5, 2},
		{"lost a", "a\n", "weft exec: echo lost: it is not known whether it ran, and it was not run again (see --retry): task: HostLossSpent: 1 instances were lost under it\n", 125, 1},
		{"long", "long\n", "weft exec: echo long: 12 bytes of its output were cut (see --output-limit)\n", 125, 1},
		{"huge", "", "weft exec: echo huge: submit: PayloadTooLarge: it is huge\n", 125, 1},
		{"none none2 none3", "", "weft exec: echo none: there is no such command; a line for a shell needs --shell\nweft exec: … and 2 more like these\n", 127, 3},
		{"forgotten a", "a\n", "weft exec: echo forgotten: it is not known whether it ran: the broker was restarted meanwhile, and has forgotten it\n", 125, 1},
		{strings.Repeat("fail ", 13), strings.Repeat("fail\n", 13), strings.Repeat("weft exec: echo fail: exit code 4\n", 10) + "weft exec: … and 3 more like these\n", 4, 13},
		{"err", "", "x\ny\nweft exec: echo err: strange\n", 0, 0},
	}
	for _, c := range cases {
		r, out, errOut := running(newCluster(says))
		r.said.hint = template{words: []string{"echo {}; false"}}.shellHint()
		if err := r.run(t.Context(), echoing(given(strings.Fields(c.args))), nil); err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
		if out.String() != c.out || errOut.String() != c.errOut || r.worst != c.worst || r.failed != c.failed {
			t.Errorf("%q: %q, %q, worst %d of %d; want %+v", c.args, out, errOut, r.worst, r.failed, c)
		}
	}
}

// numbers yields n arguments.
func numbers(n int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range n {
			if !yield(fmt.Sprintf("%05d", i), nil) {
				return
			}
		}
	}
}

// What ends in any order is printed in that of the arguments, and never is more sent ahead than is allowed.
func TestRunnerOrder(t *testing.T) {
	const n, ahead, batch = 203, 10, 5
	for _, unordered := range []bool{false, true} {
		x := newCluster(says)
		x.let, x.batch = false, batch
		r, out, _ := running(x)
		r.ahead, r.unordered, r.shelf = ahead, unordered, newShelf(20)
		x.look = func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.sent-r.printed > ahead {
				t.Errorf("%d are ahead", r.sent-r.printed)
			}
		}
		args := func(yield func(string, error) bool) {
			for i := range n {
				if !yield(fmt.Sprintf("%05d", i), nil) {
					return
				}
			}
			x.mu.Lock()
			x.let = true
			x.mu.Unlock()
			x.release()
		}
		if err := r.run(t.Context(), echoing(args), nil); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for i := range n {
			fmt.Fprintf(&want, "%05d\n", i)
		}
		if got := out.String(); (got == want.String()) == unordered || len(got) != want.Len() {
			t.Errorf("unordered %v: %d bytes, in order %v", unordered, len(got), got == want.String())
		}
	}
}

func TestRunnerRetries(t *testing.T) {
	lost := 0
	x := newCluster(func(c builtin.Command) (builtin.Outcome, error) {
		if c.Args[1] == "lost" {
			if lost++; lost <= 2 {
				return says(c)
			}
			return builtin.Outcome{Out: []byte("at last\n")}, nil
		}
		return says(c)
	})
	r, out, _ := running(x)
	r.retries = 2
	if err := r.run(t.Context(), echoing(given([]string{"a", "lost", "b"})), nil); err != nil {
		t.Fatal(err)
	}
	if out.String() != "a\nat last\nb\n" || r.worst != 0 || x.starts["lost"] != 3 || x.starts["a"] != 1 {
		t.Errorf("%q, worst %d, starts %v", out, r.worst, x.starts)
	}
}

func TestRunnerTags(t *testing.T) {
	r, out, errOut := running(newCluster(says))
	r.tag = true
	if err := r.run(t.Context(), echoing(given([]string{"a", "err"})), nil); err != nil {
		t.Fatal(err)
	}
	if out.String() != "a\ta\n" || errOut.String() != "err\tx\nerr\ty\nweft exec: echo err: strange\n" {
		t.Errorf("%q, %q", out, errOut)
	}
}

// endless yields arguments until nobody wants more.
func endless(first ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, a := range first {
			if !yield(a, nil) {
				return
			}
		}
		for yield("more", nil) {
		}
	}
}

func TestRunnerHalts(t *testing.T) {
	for _, halt := range []string{haltSoon, haltNow} {
		x := newCluster(says)
		r, out, _ := running(x)
		r.halt, r.ahead = halt, 5
		var kills int
		if err := r.run(t.Context(), echoing(endless("a", "fail")), func() error { kills++; return x.kill() }); err != nil {
			t.Fatal(err)
		}
		if left := r.brokenOff(r.sent + 7); !strings.HasSuffix(left, "7 were not begun") || (r.cut > 0) != strings.Contains(left, "killed") {
			t.Errorf("%s: %d cut, %q", halt, r.cut, left)
		}
		if r.worst != 4 || r.failed != 1 || !strings.Contains(out.String(), "fail\n") || (kills == 1) != (halt == haltNow) {
			t.Errorf("%s: worst %d, %d failed, %d kills, %q", halt, r.worst, r.failed, kills, out)
		}
	}
}

// The end of the context kills, also while the arguments do not come; what has ended is printed.
func TestRunnerInterrupted(t *testing.T) {
	x := newCluster(says)
	x.let = false
	r, out, _ := running(x)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	args, typing := io.Pipe()
	defer typing.Close()
	go func() {
		_, _ = io.WriteString(typing, "a\nb\nc\n")
		x.holding(3)
		x.mu.Lock()
		second := x.held[1]
		x.held = append(x.held[:1], x.held[2:]...)
		x.mu.Unlock()
		second()
		cancel()
	}()
	if err := r.run(ctx, echoing(lines(args, false)), x.kill); err != nil {
		t.Fatal(err)
	}
	if out.String() != "b\n" || r.sent != 3 || r.printed != 3 || r.cut != 2 || r.failed != 0 {
		t.Errorf("%q; %d sent, %d printed, %d cut, %d failed", out, r.sent, r.printed, r.cut, r.failed)
	}
}

func TestRunnerErrors(t *testing.T) {
	r, out, _ := running(newCluster(says))
	err := r.run(t.Context(), echoing(lines(broken{strings.NewReader("a\nb\n")}, false)), nil)
	if err == nil || !strings.Contains(err.Error(), "the disk is gone") || out.String() != "a\nb\n" {
		t.Errorf("arguments that cannot be read: %v, %q", err, out)
	}
	r, out, _ = running(newCluster(says))
	if err := r.run(t.Context(), echoing(given([]string{"a", "over", "b"})), nil); !errors.Is(err, client.ErrSessionClosed) || out.String() != "a\n" {
		t.Errorf("a session that ends: %v, %q", err, out)
	}
	x := newCluster(says)
	r = newRunner(x, failing{}, failing{})
	r.ahead = 3
	if err := r.run(t.Context(), echoing(endless()), x.kill); err == nil || !strings.Contains(err.Error(), "nobody reads") {
		t.Errorf("output that nobody reads: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

func TestRunnerShowsProgressOnATerminal(t *testing.T) {
	terminal := terminaltest.Open(t)
	var out bytes.Buffer
	r := newRunner(newCluster(says), &out, terminal.File)
	if err := r.run(t.Context(), echoing(numbers(50)), nil); err != nil {
		t.Fatal(err)
	}
	shown := terminal.Text()
	if !strings.Contains(shown, "commands/") || !strings.Contains(shown, "%") {
		t.Errorf("shown: %q", shown)
	}
	if strings.Contains(out.String(), "%") {
		t.Errorf("the bar is in the output: %q", out.String())
	}
}

// A line without an end is not hidden by the bar that is drawn next. What is not for a terminal is left as it is.
func TestRunnerEndsLinesOnATerminal(t *testing.T) {
	open := newCluster(func(builtin.Command) (builtin.Outcome, error) { return builtin.Outcome{Out: []byte("open")}, nil })
	terminal := terminaltest.Open(t)
	if err := newRunner(open, terminal.File, terminal.File).run(t.Context(), echoing(numbers(3)), nil); err != nil {
		t.Fatal(err)
	}
	if shown := terminal.Text(); strings.Count(shown, "open\r\n") != 3 {
		t.Errorf("shown: %q", shown)
	}
	terminal = terminaltest.Open(t)
	var out bytes.Buffer
	if err := newRunner(open, &out, terminal.File).run(t.Context(), echoing(numbers(3)), nil); err != nil {
		t.Fatal(err)
	}
	if out.String() != "openopenopen" {
		t.Errorf("output: %q", out.String())
	}
}

func TestCommandNames(t *testing.T) {
	shell := template{words: []string{"wc {}\ntrue"}, place: "{}", shell: true}
	input := template{words: []string{"cat"}, place: "{}", asInput: true}
	long := template{words: []string{"echo", strings.Repeat("é", 200)}, place: "{}"}
	for got, want := range map[string]string{
		shell.job([]string{"a b"}).name():    "wc 'a b'… ::: a b",
		input.job([]string{"a", "b"}).name(): "cat ::: a b",
		long.job([]string{"x"}).name():       "echo " + strings.Repeat("é", 34) + "… ::: x",
		exitText(20):                         "exit code 20",
		exitText(137):                        "exit code 137 (SIGKILL)",
		exitText(255):                        "exit code 255",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for words, hint := range map[string]bool{"echo {}; false": true, "echo": false, "./my-script.sh": false} {
		if got := (template{words: []string{words}}).shellHint() != ""; got != hint {
			t.Errorf("hint for %q: %t", words, got)
		}
	}
	if (template{words: []string{"a; b"}, shell: true}).shellHint() != "" {
		t.Error("the hint is given with --shell")
	}
}
