package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// memory is what a process occupies, in bytes.
type memory struct {
	now  int64 // resident
	peak int64 // the most that was resident
}

// memoryOf asks the kernel about a living process.
func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return parseMemory(string(text))
}

// parseMemory reads the text of /proc/PID/status.
func parseMemory(status string) (memory, error) {
	var m memory
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		var to *int64
		switch key {
		case "VmRSS":
			to = &m.now
		case "VmHWM":
			to = &m.peak
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("memory: %q: %w", line, err)
		}
		*to = kib << 10
	}
	if m.now == 0 || m.peak == 0 {
		return memory{}, fmt.Errorf("memory: /proc says nothing of VmRSS and VmHWM: %.40q", status)
	}
	return m, nil
}

// instancesUnder lists the processes below pid that run this benchmark's service.
func instancesUnder(pid int) ([]int, error) {
	all, err := processesUnder(pid)
	return slices.DeleteFunc(all, func(pid int) bool { return !isInstance(pid) }), err
}

// processesUnder lists the processes below pid.
func processesUnder(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	parents := map[int]int{}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		if child, parent, ok := parseStat(string(text)); ok {
			parents[child] = parent
		}
	}
	var found []int
	for child := range parents {
		if below(parents, child, pid) {
			found = append(found, child)
		}
	}
	return found, nil
}

// parseStat reads the number of a process and of its parent from the text of /proc/PID/stat; false for a dead one.
func parseStat(stat string) (pid, parent int, ok bool) {
	end := strings.LastIndexByte(stat, ')') // the name before it may have anything
	start := strings.IndexByte(stat, ' ')
	if start < 0 || end < start {
		return 0, 0, false
	}
	rest := strings.Fields(stat[end+1:])
	if len(rest) < 2 || rest[0] == "Z" || rest[0] == "X" {
		return 0, 0, false
	}
	pid, errPID := strconv.Atoi(stat[:start])
	parent, errParent := strconv.Atoi(rest[1])
	return pid, parent, errPID == nil && errParent == nil
}

// below says whether ancestor is above pid.
func below(parents map[int]int, pid, ancestor int) bool {
	for range len(parents) {
		parent, ok := parents[pid]
		if !ok || parent == ancestor {
			return ok
		}
		pid = parent
	}
	return false
}

// isInstance says whether a process is this program as a service.
func isInstance(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := bytes.Split(text, []byte{0})
	return err == nil && len(args) > 1 && string(args[1]) == serveCommand
}
