package link

import "math/bits"

// The memory that frames are written into is kept by size. A frame begins with as much as the last one of its link has
// needed, and changes to more when it is full, so that a stall, which makes frames long, leaves no long memory behind for
// short ones: what there is of each size is what was in use of it at once.
const (
	leastBuffer   = 256
	bufferSizes   = 10 // each twice as large as the one before
	largestBuffer = leastBuffer << (bufferSizes - 1)
	// maxSpare is how many bytes are kept for use again at most.
	maxSpare = 16 << 20
)

// buffers are those that nobody uses.
type buffers struct {
	free  [bufferSizes][][]byte
	bytes int64 // of them all
}

// take gives an empty buffer that has room for n bytes. One of more than the largest is fresh.
func (s *buffers) take(n int) []byte {
	if n > largestBuffer {
		return make([]byte, 0, n)
	}
	i := bits.Len(uint(max(n, 1)-1) / leastBuffer)
	list := s.free[i]
	k := len(list) - 1
	if k < 0 {
		return make([]byte, 0, leastBuffer<<i)
	}
	b := list[k]
	list[k] = nil
	s.free[i] = list[:k]
	s.bytes -= int64(cap(b))
	return b
}

// give takes a buffer back.
func (s *buffers) give(b []byte) {
	size := cap(b)
	if size < leastBuffer || size >= 2*largestBuffer || s.bytes+int64(size) > maxSpare {
		return
	}
	i := bits.Len(uint(size)/leastBuffer) - 1
	s.free[i] = append(s.free[i], b[:0])
	s.bytes += int64(size)
}

// grow gives b as a buffer that has room for n bytes more.
func (s *buffers) grow(b []byte, n int) []byte {
	more := append(s.take(max(len(b)+n, min(2*cap(b), largestBuffer))), b...)
	s.give(b)
	return more
}
