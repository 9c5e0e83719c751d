package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-fabric/weft/bench/party"
)

// roleVariable makes this test program what it is a test of.
const roleVariable = "WEFT_BENCH_PEERS_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start starts a role, which ends with the test.
func start(t *testing.T, role string, args ...string) *party.Process {
	t.Helper()
	p, err := party.Start(t.Context(), role, os.Args[0], append([]string{role}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func give(t *testing.T, p *party.Process, o party.Order) party.Answer {
	t.Helper()
	a, err := p.Ask(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Every peer does all that a client of a measurement is asked for, with small payloads and large ones, and says which
// version it is of.
func TestPeers(t *testing.T) {
	t.Setenv(roleVariable, "yes")
	dir := t.TempDir()
	for _, test := range []struct {
		name, server, worker, client, version string
		args                                  []string
	}{
		{"NATS", "nats-server", "nats-worker", "nats-client", "nats-server 2.", nil},
		{"gRPC", "grpc-server", "", "grpc-client", "grpc-go 1.", nil},
		{"proxy over tcp", "zmq-proxy", "zmq-worker", "zmq-client", "libzmq 4.", []string{"--listen", "tcp://127.0.0.1:*", "--backend", "tcp://127.0.0.1:*"}},
		{"proxy over ipc", "zmq-proxy", "zmq-worker", "zmq-client", "libzmq 4.", []string{
			"--listen", "ipc://" + filepath.Join(dir, "c"), "--backend", "ipc://" + filepath.Join(dir, "w"),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := start(t, test.server, test.args...)
			if !strings.HasPrefix(server.Ready.Version, test.version) {
				t.Errorf("version %q", server.Ready.Version)
			}
			if test.worker != "" {
				at := server.Ready.Endpoint
				if server.Ready.Backend != "" {
					at = server.Ready.Backend
				}
				start(t, test.worker, "--connect", at)
			}
			for _, load := range [][2]string{{"16", "4096"}, {"1048576", "16"}} {
				client := start(t, test.client, "--connect", server.Ready.Endpoint, "--payload", load[0], "--window", load[1])
				if a := give(t, client, party.Order{Do: "rtt", Time: 10 * time.Millisecond}); len(a.Trips) == 0 || a.Trips[0] <= 0 {
					t.Errorf("round trips %v", a.Trips)
				}
				for _, o := range []party.Order{{Do: "load"}, {Do: "call", Count: 4}} {
					give(t, client, o)
					if a := give(t, client, party.Order{Do: "count", Time: 300 * time.Millisecond}); a.Tasks == 0 {
						t.Errorf("no task of %s bytes completed under %q", load[0], o.Do)
					}
					give(t, client, party.Order{Do: "rest"})
				}
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"kafka-server"}} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), "as one of grpc-client, grpc-server, nats-client") {
			t.Errorf("run(%q): %v", args, err)
		}
	}
	if err := run([]string{"zmq-proxy", "--listen", "nonsense"}); err == nil || !strings.Contains(err.Error(), "open nonsense: libzmq: ") {
		t.Errorf("error %v", err)
	}
	if err := run([]string{"nats-worker", "--connect", "nats://127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "connect to NATS") {
		t.Errorf("error %v", err)
	}
	if err := echoed(15, 16); err == nil {
		t.Error("a result that is cut is right")
	}
}
