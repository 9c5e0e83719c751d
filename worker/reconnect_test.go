package worker

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher"
)

// TestResumesAfterALostConnection cuts both connections while results are on their way: each arrives, and once.
func TestResumesAfterALostConnection(t *testing.T) {
	b, svc := newBroker(t, "tcp://127.0.0.1:*"), &scripted{}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	const each, cuts = 50, 4
	for cut := range uint64(cuts) {
		b.do(func() {
			for i := range uint64(each) {
				b.put(1, cut*each+i+1, []byte("x"), 1)
			}
		})
		b.do(func() {
			for _, p := range b.posts {
				if err := p.socket.Close(); err != nil {
					t.Error(err)
				}
				p.socket, p.peer = nil, 0
				p.link.Lost()
				b.open(p)
			}
		})
	}
	for i := range uint64(each * cuts) {
		if r := b.await(protocol.KindResult); r.task != i+1 {
			t.Fatalf("result %d, want %d: lost, doubled or out of order", r.task, i+1)
		}
	}
	b.leave(s, 1)
	if n := len(svc.calls); n != each*cuts+4 {
		t.Errorf("%d hooks ran, want %d: a task was lost or ran twice", n, each*cuts+4)
	}
}

// TestBeginsAnewWithANewBroker gives the instance brokers that know nothing: sessions of the old one are let go.
func TestBeginsAnewWithANewBroker(t *testing.T) {
	b, g := newBroker(t, ""), newGate()
	svc := &scripted{exec: func(ctx context.Context, c *TaskContext) ([]byte, error) {
		return []byte("late"), g.pass(ctx, c.Key())
	}}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	b.dispatch(1, 1, nil)
	b.dispatch(1, 2, nil)
	g.await(t)
	b.do(func() {
		for _, p := range b.posts {
			b.fresh(p)
		}
	})
	b.ready()
	b.bind(1) // the same number, once the old one is let go
	close(g.open)
	b.dispatch(1, 9, nil)
	if r := b.await(protocol.KindResult); r.task != 9 {
		t.Errorf("result of %d: it was asked for by a broker that is no more", r.task)
	}
	b.leave(s, 1)
	svc.want(t, "create", "bind 1", "exec 1/1", "unbind 1", "bind 1", "exec 1/9", "unbind 1", "destroy")
}

// TestHigherEpochVoidsTheReferral has the control loop speak of a new reign: the instance goes where it is sent then.
func TestHigherEpochVoidsTheReferral(t *testing.T) {
	b, svc := newBroker(t, ""), &scripted{}
	s := serve(t, b, svc)
	b.ready()
	b.bind(1)
	other := newBroker(t, "")
	b.do(func() {
		epoch := protocol.NewEpoch(2, 1)
		p := b.posts[0]
		p.node.Epoch = epoch
		p.link.Append(protocol.KindRefer, 0, 0, protocol.Marshal(protocol.Refer{
			Service: "price", Endpoint: other.posts[1].endpoint, Epoch: epoch,
		}))
		other.do(func() { other.posts[1].node.Epoch = epoch })
	})
	other.ready()
	other.bind(5)
	other.leave(s, 5)
	svc.want(t, "create", "bind 1", "unbind 1", "bind 5", "unbind 5", "destroy")
}

func TestMovesToAnotherLoopAndBack(t *testing.T) {
	b, other, svc := newBroker(t, ""), newBroker(t, ""), &scripted{}
	s := serve(t, b, svc)
	b.ready()
	refer := func(to *broker) {
		b.do(func() {
			b.posts[0].link.Append(protocol.KindRefer, 0, 0, protocol.Marshal(protocol.Refer{
				Service: "price", Endpoint: to.posts[1].endpoint, Epoch: b.posts[0].node.Epoch,
			}))
		})
		to.ready()
	}
	for n := range uint32(3) {
		refer(other)
		other.bind(2*n + 1)
		refer(b)
		b.bind(2*n + 2)
	}
	b.leave(s, 6)
	svc.want(t, "create", "bind 1", "unbind 1", "bind 2", "unbind 2", "bind 3", "unbind 3", "bind 4", "unbind 4",
		"bind 5", "unbind 5", "bind 6", "unbind 6", "destroy")
}

