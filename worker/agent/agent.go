package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher"
	"github.com/weft-fabric/weft/worker/launcher/process"
)

// Agent is the daemon of a compute node. Make it with [New].
type Agent struct {
	config     Config
	endpoints  []string
	registered chan struct{}
}

// New checks the configuration and makes an agent; nothing is opened or started yet. The error of a field that cannot
// be is a *protocol.Error with CodeInvalid that names it.
func New(config Config) (*Agent, error) {
	endpoints, err := protocol.ParseEndpoints(config.Broker)
	if err != nil {
		return nil, fmt.Errorf("agent: Broker: %w", err)
	}
	config, err = config.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := config.validate(); err != nil {
		return nil, err
	}
	return &Agent{config: config, endpoints: endpoints, registered: make(chan struct{})}, nil
}

// Name is the node's name.
func (a *Agent) Name() string { return a.config.Name }

// Dir is the state folder, or empty when there is none.
func (a *Agent) Dir() string { return a.config.Dir }

// Registered is closed when a broker has taken the node in for the first time.
func (a *Agent) Registered() <-chan struct{} { return a.registered }

// Run is the life of the agent. It returns when the context has ended and, after that, the containers have been
// stopped and the brokers told; or with an error when it cannot work at all: its folder is another agent's, which is
// a *protocol.Error with CodeInUse, or ZeroMQ fails. That no broker answers is no error: it goes on trying. Run is called once.
func (a *Agent) Run(ctx context.Context) (err error) {
	if err := zmqx.Init(a.config.IOThreads); err != nil {
		return fmt.Errorf("agent: IOThreads: %w", err)
	}
	dir := a.config.Dir
	if dir != "" {
		held, real, err := lock(dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, held.Close()) }()
		dir = real
	}
	l, err := a.launcher(dir)
	if err != nil {
		return err
	}
	s, err := newShell(a, l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, s.close()) }()
	a.reap(ctx, l)
	return s.run(ctx)
}

// launcher is the configured launcher, or one for processes that bear this agent's mark.
func (a *Agent) launcher(dir string) (launcher.Launcher, error) {
	if a.config.Launcher != nil {
		return a.config.Launcher, nil
	}
	l, err := process.New(process.Options{Owner: ownerMark(a.config.Name, dir), LogFolder: filepath.Join(dir, "logs")})
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return l, nil
}

// reap ends what an earlier agent on this folder left behind.
func (a *Agent) reap(ctx context.Context, l launcher.Launcher) {
	found, err := l.Reap(ctx)
	for _, left := range found {
		a.config.Logger.Warn().Str("container", left.ContainerID).Int("pid", left.PID).Str("command", left.Command).
			Msg("killed what an earlier agent left behind")
	}
	if err != nil {
		a.config.Logger.Error().Err(err).Msg("not all that an earlier agent left behind could be killed")
	}
}
