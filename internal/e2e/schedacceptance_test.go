package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// findings are what was seen, for a table at the end.
type findings struct{ lines []string }

func (f *findings) line(format string, args ...any) {
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}

// reason is a line for a reason that was named.
func (f *findings) reason(what, kind, text string) { f.line("%-44s %-16s %s", what, kind, text) }

// TestAcceptanceSchedLive holds a fabric of processes to what weft sched simulate says, and weft explain to reasons that
// are planted.
func TestAcceptanceSchedLive(t *testing.T) {
	program, began := weftBinary(t), time.Now()
	var seen findings
	t.Run("as simulated", func(t *testing.T) { testLiveAsSimulated(t, program, &seen) })
	t.Run("never", func(t *testing.T) { testNever(t, program, &seen) })
	t.Run("waiting", func(t *testing.T) { testWaiting(t, program, &seen) })
	t.Logf("in %v:\n%s", time.Since(began).Round(time.Second), strings.Join(seen.lines, "\n"))
}
