package agent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
	"github.com/weft-fabric/weft/worker/launcher"
)

// linger is how long the last words may take to leave after the sockets were closed.
const linger = time.Second

// shell is the goroutine that owns the sockets and the core, and what other goroutines need to reach it.
type shell struct {
	agent    *Agent
	log      zerolog.Logger
	launcher launcher.Launcher
	core     *core.Core
	batch    core.Batch

	payloads *zmqx.Payloads
	sockets  []*zmqx.Socket // by broker
	blocked  []bool         // brokers to which there was no connection when something was sent last
	wake     *zmqx.Wake
	waiter   *zmqx.Waiter

	registered bool // at some time

	containers map[string]launcher.Container // that have started and not ended
	work       sync.WaitGroup                // goroutines that start and watch containers, and measure
	inbox      inbox
}

// inbox is where other goroutines put events for the shell.
type inbox struct {
	mu     sync.Mutex
	events []arrival
}

// arrival is an event, with the container that has started if it is about that.
type arrival struct {
	event     core.Event
	container launcher.Container
}

// put hands an event to the shell. It is safe for concurrent use.
func (s *shell) put(a arrival) {
	s.inbox.mu.Lock()
	s.inbox.events = append(s.inbox.events, a)
	s.inbox.mu.Unlock()
	s.wake.Ring()
}

// newShell opens the sockets. Close frees it, and the launcher.
func newShell(a *Agent, l launcher.Launcher) (*shell, error) {
	s := &shell{
		agent: a, log: a.config.Logger, launcher: l, payloads: zmqx.NewPayloads(),
		blocked: make([]bool, len(a.endpoints)), containers: map[string]launcher.Container{},
	}
	var err error
	if s.wake, err = zmqx.NewWake(); err != nil {
		return nil, err
	}
	for _, endpoint := range a.endpoints {
		socket, err := s.dial(endpoint)
		if err != nil {
			return nil, errors.Join(err, s.closeSockets())
		}
		s.sockets = append(s.sockets, socket)
	}
	s.waiter = zmqx.NewWaiter(s.wake, s.sockets...)
	return s, nil
}

func (s *shell) dial(endpoint string) (*zmqx.Socket, error) {
	socket, err := zmqx.NewDealer(s.payloads, zmqx.Options{
		MaxFrame: protocol.MaxRecords, MaxRecords: protocol.MaxRecords, Linger: linger,
	})
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	if err := socket.Connect(endpoint); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: Broker: %w", err), socket.Close())
	}
	return socket, nil
}

// close ends the containers that are left, then everything else.
func (s *shell) close() error {
	err := s.launcher.Close()
	s.work.Wait()
	return errors.Join(err, s.closeSockets())
}

func (s *shell) closeSockets() error {
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, socket.Close())
	}
	return errors.Join(append(errs, s.wake.Close())...)
}

// run is the loop: tell the core what happened, do what it wants, wait.
func (s *shell) run(ctx context.Context) error {
	node, host, err := s.agent.register(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	s.core = core.New(now, core.Config{
		Brokers: s.agent.endpoints, Incarnation: incarnation(), Node: node, Host: host,
		KeepsScheme: s.agent.config.KeepsScheme, Jitter: mathrand.Float64,
	})
	s.log.Info().Str("node", node.Name).Strs("brokers", s.agent.endpoints).Str("dir", s.agent.config.Dir).
		Int64("millicores", node.Capacity.CPU).Int64("memory", node.Capacity.Memory).Msg("agent starts")
	stop := context.AfterFunc(ctx, func() { s.put(arrival{event: core.Shutdown{Grace: s.agent.config.Grace}}) })
	defer stop()
	measuring, enough := context.WithCancel(context.Background())
	defer enough()
	s.work.Go(func() { s.measure(measuring) })
	for {
		s.core.Tick(now)
		if over, err := s.perform(); over || err != nil {
			return err
		}
		ready, _, err := s.waiter.Wait(s.patience(now))
		if err != nil {
			return fmt.Errorf("agent: %w", err)
		}
		now = time.Now()
		for _, socket := range ready {
			if err := s.receive(now, socket); err != nil {
				return err
			}
		}
		s.collect(now)
	}
}

// incarnation draws the number of this process.
func incarnation() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return max(1, binary.BigEndian.Uint64(b[:]))
}

