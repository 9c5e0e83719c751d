package control_test

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/protocol"
)

// planting is a world in which reasons are planted, with what is needed to say so in a line.
type planting struct {
	*world
	peers    uint64
	sessions uint64
}

func plant(t *testing.T, change func(*Config)) *planting {
	w := newWorld(t, change)
	w.quiet = true
	p := &planting{world: w, peers: 100}
	w.join("ops", protocol.Hello{Role: protocol.RoleClient, Name: "ops"}, 1)
	return p
}

// node has a node join: linux/amd64 with four cores and a GiB, unless change says otherwise.
func (p *planting) node(name string, change func(*protocol.RegisterNode)) *peer {
	p.peers++
	n := p.join(name, protocol.Hello{Role: protocol.RoleAgent, Name: name}, p.peers)
	reg := protocol.RegisterNode{Name: name, Platform: "linux/amd64", NodeType: "cpu", Capacity: protocol.Capacity{CPU: 4000, Memory: 1 << 30}}
	if change != nil {
		change(&reg)
	}
	p.send(n, protocol.KindRegisterNode, 1, reg)
	return n
}

// uses has a client open a session of a service that wants so many containers of the request each; it gives the session.
func (p *planting) uses(client, service, queue string, want int, r protocol.ContainerRequest) uint32 {
	p.t.Helper()
	p.send(p.world.peers["ops"], protocol.KindRegisterService, 2, protocol.Service{
		Name: service, Queue: queue, Requests: []protocol.ContainerRequest{r}, Instances: protocol.Instances{Min: 1, Max: 100},
		Artefacts: map[string]protocol.Artefact{"linux/amd64": {Command: "/opt/" + service}},
	})
	c := p.world.peers[client]
	if c == nil {
		p.peers++
		c = p.join(client, protocol.Hello{Role: protocol.RoleClient, Name: client}, p.peers)
	}
	p.sessions++
	p.send(c, protocol.KindOpenSession, 3, protocol.OpenSession{Key: p.sessions, Service: service})
	for loop := range 2 {
		p.note(loop, session.Note{Wanted: &session.Wanted{Manager: uint32(p.sessions), Instances: want}})
	}
	return uint32(p.sessions)
}

// cores is a request of so many thousandths of a core.
func cores(n int64) protocol.ContainerRequest {
	return protocol.ContainerRequest{Capacity: protocol.Capacity{CPU: n, Memory: 1 << 20}}
}

