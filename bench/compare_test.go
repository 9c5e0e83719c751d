package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidateCompare(t *testing.T) {
	good := compareConfig{passes: 5, seconds: 1.5, rows: ".*", systems: systemNames(), check: checkGoal}
	rows, err := good.validate()
	if err != nil || len(rows) != len(compareRows()) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for flag, spoil := range map[string]func(*compareConfig){
		"--passes":  func(c *compareConfig) { c.passes = 0 },
		"--seconds": func(c *compareConfig) { c.seconds = -1 },
		"--rows":    func(c *compareConfig) { c.rows = "(" },
		"--systems": func(c *compareConfig) { c.systems = []string{"kafka"} },
		"--check":   func(c *compareConfig) { c.check = "summit" },
		"--out":     func(c *compareConfig) { c.out = "/dev/null/x" },
	} {
		c := good
		spoil(&c)
		if _, err := c.validate(); err == nil || !strings.HasPrefix(err.Error(), flag+": ") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
	none := good
	none.rows, none.systems = "16B-w.", nil
	if _, err := none.validate(); err == nil || !strings.Contains(err.Error(), `--rows: "16B-w." matches none`) || !strings.Contains(err.Error(), "--systems: none") {
		t.Errorf("error %v", err)
	}
	some := good
	some.rows = "16B|rtt.*"
	rows, err = some.validate()
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	if want := []string{"16B", "rtt", "rtt-ipc", "rtt-64KiB"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("rows %q, %v; want %q", names, err, want)
	}
}

// Every mark is about something that its row measures, and asks no less of the goal than of the floor.
func TestMarksOfRows(t *testing.T) {
	for _, r := range compareRows() {
		for _, m := range r.marks {
			if !slices.Contains(r.figures(), m.figure) {
				t.Errorf("%s: %s is not measured", r.name, m.figure)
			}
			if m.peer != "" && !slices.Contains(r.peers, m.peer) {
				t.Errorf("%s: %s is not measured", r.name, m.peer)
			}
			if m.floor != 0 && !m.figure.better(m.goal, m.floor) {
				t.Errorf("%s: the goal %v of %s is worse than the floor %v", r.name, m.goal, m.figure, m.floor)
			}
		}
	}
}

// chosen gives rows by their names.
func chosen(names ...string) []compareRow {
	return slices.DeleteFunc(compareRows(), func(r compareRow) bool { return !slices.Contains(names, r.name) })
}

// sample is a comparison of three passes: weft keeps the floor of one row, and misses that of the other.
func sample() *comparison {
	rows := chosen("16B", "rtt")
	k := newComparison(rows, 3, 1.5, machine{CPU: "A & B <3>", Cores: 2, Commit: "abc"})
	k.Systems = []string{systemWeft, systemNATS, systemProxy}
	for pass, v := range []struct{ weft, nats, trip, natsTrip float64 }{
		{4e6, 1e6, 400, 200}, {9e6, 3e6, 170, 100}, {2e6, 1e5, 180, 100}, // ratios 4, 3, 20 and 2, 1.7, 1.8
	} {
		k.note(&rows[0], systemWeft, pass, passed{"weft abc", map[figure]float64{figureRate: v.weft, figureCPU: 0.5}, 0.25 * float64(pass)})
		k.note(&rows[0], systemNATS, pass, passed{"nats-server 2", map[figure]float64{figureRate: v.nats, figureCPU: 2.5}, 0.25 * float64(pass)})
		k.note(&rows[1], systemWeft, pass, passed{"weft abc", map[figure]float64{figureP50: v.trip, figureP99: 1000}, 0.25 * float64(pass)})
		k.note(&rows[1], systemNATS, pass, passed{"nats-server 2", map[figure]float64{figureP50: v.natsTrip, figureP99: 900}, 0.25 * float64(pass)})
	}
	// It fails in the other passes: only the ratio of the pass in which it was measured counts.
	k.note(&rows[0], systemProxy, 1, passed{"libzmq 4", map[figure]float64{figureRate: 4.5e6, figureCPU: 1}, 1.5})
	k.skip(systemProxy, "16B", "it broke")
	k.sum()
	return k
}

func TestMediansAndRatios(t *testing.T) {
	k := sample()
	weft, nats := k.Rows[0].of(systemWeft, figureRate), k.Rows[0].of(systemNATS, figureRate)
	if weft.Median != 4e6 || weft.Lowest != 2e6 || weft.Highest != 9e6 || weft.Ratio != 0 {
		t.Errorf("weft: %+v", weft)
	}
	if nats.Median != 1e6 || nats.Ratio != 4 {
		t.Errorf("NATS: %+v; want the median of the ratios, 4", nats)
	}
	if proxy := k.Rows[0].of(systemProxy, figureRate); proxy.Ratio != 2 {
		t.Errorf("proxy: %+v; want the ratio of its only pass, 2", proxy)
	}
	if k.takesPart(&k.Rows[0].compareRow, systemProxy) || !k.takesPart(&k.Rows[1].compareRow, systemProxy) {
		t.Error("a system that failed in a row takes part in it again, or in no other")
	}
}

func TestVerdicts(t *testing.T) {
	k := sample()
	var words []string
	for _, r := range k.Rows {
		for _, v := range r.Verdicts {
			words = append(words, v.word())
		}
	}
	want := []string{"floor held", "goal reached", "goal reached", "**floor missed**", "goal reached"}
	if !slices.Equal(words, want) {
		t.Errorf("verdicts %q, want %q", words, want)
	}
	if err := k.check(""); err != nil {
		t.Error(err)
	}
	if err := k.check(checkFloor); err == nil || err.Error() != "row rtt: p50 us to NATS is 1.80x; its floor is 1.60x" {
		t.Errorf("floors: %v", err)
	}
	if err := k.check(checkGoal); err == nil || !strings.Contains(err.Error(), "row 16B: tasks/s to NATS is 4.00x; its goal is 5.00x\n") {
		t.Errorf("goals: %v", err)
	}
	alone := newComparison(chosen("sync"), 1, 1, machine{})
	alone.sum()
	if err := alone.check(checkFloor); err == nil || !strings.Contains(err.Error(), "was not measured") {
		t.Errorf("a row that was not measured: %v", err)
	}
}

func TestMarkdown(t *testing.T) {
	text := sample().markdown()
	for _, want := range []string{
		"2 x A & B <3>", "weft abc, nats-server 2", "| 16 B, window 4096 | tasks/s | 4,000,000 (2,000,000, 9,000,000) | 1,000,000 (100,000, 3,000,000) 4.00x |",
		"|  | CPU us/task | 0.50 (0.50, 0.50) |", "| round trip, 16 B | p50 us to NATS | 1.80x | 1.60x | 1.25x | **floor missed** |",
		"zmq-proxy is skipped in row 16B: it broke", "busy with anything else (median; 1.50 at most).", "had 0.25 cores\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	columns := 0 // of the table that a line belongs to
	for line := range strings.Lines(text) {
		n := strings.Count(line, "|")
		if n > 0 && columns > 0 && n != columns {
			t.Errorf("%d columns, want %d: %s", n-1, columns-1, line)
		}
		columns = n
	}
}

func TestReportedJSON(t *testing.T) {
	k := sample()
	text, err := k.json()
	if err != nil {
		t.Fatal(err)
	}
	var back comparison
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if got, want := back.markdownRows(), k.markdownRows(); got != want || len(back.Rows[0].Measured[0].Values) != 3 {
		t.Errorf("it reads back as\n%s\nwant\n%s", got, want)
	}
}

// markdownRows gives the names and medians of all rows.
func (k *comparison) markdownRows() string {
	var b strings.Builder
	for _, r := range k.Rows {
		for _, m := range r.Measured {
			b.WriteString(r.Title + " " + m.System + " " + string(m.Figure) + " " + m.cell() + "\n")
		}
	}
	return b.String()
}

// elements counts the elements of a document of XML, which must be well-formed.
func elements(t *testing.T, text string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		switch token, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return found
		case err != nil:
			t.Fatalf("%v in\n%s", err, text)
		default:
			if start, ok := token.(xml.StartElement); ok {
				found[start.Name.Local]++
			}
		}
	}
}

