// Package headroom has the garbage collector run less often in a process through which large results or payloads flow.
//
// Each of them is fresh memory, which belongs to the application from then on. In a process whose own heap is small the
// collector would run after each few megabytes of them, hundreds of times a second at full load, for a third of the
// processor time that a large task costs in all.
package headroom

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// Bytes is how much garbage there is at least between two collections once there is headroom.
	Bytes = 32 << 20
	// After is how many bytes must have come to the process before it makes room.
	After = 8 << 20
)

var (
	came atomic.Int64
	room atomic.Pointer[[]byte] // is never read or written: the kernel has no memory for it
)

// Came notes that n bytes of payloads have come to the process. With the first 8 MiB of them the collector lets 32 MiB of
// garbage gather before it runs, if it would not do so by itself: where more than that is alive it does; where the program or its user has said how much it may be, by
// GOGC or by a limit of memory, nothing changes. It is cheap and safe for concurrent use.
func Came(n int) {
	if came.Load() >= After || came.Add(int64(n)) < After {
		return
	}
	if os.Getenv("GOGC") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		makeRoom()
		follow()
	}
}

func makeRoom() {
	b := make([]byte, Bytes)
	giveUp(b)
	room.Store(&b)
}

// follow has adjust called after each collection from now on: what nobody refers to is found by it.
func follow() {
	nobodys := &[4]uint64{} // smaller ones share a block with others that live
	runtime.AddCleanup(nobodys, func(struct{}) {
		adjust()
		follow()
	}, struct{}{})
}

// adjust drops the room while so much else is alive that as much garbage gathers anyway.
func adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	switch alive := live[0].Value.Uint64(); {
	case room.Load() == nil && alive < Bytes/2:
		makeRoom()
	case room.Load() != nil && alive > 2*Bytes:
		room.Store(nil)
	}
}

// giveUp gives the memory of b back to the kernel: where the allocator had used it before, it has filled it with zeros. When
// the kernel does not take it, it is only occupied.
func giveUp(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
