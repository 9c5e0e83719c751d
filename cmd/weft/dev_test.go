package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// notes is a writer that can be read meanwhile, and that tells of each write.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newNotes() *notes { return &notes{more: make(chan struct{}, 1)} }

// Write keeps b.
func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case n.more <- struct{}{}:
	default:
	}
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// find waits until the text matches, and gives the first group.
func (n *notes) find(t *testing.T, form string) string {
	t.Helper()
	r := regexp.MustCompile(form)
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		if m := r.FindStringSubmatch(n.String()); m != nil {
			return m[1]
		}
		select {
		case <-n.more:
		case <-deadline.C:
			t.Fatalf("no %s in:\n%s", form, n)
		}
	}
}

// daemon runs a command until the test ends, when it has to stop in order.
func daemon(t *testing.T, args ...string) (out, errOut *notes) {
	t.Helper()
	out, errOut = newNotes(), newNotes()
	a := newApp()
	a.out, a.errOut, a.getenv = out, errOut, func(string) string { return "" }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, args, a) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("weft %s: exit %d:\n%s", strings.Join(args, " "), code, errOut)
		}
	})
	return out, errOut
}

// ask runs a client command against a broker that runs.
func ask(t *testing.T, endpoint string, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	a := newApp()
	a.out, a.errOut = &o, &e
	a.getenv = func(name string) string {
		if name == brokerVariable {
			return endpoint
		}
		return ""
	}
	code = run(t.Context(), args, a)
	return o.String(), e.String(), code
}

const idleService = `
name: idle
function: nothing
artefacts:
  linux/amd64: {command: /bin/true}
`

func TestDev(t *testing.T) {
	out, _ := daemon(t, "dev", "--listen", "tcp://127.0.0.1:0", "--dir", filepath.Join(t.TempDir(), "agent"),
		"--capacity", "cpu=3000,memory=1GiB", "--log-level", "error")
	endpoint := out.find(t, `export WEFT_BROKER=(\S+)`)
	file := filepath.Join(t.TempDir(), "idle.yaml")
	if err := os.WriteFile(file, []byte(idleService), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "changed.yaml")
	if err := os.WriteFile(changed, []byte(idleService+"slots: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "newer.yaml")
	if err := os.WriteFile(newer, []byte(idleService+"version: 0.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		args string
		says string
		code int
	}{
		{"service register " + file, "registered idle version 1 (new), now the default\n", exitOK},
		{"service register " + file, "registered idle version 1 (unchanged), the default\n", exitOK},
		{"service register " + newer, "registered idle version 0.9 (new), the default is 1\n", exitOK},
		{"service info idle@2", `service "idle" has no version "2"; there are 0.9, 1`, exitNotFound},
		{"service register " + changed, "is registered with other content", exitState},
		{"service list", "idle", exitOK},
		{"service info idle -o yaml", "command: /bin/true", exitOK},
		{"service info busy", `no service "busy"`, exitNotFound},
		{"session list", "SESSION", exitOK},
		{"session get 1", "there is no session 1", exitNotFound},
		{"session close 1", "1", exitNotFound},
		{"service deregister idle", "service idle deregistered", exitOK},
		{"service deregister idle", "idle", exitNotFound},
		{"broker --listen " + endpoint, "in use", exitFailure},
	}
	for _, s := range steps {
		o, e, code := ask(t, endpoint, strings.Fields(s.args)...)
		if code != s.code || !strings.Contains(o+e, s.says) {
			t.Errorf("weft %s: exit %d, %q, %q; want %d and %q", s.args, code, o, e, s.code, s.says)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for { // the agent registers on its own time
		o, e, code := ask(t, endpoint, "node", "list", "-o", "json")
		if code != exitOK || time.Now().After(deadline) {
			t.Fatalf("node list: exit %d, %q, %q", code, o, e)
		}
		if strings.Contains(o, `"cpu": 3000`) {
			break
		}
	}
}

// Two on one machine: the second needs another port, and gets a folder of its own. What is not up is not said to be.
func TestTwoDevs(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "agent")
	flags := []string{"--listen", "tcp://127.0.0.1:0", "--capacity", "cpu=1000,memory=1GiB", "--log-level", "error"}
	first, _ := daemon(t, append([]string{"dev", "--name", "one", "--dir", folder}, flags...)...)
	endpoint := first.find(t, `export WEFT_BROKER=(\S+)`)
	if out, _, _ := ask(t, endpoint, "node", "list", "-o", "name"); out != "one\n" {
		t.Errorf("the banner came before there was a node of that name: %q", out)
	}
	out, errOut, code := ask(t, "", append([]string{"dev", "--dir", folder}, flags...)...)
	if code != exitState || out != "" || !strings.Contains(errOut, "--dir") || !strings.Contains(errOut, folder) {
		t.Errorf("one folder for two: exit %d, %q, %q", code, out, errOut)
	}
	for endpoint, want := range map[string]string{"tcp://127.0.0.1:7800": "/d/agent-n-7800", "ipc:///run/other": "/d/agent-n-other"} {
		if got := ownFolder("/d/agent-n", endpoint); got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
}

func TestBrokerAndAgentApart(t *testing.T) {
	out, _ := daemon(t, "broker", "--listen", "tcp://127.0.0.1:0", "--loops", "2", "--log-level", "error")
	endpoint := out.find(t, `listening at (\S+)\n`)
	_, log := daemon(t, "agent", "--broker", endpoint, "--name", "n7", "--rack", "r1", "--dir", filepath.Join(t.TempDir(), "agent"))
	log.find(t, `(agent starts)`)
	deadline := time.Now().Add(20 * time.Second)
	for {
		o, _, code := ask(t, endpoint, "node", "list")
		if code != exitOK || time.Now().After(deadline) {
			t.Fatalf("node list: exit %d, %q", code, o)
		}
		if strings.Contains(o, "n7") && strings.Contains(o, "r1") {
			break
		}
	}
}

func TestNoBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("waits as long as a command waits for a broker")
	}
	_, errOut, code := ask(t, "tcp://127.0.0.1:1", "node", "list")
	if code != exitUnavailable || !strings.Contains(errOut, "no broker answers at tcp://127.0.0.1:1") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
