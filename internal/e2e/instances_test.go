package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// tally submits tasks whose results name them, and checks that each comes once and is right.
type tally struct {
	f      *fabric
	client *client.Client
	all    sync.WaitGroup
	seen   []atomic.Int32
	failed atomic.Int64
}

// submit submits n tasks of a session; make gives the payload of one, whose result has to be its number. It returns
// when the last was submitted.
func (f *fabric) submit(c *client.Client, s *client.Session, n int, make func(i int) string) *tally {
	f.t.Helper()
	y := &tally{f: f, client: c, seen: newCounters(n)}
	for i := range n {
		y.all.Add(1)
		err := s.SubmitFunc(f.ctx, []byte(make(i)), func(r client.Result) {
			defer y.all.Done()
			if y.seen[i].Add(1) > 1 {
				f.t.Errorf("task %d is answered again", i)
			}
			switch {
			case r.Err != nil:
				if y.failed.Add(1) <= 5 { // the others fail alike
					f.t.Errorf("task %d: %v", i, r.Err)
				}
			case string(r.Payload) != fmt.Sprint(i):
				f.t.Errorf("task %d is answered by %q", i, r.Payload)
			}
		})
		if err != nil {
			f.t.Fatalf("task %d: %v", i, err)
		}
	}
	return y
}

func newCounters(n int) []atomic.Int32 { return make([]atomic.Int32, n) }

// answered is how many tasks are.
func (y *tally) answered() int {
	n := 0
	for i := range y.seen {
		if y.seen[i].Load() > 0 {
			n++
		}
	}
	return n
}

// wait waits until all are answered.
func (y *tally) wait() {
	y.f.t.Helper()
	done := make(chan struct{})
	go func() { y.all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		y.f.t.Fatalf("%d of %d tasks are answered; %s", y.answered(), len(y.seen), y.f.state(y.client))
	}
}

// whileUnanswered does something again and again until all tasks are answered.
func (y *tally) whileUnanswered(every time.Duration, do func()) (times int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for y.answered() < len(y.seen) {
		select {
		case <-tick.C:
			do()
			times++
		case <-limit.C:
			return times
		}
	}
	return times
}

func TestInstancesKilled(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.service("verbs", progVerbs, 4))
		s := f.open(c, "verbs")
		f.serving(c, "verbs", 4)
		n := 5_000
		if !testing.Short() {
			n = 30_000
		}
		y := f.submit(c, s, n, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		kills := 0
		y.whileUnanswered(300*time.Millisecond, func() {
			if living := f.instances(progVerbs); len(living) > 0 {
				sigkill(living[rand.IntN(len(living))])
				kills++
			}
		})
		y.wait()
		if kills < 2 {
			t.Errorf("only %d instances were killed: the test shows nothing", kills)
		}
		f.call(s, "id still", "still")
	})
}

func TestPoisonTaskDoesNotHurtOthers(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 3))
	s := f.open(c, "verbs")
	f.serving(c, "verbs", 3)
	const n, poison = 1_000, 400
	var bad *client.Task
	y := f.submit(c, s, n, func(i int) string {
		if i == poison {
			var err error
			if bad, err = s.Submit(f.ctx, []byte("exit")); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("id %d", i)
	})
	y.wait()
	_, err := bad.Wait(f.ctx)
	if protocol.CodeOf(err) != protocol.CodeAttemptsSpent {
		t.Errorf("the task that ends its instance: %v", err)
	}
	mustSay(t, err, "4 attempts", "exit code 3")
}

func TestPanicFailsItsTaskAndReplacesTheInstance(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	s := f.open(c, "verbs")
	before, err := s.Call(f.ctx, []byte("pid"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(f.ctx, []byte("panic at the disco"))
	if !errors.Is(err, client.ErrTaskPanicked) {
		t.Errorf("a task that panics: %v", err)
	}
	mustSay(t, err, "at the disco", "services_test.go")
	await(t, "another instance serves", func() bool {
		after, err := s.Call(f.ctx, []byte("pid"))
		return err == nil && string(after) != string(before)
	})
}

func TestAgentKilled(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 0)
		c := f.dial("")
		f.register(c, f.service("verbs", progVerbs, 2))
		cfg := agentConfig{Broker: f.tcp, Name: "node", Dir: f.dir + "/node"}
		first := spawn(t, f.mark, roleAgent, cfg)
		s := f.open(c, "verbs")
		f.serving(c, "verbs", 2)
		before := f.instances(progVerbs)
		y := f.submit(c, s, 500, func(i int) string { return fmt.Sprintf("sleep 2ms %d", i) })
		await(t, "some tasks are answered", func() bool { return y.answered() > 20 })
		first.kill(t)
		await(t, "its instances are dead", func() bool {
			return !slices.ContainsFunc(f.instances(progVerbs), func(pid int) bool { return slices.Contains(before, pid) })
		})
		if n := y.answered(); n == len(y.seen) {
			t.Fatal("all tasks were answered before the agent was killed: the test shows nothing")
		}
		spawn(t, f.mark, roleAgent, cfg)
		y.wait()
		f.serving(c, "verbs", 2)
		if n := len(f.instances(progVerbs)); n != 2 {
			t.Errorf("%d instances live, 2 serve", n)
		}
	})
}

func TestNewAgentReapsWhatAnEarlierOneLeft(t *testing.T) {
	f := start(t, loops(t, 1), 0)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	cfg := agentConfig{Broker: f.tcp, Name: "node", Dir: f.dir + "/node"}
	first := spawn(t, f.mark, roleAgent, cfg)
	s := f.open(c, "verbs")
	text, err := s.Call(f.ctx, []byte("spawn"))
	if err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	before := f.instances(progVerbs) // what was left bears the same variables
	first.kill(t)
	await(t, "only what left its session is left", func() bool { return slices.Equal(f.instances(progVerbs), []int{left}) })
	if len(before) != 2 {
		t.Errorf("processes %v ran before", before)
	}
	spawn(t, f.mark, roleAgent, cfg)
	await(t, "what was left is gone", func() bool { return !slices.Contains(f.instances(progVerbs), left) })
	f.call(s, "id again", "again")
}

func TestAgentEndsInOrder(t *testing.T) {
	f := start(t, loops(t, 1), 0)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 2))
	stop := f.agent("first", f.tcp)
	s := f.open(c, "verbs")
	f.serving(c, "verbs", 2)
	y := f.submit(c, s, 1_000, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
	await(t, "some tasks are answered", func() bool { return y.answered() > 20 })
	f.agent("second", f.tcp)
	stop()
	y.wait()
	var names []string
	for n, err := range c.Nodes(f.ctx, client.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n.Name)
	}
	if strings.Join(names, " ") != "second" {
		t.Errorf("nodes %q are listed after the first has left", names)
	}
}
