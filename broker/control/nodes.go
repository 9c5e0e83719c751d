package control

import (
	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/protocol"
)

// cordonNode has a node take no new containers, or take them again.
func cordonNode(c *Core, p *party, r *protocol.Record) error {
	req, err := body[protocol.CordonNode](r)
	if err != nil {
		return err
	}
	n, ok := c.crew.fleet.Node(req.Name)
	if !ok {
		return protocol.Errorf(protocol.CodeNotFound, "cordon node", "name: there is no node %q", cut(req.Name))
	}
	reason := ""
	if req.On {
		reason = cut(req.Reason)
	}
	if n.Cordoned != req.On || n.CordonReason != reason {
		n.Cordoned, n.CordonReason = req.On, reason
		if n.State == fleet.Up {
			c.managers.show(n)
		}
		c.out.record(&Record{At: c.now, Cordon: &protocol.CordonNode{Name: n.Name, On: req.On, Reason: reason}})
	}
	p.answer(c.out, c.out.position, protocol.KindDone, r.Task, nil)
	return nil
}

// nodeInfo is what can be seen of a node.
func (c *Core) nodeInfo(n *fleet.Node) protocol.NodeInfo {
	return protocol.NodeInfo{
		Name: n.Name, State: n.State.String(), Platform: n.Platform.String(), NodeType: n.NodeType, Rack: n.Rack,
		Capacity: n.Capacity, Used: n.Used, Free: n.Free(), Containers: n.Containers(), LastSeen: c.now.Sub(n.Heard), Detail: n.Detail,
		Labels: n.Labels, Cordoned: n.Cordoned, CordonReason: n.CordonReason,
	}
}
