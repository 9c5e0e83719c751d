package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
)

// profileConfig is what a profile is told.
type profileConfig struct {
	shape
	seconds     float64
	top         int
	perf        bool
	format, out string
}

// profiled is what was measured.
type profiled struct {
	Name      string           `json:"name"` // weft, or weft ipc
	Payload   int              `json:"payload_bytes"`
	Clients   int              `json:"clients"`
	Instances int              `json:"instances"`
	Window    int              `json:"window"`
	PerSecond float64          `json:"tasks_per_second"`
	Perf      bool             `json:"perf"`
	Processes []processProfile `json:"processes"`
}

// processProfile is what one process does for a task, in nanoseconds of processor time.
type processProfile struct {
	Name      string     `json:"name"`
	User      float64    `json:"user_ns_per_task"`
	System    float64    `json:"system_ns_per_task"`
	Functions []function `json:"functions"`
	pid       int
}

func newProfile() *cobra.Command {
	k := profileConfig{shape: shape{payload: 16, clients: 1, instances: 1, window: 4096, transport: "tcp"}}
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Say what processor time each process uses for a task, and in which functions",
		Long: `Run the load of weft-bench run, and say how much processor time, user and system, each process uses for a task, and which
functions use most of it. Each process profiles itself with Go's profiler, which counts the time of system calls for the Go
function that makes them, and does not see the threads of libzmq. With --perf Linux' perf looks at all processes instead,
and sees kernel and libraries too; it must be installed and allowed.

With --out the profiles are kept: NAME.pprof for go tool pprof, or perf.data; and profile.json.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.validate(); err != nil {
				return err
			}
			measured, err := k.measure(cmd.Context())
			if err != nil {
				return err
			}
			if k.out != "" {
				err = keepFile(k.out, "profile.json", func(w io.Writer) error { return writeJSON(w, measured) })
			}
			return errors.Join(err, measured.write(cmd.OutOrStdout(), k.format))
		},
	}
	k.flags(cmd)
	flags := cmd.Flags()
	flags.Float64Var(&k.seconds, "seconds", 5, "how long the load is profiled")
	flags.IntVar(&k.top, "top", 12, "functions of each process to be shown")
	flags.BoolVar(&k.perf, "perf", false, "use Linux' perf")
	flags.StringVar(&k.format, "format", formatTable, "table or json")
	flags.StringVar(&k.out, "out", "", "folder to keep the profiles in")
	return cmd
}

// validate names the flags that cannot be.
func (k *profileConfig) validate() error {
	errs := []error{
		k.shape.validate(0),
		inRange("seconds", k.seconds, leastSeconds, mostSeconds),
		inRange("top", k.top, 0, 10_000),
		oneOf("format", k.format, formatTable, formatJSON),
	}
	if _, err := exec.LookPath("perf"); k.perf && err != nil {
		errs = append(errs, fmt.Errorf("--perf: %w; without it Go's own profiler is used", err))
	}
	return errors.Join(errs...)
}

// measure runs a fabric, and profiles it while its load is steady.
func (k profileConfig) measure(ctx context.Context) (_ profiled, err error) {
	folder, err := os.MkdirTemp("", "weft-profile-")
	if err != nil {
		return profiled{}, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if !k.perf {
		k.profiles = folder
	}
	f, clients, err := k.start(ctx, clientCommand)
	if err != nil {
		return profiled{}, err
	}
	defer func() { err = f.end(ctx, err) }()
	m := profileMeasurement{config: k, folder: folder}
	if m.list, err = f.processes(); err != nil {
		return profiled{}, err
	}
	duration := time.Duration(k.seconds * float64(time.Second))
	s, err := throughput(ctx, clients, party.Order{Do: "load", Time: warmUp}, duration, func() (time.Duration, error) { return m.mark(ctx) })
	if err = errors.Join(err, m.close()); err != nil {
		return profiled{}, err
	}
	if s.tasks == 0 {
		return profiled{}, fmt.Errorf("no task was completed within %v: --seconds must be more, or the tasks smaller", duration)
	}
	result := profiled{
		Name: k.name(), Payload: k.payload, Clients: k.clients, Instances: k.instances, Window: k.window, PerSecond: s.perSecond, Perf: k.perf,
	}
	result.Processes, err = m.processes(ctx, float64(s.tasks))
	return result, err
}

// profileMeasurement is a profile that is being made.
type profileMeasurement struct {
	config  profileConfig
	folder  string
	list    []process
	used    []cpuTime // before, then in between
	begun   bool
	perf    *exec.Cmd
	perfErr bytes.Buffer
}

// mark begins the profiles when it is called first, and ends them when it is called again. It gives the processor time
// that was used until then.
func (m *profileMeasurement) mark(ctx context.Context) (time.Duration, error) {
	if !m.begun {
		m.begun = true
		if err := m.begin(ctx); err != nil {
			return 0, err
		}
		before, err := cpuOfAll(m.list)
		m.used = before
		return 0, err
	}
	after, err := cpuOfAll(m.list)
	if err != nil {
		return 0, err
	}
	sum := sumSince(after, m.used)
	for i := range after {
		m.used[i] = after[i].since(m.used[i])
	}
	return sum, m.end(ctx)
}

// perfFrequency is how many samples perf takes of each processor in a second. It is no multiple of what clocks tick with.
const perfFrequency = 1999

func (m *profileMeasurement) begin(ctx context.Context) error {
	if !m.config.perf {
		return profileAll(ctx, m.folder, m.list, beginProfile)
	}
	pids := make([]string, len(m.list))
	for i, p := range m.list {
		pids[i] = strconv.Itoa(p.pid)
	}
	m.perf = exec.CommandContext(ctx, "perf", "record", "-q", "-e", "cpu-clock", "-F", strconv.Itoa(perfFrequency),
		"-o", m.perfData(), "-p", strings.Join(pids, ","), "--", "sleep", strconv.FormatFloat(m.config.seconds, 'f', -1, 64))
	m.perf.Stderr = &m.perfErr
	if err := m.perf.Start(); err != nil {
		return fmt.Errorf("--perf: %w", err)
	}
	return nil
}

func (m *profileMeasurement) perfData() string { return filepath.Join(m.folder, "perf.data") }

func (m *profileMeasurement) end(ctx context.Context) error {
	if !m.config.perf {
		return profileAll(ctx, m.folder, m.list, endProfile)
	}
	return m.close()
}

// close waits until perf has ended.
func (m *profileMeasurement) close() error {
	if m.perf == nil {
		return nil
	}
	err := m.perf.Wait()
	m.perf = nil
	if err != nil {
		return fmt.Errorf("--perf: %w: %s", err, strings.TrimSpace(m.perfErr.String()))
	}
	return nil
}

// processes reads the profiles, and keeps them if that is wanted.
func (m *profileMeasurement) processes(ctx context.Context, tasks float64) ([]processProfile, error) {
	var byPerf map[int]weights
	if m.config.perf {
		var err error
		if byPerf, err = m.perfWeights(ctx); err != nil {
			return nil, err
		}
	}
	var all []processProfile
	for i, p := range m.list {
		used := m.used[i]
		one := processProfile{Name: p.name, pid: p.pid, User: float64(used.user) / tasks, System: float64(used.system) / tasks}
		perTask := float64(used.sum()) / tasks
		if m.config.perf {
			one.Functions = byPerf[p.pid].top(m.config.top, perTask, 0)
		} else {
			w, err := readGoProfile(profileOf(m.folder, p.pid))
			if err != nil {
				return nil, err
			}
			one.Functions = w.top(m.config.top, perTask, used.sum())
		}
		all = append(all, one)
	}
	return all, m.keep()
}

// perfWeights has perf say which functions its samples are in.
func (m *profileMeasurement) perfWeights(ctx context.Context) (map[int]weights, error) {
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "perf", "script", "-i", m.perfData(), "-F", "pid,ip,sym,dso")
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("perf script: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return readPerf(&out)
}

// keep copies the profiles to the folder that was asked for, under the names of the processes.
func (m *profileMeasurement) keep() error {
	if m.config.out == "" {
		return nil
	}
	files := map[string]string{"perf.data": m.perfData()}
	if !m.config.perf {
		clear(files)
		for _, p := range m.list {
			files[strings.ReplaceAll(p.name, " ", "-")+".pprof"] = profileOf(m.folder, p.pid)
		}
	}
	var errs []error
	for name, path := range files {
		text, err := os.ReadFile(path)
		errs = append(errs, err, keepFile(m.config.out, name, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}))
	}
	return errors.Join(errs...)
}

// write gives the figures in a format.
func (p profiled) write(w io.Writer, format string) error {
	if format == formatJSON {
		return writeJSON(w, p)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d bytes, clients %d, instances %d, window %d: %s tasks/s; processor time in ns for each task\n",
		p.Name, p.Payload, p.Clients, p.Instances, p.Window, rate(p.PerSecond))
	const row = "%-14s %8s %8s %8s\n"
	fmt.Fprintf(&b, row, "process", "user", "system", "both")
	tenths := func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
	var user, system float64
	for _, one := range p.Processes {
		fmt.Fprintf(&b, row, one.Name, tenths(one.User), tenths(one.System), tenths(one.User+one.System))
		user, system = user+one.User, system+one.System
	}
	fmt.Fprintf(&b, row, "all", tenths(user), tenths(system), tenths(user+system))
	for _, one := range slices.DeleteFunc(slices.Clone(p.Processes), func(one processProfile) bool { return len(one.Functions) == 0 }) {
		fmt.Fprintf(&b, "\n%-14s %8s %8s\n", one.Name, "share", "ns/task")
		for _, f := range one.Functions {
			fmt.Fprintf(&b, "%-14s %6.1f %% %8s  %s\n", "", 100*f.Share, tenths(f.Nanos), f.Name)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
