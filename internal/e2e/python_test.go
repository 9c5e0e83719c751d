package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// progPython marks the instances of the service verbs in Python.
	progPython = "python-verbs"

	// interpreter is the one of the system, for which tools/setup installs what the SDK needs.
	interpreter = "/usr/bin/python3"
)

// needPython skips a test where Python lacks what the SDK needs, and tools/setup could not install it.
func needPython(t *testing.T) {
	t.Helper()
	check := exec.Command(interpreter, "-c", "import sys, zmq, msgpack; sys.exit(sys.version_info < (3, 10))")
	if out, err := check.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: the Python SDK needs %s 3.10 with zmq and msgpack (make setup installs them): %v\n%s", interpreter, err, out)
	}
}

// inTree is the path of something in this repository.
func inTree(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(full); err != nil {
		t.Fatal(err)
	}
	return full
}

// pythonService describes the service verbs in Python.
func (f *fabric) pythonService(name string, instances int) protocol.Service {
	f.t.Helper()
	return protocol.Service{
		Name:      name,
		Artefacts: map[string]protocol.Artefact{ownPlatform: {Command: inTree(f.t, "testdata/verbs.py")}},
		Instances: protocol.Instances{Min: instances},
		Env: map[string]string{
			varService: progPython, varMark: f.mark, varFile: string(f.pythonJournal()), "PYTHONPATH": inTree(f.t, "../../sdk/python"),
			"PYTHONDONTWRITEBYTECODE": "1",
		},
	}
}

// pythonJournal is where instances in Python write down what they do, and others that are compared with them.
func (f *fabric) pythonJournal() journal { return journal(filepath.Join(f.dir, "journal")) }

// wrote gives the processes that wrote down what.
func (f *fabric) wrote(what string) []int {
	f.t.Helper()
	all, err := f.pythonJournal().read()
	if err != nil {
		f.t.Fatal(err)
	}
	var pids []int
	for _, e := range all {
		if strings.HasPrefix(e.what, what) {
			pids = append(pids, e.pid)
		}
	}
	return pids
}

// pythonClient is a client in Python, in a process of its own.
type pythonClient struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	done  bool
}

