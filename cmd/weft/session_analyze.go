package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/analyze"
	"github.com/weft-fabric/weft/protocol"
)

// sessionAnalysis is what holds a session up, and what that is judged by.
type sessionAnalysis struct {
	Session  protocol.SessionInfo `json:"session"`
	Analysis analyze.Analysis     `json:"analysis"`
	Stats    protocol.Stats       `json:"stats"`
}

// stepsHelp explains the table of steps.
const stepsHelp = `The steps of a task: queued until it is given to an instance; in flight from there until its result is at the broker;
executing, which is the hook alone; returning from the broker to the client. TIMED is how many were measured: of those in
flight and returning only samples are; of those executing, what an instance reports together counts at its mean. Means are
exact; P50, P95 and P99 are estimates, from counts of durations between powers of two: they may be wrong by that factor where
there are few, and are never above the longest that was counted.`

func newSessionAnalyze(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "analyze NUMBER",
		Short: "Say what holds a session up, and where the time of its tasks goes",
		Long: `Say what holds a session up: too few instances, a slow hook, big payloads, a slow client, or retries; the
figures that show it, and what to do about it. Then where the time of its tasks goes.

It looks at all that was counted since the session was opened, also of one that is over.

` + stepsHelp,
		Args: takes("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := sessionNumber(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Sessions(ctx, client.Filter{Session: number, All: true}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return noSession(number)
				}
				stats, err := c.SessionStats(ctx, number)
				if err != nil {
					return err
				}
				v := sessionAnalysis{found[0], analyze.Of(&stats), stats}
				switch a.form {
				case formJSON, formYAML:
					return printValue(a.out, a.form, v)
				case formName:
					_, err := fmt.Fprintln(a.out, v.Analysis.Bottleneck)
					return err
				default:
					return printAnalysis(a.out, v)
				}
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

// printAnalysis writes an analysis for people.
func printAnalysis(w io.Writer, v sessionAnalysis) error {
	s := v.Session
	state := stateOf(s)
	if s.Reason != "" {
		state += ": " + firstLine(s.Reason)
	}
	if _, err := fmt.Fprintf(w, "session %d of %s, %s\n\n", s.Session, strings.TrimSpace(s.Service+" "+s.Version), state); err != nil {
		return err
	}
	if err := printFinding(w, v.Analysis.Finding); err != nil {
		return err
	}
	for _, f := range v.Analysis.Also {
		if _, err := fmt.Fprintln(w, "Besides:"); err != nil {
			return err
		}
		if err := printFinding(w, f); err != nil {
			return err
		}
	}
	return printBreakdown(w, &v.Stats, v.Analysis)
}

// printFinding writes the bottleneck, why it is thought to be one, and what to do.
func printFinding(w io.Writer, f analyze.Finding) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %s\n", strings.ToUpper(string(f.Bottleneck[:1]))+string(f.Bottleneck[1:]), f.Summary)
	for _, e := range f.Evidence {
		b.WriteString("  - " + e + "\n")
	}
	if len(f.Advice) > 0 {
		b.WriteString("What to do:\n")
		for _, e := range f.Advice {
			b.WriteString("  - " + e + "\n")
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// printBreakdown writes where the time of tasks goes, and what was counted.
func printBreakdown(w io.Writer, s *protocol.Stats, a analyze.Analysis) error {
	rows := [][]string{{"STEP", "TIMED", "MEAN", "P50", "P95", "P99"}}
	for _, t := range a.Steps {
		row := []string{t.Name, humanCount(t.Count), "-", "-", "-", "-"}
		if t.Count > 0 {
			row = []string{t.Name, humanCount(t.Count), humanDuration(t.Mean), humanDuration(t.P50), humanDuration(t.P95), humanDuration(t.P99)}
		}
		rows = append(rows, row)
	}
	if err := printRows(w, rows, []bool{false, true, true, true, true, true}); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printPairs(w, describeStats(s, a))
}

// describeStats is what was counted, without the times of tasks.
func describeStats(s *protocol.Stats, a analyze.Analysis) []pair {
	delay, rates := "", ""
	if s.Delay > 0 {
		delay = humanDuration(s.Delay) + " from opening to running"
	}
	if s.Active > 0 {
		rates = fmt.Sprintf("%.1f tasks/s, payloads %s/s, results %s/s, while there was something to do",
			a.Rates.Tasks, humanBytes(int64(a.Rates.BytesIn)), humanBytes(int64(a.Rates.BytesOut)))
	}
	pairs := []pair{
		{"since", humanDuration(s.At.Sub(s.Since)) + " before"},
		{"delay", delay},
		{"tasks", fmt.Sprintf("%s accepted, %s waiting, %s in flight, %s done, %s failed", humanCount(s.Submitted),
			humanCount(s.Waiting), humanCount(s.Flying), humanCount(s.Done), humanCount(s.Failed))},
		{"of these", counted([]tally{
			{s.Cancelled, "cancelled"},
			{s.Dead, "in the dead-letter list"},
			{s.Refused, "refused"},
			repeats(s.Retried),
			late(s.Late),
		})},
		{"bytes", fmt.Sprintf("payloads %s, results %s", humanBytes(int64(s.BytesIn)), humanBytes(int64(s.BytesOut)))},
		{"rates", rates},
		{"instances", fmt.Sprintf("%s now, at most %s, with %s each", humanCount(s.Instances), humanCount(s.Most), plural(s.Slots, "slot"))},
	}
	if s.Active > 0 {
		pairs = append(pairs, pair{"time", fmt.Sprintf("%s with something to do; of that %s without room at any instance, %s waiting for the client",
			humanDuration(s.Active), humanDuration(s.Starved), humanDuration(s.Blocked))})
	}
	if s.Serving > 0 {
		pairs = append(pairs, pair{"work", fmt.Sprintf("instances were there for %s together, and executed for %s", humanDuration(s.Serving), humanDuration(s.Busy))})
	}
	return pairs
}

type tally struct {
	n    uint64
	what string
}

func repeats(n uint64) tally {
	if n == 1 {
		return tally{n, "repeat"}
	}
	return tally{n, "repeats"}
}

func late(n uint64) tally {
	if n == 1 {
		return tally{n, "late result dropped"}
	}
	return tally{n, "late results dropped"}
}

// counted writes what there is any of.
func counted(all []tally) string {
	var parts []string
	for _, t := range all {
		if t.n > 0 {
			parts = append(parts, humanCount(t.n)+" "+t.what)
		}
	}
	return strings.Join(parts, ", ")
}
