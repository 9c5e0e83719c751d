package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// serviceName is the name of the benchmark's service.
const serviceName = "bench"

// patience is how long the parties have to come up, and a party to answer an order beside the time it is to take.
const patience = 30 * time.Second

// fabric is a broker, an agent and a registered service, each party a process of its own.
type fabric struct {
	endpoint string
	dir      string
	broker   *party
	agent    *party
	others   []*party
}

// plan says what a benchmark needs.
type plan struct {
	transport string        // tcp or ipc
	instances int           // kept all the time
	execution time.Duration // of a task
	tasks     int           // unfinished ones that a session may have; 0: the default
	payload   int64         // bytes of a task; 0: the default limit will do
	cpu       int64         // millicores of the node; 0: more than enough
}

// startFabric starts the parties and registers the service. The caller closes it, also when it fails later.
func startFabric(ctx context.Context, p plan) (_ *fabric, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready within %v", patience))
	defer stop()
	f := &fabric{}
	if f.dir, err = os.MkdirTemp("", "weft-bench-"); err != nil {
		return nil, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	listen := "tcp://127.0.0.1:0"
	if p.transport == "ipc" {
		listen = "ipc://" + filepath.Join(f.dir, "control")
	}
	if f.broker, err = startParty(ctx, "broker", brokerCommand, "--listen", listen); err != nil {
		return nil, err
	}
	f.endpoint = f.broker.ready.Endpoint
	f.agent, err = startParty(ctx, "agent", agentCommand, "--broker", f.endpoint, "--dir", filepath.Join(f.dir, "agent"),
		"--cpu", strconv.FormatInt(cmp.Or(p.cpu, 1<<20), 10))
	if err != nil {
		return nil, err
	}
	return f, f.register(ctx, p)
}

// register puts this program into the catalogue as a service.
func (f *fabric) register(ctx context.Context, p plan) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	c, err := f.dial(ctx, "register")
	if err != nil {
		return err
	}
	s := protocol.Service{
		Name:     serviceName,
		Function: "echoes its tasks",
		Artefacts: map[string]protocol.Artefact{
			runtime.GOOS + "/" + runtime.GOARCH: {
				Command: program, Args: []string{serveCommand, "--execution", p.execution.String()},
			},
		},
		Requests:  []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 100, Memory: 16 << 20}}},
		Instances: protocol.Instances{Min: p.instances, Max: p.instances},
		Limits:    protocol.Limits{Tasks: p.tasks, Payload: max(p.payload, protocol.DefaultMaxPayload)},
	}
	return errors.Join(c.RegisterService(ctx, s), c.Close())
}

// dial connects to the fabric's broker, on the transport that was asked for and no other.
func (f *fabric) dial(ctx context.Context, name string) (*client.Client, error) {
	return dial(ctx, f.endpoint, name)
}

func dial(ctx context.Context, endpoint, name string) (*client.Client, error) {
	quiet := zerolog.New(os.Stderr).Level(zerolog.WarnLevel)
	return client.Dial(ctx, endpoint, client.WithName(name), client.WithKeepScheme(), client.WithTunedMalloc(), client.WithLogger(quiet))
}

// start starts another party of the fabric, which ends with it.
func (f *fabric) start(ctx context.Context, name, command string, args ...string) (*party, error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready within %v", patience))
	defer stop()
	p, err := startParty(ctx, name, append([]string{command, "--broker", f.endpoint}, args...)...)
	if err == nil {
		f.others = append(f.others, p)
	}
	return p, err
}

// serving waits until that many instances serve.
func (f *fabric) serving(ctx context.Context, c *client.Client, instances int) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%d instances do not serve within %v", instances, patience))
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for info, err := range c.Services(ctx, client.Filter{Name: serviceName}) {
			switch {
			case err != nil && ctx.Err() == nil:
				return fmt.Errorf("wait for instances: %w", err)
			case info.Instances >= instances:
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// close stops all parties, the broker last, and removes what they left on the disk.
func (f *fabric) close() error {
	var errs []error
	parties := append([]*party{f.broker, f.agent}, f.others...)
	for _, p := range slices.Backward(parties) {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}
