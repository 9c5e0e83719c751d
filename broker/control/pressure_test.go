package control

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// TestPressure: while memory is short new sessions are granted less, at least one payload, and people can see why.
func TestPressure(t *testing.T) {
	c, err := New(Config{Incarnation: 1, Loops: 1, Token: func() string { return "" }, ManagerMemory: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{hosted: hosted{share: protocol.Share{Memory: 32 << 20}}}
	m.service.Limits = protocol.Limits{Tasks: 100, Bytes: 64 << 20, Payload: 16 << 20}
	for _, step := range []struct {
		used  int64
		tasks int
		bytes int64
		says  string
	}{
		{699, 100, 32 << 20, ""},
		{700, 25, 16 << 20, "700 of 1000 bytes are used (weft broker --memory), new sessions are granted less"},
		{900, 25, 16 << 20, "900 of 1000 bytes are used (weft broker --memory), further tasks are refused"},
		{0, 100, 32 << 20, ""},
	} {
		c.Step(time.Unix(1, 0), Pressure{Used: step.used, Limit: 1000})
		tasks, bytes := c.hosts.credit(m)
		if says := c.hosts.explainPressure(); tasks != step.tasks || bytes != step.bytes || !strings.Contains(says, step.says) || (says == "") != (step.says == "") {
			t.Errorf("with %d of 1000 bytes in use %d tasks with %d bytes are granted, and %q is said; want %+v", step.used, tasks, bytes, says, step)
		}
	}
}
