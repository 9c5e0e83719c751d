package fake

import (
	"errors"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// play makes a fake container of one of the suite's programs.
func play(owner string, spec launcher.Spec) Behaviour {
	p, err := launchertest.Of(spec)
	if err != nil {
		return Behaviour{StartErr: err}
	}
	world := launchertest.World{
		Env:         []string{"LANG=" + os.Getenv("LANG"), launcher.EnvOwner + "=" + owner, launcher.EnvContainer + "=" + spec.ID},
		Descriptors: []int{0, 1, 2}, Identity: spec.Identity, Folder: spec.Dir,
	}
	world.Env = append(world.Env, spec.Env...)
	if len(spec.Identity) > 0 {
		world.Descriptors = append(world.Descriptors, launcher.IdentityFD)
	}
	if world.Folder == "" {
		world.Folder = "/"
	}
	b := Behaviour{Output: append(p.Writes(world), launchertest.Ready), IgnoreStop: p.IgnoreStop}
	if end := (Ending{Code: p.Code, Signal: p.Signal}); p.Wait {
		b.OnStop = &end
	} else {
		b.End = &end
	}
	return b
}

func TestSuite(t *testing.T) {
	bad := map[string]error{}
	launchertest.Run(t, launchertest.Harness{
		New: func(_ *testing.T, owner string) launcher.Launcher {
			return New(func(spec launcher.Spec) Behaviour {
				if reason := bad[spec.Command]; reason != nil {
					return Behaviour{StartErr: &launcher.StartError{ID: spec.ID, Path: spec.Command, Want: "a good one", Err: reason}}
				}
				return play(owner, spec)
			})
		},
		Spec: func(t testing.TB, p launchertest.Program, id string) launcher.Spec { return p.Spec(t, id) },
		Bad: func(_ testing.TB, reason error, id string) launcher.Spec {
			command := "/bad/" + string('a'+rune(len(bad)))
			bad[command] = reason
			return launcher.Spec{ID: id, Command: command}
		},
		Leave: func(_ *testing.T, l launcher.Launcher, _, container string) int {
			f := l.(*Launcher)
			f.Leave(launcher.Leftover{ContainerID: container, PID: 70 + len(container) + len(f.leftovers), Command: "left"})
			return 70 + len(container) + len(f.leftovers) - 1
		},
	})
}

func TestSilentByDefault(t *testing.T) {
	l := New(nil)
	c, err := l.Start(t.Context(), launcher.Spec{ID: "a", Command: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Output()) != 0 || c.Exit().Reason != "" {
		t.Errorf("output %q, exit %+v", c.Output(), c.Exit())
	}
	c.Stop(time.Minute)
	<-c.Done()
	if e := c.Exit(); e.Signal != 15 || e.Cause != launcher.Stopped {
		t.Errorf("%+v, want SIGTERM", e)
	}
}

func TestScripted(t *testing.T) {
	refusal := errors.New("no room")
	l := New(func(s launcher.Spec) Behaviour {
		if s.ID == "no" {
			return Behaviour{StartErr: refusal}
		}
		return Behaviour{Output: []string{"hello"}}
	})
	if _, err := l.Start(t.Context(), launcher.Spec{ID: "no", Command: "x"}); !errors.Is(err, refusal) {
		t.Errorf("%v, want %v", err, refusal)
	}
	if l.Container("no") != nil || len(l.Started()) != 0 {
		t.Error("one that did not start is there")
	}
	if _, err := l.Start(t.Context(), launcher.Spec{ID: "yes", Command: "x", Args: []string{"1"}}); err != nil {
		t.Fatal(err)
	}
	if s := l.Started(); len(s) != 1 || s[0].ID != "yes" || s[0].Args[0] != "1" {
		t.Errorf("started %+v", s)
	}
	c := l.Container("yes")
	c.Say("one more")
	c.End(Ending{Code: 4})
	c.End(Ending{Code: 5})
	c.Stop(time.Second)
	e := c.Exit()
	if e.Code != 4 || e.Cause != launcher.Itself || !slices.Equal(e.Output, []string{"hello", "one more"}) {
		t.Errorf("%+v", e)
	}
}

// A grace takes no real time in a bubble, and ends when the container does.
func TestGraceInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(func(launcher.Spec) Behaviour { return Behaviour{IgnoreStop: true} })
		for _, id := range []string{"overdue", "yields"} {
			if _, err := l.Start(t.Context(), launcher.Spec{ID: id, Command: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		overdue, yields := l.Container("overdue"), l.Container("yields")
		overdue.Stop(time.Hour)
		yields.Stop(time.Hour)
		yields.End(Ending{})
		<-overdue.Done()
		if d := time.Since(start); d != time.Hour {
			t.Errorf("it took %v", d)
		}
		if overdue.Exit().Cause != launcher.Overdue || yields.Exit().Cause != launcher.Stopped {
			t.Errorf("%+v, %+v", overdue.Exit(), yields.Exit())
		}
	})
}
