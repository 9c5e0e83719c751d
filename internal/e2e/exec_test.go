package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/protocol"
)

// commands is a session that runs commands in a folder of the test.
type commands struct {
	*client.Session
	f   *fabric
	dir string
}

// commands opens a session with the service of weft exec, which this test's own binary serves.
func (f *fabric) commands(c *client.Client, instances int) *commands {
	f.t.Helper()
	document := builtin.Document(builtin.Exec, "e2e", "", []string{ownPlatform})
	if err := builtin.Ensure(f.ctx, c, time.Now(), document); err != nil {
		f.t.Fatal(err)
	}
	x := &commands{f: f, dir: f.t.TempDir()}
	p, err := builtin.Setting{Dir: x.dir, Limit: 1 << 20, Env: []string{varMark + "=" + f.mark}}.Parameters()
	if err != nil {
		f.t.Fatal(err)
	}
	x.Session = f.open(c, builtin.Exec, client.WithVersion(document.Version), client.WithParameters(p), client.WithInstances(instances, instances))
	return x
}

// submit sends a line for a shell.
func (x *commands) submit(line string) *client.Task {
	x.f.t.Helper()
	b, err := msgpack.Marshal(builtin.Command{Args: []string{"/bin/sh", "-c", line}})
	if err != nil {
		x.f.t.Fatal(err)
	}
	t, err := x.Submit(x.f.ctx, b)
	if err != nil {
		x.f.t.Fatal(err)
	}
	return t
}

// wait gives how a command ended.
func (x *commands) wait(t *client.Task) (o builtin.Outcome, err error) {
	x.f.t.Helper()
	b, err := t.Wait(x.f.ctx)
	if err == nil {
		err = msgpack.Unmarshal(b, &o)
	}
	return o, err
}

// pid waits for the number that a command writes to a file.
func (x *commands) pid(name string) int {
	x.f.t.Helper()
	var text []byte
	await(x.f.t, name+" is written", func() bool {
		text, _ = os.ReadFile(filepath.Join(x.dir, name))
		return bytes.HasSuffix(text, []byte("\n"))
	})
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		x.f.t.Fatal(err)
	}
	return n
}

// lives says whether a process is there and has not ended.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// kill -9 of an instance takes the command and what that started with it. The command is not run again, and its client is
// told that it may have run; others run once.
func TestExecInstanceKilled(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, loops, 1)
		x := f.commands(f.dial(""), 2)
		const long = `echo run >> runs; sleep 1000 & echo $! > child; echo $$ > self; echo $PPID > instance; wait`
		bad := x.submit(long)
		var others []*client.Task
		instance, self, child := x.pid("instance"), x.pid("self"), x.pid("child")
		for i := range 50 {
			others = append(others, x.submit(fmt.Sprintf("echo %d >> all; echo %d", i, i)))
		}
		sigkill(instance)
		if _, err := x.wait(bad); !errors.Is(err, &protocol.Error{Code: protocol.CodeHostLossSpent}) {
			t.Errorf("the command under which its instance was lost: %v", err)
		}
		await(t, "command and child are gone", func() bool { return !lives(self) && !lives(child) })
		lost := 0
		for i, task := range others {
			o, err := x.wait(task)
			switch {
			case protocol.CodeOf(err) == protocol.CodeHostLossSpent:
				lost++ // it was at the instance, and may have begun
			case err != nil || string(o.Out) != fmt.Sprintf("%d\n", i) || o.Node != "a0":
				t.Errorf("command %d: %+v, %v", i, o, err)
			}
		}
		if lost > 5 {
			t.Errorf("%d commands that had not begun were lost with the instance", lost)
		}
		for name, most := range map[string]int{"runs": 1, "all": 1} {
			text, err := os.ReadFile(filepath.Join(x.dir, name))
			if err != nil {
				t.Error(err)
			}
			times := map[string]int{}
			for _, w := range strings.Fields(string(text)) {
				if times[w]++; times[w] > most {
					t.Errorf("%s was run %d times", w, times[w])
				}
			}
		}
	})
}

// A session that is killed, and an agent that is, take running commands with them.
func TestExecCommandsEnd(t *testing.T) {
	f := start(t, 1, 0)
	stop := f.agent("a0", f.tcp)
	c := f.dial("")
	x := f.commands(c, 1)
	x.submit(`sleep 1000 & echo $! > child; trap 'echo told > told; exit' TERM; wait`)
	child := x.pid("child")
	if err := x.Kill(f.ctx); err != nil {
		t.Error(err)
	}
	await(t, "the child is gone", func() bool { return !lives(child) })
	await(t, "the command was told", func() bool { _, err := os.Stat(filepath.Join(x.dir, "told")); return err == nil })

	x = f.commands(c, 1)
	task := x.submit(`sleep 1000 & echo $! > child; wait`)
	child = x.pid("child")
	stop()
	await(t, "the child is gone", func() bool { return !lives(child) })
	f.agent("a1", f.tcp)
	if _, err := x.wait(task); err == nil || protocol.CodeOf(err) == protocol.CodeInternal {
		t.Errorf("the command that was ended with its agent: %v", err)
	}
}
