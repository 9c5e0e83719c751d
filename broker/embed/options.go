package embed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker"
)

// Option changes how [Start] makes a fabric.
type Option func(*options)

type options struct {
	services []service
	loops    int
	listen   []string
	insecure bool
	http     string
	grace    time.Duration
	log      zerolog.Logger
}

func gather(opts []Option) options {
	o := options{loops: 1, http: "off", grace: time.Second, log: zerolog.Nop()}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithLoops sets the number of the broker's manager loops; default 1.
func WithLoops(n int) Option { return func(o *options) { o.loops = n } }

// WithListen lets the broker listen at further endpoints, as broker.Config.Listen has them, so that other processes can
// look in: tcp://127.0.0.1:0 takes a free port, which [Fabric.Listeners] tells.
func WithListen(endpoints ...string) Option {
	return func(o *options) { o.listen = append(o.listen, endpoints...) }
}

// WithInsecure allows endpoints of [WithListen] that are reached from other machines, although there are no keys.
func WithInsecure() Option { return func(o *options) { o.insecure = true } }

// WithHTTP has the broker serve HTTP for operators (docs/http.md) at address:port, as broker.Config.HTTP has it; port 0 takes
// a free one, which [Fabric.HTTP] tells. By default there is none.
func WithHTTP(address string) Option { return func(o *options) { o.http = address } }

// WithGrace sets how long hooks that run when the fabric is stopped have to return; then their contexts end, and they are
// left alone. Default 1 s.
func WithGrace(d time.Duration) Option { return func(o *options) { o.grace = d } }

// WithLogger sets where broker, agent, instances and clients write; by default nowhere.
func WithLogger(log zerolog.Logger) Option { return func(o *options) { o.log = log } }

// ServiceOption changes what the fabric knows of a service: any field of its description may be set.
type ServiceOption func(*protocol.Service)

// WithInstances sets how many instances the service has: least with the first session, most while tasks wait. Default:
// one.
func WithInstances(least, most int) ServiceOption {
	return func(s *protocol.Service) { s.Instances = protocol.Instances{Min: least, Max: most} }
}

// WithRetry says when tasks of the service are run again that did not succeed; what is left out is as for any service.
func WithRetry(r protocol.Retry) ServiceOption { return func(s *protocol.Service) { s.Retry = r } }

// WithSlots sets how many OnTaskExec run at once in an instance; default 1.
func WithSlots(n int) ServiceOption { return func(s *protocol.Service) { s.Slots = n } }

// WithVersion sets the version; several versions of a service may be registered side by side.
func WithVersion(version string) ServiceOption {
	return func(s *protocol.Service) { s.Version = version }
}

// Service gives the fabric a service. newInstance makes the value whose hooks are one instance's; it is called once for
// each instance, from any goroutine, as the main function of a process would run once in each. For the first instance it
// is called by [Start], which declares the types of a worker.Func or worker.Stateful as the service's interface, unless
// an option declares another one.
func Service(name string, newInstance func() worker.Service, opts ...ServiceOption) Option {
	return func(o *options) {
		s := service{newInstance: newInstance, Service: protocol.Service{
			Name: name, Requests: []protocol.ContainerRequest{{Capacity: protocol.Capacity{CPU: 1}}},
		}}
		for _, opt := range opts {
			opt(&s.Service)
		}
		s.Service = s.WithDefaults()
		here := platform.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}.String()
		s.Artefacts = protocol.Artefacts{here: {Command: s.command()}}
		o.services = append(o.services, s)
	}
}

// service is a service and how its instances are made.
type service struct {
	protocol.Service
	newInstance func() worker.Service
}

// declare makes the first instance's hooks, and declares their types.
func (s *service) declare() {
	newInstance := s.newInstance
	first := make(chan worker.Service, 1)
	s.newInstance = func() worker.Service {
		select {
		case made := <-first:
			return made
		default:
			return newInstance()
		}
	}
	defer func() {
		_ = recover() // it panics again where an instance is started, and is told there
	}()
	made := newInstance()
	if s.Interface == (protocol.Interface{}) {
		s.Interface = worker.InterfaceOf(made)
	}
	first <- made
}

// command names what the launcher is to run; it looks like a path because artefacts have paths.
func (s *service) command() string { return commandOf(s.Name) + s.Version }

// commandOf is what the commands of all versions of a service begin with.
func commandOf(name string) string { return "/embedded/" + name + "@" }

// program is what a container of the service runs. The exit codes are those of a process.
func (s *service) program(log zerolog.Logger) program {
	newInstance := s.newInstance
	return func(ctx context.Context, c *container) (code int) {
		defer func() {
			if what := recover(); what != nil { // of newInstance: Serve has its own
				c.say(strings.Split(fmt.Sprintf("panic: %v\n%s", what, debug.Stack()), "\n")...)
				code = exitPanicked
			}
		}()
		err := worker.Serve(ctx, newInstance(), worker.WithLogger(log.With().Str("container", c.ID()).Logger()))
		switch {
		case err == nil:
			return 0
		case errors.Is(err, worker.ErrPanicked):
			code = exitPanicked
		default:
			code = exitFailed
		}
		c.say(strings.Split(err.Error(), "\n")...)
		return code
	}
}

// Exit codes, as those of programs.
const (
	exitFailed   = 1
	exitPanicked = 2
)
