package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
)

// brokerProcess starts a broker in a process of its own.
func (f *fabric) brokerProcess(base, loops int) *daemon {
	f.t.Helper()
	f.tcp = fmt.Sprintf("tcp://127.0.0.1:%d", base)
	return spawn(f.t, f.mark, roleBroker, brokerConfig{Listen: []string{f.tcp}, Loops: loops})
}

// throughProxy is the control endpoint by way of a proxy.
func throughProxy(base int) string { return fmt.Sprintf("tcp://%s:%d", proxyHost, base) }

func TestBrokerKilledAndStartedAgain(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := newFabric(t)
		base := freePorts(t, loops)
		first := f.brokerProcess(base, loops)
		p := newProxy(t, base, loops)
		stop := f.agent("node", f.tcp)
		verbs := f.service("verbs", progVerbs, 2)
		operator := f.dial("")
		f.register(operator, verbs)
		c := f.dial(throughProxy(base))
		a, b := f.open(c, "verbs"), f.open(c, "verbs")
		f.serving(operator, "verbs", 2)
		ya := f.submit(c, a, 1_000, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		yb := f.submit(c, b, 300, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		await(t, "some tasks are answered", func() bool { return ya.answered() > 20 })
		first.kill(t)
		if ya.answered() == len(ya.seen) {
			t.Fatal("all tasks were answered before the broker was killed: the test shows nothing")
		}
		// The store is in memory: the service is registered again before the client comes back.
		p.Pause()
		f.brokerProcess(base, loops)
		f.register(operator, verbs)
		p.Resume()
		ya.wait()
		yb.wait()
		f.call(a, "id on", "on")
		for _, s := range []*client.Session{a, b} {
			if err := s.Close(f.ctx); err != nil {
				t.Errorf("a session that outlived its broker: %v", err)
			}
		}
		stop()
	})
}

func TestBrokerWithoutTheServiceEndsItsSessions(t *testing.T) {
	f := newFabric(t)
	base := freePorts(t, 1)
	first := f.brokerProcess(base, 1)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	s := f.open(c, "verbs")
	task, err := s.Submit(f.ctx, []byte("id 1"))
	if err != nil {
		t.Fatal(err)
	}
	first.kill(t)
	f.brokerProcess(base, 1)
	if _, err := task.Wait(f.ctx); !errors.Is(err, client.ErrNoService) {
		t.Errorf("a task whose service is not known any more: %v", err)
	}
	<-s.Done()
	mustSay(t, s.Err(), "verbs")
}

func TestConnectionsCut(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := newFabric(t)
		base := freePorts(t, loops)
		f.broker(broker.Config{Listen: []string{fmt.Sprintf("tcp://127.0.0.1:%d", base)}, Loops: loops})
		p := newProxy(t, base, loops)
		through := throughProxy(base)
		f.agent("node", through)
		c := f.dial(through)
		f.register(c, f.service("verbs", progVerbs, 2), f.service("echo", progEcho, 2))
		s, large := f.open(c, "verbs"), f.open(c, "echo")
		f.serving(c, "verbs", 2)
		n := 4_000
		if !testing.Short() {
			n = 20_000
		}
		before := p.Connections()
		y := f.submit(c, s, n, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		// Large ones as well, to be cut within a message.
		big := make(chan error, 1)
		go func() { big <- f.echoes(large, 40, 700_000) }()
		y.whileUnanswered(150*time.Millisecond, func() { p.Cut(0.3) })
		y.wait()
		select {
		case err := <-big:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("large payloads do not come back")
		}
		if made := p.Connections() - before; made < 3 {
			t.Errorf("%d connections were made anew: the test shows nothing", made)
		}
	})
}

// echoes calls with large payloads.
func (f *fabric) echoes(s *client.Session, n, size int) error {
	for i := range n {
		in := random(size + i)
		out, err := s.Call(f.ctx, in)
		if err != nil || string(out) != string(in) {
			return fmt.Errorf("payload %d of %d bytes: %d bytes, %w", i, len(in), len(out), err)
		}
	}
	return nil
}

func TestLongOutageOfTheNetwork(t *testing.T) {
	f := newFabric(t)
	base := freePorts(t, 1)
	f.broker(broker.Config{Listen: []string{fmt.Sprintf("tcp://127.0.0.1:%d", base)}, Loops: 1})
	p := newProxy(t, base, 1)
	f.agent("node", f.tcp)
	c := f.dial(throughProxy(base))
	f.register(c, f.service("verbs", progVerbs, 2))
	s := f.open(c, "verbs")
	f.serving(c, "verbs", 2)
	y := f.submit(c, s, 2_000, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
	await(t, "some tasks are answered", func() bool { return y.answered() > 20 })
	p.Pause()
	answered := -1
	await(t, "nothing arrives any more", func() bool {
		before := answered
		answered = y.answered()
		return answered == before
	})
	// Tasks go on being submitted meanwhile.
	late := f.submit(c, s, 100, func(i int) string { return fmt.Sprintf("id %d", i) })
	p.Resume()
	y.wait()
	late.wait()
}
