package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/protocol"
)

// nodeState says whether a node's agent lives, and whether it takes containers.
func nodeState(n protocol.NodeInfo) string {
	if n.Cordoned {
		return n.State + ", cordoned"
	}
	return n.State
}

// busy is the largest part of any resource of the node that is handed out.
func busy(n protocol.NodeInfo) float64 {
	most := 0.0
	part := func(used, of int64) {
		if of > 0 {
			most = max(most, float64(used)/float64(of))
		}
	}
	part(n.Used.CPU, n.Capacity.CPU)
	part(n.Used.GPU, n.Capacity.GPU)
	part(n.Used.Memory, n.Capacity.Memory)
	part(n.Used.Network, n.Capacity.Network)
	part(n.Used.DiskIO, n.Capacity.DiskIO)
	for name, of := range n.Capacity.Further { // order does not matter: the largest counts
		part(n.Used.Further[name], of)
	}
	return most
}

// nodeLoadColumns is the table of what is handed out of the nodes.
func nodeLoadColumns() []column[protocol.NodeInfo] {
	type info = protocol.NodeInfo
	return []column[info]{
		{"NODE", false, func(n info) string { return n.Name }},
		{"STATE", false, nodeState},
		{"HANDED OUT", true, func(n info) string { return strconv.Itoa(int(100*busy(n))) + " %" }},
		{"CORES", true, func(n info) string { return humanCores(n.Used.CPU) + " of " + humanCores(n.Capacity.CPU) }},
		{"MEMORY", true, func(n info) string { return humanBytes(n.Used.Memory) + " of " + humanBytes(n.Capacity.Memory) }},
		{"GPUS", true, func(n info) string {
			if n.Capacity.GPU == 0 {
				return ""
			}
			return fmt.Sprintf("%d of %d", n.Used.GPU, n.Capacity.GPU)
		}},
		{"CONTAINERS", true, func(n info) string { return humanCount(n.Containers) }},
		{"LOAD", true, func(n info) string { return strconv.FormatFloat(n.Detail.Load1, 'f', 2, 64) }},
		{"MEMORY AVAILABLE", true, func(n info) string { return humanBytes(int64(n.Detail.MemFree)) }}, //nolint:gosec // less than there is
	}
}

// describeNode is one node in full.
func describeNode(n protocol.NodeInfo) []pair {
	cordoned := ""
	if n.Cordoned {
		cordoned = "takes no new containers"
		if n.CordonReason != "" {
			cordoned += ": " + n.CordonReason
		}
	}
	pairs := []pair{
		{"node", n.Name},
		{"state", n.State},
		{"cordoned", cordoned},
		{"platform", n.Platform},
		{"type", n.NodeType},
		{"rack", n.Rack},
		{"labels", labelsOf(n.Labels)},
		{"capacity", describeCapacity(n.Capacity)},
		{"used", describeUse(n.Used)},
		{"free", describeUse(n.Free)},
		{"containers", humanCount(n.Containers)},
		{"load", fmt.Sprintf("%.2f, %s of memory available", n.Detail.Load1, humanBytes(int64(n.Detail.MemFree)))}, //nolint:gosec // less than there is
		{"seen", humanDuration(n.LastSeen) + " ago"},
		{"host", n.Detail.Hostname},
		{"os", strings.TrimSpace(n.Detail.OS + " " + n.Detail.Kernel)},
		{"processor", n.Detail.CPUModel},
	}
	for _, d := range n.Detail.Disks {
		pairs = append(pairs, pair{"disk " + d.Mount, fmt.Sprintf("%s of %s free", humanBytes(int64(d.Free)), humanBytes(int64(d.Size)))}) //nolint:gosec // no disk has more
	}
	for _, nic := range n.Detail.Networks {
		text := strings.Join(nic.Addresses, ", ")
		if nic.Speed > 0 {
			text += fmt.Sprintf(" (%d Mbit/s)", nic.Speed)
		}
		pairs = append(pairs, pair{"network " + nic.Name, strings.TrimSpace(text)})
	}
	return pairs
}

// describeUse is [describeCapacity] of what may be nothing.
func describeUse(c protocol.Capacity) string {
	if c.IsZero() {
		return "nothing"
	}
	return describeAmounts(amountsOf(c))
}

// amountsOf gives what of a capacity is not nothing, by dimension.
func amountsOf(c protocol.Capacity) protocol.Amounts {
	amounts := protocol.Amounts{}
	for i, n := range []int64{c.CPU, c.GPU, c.Memory, c.Network, c.DiskIO} {
		if n != 0 {
			amounts[protocol.Dimensions()[i]] = n
		}
	}
	for name, n := range c.Further { // order does not matter: fills a map
		amounts[name] = n
	}
	return amounts
}

