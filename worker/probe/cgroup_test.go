package probe

import (
	"path/filepath"
	"strings"
	"testing"
)

// limitsOf reads limits from files under proc and, by mount lines in which ROOT stands for the folder, under cg.
func limitsOf(t *testing.T, cgroup, mountinfo string, groups map[string]string) (limits, *Probe) {
	t.Helper()
	cg := tree(t, groups)
	files := proc()
	files["self/cgroup"] = cgroup
	files["self/mountinfo"] = "22 1 254:0 / / rw - ext4 /dev/vda rw\n" + strings.ReplaceAll(mountinfo, "ROOT", cg)
	p := New(Options{Proc: tree(t, files), Sys: t.TempDir()})
	return p.limits(), p
}

func TestLimits(t *testing.T) {
	const v1 = "32 31 0:29 / ROOT/cpu rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n36 31 0:33 / ROOT/memory rw - cgroup cgroup rw,memory\n"
	const v2 = "30 23 0:26 / ROOT rw,nosuid - cgroup2 cgroup2 rw\n"
	for name, tt := range map[string]struct {
		cgroup, mounts string
		groups         map[string]string
		want           limits
	}{
		"none": {"", "", nil, limits{}},
		"version 2": {"0::/a/b\n", v2, map[string]string{
			"a/b/cpu.max": "150000 100000\n", "a/b/memory.max": "1000000\n", "a/b/memory.current": "600000\n",
			"a/b/memory.stat": "anon 1\ninactive_file 100000\nactive_file 3\n",
		}, limits{1.5, 1000000, 500000}},
		"version 2, none set": {"0::/a\n", v2, map[string]string{"a/cpu.max": "max 100000\n", "a/memory.max": "max\n", "a/memory.current": "5\n"}, limits{}},
		"version 2, a parent's is less": {"0::/a/b\n", v2, map[string]string{
			"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "200000 100000\n",
			"a/memory.max": "2000\n", "a/memory.current": "1500\n", "a/b/memory.max": "3000\n", "a/b/memory.current": "100\n",
		}, limits{0.5, 2000, 1500}},
		"version 2, seen from within":    {"0::/\n", v2, map[string]string{"cpu.max": "300000 100000\n", "memory.max": "77\n"}, limits{3, 77, 0}},
		"version 2, a container's mount": {"0::/docker/x\n", strings.Replace(v2, " / ROOT", " /docker/x ROOT", 1), map[string]string{"cpu.max": "100000 100000\n"}, limits{1, 0, 0}},
		"version 2, a neighbour's mount": {"0::/docker/xy/z\n", strings.Replace(v2, " / ROOT", " /docker/x ROOT", 1), map[string]string{"memory.max": "5\n"}, limits{0, 5, 0}},
		"version 1": {"4:memory:/a\n1:cpu,cpuacct:/b\n0::/\n", v1, map[string]string{
			"cpu/b/cpu.cfs_quota_us": "25000\n", "cpu/b/cpu.cfs_period_us": "50000\n",
			"memory/a/memory.limit_in_bytes": "4096000\n", "memory/a/memory.usage_in_bytes": "96000\n", "memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 100000\n",
		}, limits{0.5, 4096000, 0}},
		"version 1, none set": {"4:memory:/a\n1:cpu,cpuacct:/b\n", v1, map[string]string{
			"cpu/b/cpu.cfs_quota_us": "-1\n", "cpu/b/cpu.cfs_period_us": "50000\n", "memory/a/memory.limit_in_bytes": "9223372036854771712\n",
		}, limits{}},
		"hybrid": {"4:memory:/a\n0::/u\n", v1 + strings.Replace(v2, "ROOT", "ROOT/unified", 1), map[string]string{
			"memory/a/memory.limit_in_bytes": "100\n", "unified/u/cpu.max": "200000 100000\n",
		}, limits{2, 100, 0}},
		"nonsense": {"x\n0::/a\n", "bad line\n1 2 3 - cgroup2 x\n" + v2, map[string]string{"a/cpu.max": "a b\n", "a/memory.max": "-5\n"}, limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := limitsOf(t, tt.cgroup, tt.mounts, tt.groups); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A container's cap is what counts, where it is less than the machine's.
func TestLimitsCap(t *testing.T) {
	const mount = "30 23 0:26 / ROOT rw - cgroup2 cgroup2 rw\n"
	_, p := limitsOf(t, "0::/\n", mount, map[string]string{"cpu.max": "50000 100000\n", "memory.max": "4096000\n", "memory.current": "3096000\n"})
	n, u := p.Node(t.Context()), p.Usage(t.Context())
	if n.CPULimit != 0.5 || n.CoresUsable != 0.5 || n.CoresLogical != 2 {
		t.Errorf("cpu limit %v, usable %v of %d", n.CPULimit, n.CoresUsable, n.CoresLogical)
	}
	if n.MemoryLimit != 4096000 || n.MemoryUsable != 4096000 || n.MemoryTotal != 8000<<10 || u.MemoryAvailable != 1000000 {
		t.Errorf("memory limit %d, usable %d of %d, available %d", n.MemoryLimit, n.MemoryUsable, n.MemoryTotal, u.MemoryAvailable)
	}
	_, p = limitsOf(t, "0::/\n", mount, map[string]string{"cpu.max": "6400000 100000\n", "memory.max": "99000000\n", "memory.current": "9\n"})
	n, u = p.Node(t.Context()), p.Usage(t.Context())
	if n.CPULimit != 64 || n.CoresUsable > 2 || n.MemoryLimit != 0 || n.MemoryUsable != 8000<<10 || u.MemoryAvailable != 5000<<10 {
		t.Errorf("limits above what the machine has: %+v, %+v", n, u)
	}
	_, p = limitsOf(t, "0::/\n", mount, map[string]string{"memory.max": "1000\n", "memory.current": "2000\n"})
	if u := p.Usage(t.Context()); u.MemoryAvailable != 0 {
		t.Errorf("beyond its limit, %d available", u.MemoryAvailable)
	}
}

func TestNoMountinfo(t *testing.T) {
	root := tree(t, map[string]string{"self/cgroup": "0::/a\n"})
	if l := New(Options{Proc: root}).limits(); l != (limits{}) {
		t.Errorf("%+v", l)
	}
	if l := New(Options{Proc: filepath.Join(root, "none")}).limits(); l != (limits{}) {
		t.Errorf("%+v", l)
	}
}
