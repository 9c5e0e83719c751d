package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/protocol"
)

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// queueColumns is the table of the queues.
func queueColumns() []column[protocol.QueueInfo] {
	type info = protocol.QueueInfo
	return []column[info]{
		{"QUEUE", false, func(q info) string { return q.Queue.Name }},
		{"POLICY", false, policyOf},
		{"RUNNING", true, func(q info) string { return humanCount(q.Running) }},
		{"PENDING", true, func(q info) string { return humanCount(q.Pending) }},
		{"SERVICES", true, func(q info) string { return humanCount(q.Services) }},
		{"SESSIONS", true, func(q info) string { return humanCount(q.Sessions) }},
		{"RATIO", true, func(q info) string { return ratioOf(q.Ratio, 2) }},
		{"USED", false, func(q info) string { return describeAmounts(q.Used) }},
		{"GUARANTEED", false, func(q info) string { return describeAmounts(q.Guaranteed) }},
		{"MAX", false, func(q info) string { return describeAmounts(q.Max) }},
		{"STATE", false, func(q info) string {
			if q.Draining {
				return "draining"
			}
			return ""
		}},
	}
}

// queueDetails are the further columns of the wide table of the queues: how they are configured.
func queueDetails() []column[protocol.QueueInfo] {
	type info = protocol.QueueInfo
	return []column[info]{
		{"PARENT", false, func(q info) string { return q.Queue.Parent }},
		{"CONFIGURED", false, func(q info) string { return strings.Join(configured(q.Queue), ", ") }},
	}
}

// ratioOf gives a ratio of usage; of what uses something and is guaranteed nothing it is beyond all others.
func ratioOf(ratio float64, digits int) string {
	const beyond = 1e12
	if ratio >= beyond {
		return "no guarantee"
	}
	return strconv.FormatFloat(ratio, 'f', digits, 64)
}

// policyOf names the policy of a leaf.
func policyOf(q protocol.QueueInfo) string {
	if !q.Leaf {
		return ""
	}
	return cmp.Or(q.Queue.Policy, "fifo")
}

// configured says what the file says of a queue beside its name, parent and policy.
func configured(q protocol.Queue) (parts []string) {
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+" "+value)
		}
	}
	add("capacity_pct", string(q.Capacity))
	if q.Weight != nil {
		add("weight", strconv.FormatFloat(*q.Weight, 'g', -1, 64))
	}
	add("min", describeAmounts(q.Min))
	add("max_pct", string(q.MaxPercent))
	add("max", describeAmounts(q.Max))
	if q.Priority != 0 {
		add("priority", strconv.Itoa(q.Priority))
	}
	add("user_limit_pct", string(q.UserLimit))
	if q.Reserve {
		parts = append(parts, "reserve")
	}
	return parts
}

// describeAmounts gives amounts in words, with their units, in the order of the dimensions; "" where there are none.
func describeAmounts[M ~map[string]V, V int64 | float64](amounts M) string {
	var parts []string
	for _, name := range protocol.Dimensions() {
		if n, ok := amounts[name]; ok {
			parts = append(parts, describeAmount(name, float64(n)))
		}
	}
	for _, name := range sortedNames(amounts) {
		if !slices.Contains(protocol.Dimensions(), name) {
			parts = append(parts, describeAmount(name, float64(amounts[name])))
		}
	}
	return strings.Join(parts, ", ")
}

func describeAmount(name string, n float64) string {
	number := strconv.FormatFloat(n, 'f', -1, 64)
	if n != float64(int64(n)) {
		number = strconv.FormatFloat(n, 'f', 2, 64)
	}
	switch name {
	case "cpu":
		if int64(n) == 1000 {
			return "1 core"
		}
		return humanCores(int64(n)) + " cores"
	case "gpu":
		if n == 1 {
			return "1 GPU"
		}
		return number + " GPUs"
	case "memory":
		return humanBytes(int64(n))
	case "network":
		return "network " + humanBytes(int64(n)) + "/s"
	case "disk_io":
		return "disk " + humanBytes(int64(n)) + "/s"
	default:
		return name + " " + number
	}
}

// describeQueue is one queue in full.
func describeQueue(q protocol.QueueInfo) []pair {
	state := ""
	if q.Draining {
		state = "draining: it takes no new sessions"
	}
	limit := describeAmounts(q.Max)
	if limit == "" {
		limit = "whatever there is"
	}
	return []pair{
		{"queue", q.Queue.Name},
		{"parent", q.Queue.Parent},
		{"policy", policyOf(q)},
		{"configured", strings.Join(configured(q.Queue), ", ")},
		{"state", state},
		{"used", cmp.Or(describeAmounts(q.Used), "nothing")},
		{"guaranteed", cmp.Or(describeAmounts(q.Guaranteed), "nothing")},
		{"at most", limit},
		{"ratio", ratioOf(q.Ratio, 3)},
		{"containers", fmt.Sprintf("%s, %s pending", humanCount(q.Running), humanCount(q.Pending))},
		{"services", humanCount(q.Services)},
		{"sessions", humanCount(q.Sessions)},
	}
}

// describeChanges says what has changed, or would.
func describeChanges(applied protocol.QueuesApplied) string {
	var b strings.Builder
	for _, c := range applied.Changes {
		what := "queue " + c.Queue
		if c.Shape != "" {
			what = "shape " + c.Shape
		}
		var parts []string
		for _, f := range c.Fields {
			if c.Change == protocol.ChangeAdded {
				parts = append(parts, f.Field+" "+f.New)
				continue
			}
			parts = append(parts, fmt.Sprintf("%s %s -> %s", f.Field, cmp.Or(f.Old, "(left out)"), cmp.Or(f.New, "(left out)")))
		}
		line := what + ": " + c.Change
		if len(parts) > 0 {
			line += ": " + strings.Join(parts, "; ")
		}
		if len(c.Services) > 0 {
			line += " (services: " + strings.Join(c.Services, ", ") + ")"
		}
		b.WriteString(line + "\n")
	}
	switch {
	case len(applied.Changes) == 0:
		b.WriteString("nothing changes\n")
	case applied.DryRun:
		b.WriteString("this would change; nothing has\n")
	}
	return b.String()
}
