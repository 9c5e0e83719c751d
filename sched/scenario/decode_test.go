package scenario_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched/scenario"
)

// small is a document with at least one of everything.
const small = `{
	"resources": ["cpu", "gpu"],
	"ratio": "dominant",
	"cluster": [
		{"node": "n1", "rack": "r1", "type": "cpu", "arch": "x86_64", "cap": {"cpu": 8}},
		{"node": "n2", "rack": "r2", "cap": {"cpu": 8, "gpu": 2}}
	],
	"queues": [
		{"name": "root"},
		{"name": "a", "parent": "root", "capacity_pct": 33.3, "policy": "capacity", "user_limit_pct": 25, "min": {"cpu": 1}, "max_pct": 60},
		{"name": "b", "parent": "root", "capacity_pct": 66.7, "max": {"cpu": 10, "gpu": 2}, "priority": -1, "reserve": true}
	],
	"steps": [
		{"op": "submit", "service": "s", "queue": "a", "weight": 2, "user": "u", "requests": [
			{"id": "q", "count": 3, "cap": {"cpu": 1}, "priority": 5, "location": {"rack": "r1"}, "relax": true, "node_type": "cpu", "arch": "amd64", "nodes": 2}
		]},
		{"op": "add_request", "service": "s", "id": "q2", "count": 1, "cap": {"gpu": 1}, "location": {"node": "n3"}},
		{"op": "schedule", "decisions": 2, "offer": "n1"},
		{"op": "schedule"},
		{"op": "release", "service": "s", "count": 1},
		{"op": "add_node", "node": "n3", "rack": "r3", "type": "gpu", "arch": "aarch64", "cap": {"cpu": 1}},
		{"op": "remove_node", "node": "n3"},
		{"op": "preempt"},
		{"op": "finish", "service": "s"},
		{"op": "submit", "service": "s", "queue": "b"},
		{"op": "state"}
	]
}`

// change replaces one part of the small document.
func change(t *testing.T, old, by string) string {
	t.Helper()
	if strings.Count(small, old) != 1 {
		t.Fatalf("%q is %d times in the document", old, strings.Count(small, old))
	}
	return strings.Replace(small, old, by, 1)
}

