package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/internal/quantile"
)

// schedReport prints what is measured of the scheduler while it is measured.
type schedReport struct {
	w      io.Writer
	cases  []schedCase
	passes [][]schedPass // by case
	err    error
}

func (r *schedReport) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(r.w, format, args...); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("report: %w", err))
	}
}

func (r *schedReport) begin(m machine, clock time.Duration) {
	r.passes = make([][]schedPass, len(r.cases))
	r.printf("# %s\n# one core; a decision includes reading the clock once, which takes %d ns, and noting the container\n", m, clock.Nanoseconds())
}

// pass prints a pass over a case.
func (r *schedReport) pass(i, pass int, p schedPass) {
	c := r.cases[i]
	r.passes[i] = append(r.passes[i], p)
	r.printf("# %s, pass %d\n", c.name, pass+1)
	r.printf("%s\n", c.line(p))
	r.printf("# %d decisions in %.2f s, of which this process had a processor for %.2f; %.1f %% of %s in use%s, %d containers not placed, %d leaves at their maxima; Jain's index %.4f%s\n",
		p.Decisions, p.Elapsed.Seconds(), p.Processor.Seconds(), 100*p.Use, p.Scarcest, least(c.churn, fmt.Sprintf("%.1f %%", 100*p.LeastUse)),
		p.Unplaced, p.Blocked, p.Jain, least(c.churn, fmt.Sprintf("%.4f", p.JainLeast)))
	if c.churn {
		r.printf("# filled with %d containers in %.2f s; %d containers ended, %d requests came; decisions alone allocate %.3f times each\n",
			p.Filled, p.Fill.Seconds(), p.Releases, p.Submitted, p.allocsAlone())
	}
	r.printf("# nothing to place was found %d times, p99 %s us; %d collections; %s resident at most\n",
		p.Vain, micros(p.VainP99), p.Collections, residentPeak())
}

// least is what stands beside a mean under churn.
func least(churn bool, value string) string {
	if !churn {
		return ""
	}
	return " (least " + value + ")"
}

// residentPeak is the most that this process has occupied.
func residentPeak() string {
	m, err := memoryOf(os.Getpid())
	if err != nil {
		return "unknown"
	}
	return mebibytes(m.peak)
}

// end prints the medians.
func (r *schedReport) end() {
	for i, c := range r.cases {
		r.printf("# %s, median of %d passes\n%s\n", c.name, len(r.passes[i]), c.line(r.passes[i]...))
	}
}

// line is the line that comparisons read, with the median of each figure.
func (c schedCase) line(all ...schedPass) string {
	duration := func(of func(*schedPass) time.Duration) string {
		return strconv.FormatFloat(micro(medianOf(all, of)), 'f', 2, 64)
	}
	return fmt.Sprintf("RESULT-SCHED|%d|%d|%d|%.0f|%s|%s|%s|%.1f|%.3f", c.load.Nodes, c.load.Requests, c.load.Queues,
		medianOf(all, (*schedPass).perSecond),
		duration(func(p *schedPass) time.Duration { return p.P50 }),
		duration(func(p *schedPass) time.Duration { return p.P99 }),
		duration(func(p *schedPass) time.Duration { return p.Max }),
		medianOf(all, (*schedPass).megabytes), medianOf(all, (*schedPass).allocsPer))
}

// medianOf gives the median of a figure.
func medianOf[T cmp.Ordered](all []schedPass, of func(*schedPass) T) T {
	var values []T
	for i := range all {
		values = append(values, of(&all[i]))
	}
	return quantile.Median(values)
}

// of gives the passes over a case.
func (r *schedReport) of(name string) []schedPass {
	for i, c := range r.cases {
		if c.name == name {
			return r.passes[i]
		}
	}
	return nil
}

// slower is how many times as long a decision takes in one case as in another: the median of the ratios of each pass.
func (r *schedReport) slower(large, small string) float64 {
	var ratios []float64
	few := r.of(small)
	for i, p := range r.of(large) {
		ratios = append(ratios, few[i].perSecond()/p.perSecond())
	}
	return quantile.Median(ratios)
}

