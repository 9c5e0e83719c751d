package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newSessionEvents(a *app) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "events NUMBER",
		Short: "Show what happened to a session: its last events",
		Long: fmt.Sprintf("Show what happened to a session: its last %s events, the oldest first. Of what happens often only the first few are\n"+
			"told by themselves; then, less and less often, how many more like these there were.", humanCount(protocol.MaxEvents)),
		Args: takes("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := sessionNumber(args[0])
			if err != nil {
				return err
			}
			if follow && a.watch {
				return badInput("--follow and --watch: either of the two")
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if follow {
					return followEvents(cmd.Context(), a, c, number)
				}
				events, _, err := c.Events(ctx, number, 0)
				if err != nil {
					return err
				}
				return showList(a, "events", events, eventColumns(a.now()))
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens, asked for every --interval, until the session is over or Ctrl-C")
	a.formFlag(cmd)
	return cmd
}

// followEvents writes events as they come, until no further one will, or ctx ends, which is the way to end it.
func followEvents(ctx context.Context, a *app, c operator, number protocol.SessionNumber) error {
	if a.interval <= 0 {
		return badInput("--interval: %v is not above 0", a.interval)
	}
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	last := uint64(0)
	for {
		var over bool
		err := asking(ctx, c, func(ctx context.Context, c operator) error {
			events, end, err := c.Events(ctx, number, last)
			if err != nil {
				return err
			}
			over = end
			for _, e := range events {
				if err := printEvent(a, e, last); err != nil {
					return err
				}
				last = e.Number
			}
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil || over:
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// printEvent writes one of many events; last is the number of the one before it, 0 for none.
func printEvent(a *app, e protocol.SessionEvent, last uint64) error {
	switch a.form {
	case formYAML:
		return printValue(a.out, a.form, []protocol.SessionEvent{e}) // all together are one list
	case formJSON:
		return printValue(a.out, a.form, e)
	case formName:
		_, err := fmt.Fprintln(a.out, e.Number)
		return err
	}
	if last > 0 && e.Number > last+1 {
		if _, err := fmt.Fprintf(a.out, "(%s dropped)\n", plural(e.Number-last-1, "event")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(a.out, eventLine(e, a.now()))
	return err
}

// eventColumns is the table of the events of a session.
func eventColumns(now time.Time) []column[protocol.SessionEvent] {
	type event = protocol.SessionEvent
	return []column[event]{
		{"NUMBER", true, func(e event) string { return strconv.FormatUint(e.Number, 10) }},
		{"TIME", false, func(e event) string { return e.At.In(now.Location()).Format(eventTime) }},
		{"EVENT", false, func(e event) string { return e.Kind }},
		{"DETAIL", false, func(e event) string { return firstLine(e.Detail) }},
	}
}

const eventTime = "2006-01-02 15:04:05.000"

func eventLine(e protocol.SessionEvent, now time.Time) string {
	return strings.TrimRight(fmt.Sprintf("%s  %-9s  %s", e.At.In(now.Location()).Format(eventTime), e.Kind, firstLine(e.Detail)), " ")
}

// lastEvents gives the last events for a description, a line each.
func lastEvents(events []protocol.SessionEvent, now time.Time) string {
	const shown = 10
	var lines []string
	for _, e := range slices.Backward(events) {
		if len(lines) == shown {
			lines = append(lines, "(earlier ones: weft session events)")
			break
		}
		lines = append(lines, eventLine(e, now))
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}
