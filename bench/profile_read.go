package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// weights says how much of a profile is in each function itself, whatever it calls aside.
type weights map[string]float64

// readGoProfile reads what a process has written: the processor time of each function, in nanoseconds.
func readGoProfile(path string) (weights, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p, err := profile.Parse(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	return weigh(p)
}

func weigh(p *profile.Profile) (weights, error) {
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "cpu" && t.Unit == "nanoseconds" })
	if at < 0 {
		return nil, errors.New("a profile without processor times")
	}
	w := weights{}
	for _, s := range p.Sample {
		name := "unknown"
		if len(s.Location) > 0 && len(s.Location[0].Line) > 0 && s.Location[0].Line[0].Function != nil {
			name = s.Location[0].Line[0].Function.Name // the innermost, inlined or not
		}
		w[name] += float64(s.Value[at])
	}
	return w, nil
}

// readPerf reads the output of perf script -F pid,ip,sym,dso: the samples of each function, by process.
func readPerf(r io.Reader) (map[int]weights, error) {
	all := map[int]weights{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		number, rest, _ := strings.Cut(line, " ")
		_, rest, _ = strings.Cut(strings.TrimSpace(rest), " ") // the address
		name, in, _ := cutLast(strings.TrimSpace(rest), " (")
		pid, err := strconv.Atoi(number)
		if err != nil || name == "" {
			return nil, fmt.Errorf("perf script: not a sample: %q", line)
		}
		switch in = strings.TrimSuffix(in, ")"); {
		case strings.HasPrefix(in, "[kernel"):
			name += " [kernel]"
		case name == "[unknown]":
			name += " " + filepath.Base(in)
		}
		if all[pid] == nil {
			all[pid] = weights{}
		}
		all[pid][name]++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("perf script: %w", err)
	}
	return all, nil
}

// cutLast cuts at the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// function is one function's part of what a process has done.
type function struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // of the process's processor time, 0 to 1
	Nanos float64 `json:"ns_per_task"`
}

// unseen stands for the processor time that a profile of Go does not see: of threads that are not Go's.
const unseen = "(threads of libraries, which Go does not see)"

// top gives the functions with the largest parts of a process that has used some processor time for each task. The weights
// are nanoseconds of seen, which tells what is missing; when that is 0 they are samples, and nothing is.
func (w weights) top(n int, perTask float64, seen time.Duration) []function {
	var sum float64
	for _, name := range w.names() { // in one order, as the sum of numbers of this kind depends on it
		sum += w[name]
	}
	all := make([]function, 0, len(w)+1)
	if rest := float64(seen) - sum; rest > 0 {
		all = append(all, function{Name: unseen, Share: rest})
		sum = float64(seen)
	}
	for _, name := range w.names() {
		all = append(all, function{Name: name, Share: w[name]})
	}
	for i := range all {
		all[i].Share /= sum
		all[i].Nanos = all[i].Share * perTask
	}
	slices.SortStableFunc(all, func(a, b function) int { return cmp.Compare(b.Share, a.Share) })
	return all[:min(n, len(all))]
}

func (w weights) names() []string {
	names := make([]string, 0, len(w))
	for name := range w {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
