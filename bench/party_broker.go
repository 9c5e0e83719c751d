package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/broker"
)

// newPartyBroker is the broker of a benchmark, as it is in production.
func newPartyBroker() *cobra.Command {
	var listen string
	config := broker.Config{TuneMalloc: true}
	cmd := &cobra.Command{
		Use: brokerCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ctx := partyContext()
			config.Listen = []string{listen}
			b, err := broker.Start(config)
			if err != nil {
				return err
			}
			defer func() {
				ctx, stop := context.WithTimeout(ctx, 10*time.Second)
				defer stop()
				err = errors.Join(err, b.Stop(ctx))
			}()
			return party.Obey(ctx, party.Answer{Endpoint: b.Endpoints()[0]}, (&gcWatch{}).obey)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "", "control endpoint")
	flags.IntVar(&config.Loops, "loops", 0, "manager loops; 0: the default")
	flags.Int64Var(&config.Memory, "memory", 0, "bytes")
	flags.DurationVar(&config.PeerTimeout, "peer-timeout", 0, "silence after which an agent is lost")
	flags.DurationVar(&config.ClientGrace, "client-grace", 0, "how long the sessions of a silent client live")
	return cmd
}
