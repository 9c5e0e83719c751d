package core

import (
	"slices"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// Every pair is answered, what is over stays over, and every state can come about.
func TestContainersTable(t *testing.T) {
	table := Containers()
	for c := range table.Cells() {
		if c.From == Ended && c.To != Ended {
			t.Errorf("an ended container is %v after %v", c.To, c.On)
		}
		if order := c.On == OrderStart || c.On == OrderStop; order && c.Refused != "" {
			t.Errorf("%v is refused while %v (%s): orders may come at any time", c.On, c.From, c.Refused)
		}
		if c.On == HasExited && c.Refused == "" && c.To != Ended {
			t.Errorf("a container that exited while %v is %v", c.From, c.To)
		}
	}
	if got := table.Reachable(Starting); len(got) != stateCount {
		t.Errorf("only %v can come about", got)
	}
	// A process that runs can end only by its exit.
	for _, s := range []State{Running, Stopping} {
		for on := range Change(changeCount) {
			if next, _ := table.Next(s, on); next == Ended && on != HasExited {
				t.Errorf("%v ends by %v", s, on)
			}
		}
	}
}

func TestStatesOnTheWire(t *testing.T) {
	want := map[State]string{
		Starting: protocol.ContainerStarting, Abandoned: protocol.ContainerStopping, Running: protocol.ContainerRunning,
		Stopping: protocol.ContainerStopping, Ended: protocol.ContainerExited,
	}
	for s := range State(stateCount) {
		if s.wire() != want[s] {
			t.Errorf("%v is %q on the wire, want %q", s, s.wire(), want[s])
		}
	}
}

func TestNamesDiffer(t *testing.T) {
	var names []string
	for s := range State(stateCount) {
		names = append(names, s.String())
	}
	for c := range Change(changeCount) {
		names = append(names, c.String())
	}
	for k := range NoteForced + 1 {
		names = append(names, k.String())
	}
	slices.Sort(names)
	// "started" and "ended" are both a change or state, and a note.
	if n := len(slices.Compact(names)); n != stateCount+changeCount+int(NoteForced)+1-2 {
		t.Errorf("%d names: %v", n, names)
	}
}
