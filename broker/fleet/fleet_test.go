package fleet_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/protocol"
)

var start = time.Unix(1000, 0)

func TestEveryPairOfTheContainerTable(t *testing.T) {
	states := []State{Asked, Starting, Running, Serving, Leaving, Exited}
	// By state: what Begin, Run, Ready, Leave, Exit lead to; "-" is a refusal.
	want := map[State]string{
		Asked: "starting running - leaving exited", Starting: "starting running - leaving exited",
		Running: "running running serving leaving exited", Serving: "serving serving serving leaving exited",
		Leaving: "- - - leaving exited", Exited: "- - - - -",
	}
	for _, s := range states {
		var got []string
		for e := Begin; e <= Exit; e++ {
			if next, ok := Table.Next(s, e); ok {
				got = append(got, next.String())
			} else {
				got = append(got, "-")
				if Table.Refusal(s, e) == "" {
					t.Errorf("%v at %v is refused without a reason", s, e)
				}
			}
		}
		if g := strings.Join(got, " "); g != want[s] {
			t.Errorf("%v: %s, want %s", s, g, want[s])
		}
	}
	if got := Table.Reachable(Asked); len(got) != len(states) {
		t.Errorf("reachable are only %v", got)
	}
	if State(99).String() != "" || Event(99).String() != "" || NodeState(9).String() != "" || NodeEvent(9).String() != "" {
		t.Error("what does not exist has a name")
	}
}

func TestEveryPairOfTheNodeTable(t *testing.T) {
	want := map[NodeState]string{Up: "ready lost left", Lost: "ready - -", Left: "ready - -"}
	for s, line := range want {
		var got []string
		for e := Register; e <= Bye; e++ {
			if next, ok := NodeTable.Next(s, e); ok {
				got = append(got, next.String())
			} else {
				got = append(got, "-")
			}
		}
		if g := strings.Join(got, " "); g != line {
			t.Errorf("%v: %s, want %s", s, g, line)
		}
	}
}

func node(name string) protocol.RegisterNode {
	return protocol.RegisterNode{
		Name: name, Platform: "linux/x86_64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30},
		Detail: protocol.NodeDetail{Hostname: "host-" + name},
	}
}

func TestANameBelongsToTheAgentThatLives(t *testing.T) {
	var f Fleet
	n, err := f.Register(start, node("a"), 1)
	if err != nil || n.State != Up || n.Platform.String() != "linux/amd64" {
		t.Fatalf("%+v, %v", n, err)
	}
	_, err = f.Register(start, node("a"), 2)
	if protocol.CodeOf(err) != protocol.CodeAlreadyExists || !strings.Contains(err.Error(), "host-a") {
		t.Fatal(err)
	}
	bigger := node("a")
	bigger.Capacity.CPU = 8000
	if n, err := f.Register(start, bigger, 1); err != nil || n.Capacity.CPU != 8000 {
		t.Fatalf("%+v, %v: its own agent may change it", n, err)
	}
	if !f.Part(n, Silence) || n.State != Lost || f.Part(n, Bye) {
		t.Fatalf("%v", n.State)
	}
	again, err := f.Register(start.Add(time.Minute), node("a"), 2)
	if err != nil || again != n || n.State != Up || n.Agent != 2 {
		t.Fatalf("%+v, %v", again, err)
	}
	if !f.Part(n, Bye) || n.State != Left {
		t.Fatalf("%v", n.State)
	}
}

func TestARegistrationIsChecked(t *testing.T) {
	for field, change := range map[string]func(*protocol.RegisterNode){
		"name":         func(r *protocol.RegisterNode) { r.Name = "Node 1" },
		"platform":     func(r *protocol.RegisterNode) { r.Platform = "any" },
		"node_type":    func(r *protocol.RegisterNode) { r.NodeType = "tpu" },
		"capacity.gpu": func(r *protocol.RegisterNode) { r.Capacity.GPU = -1 },
	} {
		var f Fleet
		r := node("a")
		change(&r)
		_, err := f.Register(start, r, 1)
		if protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
		if _, ok := f.Node(r.Name); ok {
			t.Errorf("%s: it is there all the same", field)
		}
	}
}

