package main

import (
	"fmt"
	"math"
	"strings"
	"text/template"
)

// How the chart is laid out, in pixels.
const (
	chartLabels = 230 // the width of the names of the rows
	chartWidth  = 560 // the width of the longest bar
	chartBar    = 13  // the height of a bar
	chartGap    = 12  // between rows
	chartTop    = 64
)

// chartBarOf is a bar: how many times as good as NATS a system is.
type chartBarOf struct {
	Y, Width float64
	Colour   string
	Text     string
}

// chartMark is a floor or a goal, where it is a ratio to NATS.
type chartMark struct {
	X, Top, Bottom float64
	Dashes         string
}

type chartRow struct {
	Title  string
	Middle float64
	Bars   []chartBarOf
	Marks  []chartMark
}

type chartLegend struct {
	X             float64
	Colour, Title string
}

type chartData struct {
	Width, Height, Labels, Bar, One, Top, Bottom float64
	Machine                                      string
	Legend                                       []chartLegend
	Rows                                         []chartRow
}

// chartTemplate is the drawing. All text is escaped.
const chartTemplate = `<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="10" y="20" font-size="15" font-weight="bold">How many times as good as NATS (tasks/s, or 1 / round trip p50)</text>
<text x="10" y="37" fill="#555555" font-size="10">{{html .Machine}}</text>
{{range .Legend}}<rect x="{{.X}}" y="45" width="10" height="10" fill="{{.Colour}}"/><text x="{{.X}}" y="54" dx="14">{{html .Title}}</text>
{{end}}<text x="{{.Width}}" dx="-10" y="54" text-anchor="end">grey line: NATS; dotted: weft's floor, solid: its goal</text>
{{range .Rows}}<text x="10" y="{{.Middle}}" dy="4">{{html .Title}}</text>
{{range .Bars}}<rect x="{{$.Labels}}" y="{{.Y}}" width="{{printf "%.1f" .Width}}" height="{{$.Bar}}" fill="{{.Colour}}"/><text x="{{$.Labels}}" dx="{{printf "%.1f" .Width}}" y="{{.Y}}" dy="11"> {{html .Text}}</text>
{{end}}{{range .Marks}}<line x1="{{printf "%.1f" .X}}" x2="{{printf "%.1f" .X}}" y1="{{.Top}}" y2="{{.Bottom}}" stroke="#000000" stroke-dasharray="{{.Dashes}}"/>
{{end}}{{end}}<line x1="{{printf "%.1f" .One}}" x2="{{printf "%.1f" .One}}" y1="{{.Top}}" y2="{{.Bottom}}" stroke="#888888"/>
</svg>
`

// colourOf gives each system its colour.
func colourOf(system string) string {
	return map[string]string{systemWeft: "#1f77b4", systemNATS: "#888888", systemGRPC: "#2ca02c", systemProxy: "#ff7f0e"}[system]
}

// goodness is how many times as good as NATS a system is by the median, in the first figure of a row; 0 if that cannot
// be said. For weft it is the median of the passes' ratios.
func (r *comparedRow) goodness(system string) float64 {
	f := r.figures()[0]
	nats, m := r.of(systemNATS, f), r.of(system, f)
	if nats == nil || m == nil || m.Median == 0 || nats.Median == 0 {
		return 0
	}
	ratio := m.Median / nats.Median
	if system == systemWeft {
		ratio = nats.Ratio
	}
	if f.more() || ratio == 0 {
		return ratio
	}
	return 1 / ratio
}

// chart draws the rows in which NATS was measured, as SVG.
func (k *comparison) chart() (string, error) {
	most := 1.0
	for i := range k.Rows {
		for _, s := range k.Systems {
			most = max(most, k.Rows[i].goodness(s))
		}
		for _, l := range k.Rows[i].limits() {
			most = max(most, l.at)
		}
	}
	scale := chartWidth / math.Ceil(most)
	d := chartData{
		Width: chartLabels + chartWidth + 70, Labels: chartLabels, Bar: chartBar - 1, One: chartLabels + scale, Top: chartTop,
		Machine: k.Machine.String(),
	}
	var drawn []string
	for _, s := range k.Systems {
		if s != systemNATS {
			d.Legend = append(d.Legend, chartLegend{X: float64(10 + 130*len(drawn)), Colour: colourOf(s), Title: titleOf(s)})
			drawn = append(drawn, s)
		}
	}
	y := float64(chartTop)
	for i := range k.Rows {
		r := &k.Rows[i]
		row := chartRow{Title: r.Title}
		top := y
		for _, s := range drawn {
			if good := r.goodness(s); good > 0 {
				row.Bars = append(row.Bars, chartBarOf{Y: y, Width: good * scale, Colour: colourOf(s), Text: fmt.Sprintf("%.2f", good)})
				y += chartBar
			}
		}
		if len(row.Bars) == 0 {
			continue
		}
		row.Middle = (top + y) / 2
		for _, l := range r.limits() {
			row.Marks = append(row.Marks, chartMark{X: chartLabels + l.at*scale, Top: top, Bottom: top + chartBar, Dashes: l.dashes})
		}
		y += chartGap
		d.Rows = append(d.Rows, row)
	}
	d.Bottom, d.Height = y, y+10
	drawing, err := template.New("chart").Parse(chartTemplate)
	if err != nil {
		return "", fmt.Errorf("draw the chart: %w", err)
	}
	var b strings.Builder
	if err := drawing.Execute(&b, d); err != nil {
		return "", fmt.Errorf("draw the chart: %w", err)
	}
	return b.String(), nil
}

// limit is a floor or a goal in the first figure of a row, as a ratio to NATS; at is where it lies in the chart's measure.
type limit struct {
	at     float64
	dashes string
}

// limits gives the floor (dotted) and the goal of a row, where the chart can show them.
func (r *comparedRow) limits() []limit {
	var all []limit
	for _, m := range r.marks {
		if m.figure != r.figures()[0] || m.peer != systemNATS {
			continue
		}
		floor, goal := m.floor, m.goal
		if !m.figure.more() {
			floor, goal = 1/floor, 1/goal
		}
		all = append(all, limit{floor, "2"}, limit{goal, "none"})
	}
	return all
}
