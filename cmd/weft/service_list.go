package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
)

func newServiceList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the registered services",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				services, err := collect(c.Services(ctx, client.Filter{}))
				if err != nil {
					return err
				}
				return printList(a.out, a.form, services, serviceColumns(), serviceDetails()...)
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
