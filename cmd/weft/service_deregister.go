package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newServiceDeregister(a *app) *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use:   "deregister NAME",
		Short: "Take a service out of the catalogue; refused while it has sessions",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.DeregisterService(ctx, args[0], version); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "service %s deregistered\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "only this version (default all)")
	return cmd
}
