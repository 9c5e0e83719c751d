package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newDev(a *app) *cobra.Command {
	var b brokerFlags
	var n agentFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a broker and an agent on this machine, to try weft out",
		Long: `Run a broker and an agent on this machine in one process, to try weft out. Ctrl-C stops all of it.

Several can run at the same time: give all but one another --listen, such as tcp://127.0.0.1:7800.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.dev(cmd.Context(), &b, &n)
		},
	}
	b.add(cmd)
	n.add(cmd)
	n.from = a.where
	cmd.Flags().Lookup("name").Usage = "name of the broker, and of the node (default broker, and the host's name)"
	cmd.Flags().Lookup("dir").Usage = "folder for the agent's state and its containers' logs (default as weft agent's, with the port where that is another)"
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
	nf.config.Name = bf.config.Name
	n, err := nf.newAgent()
	if err != nil {
		return err
	}
	if nf.config.Dir == "" && endpoint != defaultEndpoint() {
		nf.config.Dir = ownFolder(n.Dir(), endpoint)
		if n, err = nf.newAgent(); err != nil {
			return err
		}
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	select {
	case <-n.Registered():
		err = a.devBanner(endpoint, n.Name(), b.HTTP())
	case <-b.Done():
	case err := <-ended:
		return err
	}
	if err == nil {
		select {
		case <-b.Done():
		case err := <-ended:
			return err
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

// ownFolder gives the folder of the agent of a broker that is not the first of this machine, which has the usual one.
func ownFolder(usual, endpoint string) string {
	return usual + "-" + endpoint[strings.LastIndexAny(endpoint, ":/")+1:]
}

// devBanner says what is up, and what to do with it.
func (a *app) devBanner(endpoint, node string, http []string) error {
	hint, look := "", ""
	if endpoint != defaultEndpoint() {
		hint = fmt.Sprintf("  export %s=%s\n", brokerVariable, endpoint)
	}
	if len(http) > 0 {
		look = fmt.Sprintf("  curl %-36s what there is, as JSON; /metrics is for Prometheus\n", http[0]+"/v1/nodes")
	}
	_, err := fmt.Fprintf(a.out, `A broker at %s and an agent on node %s, on this machine. In another terminal:

%s  %[4]s ping                                 does it work, and how fast is it
  %[4]s exec echo hello {} ::: you there     any command, once for each argument
  %[4]s service register examples/wordfreq/service.yaml
  bin/wordfreq count                        a service and its client
%[5]s  %[4]s --help

Ctrl-C stops all of it.
`, endpoint, node, hint, os.Args[0], look)
	return err
}
