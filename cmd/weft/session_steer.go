package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

// sessionSteers makes the commands that change what sessions do.
func sessionSteers(a *app) []*cobra.Command {
	var all []*cobra.Command
	for _, v := range []struct{ verb, action, done, short, long string }{
		{
			"suspend", protocol.SteerSuspend, "suspended", "Begin nothing more of sessions until they are resumed",
			"Begin nothing more of sessions until they are resumed. What was begun goes on; the rest waits, and is given to no\n" +
				"instance. Further tasks are taken. A session that is suspended already stays so.",
		},
		{"resume", protocol.SteerResume, "resumed", "Begin tasks of suspended sessions again", ""},
		{
			"stop", protocol.SteerStop, "takes no further tasks", "Take no further tasks of sessions",
			"Take no further tasks of sessions. What they have goes on; tasks that come are refused with NotAccepting, until\n" +
				"weft session accept.",
		},
		{"accept", protocol.SteerAccept, "takes tasks again", "Take tasks of sessions again that were stopped", ""},
		{
			"cancel", protocol.SteerCancel, "its unfinished tasks are being cancelled", "Cancel all unfinished tasks of sessions",
			"Cancel all unfinished tasks of sessions, as weft task cancel does one. The sessions go on, and take further tasks.",
		},
	} {
		all = append(all, forSessions(a, &cobra.Command{Use: v.verb, Short: v.short, Long: v.long}, v.done, "by an operator",
			func(ctx context.Context, c operator, number protocol.SessionNumber, reason string) error {
				return c.SteerSession(ctx, number, v.action, reason)
			}))
	}
	return all
}
