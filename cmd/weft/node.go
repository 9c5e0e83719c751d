package main

import "github.com/spf13/cobra"

func newNode(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "node", Short: "See the compute nodes, and keep new containers off them"})
	a.brokerFlag(cmd)
	cmd.AddCommand(newNodeList(a), newNodeGet(a), newNodeTop(a), newNodeCordon(a), newNodeUncordon(a))
	return cmd
}
