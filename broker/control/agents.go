package control

import (
	"errors"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// nodeGone takes out the node of an agent, and all that was on it.
func (w *crew) nodeGone(p *party, e fleet.NodeEvent, why string) {
	n := p.node
	if n == nil || n.Agent != p.incarnation || !w.fleet.Part(n, e) {
		return
	}
	for _, c := range w.fleet.On(n) {
		if planted.Is(planted.NodeLostInSilence) {
			continue
		}
		c.Failure = nil
		w.end(c, why, nil)
	}
	w.c.managers.hide(n)
}

// checkName says whether an agent may serve a node, and gives up the one that served it before when that is not there.
func (w *crew) checkName(p *party, name string) error {
	if p.node != nil && p.node.Name != name {
		return protocol.Errorf(protocol.CodeInvalid, "register node", "name: this agent has registered node %q, and cannot serve %q as well", p.node.Name, name)
	}
	n, ok := w.fleet.Node(name)
	if !ok || n.State != fleet.Up || n.Agent == p.incarnation {
		return nil
	}
	if before, ok := w.c.lobby.parties.Get(n.Agent); ok && !before.link.Up() {
		w.c.lobby.drop(before)
		w.nodeGone(before, fleet.Silence, "its agent was replaced by another one")
	}
	return nil // one that lives is defended by the fleet
}

func registerNode(c *Core, p *party, r *protocol.Record) error {
	reg, err := body[protocol.RegisterNode](r)
	if err != nil {
		return err
	}
	if _, err := fleet.Check(reg); err != nil {
		return err
	}
	w := c.crew
	if err := w.checkName(p, reg.Name); err != nil {
		return err
	}
	if err := c.managers.learn(reg.Capacity); err != nil {
		return protocol.Errorf(protocol.CodeInvalid, "register node", "%v", err)
	}
	n, err := w.fleet.Register(c.now, *reg, p.incarnation)
	if err != nil {
		return err
	}
	p.node = n
	c.managers.joined(n.Name)
	c.managers.show(n)
	has := make(map[string]bool, len(reg.Containers))
	for _, theirs := range reg.Containers {
		ours, ok := w.fleet.Container(theirs.ID)
		switch {
		case theirs.State == protocol.ContainerExited:
		case ok && ours.Node == n:
			has[ours.ID] = true
			if theirs.State == protocol.ContainerRunning {
				w.move(ours, fleet.Run) // it may have said so while nobody heard
			}
			if ours.Killed != "" {
				w.stopAt(p.incarnation, ours.ID, 0)
			}
		default:
			w.stopAt(p.incarnation, theirs.ID, protocol.PeerTimeout)
		}
	}
	for _, ours := range p.doubtful {
		if !has[ours.ID] && ours.State != fleet.Exited {
			w.end(ours, "was not there any more when its agent came again", nil)
		}
	}
	p.doubtful = nil
	p.answer(c.out, 0, protocol.KindDone, r.Task, nil)
	return nil
}

// errUnregistered is the answer to an agent that reports before it has registered.
var errUnregistered = errors.New("an agent registers its node before it reports")

func nodeStatus(c *Core, p *party, r *protocol.Record) error {
	s, err := body[protocol.NodeStatus](r)
	if err != nil {
		return err
	}
	if p.node == nil {
		return protocol.Errorf(protocol.CodeInvalid, "node status", "%v", errUnregistered)
	}
	p.node.Detail.Load1, p.node.Detail.MemFree = s.Load1, s.MemFree
	c.managers.sched.Heartbeat(p.node.Name)
	return nil
}

func containerState(c *Core, p *party, r *protocol.Record) error {
	s, err := body[protocol.ContainerState](r)
	if err != nil {
		return err
	}
	if p.node == nil {
		return protocol.Errorf(protocol.CodeInvalid, "container state", "%v", errUnregistered)
	}
	ours, ok := c.crew.fleet.Container(s.ID)
	if ok && ours.Node != p.node {
		return protocol.Errorf(protocol.CodePermission, "container state", "id: container %q is not on node %s", s.ID, p.node.Name)
	}
	if !ok && s.State != protocol.ContainerExited && s.State != protocol.ContainerStopping {
		c.crew.stopAt(p.incarnation, s.ID, protocol.PeerTimeout)
	}
	if ok {
		switch s.State {
		case protocol.ContainerStarting:
			c.crew.move(ours, fleet.Begin)
		case protocol.ContainerRunning:
			c.crew.move(ours, fleet.Run)
		case protocol.ContainerStopping:
			c.crew.move(ours, fleet.Leave)
		case protocol.ContainerExited:
			c.crew.end(ours, cut(fleet.Why(s)), s)
		default:
			return protocol.Errorf(protocol.CodeInvalid, "container state", "state: %q is none of starting, running, stopping, exited", s.State)
		}
	}
	p.answer(c.out, 0, protocol.KindDone, r.Task, nil)
	return nil
}
