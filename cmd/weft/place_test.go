package main

import (
	"strings"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

func TestPlaceFlagsThatCannotBe(t *testing.T) {
	for want, f := range map[string]placeFlags{
		"--prefer: names no place":              {prefer: true},
		`--queue: "A b" is not the name`:        {spec: protocol.OpenSession{Queue: "A b"}},
		`--node-type: "tpu" is neither cpu nor`: {spec: protocol.OpenSession{NodeType: "tpu"}},
		`--rack: "r" is named beside node "n"`:  {spec: protocol.OpenSession{Node: "n", Rack: "r"}},
		"--nodes: -1 is negative":               {spec: protocol.OpenSession{Nodes: -1}},
		"--priority: 2000000 is not within":     {spec: protocol.OpenSession{Priority: 2_000_000}},
		`--node: "No Node" is not the name`:     {spec: protocol.OpenSession{Node: "No Node"}},
	} {
		if err := f.check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	good := placeFlags{spec: protocol.OpenSession{Queue: "a.b", Rack: "r", NodeType: "gpu", Nodes: 2, Priority: 1}, prefer: true}
	if err := good.check(); err != nil || !good.spec.Relax {
		t.Error(err)
	}
}