func TestNodesGetBackWhatTheyGave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Fleet
		n, err := f.Register(start, node("a"), 1)
		if err != nil {
			t.Fatal(err)
		}
		var all []*Container
		for i := range rapid.IntRange(0, 6).Draw(t, "containers") {
			c := &Container{ID: string(rune('a' + i)), Node: n, Capacity: protocol.Capacity{CPU: int64(100 * i), Memory: 1, GPU: 2, Network: 3, DiskIO: 4}}
			f.Add(start, c)
			all = append(all, c)
		}
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			if len(all) == 0 {
				break
			}
			c := rapid.SampledFrom(all).Draw(t, "container")
			e := Event(rapid.Uint8Range(uint8(Begin), uint8(Exit)).Draw(t, "event"))
			before := c.State
			moved := f.Move(start.Add(time.Second), c, e)
			if next, ok := Table.Next(before, e); ok != moved || c.State != next {
				t.Fatalf("%v at %v: %v, %v", before, e, c.State, moved)
			}
			var used protocol.Capacity
			live := 0
			for _, c := range all {
				if c.State != Exited {
					live++
					used.CPU += c.Capacity.CPU
				}
				if got, ok := f.Container(c.ID); ok != (c.State != Exited) || ok && got != c {
					t.Fatalf("container %s in state %v is found: %v", c.ID, c.State, ok)
				}
			}
			if n.Used.CPU != used.CPU || n.Containers() != live || f.Len() != live || n.Free().CPU != n.Capacity.CPU-used.CPU {
				t.Fatalf("used %v of %d containers, want %v of %d", n.Used, n.Containers(), used, live)
			}
		}
		for _, c := range f.On(n) {
			f.Move(start, c, Exit)
		}
		if !n.Used.IsZero() || !n.Free().Equal(n.Capacity) {
			t.Fatalf("%+v is still used", n.Used)
		}
	})
}

func TestRestartsBackOff(t *testing.T) {
	var b Backoff
	now := start
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60} {
		b.Died(now)
		until, waits := b.Holds(now)
		if waits != (want > 0) || waits && until.Sub(now) != want*time.Second {
			t.Errorf("death %d: until %v", i+1, until.Sub(now))
		}
		if _, waits := b.Holds(until); waits {
			t.Errorf("death %d: it waits beyond the end", i+1)
		}
	}
	if b.Deaths() != 11 {
		t.Error(b.Deaths())
	}
	b.Delivered()
	if _, waits := b.Holds(now); waits || b.Deaths() != 0 {
		t.Error("a result does not forgive")
	}
}

func TestWhyTellsExitAndOutput(t *testing.T) {
	for _, tt := range []struct {
		s    protocol.ContainerState
		want string
	}{
		{protocol.ContainerState{Code: 3}, "ended with exit code 3"},
		{protocol.ContainerState{Signal: "SIGKILL", Reason: "out of memory"}, "ended by signal SIGKILL (out of memory)"},
		{protocol.ContainerState{Code: 1, Output: []string{"a", "b", "c", "d"}}, "ended with exit code 1; its last output: b | c | d"},
		{protocol.ContainerState{Code: 2, Output: []string{"a", "panic: no rates", "", "goroutine 1 [running]:", "main.main()", "x.go:7", "exit status 2"}}, "ended with exit code 2; its last output: panic: no rates | … | main.main() | x.go:7 | exit status 2"},
		{protocol.ContainerState{Code: 2, Output: []string{"a", "fatal error: all asleep", "b"}}, "ended with exit code 2; its last output: a | fatal error: all asleep | b"},
		{protocol.ContainerState{Error: protocol.Errorf(protocol.CodeArtefact, "start", "/x: no such file")}, "start: Artefact: /x: no such file"},
	} {
		if got := Why(&tt.s); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
