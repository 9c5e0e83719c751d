// Package tcpproxy forwards TCP connections and cuts them when it is told to, for tests and checks of what becomes of a
// fabric whose connections break.
package tcpproxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
)

// Proxy forwards connections. Its methods are safe for concurrent use.
type Proxy struct {
	listeners []net.Listener
	running   sync.WaitGroup

	mu     sync.Mutex
	closed bool // takes no connections, for good or for a while
	open   map[*net.TCPConn]bool
	made   int
	err    error // the first with which a listener ended
}

// Start begins to forward each of these ports of one address to the same port of another. So a broker that is dialled
// through the proxy refers to its manager loops through it. The error names the port that cannot be had.
func Start(from, to string, ports ...int) (*Proxy, error) {
	p := &Proxy{open: map[*net.TCPConn]bool{}}
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", from, port))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("proxy: %w", err), p.Close())
		}
		p.listeners = append(p.listeners, l)
		p.running.Go(func() { p.accept(l, fmt.Sprintf("%s:%d", to, port)) })
	}
	return p, nil
}

// Close cuts all connections and stops. It returns when nothing of the proxy runs any more, with the first error of a
// listener.
func (p *Proxy) Close() error {
	p.Pause()
	var errs []error
	for _, l := range p.listeners {
		errs = append(errs, l.Close())
	}
	p.running.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(append(errs, p.err)...)
}

func (p *Proxy) accept(l net.Listener, target string) {
	for {
		in, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.fail(err)
			}
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil { // nobody is there now
			_ = in.Close()
			continue
		}
		a, b := in.(*net.TCPConn), out.(*net.TCPConn)
		if !p.keep(a, b) {
			_, _ = in.Close(), out.Close()
			continue
		}
		p.running.Go(func() { p.pump(a, b) })
		p.running.Go(func() { p.pump(b, a) })
	}
}

func (p *Proxy) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = fmt.Errorf("proxy: %w", err)
	}
}

func (p *Proxy) keep(conns ...*net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.made++
	for _, c := range conns {
		p.open[c] = true
	}
	return true
}

// pump forwards one direction until the connection is over.
func (p *Proxy) pump(from, to *net.TCPConn) {
	_, _ = io.Copy(to, from)
	for _, c := range []*net.TCPConn{from, to} {
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
		_ = c.Close()
	}
}

// Cut resets each side of each connection with this probability, and says how many it has reset; what was on its way may
// be lost, within a message too.
func (p *Proxy) Cut(chance float64) (cut int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if rand.Float64() < chance {
			_ = c.SetLinger(0)
			_ = c.Close()
			cut++
		}
	}
	return cut
}

// Pause cuts everything and lets nothing through until [Proxy.Resume].
func (p *Proxy) Pause() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut(1)
}

// Resume ends a pause.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

// Connections is how many there have been.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}