// describeOverview is the state of the fabric at a glance.
func describeOverview(o protocol.Overview) []pair {
	var pairs []pair
	for _, b := range o.Brokers {
		pairs = append(pairs, pair{"broker", fmt.Sprintf("%s, %s, epoch %v, up %s; %s; %s with %s cores and %s for tasks", b.Name, b.Role, b.Epoch,
			humanDuration(b.Uptime), plural(b.Loops, "manager loop"), plural(b.Managers, "session manager"), humanCores(b.CPU), humanBytes(b.Memory))})
	}
	nodes := fmt.Sprintf("%s up", humanCount(o.Nodes.Up))
	if o.Nodes.Cordoned > 0 {
		nodes += fmt.Sprintf(", %s of them cordoned", humanCount(o.Nodes.Cordoned))
	}
	if o.Nodes.Gone > 0 {
		nodes += fmt.Sprintf("; %s gone", humanCount(o.Nodes.Gone))
	}
	pairs = append(
		pairs, pair{"nodes", nodes},
		pair{"handed out", handedOut(o.Nodes)},
		pair{"devices", devices(o.Devices)},
		pair{"queues", queuesAtAGlance(o.Queues)},
		pair{"containers", containersAtAGlance(o.Containers)},
	)
	s := o.Sessions
	sessions := fmt.Sprintf("%s running, %s scheduled, %s queued", humanCount(s.Running), humanCount(s.Scheduled), humanCount(s.Queued))
	if s.Closing > 0 {
		sessions += fmt.Sprintf("; %s closing", humanCount(s.Closing))
	}
	return append(pairs, pair{"sessions", sessions}, pair{"services", humanCount(o.Services)})
}

// handedOut says how much of what the nodes have is handed out.
func handedOut(n protocol.NodesGlance) string {
	used, of := amountsOf(n.Used), amountsOf(n.Capacity)
	var parts []string
	for _, name := range protocol.Dimensions() {
		if of[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s", describeAmount(name, float64(used[name])), describeAmount(name, float64(of[name]))))
		}
	}
	for _, name := range sortedNames(n.Capacity.Further) {
		parts = append(parts, fmt.Sprintf("%s %d of %d", name, used[name], of[name]))
	}
	return strings.Join(parts, ", ")
}

func devices(all []protocol.DeviceGlance) string {
	var lines []string
	for _, d := range all {
		lines = append(lines, fmt.Sprintf("%s: %d of %s used", d.Node, d.Used, plural(d.GPUs, "GPU")))
	}
	return strings.Join(lines, "\n")
}

func queuesAtAGlance(q protocol.QueuesGlance) string {
	text := fmt.Sprintf("%s, of them %s; %s pending", humanCount(q.Queues), leaves(q.Leaves), plural(q.Pending, "container"))
	if q.Draining > 0 {
		text += fmt.Sprintf("; %s draining", humanCount(q.Draining))
	}
	for _, w := range q.Waiting {
		text += fmt.Sprintf("\n%s: %s pending, %s run, ratio %s", w.Queue, humanCount(w.Pending), humanCount(w.Running), ratioOf(w.Ratio, 2))
	}
	return text
}

func leaves(n int) string {
	if n == 1 {
		return "1 leaf"
	}
	return humanCount(n) + " leaves"
}

func containersAtAGlance(c protocol.ContainersGlance) string {
	text := fmt.Sprintf("%s serving, %s starting", humanCount(c.Serving), humanCount(c.Starting))
	if c.Leaving > 0 {
		text += fmt.Sprintf(", %s ending", humanCount(c.Leaving))
	}
	return text
}

// describeExplained says in words what a session or a service waits for.
func describeExplained(e protocol.Explained) []pair {
	var pairs []pair
	if e.Session != 0 {
		pairs = append(pairs, pair{"session", fmt.Sprintf("%d of service %s", e.Session, e.Service)})
	} else {
		pairs = append(pairs, pair{"service", e.Service})
	}
	pairs = append(pairs, pair{"state", e.State}, pair{"reason", reasonsOf(e.Reasons)})
	for _, r := range e.Requests {
		queue := fmt.Sprintf("%s (%s)", r.Queue, cmp.Or(r.Policy, "fifo"))
		if r.Position > 0 {
			queue += fmt.Sprintf(", position %d", r.Position)
		}
		held := fmt.Sprintf("%s of %s wanted, each of %s", humanCount(r.Held), humanCount(r.Wanted), describeCapacity(r.Capacity))
		pairs = append(pairs, pair{"request", r.Request + servedBy(r)}, pair{"queue", queue}, pair{"containers", held}, pair{"waits", reasonsOf(r.Reasons)})
	}
	return pairs
}

func servedBy(r protocol.ExplainedRequest) string {
	text := ""
	if r.Version != "" {
		text += ", version " + r.Version
	}
	switch len(r.Sessions) {
	case 0:
	case 1:
		text += fmt.Sprintf(", for session %d", r.Sessions[0])
	default:
		text += ", for sessions " + strings.ReplaceAll(strings.Trim(fmt.Sprint(r.Sessions), "[]"), " ", ", ")
	}
	return text
}

func reasonsOf(reasons []protocol.Reason) string {
	var lines []string
	for _, r := range reasons {
		lines = append(lines, r.Text)
	}
	return strings.Join(lines, "\n")
}
