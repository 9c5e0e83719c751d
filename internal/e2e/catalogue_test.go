package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// found is what a search of the catalogue brings.
func (f *fabric) found(c *client.Client, filter client.Filter) string {
	f.t.Helper()
	var all []string
	for s, err := range c.Services(f.ctx, filter) {
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, s.Service.Name+"@"+s.Service.Version)
	}
	return strings.Join(all, " ")
}

func TestTheCatalogueIsSearched(t *testing.T) {
	f := start(t, loops(t, 1), 0)
	c := f.dial("")
	f.register(
		c,
		protocol.Service{Name: "option-price", Function: "Prices options", Tags: []string{"risk"}},
		protocol.Service{Name: "option-price", Version: "1.1", Function: "Prices options", Tags: []string{"risk"}},
		protocol.Service{Name: "curves", Function: "builds curves for the pricing of options"},
		protocol.Service{Name: "words", Function: "counts", Tags: []string{"price-list"}},
	)
	for _, q := range []struct {
		filter client.Filter
		want   string
	}{
		{client.Filter{Words: "price"}, "option-price@1 option-price@1.1 words@1 curves@1"}, // name, tag, function
		{client.Filter{Words: "OPTION pricing"}, "option-price@1 option-price@1.1 curves@1"},
		{client.Filter{Name: "*-price", Version: "1.1"}, "option-price@1.1"},
		{client.Filter{Tag: "RISK", Words: "price"}, "option-price@1 option-price@1.1"},
		{client.Filter{Words: "nothing"}, ""},
	} {
		if got := f.found(c, q.filter); got != q.want {
			t.Errorf("%+v: %q, want %q", q.filter, got, q.want)
		}
	}
	// More than fits one page, ranked and not.
	var many []string
	for i := range 250 {
		many = append(many, fmt.Sprintf("many-%03d@1", i))
		f.register(c, protocol.Service{Name: fmt.Sprintf("many-%03d", i), Function: strings.Repeat("filler ", 600)})
	}
	for _, filter := range []client.Filter{{Words: "many"}, {Name: "many*"}, {Words: "fill"}} {
		if got := f.found(c, filter); got != strings.Join(many, " ") {
			t.Errorf("%+v: %.200q…", filter, got)
		}
	}
}

func TestVersionsSideBySide(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		version := func(v string) protocol.Service {
			s := f.service("price", progVersion, 1)
			s.Version = v
			return s
		}
		f.register(c, version("1.9"))
		old := f.open(c, "price")
		f.call(old, "which", "1.9")

		f.register(c, version("1.10"), version("2.0.0-rc1"))
		newer, next := f.open(c, "price"), f.open(c, "price", client.WithVersion("2.0.0-rc1"))
		also := f.open(c, "price", client.WithVersion("1.9"))
		f.call(newer, "which", "1.10")
		f.call(next, "which", "2.0.0-rc1")
		f.call(also, "which", "1.9")
		f.call(old, "which", "1.9")
		if old.Version() != "1.9" || newer.Version() != "1.10" {
			t.Errorf("sessions with %s and %s", old.Version(), newer.Version())
		}
		for s, err := range c.Services(f.ctx, client.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Default != (s.Service.Version == "1.10") || s.Instances != 1 {
				t.Errorf("version %s: default %t, %d instances", s.Service.Version, s.Default, s.Instances)
			}
		}

		if err := c.DeregisterService(f.ctx, "price", "1.9"); protocol.CodeOf(err) != protocol.CodeInUse {
			t.Errorf("deregistered while it has sessions: %v", err)
		}
		if err := errors.Join(newer.Close(f.ctx), c.DeregisterService(f.ctx, "price", "1.10")); err != nil {
			t.Fatal(err)
		}
		f.call(old, "which", "1.9")
		f.call(next, "which", "2.0.0-rc1")
		f.call(f.open(c, "price"), "which", "1.9") // a pre-release is not the default
		if got := f.found(c, client.Filter{}); got != "price@1.9 price@2.0.0-rc1" {
			t.Errorf("left are %s", got)
		}
		if _, err := c.OpenSession(f.ctx, "price", client.WithVersion("1.10")); !errors.Is(err, client.ErrNoService) {
			t.Errorf("got %v, want ErrNoService", err)
		}
	})
}

