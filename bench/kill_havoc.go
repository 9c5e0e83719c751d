package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/weft-fabric/weft/internal/tcpproxy"
)

// havocCounts is what was wreaked.
type havocCounts struct{ instances, agents, cuts int }

// havoc kills instances and agents of a fabric, and cuts connections of its clients.
type havoc struct {
	killConfig
	f      *fabric
	proxy  *tcpproxy.Proxy
	counts havocCounts
}

// run does so until ctx is done; every agent runs then.
func (h *havoc) run(ctx context.Context) error {
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	every := func(d time.Duration) <-chan time.Time {
		if d == 0 {
			return nil
		}
		t := time.NewTicker(d)
		stops = append(stops, t.Stop)
		return t.C
	}
	instances, agents, cuts := every(h.every), every(h.agents), every(h.cuts)
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-instances:
			err = h.killInstance()
		case <-agents:
			err = h.killAgent(context.WithoutCancel(ctx), rand.IntN(len(h.f.agents)))
		case <-cuts:
			h.counts.cuts += h.proxy.Cut(0.5)
		}
		if err != nil {
			return err
		}
	}
}

// killInstance kills one instance, if there is any just now.
func (h *havoc) killInstance() error {
	var all []int
	for _, a := range h.f.agents {
		pids, err := instancesUnder(a.PID())
		if err != nil {
			return err
		}
		all = append(all, pids...)
	}
	if len(all) == 0 {
		return nil
	}
	switch err := syscall.Kill(all[rand.IntN(len(all))], syscall.SIGKILL); {
	case err == nil:
		h.counts.instances++
	case !errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("kill an instance: %w", err)
	}
	return nil
}

// killAgent kills the agent of a node, with whom its instances end, and starts it again at once.
func (h *havoc) killAgent(ctx context.Context, node int) error {
	if err := h.f.agents[node].Kill(); err != nil {
		return err
	}
	h.counts.agents++
	return h.f.startAgent(ctx, node)
}
