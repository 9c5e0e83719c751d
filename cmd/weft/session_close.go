package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newSessionClose(a *app) *cobra.Command {
	var kill bool
	cmd := &cobra.Command{
		Use:   "close NUMBER",
		Short: "Close a session: by default when its tasks are finished",
		Args:  takes("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := sessionNumber(args[0])
			if err != nil {
				return err
			}
			mode, done := protocol.CloseFinish, "closes when its tasks are finished"
			if kill {
				mode, done = protocol.CloseKill, "killed"
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.CloseSession(ctx, number, mode, "closed by an operator"); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "session %d: %s\n", number, done)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&kill, "kill", false, "at once: its unfinished tasks fail")
	return cmd
}
