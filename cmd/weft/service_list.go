package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
)

func newServiceList(a *app) *cobra.Command {
	var filter client.Filter
	cmd := &cobra.Command{
		Use:   "list [WORDS...]",
		Short: "List the registered services, or search them",
		Long: `List the registered services, all versions of them. With words only those that have all of them in their name, a tag
or the text of their function, the best first: case does not count, and a word also finds longer ones that begin with it.

  weft service list option pricing       by words
  weft service list --name 'risk-*'      by name: its beginning, or a pattern with * and ?
  weft service list --tag eod            by tag`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter.Words = strings.Join(args, " ")
			if filter.Name != "" && !strings.ContainsAny(filter.Name, "*?") {
				filter.Name += "*"
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				services, err := collect(c.Services(ctx, filter))
				if err != nil {
					return err
				}
				return showList(a, "services", services, serviceColumns(), serviceDetails()...)
			})
		},
	}
	cmd.Flags().StringVar(&filter.Name, "name", "", "only services whose name begins so, or matches this pattern (* any letters, ? one)")
	cmd.Flags().StringVar(&filter.Tag, "tag", "", "only services with this tag")
	a.formFlag(cmd)
	return cmd
}
