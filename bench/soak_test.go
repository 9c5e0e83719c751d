package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// samplesOf makes a sample for each second of what one process occupies, in MiB, beside another that stays as it is.
func samplesOf(mebibytes func(second int) int64) (all []memorySample) {
	for n := range 600 {
		all = append(all, memorySample{At: time.Duration(n) * time.Second, Bytes: []int64{mebibytes(n) << 20, 50 << 20}})
	}
	return all
}

// Memory that grows slowly without end is seen; what only warms up, breathes, or falls, is not taken for it.
func TestTrends(t *testing.T) {
	list := []process{{"broker", 1}, {"client", 2}}
	for name, c := range map[string]struct {
		of    func(second int) int64
		grows bool
	}{
		"warms up":           {func(n int) int64 { return 100 + 200*min(int64(n), 59)/59 }, false},
		"constant":           {func(int) int64 { return 100 }, false},
		"breathes":           {func(n int) int64 { return 100 + int64(n%7) }, false},
		"falls":              {func(n int) int64 { return 1000 - int64(n) }, false},
		"leaks slowly":       {func(n int) int64 { return 100 + int64(n)/20 }, true},                                // 3 MiB a minute
		"leaks after a peak": {func(n int) int64 { return 100 + 200*(1-min(int64(n), 30)/30) + int64(n)/20 }, true}, // that was early
		"jumps late":         {func(n int) int64 { return 100 + 100*int64(n/590) }, true},
		"a peak between":     {func(n int) int64 { return 100 + 100*(int64(n)/300%2)*(1-int64(n)/310%2) }, false},
		"within its part":    {func(n int) int64 { return 1000 + 49*int64(n/300) }, false},
	} {
		got, err := trends(samplesOf(c.of), list, time.Minute, 10*time.Minute, slack{0.05, 16 << 20})
		if err != nil || len(got) != 3 || got[2].Name != "all together" || got[2].Base != got[0].Base+50<<20 {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		if got[0].grows() != c.grows || got[1].grows() || got[2].grows() != c.grows {
			t.Errorf("%s: %+v, want growth %v", name, got, c.grows)
		}
	}
	if _, err := trends(samplesOf(func(int) int64 { return 1 })[:60], list, time.Minute, 10*time.Minute, slack{}); err == nil {
		t.Error("a trend of samples of the first minute alone")
	}
}

func goodSoak() soaked {
	return soaked{
		soakConfig: soakConfig{shape: shape{payload: 16, clients: 8, instances: 2}, percent: 80, time: time.Minute, pause: 5 * time.Millisecond},
		Name:       "weft", Maximum: 1e6,
		Load: step{
			Asked: 800_000, Reached: 799_000, Tasks: 48_000_000, CPU: 500,
			Latency: latencies{P50: time.Millisecond, P999: 7 * time.Millisecond, Max: 9 * time.Millisecond},
		},
		Memory:      []trend{{"broker", 50 << 20, 51 << 20, 66 << 20}, {"all together", 400 << 20, 410 << 20, 420 << 20}},
		Collections: collections{3, 4 * time.Millisecond, 30 << 20},
	}
}

func TestReportOfSoak(t *testing.T) {
	var b strings.Builder
	if err := goodSoak().report(&b); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"8 clients, 2 instances, 16 bytes, 1m0s at 80 % of 1000000 tasks/s", "800000 tasks/s asked, 799000 reached", "p99.9 7000.0",
		"3 collections, 4ms at most, heap 30.0 MiB", "400.0 MiB    410.0 MiB    420.0 MiB",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	for want, spoil := range map[string]func(*soaked){
		"the memory of broker grows: 67.0 MiB at the end": func(s *soaked) { s.Memory[0].Last = 67 << 20 },
		"the memory of all together grows":                func(s *soaked) { s.Memory[1].Last = 421 << 20 },
		"stopped the broker for 5.1ms, 5ms are allowed":   func(s *soaked) { s.Collections.Longest = 5100 * time.Microsecond },
		"the load fell behind its schedule":               func(s *soaked) { s.Load.Behind = true },
	} {
		s := goodSoak()
		spoil(&s)
		if err := s.report(&b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestValidateSoak(t *testing.T) {
	good := soakConfig{shape: smallShape, percent: 80, arrivals: arrivalsPoisson, time: 3 * time.Second, warm: time.Second, every: 100 * time.Millisecond, seconds: 1}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*soakConfig){
		"--clients: 0 is not":             func(k *soakConfig) { k.clients = 0 },
		"--percent: 101 is not":           func(k *soakConfig) { k.percent = 101 },
		"--arrivals:":                     func(k *soakConfig) { k.arrivals = "" },
		"--seconds: 0 is not":             func(k *soakConfig) { k.seconds = 0 },
		"--slack: -1 is not":              func(k *soakConfig) { k.slack.part = -1 },
		"--slack-bytes: -1 is not":        func(k *soakConfig) { k.slack.bytes = -1 },
		"--pause: -1ns is not":            func(k *soakConfig) { k.pause = -1 },
		"--every: 0s is not within 1ms":   func(k *soakConfig) { k.every = 0 },
		"--warm: 100ms is not within 200": func(k *soakConfig) { k.warm = 100 * time.Millisecond },
		"--time: 2s is less than three":   func(k *soakConfig) { k.time = 2 * time.Second },
	} {
		k := good
		spoil(&k)
		if err := k.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The whole of it, small.
func TestSoak(t *testing.T) {
	alone(t)
	k := soakConfig{
		shape: shape{payload: 16, clients: 2, instances: 2, window: 64, transport: "tcp"}, percent: 10, arrivals: arrivalsConstant,
		time: 2400 * time.Millisecond, warm: 800 * time.Millisecond, every: 50 * time.Millisecond, seconds: 0.3,
		slack: slack{1, 64 << 20}, pause: time.Minute,
	}
	got, err := k.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := got.report(&b); err != nil && !got.Load.Behind {
		t.Errorf("%v:\n%s", err, b.String())
	}
	if len(got.Processes) != 6 || len(got.Memory) != 7 || got.Memory[6].Base < got.Memory[0].Base+got.Memory[5].Base || len(got.Samples) < 6 {
		t.Errorf("processes %v, %d samples, memory %+v", got.Processes, len(got.Samples), got.Memory)
	}
	out := filepath.Join(t.TempDir(), "kept")
	if err := got.keep(out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "soak.json"))
	var back soaked
	if err := json.Unmarshal(text, &back); err != nil || back.Load.Latency != got.Load.Latency || len(back.Samples) != len(got.Samples) {
		t.Errorf("JSON reads back as %+v, %v", back.Load, err)
	}
	if text, errDistribution := os.ReadFile(filepath.Join(out, "soak.hgrm")); err != nil || errDistribution != nil || len(text) == 0 {
		t.Errorf("%v, %v", err, errDistribution)
	}
}
