package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/sched"
)

// stopPatience is how long a broker has to stop in order.
const stopPatience = 15 * time.Second

// brokerFlags are the flags of a broker's configuration.
type brokerFlags struct {
	config broker.Config
	level  string
	cpu    string // for session managers, of each loop
	memory string // of all loops
	tasks  string // bytes of it for session managers
	dead   string // for the dead-letter list
	queues string // file
	score  string // of nodes
	gpu    string // of nodes, for containers with GPUs
}

func (f *brokerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.config.Listen, "listen", nil, "control endpoint to listen at, may be repeated "+
		"(default "+defaultEndpoint()+" and ipc in a runtime folder of this user)")
	flags.StringVar(&f.config.HTTP, "http", "", "where the HTTP server for operators listens: address:port, or off "+
		"(default port + 2 of the tcp endpoints; off where there are none)")
	flags.StringVar(&f.config.Advertise, "advertise", "", "host by which others reach this broker, where it is not the one they dialled")
	flags.IntVar(&f.config.Loops, "loops", 0, "manager loops, each with its own port (default half the cores)")
	flags.IntVar(&f.config.IOThreads, "io-threads", 0, "ZeroMQ's I/O threads (default 2, or 1 where there is one processor)")
	flags.BoolVar(&f.config.Insecure, "insecure", false, "allow addresses that other machines reach: without keys, whoever reaches it can run programs")
	flags.StringVar(&f.cpu, "manager-cpu", "", "what each manager loop has for session managers, as 1.0 or 800m (default 1.0)")
	flags.StringVar(&f.memory, "memory", "", "bytes that tasks, results and what peers have not acknowledged may take, as 4GiB; "+
		"when they are nearly used up tasks are refused (default a quarter of the machine's memory)")
	flags.StringVar(&f.tasks, "manager-memory", "", "bytes for the unfinished tasks of all session managers, as 4GiB (default as --memory)")
	flags.DurationVar(&f.config.PeerTimeout, "peer-timeout", 0, "silence after which an agent is lost, with all that runs on its node, "+
		"at least 1s (default 10s)")
	flags.IntVar(&f.config.DeadLetters, "dead-letters", 0, "tasks to keep that were given up after their attempts, the last ones (default 1000)")
	flags.StringVar(&f.dead, "dead-letter-bytes", "", "bytes for them, as 256MiB (default 64MiB, or what one of the largest needs)")
	flags.StringVar(&f.score, "score", "", "which of the nodes with room a container goes to: best-fit (the fullest), spreading (the emptiest) "+
		"or alignment (whose free amounts are most like what is asked for) (default best-fit)")
	flags.StringVar(&f.gpu, "gpu-score", "", "the same for containers with GPUs (default alignment)")
	flags.StringVar(&f.queues, "queues", "", "YAML file with the queues and shapes of containers at the start (see: weft queue apply --help)")
	flags.StringVar(&f.config.Name, "name", "", "name of the broker, for people (default broker)")
	logFlag(cmd, &f.level)
}

func newBroker(a *app) *cobra.Command {
	var f brokerFlags
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the daemon of a management node",
		Long: `Run the daemon of a management node. It needs nothing but itself, and stops in order on SIGTERM or Ctrl-C.

A broker at tcp://ADDRESS:7700 also uses the ports from 7710 on, one for each manager loop, and 7702 for HTTP: health,
metrics and a JSON API (docs/http.md; --http has it elsewhere or turns it off). Port 0 takes any free ports; what was taken
is printed.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.startBroker(&f)
			if err != nil {
				return err
			}
			for _, endpoint := range b.Endpoints() {
				fmt.Fprintln(a.out, "listening at", endpoint) //nolint:errcheck // nobody may be listening to that
			}
			for _, at := range b.HTTP() {
				fmt.Fprintln(a.out, "HTTP for operators at", at) //nolint:errcheck // as above
			}
			select {
			case <-cmd.Context().Done():
			case <-b.Done():
			}
			return stopBroker(b)
		},
	}
	f.add(cmd)
	a.daemonConfig(cmd, func() error {
		if err := a.configureBroker(&f); err != nil {
			return err
		}
		return f.config.Check()
	})
	return cmd
}

// startBroker starts a broker as the flags say.
func (a *app) startBroker(f *brokerFlags) (*broker.Broker, error) {
	if err := a.configureBroker(f); err != nil {
		return nil, err
	}
	return broker.Start(f.config)
}

// configureBroker completes the configuration that the flags give.
func (a *app) configureBroker(f *brokerFlags) error {
	logger, err := a.newLogger(f.level)
	if err != nil {
		return err
	}
	if f.cpu != "" {
		if f.config.ManagerCPU, err = parseCPU(f.cpu); err != nil {
			return badInput("%s: %w", a.where("manager-cpu"), err)
		}
	}
	if f.memory != "" {
		if f.config.Memory, err = parseBytes(f.memory); err != nil {
			return badInput("%s: %w", a.where("memory"), err)
		}
	}
	if f.tasks != "" {
		if f.config.ManagerMemory, err = parseBytes(f.tasks); err != nil {
			return badInput("%s: %w", a.where("manager-memory"), err)
		}
	}
	if f.dead != "" {
		if f.config.DeadLetterBytes, err = parseBytes(f.dead); err != nil {
			return badInput("%s: %w", a.where("dead-letter-bytes"), err)
		}
	}
	if f.config.Scores.Other, err = sched.ParseScore(f.score); err != nil {
		return badInput("%s: %w", a.where("score"), err)
	}
	if f.config.Scores.GPU, err = sched.ParseScore(f.gpu); err != nil {
		return badInput("%s: %w", a.where("gpu-score"), err)
	}
	if f.queues != "" {
		apply, err := readQueuesFrom(a.in, f.queues)
		if err != nil {
			return badInput("%s: %w", a.where("queues"), err)
		}
		f.config.Queues = &apply
	}
	f.config.Logger, f.config.TuneMalloc, f.config.Version, f.config.Commit = &logger, true, version, commit
	if len(f.config.Listen) == 0 {
		folder, err := runtimeFolder(a.getenv, os.Getuid())
		if err != nil {
			return err
		}
		f.config.Listen = []string{defaultEndpoint(), "ipc://" + filepath.Join(folder, "control")}
	}
	return nil
}

func stopBroker(b *broker.Broker) error {
	ctx, stop := context.WithTimeout(context.Background(), stopPatience)
	defer stop()
	return b.Stop(ctx)
}

// runtimeFolder gives the folder for this user's ipc sockets, which only the user can enter, and makes it if need be.
func runtimeFolder(getenv func(string) string, uid int) (string, error) {
	folder := filepath.Join(os.TempDir(), fmt.Sprintf("weft-%d", uid))
	if base := getenv("XDG_RUNTIME_DIR"); base != "" {
		folder = filepath.Join(base, "weft")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("runtime folder: %w (XDG_RUNTIME_DIR sets another, --listen avoids it)", err)
	}
	return folder, checkPrivate(folder, uid)
}
