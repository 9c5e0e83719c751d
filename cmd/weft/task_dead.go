package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// deadID reads the number of an entry of the dead-letter list as the user typed it.
func deadID(s string) (uint64, error) {
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil || id == 0 {
		return 0, badInput("%q is not the number of a task that was given up (see: weft task list --dead)", s)
	}
	return id, nil
}

func deadIDs(args []string) ([]uint64, error) {
	ids := make([]uint64, len(args))
	for i, arg := range args {
		var err error
		if ids[i], err = deadID(arg); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// listDead lists the dead-letter list, and says when it was too short.
func listDead(ctx context.Context, a *app, filter client.Filter, args []string) error {
	if len(args) > 0 {
		var err error
		if filter.Session, err = sessionNumber(args[0]); err != nil {
			return err
		}
	}
	return a.ask(ctx, func(ctx context.Context, c operator) error {
		letters, err := collect(c.DeadLetters(ctx, filter))
		if err != nil {
			return err
		}
		if err := showList(a, "tasks were given up", letters, deadColumns(a.now()), deadDetails()...); err != nil {
			return err
		}
		lost, err := c.LostDeadLetters(ctx)
		if err == nil && lost > 0 {
			_, err = fmt.Fprintf(a.errOut, "%s lost before these: the broker keeps only so many, and so many bytes (weft broker --dead-letters, --dead-letter-bytes)\n", plural(lost, "task"))
		}
		return err
	})
}

// getDead shows an entry of the dead-letter list, or saves its payload.
func getDead(ctx context.Context, a *app, arg, file string) error {
	id, err := deadID(arg)
	if err != nil {
		return err
	}
	return a.ask(ctx, func(ctx context.Context, c operator) error {
		l, payload, err := c.DeadLetter(ctx, id)
		switch {
		case err != nil:
			return err
		case file == "-":
			_, err = a.out.Write(payload)
			return err
		case file != "":
			return os.WriteFile(file, payload, 0o600)
		}
		return printOne(a.out, a.form, arg, l, describeDead(&l, a.now()))
	})
}

func newTaskRetry(a *app) *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "retry ID...",
		Short: "Run tasks again that were given up",
		Long: "Run tasks again that were given up after their attempts, each in a new session of the same service, version,\n" +
			"environment and parameters, and print their results, as the bytes that they are. One that succeeds is taken off the\n" +
			"dead-letter list. One that is given up again has a new number in it, which the error says.",
		Args: takesSome("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := deadIDs(args)
			if err != nil {
				return err
			}
			if folder != "" { // before a result has nowhere to go
				if err := os.MkdirAll(folder, 0o700); err != nil {
					return badInput("--results: %w", err)
				}
			}
			return a.ask(cmd.Context(), func(_ context.Context, c operator) error {
				var failed []error
				for _, id := range ids {
					result, err := c.RetryDeadLetter(cmd.Context(), id) // a task may take its time
					if err == nil {
						err = saveResult(a.out, folder, id, result)
					}
					if err != nil {
						failed = append(failed, fmt.Errorf("task %d: %w", id, err))
					}
				}
				return errors.Join(failed...)
			})
		},
	}
	cmd.Flags().StringVar(&folder, "results", "", "folder for the results, each in a file with the task's number (default: they are printed)")
	return cmd
}

// saveResult prints the result of a task, or saves it.
func saveResult(out io.Writer, folder string, id uint64, result []byte) error {
	if folder != "" {
		file := filepath.Join(folder, strconv.FormatUint(id, 10))
		if err := os.WriteFile(file, result, 0o600); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "task %d: its result is in %s\n", id, file)
		return err
	}
	if !bytes.HasSuffix(result, []byte("\n")) {
		result = append(bytes.Clone(result), '\n')
	}
	_, err := out.Write(result)
	return err
}