func TestChart(t *testing.T) {
	text, err := sample().chart()
	if err != nil {
		t.Fatal(err)
	}
	// A background, a legend of two systems, and bars of weft in both rows and of the proxy in one; floor and goal of each
	// row, and the line of NATS.
	if got := elements(t, text); got["rect"] != 1+2+3 || got["line"] != 2*2+1 {
		t.Errorf("elements %v", got)
	}
	for _, want := range []string{"> 4.00<", "> 0.56<", "A &amp; B &lt;3&gt;"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	empty, err := newComparison(nil, 1, 1, machine{}).chart()
	if err != nil {
		t.Fatal(err)
	}
	elements(t, empty)
}

func TestGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.614: "0.61", 12.34: "12.3", 999.4: "999.4", 1000: "1,000", 1234567.6: "1,234,568"} {
		if got := grouped(v); got != want {
			t.Errorf("grouped(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestParseModel(t *testing.T) {
	for text, want := range map[string]struct {
		model   string
		virtual bool
	}{
		"processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu vme hypervisor\n": {"AMD EPYC", true},
		"model name : X: Y\nflags : fpu hypervisors\n":                            {"X: Y", false},
		"": {"unknown", false},
	} {
		if model, virtual := parseModel(text); model != want.model || virtual != want.virtual {
			t.Errorf("parseModel(%q) = %q, %v", text, model, virtual)
		}
	}
	m := describeMachine(time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC))
	if m.Cores < 1 || m.CPU == "" || !strings.HasPrefix(m.Kernel, "Linux ") || len(strings.Fields(m.LoadBefore)) != 3 ||
		!strings.HasPrefix(m.LibZMQ, "4.") || !strings.HasSuffix(m.String(), "2030-01-02 03:04:05 UTC") {
		t.Errorf("this machine is %+v", m)
	}
}

// A comparison measures all that there is and skips, with a word, what is not.
func TestCompareEndToEnd(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	c := compareConfig{passes: 1, seconds: 0.2, rows: "16B-w16|rtt-ipc|sync", systems: systemNames(), out: dir, peers: os.Getenv("WEFT_BENCH_PEERS")}
	rows, err := c.validate()
	if err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	k, err := c.run(t.Context(), rows, &progress)
	if err != nil {
		t.Fatalf("%v; progress:\n%s", err, &progress)
	}
	if err := k.write(dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	for i := range k.Rows {
		for _, f := range k.Rows[i].figures() {
			if m := k.Rows[i].of(systemWeft, f); m == nil || len(m.Values) != 1 || m.Lowest <= 0 {
				t.Errorf("row %s: weft's %s are %+v", k.Rows[i].Name, f, m)
			}
		}
	}
	switch {
	case len(k.Systems) > 1:
		if len(k.Skipped) > 0 || !k.Rows[1].Verdicts[0].Judged {
			t.Errorf("skipped %v, verdicts %v", k.Skipped, k.Rows[1].Verdicts)
		}
	case len(k.Skipped) != len(systemNames())-1 || !strings.Contains(progress.String(), "make build-peers"):
		t.Errorf("skipped %v; progress:\n%s", k.Skipped, &progress)
	}
	for _, o := range k.Others {
		if o.Cores < 0 || o.Cores > float64(k.Machine.Cores)+1 {
			t.Errorf("others were busy on %v cores during %+v", o.Cores, o)
		}
	}
	for _, name := range []string{"compare.md", "compare.json", "compare.svg"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(text) == 0 {
			t.Errorf("%s has %d bytes, %v", name, len(text), err)
		}
	}
}

// A peer that does not start is skipped in that row; the others go on.
func TestCompareWithoutAPeer(t *testing.T) {
	alone(t)
	c := compareConfig{passes: 2, seconds: 0.2, rows: "rtt-ipc", systems: []string{systemNATS, systemWeft}, peers: "/bin/false"}
	rows, err := c.validate()
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.run(t.Context(), rows, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Skipped) != 1 || k.Skipped[0].Row != "rtt-ipc" || !strings.Contains(k.Skipped[0].Why, "exit status 1") {
		t.Errorf("skipped %+v", k.Skipped)
	}
	if len(k.Rows[0].of(systemWeft, figureP50).Values) != 2 {
		t.Errorf("weft was not measured in both passes: %+v", k.Rows[0])
	}
	c.peers = "/nowhere"
	if _, err := c.run(t.Context(), rows, io.Discard); err == nil || !strings.HasPrefix(err.Error(), `--peers: "/nowhere"`) {
		t.Errorf("error %v", err)
	}
}
