package e2e

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// graceful describes a service whose hooks have a second to end.
func (f *fabric) graceful(name string, instances int) protocol.Service {
	s := f.service(name, progVerbs, instances)
	s.Limits = protocol.Limits{Grace: protocol.Duration(time.Second), Run: protocol.Duration(time.Hour)}
	return s
}

// running waits until a task runs, and gives the container of its instance.
func (f *fabric) running(c *client.Client, s *client.Session, task protocol.TaskID) (container string) {
	f.t.Helper()
	await(f.t, "the task runs", func() bool {
		i, err := c.Task(f.ctx, s.Number(), task.Sequence())
		if err != nil && protocol.CodeOf(err) != protocol.CodeNotFound {
			f.t.Fatal(err)
		}
		container = i.Container
		return i.State == protocol.TaskRunning
	})
	return container
}

func (f *fabric) submitted(s *client.Session, payload string, opts ...client.TaskOption) *client.Task {
	f.t.Helper()
	task, err := s.Submit(f.ctx, []byte(payload), opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	return task
}

// known waits until the session's manager has a task: an operator's word may come there before it, by another connection.
func (f *fabric) known(c *client.Client, s *client.Session, task *client.Task) {
	f.t.Helper()
	await(f.t, "the manager has the task", func() bool {
		_, err := c.Task(f.ctx, s.Number(), task.ID().Sequence())
		if err != nil && protocol.CodeOf(err) != protocol.CodeNotFound {
			f.t.Fatal(err)
		}
		return err == nil
	})
}

// stopped waits until the fabric has stopped a task.
func (f *fabric) stopped(task *client.Task) {
	f.t.Helper()
	select {
	case <-task.Stopped():
	case <-time.After(patience):
		f.t.Fatalf("task %v is not stopped", task.ID())
	}
}

// TestCancelByOperator cancels a task that heeds its context, one that does not, and one that waits. Of two instances one
// is killed.
func TestCancelByOperator(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.graceful("verbs", 2))
		s := f.open(c, "verbs")
		f.serving(c, "verbs", 2)
		before := f.instances(progVerbs)
		heeding, stuck := f.submitted(s, "block"), f.submitted(s, "stuck")
		f.running(c, s, heeding.ID())
		where := f.running(c, s, stuck.ID())
		last := f.submitted(s, "id never begun")
		f.known(c, s, last)
		f.submitted(s, "id beside it") // goes where one of the two is
		for _, task := range []*client.Task{last, heeding, stuck} {
			if err := c.CancelTask(f.ctx, s.Number(), task.ID().Sequence(), "a mistake"); err != nil {
				t.Fatal(err)
			}
			_, err := task.Wait(f.ctx)
			if !errors.Is(err, client.ErrCancelled) {
				t.Errorf("task %v ends with %v", task.ID(), err)
			}
			mustSay(t, err, "cancelled by its client: a mistake")
		}
		after := f.instances(progVerbs)
		gone := slices.DeleteFunc(slices.Clone(before), func(pid int) bool { return slices.Contains(after, pid) })
		if len(gone) != 1 {
			t.Errorf("processes %v were killed, not one", gone)
		}
		details := f.happened(c, s.Number(), protocol.EventCancel, protocol.EventCancel, protocol.EventLost)
		mustSay(t, errors.New(details[2]), where, "was killed: a hook did not return")
		if i, err := c.Task(f.ctx, s.Number(), stuck.ID().Sequence()); err != nil || i.State != protocol.TaskOver {
			t.Errorf("%+v, %v", i, err)
		}
		f.call(s, "id on", "on")
	})
}

// TestCancelOfASessionByOperator cancels all tasks of a session, and none of another: one that heeds its context, one that
// does not, and many that wait. Further ones are taken.
func TestCancelOfASessionByOperator(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c, operator := f.dial(""), f.dial("")
		f.register(c, f.graceful("verbs", 2))
		s, other := f.open(c, "verbs"), f.open(c, "verbs")
		f.serving(c, "verbs", 2)
		tasks := []*client.Task{f.submitted(s, "block"), f.submitted(s, "stuck")}
		for _, task := range tasks {
			f.running(c, s, task.ID())
		}
		for range 50 {
			tasks = append(tasks, f.submitted(s, "id never begun"))
		}
		spared := f.submitted(other, "id spared")
		for _, task := range tasks[2:] {
			f.known(c, s, task)
		}
		if err := operator.SteerSession(f.ctx, s.Number(), protocol.SteerCancel, "a mistake"); err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			_, err := task.Wait(f.ctx)
			if !errors.Is(err, client.ErrCancelled) {
				t.Errorf("task %v ends with %v", task.ID(), err)
			}
			mustSay(t, err, "cancelled by ", ": a mistake")
		}
		f.happened(c, s.Number(), protocol.EventCancel, protocol.EventLost)
		f.call(s, "id on", "on")
		if out, err := spared.Wait(f.ctx); err != nil || string(out) != "spared" {
			t.Errorf("the other session's task: %q, %v", out, err)
		}
	})
}