// One program uses two services at once, makes one of them work on what the other gave, and goes on with one of them
// when it has released the other.
func TestTwoServicesComposed(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 2)
		c := f.dial("")
		f.register(c, f.service("double", progDouble, 2), f.service("verbs", progVerbs, 2))
		doubles, verbs := f.open(c, "double"), f.open(c, "verbs")
		var double client.Method[int, int]
		const n = 200
		tasks := make([]*client.Task, 0, n)
		i := 0
		for out, err := range double.Map(f.ctx, doubles, slices.Values(numbers(n))) {
			if err != nil || out != 2*i {
				t.Fatalf("double %d: %d, %v", i, out, err)
			}
			i++
			task, err := verbs.Submit(f.ctx, fmt.Appendf(nil, "id %d", out)) // while the others are still being doubled
			if err != nil {
				t.Fatal(err)
			}
			tasks = append(tasks, task)
		}
		for i, task := range tasks {
			if out, err := task.Wait(f.ctx); err != nil || string(out) != fmt.Sprint(2*i) {
				t.Fatalf("task %d: %q, %v", i, out, err)
			}
		}
		if len(tasks) != n {
			t.Fatalf("%d tasks", len(tasks))
		}
		if err := doubles.Close(f.ctx); err != nil {
			t.Fatal(err)
		}
		f.call(verbs, "id still here", "still here")
		if _, err := double.Call(f.ctx, doubles, 1); !errors.Is(err, client.ErrSessionClosed) {
			t.Errorf("a released service: %v", err)
		}
		// It can be had again, and its instances are still warm.
		if out, err := double.Call(f.ctx, f.open(c, "double"), 21); err != nil || out != 42 {
			t.Errorf("again: %d, %v", out, err)
		}
		f.call(verbs, "id and here", "and here")
	})
}

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func TestTypesAreCompared(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	s := f.service("double", progDouble, 1)
	s.Interface = worker.InterfaceOf(double())
	if s.Interface != (protocol.Interface{Task: "int", Result: "int"}) {
		t.Fatalf("the service says %+v", s.Interface)
	}
	f.register(c, s)
	if got := f.info(c, "double").Service.Interface; got != s.Interface {
		t.Errorf("the catalogue says %+v", got)
	}
	session := f.open(c, "double")
	if out, err := (client.Method[int16, any]{}).Call(f.ctx, session, 21); err != nil || fmt.Sprint(out) != "42" {
		t.Errorf("%v, %v", out, err)
	}
	_, err := (client.Method[string, int]{}).Call(f.ctx, session, "21")
	if !errors.Is(err, client.ErrInterface) || !strings.Contains(err.Error(), "it takes tasks of type int, and this client sends string") {
		t.Errorf("got %v, want ErrInterface", err)
	}
	wrong := f.service("wrong", progDouble, 1)
	wrong.Interface.Task = "Trade"
	if err := c.RegisterService(f.ctx, wrong); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "interface.task") {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

// environment is what the broker says of an environment; ok is false when there is none.
func (f *fabric) environment(c *client.Client, name string) (e protocol.EnvironmentInfo, ok bool) {
	f.t.Helper()
	for e, err := range c.Environments(f.ctx, client.Filter{Name: name}) {
		if err != nil {
			f.t.Fatal(err)
		}
		return e, true
	}
	return e, false
}

func TestEnvironments(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.service("verbs", progVerbs, 1), f.service("echo", progEcho, 1))
		if _, err := c.OpenSession(f.ctx, "verbs", client.WithEnvironment("risk")); !errors.Is(err, client.ErrNoEnvironment) {
			t.Fatalf("got %v, want ErrNoEnvironment", err)
		}
		if err := c.CreateEnvironment(f.ctx, protocol.Environment{Name: "risk", Labels: map[string]string{"desk": "rates"}}); err != nil {
			t.Fatal(err)
		}
		in := f.open(c, "verbs", client.WithEnvironment("risk"))
		also := f.open(c, "echo", client.WithEnvironment("risk"))
		outside := f.open(c, "verbs")
		f.call(in, "id 1", "1")
		f.call(also, "2", "2")
		if e, _ := f.environment(c, "risk"); e.Sessions != 2 || e.Labels["desk"] != "rates" || e.Created.IsZero() || e.State != protocol.EnvironmentActive {
			t.Errorf("%+v", e)
		}
		for s, err := range c.Sessions(f.ctx, client.Filter{Environment: "risk"}) {
			if err != nil || s.Environment != "risk" || s.Session == outside.Number() {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if err := c.DeleteEnvironment(f.ctx, "risk", false); protocol.CodeOf(err) != protocol.CodeInUse {
			t.Errorf("got %v, want InUse", err)
		}
		blocked, err := in.Submit(f.ctx, []byte("block"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteEnvironment(f.ctx, "risk", true); err != nil {
			t.Fatal(err)
		}
		if _, err := blocked.Wait(f.ctx); !errors.Is(err, client.ErrSessionKilled) {
			t.Errorf("got %v, want ErrSessionKilled", err)
		}
		<-also.Done()
		await(t, "the environment is gone", func() bool { _, there := f.environment(c, "risk"); return !there })
		f.call(outside, "id outside", "outside")
		if e, ok := f.environment(c, protocol.DefaultEnvironment); !ok || e.Sessions != 1 {
			t.Errorf("%+v", e)
		}
	})
}

// happened waits until a session has had events of these kinds, in this order, and gives the details.
func (f *fabric) happened(c *client.Client, number protocol.SessionNumber, kinds ...string) (details []string) {
	f.t.Helper()
	var all []protocol.SessionEvent
	ok := holdsWithin(patience, func() bool {
		var err error
		if all, _, err = c.Events(f.ctx, number, 0); err != nil {
			f.t.Fatal(err)
		}
		details = nil
		for _, e := range all {
			if len(details) < len(kinds) && e.Kind == kinds[len(details)] {
				details = append(details, e.Detail)
			}
		}
		return len(details) == len(kinds)
	})
	if !ok {
		f.t.Fatalf("want %v, got %+v", kinds, all)
	}
	return details
}

func TestWhatHappenedToASession(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 0)
		c := f.dial("", client.WithName("the-program"))
		f.register(c, f.service("verbs", progVerbs, 1))
		s := f.open(c, "verbs")
		number := s.Number()
		d := f.happened(c, number, protocol.EventOpened, protocol.EventWaiting)
		if !strings.Contains(d[0], "by the-program, with version 1 of service verbs, in environment default") || !strings.Contains(d[1], "no node has joined") {
			t.Errorf("%q", d)
		}
		stop := f.agent("a0", f.tcp)
		f.call(s, "id 1", "1")
		f.happened(c, number, protocol.EventWaiting, protocol.EventScheduled, protocol.EventBound, protocol.EventRunning)
		if d := f.happened(c, number, protocol.EventBound); !strings.HasSuffix(d[0], "on node a0") {
			t.Errorf("%q", d)
		}
		sigkill(f.instances(progVerbs)...)
		f.call(s, "id 2", "2")
		if d := f.happened(c, number, protocol.EventLost, protocol.EventBound); !strings.Contains(d[0], "on node a0: ") {
			t.Errorf("%q", d)
		}
		if err := c.CloseSession(f.ctx, number, protocol.CloseKill, "it is late"); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		d = f.happened(c, number, protocol.EventClosing, protocol.EventClosed)
		if d[0] != "by its client, at once: it is late" || !strings.HasSuffix(d[1], "it is late") {
			t.Errorf("%q", d)
		}
		events, over, err := c.Events(f.ctx, number, 3)
		if err != nil || !over || events[0].Number != 4 {
			t.Errorf("%+v, over %t, %v", events, over, err)
		}
		for i, e := range events {
			if e.At.IsZero() || time.Since(e.At) > time.Hour || i > 0 && e.At.Before(events[i-1].At) {
				t.Errorf("event %d at %v", e.Number, e.At)
			}
		}
		if _, _, err := c.Events(f.ctx, 99, 0); !errors.Is(err, client.ErrNoSession) {
			t.Errorf("got %v, want ErrNoSession", err)
		}
		stop()
	})
}
