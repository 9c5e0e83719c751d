// Package link is the reliable half above a socket: what a ZeroMQ connection does not promise. A [Link] is one end of a
// conversation. It batches records into frames, numbers them, keeps each until the other end has taken it over, and
// sends again what was lost when a connection broke, so that between two living processes every record arrives exactly
// once and in order. A [Node] holds what the links of one process share.
//
// The package is pure: no I/O, no clock, no goroutines. A node and its links belong to one goroutine, or to whoever
// holds the lock around them.
package link

import (
	"slices"

	"github.com/weft-fabric/weft/internal/planted"
	"github.com/weft-fabric/weft/protocol"
)

type state uint8

const (
	down    state = iota // no conversation: records queue
	opening              // HELLO was sent: records queue
	up                   // records flow
	closed               // over for good
)

// After this much was taken over without a frame to acknowledge it, a header is sent of its own.
const (
	ackFrames = 16
	ackBytes  = 1 << 20
)

// cutMessage is the size in bytes over which no second payload frame is put into a message: sixteen of 64 KiB go together,
// and of 1 MiB each goes by itself. A message arrives as a whole, so that large ones would wait for each other at every hop.
const cutMessage = 1<<20 + 64<<10

// Verdict says what to do with a received frame.
type Verdict uint8

// Verdicts of [Link.Receive].
const (
	Fresh  Verdict = iota // the next frame: process it
	Ignore                // seen before, or of another conversation: drop it
	Gap                   // frames are missing: the conversation must begin anew (HELLO, or ask for it by REHELLO)
)

// Link is one end of a conversation. Make it with [Node.Link].
type Link struct {
	// Keeps is the acceptor's choice for a dialler that says HELLO for the first time again, because it has not heard the
	// answer, or believes in what was before it: what was appended meanwhile is for it all the same. Otherwise it is dropped, as for a new process.
	Keeps bool

	node  *Node
	state state
	peer  protocol.Peer
	other uint64 // the other end's incarnation; 0 unknown

	conversation uint16
	sent         uint64         // count of frames that left in this conversation
	received     uint64         // count of frames taken over in this conversation
	last         protocol.Stamp // last frame taken over that was no HELLO, in whatever conversation
	since        uint16         // of the acceptor: the conversation in which its memory begins
	heard        bool           // of the acceptor: the dialler has said more than HELLO since then
	goesOn       bool           // of the acceptor: nothing was dropped when the conversation began

	kept  []*Frame // left and not acknowledged, in order; then what could not leave
	queue []*Frame // complete, not taken by the shell, in the order in which they were made
	open  *Frame   // being filled; after all in queue
	held  int64    // bytes of records and payloads in frames that are not done
	bytes int64    // bytes of the complete frames of records that are not recycled

	greet *Frame // the greeting that is to leave before anything else
	begun bool   // the conversation began and nothing was taken since
	back  bool   // frames that the shell held were put back into queue since
	era   uint32 // counts how often everything was dropped: older frames are obsolete
	made  uint64 // counts frames

	lately                int // bytes that the frames made last have needed
	owedFrames, owedBytes int
	dirty                 bool
	quiet                 bool // nothing left since the last call of Beat
}

// Peer is the connection to the other end; ok is false while there is none.
func (l *Link) Peer() (peer protocol.Peer, ok bool) { return l.peer, l.state == up }

// Up says whether the conversation is open: what is appended leaves with the next Take.
func (l *Link) Up() bool { return l.state == up }

// Other is the incarnation of the other end, 0 before the first conversation.
func (l *Link) Other() uint64 { return l.other }

// Unacked is the number of frames that the other end has not acknowledged or that have not left. A frame that the shell
// has taken, and that is neither sent nor given back to the link, is not counted.
func (l *Link) Unacked() int {
	n := len(l.kept) + len(l.queue)
	if l.open != nil {
		n++
	}
	return n
}

// Held is the number of bytes, payload frames included, of the records that the other end has not acknowledged, whether
// they have left or not.
func (l *Link) Held() int64 { return l.held }

// Append adds a record with an inline payload to the frame being filled. It returns that frame and where the payload
// begins in it, for [Frame.At].
func (l *Link) Append(kind protocol.Kind, session uint32, task uint64, payload []byte) (*Frame, int) {
	f := l.room(0, len(payload))
	size := len(f.bytes)
	f.bytes = protocol.AppendRecord(f.bytes, kind, session, task, payload)
	f.weigh(size, 0)
	return f, len(f.bytes) - len(payload)
}

// AppendAfter is [Link.Append] for a record that must not leave before position after is durable. Records of
// different positions never share a frame.
func (l *Link) AppendAfter(after uint64, kind protocol.Kind, session uint32, task uint64, payload []byte) {
	f := l.room(after, len(payload))
	size := len(f.bytes)
	f.bytes = protocol.AppendRecord(f.bytes, kind, session, task, payload)
	f.weigh(size, 0)
}