func TestDecode(t *testing.T) {
	doc, err := Decode([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if got := doc.Steps[0].Requests[0]; got.Nodes != 2 || got.Location.Rack != "r1" || !got.Relax || got.Cap["cpu"] != 1 {
		t.Errorf("%+v", got)
	}
	if got := doc.Steps[1]; got.ID != "q2" || got.Count != 1 || got.Location.Node != "n3" {
		t.Errorf("%+v", got)
	}
	if got := doc.Queues[1].CapacityPct; got != "33.3" {
		t.Error(got)
	}
	again, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Decode(again)
	if err != nil || !reflect.DeepEqual(second, doc) {
		t.Errorf("written and read again: %v\n%s", err, again)
	}
}

// What may be said in more than one way.
func TestDecodeIsNotPedantic(t *testing.T) {
	for _, c := range [][2]string{
		{`"count": 3`, `"count": 3.0`},
		{`"count": 3`, `"count": 3e0`},
		{`{"name": "root"}`, `{"name": "root", "parent": null, "weight": null}`},
		{`{"name": "root"}`, `{"name": "root", "parent": ""}`},
		{`"location": {"rack": "r1"}`, `"location": {}`},
		{`"capacity_pct": 33.3,`, `"capacity_pct": 33.300,`},
		{`"capacity_pct": 33.3,`, `"capacity_pct": 3.33e1,`},
		{`"ratio": "dominant"`, `"ratio": "gpu"`},
		{`{"op": "preempt"}`, `{"op": "finish", "service": "s"}`},
		{`{"op": "state"}`, `{"op": "release", "service": "s", "count": 100}`},
	} {
		if _, err := Decode([]byte(change(t, c[0], c[1]))); err != nil {
			t.Errorf("%s: %v", c[1], err)
		}
	}
	for _, c := range []string{
		`{"resources": ["cpu"], "queues": [{"name": "root"}]}`,
		`{"resources": ["cpu"], "cluster": [], "queues": [{"name": "root", "policy": "fair"}], "steps": []}`,
	} {
		if _, err := Decode([]byte(c)); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ old, by, want string }{
		// Form.
		{`"ratio": "dominant",`, `"ration": "dominant",`, `ration: unknown key: did you mean "ratio"?`},
		{`"ratio": "dominant",`, `"a.b": 1,`, `"a.b": unknown key: there are resources, ratio, cluster, queues, steps`},
		{`"ratio": "dominant",`, `"ratio": "dominant", "ratio": "cpu",`, `ratio: the key is there twice`},
		{`"ratio": "dominant",`, `"ratio": 3,`, `ratio: a number, not text`},
		{`"ratio": "dominant",`, ``, ""},
		{`"resources": ["cpu", "gpu"],`, ``, "resources: missing"},
		{`"resources": ["cpu", "gpu"],`, `"resources": "cpu",`, "resources: text, not a list"},
		{`"resources": ["cpu", "gpu"],`, `"resources": ["cpu", 2],`, "resources[1]: a number, not text"},
		{`{"op": "preempt"}`, `"preempt"`, "steps[7]: text, not an object"},
		{`{"op": "preempt"}`, `{}`, "steps[7].op: missing: it is one of submit, add_request, schedule, release, finish, add_node, remove_node, preempt, state"},
		{`{"op": "preempt"}`, `{"op": "prempt"}`, `steps[7].op: there is no op "prempt": did you mean "preempt"?`},
		{`{"op": "preempt"}`, `{"op": "wait"}`, `steps[7].op: there is no op "wait": they are submit, add_request, schedule, release, finish, add_node, remove_node, preempt, state`},
		{`{"op": "preempt"}`, `{"op": "preempt", "queue": "a"}`, "steps[7].queue: unknown key: there are op"},
		{`{"op": "preempt"}`, `{"op": "preempt", "op": "preempt"}`, "steps[7].op: the key is there twice"},
		{`"reserve": true`, `"reserve": "yes"`, "queues[2].reserve: text, not true or false"},
		{`"count": 3`, `"count": 2.5`, "steps[0].requests[0].count: 2.5 is no whole number"},
		{`"count": 3`, `"count": "3"`, "steps[0].requests[0].count: text, not a number"},
		{`"count": 3,`, ``, "steps[0].requests[0].count: missing"},
		{`"id": "q",`, `"id": "",`, "steps[0].requests[0].id: empty"},
		{`"cap": {"cpu": 1}, "priority": 5`, `"cap": {"cpu": 1, "cpu": 2}, "priority": 5`, "steps[0].requests[0].cap.cpu: the key is there twice"},
		{`"cap": {"cpu": 1}, "priority": 5`, `"cap": [1], "priority": 5`, "steps[0].requests[0].cap: a list, not an object"},
		{`"cap": {"cpu": 1}, "priority": 5`, `"priority": 5`, "steps[0].requests[0].cap: missing"},
		{`"location": {"rack": "r1"}`, `"location": {"rak": "r1"}`, `steps[0].requests[0].location.rak: unknown key: did you mean "rack"?`},
		// Numbers that cannot be.
		{`"count": 3`, `"count": 0`, "steps[0].requests[0].count: 0: it is at least 1"},
		{`"count": 3`, `"count": 1e300`, "steps[0].requests[0].count: 1e300: it is between 1 and 1000000000"},
		{`"count": 3`, `"count": 1`, "steps[0].requests[0].count: 1 is below nodes, 2: each of these nodes needs a container"},
		{`"nodes": 2`, `"nodes": 0`, "steps[0].requests[0].nodes: 0: it is at least 1"},
		{`"priority": 5`, `"priority": 1000000001`, "steps[0].requests[0].priority: 1000000001: it is between -1000000000 and 1000000000"},
		{`"weight": 2`, `"weight": 0`, "steps[0].weight: 0: a weight is above 0"},
		{`"weight": 2`, `"weight": -1e-9`, "steps[0].weight: -1e-09: a weight is above 0"},
		{`"weight": 2`, `"weight": 1e999`, "steps[0].weight: +Inf is absurd: a weight is between 1e-12 and 1e+12"},
		{`"decisions": 2`, `"decisions": 0`, "steps[2].decisions: 0: it is at least 1"},
		{`"cap": {"gpu": 1}`, `"cap": {"gpu": -1}`, "steps[1].cap.gpu: -1 is negative"},
		{`"cap": {"gpu": 1}`, `"cap": {"gpu": 9007199254740993}`, "steps[1].cap.gpu: 9007199254740993 is absurd: at most 9007199254740992"},
		{`"cap": {"cpu": 8, "gpu": 2}`, `"cap": {"cpu": 1e99}`, "cluster[1].cap.cpu: 9007199254740993 is absurd: at most 9007199254740992"},
		{`"op": "release", "service": "s", "count": 1`, `"op": "release", "service": "s"`, "steps[4].count: missing"},
		{`"op": "release", "service": "s", "count": 1`, `"op": "release", "service": "s", "count": -1`, "steps[4].count: -1: it is at least 1"},
		{`"user_limit_pct": 25`, `"user_limit_pct": 0.0000000001`, "queues[1].user_limit_pct: 0.0000000001 has more than the 9 decimals that a percent may have"},
		// Names.
		{`"resources": ["cpu", "gpu"],`, `"resources": ["cpu", "gpu", "cpu"],`, `resources[2]: "cpu" is named twice`},
		{`"resources": ["cpu", "gpu"],`, `"resources": [],`, `resources: no dimension is named: at least one is needed, such as ["cpu"]`},
		{`"ratio": "dominant"`, `"ratio": "dominating"`, `ratio: there is no dimension "dominating": did you mean "dominant"?`},
		{`"ratio": "dominant"`, `"ratio": "io"`, `ratio: there is no dimension "io": there are dominant, cpu, gpu`},
		{`"cap": {"gpu": 1}`, `"cap": {"gpus": 1}`, `steps[1].cap.gpus: there is no dimension "gpus": did you mean "gpu"?`},
		{`"min": {"cpu": 1}`, `"min": {"io": 1}`, `queues[1].min.io: there is no dimension "io": there are cpu, gpu`},
		{`{"node": "n2",`, `{"node": "n1",`, `cluster[1].node: the node "n1" is there already`},
		{`{"op": "state"}`, `{"op": "add_node", "node": "n2", "cap": {}}`, `steps[10].node: the node "n2" is there already`},
		{`"type": "cpu"`, `"type": "cpus"`, `cluster[0].type: there is no node type "cpus": they are cpu and gpu`},
		{`"node_type": "cpu"`, `"node_type": "tpu"`, `steps[0].requests[0].node_type: there is no node type "tpu": they are cpu and gpu`},
		{`"location": {"rack": "r1"}`, `"location": {"rack": "r9"}`, `steps[0].requests[0].location.rack: there is no rack "r9": did you mean "r1"?`},
		{`"location": {"rack": "r1"}`, `"location": {"node": "xyz"}`, `steps[0].requests[0].location.node: there is no node "xyz": there are n1, n2, n3`},
		{`"location": {"rack": "r1"}`, `"location": {"node": "n1", "rack": "r1"}`, `steps[0].requests[0].location: it is a node or a rack, not both`},
		{`"offer": "n1"`, `"offer": "n3"`, `steps[2].offer: there is no node "n3": did you mean "n1"?`},
		{`{"op": "remove_node", "node": "n3"}`, `{"op": "remove_node", "node": "node"}`, `steps[6].node: there is no node "node": there are n1, n2, n3`},
		{`"service": "s", "queue": "a"`, `"service": "s", "queue": "root"`, `steps[0].queue: the queue "root" is no leaf: services go to its leaves, a, b`},
		{`"service": "s", "queue": "a"`, `"service": "s", "queue": "xyz"`, `steps[0].queue: there is no queue "xyz": there are root, a, b`},
		{`"op": "release", "service": "s"`, `"op": "release", "service": "web"`, `steps[4].service: there is no service "web": there are s`},
		{`{"op": "preempt"}`, `{"op": "submit", "service": "s", "queue": "b"}`, `steps[7].service: the service "s" is there already, since steps[0]`},
		{`{"op": "state"}`, `{"op": "submit", "service": "s", "queue": "b"}`, `steps[10].service: the service "s" is there already, since steps[9]`},
		{`{"op": "submit", "service": "s", "queue": "b"}`, `{"op": "add_request", "service": "s", "id": "x", "count": 1, "cap": {}}`, `steps[9].service: the service "s" has finished: it must be submitted again before`},
		{`"id": "q2"`, `"id": "q"`, `steps[1].id: the service "s" has a request "q" already`},
		{`"max": {"cpu": 10, "gpu": 2}`, `"max": {"cpu": 9223372036854775807}`, "queues[2].max: cpu 9007199254740993 is absurd: at most 9007199254740992"},
		// Queues: what is checked is tested where it is checked.
		{`"capacity_pct": 66.7`, `"capacity_pct": 66.6`, `queues[1].capacity_pct: the children of "root" sum to 99.9 %, not to 100 % (a 33.3, b 66.6)`},
		{`"parent": "root", "capacity_pct": 66.7`, `"parent": "rood", "capacity_pct": 66.7`, `queues[2].parent: there is no queue "rood": did you mean "root"?`},
		{`{"name": "root"},`, `{"name": "x", "parent": "x"},`, "queues[0].parent: \"x\" is its own parent\n" +
			"queues[1].parent: there is no queue \"root\": the queues are x, a, b\nqueues[2].parent: there is no queue \"root\": the queues are x, a, b"},
	} {
		_, err := Decode([]byte(change(t, c.old, c.by)))
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.by, got, c.want)
		}
	}
}

