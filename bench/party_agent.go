package main

import (
	"context"
	"errors"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent"
)

// nodeName is the name of a benchmark's first node; others have a number behind it.
const nodeName = "bench"

// newPartyAgent is the agent of a benchmark. It offers whatever its instances need, so that their number is the
// user's, unless it is told how many cores it has.
func newPartyAgent() *cobra.Command {
	var (
		endpoint, name, dir string
		cpu                 int64
	)
	cmd := &cobra.Command{
		Use: agentCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := context.WithCancel(partyContext())
			defer stop()
			a, err := agent.New(agent.Config{
				Broker: endpoint, Name: name, Dir: dir, KeepsScheme: true,
				Capacity: protocol.Capacity{CPU: cpu, Memory: 1 << 40},
				Logger:   zerolog.New(os.Stderr).Level(zerolog.WarnLevel),
			})
			if err != nil {
				return err
			}
			agentEnd, inputEnd := make(chan error, 1), make(chan error, 1)
			go func() { agentEnd <- a.Run(ctx) }()
			go func() { inputEnd <- party.Obey(ctx, party.Answer{}, nil) }()
			select {
			case err := <-agentEnd:
				return err
			case err := <-inputEnd:
				stop()
				return errors.Join(err, <-agentEnd)
			}
		},
	}
	cmd.Flags().StringVar(&endpoint, "broker", "", "control endpoint")
	cmd.Flags().StringVar(&name, "name", nodeName, "name of the node")
	cmd.Flags().StringVar(&dir, "dir", "", "state folder")
	cmd.Flags().Int64Var(&cpu, "cpu", 1<<20, "millicores that it offers")
	return cmd
}