// python starts testdata/client.py.
func (f *fabric) python(what, endpoint, service string, n int) *pythonClient {
	f.t.Helper()
	if endpoint == "" {
		endpoint = f.tcp
	}
	cmd := exec.Command(inTree(f.t, "testdata/client.py"), what, endpoint, service, fmt.Sprint(n))
	cmd.Env = append(os.Environ(), varMark+"="+f.mark, "PYTHONPATH="+inTree(f.t, "../../sdk/python"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	p := &pythonClient{t: f.t, cmd: cmd, lines: bufio.NewScanner(stdout)}
	f.t.Cleanup(p.kill)
	return p
}

// until waits until the client has said a line that begins so.
func (p *pythonClient) until(line string) {
	p.t.Helper()
	limit := time.AfterFunc(2*patience, func() { _ = p.cmd.Process.Kill() })
	defer limit.Stop()
	for p.lines.Scan() {
		if strings.HasPrefix(p.lines.Text(), line) {
			return
		}
	}
	p.t.Fatalf("the client in Python ended without saying %q", line)
}

// ok waits until the client has done its work, and checks that all was well.
func (p *pythonClient) ok() {
	p.t.Helper()
	p.until("ok")
	for p.lines.Scan() { // what is left is of no interest
	}
	p.done = true
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the client in Python: %v", err)
	}
}

// kill ends the client by SIGKILL.
func (p *pythonClient) kill() {
	if p.done {
		return
	}
	p.done = true
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it was killed
}

// manyTasks is how many tasks a run has in which processes are killed.
func manyTasks() int {
	if testing.Short() {
		return 1_000
	}
	return 10_000
}

func TestPythonInstancesKilled(t *testing.T) {
	needPython(t)
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.pythonService("verbs", 3))
		s := f.open(c, "verbs")
		f.serving(c, "verbs", 3)
		y := f.submit(c, s, manyTasks(), func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		kills := 0
		y.whileUnanswered(300*time.Millisecond, func() {
			if living := f.instances(progPython); len(living) > 0 {
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

func TestPythonInstanceKilledInATask(t *testing.T) {
	needPython(t)
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.pythonService("verbs", 1))
		s := f.open(c, "verbs")
		task, err := s.Submit(f.ctx, []byte("once"))
		if err != nil {
			t.Fatal(err)
		}
		await(t, "the task runs", func() bool { return len(f.wrote("once")) == 1 })
		sigkill(f.wrote("once")...)
		got, err := task.Wait(f.ctx)
		if err != nil || string(got) != "2" {
			t.Errorf("a task whose instance is killed under it: %q, %v; want attempt 2", got, err)
		}
	})
}

func TestPythonHooks(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 0)
	c := f.dial("")
	f.register(c, f.pythonService("verbs", 1))
	stop := f.agent("node", f.tcp)
	s := f.open(c, "verbs", client.WithParameters([]byte("EUR")))
	other := f.open(c, "verbs")
	f.call(s, "parameters", "EUR")
	f.call(s, "put key value", "")
	f.call(s, "get key", "value")
	f.call(other, "get key", "")
	f.call(s, "put key other value", "")
	f.call(s, "get key", "other value")
	f.call(s, "delete key", "")
	f.call(s, "get key", "")
	f.call(s, "retry 3", "3")
	f.call(s, "fork", "{-15}")
	before := f.instances(progPython)

	_, err := s.Call(f.ctx, []byte("raise a stir"))
	if protocol.CodeOf(err) != protocol.CodeTaskFailed {
		t.Errorf("a task that raises: %v", err)
	}
	mustSay(t, err, "KeyError", "a stir", "verbs.py", "on_task_exec")
	_, err = s.Call(f.ctx, []byte("permanent damage"))
	mustSay(t, err, "damage")
	if after := f.instances(progPython); !slices.Equal(before, after) {
		t.Errorf("instances %v became %v by exceptions", before, after)
	}
	refused := f.open(c, "verbs", client.WithParameters([]byte("refuse it all")))
	<-refused.Done()
	mustSay(t, refused.Err(), "it all")

	if err := other.Close(f.ctx); err != nil {
		t.Error(err)
	}
	await(t, "one session is let go", func() bool { return len(f.wrote("unbind")) == 1 })
	if n := len(f.wrote("destroy")); n != 0 {
		t.Errorf("destroyed %d times before its end", n)
	}
	stop() // the agent ends in order, and its instances with it
	if creates, binds := len(f.wrote("create verbs")), len(f.wrote("bind")); creates != 1 || binds != 2 {
		t.Errorf("%d creations, %d bindings; want 1 and 2", creates, binds)
	}
	if unbinds, destroys := len(f.wrote("unbind")), len(f.wrote("destroy")); unbinds != 2 || destroys != 1 {
		t.Errorf("%d sessions let go, %d ends; want 2 and 1", unbinds, destroys)
	}
}

func TestPythonInstanceThatEndsInATask(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	verbs := f.pythonService("verbs", 1)
	verbs.Retry.Attempts = 2
	f.register(c, verbs)
	s := f.open(c, "verbs")
	f.call(s, "put key kept", "")
	_, err := s.Call(f.ctx, []byte("exit"))
	if protocol.CodeOf(err) != protocol.CodeAttemptsSpent {
		t.Errorf("a task that ends its instance: %v", err)
	}
	mustSay(t, err, "2 attempts", "exit code 3")
	before, err := s.Call(f.ctx, []byte("pid"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(f.ctx, []byte("interrupt the run"))
	if protocol.CodeOf(err) != protocol.CodeTaskPanicked {
		t.Errorf("a task that is interrupted: %v", err)
	}
	await(t, "another instance serves", func() bool {
		after, err := s.Call(f.ctx, []byte("pid"))
		return err == nil && string(after) != string(before)
	})
	f.call(s, "get key", "kept") // what the session keeps outlives its instances
}

func TestPythonServiceThatCannotBegin(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	broken := f.pythonService("verbs", 1)
	broken.Env[varBroken] = "no licence"
	f.register(c, broken)
	s := f.open(c, "verbs")
	await(t, "the catalogue says why", func() bool {
		return strings.Contains(f.info(c, "verbs").Reason, "no licence") || s.Err() != nil
	})
}

// TestPythonComputesWithoutAPause has a hook keep the interpreter busy for longer than a peer may be silent.
func TestPythonComputesWithoutAPause(t *testing.T) {
	needPython(t)
	if testing.Short() {
		t.Skip("takes longer than the silence after which a peer is lost")
	}
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.pythonService("verbs", 1))
	f.call(f.open(c, "verbs"), "busy 13", "done")
	if n := len(f.wrote("busy")); n != 1 {
		t.Errorf("the task was begun %d times", n)
	}
}

func TestPythonLargePayloads(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.pythonService("verbs", 2))
	s := f.open(c, "verbs")
	for i := range 10 {
		in := random(1<<20 + i)
		f.call(s, "echo "+string(in), string(in))
	}
	f.python("large", "", "verbs", 10).ok()
}

func TestPythonClient(t *testing.T) {
	needPython(t)
	for _, scheme := range []string{"tcp", "ipc"} {
		t.Run(scheme, func(t *testing.T) {
			f := start(t, loops(t, 1), 1)
			c := f.dial("")
			f.register(c, f.service("verbs", progVerbs, 2))
			endpoint := map[string]string{"tcp": f.tcp, "ipc": f.ipc}[scheme]
			f.python("surface", endpoint, "verbs", 500).ok()
			f.python("kill", endpoint, "verbs", 5).ok()
			await(t, "no session is left", func() bool { return f.info(c, "verbs").Sessions == 0 })
		})
	}
}

func TestPythonClientWhileInstancesAreKilled(t *testing.T) {
	needPython(t)
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		c := f.dial("")
		f.register(c, f.service("verbs", progVerbs, 3))
		p := f.python("tally", "", "verbs", manyTasks())
		p.until("answered 20")
		for range 3 {
			f.serving(c, "verbs", 3)
			if living := f.instances(progVerbs); len(living) > 0 {
				sigkill(living[rand.IntN(len(living))])
			}
		}
		p.ok()
	})
}

