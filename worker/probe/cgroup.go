package probe

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// limits are what the cgroups of this process, and those above them, let it use.
type limits struct {
	cores      float64 // 0: no limit
	memory     uint64  // bytes; 0: no limit
	memoryUsed uint64  // bytes, of that limit, without what the kernel can take back at once
}

// hierarchy is a mounted tree of cgroups, and this process's place in it.
type hierarchy struct {
	unified     bool
	controllers []string // of version 1
	mount       string   // where it is mounted
	folder      string   // of this process's group, below mount
}

// limits reads the limits of whatever hierarchies there are: version 1, version 2, or both at once.
func (p *Probe) limits() limits {
	var l limits
	for _, h := range p.hierarchies() {
		for folder := h.folder; ; folder = path.Dir(folder) {
			group := filepath.Join(h.mount, folder)
			if h.unified || slices.Contains(h.controllers, "cpu") {
				if cores := cpuLimit(group, h.unified); cores > 0 && (l.cores == 0 || cores < l.cores) {
					l.cores = cores
				}
			}
			if h.unified || slices.Contains(h.controllers, "memory") {
				if limit, used := memoryLimit(group, h.unified); limit > 0 && (l.memory == 0 || limit < l.memory) {
					l.memory, l.memoryUsed = limit, used
				}
			}
			if folder == "/" {
				break
			}
		}
	}
	return l
}

// hierarchies finds them in /proc/self/mountinfo and /proc/self/cgroup.
func (p *Probe) hierarchies() []hierarchy {
	text, err := os.ReadFile(filepath.Join(p.proc, "self/cgroup"))
	if err != nil {
		return nil
	}
	groups := map[string]string{} // by controller; "" for version 2
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(parts) == 3 {
			for _, controller := range strings.Split(parts[1], ",") {
				groups[controller] = parts[2]
			}
		}
	}
	text, err = os.ReadFile(filepath.Join(p.proc, "self/mountinfo"))
	if err != nil {
		return nil
	}
	var found []hierarchy
	for line := range strings.Lines(string(text)) {
		// 32 31 0:29 /root /mount options - cgroup source rw,cpu,cpuacct
		before, after, _ := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) < 5 || len(what) < 3 || what[0] != "cgroup" && what[0] != "cgroup2" {
			continue
		}
		h := hierarchy{unified: what[0] == "cgroup2", mount: where[4]}
		group, ok := groups[""], h.unified
		if !h.unified {
			h.controllers = strings.Split(what[2], ",")
			for _, controller := range h.controllers {
				if g, is := groups[controller]; is && controller != "" {
					group, ok = g, true
				}
			}
		}
		if ok {
			h.folder = below(group, where[3])
			found = append(found, h)
		}
	}
	return found
}

// below returns the path of a group in a mount that shows only what is below root: the mount itself when the group is
// not in it, which is how a container sees its own.
func below(group, root string) string {
	if root == "/" {
		return path.Clean("/" + group)
	}
	if rest, ok := strings.CutPrefix(group, root); ok && (rest == "" || rest[0] == '/') {
		return path.Clean("/" + rest)
	}
	return "/"
}

// cpuLimit returns a group's limit in cores, or 0.
func cpuLimit(group string, unified bool) float64 {
	var quota, period float64
	if unified {
		fields := strings.Fields(readText(group, "cpu.max")) // "50000 100000", or "max 100000"
		if len(fields) != 2 {
			return 0
		}
		quota, period = number(fields[0]), number(fields[1])
	} else {
		quota, period = number(readText(group, "cpu.cfs_quota_us")), number(readText(group, "cpu.cfs_period_us"))
	}
	if quota <= 0 || period <= 0 {
		return 0
	}
	return quota / period
}

// memoryLimit returns a group's limit and how much of it is in use, in bytes, or 0.
func memoryLimit(group string, unified bool) (limit, used uint64) {
	limitFile, usedFile, reclaimable := "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
	if unified {
		limitFile, usedFile, reclaimable = "memory.max", "memory.current", "inactive_file"
	}
	limit, err := strconv.ParseUint(readText(group, limitFile), 10, 64)
	const unlimited = math.MaxInt64 / 2 // version 1 writes no limit as a number close to MaxInt64
	if err != nil || limit >= unlimited {
		return 0, 0
	}
	used, _ = strconv.ParseUint(readText(group, usedFile), 10, 64)
	for line := range strings.Lines(readText(group, "memory.stat")) {
		if text, ok := strings.CutPrefix(line, reclaimable+" "); ok {
			if inactive, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil {
				used -= min(used, inactive)
			}
		}
	}
	return limit, used
}

// readText reads a small file; "" when it cannot.
func readText(folder, name string) string {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// number reads a number; 0 when it is none.
func number(text string) float64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return float64(n)
}
