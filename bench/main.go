// Command weft-bench measures weft: every party is a process of its own, instances are started by an agent, and every
// task takes the path that it takes in production.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/internal/zmqx"
)

// Names of the hidden commands by which this program starts its parties.
const (
	brokerCommand = "party-broker"
	agentCommand  = "party-agent"
	clientCommand = "party-client"
	holderCommand = "party-holder"
	serveCommand  = "party-serve"
	surgeCommand  = "party-surge"
	pacerCommand  = "party-pacer"
	readerCommand = "party-reader"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := &cobra.Command{
		Use:           "weft-bench",
		Short:         "Measure weft, every party in a process of its own",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newRun(), newCompare(), newLoad(), newSoak(), newKill(), newCancel(), newFairness(), newOverload(), newLongTask(), newPause(), newSlowReader(), newProfile(), newSched(),
		newPartyBroker(), newPartyAgent(), newPartyClient(), newPartyHolder(), newPartyServe(), newPartySurge(), newPartyPacer(), newPartyReader())
	addProfiler(root)
	err := root.ExecuteContext(ctx)
	stop()
	if err = errors.Join(err, zmqx.Terminate()); err != nil {
		fmt.Fprintln(os.Stderr, "weft-bench:", err)
		os.Exit(1)
	}
}

// partyContext is the context of a party: signals are for the process that started it, which then ends its input.
func partyContext() context.Context {
	signal.Ignore(os.Interrupt)
	return context.Background()
}
