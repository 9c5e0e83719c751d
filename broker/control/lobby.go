package control

import (
	"time"

	"github.com/weft-fabric/weft/broker/fleet"
	"github.com/weft-fabric/weft/internal/ordered"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// party is one process that has said HELLO. Who it is comes from its incarnation, never from its peer number.
type party struct {
	incarnation uint64
	hello       protocol.Hello
	link        *link.Link // nil: a [Command] is its only word
	heard       time.Time
	gone        bool // it left or was given up: nothing is said to it any more

	client   clientPart
	node     *fleet.Node // of an agent that has registered
	doubtful []*fleet.Container
	// container is that of an instance.
	container *fleet.Container
}

// clientPart is what belongs to a client.
type clientPart struct {
	keys  map[uint64]*sess // open sessions by the client's own number
	open  ordered.Map[uint32, *sess]
	loops []int // that ever had a session of it, each once
	// leaving counts sessions that it has no more, and that managers still know as its.
	leaving int
}

// own gives the client a session.
func (c *clientPart) own(s *sess) {
	if c.keys == nil {
		c.keys = make(map[uint64]*sess)
	}
	c.keys[s.request.Key] = s
	c.open.Set(s.number, s)
}

// push appends a record that answers nothing, to leave when the record at position is durable.
func (p *party) push(o *outbox, position uint64, kind protocol.Kind, body any) {
	p.answer(o, position, kind, 0, body)
}

// answer appends the answer to the request with this id.
func (p *party) answer(o *outbox, position uint64, kind protocol.Kind, id uint64, body any) {
	if p.gone {
		return
	}
	var payload []byte
	if body != nil {
		payload = protocol.Marshal(body)
	}
	switch {
	case p.link != nil:
		p.link.AppendAfter(o.gate(position), kind, 0, id, payload)
	case id != 0:
		o.answer(position, kind, id, payload)
	}
}

// refuse answers the request with this id by an error.
func (p *party) refuse(o *outbox, id uint64, err error) {
	p.answer(o, 0, protocol.KindError, id, protocol.AsError(err, "control"))
}

// name is what people call the party.
func (p *party) name() string {
	if p.hello.Name != "" {
		return cut(p.hello.Name)
	}
	return p.hello.Role
}

// lobby knows who is there: it judges frames, opens conversations and notices who fell silent.
type lobby struct {
	c       *Core
	parties ordered.Map[uint64, *party]
	peers   map[protocol.Peer]*party
}

func newLobby(c *Core) *lobby { return &lobby{c: c, peers: make(map[protocol.Peer]*party)} }

// frame takes a message. A bad one is answered by an error or by REHELLO; it never does harm to anybody else.
func (l *lobby) frame(f Frame) {
	o := l.c.out
	for _, h := range f.Payloads {
		o.node.Release(h)
	}
	h, rest, err := protocol.ParseHeader(f.Bytes)
	switch {
	case err != nil:
		o.refuse(f.Peer, err)
		return
	case len(f.Bytes) > protocol.MaxRecords:
		o.refuse(f.Peer, protocol.Errorf(protocol.CodeMalformed, "frame", "%d bytes, at most %d are allowed", len(f.Bytes), protocol.MaxRecords))
		return
	}
	var rec protocol.Record
	first := protocol.NewReader(rest)
	if ok, err := first.Next(&rec); ok && err == nil && rec.Kind == protocol.KindHello {
		p, err := l.hello(f.Peer, h, &rec)
		switch {
		case err != nil:
			o.refuse(f.Peer, err)
		case p != nil:
			l.records(p, first)
		}
		return
	}
	p := l.peers[f.Peer]
	if p == nil || h.Incarnation != p.incarnation || h.Epoch != o.node.Epoch {
		o.rehello(f.Peer)
		return
	}
	p.heard = l.c.now
	if p.node != nil {
		p.node.Heard = l.c.now
	}
	switch p.link.Receive(h, len(f.Bytes)) {
	case link.Fresh:
		l.records(p, protocol.NewReader(rest))
	case link.Gap:
		o.rehello(f.Peer)
	case link.Ignore:
	}
}

// records serves the records of a frame until one of them is the party's last.
func (l *lobby) records(p *party, r protocol.Reader) {
	var rec protocol.Record
	for !p.gone {
		ok, err := r.Next(&rec)
		if err != nil {
			p.refuse(l.c.out, 0, err)
			return
		}
		if !ok {
			return
		}
		if err := serve(l.c, p, &rec); err != nil {
			p.refuse(l.c.out, rec.Task, err)
		}
	}
}

// hello begins or resumes a conversation; of a HELLO that comes too late to begin one, nothing becomes. The error is
// for a peer that gets no conversation.
func (l *lobby) hello(peer protocol.Peer, h protocol.Header, rec *protocol.Record) (*party, error) {
	var body protocol.Hello
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		return nil, err
	}
	p, known := l.parties.Get(h.Incarnation)
	if known && p.link.Stale(h) {
		return nil, nil
	}
	version, err := l.check(h, &body, p)
	if err != nil {
		return nil, err
	}
	if !known {
		p = &party{incarnation: h.Incarnation, link: l.c.out.node.Link()}
	}
	if body.Role == protocol.RoleInstance {
		if err := l.c.crew.admit(p, &body); err != nil {
			return nil, err
		}
	}
	p.hello, p.heard = body, l.c.now
	if before, ok := p.link.Peer(); ok {
		delete(l.peers, before)
	}
	if other := l.peers[peer]; other != nil && other != p {
		other.link.Lost()
	}
	l.peers[peer] = p
	l.parties.Set(p.incarnation, p)
	resumed := p.link.Accept(peer, h, body, protocol.Welcome{
		Version: version, Heartbeat: 2 * l.c.beat, Timeout: l.c.cfg.PeerTimeout,
		MaxPayload: l.c.cfg.MaxPayload, Broker: l.c.cfg.Broker,
	})
	if !resumed {
		l.c.crew.rebuilt(p)
	}
	return p, nil
}

