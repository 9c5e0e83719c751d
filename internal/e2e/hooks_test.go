package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// journaled describes a service whose instances write down what they do.
func (f *fabric) journaled(name string, instances int) (protocol.Service, journal) {
	path := filepath.Join(f.dir, name+".journal")
	s := f.service(name, progVerbs, instances)
	s.Env[varFile] = path
	return s, journal(path)
}

// lives gives what each instance has written, and checks the promises of the hooks: create once before all; every
// task between bind and unbind of its session; destroy once after all, with everything unbound. An instance that was
// killed may stop anywhere.
func (f *fabric) lives(j journal) map[int][]string {
	f.t.Helper()
	entries, err := j.read()
	if err != nil {
		f.t.Fatal(err)
	}
	all := map[int][]string{}
	bound := map[int]map[string]bool{}
	for _, e := range entries {
		before := all[e.pid]
		hook, rest, _ := strings.Cut(e.what, " ")
		session, _, _ := strings.Cut(rest, " ")
		bad := func(why string) { f.t.Errorf("instance %d: %q after %q: %s", e.pid, e.what, before, why) }
		switch {
		case (hook == "create") != (len(before) == 0):
			bad("create is first, and once")
		case len(before) > 0 && before[len(before)-1] == "destroy":
			bad("destroy is last")
		case hook == "bind" && bound[e.pid][session]:
			bad("it is bound")
		case (hook == "exec" || hook == "unbind") && !bound[e.pid][session]:
			bad("it is not bound")
		case hook == "destroy" && len(bound[e.pid]) > 0:
			bad("not all is unbound")
		}
		switch hook {
		case "create":
			bound[e.pid] = map[string]bool{}
		case "bind":
			bound[e.pid][session] = true
		case "unbind":
			delete(bound[e.pid], session)
		}
		all[e.pid] = append(before, e.what)
	}
	return all
}

// ended says whether a hook was the last of each of n instances.
func ended(lives map[int][]string, n int, last string) bool {
	for _, life := range lives {
		if life[len(life)-1] != last {
			return false
		}
	}
	return len(lives) == n
}

func TestHooksInOrder(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 0)
		stop := f.agent("node", f.tcp)
		c := f.dial("")
		svc, written := f.journaled("hooks", 1)
		svc.Sessions = 2
		f.register(c, svc)
		var sessions []*client.Session
		for range 5 { // more than an instance holds
			sessions = append(sessions, f.open(c, "hooks"))
		}
		for round := range 3 {
			for i, s := range sessions {
				id := fmt.Sprintf("%d-%d", round, i)
				f.call(s, "count "+id, id)
			}
		}
		for i, s := range sessions {
			if i%2 == 0 {
				if err := s.Close(f.ctx); err != nil {
					t.Error(err)
				}
			} else if err := s.Kill(f.ctx); err != nil {
				t.Error(err)
			}
		}
		stop()
		lives := f.lives(written)
		if !ended(lives, 1, "destroy") {
			t.Errorf("the instance did not end in order: %v", lives)
		}
		for _, life := range lives {
			n := map[string]int{}
			for _, what := range life {
				hook, _, _ := strings.Cut(what, " ")
				n[hook]++
			}
			if n["exec"] != 15 || n["bind"] < 5 || n["bind"] != n["unbind"] {
				t.Errorf("hooks were called %v times", n)
			}
		}
	})
}

func TestHooksOfInstancesThatAreKilled(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	svc, written := f.journaled("hooks", 3)
	f.register(c, svc)
	s := f.open(c, "hooks")
	f.serving(c, "hooks", 3)
	const n = 600
	y := f.submit(c, s, n, func(i int) string { return fmt.Sprintf("count %d", i) })
	y.whileUnanswered(100*time.Millisecond, func() {
		if living := f.instances(progVerbs); len(living) > 0 {
			sigkill(living[0])
		}
	})
	y.wait()
	ran := map[string]bool{}
	for _, life := range f.lives(written) {
		for _, what := range life {
			if number, ok := strings.CutPrefix(what, fmt.Sprintf("exec %d ", s.Number())); ok {
				ran[number] = true
			}
		}
	}
	if len(ran) != n {
		t.Errorf("%d of %d tasks have run", len(ran), n)
	}
}

func TestSlowBindHoldsUpNothingElse(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	slow := f.service("slow", progVerbs, 1)
	slow.Env[varSlow] = "3s" // longer than a heartbeat
	f.register(c, slow, f.service("verbs", progVerbs, 1))
	s := f.open(c, "slow")
	task, err := s.Submit(f.ctx, []byte("id late"))
	if err != nil {
		t.Fatal(err)
	}
	other := f.open(c, "verbs")
	for i := range 20 {
		f.call(other, fmt.Sprintf("id %d", i), fmt.Sprint(i))
	}
	if out, err := task.Wait(f.ctx); err != nil || string(out) != "late" {
		t.Errorf("a task that waits for a slow OnSessionBind: %q, %v", out, err)
	}
}

func TestLongTaskKeepsItsInstance(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	svc, written := f.journaled("long", 1)
	f.register(c, svc)
	s := f.open(c, "long")
	long := protocol.PeerTimeout + 2*time.Second // a hook that runs for long is not dead
	if testing.Short() {
		long = 2 * time.Second
	}
	f.call(s, fmt.Sprintf("sleep %v done", long), "done")
	if n := len(f.lives(written)); n != 1 {
		t.Errorf("%d instances were started for one long task", n)
	}
}