// AppendExternal adds a record whose payload of size bytes is a payload frame. The link takes over one reference
// to the handle and releases it when the frame is done.
func (l *Link) AppendExternal(kind protocol.Kind, session uint32, task uint64, size uint32, h protocol.Handle) {
	if l.state == closed {
		l.node.Release(h)
		return
	}
	f := l.roomExternal(size)
	before := len(f.bytes)
	f.bytes = protocol.AppendExternal(f.bytes, kind, session, task, size)
	f.weigh(before, size)
	f.payloads = append(f.payloads, h)
}

// AppendTask adds a [protocol.KindTask] record with an inline payload and options, which may be nil. It returns what
// [Link.Append] does.
func AppendTask(l *Link, session uint32, id protocol.TaskID, payload []byte, o *protocol.TaskOptions) (*Frame, int) {
	f := l.room(0, len(payload))
	size := len(f.bytes)
	f.bytes = protocol.AppendTask(f.bytes, session, id, payload, o)
	f.weigh(size, 0)
	return f, size + protocol.RecordSize(0)
}

// AppendTaskExternal is [AppendTask] for a payload frame; it takes over one reference to the handle. It returns where an
// inline payload would begin in the frame that [Last] gives, for [Mark.Withdraw].
func AppendTaskExternal(l *Link, session uint32, id protocol.TaskID, size uint32, h protocol.Handle, o *protocol.TaskOptions) (off int) {
	if l.state == closed {
		l.node.Release(h)
		return 0
	}
	f := l.roomExternal(size)
	before := len(f.bytes)
	f.bytes = protocol.AppendTaskExternal(f.bytes, session, id, size, o)
	f.weigh(before, size)
	f.payloads = append(f.payloads, h)
	return before + protocol.RecordSize(0)
}

// AppendNumbered adds a record with an inline payload whose last element says an attempt and a number.
func AppendNumbered(l *Link, kind protocol.Kind, session uint32, task uint64, payload []byte, attempt uint8, number uint32) {
	f := l.room(0, len(payload))
	size := len(f.bytes)
	f.bytes = protocol.AppendNumbered(f.bytes, kind, session, task, payload, attempt, number)
	f.weigh(size, 0)
}

// AppendNumberedExternal is [AppendNumbered] for a payload frame; it takes over one reference to the handle.
func AppendNumberedExternal(
	l *Link, kind protocol.Kind, session uint32, task uint64, size uint32, h protocol.Handle, attempt uint8, number uint32,
) {
	if l.state == closed {
		l.node.Release(h)
		return
	}
	f := l.roomExternal(size)
	before := len(f.bytes)
	f.bytes = protocol.AppendNumberedExternal(f.bytes, kind, session, task, size, attempt, number)
	f.weigh(before, size)
	f.payloads = append(f.payloads, h)
}

// AppendDispatch adds a [protocol.KindDispatch] record with an inline payload.
func (l *Link) AppendDispatch(session uint32, task uint64, payload []byte, x *protocol.Execution) {
	f := l.room(0, len(payload))
	size := len(f.bytes)
	f.bytes = protocol.AppendDispatch(f.bytes, session, task, payload, x)
	f.weigh(size, 0)
}

// AppendDispatchExternal is [Link.AppendDispatch] for a payload frame; it takes over one reference to the handle.
func (l *Link) AppendDispatchExternal(session uint32, task uint64, size uint32, h protocol.Handle, x *protocol.Execution) {
	if l.state == closed {
		l.node.Release(h)
		return
	}
	f := l.roomExternal(size)
	before := len(f.bytes)
	f.bytes = protocol.AppendDispatchExternal(f.bytes, session, task, size, x)
	f.weigh(before, size)
	f.payloads = append(f.payloads, h)
}

// lastElement is how many bytes the last element of a record mostly has at most. One that has more is written all the same.
const lastElement = 64

// room gives the frame being filled, a new one when it is full or waits for another position, with room for a record whose
// inline payload has n bytes.
func (l *Link) room(after uint64, n int) *Frame {
	if l.state == closed {
		l.forget() // what is appended now goes nowhere; the last frame is there for its caller to look at
	}
	need := protocol.RecordSize(n) + lastElement
	if f := l.open; f != nil {
		if f.After == after && len(f.bytes) < protocol.CutFrame {
			if cap(f.bytes)-len(f.bytes) < need {
				f.bytes = l.node.spare.grow(f.bytes, need)
			}
			return f
		}
		l.cut()
	}
	f := l.node.frame(l, max(l.lately, protocol.HeaderSize+need))
	f.After = after
	l.open = f
	l.mark()
	return f
}

