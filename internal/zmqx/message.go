package zmqx

/*
#cgo noescape wx_send
#cgo nocallback wx_send
#cgo nocallback wx_recv
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Limits of one message and of one burst.
const (
	MaxPayloads = C.WX_PAYLOADS // payload frames of a message
	MaxBurst    = C.WX_BURST    // messages of one Recv
)

// Message is one received message.
type Message struct {
	// Peer is the number of the connection that it came from, never 0; on a DEALER it is 0. A peer that
	// connects again has another number.
	Peer uint32
	// Records is the first frame, read in place: it must not be changed, and is valid until the next Recv
	// or Close of the socket.
	Records []byte
	// Payloads are the frames after the first. Each handle holds one reference, which is now the
	// receiver's; the slice itself is valid until the next Recv.
	Payloads []Handle
	// Bad says why the message was dropped, in which case it has neither records nor payloads:
	// ErrTooManyFrames, ErrTooLarge, or ErrForeignID (Peer is 0). nil for a good message.
	Bad error
}

// Recv receives at most limit messages (1 to 64; else 64) without blocking, and fewer when they are large.
// The slice and all records in it are valid until the next call. drained says that the socket was found empty,
// so that there is nothing more until Wait reports it. An error comes with the messages before it; it is
// ErrTerminated or ErrClosed, or the socket must be closed.
func (s *Socket) Recv(limit int) (messages []Message, drained bool, err error) {
	if s.native == nil {
		return nil, false, ErrClosed
	}
	if limit <= 0 || limit > MaxBurst {
		limit = MaxBurst
	}
	burst := C.wx_recv(s.native, C.int(limit))
	runtime.KeepAlive(s)
	n := int(burst.count)
	s.collect(n)
	switch {
	case burst.error != 0:
		s.look = unknown
		return s.messages[:n], false, fmt.Errorf("zmqx: receive: %w", errnoError(int(burst.error)))
	case burst.drained != 0:
		s.look = armed
	default:
		s.look = pending
	}
	return s.messages[:n], burst.drained != 0, nil
}

// collect fills messages from the first n of the C burst and moves their payload frames into the table.
func (s *Socket) collect(n int) {
	if s.native.used_frames > 0 {
		s.payloads.mu.Lock()
		defer s.payloads.mu.Unlock()
		for i := range int(s.native.used_frames) {
			s.handles[i] = s.payloads.adopt(&s.native.frames[i])
		}
	}
	for i := range n {
		from, to := &s.native.messages[i], &s.messages[i]
		to.Peer = uint32(from.peer)
		to.Records = unsafe.Slice((*byte)(from.records), int(from.len))
		first, count := int(from.first), int(from.count)
		to.Payloads = s.handles[first : first+count : first+count]
		to.Bad = verdictErrors[from.verdict]
	}
}

var verdictErrors = [...]error{
	C.WX_WHOLE:           nil,
	C.WX_TOO_MANY_FRAMES: ErrTooManyFrames,
	C.WX_TOO_LARGE:       ErrTooLarge,
	C.WX_FOREIGN_ID:      ErrForeignID,
}

// Send sends one message without blocking: records, which are copied, and payload frames, which are not; the
// caller's references stay the caller's. A ROUTER sends it to that peer, a DEALER ignores the number.
//
// Nothing was sent on ErrGone, ErrAgain, ErrTooManyFrames, ErrTooLarge (this socket's own limits) and
// ErrClosed. After an error that wraps ErrBroken the socket must be closed. No error does not mean that the
// message will arrive.
func (s *Socket) Send(peer uint32, records []byte, payloads []Handle) error {
	switch {
	case s.native == nil:
		return ErrClosed
	case s.broken:
		return ErrBroken
	case len(payloads) > MaxPayloads:
		return fmt.Errorf("%w: %d", ErrTooManyFrames, len(payloads))
	case len(records) > s.maxRecords || len(records) > s.maxMessage:
		return fmt.Errorf("%w: %d bytes of records", ErrTooLarge, len(records))
	}
	if len(payloads) > 0 && !s.payloads.share(&s.native.outgoing, payloads, len(records), s.maxMessage) {
		return fmt.Errorf("%w: the payload frames", ErrTooLarge)
	}
	sent := C.wx_send(s.native, C.uint32_t(peer), unsafe.Pointer(unsafe.SliceData(records)),
		C.size_t(len(records)), C.int(len(payloads)))
	runtime.KeepAlive(s)
	// libzmq may have read the news from the descriptor during the send, so it will not tell again.
	if s.look == armed {
		s.look = unknown
	}
	s.blocked = false
	if sent.error == 0 {
		return nil
	}
	return s.sendError(int(sent.frames), int(sent.error))
}

// sendError says what a send that stopped after so many frames with that error number means.
func (s *Socket) sendError(frames, errno int) error {
	err := errnoError(errno)
	switch {
	case frames > 0:
		s.broken = true
		return fmt.Errorf("%w: after %d frames: %w", ErrBroken, frames, err)
	case errno == C.EHOSTUNREACH:
		return ErrGone
	case errno == C.EAGAIN:
		s.blocked = true
		return ErrAgain
	}
	return fmt.Errorf("zmqx: send: %w", err)
}
