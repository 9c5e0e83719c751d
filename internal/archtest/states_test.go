package archtest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/worker/agent/core"
)

//go:generate go test -count=1 -run=^TestStates$ . -update

var update = flag.Bool("update", false, "write docs/states.md again")

// TestStates holds docs/states.md against the tables that the code runs by.
func TestStates(t *testing.T) {
	const path = "../../docs/states.md"
	var b strings.Builder
	b.WriteString(`# States

What has states has a typed table of them, in which every pair of state and event is a transition or a written refusal.
This page is drawn from those tables (` + "`make generate`" + `); a test holds it against them.
`)
	lifePicture, lifeTable, seatPicture, seatTable := instance.Drawings()
	agents := core.Containers()
	for _, s := range []struct{ title, about, picture, table string }{
		{"A session, to the broker", "`broker/session`", session.Table.Mermaid(), session.Table.Markdown()},
		{"A container, to the broker", "`broker/fleet`", fleet.Table.Mermaid(), fleet.Table.Markdown()},
		{"A node", "`broker/fleet`", fleet.NodeTable.Mermaid(), fleet.NodeTable.Markdown()},
		{"A container, to its agent", "`worker/agent/core`", agents.Mermaid(), agents.Markdown()},
		{"An instance, to itself", "`internal/engine/instance`", lifePicture, lifeTable},
		{"A session at an instance", "`internal/engine/instance`", seatPicture, seatTable},
	} {
		fmt.Fprintf(&b, "\n## %s\n\nThe table is in %s.\n\n```mermaid\n%s```\n\n%s", s.title, s.about, s.picture, s.table)
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/states.md does not show the tables of the code: run make generate")
	}
}
