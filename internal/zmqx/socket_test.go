package zmqx

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBindTellsTheRealEndpoint(t *testing.T) {
	dir := socketDir(t)
	for endpoint, want := range map[string]string{
		"tcp://127.0.0.1:0":      "tcp://127.0.0.1:",
		"tcp://127.0.0.1:*":      "tcp://127.0.0.1:",
		"tcp://*:*":              "tcp://0.0.0.0:",
		"ipc://" + dir + "/s":    "ipc://" + dir + "/s",
		"inproc://real-endpoint": "inproc://real-endpoint",
	} {
		bound := newParty(t, NewRouter, Options{}).bind(t, endpoint)
		if !strings.HasPrefix(bound, want) || strings.HasSuffix(bound, ":0") || strings.HasSuffix(bound, ":*") {
			t.Errorf("bound to %q for %q, want %q and a port", bound, endpoint, want)
		}
	}
}

func TestOneRouterListensEverywhere(t *testing.T) {
	router := newParty(t, NewRouter, Options{})
	for _, endpoint := range endpoints(t) {
		dealer := newParty(t, NewDealer, Options{})
		if err := dealer.Connect(router.bind(t, endpoint)); err != nil {
			t.Fatal(err)
		}
		dealer.send(t, 0, endpoint)
		if m := router.one(t); string(m.Records) != endpoint {
			t.Errorf("received %q, want %q", m.Records, endpoint)
		}
	}
}

func TestIPv6NeedsBrackets(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	_ = l.Close()
	connected(t, "tcp://[::1]:*", Options{})
}

func TestBindRefusesAnEndpointInUse(t *testing.T) {
	for kind, endpoint := range endpoints(t) {
		t.Run(kind, func(t *testing.T) {
			router, dealer, peer := connected(t, endpoint, Options{})
			bound := endpoint
			if kind == "tcp" {
				var err error
				if bound, err = router.zmq.GetLastEndpoint(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := newParty(t, NewRouter, Options{}).Bind(bound)
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), bound) ||
				!strings.Contains(err.Error(), "address already in use") {
				t.Errorf("Bind(%q) = %v, want an error that says so", bound, err)
			}
			router.send(t, peer, "still here")
			if m := dealer.one(t); string(m.Records) != "still here" {
				t.Errorf("received %q after the refusal", m.Records)
			}
		})
	}
}

func TestBindReplacesTheFileOfADeadProcess(t *testing.T) {
	path := filepath.Join(socketDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("the file is not left over:", err)
	}
	connected(t, "ipc://"+path, Options{})
}

