package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/builtin"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent"
)

// Environment variables that make this test's binary something else than the tests.
const (
	varService = "E2E_SERVICE" // the service that it is an instance of
	varRole    = "E2E_ROLE"    // roleBroker, roleAgent or roleClient
	varConfig  = "E2E_CONFIG"  // of a role, as JSON
	varMark    = "E2E_MARK"    // of the test that it belongs to
	varFile    = "E2E_FILE"    // where a service writes down what it does
	varSlow    = "E2E_SLOW"    // how long OnSessionBind takes
	varBroken  = "E2E_BROKEN"  // what OnCreateService fails with

	roleBroker = "broker"
	roleAgent  = "agent"
	roleClient = "client"
)

// TestMain runs the tests; in other processes that were started from this binary it is what they are.
func TestMain(m *testing.M) {
	if name := os.Getenv(varService); name != "" {
		os.Exit(runService(name))
	}
	if len(os.Args) == 3 && os.Args[1] == "serve" { // an agent of a test has started it as its own program
		if err := builtin.Serve(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	switch os.Getenv(varRole) {
	case roleBroker:
		os.Exit(runRole(runBroker))
	case roleAgent:
		os.Exit(runRole(runAgent))
	case roleClient:
		os.Exit(runRole(runClient))
	}
	os.Exit(m.Run())
}

// runRole runs a daemon until it is told to end, by a signal or because the test is gone.
func runRole(role func(ctx context.Context, config []byte) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		stop()
	}()
	if err := errors.Join(role(ctx, []byte(os.Getenv(varConfig))), zmqx.Terminate()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// brokerConfig is what a broker's process is told.
type brokerConfig struct {
	Listen []string
	Loops  int
}

func runBroker(ctx context.Context, config []byte) error {
	var c brokerConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	b, err := broker.Start(broker.Config{Listen: c.Listen, Loops: c.Loops, Logger: daemonLog()})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.Stop(end)
}

// agentConfig is what an agent's process is told.
type agentConfig struct{ Broker, Name, Dir string }

func runAgent(ctx context.Context, config []byte) error {
	var c agentConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	a, err := agent.New(agent.Config{
		Broker: c.Broker, Name: c.Name, Dir: c.Dir, Capacity: plenty, KeepsScheme: true, Grace: 2 * time.Second, Logger: *daemonLog(),
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return a.Run(ctx)
}

// clientConfig is what a client's process is told.
type clientConfig struct {
	Broker, Service string
	Tasks           []string
	Disconnect      string // what becomes of its session when it is gone
	Leave           bool   // it leaves its session, and ends
}

// runClient submits its tasks and waits until it is ended.
func runClient(ctx context.Context, config []byte) error {
	var c clientConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	cl, err := client.Dial(ctx, c.Broker, client.WithKeepScheme())
	if err != nil {
		return err
	}
	s, err := cl.OpenSession(ctx, c.Service, client.WithDisconnect(c.Disconnect, 0))
	if err != nil {
		return err
	}
	for _, task := range c.Tasks {
		if _, err := s.Submit(ctx, []byte(task)); err != nil {
			return err
		}
	}
	if c.Leave {
		if err := s.Detach(ctx, 0); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	<-ctx.Done()
	return cl.Close()
}

// daemonLog is the log of a daemon's process.
func daemonLog() *zerolog.Logger {
	log := zerolog.Nop()
	if os.Getenv("WEFT_E2E_LOG") != "" {
		log = zerolog.New(os.Stderr).With().Int("process", os.Getpid()).Timestamp().Logger()
	}
	return &log
}

// plenty is the capacity of a node that never stands in the way.
var plenty = protocol.Capacity{CPU: 1_000_000, Memory: 1 << 40}
