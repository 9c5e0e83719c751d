package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// sessionInFull is a session with what happened to it.
type sessionInFull struct {
	protocol.SessionInfo
	Events []protocol.SessionEvent `json:"events"`
}

func newSessionGet(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NUMBER",
		Short: "Show one session in full, with its last events",
		Long: "Show one session in full: its state and why, its tasks, its last failure with the output of the instance, and its last\n" +
			"events.\n\n" + ageHelp,
		Args: takes("NUMBER"),
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
					return noSession(number)
				}
				s := sessionInFull{SessionInfo: found[0]}
				if s.Events, _, err = c.Events(ctx, number, 0); err != nil {
					return err
				}
				return printOne(a.out, a.form, args[0], s, describeSession(s, a.now()))
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
