package core

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// register tells the leader of the node and its containers, and again of every container's last change that no broker
// has taken note of. What was asked of another broker, or of another process, is void.
func (c *Core) register() {
	c.registered = false
	c.registerAt = time.Time{}
	clear(c.reports)
	body := c.config.Node
	body.Containers = c.Containers()
	c.registering = c.newID()
	c.send(protocol.KindRegisterNode, c.registering, body)
	for id, k := range c.containers.All() {
		if k.reported != 0 {
			c.report(id, k)
		}
	}
}

// done takes the answer to the request with this id.
func (c *Core) done(id uint64) {
	if id == 0 || id != c.registering {
		c.acknowledged(id)
		return
	}
	c.registering, c.registered = 0, true
	c.lastRefusal = ""
	c.note(NoteRegistered, c.brokers[c.leader].endpoint, "", fmt.Sprintf("with %d containers", c.containers.Len()))
}

// acknowledged takes the answer to a report; a container that is over is then forgotten.
func (c *Core) acknowledged(report uint64) {
	id, ok := c.reports[report]
	if !ok {
		return
	}
	delete(c.reports, report)
	k, ok := c.containers.Get(id)
	if !ok || k.reported != report {
		return
	}
	k.reported = 0
	if k.state == Ended {
		c.containers.Delete(id)
	}
}

// status tells the leader how the node fares.
func (c *Core) status() {
	if !c.registered || !c.brokers[c.leader].link.Up() {
		return
	}
	body := c.usage
	for id, k := range c.containers.All() {
		if k.state == Running || k.state == Stopping {
			body.Containers = append(body.Containers, id)
		}
	}
	c.send(protocol.KindNodeStatus, 0, body)
}

// send appends a record to the leader's link.
func (c *Core) send(kind protocol.Kind, id uint64, body any) {
	c.brokers[c.leader].link.Append(kind, 0, id, protocol.Marshal(body))
}

// report tells the leader of a container's present state; it is kept until it was answered.
func (c *Core) report(id string, k *container) {
	k.last.ID, k.last.State = id, k.state.wire()
	k.reported = c.newID()
	c.reports[k.reported] = id
	c.send(protocol.KindContainerState, k.reported, k.last)
}

// order carries out an order of broker i.
func (c *Core) order(i int, rec *protocol.Record) *protocol.Error {
	if i != c.leader {
		return protocol.Errorf(protocol.CodePermission, rec.Kind.String(), "this agent obeys the broker at %s",
			c.brokers[c.leader].endpoint)
	}
	if rec.Kind == protocol.KindStopContainer {
		var body protocol.StopContainer
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			return protocol.AsError(err, rec.Kind.String())
		}
		c.orderStop(body)
		return nil
	}
	var body protocol.StartContainer
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		return protocol.AsError(err, rec.Kind.String())
	}
	if body.ID == "" {
		return protocol.Errorf(protocol.CodeInvalid, rec.Kind.String(), "id: is empty; it names the container")
	}
	c.orderStart(body)
	return nil
}

// orderStart has a container started, or says how the one with that id fares.
func (c *Core) orderStart(body protocol.StartContainer) {
	k, known := c.containers.Get(body.ID)
	if !known {
		k = &container{state: Starting, service: body.Service}
		c.containers.Set(body.ID, k)
		if c.ending {
			k.state = Ended
			k.last.Error = protocol.Errorf(protocol.CodeUnavailable, "start container "+body.ID, "the agent is ending")
			k.last.Reason = k.last.Error.Error()
			c.report(body.ID, k)
			return
		}
		c.starts = append(c.starts, body)
		return
	}
	if k.state != Starting { // its answer follows in any case
		c.report(body.ID, k)
	}
}

// orderStop has a container stopped.
func (c *Core) orderStop(body protocol.StopContainer) {
	k, known := c.containers.Get(body.ID)
	if !known {
		c.send(protocol.KindContainerState, c.newID(), protocol.ContainerState{
			ID: body.ID, State: protocol.ContainerExited, Reason: "this agent has no such container",
		})
		return
	}
	c.stop(body.ID, k, body.Grace)
}

// stop orders a container's end and reports it.
func (c *Core) stop(id string, k *container, grace time.Duration) {
	before := k.state
	if !c.change(id, k, OrderStop) {
		return
	}
	switch k.state {
	case Stopping:
		c.stops = append(c.stops, Stop{ID: id, Grace: grace})
	case Abandoned:
		if before == Starting || grace < k.grace {
			k.grace = grace
		}
	case Starting, Running, Ended:
	}
	c.report(id, k)
}

// change moves a container along its table, and says whether it may.
func (c *Core) change(id string, k *container, by Change) bool {
	next, ok := c.table.Next(k.state, by)
	if !ok {
		c.note(NoteIgnored, "", id, fmt.Sprintf("%v while %v: %s", by, k.state, c.table.Refusal(k.state, by)))
		return false
	}
	k.state = next
	return true
}

// known gives the container that an event of the shell is about, moved along its table.
func (c *Core) known(id string, by Change) (*container, bool) {
	k, ok := c.containers.Get(id)
	if !ok {
		c.note(NoteIgnored, "", id, by.String()+": no such container")
		return nil, false
	}
	return k, c.change(id, k, by)
}

func (c *Core) started(e Started) {
	k, ok := c.known(e.ID, HasStarted)
	if !ok {
		return
	}
	k.last.PID = e.PID
	c.note(NoteStarted, "", e.ID, fmt.Sprintf("%s, process %d", k.service, e.PID))
	if k.state == Stopping {
		c.stops = append(c.stops, Stop{ID: e.ID, Grace: k.grace})
	}
	c.report(e.ID, k)
}

func (c *Core) failed(e StartFailed) {
	k, ok := c.known(e.ID, HasFailed)
	if !ok {
		return
	}
	k.last.Error, k.last.Reason = e.Error, e.Error.Error()
	c.note(NoteEnded, "", e.ID, k.service+": "+k.last.Reason)
	c.report(e.ID, k)
}

func (c *Core) exited(e Exited) {
	k, ok := c.known(e.ID, HasExited)
	if !ok {
		return
	}
	k.last.Code, k.last.Signal, k.last.Reason, k.last.Output = e.Code, e.Signal, e.Reason, e.Output
	c.note(NoteEnded, "", e.ID, k.service+": "+e.Reason)
	c.report(e.ID, k)
}
