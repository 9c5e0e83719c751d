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
type havocCounts struct{ instances, agents, cuts, stalls int }

// havoc kills instances and agents of a fabric, cuts connections of its clients, and stops processes for a while.
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
	instances, agents, cuts, stalls := every(h.every), every(h.agents), every(h.cuts), every(h.stalls)
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
		case <-stalls:
			err = h.stall(ctx)
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

// What stands still at once at most, and for how long.
const (
	mostStalled  = 3
	longestStall = 500 * time.Millisecond
)

// stall stops some processes, as a machine does that has other things to do, and continues them.
func (h *havoc) stall(ctx context.Context) error {
	list, err := h.f.processes()
	if err != nil {
		return err
	}
	pids := pidsOf(list)
	rand.Shuffle(len(pids), func(i, k int) { pids[i], pids[k] = pids[k], pids[i] })
	pids = pids[:1+rand.IntN(min(mostStalled, len(pids)))]
	if err := signalLiving(pids, syscall.SIGSTOP); err != nil {
		return errors.Join(err, signalLiving(pids, syscall.SIGCONT))
	}
	h.counts.stalls += len(pids)
	select {
	case <-time.After(rand.N(longestStall)):
	case <-ctx.Done():
	}
	return signalLiving(pids, syscall.SIGCONT)
}

// signalLiving sends a signal to those of the processes that have not ended.
func signalLiving(pids []int, s syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := signalAll([]int{pid}, s); !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
