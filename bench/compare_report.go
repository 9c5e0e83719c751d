package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/internal/quantile"
)

// comparison is what was measured, and what comes of it.
type comparison struct {
	Machine  machine           `json:"machine"`
	Passes   int               `json:"passes"`
	Seconds  float64           `json:"seconds"` // of each measurement
	Systems  []string          `json:"systems"`
	Versions map[string]string `json:"versions"` // by system
	Rows     []comparedRow     `json:"rows"`
	Skipped  []skipped         `json:"skipped,omitempty"`
	Others   []otherWork       `json:"others"`
}

// otherWork is how many cores of the machine were busy with anything else during a measurement.
type otherWork struct {
	Row    string  `json:"row"`
	System string  `json:"system"`
	Pass   int     `json:"pass"`
	Cores  float64 `json:"cores"`
}

// comparedRow is what was measured in a row.
type comparedRow struct {
	compareRow
	Name      string      `json:"name"`
	Title     string      `json:"title"`
	Payload   int         `json:"payload_bytes"`
	Clients   int         `json:"clients"`
	Instances int         `json:"instances"`
	Window    int         `json:"window,omitempty"`
	Callers   int         `json:"callers,omitempty"`
	Measured  []*measured `json:"measured"`
	Verdicts  []verdict   `json:"verdicts,omitempty"`
}

// measured is a figure of a system in all passes.
type measured struct {
	System  string      `json:"system"`
	Figure  figure      `json:"figure"`
	Values  []passValue `json:"values"`
	Median  float64     `json:"median"`
	Lowest  float64     `json:"lowest"`
	Highest float64     `json:"highest"`
	Ratio   float64     `json:"weft_to_this,omitempty"` // the median of the ratios of the passes; 0: there is none
}

// passValue is a value that was measured in a pass, the first of which is 0.
type passValue struct {
	Pass  int     `json:"pass"`
	Value float64 `json:"value"`
}

// verdict says whether a mark is reached.
type verdict struct {
	Figure    figure  `json:"figure"`
	Peer      string  `json:"peer,omitempty"` // the value is a ratio to this peer's
	Floor     float64 `json:"floor,omitempty"`
	Goal      float64 `json:"goal"`
	Judged    bool    `json:"judged"` // everything for it was measured
	Value     float64 `json:"value"`
	FloorHeld bool    `json:"floor_held"`
	GoalHeld  bool    `json:"goal_held"`
}

// skipped is a system that was not measured, in a row or, without one, at all.
type skipped struct {
	System string `json:"system"`
	Row    string `json:"row,omitempty"`
	Why    string `json:"why"`
}

// String says what was skipped, and why.
func (s skipped) String() string {
	if s.Row == "" {
		return s.System + " is skipped: " + s.Why
	}
	return s.System + " is skipped in row " + s.Row + ": " + s.Why
}

func newComparison(rows []compareRow, passes int, seconds float64, m machine) *comparison {
	k := &comparison{Machine: m, Passes: passes, Seconds: seconds, Versions: map[string]string{}}
	for _, r := range rows {
		k.Rows = append(k.Rows, comparedRow{
			compareRow: r, Name: r.name, Title: r.title, Payload: r.payload, Clients: r.clients, Instances: r.instances,
			Window: r.window, Callers: r.callers,
		})
	}
	return k
}

// skip notes that a system is not measured, in a row or at all.
func (k *comparison) skip(system, row, why string) {
	k.Skipped = append(k.Skipped, skipped{system, row, why})
}

// takesPart says whether a system is measured in a row: it has a part in it, and has not failed there.
func (k *comparison) takesPart(r *compareRow, system string) bool {
	return (system == systemWeft || slices.Contains(r.peers, system)) &&
		!slices.ContainsFunc(k.Skipped, func(s skipped) bool { return s.System == system && s.Row == r.name })
}

// note notes what was measured of a system in a pass.
func (k *comparison) note(r *compareRow, system string, pass int, got passed) {
	k.Versions[system] = got.version
	k.Others = append(k.Others, otherWork{r.name, system, pass, got.others})
	i := slices.IndexFunc(k.Rows, func(c comparedRow) bool { return c.Name == r.name })
	row := &k.Rows[i]
	for _, f := range r.figures() {
		m := row.of(system, f)
		if m == nil {
			m = &measured{System: system, Figure: f}
			row.Measured = append(row.Measured, m)
		}
		m.Values = append(m.Values, passValue{pass, got.values[f]})
	}
}

// of gives what was measured of a system; nil if nothing was.
func (r *comparedRow) of(system string, f figure) *measured {
	i := slices.IndexFunc(r.Measured, func(m *measured) bool { return m.System == system && m.Figure == f })
	if i < 0 {
		return nil
	}
	return r.Measured[i]
}

// sum computes medians, ratios and verdicts.
func (k *comparison) sum() {
	for i := range k.Rows {
		r := &k.Rows[i]
		for _, m := range r.Measured {
			values := m.plain()
			m.Median, m.Lowest, m.Highest = quantile.Median(values), slices.Min(values), slices.Max(values)
			if weft := r.of(systemWeft, m.Figure); weft != nil && m.System != systemWeft {
				m.Ratio = quantile.Median(ratios(weft, m))
			}
		}
		r.Verdicts = nil
		for _, mark := range r.marks {
			r.Verdicts = append(r.Verdicts, r.judge(mark))
		}
	}
}

func (m *measured) plain() []float64 {
	var values []float64
	for _, v := range m.Values {
		values = append(values, v.Value)
	}
	return values
}

