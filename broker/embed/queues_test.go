package embed_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker/embed"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// settled waits until what is seen is as it is to be.
func settled[T any](ctx context.Context, t *testing.T, look func() (T, error), ok func(T) bool) T {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := look()
		if err == nil && ok(v) {
			return v
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it is %+v, %v", v, err)
		}
	}
}

// TestQueuesAreChangedWhileServicesRun limits a service's queue, is told that it is the queue that is in the way, lifts the
// limit, drains the queue and takes it away.
func TestQueuesAreChangedWhileServicesRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := embed.Start(embed.Service("echo", func() worker.Service {
		return worker.Func(func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	}, embed.WithInstances(3, 3)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	c, err := f.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	apply := func(queues ...protocol.Queue) error {
		_, err := c.ApplyQueues(ctx, protocol.ApplyQueues{Queues: slices.Concat([]protocol.Queue{{Name: "root"}, {Name: "default", Parent: "root"}}, queues)})
		return err
	}
	limited := protocol.Queue{Name: "few", Parent: "root", Max: protocol.Amounts{"cpu": 1}}
	if err := apply(limited); err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenSession(ctx, "echo", client.WithQueue("few"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(ctx, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	explain := func() (protocol.Explained, error) { return c.Explain(ctx, protocol.Explain{Session: s.Number()}) }
	e := settled(ctx, t, explain, func(e protocol.Explained) bool {
		return len(e.Requests) == 1 && e.Requests[0].Wanted == 3 && len(e.Requests[0].Reasons) == 1
	})
	if r := e.Requests[0].Reasons[0]; e.Requests[0].Held != 1 || r.Kind != "queue_max" || r.Queue != "few" || r.Dimension != "cpu" {
		t.Errorf("%+v", e)
	}
	limited.Max = nil
	if err := apply(limited); err != nil {
		t.Fatal(err)
	}
	settled(ctx, t, explain, func(e protocol.Explained) bool { return e.Requests[0].Held == 3 })
	if err := apply(); protocol.CodeOf(err) != protocol.CodeInUse {
		t.Errorf("a queue with a running service is taken away: %v", err)
	}
	if err := c.DrainQueue(ctx, "few", false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenSession(ctx, "echo", client.WithQueue("few")); protocol.CodeOf(err) != protocol.CodeNotAccepting {
		t.Errorf("a session in a queue that is drained: %v", err)
	}
	o, err := c.Overview(ctx)
	if err != nil || o.Sessions.Running != 1 || o.Nodes.Up != 1 || o.Queues.Draining != 1 || len(o.Brokers) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartService(ctx, "echo", "", true); err != nil { // ends what is kept warm
		t.Fatal(err)
	}
	settled(ctx, t, func() (struct{}, error) { return struct{}{}, apply() }, func(struct{}) bool { return true })
}
