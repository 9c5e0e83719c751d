package headroom

import (
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// The room takes no memory of the machine, even where the allocator has used it before.
func TestRoomIsNotResident(t *testing.T) {
	b := make([]byte, Bytes)
	resident := func() (pages int) {
		list := make([]byte, len(b)/os.Getpagesize())
		// As mincore(2) has it; no package has a function for it.
		if _, _, errno := syscall.Syscall(syscall.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&list[0]))); errno != 0 {
			t.Fatal(errno)
		}
		for _, page := range list {
			pages += int(page & 1)
		}
		return pages
	}
	for i := 0; i < len(b); i += 1 << 10 {
		b[i] = 1
	}
	if all := len(b) / os.Getpagesize(); resident() != all {
		t.Fatalf("%d of %d pages are resident when all of them were used", resident(), all)
	}
	giveUp(b)
	if left := resident(); left > 0 {
		t.Errorf("%d pages are resident", left)
	}
}
