package probe

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"
	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/internal/platform"
)

// Options say where to look. The zero value is right for an agent.
type Options struct {
	// Proc and Sys are where the kernel tells of itself; /proc and /sys when empty.
	Proc, Sys string
	// Folders are folders whose disks are measured in any case, even if they are kept on no device.
	Folders []string
}

// Probe measures this node. It is safe for concurrent use. Make one with New.
type Probe struct {
	proc, sys string
	folders   []string

	mu       sync.Mutex
	previous cpu.TimesStat // of the Usage before
}

// New makes a probe.
func New(o Options) *Probe {
	return &Probe{proc: cmp.Or(o.Proc, "/proc"), sys: cmp.Or(o.Sys, "/sys"), folders: o.Folders}
}

// misses collects what could not be measured.
type misses []string

// note remembers an error under a name, and tells whether there was none.
func (m *misses) note(what string, err error) bool {
	if err != nil {
		*m = append(*m, fmt.Sprintf("%s: %v", what, err))
	}
	return err == nil
}

// within makes gopsutil look where this probe looks.
func (p *Probe) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: p.proc, common.HostSysEnvKey: p.sys})
}

// Node measures what stays as it is. It takes some milliseconds.
func (p *Probe) Node(ctx context.Context) Node {
	ctx = p.within(ctx)
	var missing misses
	n := Node{Platform: platform.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}.Normalise()}
	var err error
	n.Hostname, err = os.Hostname()
	missing.note("hostname", err)
	if name, _, version, err := host.PlatformInformationWithContext(ctx); missing.note("system", err) {
		n.System = strings.TrimSpace(name + " " + version)
	}
	n.Kernel, err = host.KernelVersionWithContext(ctx)
	missing.note("kernel", err)
	p.cores(ctx, &n, &missing)
	p.memory(ctx, &n, &missing)
	n.Disks = p.disks(ctx, &missing)
	n.Interfaces = p.interfaces(ctx, &missing)
	n.Missing = missing
	return n
}

// cores measures the CPU.
func (p *Probe) cores(ctx context.Context, n *Node, missing *misses) {
	if infos, err := cpu.InfoWithContext(ctx); missing.note("cpu_model", err) {
		if len(infos) > 0 {
			n.CPUModel = strings.TrimSpace(cmp.Or(infos[0].ModelName, infos[0].VendorID))
		}
		if n.CPUModel == "" {
			missing.note("cpu_model", fmt.Errorf("cpuinfo names none"))
		}
	}
	var err error
	if n.CoresLogical, err = cpu.CountsWithContext(ctx, true); err != nil || n.CoresLogical == 0 {
		missing.note("cores_logical", cmp.Or(err, fmt.Errorf("cpuinfo lists none")))
		n.CoresLogical = runtime.NumCPU()
	}
	if n.CoresPhysical, err = cpu.CountsWithContext(ctx, false); err != nil || n.CoresPhysical == 0 {
		missing.note("cores_physical", cmp.Or(err, fmt.Errorf("neither sysfs nor cpuinfo tells")))
	}
	limits := p.limits()
	n.CPULimit = limits.cores
	n.CoresUsable = float64(min(n.CoresLogical, runtime.NumCPU())) // NumCPU heeds the affinity
	if limits.cores > 0 {
		n.CoresUsable = min(n.CoresUsable, limits.cores)
	}
}

// memory measures the memory.
func (p *Probe) memory(ctx context.Context, n *Node, missing *misses) {
	stat, err := mem.VirtualMemoryWithContext(ctx)
	if err == nil && stat.Total == 0 {
		err = fmt.Errorf("meminfo does not tell")
	}
	if missing.note("memory_total", err) {
		n.MemoryTotal = stat.Total
	}
	n.MemoryUsable = n.MemoryTotal
	if limit := p.limits().memory; limit > 0 && (n.MemoryTotal == 0 || limit < n.MemoryTotal) {
		n.MemoryLimit, n.MemoryUsable = limit, limit
	}
}

