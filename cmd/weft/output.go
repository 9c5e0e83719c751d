package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// The forms of output that -o takes.
const (
	formTable = "table"
	formWide  = "wide"
	formJSON  = "json"
	formYAML  = "yaml"
	formName  = "name"
)

func forms() []string { return []string{formTable, formWide, formJSON, formYAML, formName} }

// column is one column of a table of T.
type column[T any] struct {
	title string
	right bool // aligned to the right, for numbers
	cell  func(T) string
}

// printList writes items in the form: a table, a wide one with more columns, the list as JSON or YAML, or the names alone,
// which the first column has.
func printList[T any](w io.Writer, form string, items []T, columns []column[T], more ...column[T]) error {
	switch form {
	case formJSON, formYAML:
		if items == nil {
			items = []T{}
		}
		return printValue(w, form, items)
	case formName:
		var b strings.Builder
		for _, item := range items {
			b.WriteString(columns[0].cell(item) + "\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	case formWide:
		columns = slices.Concat(columns, more)
	}
	rows := make([][]string, 1, len(items)+1)
	right := make([]bool, len(columns))
	for i, c := range columns {
		rows[0] = append(rows[0], c.title)
		right[i] = c.right
	}
	for _, item := range items {
		var row []string
		for _, c := range columns {
			row = append(row, c.cell(item))
		}
		rows = append(rows, row)
	}
	return printRows(w, rows, right)
}

// showList writes the items of a command's answer in the form that was asked for. Where there are none a terminal shows that
// instead of an empty table.
func showList[T any](a *app, things string, items []T, columns []column[T], more ...column[T]) error {
	if len(items) == 0 && (a.form == formTable || a.form == formWide) && isTerminal(a.out) {
		_, err := fmt.Fprintf(a.errOut, "no %s\n", things)
		return err
	}
	return printList(a.out, a.form, items, columns, more...)
}

// printRows writes rows in aligned columns, two spaces apart. A column that is empty below its title is left out.
func printRows(w io.Writer, rows [][]string, right []bool) error {
	width := make([]int, len(right))
	for i := range width {
		filled := len(rows) == 1
		for n, row := range rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
			filled = filled || n > 0 && row[i] != ""
		}
		if !filled {
			width[i] = -1
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if width[i] < 0 {
				continue
			}
			if line.Len() > 0 {
				line.WriteString("  ")
			}
			gap := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line.WriteString(gap + cell)
			} else {
				line.WriteString(cell + gap)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// pair is one line of a description; one without a value is left out.
type pair struct{ key, value string }

// printPairs writes a description of one thing: a key and a value in each line.
func printPairs(w io.Writer, pairs []pair) error {
	width := 0
	for _, p := range pairs {
		if p.value != "" {
			width = max(width, len(p.key)+1)
		}
	}
	var b strings.Builder
	for _, p := range pairs {
		if p.value != "" {
			indented := strings.ReplaceAll(strings.TrimRight(p.value, "\n"), "\n", "\n"+strings.Repeat(" ", width+2))
			fmt.Fprintf(&b, "%-*s  %s\n", width, p.key+":", indented)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printOne writes one thing in the form: its description, or v as JSON or YAML, or its name.
func printOne(w io.Writer, form, name string, v any, describe []pair) error {
	switch form {
	case formJSON, formYAML:
		return printValue(w, form, v)
	case formName:
		_, err := io.WriteString(w, name+"\n")
		return err
	default:
		return printPairs(w, describe)
	}
}

// printValue writes v as JSON or YAML, with the same keys in both.
func printValue(w io.Writer, form string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	text = append(text, '\n')
	if form == formYAML {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("output: %w", err)
		}
		text = append(bytes.TrimRight(text, "\n"), '\n')
	}
	_, err = w.Write(text)
	return err
}
