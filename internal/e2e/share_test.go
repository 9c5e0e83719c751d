package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// sessionOf is what the broker says of a session.
func (f *fabric) sessionOf(c *client.Client, s *client.Session) protocol.SessionInfo {
	f.t.Helper()
	for i, err := range c.Sessions(f.ctx, client.Filter{Session: s.Number(), All: true}) {
		if err != nil {
			f.t.Fatal(err)
		}
		return i
	}
	f.t.Fatalf("there is no session %d", s.Number())
	return protocol.SessionInfo{}
}

// TestManagementNodeIsShared fills every loop of a management node with a session manager: the next service waits and
// says for what, is served when another one's session is closed, and the other finds its instance as it was when it
// comes again, on whatever loop.
func TestManagementNodeIsShared(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := newFabric(t)
		f.broker(broker.Config{Listen: []string{"tcp://127.0.0.1:0", "ipc://" + f.dir + "/control"}, Loops: loops, ManagerCPU: 30})
		f.agent("a0", f.tcp)
		c := f.dial("")
		first, written := f.journaled("first", 1)
		f.register(c, first)
		s := f.open(c, "first")
		pid, err := s.Call(f.ctx, []byte("pid"))
		if err != nil {
			t.Fatal(err)
		}
		var others []*client.Session
		for i := 1; i < loops; i++ {
			name := fmt.Sprint("other-", i)
			f.register(c, f.service(name, progEcho, 1))
			others = append(others, f.open(c, name))
			f.call(others[i-1], "x", "x")
		}
		f.register(c, f.service("last", progEcho, 1))
		last := f.open(c, "last")
		task, err := last.Submit(f.ctx, []byte("in the end"))
		if err != nil {
			t.Fatal(err)
		}
		info := f.sessionOf(c, last)
		if info.State != protocol.SessionQueued || info.Loop != -1 ||
			!strings.Contains(info.Reason, "not enough cpu of a manager loop for its session manager: 0.02 needed, 0.01 of 0.03 free") ||
			!strings.Contains(info.Reason, "first") {
			t.Errorf("a session that finds no room: %+v", info)
		}
		if m := f.info(c, "first").Managers; len(m) != 1 || m[0].Share.CPU != 20 || m[0].Share.Memory < 64<<20 || m[0].Sessions != 1 {
			t.Errorf("the manager of a service that is served: %+v", m)
		}

		if err := s.Close(f.ctx); err != nil {
			t.Fatal(err)
		}
		if got, err := task.Wait(f.ctx); err != nil || string(got) != "in the end" {
			t.Fatalf("the task that waited: %q, %v", got, err)
		}
		if i := f.info(c, "first"); i.Instances != 1 || len(i.Managers) != 0 {
			t.Errorf("%d instances and managers %v of the service that made room; want its instance alone", i.Instances, i.Managers)
		}

		again := f.open(c, "first")
		if info := f.sessionOf(c, again); info.State != protocol.SessionQueued {
			t.Errorf("the service that made room comes again: %+v", info)
		}
		leaves := append(others, last)[0] // on another loop, if there is one
		if err := leaves.Close(f.ctx); err != nil {
			t.Fatal(err)
		}
		f.call(again, "pid", string(pid))
		if lives := f.lives(written); len(lives) != 1 { // each of which has created once
			t.Fatalf("its instances were %v, want the one from before", lives)
		}
	})
}

// TestFloodStarvesNobody has a service flood the one loop that there is while another one is called.
func TestFloodStarvesNobody(t *testing.T) {
	f := start(t, 1, 1)
	c, flooding := f.dial(""), f.dial("")
	f.register(c, f.service("flood", progEcho, 2), f.service("brook", progEcho, 1))
	flood, brook := f.open(flooding, "flood"), f.open(c, "brook")
	f.call(brook, "x", "x")
	f.call(flood, "x", "x")
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := flood.SubmitFunc(f.ctx, []byte("drop"), func(client.Result) {}); err != nil {
				done <- err
				return
			}
		}
	}()
	await(t, "the flood is beyond its share", func() bool {
		m := f.info(c, "flood").Managers
		return len(m) == 1 && m[0].CPU > m[0].Share.CPU
	})
	for i := range 300 {
		f.call(brook, fmt.Sprint(i), fmt.Sprint(i))
	}
	if before := f.sessionOf(c, flood); before.State != protocol.SessionRunning {
		t.Errorf("the flood is over: %+v", before)
	}
	select {
	case err := <-done:
		t.Errorf("the flood ended before its time: %v", err)
	default:
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := flood.Kill(f.ctx); err != nil {
		t.Error(err)
	}
}
