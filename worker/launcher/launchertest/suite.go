package launchertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/worker/launcher"
)

// Harness is how the suite gets at a launcher.
type Harness struct {
	// New makes a launcher with an owner mark; the suite closes it.
	New func(t *testing.T, owner string) launcher.Launcher
	// Spec returns a container that runs a program.
	Spec func(t testing.TB, p Program, id string) launcher.Spec
	// Bad returns one that cannot start, for this reason (launcher.ErrMissing, ErrNotExecutable or ErrPlatform).
	Bad func(t testing.TB, reason error, id string) launcher.Spec
	// Leave leaves a process behind that bears an owner and a container mark, and returns its number.
	Leave func(t *testing.T, l launcher.Launcher, owner, container string) int
	// Within says that containers live within the test's process. Then what only a process of its own can have or do is
	// left out: signals that it sends itself, descriptors, environment variables, a folder, outliving its launcher; and
	// of the reasons for Bad there is ErrMissing only.
	Within bool
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Run("End", h.end)
	t.Run("Stop", h.stop)
	t.Run("StopIgnored", h.stopIgnored)
	t.Run("StopAgain", h.stopAgain)
	t.Run("Kill", h.kill)
	t.Run("Identity", h.identity)
	t.Run("Output", h.output)
	t.Run("BadCommand", h.badCommand)
	t.Run("BadSpec", h.badSpec)
	t.Run("Duplicate", h.duplicate)
	t.Run("Cancelled", h.cancelled)
	t.Run("Close", h.close)
	t.Run("Many", h.many)
	if h.Within {
		return
	}
	t.Run("Signals", h.signals)
	t.Run("Unread", h.unread)
	t.Run("Descriptors", h.descriptors)
	t.Run("Environment", h.environment)
	t.Run("BadFile", h.badFile)
	t.Run("Reap", h.reap)
}

