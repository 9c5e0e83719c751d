package core

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// The wait between two greetings that nobody answers grows from the half of greetFirst, doubling, up to greetMost.
const (
	greetFirst = 200 * time.Millisecond
	greetMost  = 2 * time.Second
)

// broker is the control link to one broker.
type broker struct {
	endpoint string
	node     *link.Node
	link     *link.Link
	epoch    protocol.Epoch // with which it welcomed the agent
	greeting bool           // a HELLO waits for its answer
	attempts int            // greetings since the last welcome
	greetAt  time.Time      // when to greet next, while the link is not up
	heard    time.Time      // last frame taken over
	timeout  time.Duration  // silence after which it counts as lost
	outdated bool           // its older epoch was noted
	lostSaid bool           // that it is lost was noted
}

// greet says HELLO.
func (c *Core) greet(now time.Time, b *broker) {
	b.link.Greet(protocol.Hello{
		MinVersion: protocol.MinVersion, MaxVersion: protocol.MaxVersion, Role: protocol.RoleAgent,
		Name: c.config.Node.Name, Endpoint: b.endpoint, Host: c.config.Host, KeepsScheme: c.config.KeepsScheme,
	})
	b.greeting = true
	b.greetAt = now.Add(c.backoff(b))
	b.attempts++
}

// backoff is the wait after the next greeting.
func (c *Core) backoff(b *broker) time.Duration {
	wait := min(greetFirst<<min(b.attempts, 10), greetMost)
	return wait/2 + time.Duration(c.config.Jitter()*float64(wait/2))
}

// lost notes that the conversation broke; the next greeting follows after the backoff.
func (c *Core) lost(now time.Time, b *broker, why string) {
	wasUp := b.link.Up()
	if !wasUp && !b.greeting {
		return
	}
	b.link.Lost()
	b.greeting = false
	b.greetAt = now.Add(c.backoff(b))
	if wasUp || !b.lostSaid {
		b.lostSaid = true
		c.note(NoteLost, b.endpoint, "", why)
	}
}

// receive takes a frame of broker i.
func (c *Core) receive(now time.Time, i int, frame []byte) {
	b := c.brokers[i]
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		c.note(NoteIgnored, b.endpoint, "", err.Error())
		return
	}
	if h.Epoch < c.epoch {
		if !b.outdated {
			b.outdated = true
			c.note(NoteIgnored, b.endpoint, "", fmt.Sprintf("speaks for epoch %v, over since epoch %v", h.Epoch, c.epoch))
		}
		return
	}
	b.outdated = false
	higher := h.Epoch > c.epoch
	if higher {
		c.adopt(h.Epoch)
	}
	r := protocol.NewReader(rest)
	var first protocol.Record
	found, err := r.Next(&first)
	switch {
	case err != nil:
		c.note(NoteIgnored, b.endpoint, "", err.Error())
	case h.Sequence.Count() == 0:
		c.bare(now, b, found, first)
	case found && first.Kind == protocol.KindWelcome && c.welcomed(now, i, h, first):
		c.records(now, i, r)
	case higher && b.link.Up():
		c.greet(now, b)
	default:
		c.frame(now, i, h, rest, len(frame))
	}
}

// adopt makes a higher epoch the one that counts.
func (c *Core) adopt(e protocol.Epoch) {
	c.epoch = e
	for _, b := range c.brokers {
		b.node.Epoch = e
	}
}

// bare takes a frame that belongs to no conversation.
func (c *Core) bare(now time.Time, b *broker, found bool, rec protocol.Record) {
	switch {
	case found && rec.Kind == protocol.KindRehello:
		if !b.greeting { // else the answer to an earlier frame, and the HELLO is on its way
			c.greet(now, b)
		}
	case found && rec.Kind == protocol.KindError:
		c.refused(b, rec)
	default:
		c.note(NoteIgnored, b.endpoint, "", "a frame that is neither REHELLO nor an error, outside of a conversation")
	}
}

// welcomed takes the answer to HELLO and says whether it was one.
func (c *Core) welcomed(now time.Time, i int, h protocol.Header, rec protocol.Record) bool {
	b := c.brokers[i]
	var body protocol.Welcome
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		c.note(NoteIgnored, b.endpoint, "", err.Error())
		return false
	}
	if !b.link.Opened(h, body) {
		return false
	}
	b.greeting, b.attempts, b.lostSaid = false, 0, false
	b.heard, b.epoch = now, h.Epoch
	b.timeout = body.Timeout
	if b.timeout <= 0 {
		b.timeout = protocol.PeerTimeout
	}
	how := "anew"
	if body.Resumed {
		how = "resumed"
	}
	c.note(NoteWelcomed, b.endpoint, "", fmt.Sprintf("by broker %q, epoch %v, %s", body.Broker, h.Epoch, how))
	if c.leader == i && body.Resumed {
		return true
	}
	if c.leader == i || c.leader == nobody || h.Epoch > c.brokers[c.leader].epoch {
		c.leader = i
		c.register()
	}
	return true
}

// frame takes a frame of a conversation.
func (c *Core) frame(now time.Time, i int, h protocol.Header, rest []byte, size int) {
	b := c.brokers[i]
	switch b.link.Receive(h, size) {
	case link.Fresh:
		b.heard = now
		c.records(now, i, protocol.NewReader(rest))
	case link.Gap:
		c.note(NoteIgnored, b.endpoint, "", "frames are missing: the conversation begins anew")
		c.greet(now, b)
	case link.Ignore:
	}
}

// records takes the records of a frame.
func (c *Core) records(now time.Time, i int, r protocol.Reader) {
	b := c.brokers[i]
	var rec protocol.Record
	for {
		found, err := r.Next(&rec)
		if err != nil {
			c.note(NoteIgnored, b.endpoint, "", err.Error())
		}
		if !found {
			return
		}
		c.record(now, i, &rec)
	}
}

func (c *Core) record(now time.Time, i int, rec *protocol.Record) {
	b := c.brokers[i]
	switch rec.Kind {
	case protocol.KindDone:
		if i == c.leader {
			c.done(rec.Task)
		}
	case protocol.KindError:
		c.answeredError(now, i, rec)
	case protocol.KindBye:
		c.lost(now, b, "the broker has left")
	case protocol.KindStartContainer, protocol.KindStopContainer:
		if err := c.order(i, rec); err != nil {
			b.link.Append(protocol.KindError, 0, rec.Task, protocol.Marshal(err))
		}
	default:
		err := protocol.Errorf(protocol.CodeUnknownKind, rec.Kind.String(), "an agent takes StartContainer and StopContainer")
		b.link.Append(protocol.KindError, 0, rec.Task, protocol.Marshal(err))
	}
}

// refused notes a refusal; the same words of the same broker in a row are noted once.
func (c *Core) refused(b *broker, rec protocol.Record) {
	var body protocol.Error
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		body = *err.(*protocol.Error) //nolint:errorlint,forcetypeassert // Unmarshal promises the type
	}
	if text := b.endpoint + " " + body.Error(); text != c.lastRefusal {
		c.lastRefusal = text
		c.note(NoteRefused, b.endpoint, "", body.Error())
	}
}

// answeredError takes the refusal of a request.
func (c *Core) answeredError(now time.Time, i int, rec *protocol.Record) {
	c.refused(c.brokers[i], *rec)
	if i != c.leader || rec.Task == 0 {
		return
	}
	if rec.Task == c.registering {
		c.registering = 0
		c.registerAt = now.Add(registerAgain)
		return
	}
	c.acknowledged(rec.Task)
}
