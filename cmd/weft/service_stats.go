package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/analyze"
	"github.com/weft-fabric/weft/protocol"
)

// serviceStats is what was counted of a service.
type serviceStats struct {
	Service  string           `json:"service"`
	Version  string           `json:"version,omitempty"`
	Analysis analyze.Analysis `json:"analysis"`
	Stats    protocol.Stats   `json:"stats"`
}

func newServiceStats(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats NAME[@VERSION]",
		Short: "Show what was counted of a service: of all its sessions, those that are over too",
		Long:  "Show what was counted of a service: of all its sessions, those that are over too.\n\n" + stepsHelp,
		Args:  takes("NAME"),
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
				if len(found) == 0 {
					return notRegistered(ctx, c, ref)
				}
				stats, err := c.ServiceStats(ctx, ref.Name, ref.Version)
				if err != nil {
					return err
				}
				v := serviceStats{ref.Name, ref.Version, analyze.Of(&stats), stats}
				switch a.form {
				case formJSON, formYAML, formName:
					return printOne(a.out, a.form, args[0], v, nil)
				}
				if _, err := fmt.Fprintf(a.out, "service %s\n\n", args[0]); err != nil {
					return err
				}
				return printBreakdown(a.out, &v.Stats, v.Analysis)
			})
		},
	}
	a.formFlag(cmd)
	return cmd
}
