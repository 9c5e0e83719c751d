package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched/scenario"
)

// varPlanned names, in the environment of an instance, the service that it is one of.
const varPlanned = "E2E_PLANNED"

// world is a fabric of which every daemon is a process of the program weft, and of which all is asked by that program.
type world struct {
	*fabric
	program string
	http    string // of the broker's HTTP server
	agents  map[string]*exec.Cmd
}

// newWorld starts a broker that waits so long for its peers, with these queues.
func newWorld(t *testing.T, program string, patient time.Duration, queues []protocol.Queue) *world {
	t.Helper()
	w := &world{fabric: newFabric(t), program: program, agents: map[string]*exec.Cmd{}}
	cmd := w.command("broker", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--peer-timeout", patient.String(),
		"--queues", w.queuesFile(queues))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.run("broker", cmd)
	lines := bufio.NewReader(out)
	for _, at := range []*string{&w.tcp, &w.http} {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the broker says %q, %v, where it should say where it is", line, err)
		}
		*at = line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1 : len(line)-1]
	}
	return w
}

// command is the program with arguments; the process bears the mark of the fabric.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.program, args...)
	cmd.Env = append(os.Environ(), varMark+"="+w.mark, "HOME="+w.dir, "XDG_RUNTIME_DIR="+w.dir)
	cmd.Dir = w.dir
	if os.Getenv("WEFT_E2E_LOG") != "" {
		cmd.Stderr = os.Stderr
	}
	return cmd
}

// run starts a daemon, which is ended with the test.
func (w *world) run(name string, cmd *exec.Cmd) {
	w.t.Helper()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if cmd.ProcessState != nil { // it was killed
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	})
}

// join starts the agent of a node, and waits until the broker has it.
func (w *world) join(n scenario.Node) {
	w.t.Helper()
	var capacity []string
	for _, d := range protocol.Dimensions() {
		if amount := n.Cap[d]; amount > 0 {
			capacity = append(capacity, d+"="+amountText(d, amount))
		}
	}
	cmd := w.command("agent", "--broker", w.tcp, "--name", n.Node, "--rack", n.Rack, "--node-type", n.Type,
		"--capacity", strings.Join(capacity, ","), "--dir", filepath.Join(w.dir, n.Node))
	w.run("agent "+n.Node, cmd)
	w.agents[n.Node] = cmd
	await(w.t, "node "+n.Node+" has joined", func() bool {
		var all []protocol.NodeInfo
		w.ask(&all, "node", "list")
		for _, have := range all {
			if have.Name == n.Node {
				return have.State == "ready"
			}
		}
		return false
	})
}

// lose kills the agent of a node.
func (w *world) lose(node string) {
	w.t.Helper()
	cmd := w.agents[node]
	delete(w.agents, node)
	if err := cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// weft runs a command of the program against the broker.
func (w *world) weft(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := w.command(args...)
	cmd.Env = append(cmd.Env, "WEFT_BROKER="+w.tcp)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("weft %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// must is [world.weft] for what has to succeed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	out, err := w.weft(args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// ask asks for JSON.
func (w *world) ask(into any, args ...string) {
	w.t.Helper()
	out := w.must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		w.t.Fatalf("weft %s -o json: %v: %s", strings.Join(args, " "), err, out)
	}
}

// apply replaces the queues.
func (w *world) apply(queues []protocol.Queue) {
	w.t.Helper()
	w.must("queue", "apply", w.queuesFile(queues))
}

// simulate has the program run a scenario.
func (w *world) simulate(doc scenario.Document) []json.RawMessage {
	w.t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := w.command("sched", "simulate", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("weft sched simulate: %v: %s\n%s", err, stderr.String(), text)
	}
	var out struct{ Steps []json.RawMessage }
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		w.t.Fatal(err)
	}
	return out.Steps
}

// amountText writes an amount as people write it for a dimension.
func amountText(dimension string, n int64) string {
	if dimension == "cpu" {
		return strconv.FormatInt(n, 10) + "m"
	}
	return strconv.FormatInt(n, 10)
}

// queuesFile writes the file of a tree of queues.
func (w *world) queuesFile(queues []protocol.Queue) string {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("queues:\n")
	for _, q := range queues {
		fmt.Fprintf(&b, "  - name: %s\n", q.Name)
		field := func(key string, value any) {
			if text := fmt.Sprint(value); text != "" && text != "0" {
				fmt.Fprintf(&b, "    %s: %s\n", key, text)
			}
		}
		field("parent", q.Parent)
		field("capacity_pct", string(q.Capacity))
		if q.Weight != nil {
			field("weight", *q.Weight)
		}
		if len(q.Max) > 0 {
			var parts []string
			for _, d := range protocol.Dimensions() {
				if n, ok := q.Max[d]; ok {
					parts = append(parts, d+": "+amountText(d, n))
				}
			}
			field("max", "{"+strings.Join(parts, ", ")+"}")
		}
		field("policy", q.Policy)
		field("user_limit_pct", string(q.UserLimit))
		if q.Reserve {
			field("reserve", true)
		}
	}
	path := filepath.Join(w.dir, "queues.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// planned is a service of a world: its instances answer what [builtin.Ping] answers.
type planned struct {
	name, queue string
	user        string // whose client opens its sessions
	instances   int
	request     protocol.ContainerRequest
	platform    string // of its artefact; empty: this one
}

// service is the service as it is registered.
func (w *world) service(p planned) protocol.Service {
	on := p.platform
	if on == "" {
		on = ownPlatform
	}
	return protocol.Service{
		Name: p.name, Queue: p.queue, Requests: []protocol.ContainerRequest{p.request},
		Artefacts: protocol.Artefacts{on: {Command: protocol.OwnProgram, Args: []string{"serve", "ping"}}},
		Instances: protocol.Instances{Min: p.instances}, Limits: protocol.Limits{Idle: protocol.Duration(time.Millisecond)},
		Env: map[string]string{varMark: w.mark, varPlanned: p.name},
	}
}

// answer is what sessions of planned services ask for.
var answer = builtin.Load{Out: 16}

// start opens a session of a planned service.
func (w *world) start(c *client.Client, service string, opts ...client.SessionOption) (*client.Session, error) {
	w.t.Helper()
	parameters, err := answer.Parameters()
	if err != nil {
		w.t.Fatal(err)
	}
	return c.OpenSession(w.ctx, service, append([]client.SessionOption{client.WithParameters(parameters)}, opts...)...)
}

// serves has a session do a task, on one of the nodes where its service has instances.
func (w *world) serves(s *client.Session, service string) {
	w.t.Helper()
	task := []byte("a task of " + service)
	got, err := s.Call(w.ctx, task)
	if err != nil || !answer.RightResult(task, got) {
		w.t.Errorf("a task of %s is answered by %q, %v", service, got, err)
		return
	}
	mark, _ := builtin.MarkOf(got)
	nodes := w.onNodes(service)
	for n := range nodes {
		if builtin.NodeMark(n) == mark {
			return
		}
	}
	w.t.Errorf("a task of %s was answered by a node on which it has no container; those are %v", service, nodes)
}

// onNodes counts the processes of the instances of a service by the node whose agent has started them.
func (w *world) onNodes(service string) map[string]int {
	found := map[string]int{}
	for _, pid := range processes(varMark+"="+w.mark, varPlanned+"="+service) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil { // gone
			continue
		}
		after := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for node, cmd := range w.agents {
			if len(after) > 1 && after[1] == strconv.Itoa(cmd.Process.Pid) {
				found[node]++
			}
		}
	}
	return found
}
