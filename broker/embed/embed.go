package embed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weft-fabric/weft/broker"
	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent"
)

const (
	// startTime is how long the parts of a fabric may take to find each other.
	startTime = 10 * time.Second
	// stopTime is how long the broker may take to end.
	stopTime = 10 * time.Second
)

// Fabric is a broker and a node in this process. Its methods are safe for concurrent use.
type Fabric struct {
	options  options
	broker   *broker.Broker
	host     *host
	endpoint string

	endAgent context.CancelFunc
	agent    chan struct{} // closed when the agent has ended
	agentErr error         // why
	stop     func() error  // once
}

// Start starts a fabric with the services of the options. When it returns they are registered, and the node is. The
// error names the option that cannot be.
func Start(opts ...Option) (*Fabric, error) {
	o := gather(opts)
	f := &Fabric{
		options: o, endpoint: fmt.Sprintf("inproc://embed-%016x", rand.Uint64()),
		agent: make(chan struct{}),
	}
	f.stop = sync.OnceValue(f.end)
	b, err := broker.Start(broker.Config{
		Listen: append([]string{f.endpoint}, o.listen...), Insecure: o.insecure, HTTP: o.http, Name: "embedded", Loops: o.loops, Logger: &o.log,
	})
	if err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	f.broker = b
	if err := f.populate(); err != nil {
		return nil, errors.Join(fmt.Errorf("embed: %w", err), f.Stop())
	}
	return f, nil
}

// populate starts the agent and registers the services.
func (f *Fabric) populate() error {
	f.host = newHost()
	for i := range f.options.services {
		s := &f.options.services[i]
		switch {
		case s.newInstance == nil:
			return protocol.Errorf(protocol.CodeInvalid, "service "+s.Name, "newInstance is nil; want a function that makes an instance's hooks")
		case f.host.programs[s.command()] != nil:
			return protocol.Errorf(protocol.CodeInvalid, "service "+s.Name, "version %s is given twice", s.Version)
		}
		s.declare()
		f.host.programs[s.command()] = s.program(f.options.log)
	}
	ctx, endAgent := context.WithCancel(context.Background())
	f.endAgent = endAgent
	a, err := agent.New(agent.Config{
		Broker: f.endpoint, Name: "embedded", Capacity: plenty, Grace: f.options.grace, Logger: f.options.log, Launcher: f.host,
	})
	if err != nil {
		close(f.agent)
		return err
	}
	go func() {
		defer close(f.agent)
		f.agentErr = a.Run(ctx)
	}()
	timeout, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := f.register(timeout); err != nil {
		return err
	}
	select {
	case <-a.Registered():
		return nil
	case <-f.agent:
		return errors.New("the agent has ended")
	case <-timeout.Done():
		return fmt.Errorf("the node is not registered within %v", startTime)
	}
}

// plenty is the capacity of a node that never stands in the way.
var plenty = protocol.Capacity{CPU: 1 << 40, Memory: 1 << 50}

// register registers the services.
func (f *Fabric) register(ctx context.Context) (err error) {
	c, err := f.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for i := range f.options.services {
		if err := c.RegisterService(ctx, f.options.services[i].Service); err != nil {
			return err
		}
	}
	return nil
}

// Dial makes a client of the fabric. Whoever dials closes it, before [Fabric.Stop].
func (f *Fabric) Dial(ctx context.Context, opts ...client.Option) (*client.Client, error) {
	return client.Dial(ctx, f.endpoint, append([]client.Option{client.WithLogger(f.options.log)}, opts...)...)
}

// Endpoint is where programs in this process reach the broker: for client.Dial, and for worker.WithBroker to run an
// instance by hand.
func (f *Fabric) Endpoint() string { return f.endpoint }

// Listeners are the endpoints of [WithListen] as they were bound, the tcp ones first.
func (f *Fabric) Listeners() []string {
	var all []string
	for _, e := range f.broker.Endpoints() {
		if e != f.endpoint {
			all = append(all, e)
		}
	}
	return all
}

// HTTP is where the server of [WithHTTP] listens, as http://address:port; "" where there is none.
func (f *Fabric) HTTP() string {
	for _, at := range f.broker.HTTP() {
		return at
	}
	return ""
}

// Kill kills all instances of a service, as a crash of their processes would: the broker does not hear of them again,
// and their tasks are run again elsewhere. The contexts of the hooks that run end, and what they return is dropped. It
// returns how many there were.
func (f *Fabric) Kill(service string) int { return f.host.kill(commandOf(service)) }

// Stop ends the fabric. Hooks that run have the grace of [WithGrace] to return. The error says what did not end in
// order. It may be called again, and gives the same error.
func (f *Fabric) Stop() error { return f.stop() }

func (f *Fabric) end() error {
	var errs []error
	if f.endAgent != nil {
		f.endAgent()
		<-f.agent
		errs = append(errs, f.agentErr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := errors.Join(append(errs, f.broker.Stop(ctx))...); err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	return nil
}
