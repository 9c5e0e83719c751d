package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestValidateRun(t *testing.T) {
	good := runConfig{
		payload: 16, clients: 1, instances: 1, window: 4096, transport: "tcp", mode: modeBoth, format: formatTable, seconds: 2,
	}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for flag, spoil := range map[string]func(*runConfig){
		"--payload": func(r *runConfig) { r.payload = -1 }, "--clients": func(r *runConfig) { r.clients = 0 },
		"--instances": func(r *runConfig) { r.instances = 0 }, "--window": func(r *runConfig) { r.window = 1 << 24 },
		"--transport": func(r *runConfig) { r.transport = "udp" }, "--mode": func(r *runConfig) { r.mode = "all" },
		"--format": func(r *runConfig) { r.format = "csv" }, "--seconds": func(r *runConfig) { r.seconds = 0 },
	} {
		r := good
		spoil(&r)
		if err := r.validate(); err == nil || !strings.Contains(err.Error(), flag+":") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

func TestReportOfKills(t *testing.T) {
	k := killed{
		killConfig: killConfig{tasks: 2, instances: 4, every: 2 * time.Second, execution: time.Millisecond},
		tally:      newTally(2), kills: 3, elapsed: 2 * time.Second,
	}
	k.tally.result(0)
	k.failure = errors.New("the reason")
	var b strings.Builder
	if err := k.report(&b); err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("one task is missing: error %v", err)
	}
	if !strings.Contains(b.String(), "missing         1\n") || strings.Contains(b.String(), "each once") {
		t.Errorf("report:\n%s", b.String())
	}
	k.tally.result(1)
	b.Reset()
	if err := k.report(&b); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"results         2 of 2\n", "kills           3\n", "all results arrived, each once\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in:\n%s", line, b.String())
		}
	}
}

func TestReportOfFairness(t *testing.T) {
	k := fairness{
		fairnessConfig: fairnessConfig{sessions: 1000, flood: 1_000_000, rounds: 3, instances: 2, limit: 2.5},
		quiet:          []time.Duration{1000, 900_000, 1_000_000}, flooded: []time.Duration{2_250_000, 9_000_000, 1_000},
		idle: 10 << 20, peak: 300 << 20,
	}
	var b strings.Builder
	if err := k.report(&b); err != nil { // 2.25 ms to 0.9 ms is just what passes
		t.Error(err)
	}
	for _, says := range []string{"ratio              2.50 (limit 2.50)", "900.0 us and 2250.0 us", "300.0 MiB at most"} {
		if !strings.Contains(b.String(), says) {
			t.Errorf("no %q in:\n%s", says, b.String())
		}
	}
	k.flooded[0] += 100_000
	if err := k.report(&b); err == nil || !strings.Contains(err.Error(), "2.61") {
		t.Errorf("above the limit: error %v", err)
	}
}
