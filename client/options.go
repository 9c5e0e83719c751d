package client

import (
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/protocol"
)

type config struct {
	ioThreads    int
	name         string
	keepsScheme  bool
	logger       zerolog.Logger
	dialTimeout  time.Duration
	resultCredit int64
	spin         time.Duration
	tuneMalloc   bool
}

func defaults() config {
	return config{
		name: filepath.Base(os.Args[0]), logger: zerolog.New(os.Stderr).With().Timestamp().Logger(), dialTimeout: 10 * time.Second,
		resultCredit: protocol.DefaultResultCredit, spin: MaxSpin,
	}
}

func (c *config) validate() error {
	switch {
	case c.ioThreads < 0:
		return protocol.Errorf(protocol.CodeInvalid, "dial", "WithIOThreads: %d is not above 0", c.ioThreads)
	case c.dialTimeout <= 0:
		return protocol.Errorf(protocol.CodeInvalid, "dial", "WithDialTimeout: %v is not above 0", c.dialTimeout)
	case c.resultCredit < protocol.InlinePayload:
		return protocol.Errorf(protocol.CodeInvalid, "dial", "WithResultCredit: %d bytes is less than %d",
			c.resultCredit, protocol.InlinePayload)
	case c.spin < 0 || c.spin > MaxSpin:
		return protocol.Errorf(protocol.CodeInvalid, "dial", "WithSpin: %v is not within 0 to %v", c.spin, MaxSpin)
	}
	return nil
}

// apply has options say their part. The error names the place of one that is nil.
func apply[C any, O ~func(*C)](op string, c *C, opts []O) error {
	for i, o := range opts {
		if o == nil {
			return protocol.Errorf(protocol.CodeInvalid, op, "option %d of %d is nil; leave it out", i+1, len(opts))
		}
		o(c)
	}
	return nil
}

// Option changes how [Dial] makes a client.
type Option func(*config)

// WithIOThreads sets the number of ZeroMQ's I/O threads. A process has one set of them: the first use decides, another
// number later is an error of [Dial].
func WithIOThreads(n int) Option { return func(c *config) { c.ioThreads = n } }

// WithTunedMalloc makes the C allocator of the whole process keep freed memory, up to 1 GiB: payloads from some KiB on
// travel about a third faster. It is for programs whose main business is to be a client.
func WithTunedMalloc() Option { return func(c *config) { c.tuneMalloc = true } }

// WithName sets the name by which people see this client; without it, that of the program.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// WithKeepScheme keeps the client on the transport that it dialled: otherwise a broker of the same host may refer it
// to ipc instead of tcp.
func WithKeepScheme() Option { return func(c *config) { c.keepsScheme = true } }

// WithLogger sets where the client writes what it cannot return: panics of callbacks, connections that cannot
// be made. Without it they go to standard error.
func WithLogger(l zerolog.Logger) Option { return func(c *config) { c.logger = l } }

// WithDialTimeout sets how long [Dial] waits for a broker at most; without it, 10 s.
func WithDialTimeout(d time.Duration) Option { return func(c *config) { c.dialTimeout = d } }

// WithResultCredit sets how many bytes of results one manager loop may send that were not taken; without it,
// [protocol.DefaultResultCredit]. When they are spent results stay at the broker, and the session's instances stop. While
// somebody waits for a task or for the end of a session it may be exceeded: what is waited for may be behind others.
func WithResultCredit(bytes int64) Option { return func(c *config) { c.resultCredit = bytes } }

// MaxSpin is the longest time for [WithSpin].
const MaxSpin = 300 * time.Microsecond

// WithSpin lets a lonely Call look for its answer for up to d without sleeping, which shortens round trips on a machine
// that is idle otherwise. It ends early when somebody else wants the processor, and Calls whose answers take longer than
// d do not look. Without it d is [MaxSpin]; with 0 a Call sleeps at once.
func WithSpin(d time.Duration) Option { return func(c *config) { c.spin = d } }

type sessionConfig struct {
	spec        protocol.OpenSession
	windowTasks int
	windowBytes int64
	waitsAfter  time.Duration
	onWaiting   func(reason string)

	ordered      bool
	orderedLimit int
}

// SessionOption changes what [Client.OpenSession] asks for.
type SessionOption func(*sessionConfig)

// WithQueue names the queue that the session is charged to, a leaf of the queues; without it, the service's.
func WithQueue(name string) SessionOption { return func(c *sessionConfig) { c.spec.Queue = name } }

// WithInstances sets how many instances the service shall have for the session; without it, as the service says.
func WithInstances(least, most int) SessionOption {
	return func(c *sessionConfig) { c.spec.MinInst, c.spec.MaxInst = least, most }
}

// WithNodeType asks for nodes of a type, [protocol.NodeTypeCPU] or [protocol.NodeTypeGPU]. A node with GPUs is taken for the
// former as well when no other has room.
func WithNodeType(t string) SessionOption { return func(c *sessionConfig) { c.spec.NodeType = t } }

