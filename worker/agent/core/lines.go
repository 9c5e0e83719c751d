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

// lines are the conversations with all brokers. They know nothing of nodes and containers: what the records say is for
// the core to read.
type lines struct {
	brokers     []*broker
	hello       protocol.Hello // without the endpoint
	jitter      func() float64
	epoch       protocol.Epoch // the highest that was heard of
	beatEvery   time.Duration
	nextBeat    time.Time
	lastRefusal string        // noted last
	frames      []*link.Frame // scratch
	do          *actions
}

func newLines(now time.Time, config Config, do *actions) *lines {
	l := &lines{
		hello: protocol.Hello{
			MinVersion: protocol.MinVersion, MaxVersion: protocol.MaxVersion, Role: protocol.RoleAgent,
			Name: config.Node.Name, Host: config.Host, KeepsScheme: config.KeepsScheme,
		},
		jitter: config.Jitter, beatEvery: protocol.Heartbeat / 2, do: do,
	}
	l.nextBeat = now.Add(l.beatEvery)
	for _, endpoint := range config.Brokers {
		node := link.NewNode(0, config.Incarnation)
		l.brokers = append(l.brokers, &broker{endpoint: endpoint, node: node, link: node.Link(), greetAt: now})
	}
	return l
}

// greet says HELLO.
func (l *lines) greet(now time.Time, b *broker) {
	hello := l.hello
	hello.Endpoint = b.endpoint
	b.link.Greet(hello)
	b.greeting = true
	b.greetAt = now.Add(l.backoff(b))
	b.attempts++
}

// backoff is the wait after the next greeting.
func (l *lines) backoff(b *broker) time.Duration {
	wait := min(greetFirst<<min(b.attempts, 10), greetMost)
	return wait/2 + time.Duration(l.jitter()*float64(wait/2))
}

// lost notes that the conversation broke; the next greeting follows after the backoff.
func (l *lines) lost(now time.Time, b *broker, why string) {
	wasUp := b.link.Up()
	if !wasUp && !b.greeting {
		return
	}
	b.link.Lost()
	b.greeting = false
	b.greetAt = now.Add(l.backoff(b))
	if wasUp || !b.lostSaid {
		b.lostSaid = true
		l.do.note(NoteLost, b.endpoint, "", why)
	}
}

// tick greets the brokers that it is time to greet, and gives up those that have been silent for too long.
func (l *lines) tick(now time.Time) {
	for _, b := range l.brokers {
		switch {
		case !b.link.Up() && !now.Before(b.greetAt):
			l.greet(now, b)
		case b.link.Up() && !now.Before(b.heard.Add(b.timeout)):
			l.lost(now, b, fmt.Sprintf("nothing was heard for %v", b.timeout))
			l.greet(now, b)
		}
	}
}

// hurry has the brokers shown as often that the agent lives as this one wants, if that is more often than before.
func (l *lines) hurry(now time.Time, heartbeat time.Duration) {
	if every := heartbeat / 2; every > 0 && every < l.beatEvery {
		l.beatEvery = every
		l.nextBeat = sooner(l.nextBeat, now.Add(every))
	}
}

// beat shows the brokers, when it is time to, that the agent lives.
func (l *lines) beat(now time.Time) {
	if now.Before(l.nextBeat) {
		return
	}
	l.nextBeat = now.Add(l.beatEvery)
	for _, b := range l.brokers {
		b.link.Beat(true)
	}
}

// deadline is when tick or beat has something to do.
func (l *lines) deadline() time.Time {
	at := l.nextBeat
	for _, b := range l.brokers {
		if b.link.Up() {
			at = sooner(at, b.heard.Add(b.timeout))
		} else {
			at = sooner(at, b.greetAt)
		}
	}
	return at
}

// take moves what is to be sent to the end of out.
func (l *lines) take(out *Batch) {
	for i, b := range l.brokers {
		l.frames = b.node.Take(l.frames[:0])
		for _, f := range l.frames {
			out.Sends = append(out.Sends, Send{Broker: i, Frame: f})
		}
	}
}

// bye takes leave of the brokers.
func (l *lines) bye() {
	for _, b := range l.brokers {
		if b.link.Up() {
			b.link.Append(protocol.KindBye, 0, 0, nil)
		}
	}
}

// refused notes a refusal; the same words of the same broker in a row are noted once.
func (l *lines) refused(b *broker, rec *protocol.Record) {
	var body protocol.Error
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		body = *err.(*protocol.Error) //nolint:errorlint,forcetypeassert // Unmarshal promises the type
	}
	if text := b.endpoint + " " + body.Error(); text != l.lastRefusal {
		l.lastRefusal = text
		l.do.note(NoteRefused, b.endpoint, "", body.Error())
	}
}