func TestEndpointsAreChecked(t *testing.T) {
	s := newParty(t, NewRouter, Options{})
	for _, endpoint := range []string{
		"", "tcp", "127.0.0.1:7700", "tcp://", "udp://127.0.0.1:1", "epgm://224.0.0.1:1", "pgm://x", "ws://127.0.0.1:1",
		"tipc://{1,1}", "TCP://127.0.0.1:*", "inproc://a\x00b", "tcp://127.0.0.1", "tcp://127.0.0.1:65536", "tcp://127.0.0.1:-1",
		"tcp://127.0.0.1:", "tcp://127.0.0.1:http", "tcp://:7700",
		"ipc:///" + strings.Repeat("x", 200), "ipc:///nowhere/at/all/s",
	} {
		if _, err := s.Bind(endpoint); err == nil || !strings.Contains(err.Error(), "bind") {
			t.Errorf("Bind(%q) = %v, want an error", endpoint, err)
		}
	}
	for _, endpoint := range []string{"", "udp://127.0.0.1:1", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"} {
		if err := s.Connect(endpoint); err == nil || !strings.Contains(err.Error(), "connect") {
			t.Errorf("Connect(%q) = %v, want an error", endpoint, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"MaxFrame": {MaxFrame: -1}, "MaxRecords": {MaxRecords: -1}, "MaxMessage": {MaxMessage: -1},
		"HandshakeInterval": {HandshakeInterval: -1}, "ConnectTimeout": {ConnectTimeout: -1}, "Linger": {Linger: -1},
	} {
		if _, err := NewRouter(NewPayloads(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want an error that names %s", o, err, name)
		}
	}
	o, err := Options{}.withDefaults()
	want := Options{64 << 20, 1 << 20, 65 << 20, 3 * time.Second, 3 * time.Second, 0, 0}
	if err != nil || o != want {
		t.Errorf("defaults %+v (%v), want %+v", o, err, want)
	}
	if o, err := (Options{MaxFrame: 1<<63 - 1}).withDefaults(); err != nil || o.MaxMessage != 1<<63-1 {
		t.Errorf("the largest frame gives %+v (%v)", o, err)
	}
}

func TestSocketOptionsReachLibzmq(t *testing.T) {
	o := Options{MaxFrame: 12345, HandshakeInterval: 4 * time.Second, ConnectTimeout: 5 * time.Second, Linger: time.Second}
	router, dealer := newParty(t, NewRouter, o), newParty(t, NewDealer, o)
	for name, s := range map[string]*party{"router": router, "dealer": dealer} {
		z := s.zmq
		sndhwm, _ := z.GetSndhwm()
		rcvhwm, _ := z.GetRcvhwm()
		linger, _ := z.GetLinger()
		frame, _ := z.GetMaxmsgsize()
		handshake, _ := z.GetHandshakeIvl()
		keepalive, _ := z.GetTcpKeepalive()
		idle, _ := z.GetTcpKeepaliveIdle()
		interval, _ := z.GetTcpKeepaliveIntvl()
		count, _ := z.GetTcpKeepaliveCnt()
		maxrt, _ := z.GetTcpMaxrt()
		identity, _ := z.GetIdentity()
		if sndhwm != 0 || rcvhwm != 0 || linger != time.Second || frame != 12345 || handshake != 4*time.Second ||
			keepalive != 1 || idle != 10 || interval != 3 || count != 3 || maxrt != 10*time.Second {
			t.Error(name, sndhwm, rcvhwm, linger, frame, handshake, keepalive, idle, interval, count, maxrt)
		}
		if identity != "" {
			t.Errorf("%s: routing id %q, want none", name, identity)
		}
		if fd, err := z.GetFd(); err != nil || fd != s.fd {
			t.Errorf("%s: descriptor %d, want %d (%v)", name, s.fd, fd, err)
		}
	}
	immediate, _ := dealer.zmq.GetImmediate()
	again, _ := dealer.zmq.GetReconnectIvl()
	most, _ := dealer.zmq.GetReconnectIvlMax()
	timeout, _ := dealer.zmq.GetConnectTimeout()
	if !immediate || again != 50*time.Millisecond || most != time.Second || timeout != 5*time.Second {
		t.Error("dealer", immediate, again, most, timeout)
	}
}

func TestClosedSocket(t *testing.T) {
	s := newParty(t, NewRouter, Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, _, recvErr := s.Recv(0)
	_, _, waitErr := s.waiter.Wait(-1)
	_, bindErr := s.Bind("tcp://127.0.0.1:*")
	for name, err := range map[string]error{
		"Recv": recvErr, "Wait": waitErr, "Bind": bindErr,
		"Send": s.Send(1, nil, nil), "Connect": s.Connect("tcp://127.0.0.1:1"),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if !s.waiter.Spin(time.Microsecond) {
		t.Error("Spin hides the error that Wait would return")
	}
}

// A DEALER outlives its ROUTER and is somebody else to the next one.
func TestDealerConnectsAgain(t *testing.T) {
	endpoint := "ipc://" + filepath.Join(socketDir(t), "s")
	router, dealer, peer := connected(t, endpoint, Options{})
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	dealer.refused(t, ErrAgain, 0)
	next := newParty(t, NewRouter, Options{})
	next.bind(t, endpoint)
	dealer.send(t, 0, "again")
	m := next.one(t)
	if string(m.Records) != "again" || m.Peer == peer {
		t.Errorf("the next ROUTER received %q from %d (before: %d)", m.Records, m.Peer, peer)
	}
}

func TestGarbageLeavesTheRouterAlive(t *testing.T) {
	router, dealer, peer := connected(t, "tcp://127.0.0.1:*", Options{HandshakeInterval: 100 * time.Millisecond})
	endpoint, err := router.zmq.GetLastEndpoint()
	if err != nil {
		t.Fatal(err)
	}
	greeting := append(append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0}, "NULL"...), make([]byte, 48)...)
	ready := append([]byte{4, 41, 5}, "READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"...)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		junk := make([]byte, random.IntN(400))
		for j := range junk {
			junk[j] = byte(random.Uint32())
		}
		opening := [][]byte{nil, greeting[:i%64], greeting, append(bytes.Clone(greeting), ready...)}[i%4]
		c, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(append(bytes.Clone(opening), junk...)) // the router may have cut it
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	dealer.send(t, 0, "through")
	for {
		if m := router.one(t); m.Peer == peer && string(m.Records) == "through" {
			break
		}
	}
	router.send(t, peer, "and back")
	if m := dealer.one(t); string(m.Records) != "and back" {
		t.Errorf("received %q", m.Records)
	}
	// Who connects now is accepted after all of the junk. A socket must not be closed while that is being read, see Close.
	last := newParty(t, NewDealer, Options{})
	if err := last.Connect(endpoint); err != nil {
		t.Fatal(err)
	}
	last.send(t, 0, "last")
	for m := router.one(t); string(m.Records) != "last"; m = router.one(t) { // the junk may have made messages too
		continue
	}
}
