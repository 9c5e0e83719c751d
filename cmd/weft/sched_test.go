package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/sched/scenario"
)

// weftReading is weft with a standard input, and no broker.
func weftReading(t *testing.T, in string, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(in), out: &o, errOut: &e, getenv: func(string) string { return "" }, now: noon}
	code = run(t.Context(), args, a)
	return o.String(), e.String(), code
}

// The example of the help is one, from a file and from standard input.
func TestSchedSimulate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "whatif.json")
	if err := os.WriteFile(file, []byte(scenarioExample), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut, code := weftReading(t, "", "sched", "simulate", file)
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %q", code, errOut)
	}
	golden(t, "simulate.json", out)
	if piped, errOut, code := weftReading(t, scenarioExample, "sched", "simulate", "-"); code != exitOK || errOut != "" || piped != out {
		t.Errorf("from standard input: exit %d, %q, %s", code, errOut, piped)
	}
}

func TestSchedSimulateRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nothing.json")
	for _, c := range []struct {
		in, args string
		code     int
		want     string
	}{
		{strings.Replace(scenarioExample, `"cap": {"cpu": 1}}`, `"cap": {"cpus": 1}}`, 1), "-", exitUsage, "weft: standard input: steps[0].requests[0].cap.cpus: there is no dimension \"cpus\": did you mean \"cpu\"?\n"},
		{
			`{"resources": ["cpu"], "queues": [{"name": "root"}], "steps": [{"op": "x"}, {}]}`, "-", exitUsage,
			"weft: standard input: there is more than one thing wrong:\nsteps[0].op: there is no op",
		},
		{"{", "-", exitUsage, "weft: standard input: line 1: no JSON"},
		{"", missing, exitFailure, "weft: scenario: open "},
		{"", "", exitUsage, "SCENARIO.json is missing"},
		{"", "a.json b.json", exitUsage, `"b.json" is too much`},
		{"", "a.json --generate nodes=2", exitUsage, `"a.json" is too much`},
		{"", "- --print", exitUsage, "weft: --print: it prints what --generate makes"},
		{"", "--generate notes=2", exitUsage, `weft: --generate: unknown key "notes"; did you mean "nodes"?`},
		{"", "--generate nodes=0", exitUsage, "weft: --generate: nodes: 0 is not within"},
	} {
		out, errOut, code := weftReading(t, c.in, append([]string{"sched", "simulate"}, strings.Fields(c.args)...)...)
		if code != c.code || out != "" || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit %d, %q, %q, want %d and %q", c.args, code, out, errOut, c.code, c.want)
		}
	}
}

// What is generated and printed comes to the same as what is generated and run.
func TestSchedSimulateGenerate(t *testing.T) {
	const size = "nodes=20,queues=8,requests=100,seed=4"
	ran, errOut, code := weftReading(t, "", "sched", "simulate", "--generate", size)
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %q", code, errOut)
	}
	var out struct {
		Steps []struct{ Placements []scenario.Placement }
	}
	if err := json.Unmarshal([]byte(ran), &out); err != nil || len(out.Steps) != 2 || len(out.Steps[0].Placements) < 100 {
		t.Fatalf("%v: %.300s", err, ran)
	}
	printed, errOut, code := weftReading(t, "", "sched", "simulate", "--generate", size, "--print")
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %q", code, errOut)
	}
	if again, errOut, code := weftReading(t, printed, "sched", "simulate", "-"); code != exitOK || again != ran {
		t.Errorf("exit %d, %q, %.300s", code, errOut, again)
	}
}

func TestCompleteLoad(t *testing.T) {
	for begun, want := range map[string]string{"": "nodes= queues= requests=", "nodes=3,": "nodes=3,queues= nodes=3,requests= nodes=3,dims="} {
		words, how := completeLoad(nil, nil, begun)
		var got []string
		for _, w := range words[:3] {
			word, _, _ := strings.Cut(w, "\t")
			got = append(got, word)
		}
		if strings.Join(got, " ") != want || how&cobra.ShellCompDirectiveNoSpace == 0 {
			t.Errorf("%q: %q", begun, got)
		}
	}
}
