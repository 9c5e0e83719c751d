package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/engine/instance"
	"github.com/weft-fabric/weft/internal/headroom"
	"github.com/weft-fabric/weft/internal/hosted"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/launcher"
)

// Serve runs one instance of the service until ctx ends, the broker lets it go, or it fails. When ctx ends, and in a
// program that an agent started on SIGTERM, the instance drains: what runs is finished, what has not started goes back
// to the broker, sessions are let go. It tries to reach its brokers for as long as it takes.
//
// With the environment variable [EnvDescribe] it only says which types the service has.
//
// The error is nil when the instance ended in order; it wraps the *protocol.Error of OnCreateService, of
// OnDestroyService, of a panic ([ErrPanicked]) or of a broker that does not take the instance. All goroutines that
// Serve started have ended when it returns.
//
// There is one exception: when a hook does not return though its context has ended, because its task was cancelled, its
// time is over or its session was killed, an agent ends the process after the service's grace. Of a program that was
// started by hand Serve then returns an error, with CodeCancelled, and leaves that hook behind.
func Serve(ctx context.Context, service Service, opts ...Option) error {
	host, inside := hosted.From(ctx)
	identity := host.Identity
	if !inside {
		if os.Getenv(EnvDescribe) != "" {
			return describe(os.Stdout, service)
		}
		var err error
		if identity, err = launcher.ReadIdentity(os.LookupEnv); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	o, err := gather(opts, identity, os.LookupEnv)
	if err != nil {
		return err
	}
	if inside {
		o.ioThreads = 0 // they are the host's
	}
	if err := zmqx.Init(o.ioThreads); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if o.byAgent && !inside {
		zmqx.TuneMalloc(zmqx.MallocKeep)
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM)
		defer stop()
	}
	s, err := newServer(ctx, service, o)
	if err != nil {
		return err
	}
	return s.serve(ctx, host.Killed)
}

// errKilled is what Serve returns when its host killed the instance.
var errKilled = errors.New("worker: the instance was killed")

// server is one instance under way. Its goroutines share the work as driver.go says.
type server struct {
	service  Service
	context  ServiceContext
	log      zerolog.Logger
	grace    time.Duration
	root     context.Context // what hooks' contexts come from; it does not end
	hooks    context.Context // ends when hooks are no longer given time
	payloads *zmqx.Payloads
	wake     *zmqx.Wake
	ended    chan struct{}

	endHooks context.CancelCauseFunc

	// Owned by the driver.
	waiter  *zmqx.Waiter
	sockets [instance.Lines]*zmqx.Socket
	blocked [instance.Lines]bool

	mu     sync.Mutex
	engine *instance.Engine
	batch  instance.Batch
	now    time.Time // of the last look at the clock
	killed bool      // to end without a word
	over   bool
	baton  baton
	hands  []*hand
	asked  map[uint64]chan instance.Answer // of requests about the data of sessions
}

func newServer(ctx context.Context, service Service, o options) (*server, error) {
	wake, err := zmqx.NewWake()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	id := &o.identity
	s := &server{
		service: service,
		context: ServiceContext{
			Service: id.Service, Version: id.Version, Container: id.Container, Node: id.Node, Slots: id.Slots, Logger: o.log,
		},
		log: o.log, grace: o.grace, root: context.WithoutCancel(ctx),
		payloads: zmqx.NewPayloads(), wake: wake, ended: make(chan struct{}),
	}
	s.hooks, s.endHooks = context.WithCancelCause(s.root)
	s.waiter = zmqx.NewWaiter(wake)
	s.baton.init(&s.mu, id.Slots)
	s.asked = make(map[uint64]chan instance.Answer)
	s.engine = instance.New(instance.Config{
		Incarnation: rand.Uint64N(1<<63-1) + 1,
		Endpoints:   id.Endpoints,
		Hello: protocol.Hello{
			Name: fmt.Sprintf("%s[%d]", id.Service, os.Getpid()), Host: zmqx.HostID(), KeepsScheme: id.KeepsScheme,
			Service: id.Service, Version: id.Version, Container: id.Container, Token: id.Token, Sessions: id.Sessions,
			Interface: InterfaceOf(service),
		},
		Slots: id.Slots, Grace: o.grace, Patience: o.patience,
		Jitter: func(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) },
	})
	return s, nil
}

