package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var smallShape = shape{payload: 16, clients: 1, instances: 1, window: 64, transport: "tcp"}

func TestValidateShape(t *testing.T) {
	if err := smallShape.validate(stampSize); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*shape){
		"--payload: 7 is not within 8 to":          func(s *shape) { s.payload = 7 },
		"--clients: 0 is not within 1 to 1000":     func(s *shape) { s.clients = 0 },
		"--instances: 1001 is not within":          func(s *shape) { s.instances = 1001 },
		"--window: 16777216 is not within 1 to":    func(s *shape) { s.window = 1 << 24 },
		`--transport: "udp" is not one of ["tcp" `: func(s *shape) { s.transport = "udp" },
	} {
		s := smallShape
		spoil(&s)
		if err := s.validate(stampSize); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestValidateLoad(t *testing.T) {
	good := loadConfig{shape: smallShape, percent: []float64{10}, arrivals: arrivalsConstant, seconds: 1, format: formatTable}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*loadConfig){
		"--payload: 0":               func(k *loadConfig) { k.payload = 0 },
		"--seconds: 0 is not":        func(k *loadConfig) { k.seconds = 0 },
		"--percent: 0 is not":        func(k *loadConfig) { k.percent = []float64{50, 0} },
		"--percent: there is none":   func(k *loadConfig) { k.percent = nil },
		"--rate: -1 is not within":   func(k *loadConfig) { k.rate, k.rateSet = -1, true },
		"--rate: 5 and --percent":    func(k *loadConfig) { k.rate, k.rateSet, k.percSet = 5, true, true },
		`--arrivals: "bursty" is`:    func(k *loadConfig) { k.arrivals = "bursty" },
		`--format: "csv" is not one`: func(k *loadConfig) { k.format = "csv" },
	} {
		k := good
		spoil(&k)
		if err := k.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func packed(t *testing.T, latency ...time.Duration) []byte {
	t.Helper()
	h := newHistogram()
	for _, d := range latency {
		record(h, d)
	}
	b, err := packHistogram(h)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The parts of several clients are added up, and a load that takes longer than its schedule has fallen behind.
func TestStepOf(t *testing.T) {
	o := pace{Rate: 4, Time: time.Second}
	parts := []paced{
		{Sent: 3, Due: 2, Done: 2, Elapsed: time.Second, Latency: packed(t, time.Millisecond, time.Millisecond), Late: packed(t, time.Microsecond)},
		{Sent: 3, Due: 2, Done: 2, Elapsed: 1100 * time.Millisecond, Latency: packed(t, time.Millisecond, 2*time.Millisecond), Late: packed(t, 5*time.Microsecond)},
	}
	s, sent, err := stepOf(o, parts)
	if err != nil || sent != 6 || s.Behind || s.Unsent != 0 || s.Tasks != 4 || int(s.Reached*100) != 363 || s.word() != "" {
		t.Errorf("%+v, %d sent, %v", s, sent, err)
	}
	if !near(s.Latency.P50, time.Millisecond) || !near(s.Latency.Max, 2*time.Millisecond) || !near(s.SentLate.Max, 5*time.Microsecond) {
		t.Errorf("latencies %+v, sent late %+v", s.Latency, s.SentLate)
	}
	parts[0].Elapsed = 1300 * time.Millisecond
	if s, _, _ := stepOf(o, parts); !s.Behind || !strings.Contains(s.word(), "fell behind") || strings.Contains(s.word(), "unsent") {
		t.Errorf("a load of 1.3 s in place of 1 s has not fallen behind: %q", s.word())
	}
	parts[0].Latency = []byte("nonsense")
	if _, _, err := stepOf(o, parts); err == nil {
		t.Error("nonsense is taken for latencies")
	}
}

func TestReportOfLoad(t *testing.T) {
	l := loaded{Name: "weft", Payload: 16, Clients: 8, Instances: 2, Window: 64, Arrivals: arrivalsPoisson, Seconds: 2, Maximum: 1e6, Steps: []step{{
		Percent: 12.5, Asked: 125_000, Reached: 125_001, CPU: 640,
		Latency: latencies{200 * time.Microsecond, 300 * time.Microsecond, 400 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond},
	}, {Asked: 2e6, Reached: 1e6, Behind: true, Tasks: 9, Unsent: 4}}}
	write := func(format string) string {
		var b strings.Builder
		if err := l.write(&b, format); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := "LOAD|weft|16|8|2|12.5|125000|125001|200.0|300.0|400.0|1000.0|2000.0|3000.0|640\nLOAD|weft|16|8|2|-|2000000|1000000|-|-|-|-|-|-|-\n"
	if got := write(formatLines); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	table := strings.Split(strings.TrimSpace(write(formatTable)), "\n")
	if len(table) != 6 || len(table[2]) != len(table[3]) || len(table[3]) != len(table[4]) || !strings.Contains(table[1], "maximum 1000000 tasks/s") {
		t.Errorf("table:\n%s", strings.Join(table, "\n"))
	}
	if last := table[5]; !strings.Contains(last, "2000000 tasks/s the load fell behind") || !strings.Contains(last, "4 of 9 tasks unsent") {
		t.Errorf("word: %q", last)
	}
	var back loaded
	if err := json.Unmarshal([]byte(write(formatJSON)), &back); err != nil || back.Maximum != 1e6 || back.Steps[0].Latency != l.Steps[0].Latency || !back.Steps[1].Behind {
		t.Errorf("JSON reads back as %+v, %v", back, err)
	}
}

// The whole of it, small: the maximum, two rates of it, and what is kept.
func TestLoad(t *testing.T) {
	alone(t)
	out := filepath.Join(t.TempDir(), "kept")
	cmd := newLoad()
	cmd.SetArgs([]string{"--clients", "2", "--instances", "2", "--window", "64", "--percent", "1,10", "--seconds", "0.2", "--arrivals", "poisson", "--format", "json", "--out", out})
	var b strings.Builder
	cmd.SetOut(&b)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var l loaded
	if err := json.Unmarshal([]byte(b.String()), &l); err != nil || l.Maximum <= 0 || len(l.Steps) != 2 {
		t.Fatalf("%v in %s", err, b.String())
	}
	for _, s := range l.Steps {
		if s.Reached <= 0 || s.Tasks == 0 || s.Latency.P50 <= 0 || s.Latency.Max < s.Latency.P50 {
			t.Errorf("%+v", s)
		}
	}
	for _, name := range []string{"load.json", "load-1.hgrm", "load-10.hgrm"} {
		if text, err := os.ReadFile(filepath.Join(out, name)); err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	cmd := newLoad()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"--rate", "5", "--percent", "50", "--payload", "1"})
	err := cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--rate") || !strings.Contains(err.Error(), "--payload: 1 is not within 8") {
		t.Errorf("error %v, want one that names both flags", err)
	}
}
