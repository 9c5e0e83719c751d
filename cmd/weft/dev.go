package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func newDev(a *app) *cobra.Command {
	var b brokerFlags
	var n agentFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a broker and an agent on this machine, to try weft out",
		Long:  "Run a broker and an agent on this machine in one process, to try weft out. Ctrl-C stops all of it.",
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.dev(cmd.Context(), &b, &n)
		},
	}
	b.add(cmd)
	n.add(cmd)
	return cmd
}

// dev runs a broker and an agent until ctx is done or the agent fails.
func (a *app) dev(ctx context.Context, bf *brokerFlags, nf *agentFlags) (err error) {
	b, err := a.startBroker(bf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopBroker(b)) }()
	endpoint := b.Endpoints()[0]
	nf.config.Broker, nf.config.Logger, nf.config.IOThreads = endpoint, *bf.config.Logger, bf.config.IOThreads
	n, err := nf.newAgent()
	if err != nil {
		return err
	}
	hint := ""
	if endpoint != defaultEndpoint() {
		hint = fmt.Sprintf("  export %s=%s\n", brokerVariable, endpoint)
	}
	if _, err := fmt.Fprintf(a.out, `A broker at %s and an agent on node %s, on this machine. In another terminal:

%s  %[4]s ping                                 does it work, and how fast is it
  %[4]s exec echo hello {} ::: you there     any command, once for each argument
  %[4]s service register examples/wordfreq/service.yaml
  bin/wordfreq count                        a service and its client
  %[4]s --help

Ctrl-C stops all of it.
`, endpoint, n.Name(), hint, os.Args[0]); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-b.Done():
			stop()
		case <-running.Done():
		}
	}()
	return n.Run(running)
}
