package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newServiceRestart(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "restart NAME[@VERSION]",
		Short: "Replace the instances of a service one after the other; nothing is lost",
		Long: `Replace the instances of a service by new ones, so that a program that has been built again is run. They are let go one
after the other, each when the new one for that before it serves: what runs is finished, sessions go on. When new ones do
not come up, those that are left stay. Instances that were started by hand are left alone.

Instances that are kept warm for no session are ended at once: the next session gets new ones. weft service register does
that by itself.`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Services(ctx, client.Filter{Name: ref.Name, Version: ref.Version}))
				if err != nil {
					return err
				}
				if err := c.RestartService(ctx, ref.Name, ref.Version, false); err != nil {
					return err
				}
				n := 0
				for i := range found {
					n += instancesOf(&found[i])
				}
				_, err = fmt.Fprintf(a.out, "service %s restarts: %s\n", args[0], plural(n, "instance"))
				return err
			})
		},
	}
}

// instancesOf is how many instances of a service there are, and will be.
func instancesOf(s *protocol.ServiceInfo) int { return s.Instances + s.Starting }