func newTaskDrop(a *app) *cobra.Command {
	var which protocol.DropDead
	cmd := &cobra.Command{
		Use:   "drop ID... | --service NAME | --all",
		Short: "Take tasks off the dead-letter list",
		Long: "Take tasks off the list of those that were given up after their attempts: those with these numbers, those of a\n" +
			"service, or all; and say how many that were. With --service, numbers are only taken off if they are of that service.",
		Args: func(cmd *cobra.Command, args []string) error {
			if which.All || which.Service != "" {
				return nil
			}
			return takesSome("ID")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if which.IDs, err = deadIDs(args); err != nil {
				return err
			}
			if which.All && (len(args) > 0 || which.Service != "") {
				return badInput("--all: does not go with numbers, nor with --service")
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				n, err := c.DropDeadLetters(ctx, which)
				if err == nil && n == 0 && which.Service != "" && len(which.IDs) == 0 {
					err = registered(ctx, c, which.Service)
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.out, droppedText(&which, n))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&which.Service, "service", "", "those of this service")
	cmd.Flags().BoolVar(&which.All, "all", false, "all")
	return cmd
}

// registered gives an error for the name of a service that there is not.
func registered(ctx context.Context, c operator, name string) error {
	found, err := collect(c.Services(ctx, client.Filter{Name: name}))
	if err == nil && len(found) == 0 {
		err = notRegistered(ctx, c, protocol.ServiceRef{Name: name})
	}
	return err
}

// droppedText says how many were dropped.
func droppedText(which *protocol.DropDead, n int) string {
	text := plural(n, "task")
	if which.Service != "" {
		text += " of service " + which.Service
	}
	text += " dropped"
	left := len(which.IDs) - n
	switch {
	case left > 0 && which.Service != "":
		text += fmt.Sprintf("; %d not on the dead-letter list any more, or of another service", left)
	case left > 0:
		text += fmt.Sprintf("; %d not on the dead-letter list any more", left)
	case n == 0:
		text += ": there are none on the dead-letter list"
	}
	return text
}

// deadColumns is the table of the tasks that were given up.
func deadColumns(now time.Time) []column[protocol.DeadLetter] {
	type letter = protocol.DeadLetter
	return []column[letter]{
		{"ID", true, func(l letter) string { return strconv.FormatUint(l.ID, 10) }},
		{"SERVICE", false, func(l letter) string { return l.Service }},
		{"TASK", true, func(l letter) string { return taskName{l.Session, l.Task.Sequence()}.String() }},
		{"CLIENT", false, func(l letter) string { return l.Client }},
		{"GIVEN UP", true, func(l letter) string { return since(l.At, now) }},
		{"SIZE", true, func(l letter) string { return humanBytes(l.Size) }},
		{"ATTEMPTS", true, func(l letter) string { return humanCount(l.Attempts) }},
		{"LOSSES", true, func(l letter) string { return humanCount(l.Losses) }},
		{"ERROR", false, func(l letter) string { return errorLine(l.Error) }},
	}
}

// deadDetails are the further columns of the wide table.
func deadDetails() []column[protocol.DeadLetter] {
	type letter = protocol.DeadLetter
	return []column[letter]{
		{"VERSION", false, func(l letter) string { return l.Version }},
		{"ENVIRONMENT", false, func(l letter) string { return l.Environment }},
		{"SESSION", false, func(l letter) string { return l.SessionName }},
		{"LAST ON", false, func(l letter) string { return namesOf(l.Instances, " ") }},
	}
}

// describeDead is one task that was given up in full.
func describeDead(l *protocol.DeadLetter, now time.Time) []pair {
	parameters, why, last := "", "", ""
	if n := len(l.Parameters); n > 0 {
		parameters = humanBytes(int64(n))
	}
	if l.Error != nil {
		why = l.Error.Error()
	}
	if l.Last != nil {
		last = l.Last.Error()
	}
	return []pair{
		{"number", strconv.FormatUint(l.ID, 10)},
		{"task", taskName{l.Session, l.Task.Sequence()}.String()},
		{"service", strings.TrimSpace(l.Service + " " + l.Version)},
		{"environment", l.Environment},
		{"client", l.Client},
		{"session", l.SessionName},
		{"parameters", parameters},
		{"given up", since(l.At, now)},
		{"size", humanBytes(l.Size)},
		{"attempts", fmt.Sprintf("%d that failed, %s", l.Attempts, plural(l.Losses, "lost instance"))},
		{"error", why},
		{"last error", last},
		{"last ran on", namesOf(l.Instances, "\n")},
	}
}

// namesOf names instances, the latest last.
func namesOf(list []protocol.InstanceRef, between string) string {
	var names []string
	for _, i := range list {
		name := i.Container
		if i.Node != "" {
			name += "@" + i.Node
		}
		names = append(names, name)
	}
	return strings.Join(names, between)
}

// deadLetters gives the numbers of the tasks that were given up, as words to complete.
func deadLetters(ctx context.Context, c operator) ([]cobra.Completion, error) {
	found, err := collect(c.DeadLetters(ctx, client.Filter{}))
	return words(found, func(l protocol.DeadLetter) (string, string) {
		return strconv.FormatUint(l.ID, 10), l.Service + ": " + errorLine(l.Error)
	}), err
}
