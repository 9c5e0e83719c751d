package e2e

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// loopsToMove is the number of manager loops of a test that moves managers.
func loopsToMove(t *testing.T) int {
	t.Helper()
	n := loops(t, 3)
	if n < 2 {
		t.Skip("there is one loop, and nowhere to move to")
	}
	return n
}

// move has a service go to a loop, and waits until it is there.
func (f *fabric) move(c *client.Client, service string, loop int) {
	f.t.Helper()
	if err := c.MoveService(f.ctx, service, "", loop); err != nil {
		f.t.Fatal(err)
	}
	await(f.t, fmt.Sprintf("%s is on loop %d", service, loop), func() bool {
		return slices.Equal(f.info(c, service).Loops, []int{loop})
	})
}

// TestManagersMove lets two sessions of two services work while the manager of one is moved back and forth: the
// application and the instances notice nothing of it.
func TestManagersMove(t *testing.T) {
	for name, kill := range map[string]bool{"in peace": false, "with an instance killed": true} {
		t.Run(name, func(t *testing.T) {
			f := start(t, loopsToMove(t), 1)
			c := f.dial("")
			names := []string{"first", "second"}
			sessions := make([]*client.Session, len(names))
			notes := journal(filepath.Join(f.dir, "journal"))
			for i, name := range names {
				s := f.service(name, progVerbs, 2)
				s.Env[varFile] = string(notes)
				f.register(c, s)
				sessions[i] = f.open(c, name)
			}
			for _, name := range names {
				f.serving(c, name, 2)
			}
			const moves, each = 20, 500
			var tallies []*tally
			for m := range moves {
				for _, s := range sessions {
					tallies = append(tallies, f.submit(c, s, each, func(i int) string { return fmt.Sprintf("count %d", i) }))
				}
				if kill && m == moves/2 {
					sigkill(f.instances(progVerbs)[0])
				}
				f.move(c, names[0], (m+1)%2)
			}
			for _, y := range tallies {
				y.wait()
			}
			if !kill {
				checkPeace(t, notes, 2*moves*each, 4)
			}
			for _, s := range sessions {
				if err := s.Close(f.ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// checkPeace holds the journal of instances against tasks that were executed once each, by instances that kept their
// sessions.
func checkPeace(t *testing.T, notes journal, tasks, instances int) {
	t.Helper()
	all, err := notes.read()
	if err != nil {
		t.Fatal(err)
	}
	var executed, created int
	bound := map[entry]int{}
	for _, e := range all {
		switch {
		case e.what == "create":
			created++
		case e.what[:4] == "exec":
			executed++
		default:
			bound[e]++
		}
	}
	if executed != tasks || created != instances {
		t.Errorf("%d tasks were executed and %d instances created, want %d and %d", executed, created, tasks, instances)
	}
	for e, n := range bound {
		if n != 1 || e.what[:4] != "bind" {
			t.Errorf("instance %d: %q %d times", e.pid, e.what, n)
		}
	}
}

// TestLargePayloadsMove has payloads in frames of their own on their way while their manager is moved.
func TestLargePayloadsMove(t *testing.T) {
	f := start(t, loopsToMove(t), 1)
	c := f.dial(f.ipc)
	f.register(c, f.service("echo", progEcho, 2))
	s := f.open(c, "echo")
	f.serving(c, "echo", 2)
	const moves, each = 10, 40
	var tasks []*client.Task
	for m := range moves {
		for i := range each {
			task, err := s.Submit(f.ctx, random(64<<10+m*each+i))
			if err != nil {
				t.Fatal(err)
			}
			tasks = append(tasks, task)
		}
		f.move(c, "echo", (m+1)%2)
	}
	for i, task := range tasks {
		out, err := task.Wait(f.ctx)
		if err != nil || !bytes.Equal(out, random(64<<10+i)) {
			t.Fatalf("task %d brings %d bytes, %v", i, len(out), err)
		}
	}
}

// TestMoveWithResultsThatNobodyTakes: the results at the client and on their way to it stay what they are.
func TestMoveWithResultsThatNobodyTakes(t *testing.T) {
	f := start(t, loopsToMove(t), 1)
	const size, n, credit = 100_000, 400, protocol.DefaultMaxPayload
	c := f.dial("", client.WithResultCredit(credit))
	f.register(c, f.service("verbs", progVerbs, 2))
	s := f.open(c, "verbs")
	f.serving(c, "verbs", 2)
	tasks := make([]*client.Task, n)
	for i := range tasks {
		task, err := s.Submit(f.ctx, fmt.Appendf(nil, "size %d", size+i))
		if err != nil {
			t.Fatal(err)
		}
		tasks[i] = task
	}
	ops := f.dial("")
	for loop := range 2 {
		await(t, "the credit of the client is spent", func() bool {
			for info, err := range ops.Sessions(f.ctx, client.Filter{Session: s.Number()}) {
				return err == nil && info.InFlight == 0 && info.Done >= uint64((loop+1)*credit/(size+n))
			}
			return false
		})
		f.move(ops, "verbs", 1-loop)
	}
	for i, task := range tasks {
		if out, err := task.Wait(f.ctx); err != nil || len(out) != size+i {
			t.Fatalf("task %d: %d bytes, %v", i, len(out), err)
		}
	}
}

func TestMoveThatCannotBe(t *testing.T) {
	f := start(t, loopsToMove(t), 0)
	c := f.dial("")
	f.register(c, f.service("verbs", progVerbs, 1))
	for _, x := range []struct {
		name string
		loop int
		code protocol.Code
		says string
	}{
		{"verbs", 0, protocol.CodeNotFound, "no session manager now"},
		{"verb", 0, protocol.CodeUnknownService, "verbs"},
		{"verbs", 99, protocol.CodeInvalid, "loop: 99"},
	} {
		err := c.MoveService(f.ctx, x.name, "", x.loop)
		if protocol.CodeOf(err) != x.code {
			t.Errorf("%s to %d: %v, want %v", x.name, x.loop, err, x.code)
		}
		mustSay(t, err, x.says)
	}
}
