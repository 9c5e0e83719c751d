package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// serviceColumns is the table of the catalogue.
func serviceColumns() []column[protocol.ServiceInfo] {
	type info = protocol.ServiceInfo
	return []column[info]{
		{"SERVICE", false, func(s info) string { return s.Service.Name }},
		{"VERSION", false, func(s info) string { return s.Service.Version }},
		{"DEFAULT", false, func(s info) string {
			if s.Default {
				return "yes"
			}
			return ""
		}},
		{"PLATFORMS", false, func(s info) string { return strings.Join(platformsOf(s.Service), " ") }},
		{"SESSIONS", true, func(s info) string { return humanCount(s.Sessions) }},
		{"INSTANCES", true, func(s info) string { return humanCount(s.Instances) }},
		{"STARTING", true, func(s info) string { return humanCount(s.Starting) }},
		{"FUNCTION", false, func(s info) string { return s.Service.Function }},
		{"REASON", false, func(s info) string { return firstLine(s.Reason) }},
	}
}

// describeService is one service of the catalogue in full.
func describeService(s protocol.ServiceInfo, now time.Time) []pair {
	v := s.Service
	version := v.Version
	if s.Default {
		version += " (default)"
	}
	pairs := []pair{
		{"name", v.Name},
		{"version", version},
		{"function", v.Function},
		{"tags", strings.Join(v.Tags, ", ")},
		{"registered", humanDuration(now.Sub(s.Registered)) + " ago"},
		{"sessions", humanCount(s.Sessions)},
		{"instances", fmt.Sprintf("%s serving, %s starting (%d to %d while it has sessions)",
			humanCount(s.Instances), humanCount(s.Starting), v.Instances.Min, v.Instances.Max)},
		{"loops", strings.Trim(fmt.Sprint(s.Loops), "[]")},
		{"reason", s.Reason},
	}
	for _, m := range s.Managers {
		pairs = append(pairs, pair{"manager", fmt.Sprintf("on loop %d: used %s of %s cores, %s of %s for tasks, %s sessions",
			m.Loop, humanCores(m.CPU), humanCores(m.Share.CPU), humanBytes(m.Memory), humanBytes(m.Share.Memory), humanCount(m.Sessions))})
	}
	pairs = append(
		pairs,
		pair{"slots", fmt.Sprintf("%d (tasks that an instance executes at once)", v.Slots)},
		pair{"sessions each", fmt.Sprintf("%d (bound at once to an instance)", v.Sessions)},
		pair{"queue", v.Queue},
		pair{"task", v.Interface.Task},
		pair{"result", v.Interface.Result},
	)
	for _, p := range platformsOf(v) {
		a := v.Artefacts[p]
		pairs = append(pairs, pair{p, strings.Join(append([]string{a.Command}, a.Args...), " ")})
	}
	for _, r := range v.Requests {
		pairs = append(pairs, pair{"each needs", describeRequest(r)})
	}
	l := v.Limits
	pairs = append(
		pairs,
		pair{"manager needs", managerShare(v.Manager)},
		pair{"limits", fmt.Sprintf("payload %s; a session: %s tasks, %s",
			humanBytes(l.Payload), humanCount(l.Tasks), humanBytes(l.Bytes))},
		pair{"retry", describeRetry(v.Retry)},
		pair{"times", fmt.Sprintf("idle %v, start %v, grace %v",
			time.Duration(l.Idle), time.Duration(l.Start), time.Duration(l.Grace))},
		pair{"a task", taskLimits(l)},
	)
	for _, k := range slices.Sorted(maps.Keys(v.Env)) {
		pairs = append(pairs, pair{"env " + k, v.Env[k]})
	}
	return pairs
}

// describeRetry says when a task is run again.
func describeRetry(r protocol.Retry) string {
	text := fmt.Sprintf("%s, %s, backoff %v to %v", plural(r.Attempts, "attempt"), plural(r.HostLosses, "lost host"),
		time.Duration(r.Backoff), time.Duration(r.MaxBackoff))
	if len(r.On) > 0 {
		text += ", on " + strings.Join(r.On, " and ")
	}
	return text
}

// taskLimits says how long a task may take, "" when that is not limited.
func taskLimits(l protocol.Limits) string {
	var parts []string
	if l.Timeout > 0 {
		parts = append(parts, fmt.Sprintf("is given up %v after it arrived", time.Duration(l.Timeout)))
	}
	if l.Run > 0 {
		parts = append(parts, fmt.Sprintf("may execute for %v", time.Duration(l.Run)))
	}
	return strings.Join(parts, ", ")
}

// managerShare says what the session managers of a service hold of the management node.
func managerShare(s protocol.Share) string {
	memory := "a sixteenth of the broker's memory"
	if s.Memory > 0 {
		memory = humanBytes(s.Memory)
	}
	return fmt.Sprintf("%s cores of a loop, %s for tasks", humanCores(s.CPU), memory)
}

