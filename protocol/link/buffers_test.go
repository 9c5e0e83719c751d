package link

import (
	"bytes"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// kept adds up what is kept for use again.
func kept(s *buffers) (n int64) {
	for _, list := range s.free {
		for _, b := range list {
			n += int64(cap(b))
		}
	}
	return n
}

// A buffer has the room that is asked for, and not four times as much; what is given back is used again by what needs as much.
func TestBuffers(t *testing.T) {
	var s buffers
	for _, n := range []int{0, 1, leastBuffer - 1, leastBuffer, leastBuffer + 1, 5000, largestBuffer - 1, largestBuffer, largestBuffer + 1, 3 * largestBuffer} {
		b := s.take(n)
		if len(b) != 0 || cap(b) < n || cap(b) > 2*max(n, leastBuffer) {
			t.Fatalf("asked for %d bytes: %d of %d", n, len(b), cap(b))
		}
		s.give(b[:cap(b)])
		if kept := cap(b) < 2*largestBuffer; !kept && s.bytes != 0 || kept && s.bytes != int64(cap(b)) {
			t.Errorf("of a buffer of %d bytes %d are kept", cap(b), s.bytes)
		}
		if n <= largestBuffer && (&s.take(n)[:1][0] != &b[:1][0] || s.bytes != 0) {
			t.Errorf("a buffer of %d bytes was not used again, or counted wrong", n)
		}
		s = buffers{}
	}
	b := append(s.take(leastBuffer), bytes.Repeat([]byte("x"), leastBuffer)...)
	more := s.grow(b, 1)
	if !bytes.Equal(more, b) || cap(more) != 2*leastBuffer || s.bytes != leastBuffer {
		t.Errorf("grown to %d of %d bytes, %d kept", len(more), cap(more), s.bytes)
	}
}

// What a node keeps for use again is bounded in bytes, and counted right.
func TestSpareBuffersAreBounded(t *testing.T) {
	n := NewNode(1, 5)
	l := n.Link()
	l.state = up
	r := NewRun(l, protocol.KindResult, 1)
	payload := make([]byte, 8000)
	for i := range uint64(2 * maxSpare / 8000) {
		r.Add(i, payload)
	}
	r.End()
	l.Close()
	if k := kept(&n.spare); k != n.spare.bytes || k > maxSpare || k < maxSpare/2 {
		t.Errorf("%d bytes are kept, %d are counted, at most %d are allowed", k, n.spare.bytes, maxSpare)
	}
	for n.spare.bytes >= largestBuffer {
		n.frame(n.Link(), largestBuffer)
	}
	if k := kept(&n.spare); k != n.spare.bytes || k >= largestBuffer {
		t.Errorf("%d bytes are kept, %d are counted when all large ones are used", k, n.spare.bytes)
	}
}

// Long frames, which come now and then, do not make the memory of all the others long in the course of time.
func TestLongFramesLeaveNoMemoryBehind(t *testing.T) {
	n := NewNode(1, 5)
	l := n.Link()
	l.state = up
	var waiting []*Frame
	fill := func(records int) {
		r := NewRun(l, protocol.KindResult, 1)
		for i := range records {
			r.Add(uint64(i), make([]byte, 16))
		}
		r.End()
		frames := n.Take(nil)
		for _, f := range frames {
			f.Hold()
			f.Leave()
			f.Sent()
			f.Drop()
		}
		waiting = append(waiting, l.kept...)
		l.kept = l.kept[:0]
		for len(waiting) > 64 { // so many are under way
			waiting[0].Drop()
			waiting = waiting[1:]
		}
	}
	const long = 3000
	for i := range 100_000 {
		if i%1000 == 0 {
			fill(long)
			continue
		}
		fill(10 + i%7)
	}
	for _, f := range waiting {
		f.Drop()
	}
	if k := kept(&n.spare); k > 64*2<<10+4*largestBuffer {
		t.Errorf("%d bytes are kept for frames that are short", k)
	}
}
