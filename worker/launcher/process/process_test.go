package process

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

// agentVariable makes the test's binary an agent: it starts the container that the variable holds and waits.
const agentVariable = "PROCESSTEST_AGENT"

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(agentVariable); ok {
		os.Exit(beAgent(text))
	}
	if code, ran := launchertest.RunProgram(); ran {
		syscall.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// agentOrder is what an agent is told.
type agentOrder struct {
	Owner string
	Spec  launcher.Spec
}

// beAgent starts one container, writes what it wrote and waits for ever.
func beAgent(text string) int {
	var order agentOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		fmt.Println(err)
		return 1
	}
	l, err := New(Options{Owner: order.Owner})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c, err := l.Start(context.Background(), order.Spec)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for !slices.Contains(c.Output(), launchertest.Ready) {
		runtime.Gosched()
	}
	fmt.Printf("container: %d\n%s\n", c.PID(), strings.Join(c.Output(), "\n"))
	select {}
}

// startAgent runs an agent and returns it with what it and its container wrote.
func startAgent(t *testing.T, owner string, p launchertest.Program) (*exec.Cmd, []string) {
	t.Helper()
	spec := p.Spec(t, "orphan")
	text, err := json.Marshal(agentOrder{owner, spec})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(spec.Command)
	cmd.Env = append(os.Environ(), agentVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var lines []string
	for s := bufio.NewScanner(out); s.Scan(); {
		lines = append(lines, s.Text())
		if s.Text() == launchertest.Ready {
			return cmd, lines
		}
	}
	t.Fatalf("the agent ended; it wrote %q", lines)
	return nil, nil
}

func owner(t *testing.T) string {
	return fmt.Sprintf("processtest-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
}

// open makes a launcher and closes it at the test's end.
func open(t *testing.T, o Options) *Launcher {
	t.Helper()
	if o.Owner == "" {
		o.Owner = owner(t)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func start(t *testing.T, l *Launcher, spec launcher.Spec) launcher.Container {
	t.Helper()
	c, err := l.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSuite(t *testing.T) {
	launchertest.Run(t, launchertest.Harness{
		New: func(t *testing.T, owner string) launcher.Launcher {
			l, err := New(Options{Owner: owner, LogFolder: filepath.Join(t.TempDir(), "logs")})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Spec: func(t testing.TB, p launchertest.Program, id string) launcher.Spec { return p.Spec(t, id) },
		Bad:  badCommand,
		Leave: func(t *testing.T, _ launcher.Launcher, owner, container string) int {
			spec := launchertest.Program{IgnoreStop: true, Wait: true}.Spec(t, container)
			cmd := exec.Command(spec.Command)
			cmd.Env = append(spec.Env, launcher.EnvContainer+"="+container, launcher.EnvOwner+"="+owner)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
				_ = cmd.Wait()
			})
			if _, err := out.Read(make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			return cmd.Process.Pid
		},
	})
}

// badCommand makes a file that cannot be started.
func badCommand(t testing.TB, reason error, id string) launcher.Spec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	switch {
	case errors.Is(reason, launcher.ErrNotExecutable):
		writeFile(t, path, "#!/bin/sh\n", 0o644)
	case errors.Is(reason, launcher.ErrPlatform):
		writeFile(t, path, foreignELF(), 0o755)
	}
	return launcher.Spec{ID: id, Command: path}
}

// foreignELF is the start of a program for a machine that the tests do not run on.
func foreignELF() string {
	h := make([]byte, platform.HeaderSize)
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2MSB), 1
	h[17], h[19] = byte(elf.ET_EXEC), byte(elf.EM_S390)
	return string(h)
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "", 0o600)
	for name, tt := range map[string]struct {
		o    Options
		says string
	}{
		"no owner":      {Options{}, "Owner"},
		"odd owner":     {Options{Owner: "a b"}, "Owner \"a b\""},
		"relative logs": {Options{Owner: "a", LogFolder: "logs"}, "LogFolder \"logs\""},
		"logs in file":  {Options{Owner: "a", LogFolder: file + "/x"}, "LogFolder"},
		"size":          {Options{Owner: "a", LogSize: -1}, "LogSize -1"},
		"files":         {Options{Owner: "a", LogFiles: -2}, "LogFiles -2"},
		"keep":          {Options{Owner: "a", KeepLogs: -3}, "KeepLogs -3"},
	} {
		if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, tt.says)
		}
	}
}

// A killed agent leaves nothing: its container dies at once.
func TestAgentKilled(t *testing.T) {
	agent, lines := startAgent(t, owner(t), launchertest.Program{IgnoreStop: true, Wait: true})
	pid := launchertest.Number(t, lines, "container")
	if !launchertest.Alive(pid) {
		t.Fatal("the container does not run")
	}
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	launchertest.Await(t, "the container is gone", func() bool { return !launchertest.Alive(pid) })
}