func describeRequest(r protocol.ContainerRequest) string {
	parts := []string{describeCapacity(r.Capacity)}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	where := ""
	if r.Relax {
		where = "preferably "
	}
	add(where+"on node", r.Node)
	add(where+"in rack", r.Rack)
	add("of type", r.NodeType)
	if r.Nodes > 0 {
		add("on at least", strconv.Itoa(r.Nodes)+" nodes")
	}
	if r.Priority != 0 {
		add("priority", strconv.Itoa(r.Priority))
	}
	return strings.Join(parts, ", ")
}

func describeCapacity(c protocol.Capacity) string {
	cores := humanCores(c.CPU) + " cores"
	if c.CPU == 1000 {
		cores = "1 core"
	}
	parts := []string{cores}
	if c.GPU > 0 {
		parts = append(parts, plural(c.GPU, "GPU"))
	}
	parts = append(parts, humanBytes(c.Memory))
	if c.Network > 0 {
		parts = append(parts, "network "+humanBytes(c.Network)+"/s")
	}
	if c.DiskIO > 0 {
		parts = append(parts, "disk "+humanBytes(c.DiskIO)+"/s")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Further)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, c.Further[name]))
	}
	return strings.Join(parts, ", ")
}

func platformsOf(s protocol.Service) []string { return slices.Sorted(maps.Keys(s.Artefacts)) }

// sessionColumns is the table of the sessions.
func sessionColumns(now time.Time) []column[protocol.SessionInfo] {
	type info = protocol.SessionInfo
	return []column[info]{
		{"SESSION", true, func(s info) string { return strconv.FormatUint(uint64(s.Session), 10) }},
		{"NAME", false, func(s info) string { return s.Name }},
		{"SERVICE", false, func(s info) string { return s.Service }},
		{"CLIENT", false, func(s info) string { return s.Client }},
		{"STATE", false, stateOf},
		{"AGE", true, func(s info) string { return humanDuration(now.Sub(s.Opened)) }},
		{"QUEUED", true, func(s info) string { return humanCount(s.Queued) }},
		{"IN FLIGHT", true, func(s info) string { return humanCount(s.InFlight) }},
		{"DONE", true, func(s info) string { return humanCount(s.Done) }},
		{"FAILED", true, func(s info) string { return humanCount(s.Failed) }},
		{"NODES", false, func(s info) string { return strings.Join(s.Nodes, " ") }},
		{"REASON", false, func(s info) string { return firstLine(s.Reason) }},
	}
}

// describeSession is one session in full.
func describeSession(s sessionInFull, now time.Time) []pair {
	started, ended, since := "", "", ""
	if !s.Since.IsZero() {
		since = " for " + humanDuration(now.Sub(s.Since))
	}
	if !s.Ended.IsZero() {
		ended = humanDuration(now.Sub(s.Ended)) + " ago"
	}
	if s.StartDelay > 0 {
		started = humanDuration(s.StartDelay) + " after it was opened"
	}
	return []pair{
		{"session", strconv.FormatUint(uint64(s.Session), 10)},
		{"name", s.Name},
		{"service", strings.TrimSpace(s.Service + " " + s.Version)},
		{"environment", s.Environment},
		{"client", s.Client},
		{"state", stateOf(s.SessionInfo) + since},
		{"reason", s.Reason},
		{"opened", humanDuration(now.Sub(s.Opened)) + " ago"},
		{"running", started},
		{"ended", ended},
		{"tasks", fmt.Sprintf("%s queued, %s in flight, %s done, %s failed",
			humanCount(s.Queued), humanCount(s.InFlight), humanCount(s.Done), humanCount(s.Failed))},
		{"of these", counted([]tally{
			{s.Cancelled, "cancelled"}, {s.Dead, "in the dead-letter list"}, repeats(s.Retried), late(s.Late),
		})},
		{"nodes", strings.Join(s.Nodes, " ")},
		{"loop", loopOf(s.SessionInfo)},
		{"last failure", describeFailure(s.Failure, now)},
		{"events", lastEvents(s.Events, now)},
	}
}

// describeFailure is the last thing that went wrong, in lines.
func describeFailure(f *protocol.Failure, now time.Time) string {
	if f == nil {
		return ""
	}
	where := ""
	if f.Container != "" {
		where = ", instance " + f.Container
		if f.Node != "" {
			where += " on node " + f.Node
		}
	}
	if f.Task != 0 {
		where += fmt.Sprintf(", task %d", f.Task.Sequence())
	}
	lines := []string{humanDuration(now.Sub(f.At)) + " ago" + where}
	if f.Error != nil {
		lines = append(lines, f.Error.Error())
	}
	switch {
	case f.Signal != "":
		lines = append(lines, "its process was ended by signal "+f.Signal)
	case f.Code != 0:
		lines = append(lines, fmt.Sprintf("its process ended with exit code %d", f.Code))
	}
	if f.Stack != "" {
		lines = append(lines, "stack:")
		for line := range strings.Lines(f.Stack) {
			lines = append(lines, "  "+strings.TrimRight(line, "\n"))
		}
	}
	if len(f.Output) > 0 {
		lines = append(lines, "its last output:")
		for _, line := range f.Output {
			lines = append(lines, "  "+line)
		}
	}
	return strings.Join(lines, "\n")
}

