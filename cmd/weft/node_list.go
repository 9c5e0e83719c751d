package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
)

func newNodeList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the compute nodes, with what is free on them",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				nodes, err := collect(c.Nodes(ctx, client.Filter{}))
				if err != nil {
					return err
				}
				return showList(a, "nodes", nodes, nodeColumns(), nodeDetails()...)
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