// TestClientsKilled kills a client while its tasks are at an instance, where one of the two is in Python.
func TestClientsKilled(t *testing.T) {
	needPython(t)
	if testing.Short() {
		t.Skip("waits until the broker gives a silent client up, which takes 10 s")
	}
	inPython := func(_ *testing.T, f *fabric) func() { return f.python("block", "", "verbs", 3).kill }
	inGo := func(t *testing.T, f *fabric) func() {
		d := spawn(t, f.mark, roleClient, clientConfig{Broker: f.tcp, Service: "verbs", Tasks: []string{"block", "block", "block"}})
		return func() { d.kill(t) }
	}
	pythonService := func(f *fabric) protocol.Service { return f.pythonService("verbs", 1) }
	goService := func(f *fabric) protocol.Service {
		s := f.service("verbs", progVerbs, 1)
		s.Env[varFile] = string(f.pythonJournal())
		return s
	}
	eachLoops(t, func(t *testing.T, loops int) {
		for _, tt := range []struct {
			name    string
			client  func(t *testing.T, f *fabric) (kill func())
			service func(f *fabric) protocol.Service
		}{
			{"python to python", inPython, pythonService},
			{"python to go", inPython, goService},
			{"go to python", inGo, pythonService},
		} {
			t.Run(tt.name, func(t *testing.T) {
				f := newFabric(t)
				f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0"}, Loops: loops, ClientGrace: protocol.PeerTimeout})
				f.agent("node", f.tcp)
				c := f.dial("")
				f.register(c, tt.service(f))
				kill := tt.client(t, f)
				await(t, "a task runs", func() bool { return len(f.wrote("block")) == 1 })
				kill()
				await(t, "the session has ended", func() bool { return f.info(c, "verbs").Sessions == 0 })
				await(t, "the task is cancelled, and its session let go", func() bool {
					return len(f.wrote("cancelled")) == 1 && len(f.wrote("unbind")) == 1
				})
				f.python("tally", "", "verbs", 100).ok()
				f.submit(c, f.open(c, "verbs"), 100, func(i int) string { return fmt.Sprintf("id %d", i) }).wait()
				if n := len(f.wrote("block")); n != 1 {
					t.Errorf("%d tasks of the client that was killed were begun, want 1", n)
				}
			})
		}
	})
}

