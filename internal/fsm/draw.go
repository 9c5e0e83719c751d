package fsm

import (
	"fmt"
	"strings"
)

// Markdown draws the table for a document: a line for every pair, with the state
// that follows or the reason of the refusal. Equal tables give equal text.
func (t *Table[S, E]) Markdown() string {
	var b strings.Builder
	b.WriteString("| state | event | becomes | refused because |\n| --- | --- | --- | --- |\n")
	for c := range t.Cells() {
		becomes := c.To.String()
		if c.Refused != "" {
			becomes = ""
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n",
			escape(c.From.String()), escape(c.On.String()), escape(becomes), escape(c.Refused))
	}
	return b.String()
}

// escape keeps a text inside its cell of a Markdown table.
func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}

// Mermaid draws the table as a state diagram in Mermaid's notation, which code
// hosts show as a picture: an arrow for each pair of states, labelled with the
// events that take it. Refusals are not in it. Equal tables give equal text.
func (t *Table[S, E]) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for i, s := range t.states {
		fmt.Fprintf(&b, "    state %q as s%d\n", s.String(), i)
	}
	for i, from := range t.states {
		for j, to := range t.states {
			var labels []string
			for _, e := range t.events {
				if next, ok := t.Next(from, e); ok && next == to {
					labels = append(labels, e.String())
				}
			}
			if len(labels) > 0 {
				fmt.Fprintf(&b, "    s%d --> s%d: %s\n", i, j, strings.Join(labels, ", "))
			}
		}
	}
	return b.String()
}