const childVariable = "WEFT_WORKER_TEST_CHILD"

// TestStartedByAnAgent runs an instance in a process of its own, told who it is as agents do it, and ends it by SIGTERM.
func TestStartedByAnAgent(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		if err := Serve(context.Background(), &scripted{}, WithLogger(zerolog.Nop()), WithService("not-asked")); err != nil {
			t.Fatal(err)
		}
		return
	}
	b := newBroker(t, "tcp://127.0.0.1:*")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStartedByAnAgent$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childVariable+"=1", launcher.EnvIdentityFD+"=3")
	cmd.ExtraFiles = []*os.File{read}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	identity := protocol.Marshal(protocol.Identity{
		Container: "c-1", Service: "price", Version: "3", Token: "secret", Node: "n1", Slots: 2, Sessions: 4,
		Endpoints: []string{b.posts[0].endpoint},
	})
	if _, err := write.Write(identity); err != nil {
		t.Error(err)
	}
	for _, f := range []*os.File{read, write} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	var hello protocol.Hello
	r := b.await(protocol.KindHello)
	if err := protocol.Unmarshal(r.kind, r.payload, &hello); err != nil {
		t.Fatal(err)
	}
	if hello.Container != "c-1" || hello.Service != "price" || hello.Version != "3" || hello.Token != "secret" ||
		hello.Slots != 2 || hello.Sessions != 4 || hello.Role != protocol.RoleInstance || hello.Endpoint != b.posts[0].endpoint {
		t.Errorf("hello %+v", hello)
	}
	b.ready()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.await(protocol.KindDrain)
	b.say(protocol.KindLeave, 0, 0, nil)
	b.await(protocol.KindBye)
	if err := cmd.Wait(); err != nil {
		t.Errorf("child: %v\n%s", err, out.String())
	}
}

func TestTwoEndpoints(t *testing.T) {
	b, svc := newBroker(t, "tcp://127.0.0.1:*"), &scripted{}
	s := serve(t, b, svc, WithBroker("tcp://127.0.0.1:1, "+b.posts[0].endpoint))
	b.ready()
	b.leave(s)
}

func TestBadOptions(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, c := range []struct {
		want string
		opts []Option
	}{
		{"WEFT_SERVICE", nil},
		{`"No Such"`, []Option{WithService("No Such")}},
		{`has the scheme "http"`, []Option{WithService("a"), WithBroker("http://x")}},
		{`has the port "99999"`, []Option{WithService("a"), WithBroker("10.0.0.1,tcp://h:99999")}},
		{"slots -1", []Option{WithService("a"), WithSlots(-1)}},
		{"sessions -2", []Option{WithService("a"), WithSessions(-2)}},
		{"grace", []Option{WithService("a"), WithGrace(-1)}},
	} {
		_, err := gather(c.opts, nil, none)
		var e *protocol.Error
		if !errors.As(err, &e) || e.Code != protocol.CodeInvalid || !strings.Contains(e.Msg, c.want) {
			t.Errorf("%v: want an invalid %s", err, c.want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	env := func(name string) (string, bool) {
		v := map[string]string{EnvBroker: "10.0.0.1, h:1,[::1],[::1]:5,ipc:///a/b,inproc://n", EnvService: "price"}[name]
		return v, v != ""
	}
	o, err := gather(nil, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	want := "tcp://10.0.0.1:7700 tcp://h:1 tcp://[::1]:7700 tcp://[::1]:5 ipc:///a/b inproc://n"
	if got := strings.Join(o.identity.Endpoints, " "); got != want || o.identity.Service != "price" || o.byAgent {
		t.Errorf("%q of %q, want %q", got, o.identity.Service, want)
	}
}
