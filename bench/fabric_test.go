package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// alone gives the test a temporary folder of its own, and checks at its end that neither files nor processes are left.
func alone(t *testing.T) {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "wb") // short: the path of a socket has its limits
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", folder)
	t.Cleanup(func() {
		left, err := os.ReadDir(folder)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", os.Getpid(), os.Getpid()))
		if err == nil && len(strings.TrimSpace(string(children))) > 0 {
			t.Errorf("processes left behind: %s", children)
		}
	})
}

// Each transport and mode measures what it is to measure, and nothing else.
func TestRun(t *testing.T) {
	for _, c := range []runConfig{
		{shape: shape{payload: 16, clients: 2, instances: 2, window: 64, transport: "tcp"}, mode: modeBoth, format: formatJSON, seconds: 0.1},
		{shape: shape{payload: 20_000, clients: 1, instances: 1, window: 4, transport: "ipc"}, mode: modeThroughput, format: formatJSON, seconds: 0.1},
		{shape: shape{payload: 0, clients: 1, instances: 1, window: 1, transport: "ipc"}, mode: modeRTT, format: formatJSON, seconds: 0.1},
	} {
		t.Run(fmt.Sprintf("%s %s %d", c.transport, c.mode, c.payload), func(t *testing.T) {
			alone(t)
			cmd := newRun()
			cmd.SetArgs([]string{
				"--payload", fmt.Sprint(c.payload), "--clients", fmt.Sprint(c.clients), "--instances", fmt.Sprint(c.instances),
				"--window", fmt.Sprint(c.window), "--transport", c.transport, "--mode", c.mode, "--format", c.format,
				"--seconds", fmt.Sprint(c.seconds),
			})
			var out strings.Builder
			cmd.SetOut(&out)
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			var r result
			if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
				t.Fatalf("%v in %q", err, out.String())
			}
			if (r.P50 > 0) != (c.mode != modeThroughput) || r.P99 < r.P50 || (r.RoundTrips > 0) != (r.P50 > 0) {
				t.Errorf("round trip: %+v", r)
			}
			if (r.PerSecond > 0) != (c.mode != modeRTT) || (r.Tasks > 0) != (r.PerSecond > 0) {
				t.Errorf("throughput: %+v", r)
			}
			if r.BrokerPeak <= 0 || r.Clients != c.clients || r.Payload != c.payload {
				t.Errorf("result: %+v", r)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	cmd := newRun()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"--transport", "udp", "--clients", "0"})
	err := cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--transport") || !strings.Contains(err.Error(), "--clients") {
		t.Errorf("error %v, want one that names both flags", err)
	}
}

// Instances and agents die while they compute and connections break, and yet each task has one result; poison is found.
func TestKill(t *testing.T) {
	alone(t)
	k := killConfig{
		tasks: 6000, clients: 2, nodes: 2, instances: 2, slots: 2, every: 600 * time.Millisecond, agents: 1500 * time.Millisecond,
		cuts: 400 * time.Millisecond, stalls: 300 * time.Millisecond, execution: time.Millisecond, poison: 1, others: 500, timeout: 3 * time.Minute,
	}
	got, err := k.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := got.report(&b); err != nil || got.havoc.instances == 0 || got.havoc.agents == 0 || got.havoc.cuts == 0 || got.havoc.stalls == 0 {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

// When a party was silent the error says what the broker knows, also when the time of the measurement is over; otherwise not.
func TestEndSaysWhatTheBrokerKnows(t *testing.T) {
	alone(t)
	for why, want := range map[error]bool{errSilent: true, errors.New("another"): false, nil: false} {
		f, err := startFabric(t.Context(), plan{transport: "tcp", instances: 1})
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.dial(t.Context(), "test")
		if err != nil {
			t.Fatal(errors.Join(err, f.close()))
		}
		if _, err := c.OpenSession(t.Context(), serviceName); err != nil {
			t.Error(err)
		}
		over, stop := context.WithCancel(t.Context())
		stop()
		err = f.end(over, why)
		if said := err != nil && strings.Contains(err.Error(), `"service":"bench"`); !errors.Is(err, why) || said != want {
			t.Errorf("after %v: %v", why, err)
		}
		if err := c.Close(); err != nil {
			t.Logf("close: %v", err) // its broker is gone
		}
	}
}

// What cannot be finished in time is reported as missing, and ends.
func TestKillRunsOutOfTime(t *testing.T) {
	alone(t)
	k := killConfig{
		tasks: 100_000, clients: 1, nodes: 1, instances: 1, slots: 1, execution: 4 * time.Second, timeout: patience + 2*time.Second,
	}
	got, err := k.run(t.Context())
	if err == nil && got.right() {
		t.Errorf("all results of tasks that take longer: %+v", got.counts)
	}
}

func TestFairness(t *testing.T) {
	alone(t)
	k := fairnessConfig{
		sessions: 30, flood: 3000, calls: 20, rounds: 2, instances: 2, execution: time.Millisecond, limit: 1000,
	}
	got, err := k.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.quiet) != 2 || len(got.flooded) != 2 || got.peak < got.idle || got.idle <= 0 {
		t.Errorf("measured %+v", got)
	}
	for _, p50 := range append(got.quiet, got.flooded...) {
		if p50 < k.execution {
			t.Errorf("a round trip of %v is less than the task takes", p50)
		}
	}
}

// A fabric that cannot come up leaves nothing behind, and says which party failed.
func TestFabricThatFails(t *testing.T) {
	alone(t)
	_, err := startFabric(t.Context(), plan{transport: "tcp", instances: 0, tasks: -1})
	if err == nil || !strings.Contains(err.Error(), "limits.tasks") {
		t.Errorf("error %v", err)
	}
}
