package sched_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	. "github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// queue makes a queue from its name, its parent and what it has: "capacity_pct=40", "max=cpu:4".
func queue(t *testing.T, space resource.Space, name, parent string, has ...string) Queue {
	t.Helper()
	q := Queue{Name: name, Parent: parent}
	percent := func(text string) *Percent {
		p, err := ParsePercent(text)
		if err != nil {
			t.Fatal(err)
		}
		return &p
	}
	vector := func(text string) *resource.Vector {
		var v resource.Vector
		for _, part := range strings.Split(text, ",") {
			var dimension string
			var n int64
			if _, err := fmt.Sscan(strings.Replace(part, ":", " ", 1), &dimension, &n); err != nil {
				t.Fatal(err)
			}
			d, ok := space.Dimension(dimension)
			if !ok {
				t.Fatal(dimension)
			}
			v[d] = n
		}
		return &v
	}
	for _, h := range has {
		key, value, _ := strings.Cut(h, "=")
		switch key {
		case "capacity_pct":
			q.Capacity = percent(value)
		case "max_pct":
			q.MaxPercent = percent(value)
		case "user_limit_pct":
			q.UserLimit = percent(value)
		case "weight":
			var w float64
			if _, err := fmt.Sscan(value, &w); err != nil {
				t.Fatal(err)
			}
			q.Weight = &w
		case "min":
			q.Min = vector(value)
		case "max":
			q.Max = vector(value)
		case "priority":
			if _, err := fmt.Sscan(value, &q.Priority); err != nil {
				t.Fatal(err)
			}
		case "policy":
			q.Policy = value
		case "reserve":
			q.Reserve = true
		default:
			t.Fatal(key)
		}
	}
	return q
}

// tree reads queues, one a line: "name parent has has"; "-" is none.
func tree(t *testing.T, space resource.Space, text string) []Queue {
	t.Helper()
	var list []Queue
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		for i, w := range words[:2] {
			words[i] = strings.Trim(w, "-")
		}
		list = append(list, queue(t, space, words[0], words[1], words[2:]...))
	}
	return list
}

