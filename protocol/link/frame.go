package link

import (
	"cmp"
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

// Frame is one message on its way: a frame of records and the payload frames that follow it. It belongs to the link
// that made it; who holds a reference may read it.
type Frame struct {
	// After is the position in the core's own sequence of store records that must be durable before the frame may
	// leave; 0 = at once.
	After uint64

	bytes    []byte
	payloads []protocol.Handle
	link     *Link
	stamp    protocol.Stamp // as it left last; 0 when it has not left since the conversation began
	refs     int32
	era      uint32 // of the link when the frame was made
	serial   uint64 // counts the frames of the link as they were made
	weight   int64  // bytes of records and payloads, as counted in the link
	size     int    // of bytes, as counted in the link and its node; 0 while it is being filled
	volatile bool   // nothing but a header or a greeting: not kept, not sent again
	greeting bool   // HELLO or WELCOME
	over     bool   // see Over
}

// Ready splits frames that wait into those that may leave when the store has come to a position, and the others, each in
// order. Who waits for less does not wait for the others: what is said later of the same would leave before it.
func Ready(waiting []*Frame, committed uint64) (ready, others []*Frame) {
	others = waiting[:0]
	for _, f := range waiting {
		if f.After <= committed {
			ready = append(ready, f)
		} else {
			others = append(others, f)
		}
	}
	clear(waiting[len(others):])
	return ready, others
}

// Leave stamps the frame with the next sequence of its link and returns what is to be sent, to whom. ok is false when
// the frame is not to be sent: the link has no peer at the moment, and keeps the frame until the conversation is
// resumed; or the frame is obsolete.
// The shell calls it once for each frame that Take gave it, in order, and then [Frame.Sent].
func (f *Frame) Leave() (peer protocol.Peer, records []byte, payloads []protocol.Handle, ok bool) {
	l := f.link
	switch {
	case f.era != l.era, f.greeting && f != l.greet:
		// Dropped with the conversation that it was for, or a greeting that the next has overtaken.
		return 0, nil, nil, false
	case f.greeting:
		l.greet = nil
	case l.state != up:
		if f.keep() {
			l.kept = append(l.kept, f)
		}
		return 0, nil, nil, false
	case l.begun || l.greet != nil || l.back:
		// The conversation began while the shell held the frame: the greeting, and what left before, go first. What
		// the shell comes to after such a frame goes back with it.
		if f.keep() {
			l.back = true
			at, _ := slices.BinarySearchFunc(l.queue, f, byAge)
			l.queue = slices.Insert(l.queue, at, f)
			l.mark()
		}
		return 0, nil, nil, false
	}
	l.sent++
	f.stamp = protocol.NewStamp(l.conversation, l.sent)
	l.owedFrames, l.owedBytes = 0, 0
	l.quiet = false
	protocol.StampHeader(f.bytes, protocol.Header{
		Version: l.node.Version, Epoch: l.node.Epoch, Incarnation: l.node.Incarnation,
		Sequence: f.stamp, Acked: protocol.NewStamp(l.conversation, l.received),
	})
	if !f.volatile && !planted.Is(planted.FrameNotKept) {
		l.kept = append(l.kept, f)
		f.refs++
	}
	return l.peer, f.bytes, f.payloads, true
}

// Mark names a frame of a link for as long as the link is there, without a reference. Make it with [Last].
type Mark struct {
	link   *Link
	serial uint64
}

// Last names the frame of a link that was just appended to.
func Last(l *Link) Mark {
	if l.open == nil { // the link is closed
		return Mark{l, l.made}
	}
	return Mark{l, l.open.serial}
}

// Left says whether the other end can have got the frame: it has left, and was not found missing when the conversation
// was resumed.
func (m Mark) Left() bool {
	l, is := m.link, func(f *Frame) bool { return f.serial == m.serial }
	if l == nil {
		return true
	}
	if at := slices.IndexFunc(l.kept, is); at >= 0 {
		return l.kept[at].stamp != 0
	}
	return !slices.ContainsFunc(l.queue, is) && (l.open == nil || !is(l.open))
}

// Withdraw takes back the record whose payload begins at off of the frame that the mark names, see [Frame.Withdraw].
func (m Mark) Withdraw(off int) bool {
	l, is := m.link, func(f *Frame) bool { return f.serial == m.serial }
	if l == nil {
		return false
	}
	if l.open != nil && is(l.open) {
		return l.open.Withdraw(off)
	}
	for _, frames := range [][]*Frame{l.kept, l.queue} {
		if at := slices.IndexFunc(frames, is); at >= 0 {
			return frames[at].Withdraw(off)
		}
	}
	return false
}

func byAge(a, b *Frame) int { return cmp.Compare(a.serial, b.serial) }

// Unsent notes that the shell found no connection for what Leave returned: the frame has not left. It is called before
// [Frame.Sent].
func (f *Frame) Unsent() { f.stamp = 0 }

// Left says whether the other end can have got the frame: it has left, and was not found missing when the conversation was
// resumed.
func (f *Frame) Left() bool { return f.stamp != 0 }

// Withdraw takes back a record of a client to a manager whose payload begins at off, as [Link.Append] told: in its place
// there is a CREDIT of 0 bytes, which has no effect. It says no when the frame has left.
func (f *Frame) Withdraw(off int) bool {
	if f.Left() {
		return false
	}
	protocol.Withdraw(f.bytes[off-protocol.RecordSize(0):])
	return true
}

// Sent gives back the reference of the shell.
func (f *Frame) Sent() { f.Drop() }

// Hold takes a reference: the frame's bytes stay as they are until as many calls of Drop.
func (f *Frame) Hold() { f.refs++ }

// Drop gives a reference back; the last one returns the frame to its node and its payloads to the shell.
func (f *Frame) Drop() {
	f.refs--
	if f.refs == 0 {
		f.link.node.recycle(f)
	}
}

// Over says that the frame need not be sent again: the other end has taken it over, or its link has dropped it. Who asks
// holds the frame.
func (f *Frame) Over() bool { return f.over }

// At gives n bytes of the frame from off, as [Link.Append] told them.
func (f *Frame) At(off, n int) []byte { return f.bytes[off : off+n : off+n] }

// Size is the length of the frame of records in bytes.
func (f *Frame) Size() int { return len(f.bytes) }

// weigh counts what was added to the frame since it had size bytes, and external bytes of payload frames.
func (f *Frame) weigh(size int, external uint32) {
	n := int64(len(f.bytes)-size) + int64(external)
	f.weight += n
	f.link.held += n
}

// keep says whether the frame, which the shell could not send, is to be kept, and takes a reference. A header alone is
// not worth it.
func (f *Frame) keep() bool {
	if f.volatile {
		return false
	}
	f.stamp = 0
	f.refs++
	return true
}

// done lets go of a frame that need not be sent again.
func (f *Frame) done() {
	f.link.held -= f.weight
	f.weight = 0
	f.over = true
	f.Drop()
}
