package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/fake"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

func TestRegistersAndReportsItsNode(t *testing.T) {
	at := endpoint(t)
	startAgent(t, Config{Broker: at, Launcher: fake.New(nil), Rack: "r7", Capacity: protocol.Capacity{GPU: 2}})
	b := newBroker(t, at, 1, 5) // comes later than the agent
	node := b.registered()
	if node.Name != "n1" || node.Rack != "r7" || node.NodeType != protocol.NodeTypeGPU || !strings.HasPrefix(node.Platform, "linux/") ||
		node.Capacity.CPU < 100 || node.Capacity.Memory < 1<<20 || node.Capacity.GPU != 2 ||
		node.Detail.Cores < 1 || node.Detail.Kernel == "" || len(node.Containers) != 0 {
		t.Errorf("registered as %+v", node)
	}
	hello := await(b, protocol.KindHello, "a greeting", func(protocol.Hello) bool { return true })
	if hello.Role != protocol.RoleAgent || hello.Name != "n1" || hello.Endpoint != at || hello.Host == "" {
		t.Errorf("greeted by %+v", hello)
	}
	b.order(protocol.KindStartContainer, protocol.StartContainer{ID: "c1", Service: "price", Command: "/x"})
	await(b, protocol.KindNodeStatus, "a status with the container and free memory", func(s protocol.NodeStatus) bool {
		return slices.Equal(s.Containers, []string{"c1"}) && s.MemFree > 0
	})
}

func TestStartsAndReportsTheEnd(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	l := fake.New(func(launcher.Spec) fake.Behaviour { return fake.Behaviour{Output: []string{"one", "two"}} })
	startAgent(t, Config{Broker: at, Launcher: l, KeepsScheme: true})
	b.registered()
	start := protocol.StartContainer{
		ID: "c1", Service: "price", Version: "2", Command: "/x", Args: []string{"-v"}, Dir: "/tmp", Token: "secret",
		Slots: 3, Sessions: 4, Env: map[string]string{"B": "2", "A": "1"},
	}
	b.order(protocol.KindStartContainer, start)
	b.order(protocol.KindStartContainer, start)
	running := b.state("c1", protocol.ContainerRunning)
	if running.PID != l.Container("c1").PID() || running.Error != nil {
		t.Errorf("running as %+v", running)
	}
	specs := l.Started()
	if len(specs) != 1 {
		t.Fatalf("started %d times", len(specs))
	}
	spec := specs[0]
	if spec.ID != "c1" || spec.Command != "/x" || spec.Dir != "/tmp" || !slices.Equal(spec.Args, []string{"-v"}) ||
		!slices.Equal(spec.Env, []string{"A=1", "B=2"}) {
		t.Errorf("started %+v", spec)
	}
	want := protocol.Marshal(protocol.Identity{
		Container: "c1", Service: "price", Version: "2", Token: "secret", Node: "n1", Endpoints: []string{at}, Slots: 3,
		Sessions: 4, KeepsScheme: true,
	})
	if string(spec.Identity) != string(want) {
		t.Errorf("identity %q, want %q", spec.Identity, want)
	}
	l.Container("c1").End(fake.Ending{Code: 3})
	exited := b.state("c1", protocol.ContainerExited)
	if exited.Code != 3 || exited.Signal != "" || exited.Reason != "ended by itself: exit code 3" ||
		!slices.Equal(exited.Output, []string{"one", "two"}) || exited.Error != nil {
		t.Errorf("exited as %+v", exited)
	}
}

func TestStopsAsTold(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	l := fake.New(func(s launcher.Spec) fake.Behaviour { return fake.Behaviour{IgnoreStop: s.ID == "stubborn"} })
	startAgent(t, Config{Broker: at, Launcher: l})
	b.registered()
	for id, want := range map[string][2]string{
		"polite":   {"SIGTERM", "stopped as told: signal 15 (SIGTERM)"},
		"stubborn": {"SIGKILL", "did not stop within 10ms and was killed: signal 9 (SIGKILL)"},
	} {
		b.order(protocol.KindStartContainer, protocol.StartContainer{ID: id, Service: "price", Command: "/x"})
		b.state(id, protocol.ContainerRunning)
		b.order(protocol.KindStopContainer, protocol.StopContainer{ID: id, Grace: 10 * time.Millisecond})
		b.state(id, protocol.ContainerStopping)
		exited := b.state(id, protocol.ContainerExited)
		if exited.Code != -1 || exited.Signal != want[0] || exited.Reason != want[1] {
			t.Errorf("%s: %+v", id, exited)
		}
	}
	b.order(protocol.KindStopContainer, protocol.StopContainer{ID: "nobody"})
	b.state("nobody", protocol.ContainerExited)
}

