package tcpproxy

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers everything on a port of 127.0.0.1 until the test ends, and gives the port.
func echo(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// said gives what comes back for a word, "" when the connection is over.
func said(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("word")); err != nil {
		return ""
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(c, b); err != nil {
		return ""
	}
	return string(b)
}

func TestProxy(t *testing.T) {
	port := echo(t)
	p, err := Start("127.0.0.2", "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := dial()
	if got := said(t, c); got != "word" {
		t.Fatalf("%q came back", got)
	}
	if p.Cut(0) != 0 || p.Cut(1) == 0 || said(t, c) != "" {
		t.Error("a connection was not cut")
	}
	if got := said(t, dial()); got != "word" {
		t.Errorf("after the cut: %q", got)
	}
	p.Pause()
	if got := said(t, dial()); got != "" {
		t.Errorf("in a pause: %q", got)
	}
	p.Resume()
	if got := said(t, dial()); got != "word" || p.Connections() != 3 {
		t.Errorf("after the pause: %q, %d connections", got, p.Connections())
	}
	if _, err := Start("127.0.0.2", "127.0.0.1", port); err == nil {
		t.Error("a port was had twice")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
