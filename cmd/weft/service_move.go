package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newServiceMove(a *app) *cobra.Command {
	var loop int
	cmd := &cobra.Command{
		Use:   "move NAME[@VERSION]",
		Short: "Have a service served by another manager loop of the broker; nothing is interrupted",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if loop < 0 {
				return protocol.Errorf(protocol.CodeInvalid, "service move", "--loop: give the number of a manager loop, from 0")
			}
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.MoveService(ctx, ref.Name, ref.Version, loop); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "service %s moves to loop %d\n", args[0], loop)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&loop, "loop", -1, "number of the manager loop, from 0 (where it is now: weft service info NAME)")
	return cmd
}
