package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/hosted"
	"github.com/weft-fabric/weft/protocol"
)

// host runs an instance as a launcher does that has it in its own process.
func host(t *testing.T, b *broker, service Service) (s *served, kill func()) {
	killed := make(chan struct{})
	ctx, cancel := context.WithCancel(hosted.With(t.Context(), hosted.Instance{Killed: killed, Identity: protocol.Marshal(protocol.Identity{
		Container: "c-1", Service: "price", Version: "3", Token: "secret", Endpoints: []string{b.posts[0].endpoint},
	})}))
	s = &served{t: t, stop: cancel, err: make(chan error, 1)}
	go func() {
		s.err <- Serve(ctx, service, WithService("not-asked"), WithIOThreads(7), WithLogger(zerolog.Nop()))
	}()
	return s, func() { close(killed) }
}

func TestHosted(t *testing.T) {
	b, svc := newBroker(t, ""), &scripted{}
	s, _ := host(t, b, svc)
	var hello protocol.Hello
	r := b.await(protocol.KindHello)
	if err := protocol.Unmarshal(r.kind, r.payload, &hello); err != nil {
		t.Fatal(err)
	}
	if hello.Container != "c-1" || hello.Service != "price" || hello.Version != "3" || hello.Token != "secret" {
		t.Errorf("hello %+v", hello)
	}
	b.ready()
	s.stop()
	b.await(protocol.KindDrain)
	b.leave(s)
	svc.want(t, "create", "destroy")
}

// A killed instance says no more, whatever its hooks do, and leaves its goroutines to end by themselves.
func TestKilled(t *testing.T) {
	b, deaf, listens := newBroker(t, ""), newGate(), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		if string(c.Payload()) == "deaf" {
			return nil, deaf.pass(context.Background(), "deaf")
		}
		return nil, listens.pass(ctx, "listens")
	}}
	for _, kind := range []string{"listens", "deaf"} {
		s, kill := host(t, b, svc)
		b.ready()
		b.bind(7)
		b.dispatch(7, 1, []byte(kind))
		if kind == "deaf" {
			deaf.await(t)
		} else {
			listens.await(t)
		}
		b.do(func() { b.records = nil })
		kill()
		if err := s.wait(); !errors.Is(err, errKilled) {
			t.Errorf("Serve returned %v", err)
		}
		for _, p := range b.posts {
			b.do(func() { b.fresh(p) })
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.kind == protocol.KindBye || r.kind == protocol.KindResult || r.kind == protocol.KindFailure {
			t.Errorf("a killed instance said %v", r.kind)
		}
	}
	close(deaf.open)
}
