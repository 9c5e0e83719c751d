package main

import (
	"strings"
	"testing"
	"time"
)

func TestValidateRun(t *testing.T) {
	good := runConfig{
		shape: shape{payload: 16, clients: 1, instances: 1, window: 4096, transport: "tcp"}, mode: modeBoth, format: formatTable, seconds: 2,
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
	good := func() killed {
		return killed{
			killConfig: killConfig{tasks: 2, clients: 1, nodes: 2, instances: 4, execution: time.Millisecond, poison: 1, others: 3},
			counts:     counts{Tasks: 2, Once: 2}, havoc: havocCounts{instances: 3, agents: 2, cuts: 5, stalls: 7}, elapsed: 2 * time.Second,
			poisoned: poisoned{
				answers: counts{Tasks: 3, Once: 3}, codes: []string{"AttemptsSpent"}, executions: map[string]int{"poison 0": 5},
				letters: []string{"poison 0"},
			},
		}
	}
	var b strings.Builder
	if err := good().report(&b); err != nil {
		t.Error(err)
	}
	for _, line := range []string{
		"results            2 of 2\n", "instances killed   3\n", "agents killed      2\n", "connections cut    5\n", "processes stopped  7\n",
		"executed           5 times at most (limit 5)\n", "others             3 of 3\n", "all results arrived, each once\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in:\n%s", line, b.String())
		}
	}
	for want, spoil := range map[string]func(*killed){
		"the reason":                                  func(k *killed) { k.Once, k.Failed, k.Failure = 1, 1, "the reason" },
		"not every task was":                          func(k *killed) { k.Tasks, k.Once = 1, 1 },
		"1 tasks are in the dead-letter list":         func(k *killed) { k.dead = 1 },
		"was executed 6 times":                        func(k *killed) { k.executions["poison 0"] = 6 },
		"was executed 0 times":                        func(k *killed) { delete(k.executions, "poison 0") },
		"is in the dead-letter list 0 times":          func(k *killed) { k.letters = []string{"task 7"} },
		"the dead-letter list has 2 tasks":            func(k *killed) { k.letters = append(k.letters, "task 7") },
		"a poison task ended with Internal":           func(k *killed) { k.codes[0] = "Internal" },
		"of the 3 others 2 have one result, 1 failed": func(k *killed) { k.answers.Once, k.answers.Failed = 2, 1 },
	} {
		k := good()
		spoil(&k)
		b.Reset()
		if err := k.report(&b); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(b.String(), "each once") {
			t.Errorf("error %v, want %q, and no praise in:\n%s", err, want, b.String())
		}
	}
}

func TestValidateKill(t *testing.T) {
	good := killConfig{tasks: 10, clients: 1, nodes: 1, instances: 1, slots: 1, timeout: time.Second}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for flag, spoil := range map[string]func(*killConfig){
		"--clients": func(k *killConfig) { k.clients = 0 }, "--tasks": func(k *killConfig) { k.tasks = 0 },
		"--nodes": func(k *killConfig) { k.nodes = 0 }, "--instances": func(k *killConfig) { k.instances = 0 },
		"--slots": func(k *killConfig) { k.slots = 0 }, "--poison": func(k *killConfig) { k.poison = -1 },
		"--others": func(k *killConfig) { k.others = -1 }, "--every": func(k *killConfig) { k.cuts = -1 },
	} {
		k := good
		spoil(&k)
		if err := k.validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: error %v", flag, err)
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
