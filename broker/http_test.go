package broker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

func TestWhereHTTPListens(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  Config
		want []string
		bad  string
	}{
		"beside tcp":                 {cfg: Config{Listen: []string{"tcp://127.0.0.1:7800", "tcp://[::1]:7800", "ipc:///run/weft/control"}}, want: []string{"127.0.0.1:7802", "[::1]:7802"}},
		"by default":                 {want: []string{"127.0.0.1:7702"}},
		"at a free port":             {cfg: Config{Listen: []string{"tcp://127.0.0.1:0"}}, want: []string{"127.0.0.1:0"}},
		"without tcp":                {cfg: Config{Listen: []string{"inproc://x"}}},
		"off":                        {cfg: Config{HTTP: "off"}},
		"elsewhere":                  {cfg: Config{Listen: []string{"inproc://x"}, HTTP: "localhost:9000"}, want: []string{"127.0.0.1:9000"}},
		"IPv6":                       {cfg: Config{HTTP: "[::1]:9000"}, want: []string{"[::1]:9000"}},
		"not loopback":               {cfg: Config{HTTP: "0.0.0.0:9000"}, bad: `http "0.0.0.0:9000": 0.0.0.0 is not a loopback address`},
		"not loopback, by an empty":  {cfg: Config{HTTP: ":9000"}, bad: `http ":9000": "" is not an IP address`},
		"insecure":                   {cfg: Config{Insecure: true, HTTP: "*:9000"}, want: []string{"0.0.0.0:9000"}},
		"a word":                     {cfg: Config{HTTP: "on"}, bad: `http "on": it is address:port, or off`},
		"no port":                    {cfg: Config{HTTP: "127.0.0.1"}, bad: "it is address:port, or off"},
		"an impossible port":         {cfg: Config{HTTP: "127.0.0.1:70000"}, bad: `port "70000" is not within 0 to 65535`},
		"a name that is no address":  {cfg: Config{HTTP: "eth0:80"}, bad: `"eth0" is not an IP address`},
		"not loopback by tcp itself": {cfg: Config{Insecure: true, Listen: []string{"tcp://0.0.0.0:7800"}}, want: []string{"0.0.0.0:7802"}},
	} {
		err := tt.cfg.Check()
		if tt.bad != "" {
			if protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%s: %v, want %s", name, err, tt.bad)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, _ := tt.cfg.withDefaults()
		l, _ := c.listeners()
		if got, err := c.httpListeners(&l); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

func TestHTTPThatCannotListen(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b, err := Start(Config{Listen: []string{"inproc://taken"}, HTTP: taken.Addr().String()})
	if err == nil {
		t.Fatal("it started", b.Stop(t.Context()))
	}
	for _, want := range []string{"http", taken.Addr().String(), "in use", "--http"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// With several addresses and any port all have the same one, and the gauges of the loops are read while they run.
func TestHTTPOfARunningBroker(t *testing.T) {
	b, err := Start(Config{Listen: []string{"tcp://127.0.0.1:0", "tcp://127.0.0.2:0"}, Loops: 2, Version: "v9"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	at := b.HTTP()
	if len(at) != 2 || !strings.HasPrefix(at[0], "http://127.0.0.1:") || at[1] != strings.Replace(at[0], "127.0.0.1", "127.0.0.2", 1) {
		t.Errorf("HTTP is at %q", at)
	}
	if got := b.cfg.build(); got.Version != "v9" || got.Go == "" || strings.Count(got.Libzmq, ".") != 2 || !strings.Contains(got.Platform, "/") {
		t.Errorf("built from %+v", got)
	}
	f := b.front()
	var busy time.Duration
	for began := time.Now(); busy == 0 && time.Since(began) < time.Minute; {
		if _, _, err := f.Command(t.Context(), protocol.KindListNodes, protocol.Marshal(protocol.ListRequest{})); err != nil {
			t.Fatal(err)
		}
		busy = f.Loops()[0].Busy
	}
	g := &gauge{}
	if at := g.look("x").Turn; !at.IsZero() {
		t.Errorf("a loop that sleeps is at a turn since %v", at)
	}
	began := time.Now()
	g.turn.Store(began.UnixNano())
	if at := g.look("x").Turn; !at.Equal(began) {
		t.Errorf("a turn that began at %v is told as of %v", began, at)
	}
	var names []string
	for _, l := range f.Loops() {
		names = append(names, l.Name)
	}
	if busy <= 0 || fmt.Sprint(names) != "[control 0 1]" {
		t.Errorf("loops %v, the first was busy for %v", names, busy)
	}
	if held, limit := f.Memory(); held != 0 || limit != b.cfg.Memory {
		t.Errorf("memory %d of %d", held, limit)
	}
}