func TestDecodeRefusesWhatIsNoDocument(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "the document is empty",
		" \n":                    "the document is empty",
		"{\n\"resources\": [,]}": "line 2: no JSON: invalid character ','",
		"{}{}":                   "line 1: no JSON: invalid character '{' after top-level value",
		"{\n\n\"steps\":":        "line 3: no JSON: unexpected end",
		"[]":                     "a list, not an object",
		"null":                   "null, not an object",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// All faults of a document are said, and what only follows from one is not.
func TestDecodeSaysAllFaults(t *testing.T) {
	document := `{
		"resources": ["cpu"],
		"cluster": [{"node": "n1", "cap": {"cpu": -1}, "color": 1}, 7],
		"queues": [{"name": "root"}, {"name": "a", "parent": "root", "polisy": "fair"}],
		"steps": [
			{"op": "sumbit", "service": "s", "queue": "a"},
			{"op": "finish", "service": "s"},
			{"op": "schedule", "offer": "n2", "decisions": "all"},
			{"op": "submit", "service": "t", "queue": "nowhere", "requests": [{"id": "x", "count": 1, "cap": {"cpu": 0.5, "mem": 3}}]}
		]
	}`
	_, err := Decode([]byte(document))
	want := `cluster[0].color: unknown key: there are node, rack, type, arch, cap
cluster[1]: a number, not an object
queues[1].polisy: unknown key: did you mean "policy"?
steps[0].op: there is no op "sumbit": did you mean "submit"?
steps[2].decisions: text, not a number
steps[3].requests[0].cap.cpu: 0.5 is no whole number
cluster[0].cap.cpu: -1 is negative
steps[3].requests[0].cap.mem: there is no dimension "mem": there are cpu`
	if fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = Decode([]byte(`{"resources": ["cpu"], "queues": [{"name": "root"}], "steps": [` + strings.Repeat(`{"op": "x"}, `, 100) + `{}]}`))
	if got := fmt.Sprint(err); strings.Count(got, "\n") != 50 || !strings.HasSuffix(got, "\nand 51 faults more") {
		t.Errorf("%s", got)
	}
}

// A generated document is right.
func TestDecodeOfAGeneratedScenario(t *testing.T) {
	load, err := ParseLoad("nodes=50,queues=20,requests=200,seed=3")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(load.Document())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(text); err != nil {
		t.Error(err)
	}
}

// Whatever the text is, decoding ends with a document that can be written and read again, or with an error that says
// something.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"resources": ["cpu"], "queues": [{"name": "root", "parent": "root"}]}`))
	f.Add([]byte(`{"resources": [""], "queues": [{"max": {"": -1e999}, "weight": 1e-400}, {}], "steps": [{"op": null}, {"op": "state", "": 0}]}`))
	for _, name := range examples(f) {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Decode(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		again, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Errorf("written and read again: %v\n%s", err, again)
		}
	})
}
