package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/worker/agent/core"
	"github.com/weft-fabric/weft/worker/probe"
)

// measureEvery is how often the node's usage is measured.
const measureEvery = protocol.Heartbeat

// register measures the node, for its registration, and says which host it is on.
func (a *Agent) register(ctx context.Context) (node protocol.RegisterNode, host string, err error) {
	n := probe.New(probe.Options{}).Node(context.WithoutCancel(ctx))
	for _, missing := range n.Missing {
		a.config.Logger.Debug().Str("detail", missing).Msg("could not be measured")
	}
	c := a.config.Capacity
	if c.CPU == 0 {
		c.CPU = int64(n.CoresUsable * 1000)
	}
	if c.Memory == 0 {
		c.Memory = int64(n.MemoryUsable)
	}
	if c.CPU == 0 || c.Memory == 0 {
		return node, "", fmt.Errorf("agent: Capacity: %+v could not be measured in full; want it given (%v)", c, n.Missing)
	}
	return protocol.RegisterNode{
		Name: a.config.Name, Platform: n.Platform.String(), NodeType: a.config.NodeType, Rack: a.config.Rack, Labels: a.config.Labels,
		Capacity: c, Detail: detail(n),
	}, zmqx.HostID(), nil
}

// detail is what was measured, as the protocol tells it.
func detail(n probe.Node) protocol.NodeDetail {
	d := protocol.NodeDetail{
		Hostname: n.Hostname, OS: n.System, Kernel: n.Kernel, CPUModel: n.CPUModel, Cores: n.CoresLogical,
	}
	for _, disk := range n.Disks {
		d.Disks = append(d.Disks, protocol.Disk{Mount: disk.Mount, Size: disk.Size, Free: disk.Free})
	}
	for _, i := range n.Interfaces {
		if i.Up && !i.Loopback {
			const mega = 1_000_000
			d.Networks = append(d.Networks, protocol.NIC{Name: i.Name, Addresses: i.Addresses, Speed: int(i.Speed / mega)})
		}
	}
	return d
}

// measure hands the node's usage to the core until the context ends.
func (s *shell) measure(ctx context.Context) {
	p := probe.New(probe.Options{})
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		u := p.Usage(ctx)
		s.put(arrival{event: core.Usage{Load1: u.Load1, MemFree: u.MemoryAvailable}})
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
