package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent"
)

// fabric is what one test runs in. Everything in it is gone, and checked to be, when the test ends.
type fabric struct {
	t    *testing.T
	ctx  context.Context // ends after the test's patience
	mark string
	dir  string
	tcp  string // control endpoints
	ipc  string
}

// loops is how many manager loops a test runs with that wants n.
func loops(t *testing.T, n int) int {
	t.Helper()
	text := os.Getenv("WEFT_E2E_LOOPS")
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("WEFT_E2E_LOOPS: %v", err)
	}
	return n
}

// eachLoops runs a test with one and with several manager loops.
func eachLoops(t *testing.T, test func(t *testing.T, loops int)) {
	t.Helper()
	if os.Getenv("WEFT_E2E_LOOPS") != "" {
		test(t, loops(t, 1))
		return
	}
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("loops=%d", n), func(t *testing.T) { test(t, n) })
	}
}

// newFabric makes a fabric without anything in it.
func newFabric(t *testing.T) *fabric {
	t.Helper()
	// Not t.TempDir: the path of a socket must be short.
	dir, err := os.MkdirTemp("", "weft")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	f := &fabric{t: t, ctx: ctx, mark: newMark(), dir: dir}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		cancel()
		var left []int
		if !holdsWithin(patience/4, func() bool { left = f.processes(); return len(left) == 0 }) {
			t.Errorf("processes %v were left", left)
			sigkill(left...)
		}
		goleak.VerifyNone(t, before)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return f
}

// start makes a fabric with a broker in this process and agents a0, a1 and so on.
func start(t *testing.T, loops, agents int) *fabric {
	t.Helper()
	f := newFabric(t)
	f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0", "ipc://" + f.dir + "/control"}, Loops: loops})
	for i := range agents {
		f.agent(fmt.Sprintf("a%d", i), f.tcp)
	}
	return f
}

// log is where what runs in this process writes.
func (f *fabric) log() zerolog.Logger {
	if os.Getenv("WEFT_E2E_LOG") == "" {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.NewTestWriter(f.t)).With().Timestamp().Logger()
}

// broker starts a broker in this process.
func (f *fabric) broker(cfg broker.Config) *broker.Broker {
	f.t.Helper()
	log := f.log()
	cfg.Logger = &log
	b, err := broker.Start(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.tcp = b.Endpoints()[0]
	if all := b.Endpoints(); len(all) > 1 {
		f.ipc = all[1]
	}
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			f.t.Error(err)
		}
	})
	return b
}

// agent starts an agent in this process; the function that it returns ends it in order.
func (f *fabric) agent(name, endpoint string) (stop func()) {
	f.t.Helper()
	a, err := agent.New(agent.Config{
		Broker: endpoint, Name: name, Dir: filepath.Join(f.dir, name), Capacity: plenty, Grace: 2 * time.Second, Logger: f.log(),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				f.t.Error(err)
			}
		case <-time.After(patience):
			f.t.Errorf("agent %s does not end", name)
		}
	}
	f.t.Cleanup(stop)
	return stop
}

// dial makes a client, over tcp when endpoint is empty.
func (f *fabric) dial(endpoint string, opts ...client.Option) *client.Client {
	f.t.Helper()
	if endpoint == "" {
		endpoint = f.tcp
	}
	c, err := client.Dial(f.ctx, endpoint, append([]client.Option{
		client.WithKeepScheme(), client.WithLogger(f.log()), client.WithDialTimeout(patience),
	}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return c
}

// service describes a service that runs one of the programs.
func (f *fabric) service(name, program string, instances int) protocol.Service {
	return protocol.Service{
		Name:      name,
		Artefacts: map[string]protocol.Artefact{ownPlatform: {Command: self(f.t)}},
		Instances: protocol.Instances{Min: instances},
		// The race detector would have a process wait for a second before it exits.
		Env: map[string]string{varService: program, varMark: f.mark, "GORACE": "atexit_sleep_ms=0"},
	}
}

// ownPlatform is the platform of this machine.
var ownPlatform = platform.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}.String()

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// register registers services.
func (f *fabric) register(c *client.Client, services ...protocol.Service) {
	f.t.Helper()
	for _, s := range services {
		if err := c.RegisterService(f.ctx, s); err != nil {
			f.t.Fatal(err)
		}
	}
}

// open opens a session.
func (f *fabric) open(c *client.Client, service string, opts ...client.SessionOption) *client.Session {
	f.t.Helper()
	s, err := c.OpenSession(f.ctx, service, opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// call calls, and checks the answer.
func (f *fabric) call(s *client.Session, task, want string) {
	f.t.Helper()
	got, err := s.Call(f.ctx, []byte(task))
	if err != nil || string(got) != want {
		f.t.Fatalf("%.80q is answered by %.80q, %v; want %.80q", task, got, err, want)
	}
}

// processes are the living processes of this fabric.
func (f *fabric) processes() []int { return processes(varMark + "=" + f.mark) }

// instances are the living instances that run a program.
func (f *fabric) instances(program string) []int {
	return processes(varMark+"="+f.mark, varService+"="+program)
}

// serving waits until that many instances of a service serve.
func (f *fabric) serving(c *client.Client, service string, n int) {
	f.t.Helper()
	await(f.t, fmt.Sprintf("%d instances of %s serve", n, service), func() bool { return f.info(c, service).Instances == n })
}

// info is what the catalogue says of a service.
func (f *fabric) info(c *client.Client, service string) protocol.ServiceInfo {
	f.t.Helper()
	for i, err := range c.Services(f.ctx, client.Filter{Name: service}) {
		if err != nil {
			f.t.Fatal(err)
		}
		return i
	}
	f.t.Fatalf("there is no service %s", service)
	return protocol.ServiceInfo{}
}

// state is what the broker says of services, sessions and nodes, for a test that has failed.
func (f *fabric) state(c *client.Client) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience/10)
	defer cancel()
	var b strings.Builder
	for i, err := range c.Services(ctx, client.Filter{}) {
		fmt.Fprintf(&b, "\nservice %s: %d sessions, %d instances, %d starting, %q, %v", i.Service.Name, i.Sessions, i.Instances, i.Starting, i.Reason, err)
	}
	for i, err := range c.Sessions(ctx, client.Filter{All: true}) {
		fmt.Fprintf(&b, "\nsession %+v, %v", i, err)
	}
	for i, err := range c.Nodes(ctx, client.Filter{All: true}) {
		fmt.Fprintf(&b, "\nnode %s %s: %d containers, %v", i.Name, i.State, i.Containers, err)
	}
	return b.String()
}