func TestPythonClientOutlivesItsBroker(t *testing.T) {
	needPython(t)
	eachLoops(t, func(t *testing.T, loops int) {
		f := newFabric(t)
		base := freePorts(t, loops)
		first := f.brokerProcess(base, loops)
		p := newProxy(t, base, loops)
		f.agent("node", f.tcp)
		services := []protocol.Service{f.service("go", progVerbs, 2), f.pythonService("python", 2)}
		operator := f.dial("")
		f.register(operator, services...)
		var clients []*pythonClient
		for _, s := range services {
			clients = append(clients, f.python("tally", throughProxy(base), s.Name, 2_000))
		}
		for _, c := range clients {
			c.until("answered 20")
		}
		first.kill(t)
		// The store is in memory: the services are registered again before the clients come back.
		p.Pause()
		f.brokerProcess(base, loops)
		f.register(operator, services...)
		p.Resume()
		for _, c := range clients {
			c.ok()
		}
	})
}

// TestPythonFollowsAServiceThatMoves has session managers go from loop to loop while tasks run.
func TestPythonFollowsAServiceThatMoves(t *testing.T) {
	needPython(t)
	const loops = 3
	f := start(t, loops, 1)
	c := f.dial("")
	f.register(c, f.pythonService("python", 2), f.service("go", progVerbs, 2))
	s := f.open(c, "python")
	f.serving(c, "python", 2)
	clients := []*pythonClient{f.python("tally", "", "python", manyTasks()), f.python("tally", "", "go", manyTasks())}
	for _, p := range clients {
		p.until("answered 20")
	}
	before := f.instances(progPython)
	y := f.submit(c, s, manyTasks(), func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
	moves := 0
	y.whileUnanswered(100*time.Millisecond, func() {
		moves++
		for _, name := range []string{"python", "go"} {
			if err := c.MoveService(f.ctx, name, "", moves%loops); err != nil && protocol.CodeOf(err) != protocol.CodeNotFound {
				t.Error(err)
			}
		}
	})
	y.wait()
	for _, p := range clients {
		p.ok()
	}
	if moves < 5 {
		t.Errorf("the services moved only %d times: the test shows nothing", moves)
	}
	if n := len(f.wrote("bind")); n != 4 || !slices.Equal(before, f.instances(progPython)) {
		t.Errorf("sessions were bound %d times, want 4 (2 sessions at 2 instances, once); instances %v became %v", n, before, f.instances(progPython))
	}
}

func TestPythonThroughConnectionsThatAreCut(t *testing.T) {
	needPython(t)
	eachLoops(t, func(t *testing.T, loops int) {
		f := newFabric(t)
		base := freePorts(t, loops)
		f.broker(broker.Config{Listen: []string{fmt.Sprintf("tcp://127.0.0.1:%d", base)}, Loops: loops})
		p := newProxy(t, base, loops)
		through := throughProxy(base)
		f.agent("node", through)
		c := f.dial("")
		f.register(c, f.pythonService("verbs", 2))
		before := p.Connections()
		py := f.python("tally", through, "verbs", manyTasks())
		py.until("answered 20")
		s := f.open(c, "verbs")
		y := f.submit(c, s, 1_000, func(i int) string { return fmt.Sprintf("sleep 1ms %d", i) })
		y.whileUnanswered(150*time.Millisecond, func() { p.Cut(0.3) })
		y.wait()
		py.ok()
		if made := p.Connections() - before; made < 5 {
			t.Errorf("%d connections were made anew: the test shows nothing", made)
		}
	})
}
