package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newSessionClose(a *app) *cobra.Command {
	return sessionEnd(a, "close", protocol.CloseFinish, "closes when its tasks are finished", "Close sessions when their tasks are finished")
}

func newSessionKill(a *app) *cobra.Command {
	return sessionEnd(a, "kill", protocol.CloseKill, "killed", "Close sessions at once: their unfinished tasks fail")
}

// sessionEnd makes a command that ends sessions in a mode.
func sessionEnd(a *app, verb, mode, done, short string) *cobra.Command {
	return forSessions(a, &cobra.Command{Use: verb, Short: short}, done, "closed by an operator",
		func(ctx context.Context, c operator, number protocol.SessionNumber, reason string) error {
			return c.CloseSession(ctx, number, mode, reason)
		})
}

// forSessions completes a command that does one thing to each of the sessions that it is given, and says so.
func forSessions(
	a *app, cmd *cobra.Command, done, why string, do func(ctx context.Context, c operator, number protocol.SessionNumber, reason string) error,
) *cobra.Command {
	var reason string
	cmd.Use += " NUMBER..."
	cmd.Args = takesSome("NUMBER")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		numbers := make([]protocol.SessionNumber, len(args))
		for i, arg := range args {
			var err error
			if numbers[i], err = sessionNumber(arg); err != nil {
				return err
			}
		}
		return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
			for _, number := range numbers {
				said := done
				switch over, err := isOver(ctx, c, number); {
				case err != nil:
					return err
				case over:
					said = "is over already"
				default:
					if err := do(ctx, c, number, reason); err != nil {
						return err
					}
				}
				if _, err := fmt.Fprintf(a.out, "session %d: %s\n", number, said); err != nil {
					return err
				}
			}
			return nil
		})
	}
	cmd.Flags().StringVar(&reason, "reason", why, "why, for the sessions' events")
	return cmd
}

// isOver says whether a session is there and over.
func isOver(ctx context.Context, c operator, number protocol.SessionNumber) (bool, error) {
	found, err := collect(c.Sessions(ctx, client.Filter{Session: number, All: true}))
	return len(found) == 1 && (found[0].State == protocol.SessionClosed || found[0].State == protocol.SessionFailed), err
}