func TestCheckQueues(t *testing.T) {
	space, err := resource.NewSpace("cpu", "mem")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, queues string
		faults       []string // queue field: problem
	}{
		{"a root alone is a leaf", "root - policy=fair", nil},
		{"everything that is allowed", `
			root - max=cpu:100,mem:100
			a root capacity_pct=33.3 max_pct=33.3 min=cpu:3 priority=-4
			b root capacity_pct=66.7 max=cpu:100
			c root capacity_pct=0
			a1 a weight=0.5 policy=capacity user_limit_pct=25 reserve
			a2 a max=cpu:100,mem:100
			c1 c capacity_pct=0
			c2 c capacity_pct=0 max_pct=100
			b1 b weight=3 policy=fair max=cpu:100 min=cpu:100
			b2 b`, nil},
		{"no queue", "", []string{"-1 : there is no queue: at least a root is needed"}},
		{"no root", "a root\nb root", []string{
			"-1 : no queue is the root: exactly one has no parent",
			`0 parent: there is no queue "root": the queues are a, b`, `1 parent: there is no queue "root": the queues are a, b`,
		}},
		{"two roots", "root -\nother - capacity_pct=60\na root capacity_pct=40", []string{`1 parent: missing: exactly one queue has none, and that is "root"`}},
		{"the root's capacity", "root - capacity_pct=100", []string{"0 capacity_pct: the root has none: it has the whole cluster"}},
		{"the root's weight", "root - weight=2", []string{"0 weight: the root has none: it has the whole cluster"}},
		{"an unknown parent, of which the sum is no fault", "root -\na root capacity_pct=50\nb rot capacity_pct=50", []string{
			`2 parent: there is no queue "rot": did you mean "root"?`,
		}},
		{"an unknown parent, and a sum that is wrong with or without it", "root -\na root capacity_pct=50\nb rot capacity_pct=20", []string{
			`1 capacity_pct: the children of "root" sum to 50 %, not to 100 % (a 50)`, `2 parent: there is no queue "rot": did you mean "root"?`,
		}},
		{"its own parent", "root -\na a", []string{`1 parent: "a" is its own parent`}},
		{"a cycle, and what hangs from it", "root -\nx c\na b\nb c\nc a\nd root", []string{`2 parent: a cycle: "a" has the parent "b" has the parent "c" has the parent "a" again`}},
		{"a cycle without a root", "a b\nb a", []string{`0 parent: a cycle: "a" has the parent "b" has the parent "a" again`}},
		{"two cycles", "root -\na a\nb c\nc b", []string{`1 parent: "a" is its own parent`, `2 parent: a cycle: "b" has the parent "c" has the parent "b" again`}},
		{"a duplicate, of which the sum is no fault", "root -\na root capacity_pct=40\nb root capacity_pct=60\nb root capacity_pct=60", []string{
			`3 name: "b" is the name of queue number 3 of the list too`,
		}},
		{"a copied line", "root -\na root capacity_pct=50\na root capacity_pct=50", []string{`2 name: "a" is the name of queue number 2 of the list too`}},
		{"a missing name", "root -\n- root", []string{"1 name: missing: a queue has a name"}},
		{"percents and weights", "root -\na root capacity_pct=100\nb root weight=2", []string{
			`2 weight: siblings do not mix capacity_pct and weight: "a" has capacity_pct, "b" has a weight`,
		}},
		{"percents and nothing", "root -\na root\nb root capacity_pct=50\nc root capacity_pct=50", []string{
			`2 capacity_pct: siblings do not mix capacity_pct and weight: "a" has neither, which is a weight of 1, "b" has capacity_pct`,
		}},
		{"both at once", "root -\na root capacity_pct=50 weight=1\nb root weight=2", []string{"1 weight: capacity_pct is given too: a queue has one of them"}},
		{"a sum below", "root -\na root capacity_pct=33.3\nb root capacity_pct=66.6", []string{
			`1 capacity_pct: the children of "root" sum to 99.9 %, not to 100 % (a 33.3, b 66.6)`,
		}},
		{"a sum above, by little", "root -\na root capacity_pct=50\nb root capacity_pct=50.000000001", []string{
			`1 capacity_pct: the children of "root" sum to 100.000000001 %, not to 100 % (a 50, b 50.000000001)`,
		}},
		{"under nothing", "root -\na root capacity_pct=0\nb root capacity_pct=100\na1 a capacity_pct=100\na2 a capacity_pct=0", []string{
			`3 capacity_pct: 100: under a parent of 0 % ("a") all children have 0 %`,
		}},
		{"no percents", "root -\na root capacity_pct=-10\nb root capacity_pct=110 max_pct=100.5\nc root policy=capacity user_limit_pct=101", []string{
			"1 capacity_pct: -10: a percentage is between 0 and 100", "2 capacity_pct: 110: a percentage is between 0 and 100",
			"2 max_pct: 100.5: a percentage is between 0 and 100", "3 user_limit_pct: 101: a percentage is between 0 and 100",
		}},
		{"weights", "root -\na root weight=0\nb root weight=-1", []string{"1 weight: 0: a weight is above 0", "2 weight: -1: a weight is above 0"}},
		{"max_pct below capacity_pct", "root -\na root capacity_pct=100 max_pct=99", []string{"1 max_pct: 99 is below the capacity_pct of 100"}},
		{"two maxima", "root - max_pct=50 max=cpu:4", []string{"0 max: max_pct is given too: a queue has one of them"}},
		{"a max above an ancestor's", "root - max=cpu:10,mem:5\na root max_pct=50\nb a max=cpu:11,mem:6\nc a max=cpu:10", []string{
			`2 max: cpu 11 is above the max of "root", 10`, `2 max: mem 6 is above the max of "root", 5`,
		}},
		{"a min above a max", "root - max=cpu:10,mem:5\na root min=cpu:11\nb root max=cpu:4 min=cpu:5,mem:1", []string{
			`1 min: cpu 11 is above the max of "root", 10`, "2 min: cpu 5 is above its own max, 4", "2 min: mem 1 is above its own max, 0",
		}},
		{"amounts", "root - max=cpu:-1\na root min=cpu:-2,mem:9007199254740993", []string{
			"0 max: cpu -1 is negative", "1 min: cpu -2 is negative", "1 min: mem 9007199254740993 is absurd: at most 9007199254740992",
		}},
		{"a policy", "root -\na root policy=fiar\nb root policy=random", []string{
			`1 policy: there is no policy "fiar" (did you mean "fair"?): they are fifo, capacity, fair`, `2 policy: there is no policy "random": they are fifo, capacity, fair`,
		}},
		{"of leaves only", "root - policy=fair user_limit_pct=50 reserve\na root", []string{
			`0 policy: only a leaf has one: "root" has the child "a"`, `0 user_limit_pct: only a leaf has one: "root" has the child "a"`, `0 reserve: only a leaf has one: "root" has the child "a"`,
		}},
		{"a limit of users", "root -\na root user_limit_pct=50\nb root user_limit_pct=50 policy=fair", []string{
			`1 user_limit_pct: the policy is "fifo": only capacity has a limit of users`, `2 user_limit_pct: the policy is "fair": only capacity has a limit of users`,
		}},
		{"priorities", "root -\na root priority=1000000001\nb root priority=-1000000001", []string{
			"1 priority: 1000000001: a priority is between -1000000000 and 1000000000", "2 priority: -1000000001: a priority is between -1000000000 and 1000000000",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range CheckQueues(space, tree(t, space, c.queues)) {
				got = append(got, fmt.Sprintf("%d %s: %s", f.Queue, f.Field, f.Problem))
			}
			if !slices.Equal(got, c.faults) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.faults, "\n"))
			}
		})
	}
	for _, w := range []float64{math.NaN(), math.Inf(1), 1e13, 1e-13} {
		if f := CheckQueues(space, []Queue{{Name: "root"}, {Name: "a", Parent: "root", Weight: &w}}); len(f) != 1 || f[0].Field != "weight" {
			t.Errorf("weight %v: %v", w, f)
		}
	}
}
