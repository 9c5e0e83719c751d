package embed

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/internal/hosted"
	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

// play runs a program of the suite as far as a goroutine can.
func play(ctx context.Context, c *container) int {
	p, err := launchertest.Of(c.spec)
	if err != nil {
		c.say(err.Error())
		return 125
	}
	me, _ := hosted.From(ctx)
	c.say(append(p.Writes(launchertest.World{Identity: me.Identity}), launchertest.Ready)...)
	if p.Wait && p.IgnoreStop {
		<-me.Killed
	} else if p.Wait {
		<-ctx.Done()
	}
	return p.Code
}

func TestLauncherSuite(t *testing.T) {
	launchertest.Run(t, launchertest.Harness{
		New: func(t *testing.T, _ string) launcher.Launcher {
			h := newHost()
			h.programs["/play"] = play
			return h
		},
		Spec: func(t testing.TB, p launchertest.Program, id string) launcher.Spec {
			spec := p.Spec(t, id)
			spec.Command = "/play"
			return spec
		},
		Bad: func(_ testing.TB, _ error, id string) launcher.Spec {
			return launcher.Spec{ID: id, Command: "/embedded/nothing@1"}
		},
		Within: true,
	})
}

func TestOutputIsBounded(t *testing.T) {
	c := &container{}
	c.say(strings.Repeat("x", launcher.OutputBytes), "y")
	if out := c.Output(); len(out) != 1 || out[0] != "y" {
		t.Errorf("%d lines, want the last one alone", len(out))
	}
	c.say(strings.Repeat("z", launcher.OutputBytes+1))
	if out := c.Output(); len(out) != 0 {
		t.Errorf("a line that is too long is kept: %d lines", len(out))
	}
}

// A program that takes no notice of anything is left alone, or Close would wait for ever.
func TestStubbornProgramIsLeftAlone(t *testing.T) {
	h := newHost()
	free, gone := make(chan struct{}), make(chan struct{})
	h.programs["/stubborn"] = func(context.Context, *container) int {
		defer close(gone)
		<-free
		return 0
	}
	c, err := h.Start(t.Context(), launcher.Spec{ID: "a", Command: "/stubborn"})
	if err != nil {
		t.Fatal(err)
	}
	c.Stop(time.Millisecond)
	if e := launchertest.AwaitExit(t, c); e.Cause != launcher.Overdue || e.Signal != 9 {
		t.Errorf("%+v", e)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	close(free)
	<-gone
}
