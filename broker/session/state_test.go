package session_test

import (
	"slices"
	"testing"

	. "github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

func TestEveryPairOfTheTable(t *testing.T) {
	moves := map[State]map[Event]State{
		Queued:    {Placed: Scheduled, Bound: Running, Broke: Failed, Ended: Closed},
		Scheduled: {Unplaced: Queued, Bound: Running, Broke: Failed, Ended: Closed},
		Running:   {Broke: Failed, Ended: Closed},
	}
	cells := 0
	for c := range Table.Cells() {
		cells++
		want, ok := moves[c.From][c.On]
		switch {
		case ok && (c.Refused != "" || c.To != want):
			t.Errorf("%v at %v: %v (%s), want %v", c.From, c.On, c.To, c.Refused, want)
		case !ok && c.Refused == "":
			t.Errorf("%v at %v leads to %v, want a refusal", c.From, c.On, c.To)
		case c.From.Over() && c.Refused == "":
			t.Errorf("%v is over and yet moves", c.From)
		}
	}
	if cells != 25 {
		t.Errorf("%d cells, want 25", cells)
	}
	if got := Table.Reachable(Queued); len(got) != 5 {
		t.Errorf("reachable are only %v", got)
	}
}

func TestStatesHaveTheNamesOfTheProtocol(t *testing.T) {
	var got []string
	for s := Queued; s <= Closed; s++ {
		got = append(got, s.String())
	}
	want := []string{
		protocol.SessionQueued, protocol.SessionScheduled, protocol.SessionRunning, protocol.SessionFailed, protocol.SessionClosed,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if State(9).String() != "" || Event(9).String() != "" {
		t.Error("what does not exist has a name")
	}
}
