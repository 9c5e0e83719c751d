package core

import (
	"fmt"
	"time"

	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// received is what a frame leaves for the core to do.
type received struct {
	welcome bool            // the broker welcomed the agent,
	resumed bool            // and remembers what was said before
	records protocol.Reader // to be carried out
}

// receive takes a frame of a broker.
func (l *lines) receive(now time.Time, b *broker, frame []byte) received {
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		l.do.note(NoteIgnored, b.endpoint, "", err.Error())
		return received{}
	}
	if h.Epoch < l.epoch {
		if !b.outdated {
			b.outdated = true
			l.do.note(NoteIgnored, b.endpoint, "", fmt.Sprintf("speaks for epoch %v, over since epoch %v", h.Epoch, l.epoch))
		}
		return received{}
	}
	b.outdated = false
	higher := h.Epoch > l.epoch
	if higher {
		l.adopt(h.Epoch)
	}
	r := protocol.NewReader(rest)
	var first protocol.Record
	found, err := r.Next(&first)
	switch {
	case err != nil:
		l.do.note(NoteIgnored, b.endpoint, "", err.Error())
		return received{}
	case h.Sequence.Count() == 0:
		l.bare(now, b, found, &first)
		return received{}
	case found && first.Kind == protocol.KindWelcome:
		if resumed, ok := l.welcomed(now, b, h, &first); ok {
			return received{welcome: true, resumed: resumed, records: r}
		}
	}
	if higher && b.link.Up() {
		l.greet(now, b)
		return received{}
	}
	return received{records: l.conversation(now, b, h, rest, len(frame))}
}

// adopt makes a higher epoch the one that counts.
func (l *lines) adopt(e protocol.Epoch) {
	l.epoch = e
	for _, b := range l.brokers {
		b.node.Epoch = e
	}
}

// bare takes a frame that belongs to no conversation.
func (l *lines) bare(now time.Time, b *broker, found bool, rec *protocol.Record) {
	switch {
	case found && rec.Kind == protocol.KindRehello:
		if !b.greeting { // else the answer to an earlier frame, and the HELLO is on its way
			l.greet(now, b)
		}
	case found && rec.Kind == protocol.KindError:
		l.refused(b, rec)
	default:
		l.do.note(NoteIgnored, b.endpoint, "", "a frame that is neither REHELLO nor an error, outside of a conversation")
	}
}

// welcomed takes the answer to HELLO; ok says whether it was one.
func (l *lines) welcomed(now time.Time, b *broker, h protocol.Header, rec *protocol.Record) (resumed, ok bool) {
	var body protocol.Welcome
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		l.do.note(NoteIgnored, b.endpoint, "", err.Error())
		return false, false
	}
	if !b.link.Opened(h, body) {
		return false, false
	}
	b.greeting, b.attempts, b.lostSaid = false, 0, false
	b.heard, b.epoch = now, h.Epoch
	b.timeout = body.Timeout
	if b.timeout <= 0 {
		b.timeout = protocol.PeerTimeout
	}
	l.hurry(now, body.Heartbeat)
	how := "anew"
	if body.Resumed {
		how = "resumed"
	}
	l.do.note(NoteWelcomed, b.endpoint, "", fmt.Sprintf("by broker %q, epoch %v, %s", body.Broker, h.Epoch, how))
	return body.Resumed, true
}

// conversation takes a frame of a conversation, and gives its records when it is a new one.
func (l *lines) conversation(now time.Time, b *broker, h protocol.Header, rest []byte, size int) protocol.Reader {
	switch b.link.Receive(h, size) {
	case link.Fresh:
		b.heard = now
		return protocol.NewReader(rest)
	case link.Gap:
		l.do.note(NoteIgnored, b.endpoint, "", "frames are missing: the conversation begins anew")
		l.greet(now, b)
	case link.Ignore:
	}
	return protocol.Reader{}
}

// next reads the next record of a broker, and says whether there is one.
func (l *lines) next(b *broker, r *protocol.Reader, rec *protocol.Record) bool {
	found, err := r.Next(rec)
	if err != nil {
		l.do.note(NoteIgnored, b.endpoint, "", err.Error())
	}
	return found
}
