package scenario_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	. "github.com/weft-fabric/weft/sched/scenario"
)

// The rules of the format, one file for each group. "world" is a document without its steps, "steps" are the steps to run
// in it from the start, one a line; what they print is written in few words.
func TestRules(t *testing.T) {
	datadriven.Walk(t, "testdata/rules", func(t *testing.T, path string) {
		world := ""
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "world":
				world = d.Input
				return ""
			case "steps":
				steps := strings.Join(strings.Split(strings.TrimSpace(d.Input), "\n"), ",\n")
				return brief(run(t, "{"+world+`, "steps": [`+steps+"]}"))
			default:
				return "unknown command " + d.Cmd
			}
		})
	})
}

// run decodes and runs a document.
func run(t *testing.T, document string) *Output {
	t.Helper()
	doc, err := Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// brief writes an output in few words.
func brief(out *Output) string {
	var b strings.Builder
	for _, step := range out.Steps {
		switch s := step.(type) {
		case *Schedule:
			fmt.Fprintf(&b, "placed: %s\n", runs(s.Placements))
			for _, u := range s.Unplaced {
				fmt.Fprintf(&b, "  %s.%s lacks %d: %s\n", u.Service, u.Request, u.Count, u.Reason)
			}
		case *Preempt:
			fmt.Fprintf(&b, "give back: %s\n", plain(s.GiveBack))
		case *State:
			fmt.Fprintf(&b, "running %s, wanted %s\n  used %s\n  guaranteed %s\n  ratio %s\n  free %s\n", plain(s.Running), plain(s.Wanted), plain(s.QueueUsed), plain(s.QueueGuaranteed), plain(s.QueueRatio), plain(s.NodeFree))
		}
	}
	return b.String()
}

// runs writes placements, equal ones after each other once.
func runs(placements []Placement) string {
	var parts []string
	for i := 0; i < len(placements); {
		p, n := placements[i], 1
		for i+n < len(placements) && placements[i+n] == p {
			n++
		}
		i += n
		part := fmt.Sprintf("%s.%s:%s", p.Service, p.Request, p.Node)
		if n > 1 {
			part = fmt.Sprintf("%d*%s", n, part)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

// plain writes a value as JSON without the quotes.
func plain(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), `"`, "")
}

// examples names the files of whole scenarios.
func examples(tb testing.TB) []string {
	tb.Helper()
	names, err := filepath.Glob("testdata/examples/*.json")
	if err != nil || len(names) == 0 {
		tb.Fatalf("no examples: %v", err)
	}
	return names
}

// Whole scenarios, with all that they print in a file beside them.
func TestExamples(t *testing.T) {
	for _, name := range examples(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, step := range run(t, string(text)).Steps {
			line, err := json.Marshal(step)
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(string(line) + "\n")
		}
		file := strings.TrimSuffix(name, ".json") + ".out"
		if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
			if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s (go test ./sched/scenario -rewrite writes it anew):\n--- got\n%s--- want\n%s", file, got.String(), want)
		}
	}
}

// The keys of the output and their order are those of the format.
func TestOutput(t *testing.T) {
	out, err := json.Marshal(run(t, `{
		"resources": ["cpu", "mem"], "cluster": [{"node": "n", "cap": {"cpu": 3}}],
		"queues": [{"name": "root"}, {"name": "a", "parent": "root"}, {"name": "b", "parent": "root", "weight": 2}],
		"steps": [
			{"op": "schedule"}, {"op": "preempt"}, {"op": "state"},
			{"op": "submit", "service": "s", "queue": "a", "requests": [{"id": "q", "count": 5, "cap": {"cpu": 1}}]},
			{"op": "submit", "service": "t", "queue": "b", "requests": []},
			{"op": "schedule"},
			{"op": "add_request", "service": "t", "id": "q", "count": 1, "cap": {"cpu": 2}},
			{"op": "preempt"}, {"op": "state"}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"steps":[`,
		`{"op":"schedule","placements":[],"unplaced":[]},`,
		`{"op":"preempt","give_back":{}},`,
		`{"op":"state","running":{},"on_nodes":{},"queue_used":{"a":{"cpu":0,"mem":0},"b":{"cpu":0,"mem":0},"root":{"cpu":0,"mem":0}},`,
		`"queue_guaranteed":{"a":{"cpu":1,"mem":0},"b":{"cpu":2,"mem":0},"root":{"cpu":3,"mem":0}},`,
		`"queue_ratio":{"a":0,"b":0,"root":0},"node_free":{"n":{"cpu":3,"mem":0}},"wanted":{}},`,
		`{"op":"schedule","placements":[{"service":"s","request":"q","queue":"a","node":"n"},{"service":"s","request":"q","queue":"a","node":"n"},`,
		`{"service":"s","request":"q","queue":"a","node":"n"}],`,
		`"unplaced":[{"service":"s","request":"q","count":2,"reason":"node n: not enough cpu: 1 needed, at most 0 free"}]},`,
		`{"op":"preempt","give_back":{"a":{"cpu":2}}},`,
		`{"op":"state","running":{"s":3,"t":0},"on_nodes":{"s":["n","n","n"],"t":[]},`,
		`"queue_used":{"a":{"cpu":3,"mem":0},"b":{"cpu":0,"mem":0},"root":{"cpu":3,"mem":0}},`,
		`"queue_guaranteed":{"a":{"cpu":1,"mem":0},"b":{"cpu":2,"mem":0},"root":{"cpu":3,"mem":0}},`,
		`"queue_ratio":{"a":3,"b":0,"root":1},"node_free":{"n":{"cpu":0,"mem":0}},"wanted":{"s":2,"t":1}}`,
		`]}`,
	}
	if string(out) != strings.Join(want, "") {
		t.Errorf("got  %s\nwant %s", out, strings.Join(want, ""))
	}
}

// Equal documents give equal outputs, and a run that is cut into single decisions, each of which looks at everything, is
// the same as one that goes to the end with all short cuts.
func TestStepByStepIsTheSame(t *testing.T) {
	for seed := range uint64(12) {
		load := DefaultLoad()
		load.Nodes, load.Queues, load.Requests, load.Seed = 12, 9, 60, seed
		load.Use, load.Blocked = 1.2, 0.3
		doc := load.Document()
		out, err := Run(&doc)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Run(&doc)
		if err != nil || plain(again) != plain(out) {
			t.Fatalf("seed %d: the same document comes out differently: %v", seed, err)
		}
		whole := placements(out)
		at := slices.IndexFunc(doc.Steps, func(s Step) bool { return s.Op == "schedule" })
		one := 1
		single := slices.Repeat([]Step{{Op: "schedule", Decisions: &one}}, len(whole)+1)
		doc.Steps = slices.Replace(doc.Steps, at, at+1, single...)
		cut, err := Run(&doc)
		if err != nil {
			t.Fatal(err)
		}
		if got := placements(cut); !slices.Equal(got, whole) || len(whole) == 0 {
			t.Errorf("seed %d: %d single decisions are other ones than %d together", seed, len(got), len(whole))
		}
		if a, b := plain(out.Steps[1]), plain(cut.Steps[len(cut.Steps)-1]); a != b {
			t.Errorf("seed %d: the state is\n%s\nand not\n%s", seed, b, a)
		}
		if a, b := plain(out.Steps[0].(*Schedule).Unplaced), plain(cut.Steps[len(whole)].(*Schedule).Unplaced); a != b {
			t.Errorf("seed %d: what is left is\n%s\nand not\n%s", seed, b, a)
		}
	}
}

func placements(out *Output) (all []Placement) {
	for _, step := range out.Steps {
		if s, ok := step.(*Schedule); ok {
			all = append(all, s.Placements...)
		}
	}
	return all
}

func TestRunRefusesWhatIsNotRight(t *testing.T) {
	_, err := Run(&Document{Resources: []string{"cpu"}, Queues: []Queue{{Name: "root"}}, Steps: []Step{{Op: "finish", Service: "s"}, {Op: "dance"}}})
	if want := "steps[0].service: there is no service \"s\": there is none\nsteps[1].op: there is no op \"dance\""; fmt.Sprint(err) != want {
		t.Errorf("%v", err)
	}
}
