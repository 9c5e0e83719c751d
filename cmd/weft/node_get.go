package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newNodeGet(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show one compute node in full",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Nodes(ctx, client.Filter{Name: args[0], All: true}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return noNode(args[0])
				}
				return printOne(a.out, a.form, args[0], found[0], describeNode(found[0]))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

func noNode(name string) error {
	return protocol.Errorf(protocol.CodeNotFound, "node", "there is no node %q (see: weft node list)", name)
}

func newNodeTop(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "List the compute nodes, those first of which most is handed out",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Nodes(ctx, client.Filter{}))
				if err != nil {
					return err
				}
				slices.SortStableFunc(found, func(a, b protocol.NodeInfo) int { return cmp.Compare(busy(b), busy(a)) })
				return showList(a, "nodes", found, nodeLoadColumns())
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

func newNodeCordon(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "cordon NAME...",
		Short: "Let nodes take no new containers; those that they have go on",
		Args:  takesSome("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cordon(cmd.Context(), a, args, true, reason, "takes no new containers")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "for those who look at the nodes")
	return cmd
}

func newNodeUncordon(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "uncordon NAME...",
		Short: "Let nodes take containers again",
		Args:  takesSome("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cordon(cmd.Context(), a, args, false, "", "takes containers again")
		},
	}
}

// cordon does it to each node in turn; the first that it cannot be done to ends it.
func cordon(ctx context.Context, a *app, names []string, on bool, reason, done string) error {
	return a.ask(ctx, func(ctx context.Context, c operator) error {
		for _, name := range names {
			if err := c.CordonNode(ctx, name, on, reason); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(a.out, "node %s: %s\n", name, done); err != nil {
				return err
			}
		}
		return nil
	})
}