func TestTellsWhyItCannotStart(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	dir := t.TempDir()
	startAgent(t, Config{Broker: at, Dir: dir}) // processes
	b.registered()
	write := func(name string, mode os.FileMode, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s390x := append([]byte("\x7fELF\x02\x02\x01"), make([]byte, 57)...)
	s390x[17], s390x[19] = 2, 22
	for id, tt := range map[string]struct {
		command string
		code    protocol.Code
		says    []string
	}{
		"missing":  {filepath.Join(dir, "nothing"), protocol.CodeArtefact, []string{"nothing: no such file", "want an executable for linux/"}},
		"plain":    {write("plain", 0o644, "#!/bin/sh\n"), protocol.CodeArtefact, []string{"plain: not an executable", "chmod +x"}},
		"folder":   {dir, protocol.CodeArtefact, []string{dir, "folder", "want an executable"}},
		"text":     {write("text", 0o755, "hello\n"), protocol.CodeArtefact, []string{"text: not an executable", "#!"}},
		"foreign":  {write("foreign", 0o755, string(s390x)), protocol.CodeArtefact, []string{"foreign: made for another platform, linux/s390x", "want an executable for linux/"}},
		"script":   {write("script", 0o755, "#!/no/such/shell\n"), protocol.CodeArtefact, []string{"script", "/no/such/shell", "want an interpreter"}},
		"bad/id":   {"/bin/true", protocol.CodeInvalid, []string{`ID "bad/id": want`}},
		"relative": {"bin/true", protocol.CodeInvalid, []string{`Command "bin/true": want an absolute path`}},
	} {
		b.order(protocol.KindStartContainer, protocol.StartContainer{ID: id, Service: "price", Command: tt.command})
		got := b.state(id, protocol.ContainerExited)
		if got.Error == nil || got.Error.Code != tt.code || got.Error.Op != "start container "+id || got.Reason != got.Error.Error() {
			t.Errorf("%s: %+v, error %v; want %v", id, got, got.Error, tt.code)
			continue
		}
		for _, text := range tt.says {
			if !strings.Contains(got.Error.Msg, text) {
				t.Errorf("%s: %q does not say %q", id, got.Error.Msg, text)
			}
		}
	}
}

func TestConnectionComesBack(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	l := fake.New(nil)
	startAgent(t, Config{Broker: at, Launcher: l})
	b.registered()
	for _, id := range []string{"c1", "c2"} {
		b.order(protocol.KindStartContainer, protocol.StartContainer{ID: id, Service: "price", Command: "/x"})
		b.state(id, protocol.ContainerRunning)
	}
	b.close()
	l.Container("c1").End(fake.Ending{Code: 1})
	b.open()
	b.state("c1", protocol.ContainerExited)
	hello := await(b, protocol.KindHello, "a greeting that resumes", func(h protocol.Hello) bool { return h.Peer == 1 })
	if hello.Received == 0 {
		t.Error("the agent does not say what it has received")
	}
	b.order(protocol.KindStopContainer, protocol.StopContainer{ID: "c2", Grace: time.Second})
	b.state("c2", protocol.ContainerExited)
	if n := b.count(protocol.KindRegisterNode); n != 1 {
		t.Errorf("registered %d times", n)
	}
	if n := b.count(protocol.KindContainerState); n != 5 { // running twice, exited, stopping, exited
		t.Errorf("%d reports, want each once", n)
	}
}

func TestBrokerIsAnother(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	l := fake.New(nil)
	startAgent(t, Config{Broker: at, Launcher: l})
	b.registered()
	b.order(protocol.KindStartContainer, protocol.StartContainer{ID: "c1", Service: "price", Command: "/x"})
	b.state("c1", protocol.ContainerRunning)
	b.close()
	b = newBroker(t, at, 2, 6)
	node := b.registered()
	want := []protocol.Container{{ID: "c1", Service: "price", State: protocol.ContainerRunning}}
	if !slices.Equal(node.Containers, want) {
		t.Errorf("registered with %+v, want %+v", node.Containers, want)
	}
	b.order(protocol.KindStopContainer, protocol.StopContainer{ID: "c1", Grace: time.Second})
	b.state("c1", protocol.ContainerExited)
}

func TestGarbageDoesNotHurt(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	startAgent(t, Config{Broker: at, Launcher: fake.New(nil)})
	b.registered()
	b.task(func(router *zmqx.Socket) {
		h := b.payloads.New(make([]byte, 10))
		defer b.payloads.Release(h)
		peer, _ := b.agent.Peer()
		for i, frame := range [][]byte{nil, []byte("junk"), b.node.Rehello(nil)[:50], make([]byte, 100_000)} {
			if err := router.Send(peer, frame, []zmqx.Handle{h}[:i%2]); err != nil {
				t.Error(err)
			}
		}
		b.agent.Append(protocol.Kind(120), 7, 8, []byte("?"))
	})
	refusal := await(b, protocol.KindError, "a refusal", func(protocol.Error) bool { return true })
	if refusal.Code != protocol.CodeUnknownKind {
		t.Errorf("refused with %v", &refusal)
	}
	b.order(protocol.KindStartContainer, protocol.StartContainer{ID: "c1", Service: "price", Command: "/x"})
	b.state("c1", protocol.ContainerRunning)
}

func TestEndsInOrder(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	l := fake.New(func(s launcher.Spec) fake.Behaviour { return fake.Behaviour{IgnoreStop: s.ID == "c2"} })
	_, end := startAgent(t, Config{Broker: at, Launcher: l, Grace: 20 * time.Millisecond})
	b.registered()
	for i := range 3 {
		b.order(protocol.KindStartContainer, protocol.StartContainer{ID: fmt.Sprintf("c%d", i), Service: "price", Command: "/x"})
		b.state(fmt.Sprintf("c%d", i), protocol.ContainerRunning)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b.state(fmt.Sprintf("c%d", i), protocol.ContainerExited)
	}
	launchertest.Await(t, "it says goodbye", func() bool { return b.count(protocol.KindBye) == 1 })
	if exit := l.Container("c2").Exit(); exit.Cause != launcher.Overdue {
		t.Errorf("the stubborn one ended as %+v", exit)
	}
}

func TestEndsWithoutBroker(t *testing.T) {
	_, end := startAgent(t, Config{Broker: endpoint(t), Launcher: fake.New(nil)})
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

func TestReapsBeforeItRegisters(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	l := fake.New(nil)
	l.Leave(launcher.Leftover{ContainerID: "old", PID: 4711, Command: "sleep"})
	startAgent(t, Config{Broker: at, Launcher: l})
	b.registered()
	if found, err := l.Reap(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("left after the registration: %+v, %v", found, err)
	}
}
