package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newSession(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "session", Short: "See sessions and what happened to them, steer and close them"})
	a.brokerFlag(cmd)
	cmd.AddCommand(newSessionList(a), newSessionGet(a), newSessionEvents(a), newSessionAnalyze(a), newSessionClose(a), newSessionKill(a))
	cmd.AddCommand(sessionSteers(a)...)
	return cmd
}

// ageHelp says how old the figures of sessions are.
const ageHelp = "The numbers of tasks, and the nodes, are those of at most half a second ago."

// noSession says that there is no such session.
func noSession(number protocol.SessionNumber) error {
	return protocol.Errorf(protocol.CodeUnknownSession, "session", "there is no session %d (see: weft session list --all)", number)
}

// sessionNumber reads a session's number as the user typed it.
func sessionNumber(s string) (protocol.SessionNumber, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, badInput("%q is not the number of a session (see: weft session list)", s)
	}
	return protocol.SessionNumber(n), nil
}
