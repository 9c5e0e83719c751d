package agent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher/fake"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

// agentProcess starts this test's binary as an agent on a folder; it is killed when the test ends.
func agentProcess(t *testing.T, broker, dir string) (cmd *exec.Cmd, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), brokerVariable+"="+broker, dirVariable+"="+dir)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the agent wrote:\n%s", log)
		}
	})
	return cmd, log
}

func TestRealContainer(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	dir := t.TempDir()
	startAgent(t, Config{Broker: at, Dir: dir})
	b.registered()
	program := launchertest.Program{Lines: 2, Identity: true, Variables: []string{"WEFT_CONTAINER"}, Code: 7}
	o := order(program.Spec(t, "c1"))
	o.Env["GREETING"] = "hello"
	b.order(protocol.KindStartContainer, o)
	exited := b.state("c1", protocol.ContainerExited)
	identity := protocol.Marshal(protocol.Identity{
		Container: "c1", Service: "price", Version: "2", Token: "secret", Node: "n1", Endpoints: []string{at}, Slots: 3, Sessions: 4,
	})
	want := []string{"line 0", "line 1", launchertest.IdentityLine(identity), "WEFT_CONTAINER=c1", launchertest.Ready}
	// A binary that was built to measure coverage has a last word of its own.
	if exited.Code != 7 || exited.Reason != "ended by itself: exit code 7" || len(exited.Output) < len(want) ||
		!slices.Equal(exited.Output[:len(want)], want) {
		t.Errorf("%+v, want the output %q", exited, want)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "logs/c1/output.log")); err != nil || !strings.Contains(string(log), "line 1\n") {
		t.Errorf("the log has %q (%v)", log, err)
	}
}

func TestRealContainerIsStopped(t *testing.T) {
	at := endpoint(t)
	b := newBroker(t, at, 1, 5)
	dir := t.TempDir()
	startAgent(t, Config{Broker: at, Dir: dir})
	b.registered()
	for id, tt := range map[string]struct {
		program launchertest.Program
		grace   time.Duration
		code    int
		signal  string
	}{
		"polite":   {launchertest.Program{Wait: true, Code: 5}, time.Minute, 5, ""},
		"stubborn": {launchertest.Program{Wait: true, IgnoreStop: true}, 50 * time.Millisecond, -1, "SIGKILL"},
	} {
		b.order(protocol.KindStartContainer, order(tt.program.Spec(t, id)))
		b.state(id, protocol.ContainerRunning)
		awaitReady(t, dir, id)
		b.order(protocol.KindStopContainer, protocol.StopContainer{ID: id, Grace: tt.grace})
		if got := b.state(id, protocol.ContainerExited); got.Code != tt.code || got.Signal != tt.signal {
			t.Errorf("%s: %+v", id, got)
		}
	}
}

// awaitReady waits until a container's program has written everything, and returns that.
func awaitReady(t *testing.T, dir, id string) []string {
	t.Helper()
	var lines []string
	launchertest.Await(t, id+" is ready", func() bool {
		log, err := os.ReadFile(filepath.Join(dir, "logs", id, "output.log"))
		lines = strings.Split(string(log), "\n")
		return err == nil && slices.Contains(lines, launchertest.Ready)
	})
	return lines
}

func TestKilledAgentLeavesNothing(t *testing.T) {
	at, dir := endpoint(t), t.TempDir()
	b := newBroker(t, at, 1, 5)
	cmd, _ := agentProcess(t, at, dir)
	b.registered()
	var pids []int
	for i := range 3 {
		id := fmt.Sprintf("c%d", i)
		b.order(protocol.KindStartContainer, order(launchertest.Program{Wait: true, IgnoreStop: true}.Spec(t, id)))
		pids = append(pids, b.state(id, protocol.ContainerRunning).PID)
	}
	for _, pid := range pids {
		if !launchertest.Alive(pid) {
			t.Errorf("process %d does not run", pid)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range pids {
		launchertest.Await(t, "the children of the agent are gone", func() bool { return !launchertest.Alive(pid) })
	}
}

// What escapes the kernel's hand, a process that the service started in a session of its own, is found by its mark.
func TestNextAgentReaps(t *testing.T) {
	at, dir := endpoint(t), t.TempDir()
	b := newBroker(t, at, 1, 5)
	first, _ := agentProcess(t, at, dir)
	b.registered()
	b.order(protocol.KindStartContainer, order(launchertest.Program{Escape: true, Wait: true}.Spec(t, "c1")))
	b.state("c1", protocol.ContainerRunning)
	escaped := launchertest.Number(t, awaitReady(t, dir, "c1"), "escaped")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	if !launchertest.Alive(escaped) {
		t.Fatal("nothing is left to be reaped")
	}
	b.close()
	b = newBroker(t, at, 2, 6)
	second, log := agentProcess(t, at, dir)
	if node := b.registered(); len(node.Containers) != 0 {
		t.Errorf("registered with %+v", node.Containers)
	}
	if launchertest.Alive(escaped) {
		t.Error("what the first agent left is alive when the second has registered")
	}
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("the agent ends with %v", err)
	}
	launchertest.Await(t, "it says goodbye", func() bool { return b.count(protocol.KindBye) == 1 })
	if line := fmt.Sprintf(`"container":"c1","pid":%d`, escaped); !strings.Contains(log.String(), line) {
		t.Errorf("the log does not have %s:\n%s", line, log)
	}
}

func TestFolderIsForOneAgent(t *testing.T) {
	at, dir := endpoint(t), t.TempDir()
	b := newBroker(t, at, 1, 5)
	first, _ := agentProcess(t, at, dir)
	b.registered()
	other, err := New(Config{Broker: at, Dir: dir, Name: "n2", Launcher: fake.New(nil)})
	if err != nil {
		t.Fatal(err)
	}
	err = other.Run(t.Context())
	want := fmt.Sprintf("Dir %q: InUse: process %d has it; want", dir, first.Process.Pid)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want an error that says %q", err, want)
	}
	// The lock ends with its process, however that ends.
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	b.close()
	b = newBroker(t, at, 2, 6)
	startAgent(t, Config{Broker: at, Dir: dir, Launcher: fake.New(nil)})
	b.registered()
}
