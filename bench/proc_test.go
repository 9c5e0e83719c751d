package main

import (
	"os"
	"slices"
	"testing"

	"github.com/weft-fabric/weft/bench/party"
)

func TestParseMemory(t *testing.T) {
	m, err := parseMemory("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n")
	if err != nil || m != (memory{now: 1 << 20, peak: 2 << 20}) {
		t.Errorf("memory %+v, %v", m, err)
	}
	for _, bad := range []string{"", "VmRSS: many kB\nVmHWM: 1 kB\n", "VmRSS: 1 kB\n"} {
		if m, err := parseMemory(bad); err == nil {
			t.Errorf("parseMemory(%q) = %+v", bad, m)
		}
	}
	own, err := memoryOf(os.Getpid())
	if err != nil || own.now <= 0 || own.peak < own.now/2 {
		t.Errorf("memory of this process: %+v, %v", own, err)
	}
}

func TestParseStat(t *testing.T) {
	cases := []struct {
		stat        string
		pid, parent int
		ok          bool
	}{
		{"12 (weft) S 7 12 12 0", 12, 7, true},
		{"12 (a) b) (c) R 9 1", 12, 9, true},
		{"12 (gone) Z 7 12", 0, 0, false},
		{"", 0, 0, false},
		{"12", 0, 0, false},
		{"x (y) S 1", 0, 1, false},
	}
	for _, c := range cases {
		pid, parent, ok := parseStat(c.stat)
		if ok != c.ok || ok && (pid != c.pid || parent != c.parent) {
			t.Errorf("parseStat(%q) = %d, %d, %v", c.stat, pid, parent, ok)
		}
	}
}

func TestBelow(t *testing.T) {
	parents := map[int]int{10: 1, 20: 10, 30: 20, 40: 1, 50: 50}
	for pid, want := range map[int]bool{10: false, 20: true, 30: true, 40: false, 50: false, 60: false} {
		if got := below(parents, pid, 10); got != want {
			t.Errorf("below(%d, 10) = %v", pid, got)
		}
	}
}

// A process below this one is an instance only if it was started as the service.
func TestInstancesUnder(t *testing.T) {
	t.Setenv(idleVariable, "yes")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var want []int
	for _, args := range [][]string{{serveCommand}, {clientCommand}, nil, {serveCommand, "--execution", "1ms"}} {
		p, err := party.Start(t.Context(), "party", program, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}()
		if len(args) > 0 && args[0] == serveCommand {
			want = append(want, p.PID())
		}
	}
	got, err := instancesUnder(os.Getpid())
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("instances %v, %v; want %v", got, err, want)
	}
}
