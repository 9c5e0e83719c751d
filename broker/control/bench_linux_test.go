package control_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
	"golang.org/x/sys/unix"
)

// BenchmarkPass measures how long the control loop is held while 10,000 nodes are given 20,000 containers that 40 services
// wait for, and then while they are full, 20,000 more are waited for, and heartbeats come: the longest call of Tick or Step of
// each. Nobody answers: what is measured is the core.
func BenchmarkPass(b *testing.B) {
	const nodes, services, each = 10_000, 40, 1000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		b.StopTimer()
		w, agents := crowd(b, nodes, services)
		h := held{w: w}
		for i := range services {
			h.step(Note{Note: session.Note{Wanted: &session.Wanted{Manager: uint32(i + 1), Instances: each}}})
		}
		b.StartTimer()
		h.settle()
		b.StopTimer()
		placed := Containers(w.core)
		if placed != 2*nodes {
			b.Fatalf("%d containers, want %d", placed, 2*nodes)
		}
		b.ReportMetric(h.longest.Seconds()*1e3, "ms/longest-call")
		b.ReportMetric(float64(placed)/h.sum.Seconds(), "containers/s")
		full := held{w: w}
		for range 10 {
			w.now = w.now.Add(500 * time.Millisecond)
			for _, a := range agents {
				a.link.Append(protocol.KindNodeStatus, 0, 0, protocol.Marshal(protocol.NodeStatus{Load1: 1}))
				for _, f := range a.node.Take(nil) {
					if _, bytes, _, ok := f.Leave(); ok {
						full.step(Frame{Peer: a.id, Bytes: bytes})
					}
					f.Sent()
				}
			}
			full.settle()
		}
		b.ReportMetric(full.longest.Seconds()*1e3, "ms/longest-call-when-full")
		b.ReportMetric(full.sum.Seconds()*1e3/10, "ms/beat-when-full")
		b.StartTimer()
	}
}

// cpuTime is what the thread has computed so far: that others have the processor meanwhile does not count.
func cpuTime() time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		panic(err)
	}
	return time.Duration(at.Nano())
}

// held measures how long calls of a core take.
type held struct {
	w       *world
	longest time.Duration
	sum     time.Duration
	what    string
}

func (h *held) time(what string, call func()) {
	begin := cpuTime()
	call()
	took := cpuTime() - begin
	if took > 1*time.Millisecond {
		fmt.Println(what, took, LastSlice(h.w.core))
	}
	h.sum += took
	if took > h.longest {
		h.longest, h.what = took, what
	}
}

func (h *held) step(ev Event) {
	h.time(fmt.Sprintf("%T", ev), func() { h.w.core.Step(h.w.now, ev) })
}

// settle has the passes that are due go by, and drops what the core wants done.
func (h *held) settle() {
	var batch Batch
	for at, _ := h.w.core.Deadline(); !at.After(h.w.now); at, _ = h.w.core.Deadline() {
		h.time("tick", func() { h.w.core.Tick(h.w.now) })
		batch.Reset()
		h.w.core.Take(&batch)
		for _, f := range batch.Frames {
			f.Leave()
			f.Sent()
		}
	}
}

// crowd makes a fabric of so many nodes with room for two containers each, and opens a session with each of so many services.
func crowd(tb testing.TB, nodes, services int) (*world, []*peer) {
	tb.Helper()
	w := newWorld(tb, func(c *Config) {
		c.Loops, c.ManagerMemory, c.PeerTimeout, c.ClientGrace = 1, 1<<40, time.Hour, time.Hour
	})
	w.quiet = true
	var agents []*peer
	for i := range nodes {
		name := fmt.Sprintf("n%05d", i)
		n := w.join(name, protocol.Hello{Role: protocol.RoleAgent, Name: name}, uint64(1000+i))
		w.send(n, protocol.KindRegisterNode, 1, protocol.RegisterNode{
			Name: name, Platform: "linux/amd64", NodeType: "cpu", Rack: fmt.Sprint("r", i/40),
			Capacity: protocol.Capacity{CPU: 2000, Memory: 1 << 30},
		})
		agents = append(agents, n)
	}
	app := w.join("app", protocol.Hello{Role: protocol.RoleClient, Name: "app"}, 2)
	for i := range services {
		name := fmt.Sprint("s", i)
		w.send(app, protocol.KindRegisterService, 1, protocol.Service{
			Name: name, Instances: protocol.Instances{Min: 1, Max: 100_000}, Manager: protocol.Share{Memory: 64 << 20},
			Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/opt/" + name}},
		})
		w.send(app, protocol.KindOpenSession, uint64(2+i), protocol.OpenSession{Key: uint64(i + 1), Service: name})
	}
	return w, agents
}
