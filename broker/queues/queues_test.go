package queues_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/broker/queues"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

func weight(w float64) *float64 { return &w }

func TestTheDefaultHasNoFaults(t *testing.T) {
	if faults := Default().Check(); len(faults) > 0 {
		t.Error(faults)
	}
}

// The names of amounts on the wire and the scheduler's dimensions are in the same order.
func TestDimensionsAgree(t *testing.T) {
	for i, name := range protocol.Dimensions() {
		if got := strings.ReplaceAll(resource.Dimension(i).String(), " ", "_"); got != name {
			t.Errorf("dimension %d is %s to the scheduler and %s on the wire", i, got, name)
		}
	}
	if len(protocol.Dimensions()) != resource.Dimensions {
		t.Errorf("%d and %d", len(protocol.Dimensions()), resource.Dimensions)
	}
}

// Everything that is wrong is said, each fault at its place.
func TestFaults(t *testing.T) {
	root := protocol.Queue{Name: "root"}
	limited := protocol.Queue{Name: "a", Parent: "root", Max: protocol.Amounts{"cpu": 4000}}
	cases := []struct {
		name   string
		queues []protocol.Queue
		want   []string
	}{
		{
			"percentages that do not sum to 100",
			[]protocol.Queue{root, {Name: "a", Parent: "root", Capacity: "33.3"}, {Name: "b", Parent: "root", Capacity: "66.6"}},
			[]string{`queues[1].capacity_pct (queue a): the children of "root" sum to 99.9 %`},
		},
		{
			"a child above its parent's max",
			[]protocol.Queue{root, limited, {Name: "b", Parent: "a", Max: protocol.Amounts{"cpu": 5000}}},
			[]string{`queues[2].max (queue b): cpu 5 is above the max of "a", 4`},
		},
		{"what a child leaves out is its parent's", []protocol.Queue{root, limited, {Name: "b", Parent: "a", Max: protocol.Amounts{"memory": 1 << 30}}}, nil},
		{"no room at all of one resource", []protocol.Queue{root, {Name: "a", Parent: "root", Max: protocol.Amounts{"gpu": 0}}}, nil},
		{
			"a min of what may not be had",
			[]protocol.Queue{root, {Name: "a", Parent: "root", Min: protocol.Amounts{"gpu": 1}, Max: protocol.Amounts{"gpu": 0}}},
			[]string{"queues[1].min (queue a): gpu 1 is above its own max, 0"},
		},
		{
			"a cycle",
			[]protocol.Queue{root, {Name: "a", Parent: "b"}, {Name: "b", Parent: "a"}},
			[]string{`queues[1].parent (queue a): a cycle: "a" has the parent "b" has the parent "a" again`},
		},
		{
			"a duplicate",
			[]protocol.Queue{root, {Name: "a", Parent: "root"}, {Name: "a", Parent: "root"}},
			[]string{`queues[2].name (queue a): "a" is the name of queue number 2`},
		},
		{
			"amounts that cannot be",
			[]protocol.Queue{root, {Name: "a", Parent: "root", Min: protocol.Amounts{"memory": -1}, Max: protocol.Amounts{"cpu": 1 << 60, "gpu": 1<<63 - 1}}},
			[]string{"queues[1].min (queue a): memory -1 is negative", "queues[1].max (queue a): cpu 1152921504606846976 is absurd", "queues[1].max (queue a): gpu 9223372036854775806 is absurd"},
		},
		{
			"an unknown policy",
			[]protocol.Queue{root, {Name: "a", Parent: "root", Policy: "fare"}},
			[]string{`queues[1].policy (queue a): there is no policy "fare": they are fifo, capacity, fair`},
		},
		{
			"numbers that are none, and nothing that follows from them",
			[]protocol.Queue{root, {Name: "a", Parent: "root", Capacity: "half", UserLimit: "-1"}, {Name: "b", Parent: "root", Capacity: "50", MaxPercent: "40", Weight: weight(-1)}},
			[]string{
				`queues[1].capacity_pct (queue a): "half" is not a number of percent`, "queues[1].user_limit_pct (queue a): -1: a percentage", `queues[1].user_limit_pct (queue a): the policy is "fifo"`,
				"queues[2].weight (queue b): -1: a weight is above 0", "queues[2].weight (queue b): capacity_pct is given too", "queues[2].max_pct (queue b): 40 is below the capacity_pct of 50",
			},
		},
		{
			"a name that cannot be",
			[]protocol.Queue{root, {Name: "A b", Parent: "root"}},
			[]string{`queues[1].name (queue A b): "A b" is not the name of a queue`},
		},
		{"nothing at all", nil, []string{"queues: there is no queue"}},
		{"no root", []protocol.Queue{{Name: "a", Parent: "root"}}, []string{`queues[0].parent (queue a): there is no queue "root"`, "queues: no queue is the root"}},
	}
	for _, c := range cases {
		config := Config{Queues: c.queues}
		var got []string
		for _, f := range config.Check() {
			got = append(got, Line(config.Queues, f))
		}
		same := len(got) == len(c.want)
		for i := range got {
			same = same && strings.HasPrefix(got[i], c.want[i])
		}
		if !same {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
		err := Err(config.Queues, config.Check())
		if (err == nil) != (len(c.want) == 0) || err != nil && protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestFaultsOfTheWhole(t *testing.T) {
	many := Default()
	for i := range protocol.MaxQueues {
		many.Queues = append(many.Queues, protocol.Queue{Name: fmt.Sprint("q", i), Parent: "root"})
	}
	further := protocol.Amounts{}
	for i := range resource.MaxDimensions - resource.Dimensions + 1 {
		further[fmt.Sprint("d", i)] = 1
	}
	for want, c := range map[string]Config{
		"queues: 4098 queues, at most 4096":                                      many,
		`shapes.Big one: "Big one" is not the name`:                              {Queues: Default().Queues, Shapes: protocol.Shapes{"Big one": {CPU: 1}}},
		"shapes.small: memory: -1 is not":                                        {Queues: Default().Queues, Shapes: protocol.Shapes{"small": {Memory: -1}}},
		"shapes.small: it is nothing":                                            {Queues: Default().Queues, Shapes: protocol.Shapes{"small": {}}},
		"queues[0].max (queue root): d9: there is no such resource, and no room": {Queues: []protocol.Queue{{Name: "root", Max: further}}},
	} {
		faults := c.Check()
		if len(faults) != 1 || !strings.HasPrefix(Line(c.Queues, faults[0]), want) {
			t.Errorf("%v, want %s", faults, want)
		}
	}
}

// What the scheduler is told is what was written.
func TestTree(t *testing.T) {
	c := Config{Queues: []protocol.Queue{
		{Name: "root", Max: protocol.Amounts{"cpu": 8000, "fpga": 2}},
		{Name: "a", Parent: "root", Capacity: "33.3", Min: protocol.Amounts{"memory": 1}, MaxPercent: "50", Priority: 3},
		{Name: "b", Parent: "root", Capacity: "66.7", Policy: "capacity", UserLimit: "25", Reserve: true, Max: protocol.Amounts{}},
	}}
	if faults := c.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	fpga := resource.Dimension(7) // as a fabric has it
	tree, err := c.Tree(func(name string) (resource.Dimension, bool) {
		d, ok := map[string]resource.Dimension{"cpu": resource.CPU, "memory": resource.Memory, "fpga": fpga}[name]
		return d, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	var most resource.Vector
	for d := range most {
		most[d] = sched.Unlimited
	}
	most[resource.CPU], most[fpga] = 8000, 2
	a, ten, b, rest := 333*sched.OnePercent/10, 50*sched.OnePercent, 667*sched.OnePercent/10, 25*sched.OnePercent
	want := []sched.Queue{
		{Name: "root", Max: &most},
		{Name: "a", Parent: "root", Capacity: &a, Min: &resource.Vector{resource.Memory: 1}, MaxPercent: &ten, Priority: 3},
		{Name: "b", Parent: "root", Capacity: &b, Policy: "capacity", UserLimit: &rest, Reserve: true},
	}
	if !reflect.DeepEqual(tree, want) {
		t.Errorf("got\n%+v, want\n%+v", tree, want)
	}
	if _, err := c.Tree(func(string) (resource.Dimension, bool) { return 0, false }); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("dimensions that there are not: %v", err)
	}
}

func TestChanges(t *testing.T) {
	before := Config{
		Queues: []protocol.Queue{
			{Name: "root"},
			{Name: "day", Parent: "root", Weight: weight(1), Policy: "fifo", Max: protocol.Amounts{"cpu": 4000, "fpga": 1}},
			{Name: "night", Parent: "root"},
			{Name: "old", Parent: "root"},
		},
		Shapes: protocol.Shapes{"small": {CPU: 500}, "gone": {CPU: 1}, "same": {GPU: 1}},
	}
	after := Config{
		Queues: []protocol.Queue{
			{Name: "root"},
			{Name: "new", Parent: "day", Policy: "fair", UserLimit: "25.0", Priority: -1},
			{Name: "night", Parent: "root", Weight: weight(2.5), Reserve: true},
			{Name: "day", Parent: "root", Max: protocol.Amounts{"cpu": 6500, "memory": 8 << 30}},
		},
		Shapes: protocol.Shapes{"small": {CPU: 500, Memory: 1 << 30}, "same": {GPU: 1}, "large": {GPU: 2, Further: protocol.Amounts{"fpga": 1}}},
	}
	want := []protocol.QueueChange{
		{Change: "added", Queue: "new", Fields: []protocol.FieldChange{{Field: "parent", New: "day"}, {Field: "priority", New: "-1"}, {Field: "policy", New: "fair"}, {Field: "user_limit_pct", New: "25"}}},
		{Change: "changed", Queue: "night", Fields: []protocol.FieldChange{{Field: "weight", New: "2.5"}, {Field: "reserve", New: "true"}}},
		{Change: "changed", Queue: "day", Fields: []protocol.FieldChange{{Field: "max", Old: "cpu 4, fpga 1", New: "cpu 6.5, memory 8 GiB"}}},
		{Change: "removed", Queue: "old"},
		{Change: "removed", Shape: "gone"},
		{Change: "added", Shape: "large", Fields: []protocol.FieldChange{{Field: "gpu", New: "2"}, {Field: "fpga", New: "1"}}},
		{Change: "changed", Shape: "small", Fields: []protocol.FieldChange{{Field: "memory", New: "1 GiB"}}},
	}
	if got := before.Changes(after); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if got := after.Changes(before); len(got) != 7 || got[2].Queue != "old" || got[3].Change != "removed" || got[6].Fields[0] != (protocol.FieldChange{Field: "memory", Old: "1 GiB"}) {
		t.Errorf("back: %+v", got)
	}
	if got := after.Changes(after); got != nil {
		t.Errorf("the same: %+v", got)
	}
}
