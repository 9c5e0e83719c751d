package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "one two two")
	if err := compare(Counts{"one": 1, "two": 2}, dir, time.Second); err != nil {
		t.Error(err)
	}
	for _, wrong := range []Counts{{"one": 1, "two": 1}, {"one": 1}, {"one": 1, "two": 2, "three": 3}} {
		if err := compare(wrong, dir, time.Second); err == nil || !strings.Contains(err.Error(), "1 words differ") {
			t.Errorf("%v taken for right: %v", wrong, err)
		}
	}
	if err := compare(Counts{}, filepath.Join(dir, "missing"), time.Second); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"sum"}, {"count", "-no-such-flag"}, {"count", "-broker", "udp://nowhere", "."}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

func TestEndpoint(t *testing.T) {
	t.Setenv("WEFT_BROKER", "tcp://far:1")
	if got := endpoint(); got != "tcp://far:1" {
		t.Errorf("endpoint %q, not that of WEFT_BROKER", got)
	}
	t.Setenv("WEFT_BROKER", "")
	if got := endpoint(); got != "tcp://127.0.0.1:7700" {
		t.Errorf("endpoint %q by default", got)
	}
}

func TestGoSource(t *testing.T) {
	folder, err := goSource(t.Context())
	if err != nil || filepath.Base(folder) != "src" {
		t.Errorf("goSource = %q, %v", folder, err)
	}
}
