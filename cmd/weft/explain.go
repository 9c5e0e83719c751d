package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
)

func newExplain(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain SESSION|SERVICE",
		Short: "Say what a session, or a service, waits for, and why",
		Long: `Say what a session, by its number, or a service, by its name or NAME@VERSION, waits for: how many containers are wanted
and there, the place in the queue, and everything that stands in the way of the next one.`,
		Args: takes("SESSION|SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			of, err := explainOf(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c operator) error {
				e, err := c.Explain(ctx, of)
				if err != nil {
					return err
				}
				return printOne(a.out, a.form, args[0], e, describeExplained(e))
			})
		},
	}
	a.brokerFlag(cmd)
	a.formFlag(cmd)
	return cmd
}

// explainOf reads the number of a session, or a service.
func explainOf(arg string) (protocol.Explain, error) {
	if strings.Trim(arg, "0123456789") == "" {
		number, err := sessionNumber(arg)
		return protocol.Explain{Session: number}, err
	}
	ref, err := serviceRef(arg)
	return protocol.Explain{Service: ref.Name, Version: ref.Version}, err
}
