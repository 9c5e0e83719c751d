package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/broker"
)

// newPartyBroker is the broker of a benchmark, as it is in production.
func newPartyBroker() *cobra.Command {
	var listen string
	var loops int
	cmd := &cobra.Command{
		Use: brokerCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			b, err := broker.Start(broker.Config{Listen: []string{listen}, Loops: loops, TuneMalloc: true})
			if err != nil {
				return err
			}
			defer func() {
				ctx, stop := context.WithTimeout(ctx, 10*time.Second)
				defer stop()
				err = errors.Join(err, b.Stop(ctx))
			}()
			return obey(ctx, answer{Endpoint: b.Endpoints()[0]}, nil)
		},
	}
	cmd.Flags().IntVar(&loops, "loops", 0, "manager loops; 0: the default")
	cmd.Flags().StringVar(&listen, "listen", "", "control endpoint")
	return cmd
}