// stateOf is the state of a session, with what it was steered to.
func stateOf(s protocol.SessionInfo) string {
	words := []string{s.State}
	for _, f := range []struct {
		is   bool
		word string
	}{{s.Suspended, "suspended"}, {s.Stopped, "stopped"}, {s.Detached, "detached"}} {
		if f.is {
			words = append(words, f.word)
		}
	}
	return strings.Join(words, ", ")
}

// loopOf names the manager loop that serves a session, "" when none does.
func loopOf(s protocol.SessionInfo) string {
	if s.Loop < 0 {
		return ""
	}
	return strconv.Itoa(s.Loop)
}

// nodeColumns is the table of the nodes.
func nodeColumns() []column[protocol.NodeInfo] {
	type info = protocol.NodeInfo
	return []column[info]{
		{"NODE", false, func(n info) string { return n.Name }},
		{"STATE", false, nodeState},
		{"PLATFORM", false, func(n info) string { return n.Platform }},
		{"TYPE", false, func(n info) string { return n.NodeType }},
		{"RACK", false, func(n info) string { return n.Rack }},
		{"CORES FREE", true, func(n info) string { return humanCores(n.Free.CPU) + " of " + humanCores(n.Capacity.CPU) }},
		{"MEMORY FREE", true, func(n info) string { return humanBytes(n.Free.Memory) + " of " + humanBytes(n.Capacity.Memory) }},
		{"GPUS FREE", true, func(n info) string {
			if n.Capacity.GPU == 0 {
				return ""
			}
			return fmt.Sprintf("%d of %d", n.Free.GPU, n.Capacity.GPU)
		}},
		{"CONTAINERS", true, func(n info) string { return humanCount(n.Containers) }},
		{"LOAD", true, func(n info) string { return strconv.FormatFloat(n.Detail.Load1, 'f', 2, 64) }},
		{"SEEN", true, func(n info) string { return humanDuration(n.LastSeen) + " ago" }},
	}
}

// nodeDetails are the further columns of the wide table of the nodes.
func nodeDetails() []column[protocol.NodeInfo] {
	type info = protocol.NodeInfo
	return []column[info]{
		{"LABELS", false, func(n info) string { return labelsOf(n.Labels) }},
		{"HOST", false, func(n info) string { return n.Detail.Hostname }},
		{"OS", false, func(n info) string { return n.Detail.OS }},
		{"KERNEL", false, func(n info) string { return n.Detail.Kernel }},
		{"PROCESSOR", false, func(n info) string { return n.Detail.CPUModel }},
		{"NETWORK", true, func(n info) string {
			if n.Capacity.Network == 0 {
				return ""
			}
			return humanBytes(n.Capacity.Network) + "/s"
		}},
		{"FURTHER FREE", false, func(n info) string {
			var parts []string
			for _, name := range slices.Sorted(maps.Keys(n.Capacity.Further)) {
				parts = append(parts, fmt.Sprintf("%s %d of %d", name, n.Free.Further[name], n.Capacity.Further[name]))
			}
			return strings.Join(parts, ", ")
		}},
	}
}

// serviceDetails are the further columns of the wide table of the services.
func serviceDetails() []column[protocol.ServiceInfo] {
	type info = protocol.ServiceInfo
	return []column[info]{
		{"SLOTS", true, func(s info) string { return humanCount(s.Service.Slots) }},
		{"EACH NEEDS", false, func(s info) string {
			if len(s.Service.Requests) == 0 {
				return ""
			}
			return describeRequest(s.Service.Requests[0])
		}},
		{"TAGS", false, func(s info) string { return strings.Join(s.Service.Tags, " ") }},
		{"REGISTERED", false, func(s info) string { return s.Registered.Format(time.DateTime) }},
	}
}

// sessionDetails are the further columns of the wide table of the sessions.
func sessionDetails() []column[protocol.SessionInfo] {
	type info = protocol.SessionInfo
	return []column[info]{
		{"VERSION", false, func(s info) string { return s.Version }},
		{"ENVIRONMENT", false, func(s info) string { return s.Environment }},
		{"OPENED", false, func(s info) string { return s.Opened.Format(time.DateTime) }},
		{"STARTED AFTER", true, func(s info) string {
			if s.StartDelay == 0 {
				return ""
			}
			return humanDuration(s.StartDelay)
		}},
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
