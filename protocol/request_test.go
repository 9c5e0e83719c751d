package protocol

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestCapacityHasFurtherDimensions(t *testing.T) {
	c := Capacity{CPU: 500, Further: Amounts{"fpga": 2, "licence.ansys": 1}}
	var back Capacity
	if err := Unmarshal(KindRegisterNode, Marshal(c), &back); err != nil || !back.Equal(c) {
		t.Errorf("%+v, %v", back, err)
	}
	for range 20 { // the order of a map must not be seen
		if string(Marshal(c)) != string(Marshal(back)) {
			t.Fatal("equal capacities give different bytes")
		}
	}
	text, err := json.Marshal(c)
	if err != nil || string(text) != `{"cpu":500,"fpga":2,"licence.ansys":1}` {
		t.Errorf("%s, %v", text, err)
	}
	back = Capacity{GPU: 1}
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(c) {
		t.Errorf("%+v, %v", back, err)
	}
	for want, c := range map[string]Capacity{`{}`: {}, `{"fpga":1}`: {Further: Amounts{"fpga": 1}}, `{"disk_io":3}`: {DiskIO: 3}} {
		if text, err := json.Marshal(c); err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
	}
}

func TestCapacitiesAddUp(t *testing.T) {
	c := Capacity{CPU: 500, GPU: 1, Memory: 5, Network: 6, DiskIO: 7, Further: Amounts{"fpga": 2}}
	if c.Equal(Capacity{CPU: 500, GPU: 1, Memory: 5, Network: 6, DiskIO: 7}) || c.Equal(Capacity{}) || c.IsZero() || !c.Equal(c) {
		t.Error("Equal")
	}
	if !(Capacity{Further: Amounts{"fpga": 0}}).Equal(Capacity{}) {
		t.Error("nothing of a further dimension is something")
	}
	if !c.Plus(c, 2).Plus(c, -3).IsZero() || !(Capacity{}).Plus(c, 1).Equal(c) {
		t.Error("Plus")
	}
	if c.Further["fpga"] != 2 {
		t.Error("Plus has changed what it was given")
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	many := Amounts{}
	for i := range MaxFurther + 1 {
		many[fmt.Sprint("d", i)] = 1
	}
	for want, r := range map[string]ContainerRequest{
		"capacity.memory: -1 is not within 0":                  {Capacity: Capacity{Memory: -1}},
		"capacity.cpu: 9223372036854775807 is not within":      {Capacity: Capacity{CPU: 1<<63 - 1}},
		"capacity.fpga: -2 is not within":                      {Capacity: Capacity{Further: Amounts{"fpga": -2}}},
		`capacity.further: "F P" is not a name`:                {Capacity: Capacity{Further: Amounts{"F P": 1}}},
		"capacity.further.cpu: it is no further dimension":     {Capacity: Capacity{Further: Amounts{"cpu": 1}}},
		"capacity.12 dimensions beside":                        {Capacity: Capacity{Further: many}},
		"priority: 1000001 is not within":                      {Priority: MaxContainerPriority + 1},
		`node: "A B" is not the name of a node`:                {Node: "A B"},
		`rack: "r" is named beside node "n"; name one of them`: {Node: "n", Rack: "r"},
		"rack: a name of 300 bytes, at most 256":               {Rack: strings.Repeat("r", 300)},
		"relax: there is neither a node nor a rack":            {Relax: true},
		`node_type: "tpu" is neither cpu nor gpu`:              {NodeType: "tpu"},
		"nodes: -1 is negative":                                {Nodes: -1},
	} {
		if err := r.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	good := ContainerRequest{Capacity: Capacity{CPU: 1, Further: Amounts{"fpga": 1}}, Rack: "r 7", Relax: true, NodeType: "gpu", Nodes: 3, Priority: -4}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
