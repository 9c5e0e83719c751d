package link

import (
	"github.com/weft-fabric/weft/protocol"
)

// maxFree is how many frames a node keeps for use again at most.
const maxFree = 256

// Node is what the links of one core share: who they are, frames to use again, what is ready to leave.
type Node struct {
	Version     uint8
	Epoch       protocol.Epoch
	Incarnation uint64

	conversation uint16 // the number of the last HELLO

	kept     int64 // bytes of the complete frames of records that are not back in free
	free     []*Frame
	spare    buffers
	dirty    []*Link
	out      []*Frame
	retained []protocol.Handle
	released []protocol.Handle
}

// NewNode makes the node of a process with this incarnation, which must not be 0.
func NewNode(epoch protocol.Epoch, incarnation uint64) *Node {
	return &Node{Version: protocol.MaxVersion, Epoch: epoch, Incarnation: incarnation}
}

// Link makes a link without a conversation.
func (n *Node) Link() *Link { return &Link{node: n} }

// Dial makes a link that greets. What leaves on it is for peer, by which the caller means a connection of its own.
func (n *Node) Dial(peer protocol.Peer) *Link { return &Link{node: n, peer: peer} }

// Kept is how many bytes the complete frames of records take that are there, without their payload frames: those that
// wait to leave, those that were not acknowledged, and those that somebody holds.
func (n *Node) Kept() int64 { return n.kept }

// Take appends the frames that are ready to leave to dst, in order for each link. The caller calls [Frame.Leave] and
// [Frame.Sent] on each, in order. Frames of an earlier Take that were kept aside, and may go now, go before those of the
// next.
func (n *Node) Take(dst []*Frame) []*Frame {
	for _, l := range n.dirty {
		l.take()
	}
	clear(n.dirty)
	n.dirty = n.dirty[:0]
	dst = append(dst, n.out...)
	clear(n.out)
	n.out = n.out[:0]
	return dst
}

// Released appends the payload handles that are to be released to dst.
func (n *Node) Released(dst []protocol.Handle) []protocol.Handle {
	dst = append(dst, n.released...)
	n.released = n.released[:0]
	return dst
}

// Release notes that one reference to h is to be given back.
func (n *Node) Release(h protocol.Handle) {
	if h != 0 {
		n.released = append(n.released, h)
	}
}

// Retain notes that a further reference to h is needed, for a link to take over. The shell takes the references that
// [Node.Retained] lists before it gives back any of [Node.Released].
func (n *Node) Retain(h protocol.Handle) protocol.Handle {
	n.retained = append(n.retained, h)
	return h
}

// Retained appends the payload handles of which a further reference is to be taken to dst.
func (n *Node) Retained(dst []protocol.Handle) []protocol.Handle {
	dst = append(dst, n.retained...)
	n.retained = n.retained[:0]
	return dst
}

// Rehello makes a bare frame that asks for a HELLO, for a peer that has no conversation here. The caller sends it.
func (n *Node) Rehello(dst []byte) []byte {
	dst = protocol.AppendHeader(dst, protocol.Header{Version: n.Version, Epoch: n.Epoch, Incarnation: n.Incarnation})
	return protocol.AppendRecord(dst, protocol.KindRehello, 0, 0, nil)
}

// converse gives the number of the next conversation that a link of the node begins, which follows those of all its
// links: the acceptor knows by it whether a HELLO is late, and cannot know that a process has closed one link and dialled
// again by another.
func (n *Node) converse(last uint16) uint16 {
	if n.conversation-last >= 1<<15 {
		n.conversation = last
	}
	n.conversation++
	return n.conversation
}

// frame makes a frame of a link, with memory for size bytes to begin with.
func (n *Node) frame(l *Link, size int) *Frame {
	var f *Frame
	if k := len(n.free); k > 0 {
		f = n.free[k-1]
		n.free[k-1] = nil
		n.free = n.free[:k-1]
	} else {
		f = &Frame{}
	}
	f.link, f.refs, f.After, f.stamp, f.volatile, f.greeting = l, 1, 0, 0, false, false
	l.made++
	f.era, f.serial = l.era, l.made
	f.bytes = protocol.AppendHeader(n.spare.take(size), protocol.Header{})
	return f
}

func (n *Node) recycle(f *Frame) {
	n.released = append(n.released, f.payloads...)
	f.payloads = f.payloads[:0]
	f.link.held -= f.weight
	f.link.bytes -= int64(f.size)
	n.kept -= int64(f.size)
	f.size = 0
	f.link, f.weight, f.over = nil, 0, false
	n.spare.give(f.bytes)
	f.bytes = nil
	if len(n.free) < maxFree {
		n.free = append(n.free, f)
	}
}
