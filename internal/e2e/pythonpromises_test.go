package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// What a task is promised, where its client, its service or both are in Python.

// TestPythonPromises has a client in Python set limits, priorities and retries, and give tasks up, of a service in Go and of
// one in Python.
func TestPythonPromises(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	services := []protocol.Service{f.graceful("go", 1), f.pythonService("python", 1)}
	for i := range services {
		services[i].Limits.Grace = protocol.Duration(10 * time.Second)
	}
	f.register(c, services...)
	for _, s := range services {
		f.python("promises", "", s.Name, 20).ok()
	}
	if n := len(f.instances(progVerbs)) + len(f.instances(progPython)); n != 2 {
		t.Errorf("%d instances live, want the 2 of the beginning", n)
	}
}

// TestPythonClientIsRefused gives a service's manager too little memory for what its clients may send.
func TestPythonClientIsRefused(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	s := f.service("verbs", progVerbs, 1)
	s.Limits.Payload, s.Manager.Memory = 1<<20, 1<<20
	f.register(c, s)
	f.python("refused", "", "verbs", 500).ok()
}

// TestPythonTasksTell has tasks of a service in Python say parts of their results, to clients in Go and in Python.
func TestPythonTasksTell(t *testing.T) {
	needPython(t)
	const parts, size = 300, 5000
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	f.register(c, f.pythonService("verbs", 1))
	s := f.open(c, "verbs")
	heard := 0
	var at protocol.Progress
	out, err := s.Call(f.ctx, fmt.Appendf(nil, "tell %d %d", parts, size), client.WithPartials(func(p client.Partial) {
		if p.Number != heard || p.Attempt != 1 || len(p.Payload) != size || !strings.HasPrefix(string(p.Payload), fmt.Sprintf("%d ", heard)) {
			t.Errorf("part %d of attempt %d is %.20q, want part %d", p.Number, p.Attempt, p.Payload, heard)
		}
		heard++
	}), client.WithProgress(func(p protocol.Progress) { at = p }))
	if err != nil || string(out) != fmt.Sprint(parts) || heard != parts {
		t.Errorf("%q, %v after %d parts", out, err, heard)
	}
	if at.Percent != 100 || at.Text != fmt.Sprintf("part %d", parts-1) || at.Attempt != 1 {
		t.Errorf("the last progress is %+v", at)
	}
	f.python("words", "", "verbs", parts).ok()

	// Nobody takes the parts: the hook waits in emit, and is told there.
	begun, release := make(chan struct{}), make(chan struct{})
	once := false
	flow := f.submitted(s, "flow", client.WithPartials(func(client.Partial) {
		if !once {
			once = true
			close(begun)
		}
		<-release
	}))
	<-begun
	flow.Cancel()
	await(t, "the hook was told", func() bool { return len(f.wrote("flow CANCELLED True")) == 1 })
	close(release)
	f.stopped(flow)
}

func TestPythonHooksAreCancelled(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 1)
	c := f.dial("")
	verbs := f.pythonService("verbs", 1)
	verbs.Limits.Grace = protocol.Duration(time.Second)
	f.register(c, verbs)
	s := f.open(c, "verbs")
	before, err := s.Call(f.ctx, []byte("pid"))
	if err != nil {
		t.Fatal(err)
	}
	block := f.submitted(s, "block")
	await(t, "the task runs", func() bool { return len(f.wrote("block")) == 1 })
	waits := f.submitted(s, "block")
	waits.Cancel()
	f.stopped(waits)
	block.Cancel()
	f.stopped(block)
	if n := len(f.wrote("cancelled")); n != 1 {
		t.Errorf("%d hooks were told", n)
	}
	f.call(s, "pid", string(before))
	f.call(s, "later 0.01", "2")
	_, err = s.Call(f.ctx, []byte("full"))
	if protocol.CodeOf(err) != protocol.CodeTaskFailed { // and not for ever sent again, as what a manager refuses
		t.Errorf("a task that fails with OVERLOADED: %v", err)
	}
	stuck := f.submitted(s, "stuck")
	await(t, "the task runs", func() bool { return len(f.wrote("stuck")) == 1 })
	stuck.Cancel()
	f.stopped(stuck)
	after, err := s.Call(f.ctx, []byte("pid"))
	if err != nil || string(after) == string(before) {
		t.Errorf("an instance whose hook does not end lives on: %s, %v", after, err)
	}
}

// TestPythonInstanceByHandWithAStuckHook has an instance end that nobody can kill, although its hook does not.
func TestPythonInstanceByHandWithAStuckHook(t *testing.T) {
	needPython(t)
	f := start(t, loops(t, 1), 0)
	c := f.dial("")
	f.register(c, protocol.Service{Name: "hand", Limits: protocol.Limits{Grace: protocol.Duration(time.Second)}})
	s := f.open(c, "hand")
	cmd := exec.Command(interpreter, inTree(t, "testdata/verbs.py"))
	cmd.Env = append(os.Environ(), varMark+"="+f.mark, "PYTHONPATH="+inTree(t, "../../sdk/python"), "PYTHONDONTWRITEBYTECODE=1",
		varFile+"="+string(f.pythonJournal()), "WEFT_SERVICE=hand", "WEFT_BROKER="+f.tcp)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	stuck := f.submitted(s, "stuck")
	await(t, "the task runs", func() bool { return len(f.wrote("stuck")) == 1 })
	stuck.Cancel()
	f.stopped(stuck)
	if err := <-ended; err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the instance ends with %v", err)
	}
}
