package headroom

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// collections counts the runs of the garbage collector while n bytes come in pieces of 64 KiB.
func collections(n int, note bool) uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var last []byte
	for range n >> 16 {
		last = make([]byte, 1<<16)
		if note {
			Came(len(last))
		}
	}
	runtime.KeepAlive(last)
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

const variable = "WEFT_HEADROOM_TEST"

// What is tested changes the process: each case has its own.
func TestHeadroom(t *testing.T) {
	if kind := os.Getenv(variable); kind != "" {
		before := collections(256<<20, false)
		collections(2*After, true)
		after := collections(256<<20, false)
		if rarer := after*3 < before; rarer != (kind == "rarer") {
			t.Errorf("%d collections before, %d after", before, after)
		}
		return
	}
	for _, c := range []struct{ kind, set string }{
		{"rarer", ""}, {"as before", "GOGC=100"}, {"as before", "GOMEMLIMIT=1GiB"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHeadroom$", "-test.v")
		for _, e := range os.Environ() {
			if !strings.HasPrefix(e, "GOGC=") && !strings.HasPrefix(e, "GOMEMLIMIT=") {
				cmd.Env = append(cmd.Env, e)
			}
		}
		cmd.Env = append(cmd.Env, variable+"="+c.kind)
		if c.set != "" {
			cmd.Env = append(cmd.Env, c.set)
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestHeadroom") {
			t.Errorf("%s with %q: %v\n%s", c.kind, c.set, err, out)
		}
	}
}

// What is alive makes room enough by itself.
func TestRoomIsForSmallHeaps(t *testing.T) {
	t.Setenv("GOGC", "")
	limit := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(limit)
	collections(2*After, true)
	has := func(yes bool) bool { return (room.Load() != nil) == yes }
	awaits := func(what string, yes bool) {
		t.Helper()
		for i := 0; !has(yes); i++ {
			if i == 10_000 {
				t.Fatalf("room is still there: %v, with %s", !yes, what)
			}
			runtime.GC()
			runtime.Gosched()
		}
	}
	awaits("little alive", true)
	held := make([]byte, 3*Bytes)
	awaits("much alive", false)
	runtime.KeepAlive(held)
	awaits("little alive again", true)
}

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
