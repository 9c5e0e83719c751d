package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseCPU(t *testing.T) {
	c, err := parseCPU("12 (a) b) R 1 2 3 4 5 6 7 8 9 10 150 25 99 99 20")
	if err != nil || c != (cpuTime{1500 * time.Millisecond, 250 * time.Millisecond}) || c.sum() != 1750*time.Millisecond {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"", "12 (a) R 1 2 3", "12 (a) R 1 2 3 4 5 6 7 8 9 10 many 25 99"} {
		if c, err := parseCPU(bad); err == nil {
			t.Errorf("parseCPU(%q) = %+v", bad, c)
		}
	}
	if _, err := cpuOfAll([]process{{"this one", os.Getpid()}}); err != nil {
		t.Error(err)
	}
	before := []cpuTime{{1, 2}, {10, 20}}
	if got := sumSince([]cpuTime{{2, 4}, {14, 28}}, before); got != 15 {
		t.Errorf("%d used since, want 15", got)
	}
}

// The exact time of a process is that of its own account, and grows with what it does.
func TestExactCPU(t *testing.T) {
	before, err := exactCPU([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	account := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	after, err := exactCPU([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	const rounding = 2 * clockTick
	if before <= 0 || account < before-rounding || account > after+rounding {
		t.Errorf("%v before, %v by getrusage, %v after", before, account, after)
	}
	if twice, err := exactCPU([]int{os.Getpid(), os.Getpid()}); err != nil || twice < 2*after {
		t.Errorf("two processes have used %v, %v; one %v", twice, err, after)
	}
	if _, err := exactCPU([]int{1 << 28}); err == nil || !strings.Contains(err.Error(), "process 268435456") {
		t.Errorf("of no process: %v", err)
	}
}

func TestParseBusy(t *testing.T) {
	got, err := parseBusy("cpu  100 20 3 99999 88888 4 5 60 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if want := (100 + 20 + 3 + 4 + 5 + 60) * clockTick; err != nil || got != want {
		t.Errorf("busy for %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9 10", "cpu a b c d e f g h i j"} {
		if got, err := parseBusy(bad); err == nil {
			t.Errorf("parseBusy(%q) = %v", bad, got)
		}
	}
}
