package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives up.
const patience = 60 * time.Second

// await waits until a condition holds, and fails the test when it does not in good time.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !holdsWithin(patience, holds) {
		t.Fatalf("waited %v in vain until %s", patience, what)
	}
}

// holdsWithin waits until a condition holds, and says whether it did.
func holdsWithin(d time.Duration, holds func() bool) bool {
	limit := time.NewTimer(d)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

// daemon is a broker or an agent in a process of its own.
type daemon struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended bool
}

// spawn starts a daemon and waits until it says that it is ready.
func spawn(t *testing.T, mark, role string, config any) *daemon {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), varRole+"="+role, varConfig+"="+string(text), varMark+"="+mark, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: cmd, stdin: stdin}
	t.Cleanup(func() { d.stop(t) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the %s says %q, %v, where it should say that it is ready", role, line, err)
	}
	return d
}

// kill ends a daemon by SIGKILL.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	if d.ended {
		return
	}
	d.ended = true
	if err := d.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = d.stdin.Close()
	_ = d.cmd.Wait() // it was killed
}

// stop lets a daemon end in order, and kills it when it does not.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if d.ended {
		return
	}
	d.ended = true
	_ = d.stdin.Close()
	kill := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("process %v: %v", d.cmd.Args, err)
	}
}

var marks atomic.Int64

// newMark gives what all processes of one test bear in their environment.
func newMark() string { return fmt.Sprintf("%d-%d", os.Getpid(), marks.Add(1)) }

// processes gives the living processes whose environment has all these variables.
func processes(variables ...string) []int {
	folders, _ := filepath.Glob("/proc/[0-9]*")
	var found []int
	for _, folder := range folders {
		environ, err := os.ReadFile(folder + "/environ")
		if err != nil || len(environ) == 0 { // gone, or a zombie
			continue
		}
		all := true
		for _, v := range variables {
			all = all && slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(b []byte) bool { return string(b) == v })
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil && all {
			found = append(found, pid)
		}
	}
	return found
}

// sigkill kills processes, which may be gone already.
func sigkill(pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// freePorts finds a base port such that it, the port for HTTP and those of that many loops are free on every loopback address.
func freePorts(t *testing.T, loops int) int {
	t.Helper()
	const lowest, span, step = 20_000, 10_000, 80
	for try := range span / step {
		base := lowest + (os.Getpid()*step*7+(int(marks.Add(1))+try)*step)%span
		if portFree(base) && portFree(base+2) && !slices.ContainsFunc(loopPorts(base, loops), func(p int) bool { return !portFree(p) }) {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// loopPorts are the ports of manager loops.
func loopPorts(base, loops int) []int {
	var ports []int
	for i := range loops {
		ports = append(ports, base+10+i)
	}
	return ports
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", "0.0.0.0:"+strconv.Itoa(port))
	return err == nil && l.Close() == nil
}

// mustSay checks that an error has all these words.
func mustSay(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one that says %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}
