package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newSessionGet(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NUMBER",
		Short: "Show one session in full",
		Args:  takes("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := sessionNumber(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Sessions(ctx, client.Filter{Session: number, All: true}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return protocol.Errorf(protocol.CodeUnknownSession, "session get",
						"there is no session %d (see: weft session list)", number)
				}
				return printOne(a.out, a.form, args[0], found[0], describeSession(found[0], a.now()))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
