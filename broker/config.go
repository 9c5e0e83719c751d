package broker

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/weft-fabric/weft/broker/store"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/sched"
)

// Config says how a broker runs. The zero value listens on tcp://127.0.0.1:7700 and stores nothing on disk.
type Config struct {
	// Listen are the control endpoints: tcp://address:port, ipc:///folder/control, inproc://name. Manager loop i
	// listens beside each: at port + 10 + i, at ipc:///folder/loop-<i>, at inproc://name/loop-<i>. Port 0 takes any
	// free ports. All tcp endpoints have the same port. Default: tcp://127.0.0.1:7700.
	Listen []string
	// HTTP is where the HTTP server for operators listens, address:port, or off. Default: at port + 2 of every tcp endpoint;
	// where there is none, off. Who reaches it may do what a client may, so that Insecure counts for it as well.
	HTTP string
	// Advertise is the host that clients, agents and instances are to dial over tcp, where it is not the one that they
	// dialled already.
	Advertise string
	// Insecure allows tcp addresses that are not loopback, although there are no keys.
	Insecure bool
	// Name is for people. Default: "broker".
	Name string
	// Node numbers this broker in a pair. Default: 0.
	Node uint8
	// Loops is the number of manager loops. Default: half the cores, at least 1.
	Loops int
	// IOThreads is the number of libzmq's I/O threads in this process. Default: those that it has; else 1, or 2 where
	// TuneMalloc says that the process is the broker's own and there are two processors.
	IOThreads int
	// ClientGrace is how long the sessions of a silent client live. Default: 30 s.
	ClientGrace time.Duration
	// PeerTimeout is the silence after which an agent is lost, with its node and all instances there, and an instance
	// that was started by hand. Clients, agents and instances are told of it. Default: 10 s, at least 1 s.
	PeerTimeout time.Duration
	// MaxPayload bounds the payload of a task or result in bytes. Default: 16 MiB.
	MaxPayload int64
	// Memory bounds what all loops together hold in bytes: the payloads of unfinished tasks, results that wait for their
	// clients, and what else peers have not acknowledged. From 70 % on less is granted, from 90 % on tasks are refused
	// with CodeOverloaded. Default: a quarter of the machine's memory.
	Memory int64
	// ManagerMemory bounds the payload bytes of all unfinished tasks. Each session manager holds a share of it while it is
	// there. Default: as Memory.
	ManagerMemory int64
	// ManagerCPU is what each manager loop has for session managers, in millicores: each holds a share of its loop's.
	// Default: 1000.
	ManagerCPU int64
	// DeadLetters is how many tasks that were given up after their attempts are kept with their payloads, and
	// DeadLetterBytes how many bytes; the oldest go first. Default: 1000, and 64 MiB, or what one task with the largest
	// payload may take where that is more.
	DeadLetters     int
	DeadLetterBytes int64
	// Scores say which of the nodes with room is the best one for a container. Default: alignment with GPUs, best fit
	// otherwise.
	Scores sched.Scores
	// Queues are the queues and shapes of containers at the start, until others are applied. Default: one queue, default, for
	// everything, and no shapes.
	Queues *protocol.ApplyQueues
	// TuneMalloc makes the C allocator of the whole process keep freed memory for large payloads, up to 1 GiB or a part of
	// Memory, and Go's heap stay within what is left of Memory. It is for a process that is a broker and nothing else.
	TuneMalloc bool
	// Version and Commit say what the program was built from, to people. Default: what the linker noted.
	Version, Commit string
	// Store keeps the broker's log; the broker closes it. Default: in memory.
	Store store.Store
	// Logger gets what people should know. Default: nothing is logged.
	Logger *zerolog.Logger
}

// Check says whether [Start] would take c: the error names the first field that cannot be. Nothing is bound.
func (c Config) Check() error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	l, err := c.listeners()
	if err == nil {
		_, err = c.httpListeners(&l)
	}
	return err
}

// withDefaults returns c with every field that was left out set, or an error that names the field, its value and what
// would be right.
func (c Config) withDefaults() (Config, error) {
	if len(c.Listen) == 0 {
		c.Listen = []string{"tcp://127.0.0.1:" + strconv.Itoa(protocol.BasePort)}
	}
	if c.Name == "" {
		c.Name = "broker"
	}
	if c.Loops == 0 {
		c.Loops = max(1, runtime.NumCPU()/2)
	}
	if c.ClientGrace == 0 {
		c.ClientGrace = 30 * time.Second
	}
	if c.PeerTimeout == 0 {
		c.PeerTimeout = protocol.PeerTimeout
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = protocol.DefaultMaxPayload
	}
	if c.Memory == 0 {
		c.Memory = quarterOfMemory()
	}
	if c.ManagerMemory == 0 {
		c.ManagerMemory = c.Memory
	}
	if c.ManagerCPU == 0 {
		c.ManagerCPU = 1000
	}
	if c.Store == nil {
		c.Store = store.NewMem()
	}
	if c.Logger == nil {
		nop := zerolog.Nop()
		c.Logger = &nop
	}
	switch {
	case !protocol.ValidName(c.Name):
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "name: %q is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", c.Name)
	case c.Loops < 1 || c.Loops > 64:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "loops: %d is not within 1 to 64", c.Loops)
	case c.IOThreads < 0 || c.IOThreads > 64:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "io threads: %d is not within 1 to 64", c.IOThreads)
	case c.PeerTimeout < protocol.MinPeerTimeout:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "peer timeout: %v is less than %v", c.PeerTimeout, protocol.MinPeerTimeout)
	case c.ClientGrace < c.PeerTimeout:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "client grace: %v is less than the peer timeout of %v, after which a peer counts as silent", c.ClientGrace, c.PeerTimeout)
	case c.MaxPayload < 1 || c.MaxPayload > 1<<30:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "max payload: %d is not within 1 byte to 1 GiB", c.MaxPayload)
	case c.Memory < c.MaxPayload:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "memory: %d bytes cannot hold one payload of %d", c.Memory, c.MaxPayload)
	case c.ManagerMemory < c.MaxPayload:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "manager memory: %d bytes cannot hold one payload of %d", c.ManagerMemory, c.MaxPayload)
	}
	switch one := c.MaxPayload + protocol.MaxBody; {
	case c.DeadLetters < 0 || c.DeadLetters > 1_000_000:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "dead letters: %d is not within 1 to 1000000", c.DeadLetters)
	case c.DeadLetterBytes != 0 && c.DeadLetterBytes < one:
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "dead letter bytes: %d cannot hold one task with the largest payload, which may take %d", c.DeadLetterBytes, one)
	}
	if c.ManagerCPU < 1 || c.ManagerCPU > 1_000_000 {
		return c, protocol.Errorf(protocol.CodeInvalid, "broker", "manager cpu: %d millicores are not within 1 to 1000000", c.ManagerCPU)
	}
	return c, nil
}

func quarterOfMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 30
	}
	return max(int64(uint64(info.Totalram)*uint64(info.Unit)/4), 256<<20)
}

// listeners are the endpoints to bind: for the control loop, and a template for each manager loop.
type listeners struct {
	control []string
	tcpHost []string // of the tcp endpoints, to be joined with the loop's port
	tcpPort int      // base port
	anyPort bool     // every loop takes a free port
	ipcDir  []string
	inproc  []string
}

// listeners reads Listen.
func (c Config) listeners() (listeners, error) {
	var l listeners
	first := true
	for _, e := range c.Listen {
		scheme, rest, ok := strings.Cut(e, "://")
		if !ok {
			scheme, rest = "tcp", e
		}
		switch scheme {
		case "tcp":
			host, port, err := c.tcp(e, rest)
			if err != nil {
				return l, err
			}
			if !first && port != l.tcpPort {
				return l, protocol.Errorf(protocol.CodeInvalid, "broker", "listen %q: all tcp endpoints have one port, %d was named before", e, l.tcpPort)
			}
			first, l.tcpPort, l.anyPort = false, port, port == 0
			l.tcpHost = append(l.tcpHost, host)
		case "ipc":
			if !strings.HasPrefix(rest, "/") || path.Base(rest) != "control" {
				return l, protocol.Errorf(protocol.CodeInvalid, "broker", "listen %q: an ipc endpoint is ipc:///folder/control", e)
			}
			l.control = append(l.control, e)
			l.ipcDir = append(l.ipcDir, path.Dir(rest))
		case "inproc":
			if rest == "" {
				return l, protocol.Errorf(protocol.CodeInvalid, "broker", "listen %q: an inproc endpoint is inproc://name", e)
			}
			l.control = append(l.control, e)
			l.inproc = append(l.inproc, rest)
		default:
			return l, protocol.Errorf(protocol.CodeInvalid, "broker", "listen %q: %q is none of tcp, ipc, inproc", e, scheme)
		}
	}
	return l, nil
}

// tcp reads host:port and refuses an address that is not loopback unless Insecure.
func (c Config) tcp(endpoint, rest string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(rest)
	if err != nil {
		if !strings.Contains(rest, ":") || strings.HasSuffix(rest, "]") {
			host, p, err = strings.Trim(rest, "[]"), strconv.Itoa(protocol.BasePort), nil
		} else {
			return "", 0, protocol.Errorf(protocol.CodeInvalid, "broker", "listen %q: %v; it is tcp://address:port", endpoint, err)
		}
	}
	if p != "*" {
		if port, err = strconv.Atoi(p); err != nil || port < 0 || port > 65535-protocol.LoopPort-c.Loops {
			return "", 0, protocol.Errorf(protocol.CodeInvalid, "broker", "listen %q: port %q is not within 0 to %d", endpoint, p, 65535-protocol.LoopPort-c.Loops)
		}
	}
	host, err = c.hostOf("listen", endpoint, host)
	return host, port, err
}

// hostOf gives the IP address of this machine that a host is, for a place to listen at, and refuses one that is not
// loopback unless Insecure.
func (c Config) hostOf(field, where, host string) (string, error) {
	switch host {
	case "localhost":
		host = "127.0.0.1"
	case "*":
		host = "0.0.0.0"
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "", protocol.Errorf(protocol.CodeInvalid, "broker", "%s %q: %q is not an IP address of this machine", field, where, host)
	case !a.IsLoopback() && !c.Insecure:
		return "", protocol.Errorf(protocol.CodeInvalid, "broker", "%s %q: %s is not a loopback address, and there are no keys yet: whoever reaches it could run tasks; "+
			"listen on 127.0.0.1 or ipc, or say --insecure where the network is trusted", field, where, host)
	case a.Is6():
		host = "[" + host + "]"
	}
	return host, nil
}

// portOf is the port of a bound tcp endpoint.
func portOf(endpoint string) (int, error) {
	i := strings.LastIndexByte(endpoint, ':')
	if i < 0 {
		return 0, errors.New("no port in " + endpoint)
	}
	return strconv.Atoi(endpoint[i+1:])
}

// startIO puts ZeroMQ into use. A broker moves every byte twice in and twice out: with two I/O threads the connections of
// a client and of an instance do not wait for each other.
func (c *Config) startIO() error {
	if c.IOThreads == 0 && c.TuneMalloc {
		return zmqx.Propose(min(2, runtime.NumCPU()))
	}
	return zmqx.Init(c.IOThreads)
}
