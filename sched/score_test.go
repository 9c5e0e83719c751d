package sched_test

import (
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

func TestScoresAreKnownByName(t *testing.T) {
	for _, s := range []Score{BestFit, Alignment, Spreading} {
		if got, err := ParseScore(s.String()); err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	if got, err := ParseScore(""); err != nil || got != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseScore("worst"); err == nil || !strings.Contains(err.Error(), "best-fit, alignment and spreading") {
		t.Error(err)
	}
}

// Four containers of 2 cores and 1 GiB on three empty nodes: by the fullest node with room, the emptiest, and the one whose
// free amounts are most like what is asked for.
func TestScoresChooseNodes(t *testing.T) {
	for score, want := range map[Score]string{
		BestFit:   "small small small small",
		Spreading: "large wide large wide",
		Alignment: "wide wide wide large",
	} {
		s, err := New(Config{Scores: Scores{Other: score}})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []struct {
			name        string
			cores, gibs int64
		}{{"small", 8, 8}, {"large", 12, 24}, {"wide", 24, 11}} {
			s.SetNode(Node{Name: n.name, Type: NodeTypeCPU, Capacity: resource.Vector{resource.CPU: n.cores * 1000, resource.Memory: n.gibs << 30}})
		}
		if err := s.SetService(Service{Name: "s", Queue: DefaultQueue}); err != nil {
			t.Fatal(err)
		}
		if err := s.Submit(Request{ID: "r", Service: "s", Capacity: resource.Vector{resource.CPU: 2000, resource.Memory: 1 << 30}}); err != nil {
			t.Fatal(err)
		}
		s.Want("r", 4)
		var got []string
		for p, ok := s.Next(); ok; p, ok = s.Next() {
			got = append(got, p.Node)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%v: %s, want %s", score, g, want)
		}
	}
}
