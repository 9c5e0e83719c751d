package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		name, method, host string
		header             [2]string
		status             int
	}{
		{"no browser", del, "", [2]string{}, 204},
		{"localhost", get, "localhost:7702", [2]string{}, 204},
		{"another loopback address", get, "127.9.9.9", [2]string{}, 204},
		{"IPv6", get, "[::1]:7702", [2]string{}, 204},
		{"IPv6 without a port", get, "[::1]", [2]string{}, 204},
		{"a name that was made to lead here", get, "evil.example", [2]string{}, 403},
		{"with a port", del, "evil.example:7702", [2]string{}, 403},
		{"an address of elsewhere", get, "10.0.0.1:7702", [2]string{}, 403},
		{"an empty port", get, "localhost:", [2]string{}, 204},
		{"a page of this server", del, "localhost:7702", [2]string{"Origin", "http://localhost:7702"}, 204},
		{"a page of another site", del, "localhost:7702", [2]string{"Origin", "https://evil.example"}, 403},
		{"another port of this machine", del, "localhost:7702", [2]string{"Origin", "http://localhost:8080"}, 403},
		{"a page without an origin", del, "localhost:7702", [2]string{"Origin", "null"}, 403},
		{"a browser that says so", del, "localhost:7702", [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another site that looks", get, "localhost:7702", [2]string{"Origin", "https://evil.example"}, 204},
	} {
		b := &fakeBroker{}
		s := httptest.NewServer(newServer(b).Handler())
		req, err := http.NewRequestWithContext(t.Context(), tt.method, s.URL+"/v1/sessions/5/tasks/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.header[0] != "" {
			req.Header.Set(tt.header[0], tt.header[1])
		}
		if tt.host != "" {
			req.Host = tt.host
		}
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != tt.status || (tt.status == 204) != (len(b.kinds) == 1) {
			t.Errorf("%s: status %d, commands %v, %v; want %d", tt.name, res.StatusCode, b.kinds, err, tt.status)
		}
		s.Close()
	}
}

// running is a server that listens; end ends it and waits for that.
type running struct {
	*Server
	at  string
	end func()
}

func listen(t *testing.T, b *fakeBroker) *running {
	t.Helper()
	var c net.ListenConfig
	var all []net.Listener
	for range 2 {
		l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	r := &running{Server: newServer(b), at: all[1].Addr().String()}
	go func() { defer close(ended); r.Run(stop, all) }()
	closed := false
	r.end = func() {
		if !closed {
			closed = true
			close(stop)
			<-ended
		}
	}
	t.Cleanup(r.end)
	return r
}

func TestServerEndsInOrder(t *testing.T) {
	begun, answer := make(chan struct{}, 1), make(chan struct{})
	b := &fakeBroker{answer: func(k protocol.Kind) (protocol.Kind, any) {
		if k == protocol.KindListNodes {
			begun <- struct{}{}
			<-answer
		}
		return protocol.KindNodePage, protocol.NodePage{}
	}}
	r := listen(t, b)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	got := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), get, "http://"+r.at+"/v1/nodes", nil)
		if err != nil {
			got <- err
			return
		}
		res, err := client.Do(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			err = errors.Join(err, res.Body.Close())
		}
		got <- err
	}()
	<-begun
	ended := make(chan struct{})
	go func() { defer close(ended); r.end() }()
	for r.pulse.ready(time.Now()) == nil || !strings.Contains(r.pulse.ready(time.Now()).Error(), "stops") {
		if t.Context().Err() != nil {
			t.Fatal("it does not say that it stops")
		}
	}
	close(answer)
	<-ended
	if err := <-got; err != nil {
		t.Errorf("a request that was under way: %v", err)
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.at); err == nil {
		t.Error("it still listens", c.Close())
	}
}

// Who holds connections and says or reads nothing is waited for by nobody: the server ends all the same.
func TestServerEndsDespiteIdlers(t *testing.T) {
	r := listen(t, &fakeBroker{})
	var d net.Dialer
	for i := range 3 {
		c, err := d.DialContext(t.Context(), "tcp", r.at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i > 0 {
			if _, err := fmt.Fprint(c, "POST /v1/services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.end()
}

func TestHeaderIsBounded(t *testing.T) {
	r := listen(t, &fakeBroker{})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /version HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, %v", res.StatusCode, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	var c net.ListenConfig
	inner, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	l := &limited{Listener: inner, slots: make(chan struct{}, 1), stop: stop}
	for range 2 {
		d, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
	}
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = errors.Join(c.Close(), c.Close()) // the second is of no effect on the places
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("a second connection has a place: %v", err)
	default:
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err == nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second: %v", err)
	}
	if len(l.slots) != 0 {
		t.Errorf("%d places are taken", len(l.slots))
	}
	l.slots <- struct{}{}
	close(stop)
	if _, err := l.Accept(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("at the end: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
