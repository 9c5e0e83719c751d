package manager

import (
	"math/bits"
	"time"
)

// The retry copy of inline payloads: one copy of the whole received frame, which its tasks share by reference.
// Buffers come in sizes of powers of two, so that a frame with one small task holds no large buffer.
const (
	minClass = 6  // 64 B
	maxClass = 21 // 2 MiB, protocol.MaxRecords
	keepFree = 64 // buffers kept for use again, of each size at most

	keepBytes = 32 << 20 // and of all sizes together
)

// buffer is a reference counted copy of a frame's records.
type buffer struct {
	data  []byte
	at    time.Time // when the frame came
	refs  int32
	live  int32 // bytes of payloads that are still referred to
	class uint8
}

type buffers struct {
	free   [maxClass + 1][]*buffer // for use again
	spare  int64                   // bytes of those
	pinned int64                   // bytes of all buffers in use
	live   int64                   // bytes of payloads in them
}

// copyOf gives a buffer with a copy of b, which came at a time, and one reference.
func (p *buffers) copyOf(b []byte, at time.Time) *buffer {
	class := max(bits.Len(uint(max(len(b), 1)-1)), minClass)
	var buf *buffer
	if class <= maxClass && len(p.free[class]) > 0 {
		n := len(p.free[class]) - 1
		buf = p.free[class][n]
		p.free[class][n] = nil
		p.free[class] = p.free[class][:n]
		p.spare -= int64(cap(buf.data))
	} else {
		buf = &buffer{data: make([]byte, 0, 1<<class), class: uint8(class)}
	}
	buf.data = append(buf.data[:0], b...)
	buf.at, buf.refs, buf.live = at, 1, 0
	p.pinned += int64(cap(buf.data))
	return buf
}

// hold notes that a task refers to n bytes of the buffer.
func (p *buffers) hold(b *buffer, n uint32) {
	b.refs++
	b.live += int32(n)
	p.live += int64(n)
}

// drop gives up a reference to n bytes.
func (p *buffers) drop(b *buffer, n uint32) {
	b.refs--
	b.live -= int32(n)
	p.live -= int64(n)
	if b.refs > 0 {
		return
	}
	p.recycle(b)
}

// recycle keeps a buffer for use again that is not in use any more, unless there are enough.
func (p *buffers) recycle(b *buffer) {
	n := int64(cap(b.data))
	p.pinned -= n
	if b.class <= maxClass && len(p.free[b.class]) < keepFree && p.spare+n <= keepBytes {
		p.free[b.class] = append(p.free[b.class], b)
		p.spare += n
	}
}

// dropSpare gives up what is kept for use again.
func (p *buffers) dropSpare() {
	if p.spare > 0 {
		p.free, p.spare = [maxClass + 1][]*buffer{}, 0
	}
}

// sparse says that far more memory is pinned than is referred to, so that compact is worth a walk over all tasks.
func (p *buffers) sparse() bool { return p.pinned > 64<<20 && p.pinned > 4*p.live }

// compact moves the payloads of queued tasks out of buffers that they use little of.
func (p *buffers) compact(s *slab) {
	for i := range s.slots {
		t := &s.slots[i]
		if t.buf == nil || int(t.buf.live)*4 > cap(t.buf.data) || cap(t.buf.data) <= 1<<minClass {
			continue
		}
		b := p.copyOf(t.buf.data[t.off:t.off+t.size], t.buf.at)
		p.hold(b, t.size)
		p.drop(b, 0)
		p.drop(t.buf, t.size)
		t.buf, t.off = b, 0
	}
}
