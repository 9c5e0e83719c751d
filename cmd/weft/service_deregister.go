package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newServiceDeregister(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "deregister NAME[@VERSION]",
		Short: "Take a service, or one version of it, out of the catalogue; refused while it has sessions",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.DeregisterService(ctx, ref.Name, ref.Version); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "service %s deregistered\n", args[0])
				return err
			})
		},
	}
}
