package zmqx

/*
#include "native.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	zmq "github.com/pebbe/zmq4"
)

// What Options takes for fields that are 0.
const (
	DefaultMaxFrame          = 64 << 20
	DefaultMaxRecords        = 1 << 20
	DefaultHandshakeInterval = 3 * time.Second
	DefaultConnectTimeout    = 3 * time.Second
)

const (
	reconnectInterval    = 50 * time.Millisecond
	reconnectIntervalMax = time.Second
	keepaliveIdle        = 10 // seconds, as the next
	keepaliveInterval    = 3
	keepaliveCount       = 3
	unacknowledgedMax    = 10 * time.Second
	listenBacklog        = 1024
)

// Options are the limits of a socket. The zero value takes the default of each.
type Options struct {
	// MaxFrame is the largest frame in bytes; libzmq cuts the connection of a peer that sends a larger one.
	// Default 64 MiB.
	MaxFrame int64
	// MaxRecords is the most bytes that a message's first frame, its records, may have. Default 1 MiB.
	MaxRecords int
	// MaxMessage is the most bytes that a message may have, records and payload frames together.
	// Default MaxFrame + MaxRecords.
	MaxMessage int64
	// HandshakeInterval is how long a connection may take to shake hands before it is cut. Default 3 s.
	HandshakeInterval time.Duration
	// ConnectTimeout is how long one attempt of a DEALER to connect over tcp may take. Default 3 s.
	ConnectTimeout time.Duration
	// Backlog is how many messages of one peer may wait to be received; then no more are read from its connection until
	// they are. Nothing is dropped. Default: as many as come.
	Backlog int
	// Linger is how long what was sent may still leave after Close. Default 0: it is dropped.
	Linger time.Duration
}

func (o Options) withDefaults() (Options, error) {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxFrame", o.MaxFrame},
		{"MaxRecords", int64(o.MaxRecords)},
		{"MaxMessage", o.MaxMessage},
		{"HandshakeInterval", int64(o.HandshakeInterval)},
		{"ConnectTimeout", int64(o.ConnectTimeout)},
		{"Linger", int64(o.Linger)},
		{"Backlog", int64(o.Backlog)},
	} {
		if f.value < 0 {
			return o, fmt.Errorf("zmqx: option %s: %d is negative; it must be positive, or 0 for the default",
				f.name, f.value)
		}
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = DefaultMaxFrame
	}
	if o.MaxRecords == 0 {
		o.MaxRecords = DefaultMaxRecords
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = math.MaxInt
		if o.MaxFrame < math.MaxInt-int64(o.MaxRecords) {
			o.MaxMessage = o.MaxFrame + int64(o.MaxRecords)
		}
	}
	if o.HandshakeInterval == 0 {
		o.HandshakeInterval = DefaultHandshakeInterval
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	return o, nil
}

// look is what is known about messages waiting in a socket, whose descriptor tells only of changes.
type look uint8

const (
	unknown look = iota // its descriptor may have told already: it must be asked
	armed               // it is empty, and its descriptor will tell
	pending             // it has something
)

// Socket is a ROUTER or a DEALER. It is owned by one goroutine at a time, from its making to Close.
//
// Nothing is dropped by a high-water mark (there is none): what bounds memory is the credit that the layers
// above give.
type Socket struct {
	zmq        *zmq.Socket // keeps the handle open: the binding closes it in a finalizer
	native     *C.wx_socket
	fd         int
	router     bool
	payloads   *Payloads
	maxRecords int
	maxMessage int

	look    look
	blocked bool // the last Send found no connection
	broken  bool // the last Send stopped within a message

	messages [C.WX_BURST]Message
	handles  [C.WX_FRAMES]Handle
}

// NewRouter makes a ROUTER: it has many peers, each with a number that it gets for the time of one connection.
// Payload frames that it receives are put into p.
func NewRouter(p *Payloads, o Options) (*Socket, error) { return newSocket(zmq.ROUTER, p, o) }

// NewDealer makes a DEALER: it has one peer, the endpoint that it connects to, again and again when the
// connection is lost. Over tcp and ipc it queues nothing while it has no connection; over inproc it queues
// from Connect on. Payload frames that it receives are put into p.
func NewDealer(p *Payloads, o Options) (*Socket, error) { return newSocket(zmq.DEALER, p, o) }

func newSocket(kind zmq.Type, p *Payloads, o Options) (*Socket, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := Init(0); err != nil {
		return nil, err
	}
	z, err := zmq.NewSocket(kind)
	if err != nil {
		return nil, fmt.Errorf("zmqx: make a %v: %w", kind, systemError(err))
	}
	s := &Socket{
		zmq: z, router: kind == zmq.ROUTER, payloads: p,
		maxRecords: o.MaxRecords, maxMessage: int(min(o.MaxMessage, math.MaxInt)),
	}
	if err := s.setUp(o); err != nil {
		return nil, errors.Join(fmt.Errorf("zmqx: make a %v: %w", kind, systemError(err)), z.Close())
	}
	router := C.int(0)
	if s.router {
		router = 1
	}
	s.native = C.wx_open(handleOf(z), router, C.size_t(s.maxRecords), C.size_t(s.maxMessage))
	if s.native == nil {
		return nil, errors.Join(errNoMemory, z.Close())
	}
	return s, nil
}

// handleOf takes the C socket out of the binding's struct, whose first field it is.
func handleOf(z *zmq.Socket) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(z)) }

// setUp sets the options that both kinds have, and those of its kind. ZMTP heartbeats stay off (they abort
// the process on libzmq 4.3), as do routing ids of our own and their hand-over.
func (s *Socket) setUp(o Options) error {
	z := s.zmq
	set := []error{
		z.SetSndhwm(0),
		z.SetRcvhwm(o.Backlog),
		z.SetSndtimeo(0),
		z.SetRcvtimeo(0),
		z.SetLinger(o.Linger),
		z.SetMaxmsgsize(o.MaxFrame),
		z.SetHandshakeIvl(o.HandshakeInterval),
		z.SetTcpKeepalive(1),
		z.SetTcpKeepaliveIdle(keepaliveIdle),
		z.SetTcpKeepaliveIntvl(keepaliveInterval),
		z.SetTcpKeepaliveCnt(keepaliveCount),
		z.SetTcpMaxrt(unacknowledgedMax),
	}
	if s.router {
		set = append(set, z.SetRouterMandatory(1), z.SetBacklog(listenBacklog))
	} else {
		set = append(set,
			z.SetImmediate(true),
			z.SetReconnectIvl(reconnectInterval),
			z.SetReconnectIvlMax(reconnectIntervalMax),
			z.SetConnectTimeout(o.ConnectTimeout),
		)
	}
	var err error
	s.fd, err = z.GetFd()
	return errors.Join(append(set, err)...)
}

// Bind listens at an endpoint (tcp://address:port, ipc://path, inproc://name) and returns the real one, where
// port 0 or * has become the port chosen. It may be called for several endpoints. An endpoint that somebody
// listens at is refused with [syscall.EADDRINUSE]; a socket file left by a dead process is replaced. IPv6
// needs an address in brackets.
func (s *Socket) Bind(endpoint string) (string, error) {
	if err := s.prepareFor(endpoint); err != nil {
		return "", fmt.Errorf("zmqx: bind %q: %w", endpoint, err)
	}
	if path, isIPC := strings.CutPrefix(endpoint, "ipc://"); isIPC && listening(path) {
		return "", fmt.Errorf("zmqx: bind %q: %w", endpoint, syscall.EADDRINUSE)
	}
	s.look = unknown
	if err := s.zmq.Bind(endpoint); err != nil {
		return "", fmt.Errorf("zmqx: bind %q: %w", endpoint, systemError(err))
	}
	bound, err := s.zmq.GetLastEndpoint()
	if err != nil {
		return "", fmt.Errorf("zmqx: bind %q: %w", endpoint, systemError(err))
	}
	return bound, nil
}

// Connect begins to connect to an endpoint and returns at once: nobody need listen there yet. Host names are
// looked up as IPv4; IPv6 needs an address in brackets.
func (s *Socket) Connect(endpoint string) error {
	err := s.prepareFor(endpoint)
	if err == nil {
		s.look = unknown
		err = systemError(s.zmq.Connect(endpoint))
	}
	if err != nil {
		return fmt.Errorf("zmqx: connect %q: %w", endpoint, err)
	}
	return nil
}

func (s *Socket) prepareFor(endpoint string) error {
	if s.native == nil {
		return ErrClosed
	}
	scheme, address, found := strings.Cut(endpoint, "://")
	switch {
	case !found || scheme != "tcp" && scheme != "ipc" && scheme != "inproc":
		return errors.New("an endpoint must begin with tcp://, ipc:// or inproc://")
	case address == "":
		return fmt.Errorf("nothing follows %s://", scheme)
	case strings.ContainsRune(endpoint, 0):
		return errors.New("an endpoint must not contain a NUL")
	}
	if scheme == "tcp" {
		if err := checkTCP(address); err != nil {
			return err
		}
	}
	return systemError(s.zmq.SetIpv6(scheme == "tcp" && strings.HasPrefix(address, "[")))
}

// checkTCP checks what libzmq does not: it takes any number as a port, modulo 65536.
func checkTCP(address string) error {
	colon := strings.LastIndexByte(address, ':')
	if colon <= 0 {
		return errors.New("a tcp endpoint must be tcp://host:port")
	}
	port := address[colon+1:]
	if port == "*" {
		return nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number of at most 65535", port)
	}
	return nil
}

// listening tells whether a process listens at the path, because libzmq would take the path from it.
func listening(path string) bool {
	c, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// Close closes the socket; what it had not sent is dropped after Options.Linger. Records received last are
// no longer valid; payload frames are. Closing again does nothing. A peer that speaks ZMTP 1 or 2, or junk that looks like it,
// and whose first message is read while the socket closes, aborts the process: libzmq 4.3 takes it for impossible that
// nobody wants that message (zmtp_engine.cpp, process_routing_id_msg).
func (s *Socket) Close() error {
	if s.native == nil {
		return nil
	}
	err := s.zmq.Close()
	C.wx_free(s.native)
	s.native = nil
	clear(s.messages[:])
	if err != nil {
		return fmt.Errorf("zmqx: close: %w", systemError(err))
	}
	return nil
}

// readable tells whether something is waiting, asking the socket only when its descriptor may not tell.
// After a Send that found no connection, one counts as something.
func (s *Socket) readable() (bool, error) {
	if s.native == nil {
		return false, ErrClosed
	}
	if s.look == pending || s.look == armed && !s.blocked {
		return s.look == pending, nil
	}
	events := C.wx_events(s.native.handle)
	runtime.KeepAlive(s)
	if events < 0 {
		return false, fmt.Errorf("zmqx: look into a socket: %w", errnoError(int(-events)))
	}
	s.look = armed
	if events&C.ZMQ_POLLIN != 0 || s.blocked && events&C.ZMQ_POLLOUT != 0 {
		s.look, s.blocked = pending, false
	}
	return s.look == pending, nil
}
