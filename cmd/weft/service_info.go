package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

func newServiceInfo(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info NAME",
		Short: "Show the versions of a service in full, the newest first",
		Args:  takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				found, err := collect(c.Services(ctx, client.Filter{Name: args[0]}))
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return protocol.Errorf(protocol.CodeUnknownService, "service info",
						"no service %q is registered (see: weft service list)", args[0])
				}
				return a.printServices(found)
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}

func (a *app) printServices(found []protocol.ServiceInfo) error {
	slices.SortStableFunc(found, func(x, y protocol.ServiceInfo) int { return y.Registered.Compare(x.Registered) })
	switch a.form {
	case formJSON, formYAML:
		return printValue(a.out, a.form, found)
	case formName:
		return printList(a.out, a.form, found, serviceColumns())
	}
	for i, s := range found {
		if i > 0 {
			if _, err := fmt.Fprintln(a.out); err != nil {
				return err
			}
		}
		if err := printPairs(a.out, describeService(s, a.now())); err != nil {
			return err
		}
	}
	return nil
}
