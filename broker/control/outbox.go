package control

import (
	"github.com/weft-fabric/weft/broker/session"
	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// outbox gathers what a core wants done until the shell takes it.
type outbox struct {
	node     *link.Node
	position uint64 // of the last record
	durable  uint64 // highest position that is known to be durable
	records  [][]byte
	orders   []LoopOrder
	raw      []Raw
	answers  []Answer // to commands
}

func newOutbox(n *link.Node) *outbox { return &outbox{node: n} }

// record appends a record for the store and returns its position.
func (o *outbox) record(r *Record) uint64 {
	o.position++
	o.records = append(o.records, r.Encode())
	return o.position
}

// gate is what a frame has to wait for that tells of the record at this position.
func (o *outbox) gate(position uint64) uint64 {
	if position <= o.durable || planted.Is(planted.AckBeforeCommit) {
		return 0
	}
	return position
}

// order gives an order to a manager loop.
func (o *outbox) order(loop int, order session.Order) {
	o.orders = append(o.orders, LoopOrder{Loop: loop, Order: order})
}

// rehello asks a peer without a conversation to say HELLO.
func (o *outbox) rehello(peer protocol.Peer) {
	o.raw = append(o.raw, Raw{Peer: peer, Bytes: o.node.Rehello(nil)})
}

// farewell tells a party that its last word was heard.
func (o *outbox) farewell(p *party) {
	if peer, ok := p.link.Peer(); ok {
		o.raw = append(o.raw, Raw{Peer: peer, Bytes: p.link.Farewell(nil)})
	}
}

// refuse tells a peer that gets no conversation why.
func (o *outbox) refuse(peer protocol.Peer, err error) {
	b := protocol.AppendHeader(nil, protocol.Header{Version: o.node.Version, Epoch: o.node.Epoch, Incarnation: o.node.Incarnation})
	b = protocol.AppendBody(b, protocol.KindError, 0, 0, protocol.AsError(err, "control"))
	o.raw = append(o.raw, Raw{Peer: peer, Bytes: b})
}

func (o *outbox) take(out *Batch) bool {
	frames, released := len(out.Frames), len(out.Released)
	some := len(o.records)+len(o.orders)+len(o.raw)+len(o.answers) > 0
	out.Records = append(out.Records, o.records...)
	out.Orders = append(out.Orders, o.orders...)
	out.Raw = append(out.Raw, o.raw...)
	out.Answers = append(out.Answers, o.answers...)
	out.Frames = o.node.Take(out.Frames)
	out.Released = o.node.Released(out.Released)
	clear(o.records)
	clear(o.orders)
	clear(o.raw)
	clear(o.answers)
	o.records, o.orders, o.raw, o.answers = o.records[:0], o.orders[:0], o.raw[:0], o.answers[:0]
	return some || len(out.Frames) > frames || len(out.Released) > released
}
