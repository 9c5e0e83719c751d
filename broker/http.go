package broker

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/weft-fabric/weft/broker/admin"
	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
)

const (
	// httpOff is what Config.HTTP says for no server.
	httpOff = "off"
	// httpPort is the distance of the HTTP server's port from the control port.
	httpPort = 2
)

// httpListeners says where the HTTP server is to listen: host and port.
func (c Config) httpListeners(l *listeners) ([]string, error) {
	var all []string
	switch c.HTTP {
	case httpOff:
	case "":
		port := 0 // any that is free
		if !l.anyPort {
			port = l.tcpPort + httpPort
		}
		for _, host := range l.tcpHost {
			all = append(all, host+":"+strconv.Itoa(port))
		}
	default:
		host, p, err := net.SplitHostPort(c.HTTP)
		if err != nil {
			return nil, protocol.Errorf(protocol.CodeInvalid, "broker", "http %q: it is address:port, or %s", c.HTTP, httpOff)
		}
		if port, err := strconv.Atoi(p); err != nil || port < 0 || port > 65535 {
			return nil, protocol.Errorf(protocol.CodeInvalid, "broker", "http %q: port %q is not within 0 to 65535", c.HTTP, p)
		}
		if host, err = c.hostOf("http", c.HTTP, host); err != nil {
			return nil, err
		}
		all = append(all, host+":"+p)
	}
	return all, nil
}

// bindHTTP binds the HTTP server beside the control endpoints that were bound.
func (b *Broker) bindHTTP(l *listeners) error {
	addresses, err := b.cfg.httpListeners(l)
	if err != nil {
		return err
	}
	for i, address := range addresses {
		if i > 0 && l.anyPort && b.cfg.HTTP == "" { // the other addresses get the port that was free at the first
			host, _, _ := net.SplitHostPort(address)
			address = net.JoinHostPort(host, strconv.Itoa(b.http[0].Addr().(*net.TCPAddr).Port))
		}
		listener, err := net.Listen("tcp", address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("broker: http %q: the address is in use, maybe by another broker: say --http with another one, or --http %s: %w", address, httpOff, err)
		case err != nil:
			return fmt.Errorf("broker: http %q: %w", address, err)
		}
		b.http = append(b.http, listener)
	}
	return nil
}

// HTTP gives where the HTTP server listens, as http://address:port; nothing where there is none.
func (b *Broker) HTTP() []string {
	var all []string
	for _, l := range b.http {
		all = append(all, "http://"+l.Addr().String())
	}
	return all
}

// newAdmin makes the HTTP server, which does not serve yet.
func (b *Broker) newAdmin() *admin.Server {
	return admin.New(admin.Config{Broker: b.front(), Build: b.cfg.build(), Logger: b.cfg.Logger})
}

// front is what the HTTP server has of the broker.
type front struct {
	*desk
	b *Broker
}

func (b *Broker) front() front { return front{b.control.desk, b} }

// Loops says how the loops are.
func (f front) Loops() []admin.Loop {
	all := []admin.Loop{f.b.control.gauge.look("control")}
	for _, m := range f.b.managers {
		all = append(all, m.gauge.look(strconv.Itoa(m.index)))
	}
	return all
}

// Memory says what the manager loops hold and may hold.
func (f front) Memory() (held, limit int64) {
	m := f.b.memory
	return m.used(m.payloads.Size()), m.limit
}

// look reads the gauge.
func (g *gauge) look(name string) admin.Loop {
	l := admin.Loop{Name: name, Busy: time.Duration(g.worked.Load())}
	if at := g.turn.Load(); at != 0 {
		l.Turn = time.Unix(0, at)
	}
	return l
}

// build says what this program was built from: as the configuration says, else as the linker noted.
func (c *Config) build() admin.Build {
	major, minor, patch := zmqx.Version()
	b := admin.Build{
		Version: c.Version, Commit: c.Commit, Go: runtime.Version(), Libzmq: fmt.Sprintf("%d.%d.%d", major, minor, patch),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Protocol: fmt.Sprintf("%d to %d", protocol.MinVersion, protocol.MaxVersion),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && b.Commit == "" {
			b.Commit = s.Value
		}
	}
	return b
}
