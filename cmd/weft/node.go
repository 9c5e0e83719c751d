package main

import "github.com/spf13/cobra"

func newNode(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "node", Short: "See the compute nodes"})
	a.brokerFlag(cmd)
	cmd.AddCommand(newNodeList(a))
	return cmd
}
