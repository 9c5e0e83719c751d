package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// compareConfig is what a comparison is told.
type compareConfig struct {
	passes  int
	seconds float64
	rows    string // regular expression; of all of a name
	systems []string
	peers   string // program; empty: to be found
	out     string // folder; empty: nothing is written
	check   string
}

const (
	checkFloor = "floor"
	checkGoal  = "goal"
)

func newCompare() *cobra.Command {
	var c compareConfig
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure weft and its peers in the same minutes, and say how they compare",
		Long: `Measure weft and its peers (NATS, gRPC without a broker, libzmq's own proxy in C) in turns, in several passes. Each
measurement starts the processes of one system anew. A ratio is that of weft's value to a peer's of the same pass; the
median of the passes is what counts, because only values of the same minutes can be compared.

The peers are in a program of their own, weft-bench-peers (make build-peers); without it weft is measured alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := c.validate()
			if err != nil {
				return err
			}
			compared, err := c.run(cmd.Context(), rows, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := compared.write(c.out, cmd.OutOrStdout()); err != nil {
				return err
			}
			return compared.check(c.check)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&c.passes, "passes", 5, "how often everything is measured")
	flags.Float64Var(&c.seconds, "seconds", 1.5, "how long each measurement takes, beside half a second to warm up")
	flags.StringVar(&c.rows, "rows", ".*", "regular expression for the names of the rows to measure: "+strings.Join(rowNames(), ", "))
	flags.StringSliceVar(&c.systems, "systems", systemNames(), "what to measure")
	flags.StringVar(&c.peers, "peers", "", "the program "+peersProgram+"; beside this one or on the path if not given")
	flags.StringVar(&c.out, "out", "", "folder for compare.md, compare.json and compare.svg")
	flags.StringVar(&c.check, "check", "", "fail when a floor (or, --check=goal, a goal) is missed or cannot be judged")
	flags.Lookup("check").NoOptDefVal = checkFloor
	return cmd
}

func rowNames() []string {
	var names []string
	for _, r := range compareRows() {
		names = append(names, r.name)
	}
	return names
}

func systemNames() []string {
	var names []string
	for _, t := range titles() {
		names = append(names, t.system)
	}
	return names
}

// validate names the flags that cannot be, and gives the rows that were chosen.
func (c *compareConfig) validate() ([]compareRow, error) {
	errs := []error{
		inRange("passes", c.passes, 1, 1000),
		inRange("seconds", c.seconds, leastSeconds, mostSeconds),
		oneOf("check", c.check, "", checkFloor, checkGoal),
	}
	for _, s := range c.systems {
		errs = append(errs, oneOf("systems", s, systemNames()...))
	}
	if len(c.systems) == 0 {
		errs = append(errs, fmt.Errorf("--systems: none is given; give some of %q", systemNames()))
	}
	var rows []compareRow
	if wanted, err := regexp.Compile("^(?:" + c.rows + ")$"); err != nil {
		errs = append(errs, fmt.Errorf("--rows: %q is no regular expression: %w", c.rows, err))
	} else {
		rows = slices.DeleteFunc(compareRows(), func(r compareRow) bool { return !wanted.MatchString(r.name) })
		if len(rows) == 0 {
			errs = append(errs, fmt.Errorf("--rows: %q matches none of %q", c.rows, rowNames()))
		}
	}
	if c.out != "" {
		if err := os.MkdirAll(c.out, 0o755); err != nil {
			errs = append(errs, fmt.Errorf("--out: %w; give a folder that can be written to", err))
		}
	}
	return rows, errors.Join(errs...)
}

// run measures everything in turns.
func (c *compareConfig) run(ctx context.Context, rows []compareRow, progress io.Writer) (*comparison, error) {
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, format, args...) //nolint:errcheck // it is for the one who waits, if anybody does
	}
	k := newComparison(rows, c.passes, c.seconds, describeMachine(time.Now()))
	program, err := findPeers(c.peers)
	if err != nil && c.peers != "" {
		return nil, err
	}
	for _, s := range titles() {
		switch {
		case !slices.Contains(c.systems, s.system):
		case s.system != systemWeft && program == "":
			k.skip(s.system, "", "there is no "+peersProgram+": build it by make build-peers, which needs the network once")
		default:
			k.Systems = append(k.Systems, s.system)
		}
	}
	for _, s := range k.Skipped {
		say("%v\n", s)
	}
	for pass := range c.passes {
		for i := range rows {
			systems := slices.DeleteFunc(slices.Clone(k.Systems), func(s string) bool { return !k.takesPart(&rows[i], s) })
			if pass%2 == 1 {
				slices.Reverse(systems) // none is always measured right after another one
			}
			for _, system := range systems {
				say("pass %d of %d  %-10s %-10s", pass+1, c.passes, rows[i].name, system)
				got, err := c.measure(ctx, program, system, &rows[i])
				if err == nil {
					k.note(&rows[i], system, pass, got)
					say("%s\n", said(&rows[i], got))
					continue
				}
				say("  failed: %v\n", err)
				if ctx.Err() != nil || system == systemWeft {
					return nil, fmt.Errorf("%s, row %s: %w", system, rows[i].name, errors.Join(context.Cause(ctx), err))
				}
				k.skip(system, rows[i].name, err.Error())
			}
		}
	}
	k.sum()
	return k, nil
}

// said gives what was measured, for the one who waits.
func said(r *compareRow, got passed) string {
	var text strings.Builder
	for _, f := range r.figures() {
		fmt.Fprintf(&text, "  %s %s", grouped(got.values[f]), f)
	}
	fmt.Fprintf(&text, "  (others: %.2f cores)", got.others)
	return text.String()
}

// passed is what one measurement of a system gave.
type passed struct {
	version string
	values  map[figure]float64
	others  float64 // cores that were busy with anything else
}

// measure starts a system for a row, measures it and ends it.
func (c *compareConfig) measure(ctx context.Context, program, system string, r *compareRow) (p passed, err error) {
	var s *contender
	if system == systemWeft {
		s, err = startWeft(ctx, r)
	} else {
		s, err = startPeer(ctx, program, system, r)
	}
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	p.version = s.version
	p.values, p.others, err = s.measure(ctx, r, time.Duration(c.seconds*float64(time.Second)))
	return p, err
}

// write writes the report into a folder, if there is one, and the table to out.
func (k *comparison) write(folder string, out io.Writer) error {
	table := k.markdown()
	if folder != "" {
		chart, err := k.chart()
		if err != nil {
			return err
		}
		text, err := k.json()
		if err != nil {
			return err
		}
		for _, f := range []struct{ name, text string }{
			{"compare.md", table}, {"compare.json", text}, {"compare.svg", chart},
		} {
			if err := os.WriteFile(filepath.Join(folder, f.name), []byte(f.text), 0o644); err != nil { //nolint:gosec // for all to read
				return fmt.Errorf("write the report: %w", err)
			}
		}
	}
	_, err := io.WriteString(out, table)
	return err
}