// roomExternal gives a frame that has room for a payload frame of size bytes beside those that it has.
func (l *Link) roomExternal(size uint32) *Frame {
	f := l.room(0, 0)
	if n := len(f.payloads); n == 0 || n < protocol.MaxPayloadFrames && f.weight+int64(size) <= cutMessage {
		return f
	}
	l.cut()
	return l.room(0, 0)
}

func (l *Link) cut() {
	if f := l.open; f != nil {
		f.size = len(f.bytes)
		l.lately = max(f.size, l.lately/2)
		l.bytes += int64(f.size)
		l.node.kept += int64(f.size)
		l.queue = append(l.queue, f)
		l.open = nil
	}
}

func (l *Link) mark() {
	if !l.dirty && l.state == up {
		l.dirty = true
		l.node.dirty = append(l.node.dirty, l)
	}
}

// Greet says HELLO: a conversation begins, with the body's Peer and Received filled in. What was not acknowledged,
// and what is appended from now on, leaves when [Link.Opened] was called.
func (l *Link) Greet(body protocol.Hello) {
	if l.state == closed {
		return
	}
	l.state = opening
	l.conversation = l.node.converse(l.conversation)
	l.sent, l.received = 0, 0
	body.Peer, body.Received = l.other, l.last
	l.greeting(protocol.KindHello, body)
}

// Opened takes the WELCOME that came with header h as the answer to [Link.Greet], and says whether it was one: not when
// it answers an earlier greeting, or resumes what was with another process.
// When the body says that the conversation was not resumed, everything that was kept is dropped: the caller sends again
// what is unfinished.
func (l *Link) Opened(h protocol.Header, body protocol.Welcome) bool {
	if l.state != opening || h.Sequence != protocol.NewStamp(l.conversation, 1) ||
		body.Resumed && (l.other == 0 || h.Incarnation != l.other) {
		return false
	}
	l.greet = nil // whoever answers it has got it
	l.begin(h, body.Resumed, body.Received)
	l.last = h.Sequence // the next HELLO tells that this answer came
	return true
}

// Accept takes the HELLO that came from peer with header h as the beginning of a conversation and answers it: a
// WELCOME with the body's Resumed and Received filled in is the next to leave. It says whether the conversation
// before is resumed; if not, whatever was kept or queued for it is dropped, unless [Link.GoesOn] says otherwise. A HELLO
// that is [Link.Stale] changes nothing.
func (l *Link) Accept(peer protocol.Peer, h protocol.Header, hello protocol.Hello, body protocol.Welcome) (resumed bool) {
	if l.state == closed {
		return false
	}
	if l.Stale(h) {
		return true
	}
	// What the dialler has taken over tells whether it knows of this link's memory: when a WELCOME that resumed nothing
	// was lost, it believes in one that is no more.
	knows := planted.Is(planted.LostWelcomeBelieved) || hello.Received.Conversation()-l.since < 1<<15
	first := l.other == 0
	resumed = !first && h.Incarnation == l.other && hello.Peer == l.node.Incarnation && knows
	unheard := l.Keeps && h.Incarnation == l.other && (hello.Peer == 0 || !knows) && !l.heard
	l.goesOn = resumed || first || unheard
	body.Resumed, body.Received = resumed, l.last
	if !resumed {
		body.Received = 0
		l.last = 0
		l.since = h.Sequence.Conversation()
		l.heard = false
	}
	l.peer = peer
	l.conversation = h.Sequence.Conversation()
	l.sent = 0
	if !resumed {
		hello.Received = 0 // it was of a memory that is no more
	}
	l.begin(h, l.goesOn, hello.Received)
	l.greeting(protocol.KindWelcome, body)
	return resumed
}

// GoesOn says whether nothing was dropped by the last [Link.Accept]: the conversation before was resumed, or there was
// none, or the dialler had not taken over anything of it and the link [Link.Keeps] it. What was appended before leaves
// then.
func (l *Link) GoesOn() bool { return l.goesOn }

// staleGreetings is how far behind the number of the last conversation a HELLO is taken for one that was overtaken on
// another connection. Beyond it the sender's numbers have wrapped around while nothing of it arrived.
const staleGreetings = 256

// Stale says whether the HELLO with header h was said no later than the one that began the last conversation, by the
// same process: a connection that broke delivered it late. The caller ignores it. To accept it would bring back a
// state of the other end that is past, and send again what it has taken over since.
func (l *Link) Stale(h protocol.Header) bool {
	return !planted.Is(planted.StaleHelloTaken) && l.other != 0 && h.Incarnation == l.other && l.conversation-h.Sequence.Conversation() < staleGreetings
}

