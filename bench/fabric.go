package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
)

// serviceName is the name of the benchmark's service.
const serviceName = "bench"

// instanceCPU is what an instance takes of its node, in millicores.
const instanceCPU = 100

// patience is how long the parties have to come up, and a party to answer an order beside the time it is to take.
const patience = 30 * time.Second

// fabric is a broker, an agent and a registered service, each party a process of its own.
type fabric struct {
	endpoint string
	dir      string
	broker   *party.Process
	agents   []*party.Process // one for each node
	cpu      int64            // millicores of each node
	others   []*party.Process
	profiles string // folder for the profiles of its parties; empty: they make none
}

// plan says what a benchmark needs.
type plan struct {
	transport string        // tcp or ipc
	instances int           // kept all the time
	execution time.Duration // of a task
	tasks     int           // unfinished ones that a session may have; 0: the default
	payload   int64         // bytes of a task; 0: the default limit will do
	cpu       int64         // millicores of each node; 0: more than enough
	nodes     int           // each with an agent; 0: 1
	slots     int           // tasks that an instance executes at once; 0: 1
	port      int           // base port of the broker over tcp, which has one manager loop then; 0: any
	poison    bool          // tasks may be poison
	directed  bool          // tasks say themselves how long they take
	broker    []string      // further flags of the broker
	profiles  string        // folder that parties put their profiles in when they are told to make them; empty: none do
}

// startFabric starts the parties and registers the service. The caller closes it, also when it fails later.
func startFabric(ctx context.Context, p plan) (_ *fabric, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready within %v", patience))
	defer stop()
	f := &fabric{cpu: cmp.Or(p.cpu, 1<<20), profiles: p.profiles}
	if f.dir, err = os.MkdirTemp("", "weft-bench-"); err != nil {
		return nil, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	listen, loops := "tcp://127.0.0.1:"+strconv.Itoa(p.port), 0
	if p.port != 0 {
		loops = 1
	}
	if p.transport == "ipc" {
		listen = "ipc://" + filepath.Join(f.dir, "control")
	}
	flags := append([]string{brokerCommand, "--listen", listen, "--loops", strconv.Itoa(loops)}, p.broker...)
	if f.broker, err = f.party(ctx, "broker", flags...); err != nil {
		return nil, err
	}
	f.endpoint = f.broker.Ready.Endpoint
	f.agents = make([]*party.Process, max(p.nodes, 1))
	for i := range f.agents {
		if err = f.startAgent(ctx, i); err != nil {
			return nil, err
		}
	}
	return f, f.register(ctx, p)
}

// startAgent starts the agent of a node, for the first time or again.
func (f *fabric) startAgent(ctx context.Context, node int) (err error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready within %v", patience))
	defer stop()
	name := nodeName
	if node > 0 {
		name += strconv.Itoa(node + 1)
	}
	f.agents[node], err = f.party(ctx, "agent "+name, agentCommand, "--broker", f.endpoint, "--name", name,
		"--dir", filepath.Join(f.dir, "agent-"+name), "--cpu", strconv.FormatInt(f.cpu, 10))
	return err
}

// poisonLog is where poison tasks note that they are executed.
func (f *fabric) poisonLog() string { return filepath.Join(f.dir, "poison") }

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
	args := []string{serveCommand, "--execution", p.execution.String()}
	if p.directed {
		args = append(args, "--directed")
	}
	if p.poison {
		args = append(args, "--poison", f.poisonLog())
	}
	s := protocol.Service{
		Name:     serviceName,
		Function: "echoes its tasks",
		Artefacts: map[string]protocol.Artefact{
			runtime.GOOS + "/" + runtime.GOARCH: {
				Command: program, Args: f.profiled(args),
			},
		},
		Slots:     p.slots,
		Requests:  []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: instanceCPU, Memory: 16 << 20}}},
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

// startParty starts this program with args and waits until it says that it is ready.
func startParty(ctx context.Context, name string, args ...string) (*party.Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return party.Start(ctx, name, program, args...)
}

// party starts a party of the fabric.
func (f *fabric) party(ctx context.Context, name string, args ...string) (*party.Process, error) {
	return startParty(ctx, name, f.profiled(args)...)
}

// profiled lets a party make profiles, if any is to.
func (f *fabric) profiled(args []string) []string {
	if f.profiles == "" {
		return args
	}
	return append(args, "--"+profilesFlag, f.profiles)
}

// start starts another party of the fabric, which ends with it.
func (f *fabric) start(ctx context.Context, name, command string, args ...string) (*party.Process, error) {
	return f.startAt(ctx, f.endpoint, name, command, args...)
}

// startAt is start for a party that finds the broker at another endpoint.
func (f *fabric) startAt(ctx context.Context, endpoint, name, command string, args ...string) (*party.Process, error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready within %v", patience))
	defer stop()
	p, err := f.party(ctx, name, append([]string{command, "--broker", endpoint}, args...)...)
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

// end closes the fabric of a measurement that ended with err, which tells what the broker knows when a party was silent.
func (f *fabric) end(ctx context.Context, err error) error {
	if errors.Is(err, errSilent) {
		err = errors.Join(err, f.report(ctx))
	}
	return errors.Join(err, f.close())
}

// report gives the sessions of the fabric as an error.
func (f *fabric) report(ctx context.Context) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), patience) // the measurement's own is over, mostly
	defer stop()
	c, err := f.dial(ctx, "report")
	if err != nil {
		return err
	}
	var said []error
	for info, err := range c.Sessions(ctx, client.Filter{}) {
		if err != nil {
			said = append(said, fmt.Errorf("report: %w", err))
			break
		}
		text, err := json.Marshal(info)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		said = append(said, errors.New(string(text)))
	}
	return errors.Join(append(said, c.Close())...)
}

// close stops all parties, the broker last, and removes what they left on the disk.
func (f *fabric) close() error {
	var errs []error
	parties := slices.Concat([]*party.Process{f.broker}, f.agents, f.others)
	for _, p := range slices.Backward(parties) {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}
