package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/nearest"
	"github.com/weft-fabric/weft/protocol"
)

func newQueue(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "queue", Short: "See and change the queues through which containers are handed out"})
	a.brokerFlag(cmd)
	cmd.AddCommand(newQueueApply(a), newQueueList(a), newQueueTree(a), newQueueGet(a), newQueueDrain(a), newQueueShapes(a))
	return cmd
}

func newQueueApply(a *app) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Replace the queues and shapes by those of a YAML file (- for standard input), while everything runs",
		Long: `Replace the queues and shapes by those of a YAML file, or of standard input when FILE is -, while everything runs.
It prints what changes. All of it is applied, or nothing when anything is wrong, and then everything that is wrong is
said. Queues with running services stay as queues without children: drain them first (weft queue drain).

` + queuesExample + `
Amounts are as in a service's file. A change of a shape concerns services that are registered from then on.`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			apply, err := readQueuesFrom(a.in, args[0])
			if err != nil {
				return err
			}
			apply.DryRun = dry
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				applied, err := c.ApplyQueues(ctx, apply)
				if err != nil {
					return err
				}
				if a.form == formTable || a.form == formWide {
					_, err := fmt.Fprint(a.out, describeChanges(applied))
					return err
				}
				var names []string
				for _, change := range applied.Changes {
					names = append(names, change.Queue+change.Shape)
				}
				return printOne(a.out, a.form, strings.Join(names, "\n"), applied, nil)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would change, and change nothing")
	a.outputFlag(cmd)
	return cmd
}

func newQueueList(a *app) *cobra.Command {
	return listQueues(a, "list", "List the queues, with what they use and may use", queueColumns)
}

func newQueueTree(a *app) *cobra.Command {
	return listQueues(a, "tree", "Show the queues as a tree", func() []column[protocol.QueueInfo] {
		columns := queueColumns()
		if a.form != formName {
			columns[0].cell = func(q protocol.QueueInfo) string { return strings.Repeat("  ", q.Depth) + q.Queue.Name }
		}
		return columns
	})
}

// listQueues makes a command that shows all queues in these columns.
func listQueues(a *app, use, short string, columns func() []column[protocol.QueueInfo]) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Queues(ctx, client.Filter{}))
				if err != nil {
					return err
				}
				return showList(a, "queues", found, columns(), queueDetails()...)
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

func newQueueGet(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show one queue in full",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Queues(ctx, client.Filter{Name: args[0]}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return noQueue(ctx, c, args[0])
				}
				return printOne(a.out, a.form, args[0], found[0], describeQueue(found[0]))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

// noQueue says that there is no queue of that name, and which may have been meant.
func noQueue(ctx context.Context, c operator, name string) error {
	all, err := collect(c.Queues(ctx, client.Filter{}))
	if err != nil {
		return err
	}
	var names []string
	for _, q := range all {
		names = append(names, q.Queue.Name)
	}
	hint := "see: weft queue list"
	if near, ok := nearest.Of(name, names); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return protocol.Errorf(protocol.CodeNotFound, "queue", "there is no queue %q: %s", name, hint)
}

func newQueueDrain(a *app) *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use:   "drain NAME",
		Short: "Let a queue, and those below it, take no new sessions; those that it has go on",
		Long: "Let a queue, and those below it, take no new sessions; those that it has go on. When they are over the queue can be\n" +
			"taken away (weft queue apply).",
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.DrainQueue(ctx, args[0], undo); err != nil {
					return err
				}
				if undo {
					_, err := fmt.Fprintf(a.out, "queue %s: takes sessions again\n", args[0])
					return err
				}
				found, err := collect(c.Queues(ctx, client.Filter{Name: args[0]}))
				if err != nil {
					return err
				}
				left := 0
				for i := range found {
					left += found[i].Sessions
				}
				_, err = fmt.Fprintf(a.out, "queue %s: takes no new sessions; %s open\n", args[0], plural(left, "session"))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "take sessions again")
	return cmd
}

// shape is a shape of containers with its name.
type shape struct {
	Name     string            `json:"name"`
	Capacity protocol.Capacity `json:"capacity"`
}

func newQueueShapes(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shapes",
		Short: "List the shapes of containers that services may name",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := c.Shapes(ctx)
				if err != nil {
					return err
				}
				var list []shape
				for _, name := range sortedNames(found) {
					list = append(list, shape{name, found[name]})
				}
				return showList(a, "shapes", list, []column[shape]{
					{"SHAPE", false, func(s shape) string { return s.Name }},
					{"CAPACITY", false, func(s shape) string { return describeCapacity(s.Capacity) }},
				})
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
