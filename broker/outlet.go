package broker

import (
	"errors"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/internal/zmqx"
	"github.com/weft-fabric/weft/protocol"
	"github.com/weft-fabric/weft/protocol/link"
)

// outlet sends what a core has ready over its loop's ROUTER: a frame that waits for the store is kept until its position
// is durable; nothing else waits for it, but those that wait for the same one leave in order.
type outlet struct {
	socket    *zmqx.Socket
	payloads  *zmqx.Payloads
	log       *zerolog.Logger
	committed uint64
	gated     []*link.Frame
	gone      []protocol.Peer // found by a send; the core is to be told
}

// frames sends frames in order.
func (o *outlet) frames(frames []*link.Frame) error {
	for _, f := range frames {
		if f.After > o.committed {
			o.gated = append(o.gated, f)
			continue
		}
		if err := o.leave(f); err != nil {
			return err
		}
	}
	return nil
}

// durable sends what waited for positions up to this one.
func (o *outlet) durable(position uint64) error {
	o.committed = max(o.committed, position)
	var ready []*link.Frame
	ready, o.gated = link.Ready(o.gated, o.committed)
	for _, f := range ready {
		if err := o.leave(f); err != nil {
			return err
		}
	}
	return nil
}

func (o *outlet) leave(f *link.Frame) error {
	peer, records, payloads, ok := f.Leave()
	var err error
	if ok {
		gone := len(o.gone)
		if err = o.send(peer, records, payloads); len(o.gone) > gone {
			f.Unsent()
		}
	}
	f.Sent()
	return err
}

// send sends one message. Only an error after which the socket cannot be used is returned.
func (o *outlet) send(peer protocol.Peer, records []byte, payloads []protocol.Handle) error {
	err := o.socket.Send(peer, records, payloads)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zmqx.ErrGone), errors.Is(err, zmqx.ErrAgain):
		o.gone = append(o.gone, peer)
		return nil
	case errors.Is(err, zmqx.ErrTooLarge), errors.Is(err, zmqx.ErrTooManyFrames):
		o.log.Error().Err(err).Uint32("peer", peer).Msg("a message was not sent")
		return nil
	}
	return err
}

// takeGone gives the peers that sends have found gone since the last call. The slice is valid until the next send.
func (o *outlet) takeGone() []protocol.Peer {
	gone := o.gone
	o.gone = o.gone[:0]
	return gone
}

// retain and release settle the core's account of payload frames.
func (o *outlet) retain(handles []protocol.Handle) {
	for _, h := range handles {
		o.payloads.Retain(h)
	}
}

func (o *outlet) release(handles []protocol.Handle) {
	for _, h := range handles {
		o.payloads.Release(h)
	}
}