// kinds gives the kinds of the reasons for which a session waits, in order and each once.
func (p *planting) kinds(of uint32) []string {
	p.t.Helper()
	e := toldOps[protocol.Explained](p.world, protocol.KindExplain, protocol.Explain{Session: of})
	var kinds []string
	for _, r := range e.Requests {
		for _, why := range r.Reasons {
			if why.Text == "" {
				p.t.Fatalf("a reason without words: %+v", why)
			}
			kinds = append(kinds, why.Kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Whatever stands in the way of a container is named.
func TestEveryReasonIsNamed(t *testing.T) {
	queues := func(list ...protocol.Queue) func(*Config) {
		return func(c *Config) {
			c.Queues = &protocol.ApplyQueues{Queues: append([]protocol.Queue{{Name: "root"}}, list...)}
		}
	}
	cases := map[string]struct {
		change func(*Config)
		plant  func(p *planting) (waits uint32)
		want   []string
	}{
		"what nodes lack": {nil, func(p *planting) uint32 {
			gpu := func(rack, platform string, cpu int64) func(*protocol.RegisterNode) {
				return func(r *protocol.RegisterNode) {
					r.NodeType, r.Rack, r.Platform, r.Capacity.CPU, r.Capacity.GPU = "gpu", rack, platform, cpu, 1
				}
			}
			p.node("full", gpu("r1", "linux/amd64", 1000))
			ask := cores(1000)
			ask.NodeType, ask.Rack, ask.Capacity.GPU = "gpu", "r1", 1
			p.uses("ann", "filler", "", 1, ask)
			p.node("plain", func(r *protocol.RegisterNode) { r.Rack = "r1" })
			p.node("far", gpu("r2", "linux/amd64", 4000))
			p.node("arm", gpu("r1", "linux/arm64", 4000))
			p.node("small", gpu("r1", "linux/amd64", 500))
			p.node("closed", gpu("r1", "linux/amd64", 4000))
			p.send(p.world.peers["ops"], protocol.KindCordonNode, 4, protocol.CordonNode{Name: "closed", On: true})
			return p.uses("ann", "waits", "", 1, ask)
		}, []string{"capacity", "cordoned", "node_type", "platform", "rack", "room"}},
		"another node": {nil, func(p *planting) uint32 {
			p.node("n1", nil)
			p.node("n2", nil)
			ask := cores(3000)
			ask.Node = "n1"
			return p.uses("ann", "waits", "", 2, ask)
		}, []string{"node", "room"}},
		"distinct nodes": {nil, func(p *planting) uint32 {
			p.node("n1", nil)
			one := cores(3000)
			p.uses("ann", "filler", "", 1, one)
			p.node("n2", func(r *protocol.RegisterNode) { r.Capacity.CPU = 8000 })
			one.Nodes = 2
			return p.uses("ann", "waits", "", 2, one)
		}, []string{"room", "spread"}},
		"the place that is preferred": {nil, func(p *planting) uint32 {
			p.node("n1", nil)
			p.uses("ann", "filler", "", 1, cores(3000))
			p.node("n2", nil)
			ask := cores(3000)
			ask.Node, ask.Relax = "n1", true
			return p.uses("ann", "waits", "", 1, ask)
		}, []string{"preferred_place"}},
		"no node": {nil, func(p *planting) uint32 {
			return p.uses("ann", "waits", "", 1, cores(1000))
		}, []string{"no_node"}},
		"a node where it could not be started": {nil, func(p *planting) uint32 {
			n := p.node("n1", nil)
			s := p.uses("ann", "waits", "", 1, cores(1000))
			p.node("n2", nil)
			p.send(p.world.peers["ops"], protocol.KindCordonNode, 4, protocol.CordonNode{Name: "n2", On: true})
			p.send(n, protocol.KindContainerState, 5, protocol.ContainerState{ID: "c701-1", State: protocol.ContainerExited, Error: protocol.Errorf(protocol.CodeArtefact, "start", "no such file")})
			return s
		}, []string{"cordoned", "excepted", "failed"}},
		"containers that end": {nil, func(p *planting) uint32 {
			n := p.node("n1", nil)
			s := p.uses("ann", "waits", "", 1, cores(1000))
			p.note(0, session.Note{Changed: &session.Changed{Session: s, State: protocol.SessionRunning}})
			for i := range 3 {
				id := fmt.Sprint("c701-", i+1)
				p.send(n, protocol.KindContainerState, 5, protocol.ContainerState{ID: id, State: protocol.ContainerRunning})
				p.send(n, protocol.KindContainerState, 6, protocol.ContainerState{ID: id, State: protocol.ContainerExited, Code: 3})
			}
			return s
		}, []string{"backoff", "failed"}},
		"its queue, and one above it": {
			queues(protocol.Queue{Name: "a", Parent: "root", Max: protocol.Amounts{"cpu": 2000}}, protocol.Queue{Name: "b", Parent: "a", Max: protocol.Amounts{"memory": 2 << 20}}),
			func(p *planting) uint32 {
				p.node("n1", nil)
				return p.uses("ann", "waits", "b", 3, cores(1000))
			},
			[]string{"queue_max"},
		},
		"a user's limit": {
			queues(protocol.Queue{Name: "a", Parent: "root", Policy: "capacity"}),
			func(p *planting) uint32 {
				p.node("n1", nil)
				s := p.uses("ann", "one", "a", 2, cores(1000))
				p.uses("bob", "other", "a", 3, cores(1000))
				p.note(0, session.Note{Wanted: &session.Wanted{Manager: s, Instances: 3}})
				return s
			},
			[]string{"room", "user_limit"},
		},
		"the head of the line": {
			queues(protocol.Queue{Name: "a", Parent: "root", Reserve: true}),
			func(p *planting) uint32 {
				p.node("n1", nil)
				p.uses("ann", "filler", "a", 1, cores(1000))
				p.uses("ann", "head", "a", 1, cores(4000))
				return p.uses("ann", "waits", "a", 1, cores(1000))
			},
			[]string{"reserved"},
		},
		"a share of the management node": {func(c *Config) { c.Loops, c.ManagerCPU = 1, 20 }, func(p *planting) uint32 {
			p.node("n1", nil)
			p.uses("ann", "has", "", 1, cores(1000))
			return p.uses("ann", "waits", "", 1, cores(1000))
		}, []string{"manager"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := plant(t, c.change)
			if got := p.kinds(c.plant(p)); !slices.Equal(got, c.want) {
				t.Errorf("it waits for %q, want %q", got, c.want)
			}
		})
	}
}
