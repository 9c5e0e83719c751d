package headroom

import "golang.org/x/sys/unix"

// giveUp gives the memory of b back to the kernel: where the allocator had used it before, it has filled it with zeros. When
// the kernel does not take it, it is only occupied.
func giveUp(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