func TestSessionKilledByAnotherClient(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c, operator := f.dial(""), f.dial("")
		svc, written := f.journaled("verbs", 1)
		f.register(operator, svc)
		s, other := f.open(c, "verbs"), f.open(c, "verbs")
		f.call(s, "id 1", "1")
		task, err := s.Submit(f.ctx, []byte("block"))
		if err != nil {
			t.Fatal(err)
		}
		queued, err := s.Submit(f.ctx, []byte("id 2"))
		if err != nil {
			t.Fatal(err)
		}
		if err := operator.CloseSession(f.ctx, s.Number(), protocol.CloseKill, "the budget is spent"); err != nil {
			t.Fatal(err)
		}
		for _, task := range []*client.Task{task, queued} {
			_, err := task.Wait(f.ctx)
			if !errors.Is(err, client.ErrSessionKilled) {
				t.Errorf("a task of a killed session: %v", err)
			}
			mustSay(t, err, "the budget is spent")
		}
		soon(t, "the end of a killed session", s.Done())
		if _, err := s.Call(f.ctx, nil); !errors.Is(err, client.ErrSessionKilled) {
			t.Errorf("a call in a killed session: %v", err)
		}
		f.call(other, "id on", "on")
		await(t, "the killed session is unbound", func() bool {
			for _, life := range f.lives(written) {
				for _, what := range life {
					if what == fmt.Sprintf("unbind %d", s.Number()) {
						return true
					}
				}
			}
			return false
		})
	})
}

func TestCloseFinishesWhatWasSubmitted(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c, operator := f.dial(""), f.dial("")
		f.register(operator, f.service("verbs", progVerbs, 2))
		own := f.open(c, "verbs")
		y := f.submit(c, own, 500, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		if err := own.Close(f.ctx); err != nil {
			t.Error(err)
		}
		y.wait()
		if _, err := own.Call(f.ctx, nil); !errors.Is(err, client.ErrSessionClosed) {
			t.Errorf("a call after Close: %v", err)
		}
		// By somebody else: what the broker has is finished, what comes later is refused.
		other := f.open(c, "verbs")
		f.call(other, "id 1", "1")
		if err := operator.CloseSession(f.ctx, other.Number(), protocol.CloseFinish, "end of day"); err != nil {
			t.Fatal(err)
		}
		soon(t, "the end of a session that was closed by somebody else", other.Done())
		if _, err := other.Call(f.ctx, nil); !errors.Is(err, client.ErrSessionClosed) {
			t.Errorf("a call in a session that was closed by somebody else: %v", err)
		}
	})
}

func TestInstanceByHand(t *testing.T) {
	f := newFabric(t)
	inproc := "inproc://" + f.mark
	f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0", "ipc://" + f.dir + "/control", inproc}, Loops: loops(t, 1)})
	c := f.dial(inproc)
	f.register(c, protocol.Service{Name: "hand"}) // without artefacts
	s := f.open(c, "hand")
	task, err := s.Submit(f.ctx, []byte("early"))
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{f.tcp, f.ipc, inproc} {
		ctx, cancel := context.WithCancel(f.ctx)
		ended := make(chan error, 1)
		go func() {
			ended <- worker.Serve(ctx, echo{}, worker.WithService("hand"), worker.WithBroker(endpoint), worker.WithLogger(f.log()), worker.WithKeepScheme())
		}()
		if out, err := task.Wait(f.ctx); err != nil || string(out) != "early" {
			t.Errorf("a task that came before its instance: %q, %v", out, err)
		}
		f.call(s, "now", "now")
		f.serving(c, "hand", 1)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: an instance by hand that is asked to end: %v", endpoint, err)
		}
		f.serving(c, "hand", 0)
		if task, err = s.Submit(f.ctx, []byte("early")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Kill(f.ctx); err != nil {
		t.Error(err)
	}
	err = worker.Serve(f.ctx, echo{}, worker.WithService("nobody-knows"), worker.WithBroker(f.tcp), worker.WithLogger(f.log()))
	if !errors.Is(err, client.ErrNoService) {
		t.Errorf("an instance of a service that is not registered: %v", err)
	}
}

func TestIdleInstancesEndAndComeBack(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		svc, written := f.journaled("verbs", 2)
		svc.Limits.Idle = protocol.Duration(700 * time.Millisecond)
		f.register(c, svc)
		for round := 1; round <= 2; round++ {
			s := f.open(c, "verbs")
			f.serving(c, "verbs", 2)
			f.call(s, "count x", "x")
			if err := s.Close(f.ctx); err != nil {
				t.Error(err)
			}
			await(t, "idle instances end", func() bool { return len(f.instances(progVerbs)) == 0 })
			if lives := f.lives(written); !ended(lives, 2*round, "destroy") {
				t.Errorf("round %d: idle instances did not end in order: %v", round, lives)
			}
		}
	})
}

func TestInstancesFollowTheLoad(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	svc := f.service("verbs", progVerbs, 1)
	svc.Instances.Max = 3
	svc.Limits.Idle = protocol.Duration(700 * time.Millisecond)
	f.register(c, svc)
	s := f.open(c, "verbs")
	f.serving(c, "verbs", 1)
	y := f.submit(c, s, 300, func(i int) string { return fmt.Sprintf("sleep 20ms %d", i) })
	f.serving(c, "verbs", 3)
	y.wait()
	f.serving(c, "verbs", 1)
	f.call(s, "id on", "on")
}
