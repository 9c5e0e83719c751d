package main

import (
	"os"
	"testing"
	"time"
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
