package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/launchertest"
)

// Environment variables that make this test's binary an agent: its broker, and its folder.
const (
	brokerVariable = "AGENTTEST_BROKER"
	dirVariable    = "AGENTTEST_DIR"
)

// TestMain runs the tests; in a container it runs the container's program, and in the process of an agent the agent.
func TestMain(m *testing.M) {
	if code, ran := launchertest.RunProgram(); ran {
		os.Exit(code)
	}
	if broker := os.Getenv(brokerVariable); broker != "" {
		os.Exit(runAgent(broker, os.Getenv(dirVariable)))
	}
	goleak.VerifyTestMain(m)
}

// runAgent is the main function of an agent's process.
func runAgent(broker, dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	a, err := New(Config{Broker: broker, Dir: dir, Name: "victim", Grace: 5 * time.Second, Logger: zerolog.New(os.Stderr)})
	if err == nil {
		err = errors.Join(a.Run(ctx), zmqx.Terminate())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startAgent runs an agent until the test ends or the returned function is called, which gives Run's error.
func startAgent(t *testing.T, config Config) (a *Agent, end func() error) {
	t.Helper()
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	if config.Name == "" {
		config.Name = "n1"
	}
	config.Logger = zerolog.New(zerolog.NewTestWriter(t))
	a, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	var over bool
	end = func() error {
		t.Helper()
		over = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			t.Fatal("the agent does not end")
			return nil
		}
	}
	t.Cleanup(func() {
		if !over {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
	return a, end
}

// order makes a spec of the launchers' suite an order of the broker.
func order(spec launcher.Spec) protocol.StartContainer {
	o := protocol.StartContainer{
		ID: spec.ID, Service: "price", Version: "2", Command: spec.Command, Args: spec.Args, Dir: spec.Dir,
		Env: map[string]string{}, Token: "secret", Slots: 3, Sessions: 4,
	}
	for _, variable := range spec.Env {
		key, value, _ := strings.Cut(variable, "=")
		o.Env[key] = value
	}
	return o
}