// WithNodes asks for instances on at least n distinct nodes.
func WithNodes(n int) SessionOption { return func(c *sessionConfig) { c.spec.Nodes = n } }

// Location is a place in the cluster for [WithLocation]: make it with [OnNode] or [InRack].
type Location struct {
	node, rack string
	relax      bool
}

// OnNode is the node of that name.
func OnNode(name string) Location { return Location{node: name} }

// InRack is every node of that rack.
func InRack(name string) Location { return Location{rack: name} }

// Preferred makes a location one that is preferred: where there is no room for a while, another place does.
func (l Location) Preferred() Location {
	l.relax = true
	return l
}

// WithLocation says where the instances shall run: there only, or, by [Location.Preferred], there rather than elsewhere.
func WithLocation(l Location) SessionOption {
	return func(c *sessionConfig) { c.spec.Node, c.spec.Rack, c.spec.Relax = l.node, l.rack, l.relax }
}

// WithContainerPriority says which containers of the service come first: those of sessions with the higher number. Without it,
// or with 0, it is as the service says.
func WithContainerPriority(p int) SessionOption {
	return func(c *sessionConfig) { c.spec.Priority = p }
}

// WithSessionName gives the session a name, for people.
func WithSessionName(name string) SessionOption { return func(c *sessionConfig) { c.spec.Name = name } }

// WithVersion asks for a version of the service; without it, the default one: the highest that is no pre-release. The
// session stays with it, whatever is registered later.
func WithVersion(v string) SessionOption { return func(c *sessionConfig) { c.spec.Version = v } }

// WithParameters hands bytes to the OnSessionBind of every instance that the session is bound to.
func WithParameters(b []byte) SessionOption { return func(c *sessionConfig) { c.spec.Parameters = b } }

// WithEnvironment names the environment that the session lives in, which must be there; without it, "default", which
// always is.
func WithEnvironment(name string) SessionOption {
	return func(c *sessionConfig) { c.spec.Environment = name }
}

// WithWindow lets the session have fewer unfinished tasks, or fewer bytes of them, than the broker grants; 0 leaves one
// as it is granted.
func WithWindow(tasks int, bytes int64) SessionOption {
	return func(c *sessionConfig) { c.windowTasks, c.windowBytes = tasks, bytes }
}

// WithTaskTimeout is [WithTimeout] for every task of the session that names no time of its own.
func WithTaskTimeout(d time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Timeout = d }
}

// WithTaskRunLimit is [WithRunLimit] for every task of the session that names no limit of its own.
func WithTaskRunLimit(d time.Duration) SessionOption {
	return func(c *sessionConfig) { c.spec.Run = d }
}

// WithSessionRetry says how often tasks of the session are run again, after which failures, and when; what r leaves out is
// as the service says. [WithRetry] goes before it.
func WithSessionRetry(r protocol.Retry) SessionOption {
	return func(c *sessionConfig) { c.spec.Retry = r }
}

func (c *sessionConfig) validate() error {
	bad := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeInvalid, "open session", format, args...)
	}
	s := &c.spec
	switch {
	case s.Service == "":
		return bad("service: is empty; it is the name of a registered service")
	case s.MinInst < 0 || s.MaxInst < 0 || s.MaxInst > 0 && s.MaxInst < s.MinInst:
		return bad("WithInstances: %d to %d is not a range", s.MinInst, s.MaxInst)
	case s.Request().Check() != nil:
		return bad("%v", s.Request().Check())
	case s.Queue != "" && !protocol.ValidName(s.Queue):
		return bad("WithQueue: %q is not the name of a queue", s.Queue)
	case c.windowTasks < 0 || c.windowBytes < 0:
		return bad("WithWindow: %d tasks, %d bytes: neither may be negative", c.windowTasks, c.windowBytes)
	case c.orderedLimit < 0:
		return bad("WithOrderedResults: %d is negative", c.orderedLimit)
	case s.Timeout < 0:
		return bad("WithTaskTimeout: %v is negative", s.Timeout)
	case s.Run < 0:
		return bad("WithTaskRunLimit: %v is negative", s.Run)
	case c.waitsAfter < 0:
		return bad("OnWaiting: %v is negative", c.waitsAfter)
	case len(s.Parameters) > protocol.MaxBody/2:
		return bad("WithParameters: %d bytes, at most %d are allowed", len(s.Parameters), protocol.MaxBody/2)
	}
	if c.orderedLimit > 0 && (c.windowTasks == 0 || c.windowTasks > c.orderedLimit) {
		c.windowTasks = c.orderedLimit
	}
	if err := s.Retry.Validate("open session", "WithSessionRetry: "); err != nil {
		return err
	}
	return checkTimes(s)
}