// open makes a launcher and has it closed at the test's end.
func (h Harness) open(t *testing.T, owner string) launcher.Launcher {
	t.Helper()
	l := h.New(t, owner)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// start starts a program.
func (h Harness) start(t *testing.T, l launcher.Launcher, p Program, id string) launcher.Container {
	t.Helper()
	c, err := l.Start(t.Context(), h.Spec(t, p, id))
	if err != nil {
		t.Fatal(err)
	}
	if c.ID() != id || c.PID() <= 1 {
		t.Errorf("container %q with process %d, want %q", c.ID(), c.PID(), id)
	}
	return c
}

// owner returns an owner mark that no other test run uses.
func owner(t *testing.T) string {
	return fmt.Sprintf("launchertest-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
}

// expect compares an end.
func expect(t *testing.T, e launcher.Exit, code, signal int, cause launcher.Cause) {
	t.Helper()
	if e.Code != code || e.Signal != signal || e.Cause != cause || e.Reason == "" {
		t.Errorf("ended with code %d, signal %d, cause %v, because %q; want %d, %d, %v", e.Code, e.Signal, e.Cause, e.Reason, code, signal, cause)
	}
}

func (h Harness) end(t *testing.T) {
	for _, code := range []int{0, 3, 255} {
		h.endsItself(t, Program{Code: code}, code, 0)
	}
}

func (h Harness) signals(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		h.endsItself(t, Program{Signal: int(signal)}, -1, int(signal))
	}
}

// endsItself runs a program that ends by its own doing.
func (h Harness) endsItself(t *testing.T, p Program, code, signal int) {
	l := h.open(t, owner(t))
	c := h.start(t, l, p, "a")
	e := AwaitExit(t, c)
	expect(t, e, code, signal, launcher.Itself)
	if !slices.Contains(e.Output, Ready) {
		t.Errorf("output %q, want %q in it", e.Output, Ready)
	}
	c.Stop(time.Hour)
	c.Kill()
	if again := c.Exit(); again.Reason != e.Reason || again.Cause != e.Cause {
		t.Errorf("told to end after its end: %+v, was %+v", again, e)
	}
}

func (h Harness) stop(t *testing.T) {
	l := h.open(t, owner(t))
	c := h.start(t, l, Program{Wait: true, Code: 7}, "a")
	AwaitReady(t, c)
	if e := c.Exit(); e.Reason != "" {
		t.Errorf("it lives, and has ended: %+v", e)
	}
	c.Stop(patience)
	expect(t, AwaitExit(t, c), 7, 0, launcher.Stopped)
}

func (h Harness) stopIgnored(t *testing.T) {
	l := h.open(t, owner(t))
	c := h.start(t, l, Program{Wait: true, IgnoreStop: true}, "a")
	AwaitReady(t, c)
	c.Stop(20 * time.Millisecond)
	e := AwaitExit(t, c)
	expect(t, e, -1, int(unix.SIGKILL), launcher.Overdue)
	if !strings.Contains(e.Reason, "20ms") {
		t.Errorf("%q does not say the grace", e.Reason)
	}
}

func (h Harness) stopAgain(t *testing.T) {
	l := h.open(t, owner(t))
	c := h.start(t, l, Program{Wait: true, IgnoreStop: true}, "longer")
	AwaitReady(t, c)
	c.Stop(20 * time.Millisecond)
	c.Stop(time.Hour) // does not lengthen the grace
	expect(t, AwaitExit(t, c), -1, int(unix.SIGKILL), launcher.Overdue)

	c = h.start(t, l, Program{Wait: true, IgnoreStop: true}, "shorter")
	AwaitReady(t, c)
	c.Stop(time.Hour)
	c.Stop(20 * time.Millisecond)
	expect(t, AwaitExit(t, c), -1, int(unix.SIGKILL), launcher.Overdue)

	c = h.start(t, l, Program{Wait: true, IgnoreStop: true}, "killed")
	AwaitReady(t, c)
	c.Stop(time.Hour)
	c.Kill()
	c.Stop(time.Hour)
	expect(t, AwaitExit(t, c), -1, int(unix.SIGKILL), launcher.Killed)
}

func (h Harness) kill(t *testing.T) {
	l := h.open(t, owner(t))
	for name, kill := range map[string]func(launcher.Container){
		"kill":        launcher.Container.Kill,
		"no-grace":    func(c launcher.Container) { c.Stop(0) },
		"minus-grace": func(c launcher.Container) { c.Stop(-time.Second) },
	} {
		c := h.start(t, l, Program{Wait: true}, name)
		kill(c) // ready or not
		kill(c)
		expect(t, AwaitExit(t, c), -1, int(unix.SIGKILL), launcher.Killed)
	}
}

func (h Harness) identity(t *testing.T) {
	l := h.open(t, owner(t))
	// Larger than any pipe's buffer, and the largest.
	for _, identity := range [][]byte{nil, []byte("who I am\x00\n"), bytes.Repeat([]byte("0123456789"), 20_000), make([]byte, launcher.MaxIdentity)} {
		spec := h.Spec(t, Program{Identity: true}, "a")
		spec.Identity = identity
		c, err := l.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if e := AwaitExit(t, c); !slices.Contains(e.Output, IdentityLine(identity)) {
			t.Errorf("identity of %d bytes: %+v", len(identity), e)
		}
	}
}

// unread starts one that ends without reading its identity.
func (h Harness) unread(t *testing.T) {
	l := h.open(t, owner(t))
	spec := h.Spec(t, Program{}, "a")
	spec.Command, spec.Args, spec.Identity = "/bin/sh", []string{"-c", "exit 0"}, make([]byte, launcher.MaxIdentity)
	c, err := l.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	AwaitExit(t, c)
}

func (h Harness) descriptors(t *testing.T) {
	// One that a careless library would leave open to children.
	fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // a descriptor to be seen or not
	l := h.open(t, owner(t))
	spec := h.Spec(t, Program{Descriptors: true}, "a")
	for identity, want := range map[string]string{"": "descriptors: [0 1 2]", "x": "descriptors: [0 1 2 3]"} {
		spec.Identity = []byte(identity)
		c, err := l.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if e := AwaitExit(t, c); !slices.Contains(e.Output, want) {
			t.Errorf("with identity %q: %q, want %q", identity, e.Output, want)
		}
	}
}

func (h Harness) environment(t *testing.T) {
	t.Setenv("LAUNCHERTEST_SECRET", "of the agent")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("HOME", "/home/of/agent")
	me := owner(t)
	l := h.open(t, me)
	spec := h.Spec(t, Program{
		Variables: []string{"LAUNCHERTEST_SECRET", "LANG", "HOME", "GREETING", launcher.EnvOwner, launcher.EnvContainer, launcher.EnvIdentityFD},
		Folder:    true,
	}, "a")
	spec.Env = append(spec.Env, "GREETING=hello = there", "HOME=/first", "HOME=/second")
	for dir, want := range map[string]string{"": "/", "/usr": "/usr"} {
		spec.Dir = dir
		c, err := l.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		e := AwaitExit(t, c)
		wanted := []string{
			"LAUNCHERTEST_SECRET is not set", "LANG=de_DE.UTF-8", "HOME=/second", "GREETING=hello = there",
			launcher.EnvOwner + "=" + me, launcher.EnvContainer + "=a", launcher.EnvIdentityFD + " is not set", "folder: " + want,
		}
		for _, line := range wanted {
			if !slices.Contains(e.Output, line) {
				t.Errorf("no %q in %q", line, e.Output)
			}
		}
	}
}

func (h Harness) output(t *testing.T) {
	l := h.open(t, owner(t))
	c := h.start(t, l, Program{Lines: 1000, Code: 1}, "a")
	e := AwaitExit(t, c)
	var want []string
	for i := 1000 - launcher.OutputLines + 1; i < 1000; i++ {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	want = append(want, Ready)
	if !slices.Equal(e.Output, want) {
		t.Errorf("last lines\n%q, want\n%q", e.Output, want)
	}
	if got := c.Output(); !slices.Equal(got, want) {
		t.Errorf("Output after the end: %q", got)
	}
}

func (h Harness) badCommand(t *testing.T) { h.cannotStart(t, launcher.ErrMissing) }

func (h Harness) badFile(t *testing.T) {
	h.cannotStart(t, launcher.ErrNotExecutable, launcher.ErrPlatform)
}

func (h Harness) cannotStart(t *testing.T, reasons ...error) {
	l := h.open(t, owner(t))
	for _, reason := range reasons {
		spec := h.Bad(t, reason, "a")
		_, err := l.Start(t.Context(), spec)
		var failed *launcher.StartError
		if !errors.Is(err, reason) || !errors.As(err, &failed) {
			t.Errorf("%v, want %v in a StartError", err, reason)
			continue
		}
		if failed.ID != "a" || failed.Path != spec.Command || failed.Want == "" || !strings.Contains(err.Error(), spec.Command) {
			t.Errorf("%v: want it to name the path %s and what would be right", err, spec.Command)
		}
	}
	AwaitExit(t, h.start(t, l, Program{}, "a")) // the id was given back
}

func (h Harness) badSpec(t *testing.T) {
	l := h.open(t, owner(t))
	spec := h.Spec(t, Program{}, "a/b")
	var bad *launcher.SpecError
	if _, err := l.Start(t.Context(), spec); !errors.As(err, &bad) || bad.Field != "ID" {
		t.Errorf("%v, want a SpecError about ID", err)
	}
}

func (h Harness) duplicate(t *testing.T) {
	l := h.open(t, owner(t))
	c := h.start(t, l, Program{Wait: true}, "a")
	if _, err := l.Start(t.Context(), h.Spec(t, Program{}, "a")); !errors.Is(err, launcher.ErrDuplicate) {
		t.Errorf("%v, want %v", err, launcher.ErrDuplicate)
	}
	c.Kill()
	AwaitExit(t, c)
	AwaitExit(t, h.start(t, l, Program{}, "a"))
}

func (h Harness) cancelled(t *testing.T) {
	l := h.open(t, owner(t))
	ctx, cancel := context.WithCancel(t.Context())
	c, err := l.Start(ctx, h.Spec(t, Program{Wait: true, Code: 5}, "a"))
	if err != nil {
		t.Fatal(err)
	}
	AwaitReady(t, c)
	cancel() // bounds the start only
	if _, err := l.Start(ctx, h.Spec(t, Program{}, "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	c.Stop(patience)
	expect(t, AwaitExit(t, c), 5, 0, launcher.Stopped)
}

func (h Harness) close(t *testing.T) {
	l := h.open(t, owner(t))
	var all []launcher.Container
	for i := range 3 {
		all = append(all, h.start(t, l, Program{Wait: true, IgnoreStop: true}, fmt.Sprint(i)))
	}
	AwaitReady(t, all[0])
	all[0].Stop(time.Hour)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, c := range all {
			select {
			case <-c.Done():
				expect(t, c.Exit(), -1, int(unix.SIGKILL), launcher.Killed)
			default:
				t.Errorf("container %s lives after Close", c.ID())
			}
		}
	}
	if _, err := l.Start(t.Context(), h.Spec(t, Program{}, "late")); !errors.Is(err, launcher.ErrClosed) {
		t.Errorf("%v, want %v", err, launcher.ErrClosed)
	}
}

func (h Harness) many(t *testing.T) {
	l := h.open(t, owner(t))
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			c, err := l.Start(t.Context(), h.Spec(t, Program{Code: i}, fmt.Sprint("c", i)))
			if err != nil {
				t.Error(err)
				return
			}
			<-c.Done()
			expect(t, c.Exit(), i, 0, launcher.Itself)
		})
	}
	all.Wait()
}

func (h Harness) reap(t *testing.T) {
	me := owner(t)
	l := h.open(t, me)
	mine := h.start(t, l, Program{Wait: true, Code: 6}, "mine")
	AwaitReady(t, mine)
	if found, err := l.Reap(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("nothing was left: %+v, %v", found, err)
	}
	left := map[int]string{h.Leave(t, l, me, "old-1"): "old-1", h.Leave(t, l, me, "old-2"): "old-2"}
	found, err := l.Reap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if left[f.PID] != f.ContainerID || f.Command == "" {
			t.Errorf("found %+v, want one of %v, with its command", f, left)
		}
		delete(left, f.PID)
	}
	if len(left) != 0 {
		t.Errorf("not found: %v", left)
	}
	if found, err := l.Reap(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("the second time: %+v, %v", found, err)
	}
	mine.Stop(patience)
	expect(t, AwaitExit(t, mine), 6, 0, launcher.Stopped) // a living container was not touched
}
