package zmqx

/*
#cgo nocallback wx_make
#cgo nocallback wx_take
#cgo nocallback wx_share
#cgo nocallback wx_reset
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Handle names one payload frame of a [Payloads] table. 0 is none.
//
// It is index + 1 in the low 24 bits and the slot's generation above, so that a handle whose frame was
// released is noticed.
type Handle = uint32

const (
	handleBits = 24
	handleMask = 1<<handleBits - 1
	chunkSlots = 256
)

// Payloads is a table of payload frames with reference counts. The bytes of a frame are in C memory, are
// never copied on their way through, and do not change. It is safe for concurrent use; all sockets of a
// process usually share one. Using a handle that is not held panics: it is a programming error, since handles
// do not come from outside.
type Payloads struct {
	mu     sync.Mutex
	memory *slotMemory
	slots  []slot
	free   []uint32
	live   int
	size   atomic.Int64
}

// slot is one frame: where its bytes are and who holds it.
type slot struct {
	bytes      unsafe.Pointer
	len        int
	references int32
	generation uint8
}

// slotMemory is the C memory of a table, freed when the table is garbage.
type slotMemory struct{ chunks []*C.zmq_msg_t }

func (m *slotMemory) frame(i uint32) *C.zmq_msg_t {
	return &unsafe.Slice(m.chunks[i/chunkSlots], chunkSlots)[i%chunkSlots]
}

func (m *slotMemory) release() {
	for _, chunk := range m.chunks {
		C.wx_free_slots(chunk, chunkSlots)
	}
}

// NewPayloads returns an empty table. Its C memory is freed when the table is garbage.
func NewPayloads() *Payloads {
	p := &Payloads{memory: &slotMemory{}}
	runtime.AddCleanup(p, (*slotMemory).release, p.memory)
	return p
}

// New copies b into a new frame and returns its handle, which holds one reference.
func (p *Payloads) New(b []byte) Handle {
	p.mu.Lock()
	i := p.vacant()
	at := C.wx_make(p.memory.frame(i), C.size_t(len(b)))
	p.mu.Unlock()
	if at == nil {
		panic(errNoMemory)
	}
	// Nobody else knows the frame yet. It is copied by Go, since a long call of C would have its thread replaced.
	copy(unsafe.Slice((*byte)(at), len(b)), b)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.occupy(i, at, len(b))
}

// Bytes returns the frame's bytes. They must not be changed, and are valid while a reference is held.
func (p *Payloads) Bytes(h Handle) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.held(h)
	return unsafe.Slice((*byte)(s.bytes), s.len)
}

// Retain adds a reference.
func (p *Payloads) Retain(h Handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held(h).references++
}

// Release gives a reference back; with the last one the frame and its handle are gone.
func (p *Payloads) Release(h Handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.held(h)
	if s.references--; s.references > 0 {
		return
	}
	i := h&handleMask - 1
	C.wx_reset(p.memory.frame(i))
	p.live--
	p.size.Add(-int64(s.len))
	*s = slot{generation: s.generation + 1}
	p.free = append(p.free, i)
}

// Len returns the number of frames alive.
func (p *Payloads) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

// Size returns the bytes of all frames alive.
func (p *Payloads) Size() int64 {
	return p.size.Load()
}

// adopt moves the frame src into the table. The caller holds p.mu.
func (p *Payloads) adopt(src *C.zmq_msg_t) Handle {
	i := p.vacant()
	n := int(C.zmq_msg_size(src))
	at := C.wx_take(p.memory.frame(i), src)
	if at == nil {
		panic("zmqx: an invalid frame was received")
	}
	return p.occupy(i, at, n)
}

// share makes dst[:len(handles)] further references to the frames, if they and the bytes used already are
// within limit; otherwise it leaves dst alone and reports false.
func (p *Payloads) share(dst *[C.WX_PAYLOADS]C.zmq_msg_t, handles []Handle, used, limit int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range handles {
		if used += p.held(h).len; used > limit {
			return false
		}
	}
	for i, h := range handles {
		if rc := C.wx_share(&dst[i], p.memory.frame(h&handleMask-1)); rc != 0 {
			panic(fmt.Sprintf("zmqx: payload frame %#x cannot be shared: %v", h, errnoError(int(-rc))))
		}
	}
	return true
}

// vacant takes a free slot, for occupy.
func (p *Payloads) vacant() uint32 {
	if len(p.free) == 0 {
		p.grow()
	}
	last := len(p.free) - 1
	i := p.free[last]
	p.free = p.free[:last]
	return i
}

func (p *Payloads) occupy(i uint32, at unsafe.Pointer, n int) Handle {
	s := &p.slots[i]
	s.bytes, s.len, s.references = at, n, 1
	p.live++
	p.size.Add(int64(n))
	return uint32(s.generation)<<handleBits | (i + 1)
}

func (p *Payloads) grow() {
	first := len(p.slots)
	if first+chunkSlots > handleMask {
		panic("zmqx: over 16 million payload frames alive")
	}
	chunk := C.wx_slots(chunkSlots)
	if chunk == nil {
		panic(errNoMemory)
	}
	p.memory.chunks = append(p.memory.chunks, chunk)
	p.slots = append(p.slots, make([]slot, chunkSlots)...)
	for i := first + chunkSlots - 1; i >= first; i-- {
		p.free = append(p.free, uint32(i))
	}
}

// held returns the slot of a handle that somebody holds.
func (p *Payloads) held(h Handle) *slot {
	i := h&handleMask - 1
	if h&handleMask == 0 || int(i) >= len(p.slots) {
		panic(fmt.Sprintf("zmqx: %#x is not a payload handle", h))
	}
	s := &p.slots[i]
	if s.references <= 0 || uint32(s.generation) != h>>handleBits {
		panic(fmt.Sprintf("zmqx: payload handle %#x was released", h))
	}
	return s
}