// begin opens a conversation. Where it goes on with what there is, frames up to the stamp were taken over by the other
// end, and the others leave again.
func (l *Link) begin(h protocol.Header, goesOn bool, upTo protocol.Stamp) {
	l.other = h.Incarnation
	l.received = 1
	if !goesOn {
		l.last = 0
		l.forget()
	}
	l.release(upTo)
	if len(l.kept) > 0 {
		for _, f := range l.kept {
			f.stamp = 0
		}
		l.queue = append(l.kept, l.queue...)
		slices.SortFunc(l.queue, byAge)
		l.kept = nil
	}
	l.owedFrames, l.owedBytes = 0, 0
	l.state, l.begun = up, true
	l.mark()
}

func (l *Link) greeting(kind protocol.Kind, body any) {
	f := l.node.frame(l, protocol.HeaderSize)
	f.volatile, f.greeting = true, true
	f.bytes = protocol.AppendBody(f.bytes, kind, 0, 0, body)
	l.greet = f
	l.node.out = append(l.node.out, f)
}

// Lost notes that the connection to the peer is gone. What is appended queues until the conversation is resumed.
func (l *Link) Lost() {
	if l.state == up || l.state == opening {
		l.state, l.greet = down, nil
	}
}

// Restart drops what the link holds and forgets the other end, for a dialler that turns to another one: the next
// conversation resumes nothing. Its number follows the last one's, so that it is not taken for an old one.
func (l *Link) Restart() {
	if l.state == closed {
		return
	}
	l.Lost()
	l.forget()
	l.other, l.last = 0, 0
}

// Farewell appends a bare frame that acknowledges all that came, for an end that has said its last word: the caller sends
// it to the [Link.Peer] and closes the link.
func (l *Link) Farewell(dst []byte) []byte {
	return protocol.AppendHeader(dst, protocol.Header{
		Version: l.node.Version, Epoch: l.node.Epoch, Incarnation: l.node.Incarnation,
		Sequence: protocol.NewStamp(l.conversation, l.sent+1), Acked: protocol.NewStamp(l.conversation, l.received),
	})
}

// Close ends the link for good and drops what it holds.
func (l *Link) Close() {
	l.forget()
	l.state = closed
}

func (l *Link) forget() {
	l.cut()
	l.era++
	l.greet = nil
	for _, f := range l.kept {
		f.done()
	}
	for _, f := range l.queue {
		f.done()
	}
	l.kept, l.queue = nil, nil
}

// Receive judges the frame of size bytes that came with header h, and takes its acknowledgement.
func (l *Link) Receive(h protocol.Header, size int) Verdict {
	if l.state != up || h.Incarnation != l.other || h.Sequence.Conversation() != l.conversation {
		return Ignore
	}
	l.release(h.Acked)
	switch n := h.Sequence.Count(); {
	case n <= l.received:
		if planted.Is(planted.FrameTakenTwice) {
			return Fresh
		}
		return Ignore
	case n > l.received+1:
		return Gap
	}
	l.received++
	l.last, l.heard = h.Sequence, true
	if size > protocol.HeaderSize { // a header alone needs no answer
		l.owedFrames++
		l.owedBytes += size
		if l.owedFrames >= ackFrames || l.owedBytes >= ackBytes {
			l.mark()
		}
	}
	return Fresh
}

// release drops the kept frames that the other end has taken over.
func (l *Link) release(upTo protocol.Stamp) {
	n := 0
	for n < len(l.kept) && l.kept[n].stamp != 0 &&
		l.kept[n].stamp.Conversation() == upTo.Conversation() && l.kept[n].stamp <= upTo {
		l.kept[n].done()
		n++
	}
	if n == 0 {
		return
	}
	rest := copy(l.kept, l.kept[n:])
	clear(l.kept[rest:])
	l.kept = l.kept[:rest]
}

// Beat is called every half [protocol.Heartbeat]: when nothing left since the call before, and the link waits for
// something, owes an acknowledgement or alive is true, a header leaves.
func (l *Link) Beat(alive bool) {
	if l.state != up {
		return
	}
	if l.quiet && (alive || l.owedFrames > 0 || len(l.kept) > 0) {
		l.cut()
		if len(l.queue) == 0 {
			f := l.node.frame(l, protocol.HeaderSize)
			f.volatile = true
			l.queue = append(l.queue, f)
			l.mark()
		}
	}
	l.quiet = true
}

// take moves what is ready to the node.
func (l *Link) take() {
	l.dirty = false
	if l.state != up {
		return
	}
	l.begun, l.back = false, false
	l.cut()
	if len(l.queue) == 0 && (l.owedFrames >= ackFrames || l.owedBytes >= ackBytes) {
		f := l.node.frame(l, protocol.HeaderSize)
		f.volatile = true
		l.queue = append(l.queue, f)
	}
	l.node.out = append(l.node.out, l.queue...)
	clear(l.queue)
	l.queue = l.queue[:0]
}