// serve runs the goroutines of the instance until it has ended. When killed is closed it ends at once, whatever its
// hooks do: goroutines in hooks are left alone, and end when their hooks do.
func (s *server) serve(ctx context.Context, killed <-chan struct{}) error {
	s.now = time.Now()
	s.engine.Start(s.now)
	stop := context.AfterFunc(ctx, s.stop)
	var all sync.WaitGroup
	for range s.context.Slots + 1 {
		all.Go(s.work)
	}
	all.Go(s.watch)
	defer stop()
	leave := func() { // what runs is left alone
		all.Wait()
		s.wake.Close() //nolint:errcheck // nobody is left to be told
	}
	if s.awaitEnd(killed) {
		go leave()
		return errKilled
	}
	s.mu.Lock()
	abandons, err := s.engine.Abandons(), s.engine.Err()
	s.mu.Unlock()
	if abandons {
		go leave()
		return fmt.Errorf("worker: service %s: %w", s.context.Service, err)
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endHooks(errEnding)
	if err := s.wake.Close(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err != nil {
		return fmt.Errorf("worker: service %s: %w", s.context.Service, err)
	}
	return nil
}

// stop asks the instance to end.
func (s *server) stop() {
	s.mu.Lock()
	s.engine.Stop(time.Now())
	if h := s.baton.runner; h != nil {
		h.halt()
	}
	s.mu.Unlock()
	s.wake.Ring()
}

// awaitEnd waits until the sockets are closed, and says whether the instance was killed.
func (s *server) awaitEnd(killed <-chan struct{}) bool {
	select {
	case <-s.ended:
		return false
	case <-killed:
	}
	s.mu.Lock()
	s.killed = true
	s.mu.Unlock()
	s.wake.Ring()
	<-s.ended
	return true
}

// finish closes the sockets and ends all goroutines. The driver calls it, holding s.mu.
func (s *server) finish() {
	if s.over {
		return
	}
	s.over = true
	for line := range instance.Lines {
		s.hangUp(line)
	}
	close(s.ended)
	s.baton.idle.Broadcast()
}

// flush carries out what the engine wants done. The driver calls it, holding s.mu.
func (s *server) flush() {
	if s.killed {
		s.endHooks(errEnding)
		s.finish()
	}
	if s.over {
		return
	}
	b := &s.batch
	b.Reset()
	s.engine.Take(b)
	for _, o := range b.Orders {
		s.obey(o)
	}
	for line := range instance.Lines {
		s.send(line)
	}
	granted(b.Granted)
	s.answered(b.Answers)
	for _, h := range s.engine.Released(b.Released) {
		s.payloads.Release(h)
	}
	if s.engine.State() == instance.Ended {
		s.finish()
	}
}

func (s *server) obey(o instance.Order) {
	switch o.Kind {
	case instance.Dial:
		s.dial(o.Line, o.Endpoint)
	case instance.HangUp:
		s.hangUp(o.Line)
	case instance.Cancel:
		if c, ok := o.Session.Shell.(*SessionContext); ok {
			c.cancel(errLetGo)
		}
	case instance.Abort:
		s.abort(&o)
	case instance.CancelAll:
		s.endHooks(errEnding)
	}
}

// dial opens a socket for a line, in place of the one that it has.
func (s *server) dial(line instance.Line, endpoint string) {
	s.hangUp(line)
	socket, err := zmqx.NewDealer(s.payloads, zmqx.Options{MaxRecords: protocol.MaxRecords})
	if err == nil {
		s.sockets[line] = socket
		err = socket.Connect(endpoint)
	}
	s.await()
	if err != nil {
		s.log.Error().Err(err).Str("endpoint", endpoint).Msg("cannot connect")
		s.engine.Fail(s.now, fmt.Errorf("cannot connect: %w", err))
	}
}

func (s *server) hangUp(line instance.Line) {
	socket := s.sockets[line]
	if socket == nil {
		return
	}
	s.sockets[line], s.blocked[line] = nil, false
	s.await()
	if err := socket.Close(); err != nil {
		s.log.Warn().Err(err).Msg("a socket did not close in order")
	}
}

// await tells the waiter which sockets there are.
func (s *server) await() {
	var open []*zmqx.Socket
	for _, socket := range s.sockets {
		if socket != nil {
			open = append(open, socket)
		}
	}
	s.waiter.SetSockets(open...)
}

// send lets the frames of a line leave.
func (s *server) send(line instance.Line) {
	for _, f := range s.batch.Frames[line] {
		if _, records, payloads, ok := f.Leave(); ok && s.sockets[line] != nil {
			err := s.sockets[line].Send(0, records, payloads)
			switch {
			case err == nil:
			case errors.Is(err, zmqx.ErrAgain):
				s.blocked[line] = true
				s.engine.Blocked(line)
			default:
				s.broken(line, err)
			}
		}
		f.Sent()
	}
}

// broken takes a socket out of use that cannot be used any more. The next HELLO goes over another one.
func (s *server) broken(line instance.Line, err error) {
	s.log.Warn().Err(err).Msg("a socket failed and is opened again")
	if errors.Is(err, zmqx.ErrTerminated) {
		s.engine.Fail(s.now, err)
		s.finish()
		return
	}
	s.hangUp(line)
	s.engine.Broken(s.now, line)
}

// receive takes in what has arrived over the sockets that are ready. The driver calls it, holding s.mu.
func (s *server) receive(ready []*zmqx.Socket) {
	for line := range instance.Lines {
		socket := s.sockets[line]
		if socket == nil || !contains(ready, socket) {
			continue
		}
		if s.blocked[line] {
			s.blocked[line] = false
			s.engine.Writable(s.now, line)
		}
		messages, _, err := socket.Recv(0)
		for i := range messages {
			m := &messages[i]
			if m.Bad != nil {
				s.log.Warn().Err(m.Bad).Msg("a message of the broker was dropped")
				continue
			}
			headroom.Came(len(m.Records))
			s.engine.Receive(s.now, line, m.Records, m.Payloads)
		}
		if err != nil {
			s.broken(line, err)
		}
	}
}

func contains(sockets []*zmqx.Socket, s *zmqx.Socket) bool {
	for _, other := range sockets {
		if other == s {
			return true
		}
	}
	return false
}