// disks measures the file systems on devices, each once, and those of the named folders.
func (p *Probe) disks(ctx context.Context, missing *misses) []Disk {
	partitions, err := disk.PartitionsWithContext(ctx, false)
	missing.note("disks", err)
	var disks []Disk
	seen := map[uint64]bool{} // device numbers (of 32 bits on MIPS): a disk may be mounted at several places
	add := func(d Disk) {
		var stat unix.Stat_t
		if !missing.note("disk "+d.Mount, unix.Stat(d.Mount, &stat)) || seen[uint64(stat.Dev)] {
			return
		}
		usage, err := disk.UsageWithContext(ctx, d.Mount)
		if !missing.note("disk "+d.Mount, err) || usage.Total == 0 {
			return
		}
		seen[uint64(stat.Dev)] = true
		d.Type, d.Size, d.Free = cmp.Or(d.Type, usage.Fstype), usage.Total, usage.Free
		disks = append(disks, d)
	}
	slices.SortStableFunc(partitions, func(a, b disk.PartitionStat) int { return cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)) })
	for _, partition := range partitions {
		if info, err := os.Stat(partition.Mountpoint); err == nil && info.IsDir() { // containers have single files mounted
			add(Disk{Mount: partition.Mountpoint, Device: partition.Device, Type: partition.Fstype})
		}
	}
	for _, folder := range p.folders {
		add(Disk{Mount: folder})
	}
	return disks
}

// interfaces lists the network interfaces.
func (p *Probe) interfaces(ctx context.Context, missing *misses) []Interface {
	stats, err := net.InterfacesWithContext(ctx)
	missing.note("interfaces", err)
	list := make([]Interface, 0, len(stats))
	for _, stat := range stats {
		i := Interface{
			Name: stat.Name, MTU: stat.MTU, Speed: p.speed(stat.Name), Addresses: []string{},
			Up: slices.Contains(stat.Flags, "up"), Loopback: slices.Contains(stat.Flags, "loopback"),
		}
		for _, address := range stat.Addrs {
			i.Addresses = append(i.Addresses, address.Addr)
		}
		list = append(list, i)
	}
	return list
}

// speed returns an interface's speed in bits a second; 0 where the driver does not tell.
func (p *Probe) speed(name string) uint64 {
	text, err := os.ReadFile(filepath.Join(p.sys, "class/net", name, "speed"))
	if err != nil {
		return 0
	}
	megabits, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	const unknown = 1<<32 - 1 // how some drivers write -1
	if err != nil || megabits <= 0 || megabits >= unknown {
		return 0
	}
	return uint64(megabits) * 1_000_000
}

// Usage measures what changes. It takes about a millisecond.
func (p *Probe) Usage(ctx context.Context) Usage {
	ctx = p.within(ctx)
	var (
		missing misses
		u       Usage
	)
	if uptime, err := host.UptimeWithContext(ctx); missing.note("uptime", err) {
		u.Uptime = int64(uptime)
	}
	if times, err := cpu.TimesWithContext(ctx, false); missing.note("cpu_busy", err) && len(times) > 0 {
		u.CPUBusy = p.busy(ctx, times[0])
	}
	if avg, err := load.AvgWithContext(ctx); missing.note("load1", err) {
		u.Load1, u.Load5, u.Load15 = avg.Load1, avg.Load5, avg.Load15
	}
	if stat, err := mem.VirtualMemoryWithContext(ctx); missing.note("memory_used", err) {
		u.MemoryUsed, u.MemoryAvailable = stat.Used, stat.Available
	}
	if limits := p.limits(); limits.memory > 0 {
		left := limits.memory - min(limits.memory, limits.memoryUsed)
		if u.MemoryAvailable == 0 || left < u.MemoryAvailable {
			u.MemoryAvailable = left
		}
	}
	u.Disks = p.disks(ctx, &missing)
	if counters, err := net.IOCountersWithContext(ctx, true); missing.note("network_received", err) {
		for _, c := range counters {
			if c.Name != "lo" {
				u.NetworkReceived += c.BytesRecv
				u.NetworkSent += c.BytesSent
			}
		}
	}
	u.Missing = missing
	return u
}

// busy returns how many cores were at work, on average, since it was called before.
func (p *Probe) busy(ctx context.Context, now cpu.TimesStat) float64 {
	cores, err := cpu.CountsWithContext(ctx, true)
	if err != nil || cores == 0 {
		cores = runtime.NumCPU()
	}
	p.mu.Lock()
	before := p.previous
	p.previous = now
	p.mu.Unlock()
	work := func(t cpu.TimesStat) float64 { return t.User + t.Nice + t.System + t.Irq + t.Softirq + t.Steal }
	rest := func(t cpu.TimesStat) float64 { return t.Idle + t.Iowait }
	worked, rested := work(now)-work(before), rest(now)-rest(before)
	if before.CPU == "" || worked <= 0 || worked+rested <= 0 {
		return 0
	}
	return float64(cores) * min(1, worked/(worked+rested))
}
