package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent"
)

// agentFlags are the flags of an agent's configuration.
type agentFlags struct {
	config   agent.Config
	capacity string
	labels   []string
	from     func(flag string) string // names a flag, by where its value comes from
}

func (f *agentFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config.NodeType, "node-type", "", "cpu or gpu (default gpu if --capacity has some)")
	flags.StringVar(&f.config.Rack, "rack", "", "where the node stands")
	flags.StringArrayVar(&f.labels, "label", nil, "a label of the node as NAME=VALUE, for people; may be given again")
	flags.StringVar(&f.capacity, "capacity", "", "what the node offers, as cpu=4000,memory=8GiB (default what is measured)")
	flags.StringVar(&f.config.Dir, "dir", "", "folder for the agent's state and its containers' logs "+
		"(default /var/lib/weft/agent-NAME for root, else in the user's cache folder)")
}

// newAgent makes an agent as the flags say.
func (f *agentFlags) newAgent() (*agent.Agent, error) {
	capacity, err := parseCapacity(f.capacity)
	if err != nil {
		return nil, badInput("%s: %w", f.from("capacity"), err)
	}
	f.config.Capacity = capacity
	if f.config.Labels, err = parseLabels(f.from("label"), f.labels); err != nil {
		return nil, err
	}
	if f.config.Dir != "" {
		if f.config.Dir, err = filepath.Abs(f.config.Dir); err != nil {
			return nil, badInput("%s: %w", f.from("dir"), err)
		}
	}
	return agent.New(f.config)
}

func newAgent(a *app) *cobra.Command {
	var f agentFlags
	var level string
	f.from = a.where
	configured := func() (*agent.Agent, error) {
		logger, err := a.newLogger(level)
		if err != nil {
			return nil, err
		}
		if _, err := protocol.ParseEndpoints(a.broker); err != nil {
			return nil, badInput("%s: %w", a.where("broker"), err)
		}
		f.config.Broker, f.config.Logger = a.broker, logger
		return f.newAgent()
	}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the daemon of a compute node",
		Long: `Run the daemon of a compute node: it measures the node, registers it with the broker, and starts and stops
containers as the broker says. While no broker answers it goes on trying. It stops in order, and its containers with
it, on SIGTERM or Ctrl-C.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := configured()
			if err != nil {
				return err
			}
			return n.Run(cmd.Context())
		},
	}
	a.endpointFlag(cmd)
	cmd.Flags().StringVar(&f.config.Name, "name", "", "name of the node, unique in the fabric (default the host's)")
	cmd.Flags().IntVar(&f.config.IOThreads, "io-threads", 0, "ZeroMQ's I/O threads (default 1)")
	f.add(cmd)
	logFlag(cmd, &level)
	a.daemonConfig(cmd, func() error { _, err := configured(); return err })
	return cmd
}