// check says what is wrong with a HELLO, and otherwise which version is spoken.
func (l *lobby) check(h protocol.Header, body *protocol.Hello, known *party) (version uint8, err error) {
	bad := func(format string, args ...any) (uint8, error) {
		return 0, protocol.Errorf(protocol.CodeInvalid, "hello", format, args...)
	}
	if version, err = protocol.Negotiate(body.MinVersion, body.MaxVersion); err != nil {
		return 0, err
	}
	switch {
	case h.Epoch > l.c.out.node.Epoch:
		return 0, protocol.Errorf(protocol.CodeUnavailable, "hello", "the peer knows of epoch %v, this broker's is %v and is over", h.Epoch, l.c.out.node.Epoch)
	case h.Incarnation == 0:
		return bad("incarnation: is 0; it is a number drawn once by the process")
	case body.Role != protocol.RoleClient && body.Role != protocol.RoleAgent && body.Role != protocol.RoleInstance:
		return bad("role: %q is none of client, agent, instance", body.Role)
	case known != nil && known.hello.Role != body.Role:
		return bad("role: incarnation %#x has the role %s, and now says %s", h.Incarnation, known.hello.Role, body.Role)
	}
	if body.Role != protocol.RoleAgent {
		if _, err := l.c.cfg.Places.Endpoint(*body, 0); err != nil {
			return 0, err
		}
	}
	return version, nil
}

// refer tells a party where a service, or its session, is served.
func (l *lobby) refer(p *party, position uint64, service string, number uint32, loop int) {
	// The endpoint was checked with the HELLO, and every loop is reached as the first one is.
	at, err := l.c.cfg.Places.Endpoint(p.hello, loop)
	if err != nil {
		p.refuse(l.c.out, 0, err)
		return
	}
	p.push(l.c.out, position, protocol.KindRefer, protocol.Refer{Service: service, Session: number, Endpoint: at, Epoch: l.c.cfg.Epoch})
}

// peerGone notes that a connection is gone; who was behind it may come back by another.
func (l *lobby) peerGone(peer protocol.Peer) {
	if p := l.peers[peer]; p != nil {
		delete(l.peers, peer)
		p.link.Lost()
	}
}

// drop forgets a party.
func (l *lobby) drop(p *party) {
	if p.gone {
		return
	}
	p.gone = true
	if peer, ok := p.link.Peer(); ok {
		delete(l.peers, peer)
	}
	p.link.Close()
	l.parties.Delete(p.incarnation)
}

// bye is what becomes of a party that leaves in order. It may wait, for a moment, to know that it was heard.
func (l *lobby) bye(p *party) {
	l.c.out.farewell(p)
	switch p.hello.Role {
	case protocol.RoleClient:
		l.drop(p)
		l.c.sessions.abandon(p, "its client left")
	case protocol.RoleAgent:
		l.drop(p)
		l.c.crew.nodeGone(p, fleet.Bye, "its agent left")
	case protocol.RoleInstance:
		l.drop(p)
		l.c.crew.instanceLeft(p)
	}
}

// lookAfter sends a party a heartbeat, and gives up one that was silent for too long.
func (l *lobby) lookAfter(p *party) {
	p.link.Beat(true)
	silent := l.c.now.Sub(p.heard)
	switch {
	case p.hello.Role == protocol.RoleClient:
		l.missed(p, silent)
	case p.hello.Role == protocol.RoleAgent && silent > l.c.cfg.PeerTimeout:
		l.drop(p)
		l.c.crew.nodeGone(p, fleet.Silence, "its node was not heard for "+silent.Truncate(time.Second).String())
	case p.hello.Role == protocol.RoleInstance && p.container != nil && p.container.Node == nil && silent > l.c.cfg.PeerTimeout:
		l.c.crew.end(p.container, "it was not heard for "+silent.Truncate(time.Second).String(), nil)
	}
}

// missed gives up a client that was silent for too long, and the sessions whose grace that is above.
func (l *lobby) missed(p *party, silent time.Duration) {
	gone := silent > l.c.cfg.ClientGrace
	if silent <= l.c.cfg.PeerTimeout && !gone {
		return
	}
	if !planted.Is(planted.CloseDropped) && !l.c.sessions.expiry.missed(p, silent) {
		return
	}
	if gone {
		l.drop(p)
		l.c.sessions.forget(p)
	}
}
