package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one of the processes of a fabric.
type process struct {
	name string
	pid  int
}

// processes lists the processes of the fabric: broker, agents, clients in the order of their start, and instances.
func (f *fabric) processes() ([]process, error) {
	list := []process{{f.broker.Name(), f.broker.PID()}}
	var instances []int
	for _, a := range f.agents {
		list = append(list, process{a.Name(), a.PID()})
		below, err := instancesUnder(a.PID())
		if err != nil {
			return nil, err
		}
		instances = append(instances, below...)
	}
	for _, p := range f.others {
		list = append(list, process{p.Name(), p.PID()})
	}
	slices.Sort(instances)
	for i, pid := range instances {
		list = append(list, process{"instance " + strconv.Itoa(i+1), pid})
	}
	return list, nil
}

func pidsOf(list []process) []int {
	pids := make([]int, len(list))
	for i, p := range list {
		pids[i] = p.pid
	}
	return pids
}

// cpuTime is the processor time that a process has used, as the kernel accounts it.
type cpuTime struct{ user, system time.Duration }

func (c cpuTime) sum() time.Duration { return c.user + c.system }

func (c cpuTime) since(before cpuTime) cpuTime {
	return cpuTime{c.user - before.user, c.system - before.system}
}

// clockTick is the unit of processor times in /proc: USER_HZ, which is 100 for every program on Linux.
const clockTick = 10 * time.Millisecond

// cpuOf asks the kernel about a living process.
func cpuOf(pid int) (cpuTime, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return cpuTime{}, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return parseCPU(string(text))
}

// parseCPU reads the text of /proc/PID/stat.
func parseCPU(stat string) (cpuTime, error) {
	const user, system = 11, 12 // fields behind the name
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= system {
		return cpuTime{}, fmt.Errorf("processor time: /proc says nothing of it: %.40q", stat)
	}
	u, errUser := strconv.ParseUint(fields[user], 10, 48)
	s, errSystem := strconv.ParseUint(fields[system], 10, 48)
	if err := errors.Join(errUser, errSystem); err != nil {
		return cpuTime{}, fmt.Errorf("processor time: %w", err)
	}
	return cpuTime{time.Duration(u) * clockTick, time.Duration(s) * clockTick}, nil
}

// cpuOfAll asks for the times of several processes.
func cpuOfAll(list []process) ([]cpuTime, error) {
	times := make([]cpuTime, len(list))
	for i, p := range list {
		var err error
		if times[i], err = cpuOf(p.pid); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return times, nil
}

// sumSince is what all processes together have used since before.
func sumSince(now, before []cpuTime) (sum time.Duration) {
	for i := range now {
		sum += now[i].since(before[i]).sum()
	}
	return sum
}

// exactCPU gives the processor time, user and system together, that living processes have used. The clock of a
// process counts in nanoseconds, and has the threads that ended.
func exactCPU(pids []int) (time.Duration, error) {
	const ofProcess = 2 // CPUCLOCK_SCHED: what clock_getcpuclockid(3) makes of a process's number
	var all time.Duration
	for _, pid := range pids {
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|ofProcess), &t); err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		all += time.Duration(t.Nano())
	}
	return all, nil
}

// parseBusy reads from the text of /proc/stat for how long the processors of the machine were not idle, the time that a
// host kept from a virtual one included.
func parseBusy(stat string) (time.Duration, error) {
	first, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(first)
	const idle, iowait, steal = 4, 5, 8 // behind them is the time of guests, which is in that of users
	if len(fields) <= steal || fields[0] != "cpu" {
		return 0, fmt.Errorf("processor time: /proc/stat does not begin with that of all processors: %.40q", stat)
	}
	var busy time.Duration
	for i, field := range fields[:steal+1] {
		if i == 0 || i == idle || i == iowait {
			continue
		}
		ticks, err := strconv.ParseUint(field, 10, 48)
		if err != nil {
			return 0, fmt.Errorf("processor time: %w", err)
		}
		busy += time.Duration(ticks) * clockTick
	}
	return busy, nil
}
