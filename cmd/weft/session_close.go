package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newSessionClose(a *app) *cobra.Command {
	return sessionEnd(a, "close", protocol.CloseFinish, "closes when its tasks are finished", "Close a session when its tasks are finished")
}

func newSessionKill(a *app) *cobra.Command {
	return sessionEnd(a, "kill", protocol.CloseKill, "killed", "Close a session at once: its unfinished tasks fail")
}

// sessionEnd makes a command that ends a session in a mode.
func sessionEnd(a *app, verb, mode, done, short string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   verb + " NUMBER",
		Short: short,
		Args:  takes("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := sessionNumber(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				if err := c.CloseSession(ctx, number, mode, reason); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "session %d: %s\n", number, done)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "closed by an operator", "why, for its client and its events")
	return cmd
}
