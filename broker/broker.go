// Package broker is the daemon of a management node: the control loop, the manager loops and the committer, each a
// goroutine that owns its sockets and its state (docs/architecture.md).
package broker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/weft-fabric/weft/broker/admin"
	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

// Broker is one running broker. Its methods are safe for concurrent use.
type Broker struct {
	cfg       Config
	endpoints []string
	control   *controlLoop
	managers  []*managerLoop
	committer *committer
	payloads  *zmqx.Payloads
	memory    *memory
	http      []net.Listener
	admin     *admin.Server // nil: there is none

	stop     chan struct{}
	stopOnce sync.Once
	ended    chan struct{}
	running  sync.WaitGroup

	mu  sync.Mutex
	err error // the first that ended it
}

// Start makes a broker and runs it until [Broker.Stop]. Every endpoint is bound when it returns. An error names the
// field or the endpoint, and what would be right.
func Start(cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l, err := cfg.listeners()
	if err != nil {
		return nil, err
	}
	if err := cfg.startIO(); err != nil {
		return nil, fmt.Errorf("broker: io threads: %w", err)
	}
	if cfg.TuneMalloc {
		zmqx.TuneMalloc(mallocKeeps(cfg.Memory))
	}
	b := &Broker{cfg: cfg, payloads: zmqx.NewPayloads(), stop: make(chan struct{}), ended: make(chan struct{})}
	b.memory = newMemory(cfg.Memory, cfg.Loops, b.payloads, cfg.Logger)
	if err := b.build(l); err != nil {
		b.closeSockets()
		return nil, err
	}
	b.launch()
	cfg.Logger.Info().Strs("endpoints", b.endpoints).Strs("http", b.HTTP()).Int("loops", cfg.Loops).Msg("broker is up")
	if cfg.Insecure {
		cfg.Logger.Warn().Msg("insecure: there are no keys, whoever reaches these endpoints can run programs on every node")
	}
	return b, nil
}

// Endpoints are the control endpoints as they were bound, in the order of Config.Listen but tcp first.
func (b *Broker) Endpoints() []string { return append([]string(nil), b.endpoints...) }

// Done is closed when the broker has ended; Err then says why.
func (b *Broker) Done() <-chan struct{} { return b.ended }

// Err is what ended the broker; nil while it runs and after Stop.
func (b *Broker) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Stop ends the broker: what was handed to the store is committed, sockets are closed. It may be called more than once.
func (b *Broker) Stop(ctx context.Context) error {
	b.end(nil)
	select {
	case <-b.ended:
		return b.Err()
	case <-ctx.Done():
		return fmt.Errorf("broker: stop: %w", ctx.Err())
	}
}

// end begins to end the broker, with the error that is the reason.
func (b *Broker) end(err error) {
	b.stopOnce.Do(func() {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		if err != nil {
			b.cfg.Logger.Error().Err(err).Msg("broker ends")
		}
		close(b.stop)
		b.control.wake.Ring()
		for _, m := range b.managers {
			m.wake.Ring()
		}
		b.committer.close()
	})
}

// build binds the sockets and makes the cores.
func (b *Broker) build(l listeners) error {
	incarnation, err := drawIncarnation()
	if err != nil {
		return err
	}
	epoch := protocol.NewEpoch(uint64(time.Now().UnixMilli()), b.cfg.Node)
	for _, dir := range l.ipcDir {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("broker: listen ipc://%s/control: %w", dir, err)
		}
	}
	b.control = &controlLoop{memory: b.memory}
	if err := b.open(&b.control.shell); err != nil {
		return err
	}
	b.control.mail = &mailbox[control.Event]{wake: b.control.wake}
	if err := b.bindControl(&l); err != nil {
		return err
	}
	if err := b.bindHTTP(&l); err != nil {
		return err
	}
	b.control.desk, b.control.observe = newDesk(b.control.mail, b.stop), func(time.Duration) {}
	if len(b.http) > 0 {
		b.admin = b.newAdmin()
		b.control.observe = b.admin.Observe
	}
	places := control.Places{Advertise: b.cfg.Advertise, HostID: zmqx.HostID()}
	if len(l.ipcDir) > 0 {
		places.Dir = l.ipcDir[0]
	}
	tell := []func(uint64){func(p uint64) { b.control.mail.put(control.Committed{Position: p}) }}
	for i := range b.cfg.Loops {
		m := &managerLoop{index: i, control: b.control.mail, memory: b.memory}
		b.managers = append(b.managers, m)
		if err := b.open(&m.shell); err != nil {
			return err
		}
		m.mail = &mailbox[session.Order]{wake: m.wake}
		port, err := b.bindLoop(m, l)
		if err != nil {
			return err
		}
		places.Ports = append(places.Ports, port)
		m.core = manager.New(manager.Config{
			Loop: i, Epoch: epoch, Incarnation: incarnation, Broker: b.cfg.Name, MaxPayload: b.cfg.MaxPayload,
			PeerTimeout: b.cfg.PeerTimeout,
			Seed:        incarnation,
			QueuedBytes: b.cfg.ManagerMemory, // the shares of its managers are not more together
		})
	}
	if len(l.tcpHost) == 0 {
		places.Ports = nil
	}
	b.control.managers = b.managers
	b.committer = newCommitter(b.cfg.Store, tell, func(err error) { b.end(fmt.Errorf("broker: store: %w", err)) })
	b.control.committer = b.committer
	b.control.core, err = control.New(control.Config{
		Epoch: epoch, Incarnation: incarnation, Broker: b.cfg.Name, Loops: b.cfg.Loops, Places: places,
		ClientGrace: b.cfg.ClientGrace, PeerTimeout: b.cfg.PeerTimeout, MaxPayload: b.cfg.MaxPayload, Token: drawToken,
		ManagerCPU: b.cfg.ManagerCPU, ManagerMemory: b.cfg.ManagerMemory,
		DeadLetters: b.cfg.DeadLetters, DeadLetterBytes: b.cfg.DeadLetterBytes, Queues: b.cfg.Queues, Scores: b.cfg.Scores,
	})
	return err
}