// ratios gives those of the passes in which both were measured.
func ratios(a, b *measured) []float64 {
	var all []float64
	for _, v := range a.Values {
		i := slices.IndexFunc(b.Values, func(w passValue) bool { return w.Pass == v.Pass })
		if i >= 0 && b.Values[i].Value > 0 {
			all = append(all, v.Value/b.Values[i].Value)
		}
	}
	return all
}

// judge says whether a mark is reached.
func (r *comparedRow) judge(m mark) verdict {
	v := verdict{Figure: m.figure, Peer: m.peer, Floor: m.floor, Goal: m.goal}
	if m.peer == "" {
		if weft := r.of(systemWeft, m.figure); weft != nil {
			v.Value = weft.Median
		}
	} else if peer := r.of(m.peer, m.figure); peer != nil {
		v.Value = peer.Ratio
	}
	if v.Value > 0 {
		v.Judged = true
		v.FloorHeld = m.floor == 0 || m.figure.better(v.Value, m.floor)
		v.GoalHeld = m.figure.better(v.Value, m.goal)
	}
	return v
}

// check returns an error that names each mark that is missed, or could not be judged. The level is a floor or a goal;
// without one nothing is checked.
func (k *comparison) check(level string) error {
	if level == "" {
		return nil
	}
	var errs []error
	for i := range k.Rows {
		for _, v := range k.Rows[i].Verdicts {
			limit, held := v.Floor, v.FloorHeld
			if level == checkGoal {
				limit, held = v.Goal, v.GoalHeld
			}
			what := fmt.Sprintf("row %s: %s", k.Rows[i].Name, v.subject())
			switch {
			case limit == 0:
			case !v.Judged:
				errs = append(errs, fmt.Errorf("%s was not measured; its %s is %s", what, level, v.amount(limit)))
			case !held:
				errs = append(errs, fmt.Errorf("%s is %s; its %s is %s", what, v.amount(v.Value), level, v.amount(limit)))
			}
		}
	}
	return errors.Join(errs...)
}

// subject names what a verdict is about.
func (v verdict) subject() string {
	if v.Peer == "" {
		return string(v.Figure)
	}
	return string(v.Figure) + " to " + titleOf(v.Peer)
}

// amount gives a value, the floor or the goal of a verdict.
func (v verdict) amount(value float64) string {
	if v.Peer == "" {
		return grouped(value)
	}
	return strconv.FormatFloat(value, 'f', 2, 64) + "x"
}

// word says in a word what came of it.
func (v verdict) word() string {
	switch {
	case !v.Judged:
		return "not judged"
	case v.GoalHeld:
		return "goal reached"
	case v.Floor == 0:
		return "**goal missed**"
	case v.FloorHeld:
		return "floor held"
	default:
		return "**floor missed**"
	}
}

func titleOf(system string) string {
	for _, t := range titles() {
		if t.system == system {
			return t.title
		}
	}
	return system
}

// json gives everything, each single value included.
func (k *comparison) json() (string, error) {
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the report: %w", err)
	}
	return string(text) + "\n", nil
}

// markdown gives the report for people.
func (k *comparison) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# weft beside its peers\n\n%s.\n\n", k.Machine)
	var versions []string
	for _, s := range k.Systems {
		if v := k.Versions[s]; v != "" {
			versions = append(versions, v)
		}
	}
	fmt.Fprintf(&b, "%s.\n\nMedians of %d passes in turns, each of %v s, lowest and highest in brackets; \"x\" is weft's value divided by that peer's\n"+
		"in the same pass, the median of them. Of tasks/s more is better, of all else less. ", strings.Join(versions, ", "), k.Passes, k.Seconds)
	if cores := k.otherCores(); len(cores) > 0 {
		fmt.Fprintf(&b, "Meanwhile the machine had %.2f cores\nbusy with anything else (median; %.2f at most).", quantile.Median(cores), slices.Max(cores))
	}
	b.WriteString("\n\n")
	header, line := "| | figure |", "| --- | --- |"
	for _, s := range k.Systems {
		header += " " + titleOf(s) + " |"
		line += " ---: |"
	}
	fmt.Fprintf(&b, "%s\n%s\n", header, line)
	for i := range k.Rows {
		r := &k.Rows[i]
		title := r.Title
		for _, f := range r.figures() {
			fmt.Fprintf(&b, "| %s | %s |", title, f)
			for _, s := range k.Systems {
				fmt.Fprintf(&b, " %s |", r.of(s, f).cell())
			}
			b.WriteString("\n")
			title = ""
		}
	}
	k.markdownVerdicts(&b)
	for _, s := range k.Skipped {
		fmt.Fprintf(&b, "\n%s\n", s)
	}
	return b.String()
}

func (k *comparison) otherCores() []float64 {
	var cores []float64
	for _, o := range k.Others {
		cores = append(cores, o.Cores)
	}
	return cores
}

func (k *comparison) markdownVerdicts(b *strings.Builder) {
	b.WriteString("\n| | figure | value | floor | goal | |\n| --- | --- | ---: | ---: | ---: | --- |\n")
	for i := range k.Rows {
		for _, v := range k.Rows[i].Verdicts {
			floor, value := "", ""
			if v.Floor > 0 {
				floor = v.amount(v.Floor)
			}
			if v.Judged {
				value = v.amount(v.Value)
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", k.Rows[i].Title, v.subject(), value, floor, v.amount(v.Goal), v.word())
		}
	}
}

// cell gives a measured figure for the table.
func (m *measured) cell() string {
	if m == nil {
		return ""
	}
	text := fmt.Sprintf("%s (%s, %s)", grouped(m.Median), grouped(m.Lowest), grouped(m.Highest))
	if m.Ratio > 0 {
		text += fmt.Sprintf(" %.2fx", m.Ratio)
	}
	return text
}

// grouped gives a value with as many digits as mean something, thousands apart.
func grouped(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 1000:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
