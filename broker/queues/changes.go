package queues

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
	"github.com/weft-fabric/weft/sched/resource"
)

// Changes says what becomes of c when next takes its place: first the queues of next, in their order, then those that go,
// then the shapes by name.
func (c Config) Changes(next Config) []protocol.QueueChange {
	var all []protocol.QueueChange
	before, after := byName(c.Queues), byName(next.Queues)
	for _, q := range next.Queues {
		old, known := before[q.Name]
		change := protocol.QueueChange{Change: protocol.ChangeAdded, Queue: q.Name, Fields: compare(fields(old), fields(q))}
		switch {
		case !known:
			all = append(all, change)
		case len(change.Fields) > 0:
			change.Change = protocol.ChangeChanged
			all = append(all, change)
		}
	}
	for _, q := range c.Queues {
		if _, stays := after[q.Name]; !stays {
			all = append(all, protocol.QueueChange{Change: protocol.ChangeRemoved, Queue: q.Name})
		}
	}
	return append(all, shapeChanges(c.Shapes, next.Shapes)...)
}

func shapeChanges(before, after protocol.Shapes) (all []protocol.QueueChange) {
	names := slices.Concat(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		old, was := before[name]
		next, stays := after[name]
		change := protocol.QueueChange{Change: protocol.ChangeChanged, Shape: name}
		switch {
		case !was:
			change.Change = protocol.ChangeAdded
		case !stays:
			change.Change = protocol.ChangeRemoved
			all = append(all, change)
			continue
		}
		change.Fields = compare(amountFields(amountsOf(old)), amountFields(amountsOf(next)))
		if len(change.Fields) > 0 {
			all = append(all, change)
		}
	}
	return all
}

func byName(list []protocol.Queue) map[string]protocol.Queue {
	m := make(map[string]protocol.Queue, len(list))
	for _, q := range list {
		m[q.Name] = q
	}
	return m
}

// field is one field of a queue, or of a shape, in words; empty: it is left out, or says what it would be then.
type field struct{ key, text string }

// compare gives the fields that differ.
func compare(before, after []field) (all []protocol.FieldChange) {
	old := make(map[string]string, len(before))
	for _, f := range before {
		old[f.key] = f.text
	}
	for _, f := range after {
		if old[f.key] != f.text {
			all = append(all, protocol.FieldChange{Field: f.key, Old: old[f.key], New: f.text})
		}
		delete(old, f.key)
	}
	for _, f := range before {
		if text := old[f.key]; text != "" { // it is none of the fields after
			all = append(all, protocol.FieldChange{Field: f.key, Old: text})
		}
	}
	return all
}

// fields gives the fields of a queue in words, in their order.
func fields(q protocol.Queue) []field {
	weight, priority, reserve := "", "", ""
	if q.Weight != nil && *q.Weight != 1 {
		weight = strconv.FormatFloat(*q.Weight, 'g', -1, 64)
	}
	if q.Priority != 0 {
		priority = strconv.Itoa(q.Priority)
	}
	if q.Reserve {
		reserve = "true"
	}
	policy := cmp.Or(q.Policy, sched.Policies()[0])
	if policy == sched.Policies()[0] {
		policy = ""
	}
	return []field{
		{"parent", q.Parent},
		{"capacity_pct", percent(q.Capacity)},
		{"weight", weight},
		{"min", words(q.Min)},
		{"max_pct", percent(q.MaxPercent)},
		{"max", words(q.Max)},
		{"priority", priority},
		{"policy", policy},
		{"user_limit_pct", percent(q.UserLimit)},
		{"reserve", reserve},
	}
}

// percent gives a percentage in its shortest form: 33.30 is 33.3.
func percent(text protocol.Decimal) string {
	if p, err := sched.ParsePercent(string(text)); err == nil {
		return p.String()
	}
	return string(text)
}

// words gives amounts in words, in the order of their names.
func words(amounts protocol.Amounts) string {
	var parts []string
	for _, f := range amountFields(amounts) {
		parts = append(parts, f.key+" "+f.text)
	}
	return strings.Join(parts, ", ")
}

// amountFields gives amounts in words, one by one: those of the standard dimensions first, in their order and units.
func amountFields(amounts protocol.Amounts) (all []field) {
	for i, name := range protocol.Dimensions() {
		if n, ok := amounts[name]; ok {
			all = append(all, field{name, resource.Dimension(i).Format(n)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		if _, ok := standard(name); !ok {
			all = append(all, field{name, fmt.Sprint(amounts[name])})
		}
	}
	return all
}

// amountsOf gives what a capacity has, by dimension.
func amountsOf(c protocol.Capacity) protocol.Amounts {
	amounts := protocol.Amounts{}
	maps.Copy(amounts, c.Further)
	for i, n := range []int64{c.CPU, c.GPU, c.Memory, c.Network, c.DiskIO} {
		if n != 0 {
			amounts[protocol.Dimensions()[i]] = n
		}
	}
	return amounts
}