func TestCancelByClient(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.graceful("verbs", 1))
	s := f.open(c, "verbs")
	block := f.submitted(s, "block")
	f.running(c, s, block.ID())
	waits := f.submitted(s, "id behind it")
	waits.Cancel()
	f.stopped(waits)
	block.Cancel()
	f.stopped(block)
	f.call(s, "id on", "on")
	for range 20 {
		f.submitted(s, "block")
	}
	if err := s.CancelAll(f.ctx); err != nil {
		t.Error(err)
	}
	f.call(s, "id on", "on")
	if n := len(f.instances(progVerbs)); n != 1 {
		t.Errorf("%d instances live", n)
	}
}

// TestKillOfASessionWithAStuckHook has the instance killed, and no other.
func TestKillOfASessionWithAStuckHook(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.graceful("verbs", 1))
	s := f.open(c, "verbs")
	stuck := f.submitted(s, "stuck")
	f.running(c, s, stuck.ID())
	before := f.instances(progVerbs)
	other := f.open(c, "verbs")
	waits := f.submitted(other, "id behind it")
	if err := s.Kill(f.ctx); err != nil {
		t.Fatal(err)
	}
	if out, err := waits.Wait(f.ctx); err != nil || string(out) != "behind it" {
		t.Errorf("the other session's task: %q, %v", out, err)
	}
	if after := f.instances(progVerbs); len(before) != 1 || slices.Contains(after, before[0]) {
		t.Errorf("instances %v became %v", before, after)
	}
}

func TestLimitsOfTime(t *testing.T) {
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.graceful("verbs", 1))
	s := f.open(c, "verbs", client.WithTaskRunLimit(300*time.Millisecond))
	f.serving(c, "verbs", 1)
	if _, err := f.submitted(s, "block").Wait(f.ctx); !errors.Is(err, client.ErrDeadline) {
		t.Errorf("a task that runs for too long ends with %v", err)
	}
	block := f.submitted(s, "block", client.WithRunLimit(time.Hour))
	if _, err := f.submitted(s, "id late", client.WithTimeout(100*time.Millisecond)).Wait(f.ctx); !errors.Is(err, client.ErrDeadline) {
		t.Errorf("a task that waits for too long ends with %v", err)
	}
	f.call(f.open(f.dial(""), "verbs", client.WithInstances(2, 2)), "id beside", "beside")
	block.Cancel()
	f.stopped(block)
	f.call(s, "id on", "on")
}

// TestStuckInstanceByHand leaves a hook behind, which ends with the test.
func TestStuckInstanceByHand(t *testing.T) {
	f := newFabric(t)
	inproc := "inproc://" + f.mark
	f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0", "ipc://" + f.dir + "/control", inproc}, Loops: loops(t, 1)})
	c := f.dial(inproc)
	f.register(c, protocol.Service{Name: "hand", Limits: protocol.Limits{Grace: protocol.Duration(time.Second)}})
	s := f.open(c, "hand")
	begun, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	service := worker.Func(func(context.Context, []byte) ([]byte, error) {
		begun <- struct{}{}
		<-release
		return nil, nil
	})
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Serve(f.ctx, service, worker.WithService("hand"), worker.WithBroker(inproc), worker.WithLogger(f.log()), worker.WithKeepScheme())
	}()
	task := f.submitted(s, "x")
	<-begun
	if err := c.CancelTask(f.ctx, s.Number(), task.ID().Sequence(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Wait(f.ctx); !errors.Is(err, client.ErrCancelled) {
		t.Errorf("the task ends with %v", err)
	}
	select {
	case err := <-ended:
		if protocol.CodeOf(err) != protocol.CodeCancelled {
			t.Errorf("Serve returns %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Serve does not return")
	}
	if err := s.Kill(f.ctx); err != nil {
		t.Error(err)
	}
}
