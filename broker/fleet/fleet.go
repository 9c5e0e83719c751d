package fleet

import (
	"iter"
	"time"

	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/platform"
	"github.com/weft-fabric/weft/protocol"
)

// Node is a compute node. Its fields are read by everyone and written by [Fleet].
type Node struct {
	protocol.RegisterNode                   // as its agent registered it; Containers is not kept
	Platform              platform.Platform // parsed and normalised
	State                 NodeState
	Agent                 uint64    // incarnation of its agent
	Heard                 time.Time // when the agent was last heard
	Used                  protocol.Capacity
	Cordoned              bool   // it is given nothing new; stays so when its agent comes again
	CordonReason          string // for people

	containers ordered.Map[string, *Container]
}

// Containers is the number of containers that the node holds.
func (n *Node) Containers() int { return n.containers.Len() }

// Free is what the node's containers leave of its capacity.
func (n *Node) Free() protocol.Capacity { return n.Capacity.Plus(n.Used, -1) }

// Container is one container, or an instance that was started by hand, which has no node. [Fleet.Move] writes State
// and Since; the other fields are its owner's.
type Container struct {
	ID         string
	Manager    uint32 // that it works for
	Allocation uint64 // of the scheduler; 0 by hand
	Node       *Node  // nil: started by hand
	Capacity   protocol.Capacity
	Token      string
	State      State
	Asked      time.Time // when its start was asked for
	Since      time.Time // when it came into its state

	Instance  uint64          // incarnation of its instance once that said HELLO
	Hosting   uint32          // of the manager to which its instance was announced last; 0: to none
	Loop      int             // that was told of it
	Served    bool            // it has been ready
	Delivered bool            // it has answered a task
	Released  bool            // its manager has nothing to do with it any more
	Stopped   bool            // its agent was told to stop it
	Killed    string          // why its agent was told to end it at once; empty: it was not
	Outdated  bool            // it is to be replaced
	Failure   *protocol.Error // why it is of no use, if known before it exited
}

// NodeName is the name of its node, "" by hand.
func (c *Container) NodeName() string {
	if c.Node == nil {
		return ""
	}
	return c.Node.Name
}

// Fleet holds the nodes and the containers that are not gone. The zero Fleet is empty and ready for use.
type Fleet struct {
	nodes      ordered.Map[string, *Node]
	containers map[string]*Container
}

// Check says what is wrong with a registration. The error is a *protocol.Error with CodeInvalid that names the field.
func Check(r *protocol.RegisterNode) (platform.Platform, error) {
	bad := func(format string, args ...any) (platform.Platform, error) {
		return platform.Platform{}, protocol.Errorf(protocol.CodeInvalid, "register node", format, args...)
	}
	if !protocol.ValidName(r.Name) {
		return bad("name: %q is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit", r.Name)
	}
	p, err := platform.Parse(r.Platform)
	if err != nil || p.IsAny() {
		return bad("platform: %q is not a platform such as linux/amd64", r.Platform)
	}
	if r.NodeType != protocol.NodeTypeCPU && r.NodeType != protocol.NodeTypeGPU {
		return bad("node_type: %q is neither cpu nor gpu", r.NodeType)
	}
	if err := r.Capacity.Check(); err != nil {
		return bad("capacity.%v", err)
	}
	return p, protocol.ValidateLabels("register node", r.Labels)
}

// Register brings a node in, or changes what is known of it. The caller has seen to it that the agent before, if it
// was another one, is lost: a name whose node is up belongs to its agent, and another one is refused with
// CodeAlreadyExists.
func (f *Fleet) Register(now time.Time, r protocol.RegisterNode, agent uint64) (*Node, error) {
	p, err := Check(&r)
	if err != nil {
		return nil, err
	}
	n, ok := f.nodes.Get(r.Name)
	if !ok {
		n = &Node{}
		f.nodes.Set(r.Name, n)
	} else if n.State == Up && n.Agent != agent {
		return nil, protocol.Errorf(protocol.CodeAlreadyExists, "register node",
			"name: another agent that lives serves node %q (its host is %q, this one is %q); give this one a name of its own",
			r.Name, n.Detail.Hostname, r.Detail.Hostname)
	}
	n.State, _ = NodeTable.Next(n.State, Register)
	r.Containers = nil
	n.RegisterNode, n.Platform, n.Agent, n.Heard = r, p, agent, now
	return n, nil
}

// Part takes a node out, because of Silence or Bye, and says whether it was there. Its containers are the caller's to
// move to their end.
func (f *Fleet) Part(n *Node, e NodeEvent) bool {
	next, ok := NodeTable.Next(n.State, e)
	n.State = next
	return ok
}

// Node finds a node by its name, whatever its state.
func (f *Fleet) Node(name string) (*Node, bool) { return f.nodes.Get(name) }

// Nodes iterates over all nodes by name.
func (f *Fleet) Nodes() iter.Seq2[string, *Node] { return f.nodes.All() }

// Known is the number of nodes that are known, whatever their state.
func (f *Fleet) Known() int { return f.nodes.Len() }

// On iterates over the containers of a node by id; the loop may move them to their end.
func (f *Fleet) On(n *Node) iter.Seq2[string, *Container] { return n.containers.All() }

// Add takes a new container in, in state [Asked].
func (f *Fleet) Add(now time.Time, c *Container) {
	c.State, c.Asked, c.Since = Asked, now, now
	if f.containers == nil {
		f.containers = make(map[string]*Container)
	}
	f.containers[c.ID] = c
	if c.Node != nil {
		c.Node.containers.Set(c.ID, c)
		c.Node.Used = c.Node.Used.Plus(c.Capacity, 1)
	}
}

// Container finds a container that is not gone.
func (f *Fleet) Container(id string) (*Container, bool) {
	c, ok := f.containers[id]
	return c, ok
}

// Len is the number of containers that are not gone.
func (f *Fleet) Len() int { return len(f.containers) }

// Move takes an event of a container. One that the table refuses is of no effect, and moved is false. A container that
// exits is forgotten, and its node has its capacity again.
func (f *Fleet) Move(now time.Time, c *Container, e Event) (moved bool) {
	next, ok := Table.Next(c.State, e)
	if !ok {
		return false
	}
	if next != c.State {
		c.State, c.Since = next, now
	}
	if next == Exited {
		delete(f.containers, c.ID)
		if c.Node != nil {
			c.Node.containers.Delete(c.ID)
			c.Node.Used = c.Node.Used.Plus(c.Capacity, -1)
		}
	}
	return true
}