// slowdown prints what more nodes and more queues cost.
func (r *schedReport) slowdown(churn bool) {
	large, nodes, queues := caseFill, caseFewNodes, caseFewQueues
	if churn {
		large, nodes, queues = caseChurn, caseChurnNodes, caseChurnQueue
	}
	r.printf("# slowdown from a tenth of the nodes: %.2fx\n# slowdown from a hundredth of the queues: %.2fx\n",
		r.slower(large, nodes), r.slower(large, queues))
}

// schedMark is what the scheduler is to reach.
type schedMark struct {
	name        string
	value       float64
	floor, goal float64
	noFloor     bool
	more        bool // the higher, the better
	digits      int
}

// reaches says whether the value is as good as a limit.
func (m schedMark) reaches(limit float64) bool {
	if m.more {
		return m.value >= limit
	}
	return m.value <= limit
}

// marks judges what was measured.
func (r *schedReport) marks() []schedMark {
	fill, churn, full, unit, equal := r.of(caseFill), r.of(caseChurn), r.of(caseFull), r.of(caseUnit), r.of(caseUnitChurn)
	p99 := func(p *schedPass) float64 { return micro(p.P99) }
	return []schedMark{
		{name: "decisions/s, fill", value: medianOf(fill, (*schedPass).perSecond), floor: 50_000, goal: 150_000, more: true},
		{name: "decisions/s, churn", value: medianOf(churn, (*schedPass).perSecond), floor: 25_000, goal: 75_000, more: true},
		{name: "decisions/s, churn of a full cluster", value: medianOf(full, (*schedPass).perSecond), floor: 25_000, goal: 75_000, more: true},
		{name: "p99 us, fill", value: medianOf(fill, p99), floor: 100, goal: 30, digits: 1},
		{name: "p99 us, churn", value: medianOf(churn, p99), floor: 100, goal: 30, digits: 1},
		{name: "p99 us, churn of a full cluster", value: medianOf(full, p99), floor: 100, goal: 30, digits: 1},
		{name: "slowdown from a tenth of the nodes", value: r.slower(caseFill, caseFewNodes), floor: 3, goal: 1.5, digits: 2},
		{name: "slowdown from a hundredth of the queues", value: r.slower(caseFill, caseFewQueues), floor: 3, goal: 1.5, digits: 2},
		{name: "MB, fill", value: medianOf(fill, (*schedPass).megabytes), goal: 200, noFloor: true, digits: 1},
		{name: "MB, churn of a full cluster", value: medianOf(full, (*schedPass).megabytes), goal: 200, noFloor: true, digits: 1},
		{name: "allocations a decision, fill", value: medianOf(fill, (*schedPass).allocsPer), goal: 0.01, noFloor: true, digits: 4},
		{name: "allocations a decision, churn", value: medianOf(churn, (*schedPass).allocsAlone), goal: 0.01, noFloor: true, digits: 4},
		{name: "use of the scarcest dimension, churn", value: medianOf(churn, func(p *schedPass) float64 { return p.Use }), goal: 0.95, noFloor: true, more: true, digits: 3},
		{name: "Jain's index, equal containers", value: medianOf(unit, func(p *schedPass) float64 { return p.JainLeast }), goal: 0.999, noFloor: true, more: true, digits: 4},
		{name: "Jain's index, churn of equal containers", value: medianOf(equal, func(p *schedPass) float64 { return p.JainLeast }), goal: 0.99, noFloor: true, more: true, digits: 4},
		{name: "Jain's index, churn, least", value: medianOf(churn, func(p *schedPass) float64 { return p.JainLeast }), goal: 0.99, noFloor: true, more: true, digits: 4},
	}
}

// judge prints which floors are held and which goals are reached, and makes an error of the floors that are not.
func (r *schedReport) judge() {
	const row = "%-40s %10s %10s %10s  %s\n"
	r.printf(row, "", "value", "floor", "goal", "")
	for _, m := range r.marks() {
		number := func(v float64) string { return strconv.FormatFloat(v, 'f', m.digits, 64) }
		floor, word := number(m.floor), "floor held, goal missed"
		if m.noFloor {
			floor, word = "-", "goal missed"
		}
		switch {
		case m.reaches(m.goal):
			word = "goal reached"
		case !m.noFloor && !m.reaches(m.floor):
			word = "FLOOR MISSED"
			r.err = errors.Join(r.err, fmt.Errorf("%s: %s; the floor is %s", m.name, number(m.value), floor))
		}
		r.printf(row, m.name, number(m.value), floor, number(m.goal), word)
	}
}
