package main

import "github.com/spf13/cobra"

func newService(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "service", Short: "Register services, and see how they fare"})
	a.brokerFlag(cmd)
	cmd.AddCommand(newServiceRegister(a), newServiceList(a), newServiceInfo(a), newServiceStats(a), newServiceDeregister(a), newServiceMove(a), newServiceRestart(a))
	return cmd
}
