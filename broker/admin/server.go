// Package admin is the broker's HTTP server for operators: whether it lives and is ready (/healthz, /readyz), what it is
// (/version), its metrics (/metrics), and the commands of the control connection as resources of JSON (/v1).
//
// It decides nothing. A command goes to the control loop as a client's would, and is served there by the same code; the
// loop waits for nothing here, and whoever reads slowly holds only a connection of its own. There are no keys yet: whoever
// reaches the server may do all that a client may, so that it is bound to loopback, and what a browser sends for another
// site's page is refused.
package admin

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/protocol"
)

// Broker is what the server needs of the broker. Its methods are safe for concurrent use.
type Broker interface {
	// Command has the control loop serve a request of this kind, and returns the answer's kind and body, as on the wire. It
	// returns an error when there is none before ctx is done, and at once when too many wait already.
	Command(ctx context.Context, kind protocol.Kind, body []byte) (protocol.Kind, []byte, error)
	// Census has the control loop count what there is, as Command.
	Census(ctx context.Context) (*control.Census, error)
	// Loops says how the loops are, the control loop first.
	Loops() []Loop
	// Memory says what the manager loops hold together in bytes, and may hold.
	Memory() (held, limit int64)
}

// Loop is how one loop of the broker is.
type Loop struct {
	Name string        // control, or the number of a manager loop
	Busy time.Duration // that it was at work since it began
	Turn time.Time     // when the turn began that it is at; zero: it waits for something to do
}

// Build is what /version says.
type Build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"` // where it is known
	Go       string `json:"go"`
	Libzmq   string `json:"libzmq"`
	Platform string `json:"platform"`
	Protocol string `json:"protocol"` // lowest to highest version
}

// Config says what a server is.
type Config struct {
	Broker Broker
	Build  Build
	Logger *zerolog.Logger // not nil
}

// Limits of connections.
const (
	maxConnections = 256
	maxHeader      = 16 << 10 // bytes
	headerTime     = 5 * time.Second
	readTime       = 10 * time.Second
	writeTime      = 30 * time.Second // from the header to the end of the answer; more than patience
	idleTime       = time.Minute
	leaveTime      = time.Second // that answers may take when the broker stops
)

// Server is the HTTP server of one broker. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	pulse   *pulse
	metrics *metrics
	exists  []string // what there is, for people
	handler http.Handler
}

// New makes a server that does not listen yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, pulse: newPulse(cfg.Broker, time.Now()), metrics: newMetrics(cfg)}
	mux := http.NewServeMux()
	s.add(mux, "/healthz", s.healthz)
	s.add(mux, "/readyz", s.readyz)
	s.add(mux, "/version", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, cfg.Build) })
	s.add(mux, "/metrics", s.metrics.handler().ServeHTTP)
	s.addRoutes(mux)
	for _, c := range Commands() {
		s.exists = append(s.exists, c.Method+" "+c.Path)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		fail(w, 0, protocol.Errorf(protocol.CodeNotFound, req.Method+" "+req.URL.Path, "there is nothing at %s", req.URL.Path), s.exists...)
	})
	s.handler = guard(mux)
	return s
}

// add puts something into the mux that can be looked at only.
func (s *Server) add(mux *http.ServeMux, path string, look http.HandlerFunc) {
	s.exists = append(s.exists, get+" "+path)
	mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != get && req.Method != http.MethodHead {
			wrongMethod(w, req, []string{get, http.MethodHead})
			return
		}
		look(w, req)
	})
}

// Handler is all that the server serves.
func (s *Server) Handler() http.Handler { return s.handler }

// Observe counts a turn of the control loop.
func (s *Server) Observe(took time.Duration) { s.metrics.turns.Observe(took.Seconds()) }

// Run serves until stop is closed, and returns when nothing of the server runs any more. It closes the listeners.
func (s *Server) Run(stop <-chan struct{}, listeners []net.Listener) {
	h := &http.Server{
		Handler: s.handler, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTime, ReadTimeout: readTime,
		WriteTimeout: writeTime, IdleTimeout: idleTime, ErrorLog: log.New(s.cfg.Logger, "", 0),
	}
	slots := make(chan struct{}, maxConnections)
	var running sync.WaitGroup
	for _, l := range listeners {
		running.Go(func() {
			if err := h.Serve(&limited{Listener: l, slots: slots, stop: stop}); !errors.Is(err, http.ErrServerClosed) {
				s.cfg.Logger.Error().Err(err).Stringer("address", l.Addr()).Msg("the HTTP server has ended")
			}
		})
	}
	running.Go(func() { s.pulse.run(stop) })
	<-stop
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if h.Shutdown(ctx) != nil {
		_ = h.Close() // those that are left have had their time
	}
	running.Wait()
}

// limited bounds the connections of listeners together: the others wait where the kernel keeps them.
type limited struct {
	net.Listener
	slots chan struct{}
	stop  <-chan struct{}
}

// Accept waits for a free place, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.stop:
		return nil, http.ErrServerClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-l.slots })}, nil
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	leave func()
}

// Close closes the connection and frees its place.
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}

// guard keeps out what a browser sends for somebody else's page: requests that change something and come from another
// origin, and on a loopback address all that are meant for a name that is not this machine's own, which somebody's name
// server made to lead here.
func guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		op := req.Method + " " + req.URL.Path
		if here, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && onLoopback(here.String()) && !onLoopback(req.Host) {
			fail(w, 0, protocol.Errorf(protocol.CodePermission, op,
				"host: %q is not localhost or a loopback address, at which this server is", req.Host))
			return
		}
		if err := origins.Check(req); err != nil {
			fail(w, 0, protocol.Errorf(protocol.CodePermission, op, "a page of another site asks for it: %v", err))
			return
		}
		next.ServeHTTP(w, req)
	})
}

// onLoopback says whether an address, with a port or without, is this machine's own.
func onLoopback(address string) bool {
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
