package progress

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/internal/terminaltest"
)

func TestOnATerminal(t *testing.T) {
	terminal := terminaltest.Open(t)
	b := New(terminal.File, "tiles", 1)
	b.Hide()
	b.Total(3)
	b.Add(1)
	b.Hide()
	b.Hide()
	b.Finish()
	shown := terminal.Text()
	if !strings.Contains(shown, "tiles ") || !strings.Contains(shown, "/3, ") || !strings.Contains(shown, "tiles/") {
		t.Errorf("shown: %q", shown)
	}
	if line := shown[strings.LastIndex(strings.TrimRight(shown, "\r"), "\r"):]; strings.TrimSpace(line) != "" {
		t.Errorf("it is still there: %q", line)
	}
}

func TestElsewhere(t *testing.T) {
	var out bytes.Buffer
	b := New(&out, "tiles", 3)
	b.Total(4)
	b.Add(1)
	b.Hide()
	b.Finish()
	if out.Len() > 0 {
		t.Errorf("shown: %q", out.String())
	}
}
