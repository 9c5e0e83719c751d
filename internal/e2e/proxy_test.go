package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxyHost is where proxies listen: on the ports of the broker, so that whoever dials the control loop through one is
// referred to the manager loops through it.
const proxyHost = "127.0.0.2"

// proxy forwards the connections to a broker, and cuts them when it is told to.
type proxy struct {
	t         *testing.T
	listeners []net.Listener
	running   sync.WaitGroup

	mu     sync.Mutex
	closed bool // takes no connections, for good or for a while
	open   map[*net.TCPConn]bool
	made   int
}

// newProxy makes a proxy for a broker with this base port.
func newProxy(t *testing.T, base, loops int) *proxy {
	t.Helper()
	p := &proxy{t: t, open: map[*net.TCPConn]bool{}}
	for _, port := range append([]int{base}, loopPorts(base, loops)...) {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", proxyHost, port))
		if err != nil {
			t.Fatal(err)
		}
		p.listeners = append(p.listeners, l)
		p.running.Go(func() { p.accept(l, fmt.Sprintf("127.0.0.1:%d", port)) })
	}
	t.Cleanup(func() {
		p.pause()
		for _, l := range p.listeners {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept(l net.Listener, target string) {
	for {
		in, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.t.Error(err)
			}
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil { // the broker is down
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

func (p *proxy) keep(conns ...*net.TCPConn) bool {
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
func (p *proxy) pump(from, to *net.TCPConn) {
	_, _ = io.Copy(to, from)
	for _, c := range []*net.TCPConn{from, to} {
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
		_ = c.Close()
	}
}

// cut resets each connection with this probability; what was on its way may be lost, within a message too.
func (p *proxy) cut(chance float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if rand.Float64() < chance {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
}

// pause cuts everything and lets nothing through until resume.
func (p *proxy) pause() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut(1)
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

// connections is how many there have been.
func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}
