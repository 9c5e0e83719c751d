package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/internal/analyze"
	"github.com/weft-fabric/weft/protocol"
)

func TestSessionAnalyze(t *testing.T) {
	b := &scripted{}
	out, errOut, code := weft(t, b, "session", "analyze", "7")
	if code != exitOK || errOut != "" || strings.Join(b.told, "; ") != "stats of session 7; bye" {
		t.Fatalf("exit %d, %q, told %q", code, errOut, b.told)
	}
	golden(t, "analyze.txt", out)
	if out, _, code := weft(t, &scripted{}, "session", "analyze", "7", "-o", "name"); code != exitOK || out != "too few instances\n" {
		t.Errorf("-o name: exit %d, %q", code, out)
	}
	out, _, code = weft(t, &scripted{}, "session", "analyze", "7", "-o", "json")
	var v sessionAnalysis
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitOK {
		t.Fatalf("-o json: exit %d, %v:\n%s", code, err, out)
	}
	if v.Session.Session != 7 || v.Analysis.Bottleneck != analyze.TooFewInstances || v.Stats.Done != 4000 || len(v.Analysis.Steps) != 4 {
		t.Errorf("-o json: %+v", v)
	}
	if _, errOut, code := weft(t, &scripted{}, "session", "analyze", "8"); code == exitOK || !strings.Contains(errOut, "there is no session 8 (see: weft session list --all)") {
		t.Errorf("no such session: exit %d, %q", code, errOut)
	}
	if _, errOut, code := weft(t, &scripted{}, "session", "analyze", "seven"); code != exitUsage || !strings.Contains(errOut, `"seven" is not the number of a session`) {
		t.Errorf("no number: exit %d, %q", code, errOut)
	}
}

func TestServiceStats(t *testing.T) {
	b := &scripted{}
	out, errOut, code := weft(t, b, "service", "stats", "price@1.20")
	if code != exitOK || errOut != "" || strings.Join(b.told, "; ") != `stats of service price "1.20"; bye` {
		t.Fatalf("exit %d, %q, told %q", code, errOut, b.told)
	}
	golden(t, "stats.txt", out)
	out, _, code = weft(t, &scripted{}, "service", "stats", "price", "-o", "yaml")
	for _, line := range []string{"service: price\n", "  submitted: 4100\n", "  bottleneck: too few instances\n"} {
		if code != exitOK || !strings.Contains(out, line) {
			t.Errorf("-o yaml: exit %d, without %q:\n%s", code, line, out)
		}
	}
	if _, errOut, code := weft(t, &scripted{}, "service", "stats", "prise"); code == exitOK || !strings.Contains(errOut, `did you mean "price"?`) {
		t.Errorf("no such service: exit %d, %q", code, errOut)
	}
	failing := &scripted{err: protocol.Errorf(protocol.CodeUnavailable, "query", "manager loop 0 has not answered for 5s")}
	if _, errOut, code := weft(t, failing, "service", "stats", "price"); code == exitOK || !strings.Contains(errOut, "has not answered") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
