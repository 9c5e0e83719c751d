package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/weft-fabric/weft/bench/party"
	"github.com/weft-fabric/weft/internal/quantile"
)

// contender is a system that has been started for one measurement.
type contender struct {
	version string
	clients []*party.Process
	parties []*party.Process // all of them; what they have started belongs to the system too
	close   func() error
}

// cpu is the processor time that the system has used so far.
func (s *contender) cpu() (time.Duration, error) {
	var pids []int
	for _, p := range s.parties {
		below, err := processesUnder(p.PID())
		if err != nil {
			return 0, err
		}
		pids = append(append(pids, p.PID()), below...)
	}
	return exactCPU(pids)
}

// measure measures the figures of a row, and how many cores were busy with anything else meanwhile.
func (s *contender) measure(ctx context.Context, r *compareRow, duration time.Duration) (
	values map[figure]float64, others float64, err error,
) {
	begin := time.Now()
	before, err := s.othersCPU()
	if err != nil {
		return nil, 0, err
	}
	if values, err = s.figures(ctx, r, duration); err != nil {
		return nil, 0, err
	}
	after, err := s.othersCPU()
	return values, max(0, (after-before).Seconds()/time.Since(begin).Seconds()), err
}

// othersCPU is the processor time that everything but the system has used so far.
func (s *contender) othersCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("processor time of the machine: %w", err)
	}
	all, err := parseBusy(string(text))
	if err != nil {
		return 0, err
	}
	own, err := s.cpu()
	return all - own, err
}

func (s *contender) figures(ctx context.Context, r *compareRow, duration time.Duration) (map[figure]float64, error) {
	if r.trips {
		trips, err := roundTrips(ctx, s.clients[0], duration)
		return map[figure]float64{
			figureP50: micro(quantile.Of(trips, 0.5)), figureP99: micro(quantile.Of(trips, 0.99)),
		}, err
	}
	load := party.Order{Do: "load", Time: warmUp}
	if r.callers > 0 {
		load = party.Order{Do: "call", Count: r.callers, Time: warmUp}
	}
	got, err := throughput(ctx, s.clients, load, duration, s.cpu)
	if err == nil && got.tasks == 0 {
		err = errors.New("no task was completed")
	}
	return map[figure]float64{figureRate: got.perSecond, figureCPU: micro(got.cpu)}, err
}

// startWeft starts a fabric for a row.
func startWeft(ctx context.Context, r *compareRow) (*contender, error) {
	of := shape{
		payload: r.payload, clients: r.clients, instances: r.instances, window: r.window, // 0: as it is granted
		transport: cmp.Or(r.transport, "tcp"),
	}
	f, clients, err := of.start(ctx, clientCommand)
	if err != nil {
		return nil, err
	}
	parties := slices.Concat([]*party.Process{f.broker}, f.agents, clients)
	return &contender{version: "weft " + version, clients: clients, parties: parties, close: f.close}, nil
}

// peerRoles names the roles of a peer in the program of the peers. A peer without workers executes tasks in its server.
type peerRoles struct{ server, worker, client string }

// rolesOf gives the roles of each peer.
func rolesOf(system string) peerRoles {
	return map[string]peerRoles{
		systemNATS:  {"nats-server", "nats-worker", "nats-client"},
		systemGRPC:  {"grpc-server", "", "grpc-client"},
		systemProxy: {"zmq-proxy", "zmq-worker", "zmq-client"},
	}[system]
}

// startPeer starts a peer for a row, by the program of the peers.
func startPeer(ctx context.Context, program, system string, r *compareRow) (_ *contender, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready within %v", patience))
	defer stop()
	dir, err := os.MkdirTemp("", "weft-bench-peers-")
	if err != nil {
		return nil, fmt.Errorf("temporary folder: %w", err)
	}
	s := &contender{}
	s.close = func() error {
		var errs []error
		for _, p := range slices.Backward(s.parties) {
			errs = append(errs, p.Stop())
		}
		return errors.Join(append(errs, os.RemoveAll(dir))...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	start := func(name, role string, args ...string) (*party.Process, error) {
		p, err := party.Start(ctx, name, program, append([]string{role}, args...)...)
		if err == nil {
			s.parties = append(s.parties, p)
		}
		return p, err
	}
	roles := rolesOf(system)
	listen, backend := "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"
	if r.transport == "ipc" {
		listen, backend = "ipc://"+filepath.Join(dir, "clients"), "ipc://"+filepath.Join(dir, "workers")
	}
	server, err := start(roles.server, roles.server, "--listen", listen, "--backend", backend)
	if err != nil {
		return nil, err
	}
	s.version = server.Ready.Version
	for i := range r.instances {
		if roles.worker == "" {
			break
		}
		at := cmp.Or(server.Ready.Backend, server.Ready.Endpoint)
		if _, err := start(fmt.Sprintf("%s %d", roles.worker, i+1), roles.worker, "--connect", at); err != nil {
			return nil, err
		}
	}
	for i := range r.clients {
		p, err := start(fmt.Sprintf("%s %d", roles.client, i+1), roles.client, "--connect", server.Ready.Endpoint,
			"--payload", strconv.Itoa(r.payload), "--window", strconv.Itoa(max(r.window, 1)))
		if err != nil {
			return nil, err
		}
		s.clients = append(s.clients, p)
	}
	return s, nil
}

// peersProgram is the name of the program of the peers.
const peersProgram = "weft-bench-peers"

// findPeers finds the program of the peers: where it was said to be, beside this program, or on the path.
func findPeers(said string) (string, error) {
	if said != "" {
		if _, err := exec.LookPath(said); err != nil {
			return "", fmt.Errorf("--peers: %q: %w; give the program that `make build-peers` builds", said, err)
		}
		return said, nil
	}
	if own, err := os.Executable(); err == nil {
		if beside, err := exec.LookPath(filepath.Join(filepath.Dir(own), peersProgram)); err == nil {
			return beside, nil
		}
	}
	return exec.LookPath(peersProgram)
}
