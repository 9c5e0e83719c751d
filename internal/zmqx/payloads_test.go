package zmqx

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestPayloadsCountReferences(t *testing.T) {
	p := NewPayloads()
	b := bytes.Repeat([]byte("weft"), 2048)
	h := p.New(b)
	b[0] = 'W'
	if got := p.Bytes(h); len(got) != 8192 || got[0] != 'w' {
		t.Errorf("%d bytes that begin with %q, want a copy of 8192", len(got), got[:1])
	}
	empty := p.New(nil)
	if len(p.Bytes(empty)) != 0 {
		t.Error("an empty frame has bytes")
	}
	p.Retain(h)
	p.Release(h)
	if p.Len() != 2 || p.Size() != 8192 || len(p.Bytes(h)) != 8192 {
		t.Errorf("%d frames, %d bytes, want 2 and 8192", p.Len(), p.Size())
	}
	p.Release(h)
	p.Release(empty)
	if p.Len() != 0 || p.Size() != 0 {
		t.Errorf("%d frames, %d bytes after the last release", p.Len(), p.Size())
	}
}

func TestPayloadsNoticeMisuse(t *testing.T) {
	p := NewPayloads()
	old := p.New([]byte("old"))
	p.Release(old)
	reused := p.New([]byte("new"))
	if reused&handleMask != old&handleMask || reused == old {
		t.Fatalf("handles %#x and %#x, want the same slot with another generation", old, reused)
	}
	for name, f := range map[string]func(){
		"none":             func() { p.Bytes(0) },
		"never made":       func() { p.Bytes(9999) },
		"vacant":           func() { p.Retain(2) },
		"released":         func() { p.Bytes(old) },
		"retain released":  func() { p.Retain(old) },
		"release released": func() { p.Release(old) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if string(p.Bytes(reused)) != "new" {
		t.Error("misuse changed a frame")
	}
}

// Every slot is used several times over, so that generations and chunks wrap.
func TestPayloadsReuseSlots(t *testing.T) {
	p := NewPayloads()
	for round := range 300 {
		handles := make([]Handle, 2*chunkSlots+1)
		for i := range handles {
			handles[i] = p.New(fmt.Appendf(nil, "%d/%d", round, i))
		}
		for i, h := range handles {
			if got, want := string(p.Bytes(h)), fmt.Sprintf("%d/%d", round, i); got != want || h == 0 {
				t.Fatalf("handle %#x has %q, want %q", h, got, want)
			}
			p.Release(h)
		}
	}
	if p.Len() != 0 || len(p.slots) != 3*chunkSlots {
		t.Errorf("%d frames alive in %d slots, want 0 in %d", p.Len(), len(p.slots), 3*chunkSlots)
	}
}

func TestPayloadsAreSafeForConcurrentUse(t *testing.T) {
	p := NewPayloads()
	shared := p.New(make([]byte, 1<<14))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				own := p.New([]byte{byte(g), byte(i)})
				p.Retain(shared)
				if b := p.Bytes(own); b[0] != byte(g) || b[1] != byte(i) {
					t.Errorf("frame of goroutine %d, turn %d: %v", g, i, b)
				}
				p.Release(own)
				p.Release(shared)
			}
		})
	}
	wg.Wait()
	p.Release(shared)
	if p.Len() != 0 {
		t.Errorf("%d frames left", p.Len())
	}
}

func TestPayloadsMemoryIsFreedWithTheTable(t *testing.T) {
	inChild(t, func(t *testing.T) { // where nobody called TuneMalloc, which keeps freed memory
		const frame, tables = 8 << 20, 32
		b := make([]byte, frame)
		NewPayloads().New(b) // for what the race detector needs of its own
		before := resident(t)
		for range tables {
			NewPayloads().New(b)
		}
		end := time.Now().Add(deadline)
		for resident(t)-before > tables*frame/4 {
			if time.Now().After(end) {
				t.Fatalf("%d MiB left of %d tables of 8 MiB that nobody has", (resident(t)-before)>>20, tables)
			}
			runtime.GC()
		}
	})
}

// resident is the memory that the process has in use.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