// open makes a loop's socket and what wakes it.
func (b *Broker) open(s *shell) error {
	wake, err := zmqx.NewWake()
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	s.wake, s.stop = wake, b.stop
	// A frame of records is at most protocol.MaxRecords; a payload frame may be a result of the largest service.
	socket, err := zmqx.NewRouter(b.payloads, zmqx.Options{
		MaxFrame: max(b.cfg.MaxPayload, protocol.MaxRecords) + 1024, MaxRecords: protocol.MaxRecords,
		MaxMessage: protocol.MaxPayloadFrames*b.cfg.MaxPayload + protocol.MaxRecords,
		Backlog:    backlog,
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	s.out = outlet{socket: socket, payloads: b.payloads, log: b.cfg.Logger}
	s.waiter = zmqx.NewWaiter(wake, socket)
	return nil
}

func (b *Broker) bindControl(l *listeners) error {
	for i, host := range l.tcpHost {
		endpoint, err := bind(b.control.out.socket, fmt.Sprintf("tcp://%s:%d", host, l.tcpPort))
		if err != nil {
			return err
		}
		if l.tcpPort == 0 && i == 0 && len(l.tcpHost) > 1 {
			// The other addresses get the port that was free at the first.
			if l.tcpPort, err = portOf(endpoint); err != nil {
				return fmt.Errorf("broker: %w", err)
			}
		}
		b.endpoints = append(b.endpoints, endpoint)
	}
	for _, e := range l.control {
		endpoint, err := bind(b.control.out.socket, e)
		if err != nil {
			return err
		}
		b.endpoints = append(b.endpoints, endpoint)
	}
	return nil
}

// bindLoop binds a manager loop beside each control endpoint and returns its tcp port, 0 for none.
func (b *Broker) bindLoop(m *managerLoop, l listeners) (port int, err error) {
	if !l.anyPort {
		port = l.tcpPort + protocol.LoopPort + m.index
	}
	for _, host := range l.tcpHost {
		endpoint, err := bind(m.out.socket, fmt.Sprintf("tcp://%s:%d", host, port))
		if err != nil {
			return 0, err
		}
		if port, err = portOf(endpoint); err != nil {
			return 0, fmt.Errorf("broker: %w", err)
		}
	}
	name := "loop-" + strconv.Itoa(m.index)
	for _, dir := range l.ipcDir {
		if _, err := bind(m.out.socket, "ipc://"+path.Join(dir, name)); err != nil {
			return 0, err
		}
	}
	for _, n := range l.inproc {
		if _, err := bind(m.out.socket, "inproc://"+n+"/"+name); err != nil {
			return 0, err
		}
	}
	return port, nil
}

func bind(s *zmqx.Socket, endpoint string) (string, error) {
	bound, err := s.Bind(endpoint)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "", fmt.Errorf("broker: listen %q: the address is in use, maybe by another broker: stop it, or listen on another port: %w", endpoint, err)
	case err != nil:
		return "", fmt.Errorf("broker: listen %q: %w", endpoint, err)
	}
	return bound, nil
}

// launch starts the goroutines.
func (b *Broker) launch() {
	b.running.Go(func() { b.loop("control loop", &b.control.shell, b.control.turn) })
	for _, m := range b.managers {
		b.running.Go(func() { b.loop("manager loop "+strconv.Itoa(m.index), &m.shell, m.turn) })
	}
	b.running.Go(b.committer.run)
	if b.admin != nil {
		b.running.Go(func() { b.admin.Run(b.stop, b.http) })
	}
	if b.cfg.TuneMalloc {
		b.running.Go(func() { (&keeper{memory: b.memory}).run(b.stop) })
	}
	go func() {
		b.running.Wait()
		if err := b.cfg.Store.Close(); err != nil {
			b.cfg.Logger.Error().Err(err).Msg("the store was not closed in order")
		}
		close(b.ended)
	}()
}

// loop runs one loop to its end, which is the broker's.
func (b *Broker) loop(name string, s *shell, turn turn) {
	err := s.run(turn)
	b.closeShell(s)
	if err != nil {
		err = fmt.Errorf("broker: %s: %w", name, err)
	}
	b.end(err)
}

func (b *Broker) closeShell(s *shell) {
	var err error
	if s.out.socket != nil {
		err = s.out.socket.Close()
	}
	if s.wake != nil {
		err = errors.Join(err, s.wake.Close())
	}
	if err != nil {
		b.cfg.Logger.Error().Err(err).Msg("a socket was not closed in order")
	}
}

func (b *Broker) closeSockets() {
	if b.control != nil {
		b.closeShell(&b.control.shell)
	}
	for _, l := range b.http {
		_ = l.Close() // nobody has come by it
	}
	for _, m := range b.managers {
		b.closeShell(&m.shell)
	}
}

func drawIncarnation() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("broker: draw an incarnation: %w", err)
	}
	return binary.BigEndian.Uint64(b[:]) | 1, nil
}

func drawToken() string {
	var b [16]byte
	// crypto/rand.Read never fails on Linux: it ends the process instead.
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
