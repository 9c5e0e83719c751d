package core

import (
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// receive takes a frame of broker i.
func (c *Core) receive(now time.Time, i int, frame []byte) {
	got := c.lines.receive(now, c.lines.brokers[i], frame)
	if got.welcome {
		c.leader.welcomed(i, got.resumed)
	}
	var rec protocol.Record
	for c.lines.next(c.lines.brokers[i], &got.records, &rec) {
		c.record(now, i, &rec)
	}
}

func (c *Core) record(now time.Time, i int, rec *protocol.Record) {
	b := c.lines.brokers[i]
	switch rec.Kind {
	case protocol.KindDone:
		if i == c.leader.at {
			c.leader.done(rec.Task)
		}
	case protocol.KindError:
		c.lines.refused(b, rec)
		if i == c.leader.at {
			c.leader.refused(now, rec.Task)
		}
	case protocol.KindBye:
		c.lines.lost(now, b, "the broker has left")
	case protocol.KindStartContainer, protocol.KindStopContainer:
		if err := c.order(i, rec); err != nil {
			b.link.Append(protocol.KindError, 0, rec.Task, protocol.Marshal(err))
		}
	default:
		err := protocol.Errorf(protocol.CodeUnknownKind, rec.Kind.String(), "an agent takes StartContainer and StopContainer")
		b.link.Append(protocol.KindError, 0, rec.Task, protocol.Marshal(err))
	}
}

// order carries out an order of broker i.
func (c *Core) order(i int, rec *protocol.Record) *protocol.Error {
	if i != c.leader.at {
		return protocol.Errorf(protocol.CodePermission, rec.Kind.String(), "this agent obeys the broker at %s",
			c.leader.broker().endpoint)
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
	if c.ending {
		c.tell(c.roster.decline(body))
	} else {
		c.tell(c.roster.start(body))
	}
	return nil
}

// orderStop has a container stopped.
func (c *Core) orderStop(body protocol.StopContainer) {
	if k, known := c.roster.containers.Get(body.ID); known {
		c.tell(c.roster.stop(k, body.Grace))
		return
	}
	c.leader.unknown(body.ID)
}
