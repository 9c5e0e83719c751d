package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newServiceInfo(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info NAME",
		Short: "Show one service in full",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Services(ctx, protocol.ListRequest{Name: args[0]}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return protocol.Errorf(protocol.CodeUnknownService, "service info",
						"no service %q is registered (see: weft service list)", args[0])
				}
				if a.form != formTable {
					return printValue(a.out, a.form, found[0])
				}
				return printPairs(a.out, describeService(found[0], a.now()))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
