package worker

import (
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/protocol"
)

// Environment variables that a service started by hand reads where the options say nothing.
const (
	EnvBroker  = "WEFT_BROKER"
	EnvService = "WEFT_SERVICE"
)

// EnvDescribe is the environment variable that makes [Serve] write the service's types to standard output, as the lines of
// its YAML, and return. "weft service register --interface" sets it.
const EnvDescribe = "WEFT_DESCRIBE"

// Option changes what [Serve] does. When an agent started the program, what the agent says of service, version,
// broker, slots and sessions wins.
type Option func(*options)

type options struct {
	identity  protocol.Identity
	byAgent   bool
	broker    string
	ioThreads int
	grace     time.Duration
	patience  time.Duration
	log       zerolog.Logger
}

// WithService names the service that the program is an instance of; default WEFT_SERVICE.
func WithService(name string) Option { return func(o *options) { o.identity.Service = name } }

// WithVersion says which version of the service the program is; by default none is named.
func WithVersion(version string) Option { return func(o *options) { o.identity.Version = version } }

// WithBroker gives the control endpoints of the brokers, separated by commas: tcp://host:7700, host:port, ipc:///path,
// inproc://name. Default WEFT_BROKER, else tcp://127.0.0.1:7700.
func WithBroker(endpoints string) Option { return func(o *options) { o.broker = endpoints } }

// WithSlots sets how many OnTaskExec run at once; default 1.
func WithSlots(n int) Option { return func(o *options) { o.identity.Slots = n } }

// WithSessions sets how many sessions are bound at once; default 10.
func WithSessions(n int) Option { return func(o *options) { o.identity.Sessions = n } }

// WithKeepScheme keeps the instance on the transport of the control endpoints, where it would take ipc instead of tcp
// on one host.
func WithKeepScheme() Option { return func(o *options) { o.identity.KeepsScheme = true } }

// WithIOThreads sets libzmq's I/O threads of the process; the first to ask in a process decides. Default 1.
func WithIOThreads(n int) Option { return func(o *options) { o.ioThreads = n } }

// WithLogger sets the logger; default is standard error from level info.
func WithLogger(log zerolog.Logger) Option { return func(o *options) { o.log = log } }

// WithGrace sets how long hooks may go on when the instance is asked to end before their contexts end; default 5 s.
func WithGrace(d time.Duration) Option { return func(o *options) { o.grace = d } }

// WithPatience sets how long an instance that is asked to end waits for a broker that it does not hear; default 5 s.
func WithPatience(d time.Duration) Option { return func(o *options) { o.patience = d } }

// gather makes the options of what the caller, the agent (nil: there is none) and the environment variables say.
func gather(opts []Option, identity []byte, lookup func(string) (string, bool)) (options, error) {
	o := options{
		grace: instance.DefaultGrace, patience: instance.DefaultPatience,
		log: zerolog.New(os.Stderr).Level(zerolog.InfoLevel).With().Timestamp().Logger(),
	}
	for _, opt := range opts {
		opt(&o)
	}
	if identity != nil {
		o.byAgent = true
		o.identity = protocol.Identity{}
		if err := protocol.Unmarshal(protocol.KindStartContainer, identity, &o.identity); err != nil {
			return o, fmt.Errorf("worker: identity from the agent: %w", err)
		}
	} else if err := o.byHand(lookup); err != nil {
		return o, err
	}
	if o.identity.Slots == 0 {
		o.identity.Slots = protocol.DefaultSlots
	}
	if o.identity.Sessions == 0 {
		o.identity.Sessions = protocol.DefaultSessions
	}
	return o, o.check()
}

func (o *options) byHand(lookup func(string) (string, bool)) error {
	if o.identity.Service == "" {
		o.identity.Service, _ = lookup(EnvService)
	}
	if o.broker == "" {
		o.broker, _ = lookup(EnvBroker)
	}
	if o.broker == "" {
		o.broker = "127.0.0.1"
	}
	endpoints, err := protocol.ParseEndpoints(o.broker)
	o.identity.Endpoints = endpoints
	return err
}

func (o *options) check() error {
	id := &o.identity
	switch {
	case id.Service == "":
		return protocol.Errorf(protocol.CodeInvalid, "worker", "no service is named: give WithService or set %s", EnvService)
	case !protocol.ValidName(id.Service):
		return protocol.Errorf(protocol.CodeInvalid, "worker",
			"service %q: a name has 1 to 63 of a-z, 0-9, '.', '_', '-' and begins and ends with a letter or digit", id.Service)
	case len(id.Endpoints) == 0:
		return protocol.Errorf(protocol.CodeInvalid, "worker", "no endpoint of a broker is named")
	case id.Slots < 1 || id.Slots > maxSlots:
		return protocol.Errorf(protocol.CodeInvalid, "worker", "slots %d: want 1 to %d", id.Slots, maxSlots)
	case id.Sessions < 1:
		return protocol.Errorf(protocol.CodeInvalid, "worker", "sessions %d: want at least 1", id.Sessions)
	case o.grace <= 0 || o.patience <= 0:
		return protocol.Errorf(protocol.CodeInvalid, "worker", "grace %v and patience %v must be above 0", o.grace, o.patience)
	}
	return nil
}

// maxSlots bounds the goroutines that wait for hooks.
const maxSlots = 4096
