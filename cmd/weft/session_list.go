package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
)

func newSessionList(a *app) *cobra.Command {
	var filter client.Filter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the sessions",
		Long: "List the sessions.\n\n" + ageHelp + "\n\n" +
			"REASON says for what a session waits that has no instance, or too few while tasks are queued; of one that has failed or\n" +
			"was killed, why.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				sessions, err := collect(c.Sessions(ctx, filter))
				if err != nil {
					return err
				}
				return showList(a, "sessions", sessions, sessionColumns(a.now()), sessionDetails()...)
			})
		},
	}
	cmd.Flags().StringVar(&filter.Service, "service", "", "only the sessions of this service")
	cmd.Flags().BoolVar(&filter.All, "all", false, "also those that are over")
	cmd.Flags().StringVar(&filter.Version, "version", "", "only the sessions of this version of their service")
	cmd.Flags().StringVar(&filter.Environment, "environment", "", "only the sessions of this environment")
	a.formFlag(cmd)
	return cmd
}
