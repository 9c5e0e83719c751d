package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weft-fabric/weft/internal/fsm"
)

type state uint8

const (
	off state = iota
	on
	broken state = 9 // numbers need not be dense
)

func (s state) String() string {
	return map[state]string{off: "off", on: "on", broken: "broken"}[s]
}

type event uint8

const (
	press event = iota + 1
	fall
)

func (e event) String() string {
	return map[event]string{press: "press", fall: "fall"}[e]
}

type rule = fsm.Rule[state, event]

var (
	states = []state{off, on, broken}
	events = []event{press, fall}
)

func lampRules() []rule {
	return []rule{
		fsm.RefuseRest[state, event](broken, "a broken lamp stays broken"),
		fsm.Move(off, press, on),
		fsm.Move(on, press, off),
		fsm.Refuse(off, fall, "it stands | firmly"),
		fsm.Move(on, fall, broken),
	}
}

func lamp(t *testing.T) *fsm.Table[state, event] {
	t.Helper()
	table, err := fsm.New(states, events, lampRules()...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestNextAndRefusal(t *testing.T) {
	table := lamp(t)
	for _, test := range []struct {
		from    state
		on      event
		to      state
		refused string
	}{
		{off, press, on, ""},
		{on, press, off, ""},
		{off, fall, off, "it stands | firmly"},
		{on, fall, broken, ""},
		{broken, press, broken, "a broken lamp stays broken"},
		{broken, fall, broken, "a broken lamp stays broken"},
		{5, press, 5, "the table does not know state 5 at event 1"},
		{200, press, 200, "the table does not know state 200 at event 1"},
		{off, 0, off, "the table does not know state 0 at event 0"},
		{off, 200, off, "the table does not know state 0 at event 200"},
	} {
		to, ok := table.Next(test.from, test.on)
		if to != test.to || ok != (test.refused == "") {
			t.Errorf("Next(%d, %d) = %d, %t, want %d, %t", test.from, test.on, to, ok, test.to, test.refused == "")
		}
		if got := table.Refusal(test.from, test.on); got != test.refused {
			t.Errorf("Refusal(%d, %d) = %q, want %q", test.from, test.on, got, test.refused)
		}
	}
}

func TestZeroTableRefusesEverything(t *testing.T) {
	var table fsm.Table[state, event]
	if to, ok := table.Next(off, press); ok || to != off {
		t.Errorf("Next = %v, %t, want off, false", to, ok)
	}
	if table.Refusal(off, press) == "" {
		t.Error("Refusal = \"\", want a reason")
	}
	for c := range table.Cells() {
		t.Errorf("Cells() yielded %v", c)
	}
}

func TestNewNamesEveryFault(t *testing.T) {
	for _, test := range []struct {
		name   string
		states []state
		events []event
		rules  func() []rule
		want   []string
	}{
		{
			"pairs without a rule", states, events,
			func() []rule { return []rule{fsm.Move(off, press, on), fsm.RefuseRest[state, event](broken, "no")} },
			[]string{
				"fsm: state off has no rule for event fall",
				"fsm: state on has no rule for event press",
				"fsm: state on has no rule for event fall",
			},
		},
		{
			"two rules for a pair", states, events,
			func() []rule { return append(lampRules(), fsm.Refuse(off, press, "no")) },
			[]string{"fsm: state off has two rules for event press"},
		},
		{
			"a rest of nothing", states, events,
			func() []rule { return append(lampRules(), fsm.RefuseRest[state, event](off, "no")) },
			[]string{"fsm: refusal of the rest at off: every event has a rule already"},
		},
		{
			"refusals without reasons", states, events,
			func() []rule {
				return append(lampRules()[1:3], fsm.Refuse(off, fall, ""), fsm.Move(on, fall, broken),
					fsm.RefuseRest[state, event](broken, ""))
			},
			[]string{
				"fsm: refusal of fall at off has no reason",
				"fsm: refusal of the rest at broken has no reason",
				"fsm: state off has no rule for event fall",
				"fsm: state broken has no rule for event press",
				"fsm: state broken has no rule for event fall",
			},
		},
		{
			"states and events that are not listed",
			[]state{off, on},
			events[:1],
			func() []rule {
				return []rule{
					fsm.Move(off, press, broken),
					fsm.Move(broken, press, off),
					fsm.Move(on, fall, on),
					fsm.RefuseRest[state, event](broken, "no"),
					fsm.RefuseRest[state, event](off, "no"),
					fsm.RefuseRest[state, event](on, "no"),
				}
			},
			[]string{
				"fsm: rule for off at press: no such state broken",
				"fsm: rule for broken at press: no such state broken",
				"fsm: rule for on at fall: no such event fall",
				"fsm: refusal of the rest: no such state broken",
			},
		},
		{
			"listed twice",
			[]state{off, off},
			[]event{press, press},
			lampRules,
			[]string{"fsm: state off is listed twice", "fsm: event press is listed twice"},
		},
		{
			"without names",
			[]state{off, 7},
			[]event{press, 8},
			lampRules,
			[]string{"fsm: state 7 has no name", "fsm: event 8 has no name"},
		},
		{
			"empty lists", nil, nil, lampRules,
			[]string{"fsm: a table needs at least one state", "fsm: a table needs at least one event"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, err := fsm.New(test.states, test.events, test.rules()...)
			if err == nil || table != nil {
				t.Fatalf("New = %v, %v, want no table and an error", table, err)
			}
			if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, test.want) {
				t.Errorf("faults:\n%s\nwant:\n%s", err, strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestMust(t *testing.T) {
	if table := fsm.Must(fsm.New(states, events, lampRules()...)); table == nil {
		t.Error("Must of a sound table = nil")
	}
	defer func() {
		if recover() == nil {
			t.Error("Must of a faulty table did not panic")
		}
	}()
	fsm.Must(fsm.New(states, events, lampRules()[1:]...))
}

// TestEveryPairIsAnswered builds random tables and compares each answer with the
// rule that was drawn for it; leaving out any one rule makes New refuse.
func TestEveryPairIsAnswered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []rule
		type pair struct {
			s state
			e event
		}
		want := map[pair]rule{}
		moves := map[pair]state{}
		for _, s := range states {
			for _, e := range events {
				r := fsm.Refuse(s, e, fmt.Sprintf("no %v when %v", e, s))
				if rapid.Bool().Draw(t, "moves") {
					to := rapid.SampledFrom(states).Draw(t, "to")
					r = fsm.Move(s, e, to)
					moves[pair{s, e}] = to
				}
				want[pair{s, e}] = r
				rules = append(rules, r)
			}
		}
		rules = rapid.Permutation(rules).Draw(t, "rules")
		table, err := fsm.New(states, events, rules...)
		if err != nil {
			t.Fatal(err)
		}
		cells := 0
		for c := range table.Cells() {
			cells++
			to, ok := moves[pair{c.From, c.On}]
			why := ""
			if !ok {
				to, why = c.From, fmt.Sprintf("no %v when %v", c.On, c.From)
			}
			if c.To != to || c.Refused != why {
				t.Fatalf("%v at %v: %v %q, want %v %q", c.On, c.From, c.To, c.Refused, to, why)
			}
		}
		if cells != len(want) {
			t.Fatalf("%d cells, want %d", cells, len(want))
		}
		if _, err := fsm.New(states, events, rules[1:]...); err == nil {
			t.Fatal("New accepted a table with a rule missing")
		}
	})
}

func TestCellsStops(t *testing.T) {
	n := 0
	for range lamp(t).Cells() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("visited %d cells, want 1", n)
	}
}

func TestReachable(t *testing.T) {
	table := lamp(t)
	for _, test := range []struct{ from, want []state }{
		{[]state{off}, []state{off, on, broken}},
		{[]state{broken}, []state{broken}},
		{[]state{broken, on}, []state{off, on, broken}},
		{nil, nil},
	} {
		if got := table.Reachable(test.from...); !slices.Equal(got, test.want) {
			t.Errorf("Reachable(%v) = %v, want %v", test.from, got, test.want)
		}
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	table := lamp(t)
	s := off
	if allocs := testing.AllocsPerRun(100, func() { s, _ = table.Next(s, press) }); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestMarkdown(t *testing.T) {
	want := `| state | event | becomes | refused because |
| --- | --- | --- | --- |
| off | press | on |  |
| off | fall |  | it stands \| firmly |
| on | press | off |  |
| on | fall | broken |  |
| broken | press |  | a broken lamp stays broken |
| broken | fall |  | a broken lamp stays broken |
`
	if got := lamp(t).Markdown(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMermaid(t *testing.T) {
	want := `stateDiagram-v2
    state "off" as s0
    state "on" as s1
    state "broken" as s2
    s0 --> s1: press
    s1 --> s0: press
    s1 --> s2: fall
`
	if got := lamp(t).Mermaid(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
