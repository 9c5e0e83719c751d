package launchertest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/worker/launcher"
)

// patience is how long anything may take before a test gives up.
const patience = 60 * time.Second

// Await waits until a condition holds, and fails the test when it does not in good time.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit:
			t.Fatalf("waited %v in vain until %s", patience, what)
		case <-tick.C:
		}
	}
}

// AwaitReady waits until a container's program has written everything.
func AwaitReady(t testing.TB, c launcher.Container) {
	t.Helper()
	Await(t, "container "+c.ID()+" is ready", func() bool {
		select {
		case <-c.Done():
			t.Fatalf("container %s ended before it was ready: %+v", c.ID(), c.Exit())
		default:
		}
		return slices.Contains(c.Output(), Ready)
	})
}

// AwaitExit waits for a container's end.
func AwaitExit(t testing.TB, c launcher.Container) launcher.Exit {
	t.Helper()
	select {
	case <-c.Done():
		return c.Exit()
	case <-time.After(patience):
		t.Fatalf("container %s does not end; it wrote %q", c.ID(), c.Output())
		return launcher.Exit{}
	}
}

// Number returns the number in the line "name: NUMBER".
func Number(t testing.TB, lines []string, name string) int {
	t.Helper()
	for _, line := range lines {
		if text, ok := strings.CutPrefix(line, name+": "); ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %q in %q", name, lines)
	return 0
}

// Alive tells whether a process runs; one that ended and was not looked at by its parent does not.
func Alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return len(fields) > 0 && fields[0] != "Z" && fields[0] != "X"
}
