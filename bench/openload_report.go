package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// write gives the figures in a format.
func (l loaded) write(w io.Writer, format string) error {
	switch format {
	case formatLines:
		return l.lines(w)
	case formatJSON:
		return writeJSON(w, l)
	default:
		return l.table(w)
	}
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func (l loaded) lines(w io.Writer) error {
	for _, s := range l.Steps {
		fields := []string{"LOAD", l.Name, strconv.Itoa(l.Payload), strconv.Itoa(l.Clients), strconv.Itoa(l.Instances), s.percent(), rate(s.Asked), rate(s.Reached)}
		for _, d := range s.Latency.all() {
			fields = append(fields, micros(d))
		}
		if _, err := fmt.Fprintln(w, strings.Join(append(fields, nanos(s.CPU)), "|")); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

func (l loaded) table(w io.Writer) error {
	const row = "%7s %11s %11s %10s %10s %10s %10s %10s %10s %12s %13s\n"
	if _, err := fmt.Fprintf(w, "%s, %d bytes, clients %d, instances %d, window %d, %s arrivals, %v s each; latencies from when a task was due, in us\n",
		l.Name, l.Payload, l.Clients, l.Instances, l.Window, l.Arrivals, l.Seconds); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if l.Maximum > 0 {
		if _, err := fmt.Fprintf(w, "maximum %s tasks/s with full windows\n", rate(l.Maximum)); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	if _, err := fmt.Fprintf(w, row, "percent", "asked/s", "reached/s", "p50", "p90", "p99", "p99.9", "p99.99", "max", "CPU ns/task", "sent late p99"); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, s := range l.Steps {
		fields := []any{s.percent(), rate(s.Asked), rate(s.Reached)}
		for _, d := range s.Latency.all() {
			fields = append(fields, micros(d))
		}
		if _, err := fmt.Fprintf(w, row, append(fields, nanos(s.CPU), micros(s.SentLate.P99))...); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	for _, s := range l.Steps {
		if word := s.word(); word != "" {
			if _, err := fmt.Fprintln(w, word); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
	}
	return nil
}

// word says that a load has fallen behind, "" when it has not.
func (s step) word() string {
	if !s.Behind {
		return ""
	}
	text := fmt.Sprintf("At %s tasks/s the load fell behind its schedule: %s/s were reached, what waits grows without end, and the latencies are those of a queue.",
		rate(s.Asked), rate(s.Reached))
	if s.Unsent > 0 {
		text += fmt.Sprintf(" It was given up with %d of %d tasks unsent.", s.Unsent, s.Tasks)
	}
	return text
}

// keep writes the figures and distributions into a folder; none: nothing.
func (l loaded) keep(folder string) error {
	if folder == "" {
		return nil
	}
	errs := []error{keepFile(folder, "load.json", func(w io.Writer) error { return writeJSON(w, l) })}
	for _, s := range l.Steps {
		name := "load-rate-" + rate(s.Asked) + ".hgrm"
		if s.Percent > 0 {
			name = "load-" + s.percent() + ".hgrm"
		}
		errs = append(errs, keepFile(folder, name, func(w io.Writer) error { return writeDistribution(w, s.histogram) }))
	}
	return errors.Join(errs...)
}

// keepFile writes a file in a folder, which it makes if need be.
func keepFile(folder, name string, write func(io.Writer) error) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	f, err := os.Create(filepath.Join(folder, name))
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

func (s step) percent() string {
	if s.Percent == 0 {
		return "-"
	}
	return strconv.FormatFloat(s.Percent, 'g', -1, 64)
}

// nanos gives a duration in nanoseconds, "-" for one that was not measured.
func nanos(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return strconv.FormatInt(int64(d), 10)
}