// What escaped from a container of a killed agent is reaped by the next one.
func TestReapAfterAgentKilled(t *testing.T) {
	me := owner(t)
	agent, lines := startAgent(t, me, launchertest.Program{Child: true, Escape: true, IgnoreStop: true, Wait: true})
	container, child, escaped := launchertest.Number(t, lines, "container"), launchertest.Number(t, lines, "child"), launchertest.Number(t, lines, "escaped")
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	launchertest.Await(t, "the container is gone", func() bool { return !launchertest.Alive(container) })
	if !launchertest.Alive(escaped) {
		t.Fatal("the process that escaped is gone before it was reaped")
	}
	other := open(t, Options{Owner: me + "-other"})
	if found, err := other.Reap(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("another owner reaped %+v, %v", found, err)
	}
	l := open(t, Options{Owner: me})
	found, err := l.Reap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range found {
		pids = append(pids, f.PID)
		if f.ContainerID != "orphan" {
			t.Errorf("found %+v, want container orphan", f)
		}
	}
	if !slices.Contains(pids, escaped) {
		t.Errorf("found %v, want %d among them", pids, escaped)
	}
	for _, pid := range []int{child, escaped} {
		if launchertest.Alive(pid) {
			t.Errorf("process %d lives", pid)
		}
	}
}

// Children and those in sessions of their own die with the container, however it ends.
func TestDescendantsDie(t *testing.T) {
	l := open(t, Options{})
	for name, end := range map[string]func(launcher.Container){
		"killed":  launcher.Container.Kill,
		"stopped": func(c launcher.Container) { c.Stop(1e10) },
		"itself":  func(c launcher.Container) { _ = unix.Kill(c.PID(), unix.SIGSEGV) },
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, l, launchertest.Program{Child: true, Escape: true, Wait: true}.Spec(t, name))
			launchertest.AwaitReady(t, c)
			pids := []int{launchertest.Number(t, c.Output(), "child"), launchertest.Number(t, c.Output(), "escaped")}
			for _, pid := range pids {
				if !launchertest.Alive(pid) {
					t.Errorf("process %d does not run", pid)
				}
			}
			end(c)
			launchertest.AwaitExit(t, c)
			for _, pid := range append(pids, c.PID()) {
				if launchertest.Alive(pid) {
					t.Errorf("process %d lives", pid)
				}
			}
		})
	}
}

// One that hides from us keeps the pipe open: the container ends all the same.
func TestHiddenDescendantHoldsNothingUp(t *testing.T) {
	l := open(t, Options{})
	c := start(t, l, launchertest.Program{EscapeUnmarked: true}.Spec(t, "a"))
	e := launchertest.AwaitExit(t, c)
	hidden := launchertest.Number(t, e.Output, "escaped")
	defer func() { _ = unix.Kill(hidden, unix.SIGKILL) }()
	if !launchertest.Alive(hidden) {
		t.Error("it was found after all: the package says that it is not")
	}
}

// The parent-death signal follows the thread that forked: one that ends must not take containers along. Several, since
// the main thread, which any of them may have, does not end.
func TestThreadOfCallerEnds(t *testing.T) {
	l := open(t, Options{})
	started := make(chan launcher.Container)
	const count = 4
	var together sync.WaitGroup
	together.Add(count)
	for i := range count {
		spec := launchertest.Program{Wait: true, Code: 9}.Spec(t, fmt.Sprint("c", i))
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			together.Done()
			together.Wait()
			c, err := l.Start(t.Context(), spec)
			if err != nil {
				t.Error(err)
			}
			started <- c
		}()
	}
	for range count {
		c := <-started
		launchertest.AwaitReady(t, c)
		c.Stop(1e10)
		if e := launchertest.AwaitExit(t, c); e.Code != 9 {
			t.Errorf("%+v, want code 9", e)
		}
	}
}

// A leftover is killed with its process group: what cleared its environment there goes too.
func TestReapTakesGroup(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "env -i /bin/sleep 1000 & echo child: $!; wait")
	cmd.Env = []string{"PATH=" + defaultPath, launcher.EnvOwner + "=" + owner(t), launcher.EnvContainer + "=old"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child := launchertest.Number(t, []string{strings.TrimSpace(line)}, "child")
	launchertest.Await(t, "the child has cleared its environment", func() bool {
		_, _, marked := process{processID: processID{pid: child}}.marks()
		return !marked && launchertest.Alive(child)
	})
	found, err := open(t, Options{}).Reap(t.Context())
	if err != nil || len(found) != 1 || found[0].PID != cmd.Process.Pid || found[0].ContainerID != "old" {
		t.Errorf("%+v, %v; want process %d", found, err, cmd.Process.Pid)
	}
	launchertest.Await(t, "the child is gone", func() bool { return !launchertest.Alive(child) })
}

// Closing while starts are under way leaves nothing running.
func TestCloseDuringStart(t *testing.T) {
	l := open(t, Options{})
	spec := launchertest.Program{Wait: true, IgnoreStop: true}.Spec(t, "a")
	results := make(chan launcher.Container, 8)
	for i := range cap(results) {
		spec := spec
		spec.ID = fmt.Sprint("c", i)
		go func() {
			c, err := l.Start(t.Context(), spec)
			if err != nil && !errors.Is(err, launcher.ErrClosed) {
				t.Error(err)
			}
			results <- c
		}()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(results) {
		if c := <-results; c != nil {
			launchertest.AwaitExit(t, c)
			if launchertest.Alive(c.PID()) {
				t.Errorf("container %s lives", c.ID())
			}
		}
	}
}

// Without root everything works as well.
func TestNotRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the whole test runs without root already")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "weft-notroot")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "process.test")
	writeFile(t, binary, string(self), 0o755)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run", "^(TestSuite|TestReapAfterAgentKilled|TestDescendantsDie)$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