// patience is how long to wait at most.
func (s *shell) patience(now time.Time) time.Duration {
	at, ok := s.core.Deadline()
	if !ok {
		return -1
	}
	return max(0, at.Sub(now))
}

// receive takes what has come from one broker, a burst at most.
func (s *shell) receive(now time.Time, socket *zmqx.Socket) error {
	i := 0
	for s.sockets[i] != socket {
		i++
	}
	if s.blocked[i] {
		s.blocked[i] = false
		s.core.Step(now, core.Reachable{Broker: i})
	}
	messages, _, err := socket.Recv(zmqx.MaxBurst)
	for _, m := range messages {
		if m.Bad != nil {
			s.log.Warn().Err(m.Bad).Str("broker", s.agent.endpoints[i]).Msg("dropped a message")
			continue
		}
		s.core.Step(now, core.Received{Broker: i, Frame: m.Records})
		for _, h := range m.Payloads { // no order has any
			s.payloads.Release(h)
		}
	}
	if err != nil {
		return s.reopen(now, i, err)
	}
	return nil
}

// reopen replaces the socket to a broker.
func (s *shell) reopen(now time.Time, i int, why error) error {
	if errors.Is(why, zmqx.ErrTerminated) || errors.Is(why, zmqx.ErrClosed) {
		return fmt.Errorf("agent: %w", why)
	}
	s.log.Error().Err(why).Str("broker", s.agent.endpoints[i]).Msg("opening another socket")
	socket, err := s.dial(s.agent.endpoints[i])
	if err != nil {
		return err
	}
	old := s.sockets[i]
	s.sockets[i] = socket
	s.waiter.SetSockets(s.sockets...)
	s.blocked[i] = false
	s.core.Step(now, core.Gone{Broker: i})
	return old.Close()
}

// collect takes what other goroutines have to say.
func (s *shell) collect(now time.Time) {
	s.inbox.mu.Lock()
	arrivals := s.inbox.events
	s.inbox.events = nil
	s.inbox.mu.Unlock()
	for _, a := range arrivals {
		if a.container != nil {
			s.containers[a.container.ID()] = a.container
		}
		if e, ok := a.event.(core.Exited); ok {
			delete(s.containers, e.ID)
		}
		s.core.Step(now, a.event)
	}
}

// perform does all that the core wants, and says whether that was the end.
func (s *shell) perform() (over bool, err error) {
	for s.core.Take(&s.batch) {
		for _, n := range s.batch.Notes {
			s.note(n)
		}
		for _, order := range s.batch.Starts {
			s.start(order)
		}
		for _, stop := range s.batch.Stops {
			if c := s.containers[stop.ID]; c != nil {
				c.Stop(stop.Grace)
			}
		}
		for _, send := range s.batch.Sends {
			if err := s.send(send); err != nil {
				return true, err
			}
		}
		if s.batch.Over {
			return true, nil
		}
	}
	return false, nil
}

// send sends one frame. When there is no connection the core is told at once: it keeps what leaves afterwards.
func (s *shell) send(send core.Send) error {
	defer send.Frame.Sent()
	_, records, _, ok := send.Frame.Leave()
	if !ok {
		return nil
	}
	err := s.sockets[send.Broker].Send(0, records, nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zmqx.ErrAgain):
		s.blocked[send.Broker] = true
		s.core.Step(time.Now(), core.Gone{Broker: send.Broker})
		return nil
	default:
		return s.reopen(time.Now(), send.Broker, err)
	}
}

// note writes a line into the log.
func (s *shell) note(n core.Note) {
	level := zerolog.InfoLevel
	switch n.Kind {
	case core.NoteRefused, core.NoteLost, core.NoteIgnored, core.NoteForced:
		level = zerolog.WarnLevel
	case core.NoteRegistered:
		if !s.registered {
			s.registered = true
			close(s.agent.registered)
		}
	case core.NoteWelcomed, core.NoteStarted, core.NoteEnded:
	}
	line := s.log.WithLevel(level)
	if n.Broker != "" {
		line = line.Str("broker", n.Broker)
	}
	if n.Container != "" {
		line = line.Str("container", n.Container)
	}
	line.Str("detail", n.Text).Msg(n.Kind.String())
}
