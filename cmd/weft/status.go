package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newStatus(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the fabric at a glance: brokers, nodes, devices, queues, containers, sessions",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				o, err := c.Overview(ctx)
				if err != nil {
					return err
				}
				name := ""
				if len(o.Brokers) > 0 {
					name = o.Brokers[0].Name
				}
				return printOne(a.out, a.form, name, o, describeOverview(o))
			})
		},
	}
	a.brokerFlag(cmd)
	a.formFlag(cmd)
	return cmd
}
