package broker

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/internal/zmqx"
)

func TestMemoryIsTheSumOfTheLoops(t *testing.T) {
	var log bytes.Buffer
	logger := zerolog.New(&log)
	payloads := zmqx.NewPayloads()
	h := payloads.New(make([]byte, 50))
	m := newMemory(100, 3, payloads, &logger)
	m.note(0, 10, 1)
	m.note(1, 20, 2)
	m.note(2, 15, 4)
	m.note(2, 5, 4) // what it held before is over
	if got, want := m.tell(1, 30), (manager.Memory{Limit: 100, Used: 65, Promised: 5}); got != want {
		t.Errorf("loop 1 is told %+v, want %+v: the payload frames that there were before it received", got, want)
	}
	if got, want := m.pressure(), (control.Pressure{Limit: 100, Used: 85}); got != want || log.Len() > 0 {
		t.Errorf("the control loop is told %+v, want %+v; said %q", got, want, log.String())
	}
	for range 2 {
		m.note(0, 20, 0)
		m.pressure()
		m.note(0, 10, 0)
		m.pressure()
	}
	payloads.Release(h)
	m.pressure()
	m.pressure()
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), `"used":95`) {
		t.Errorf("said %q, want once that memory is full and once that it is not any more", log.String())
	}
}

func TestKeeperBoundsTheHeap(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	payloads := zmqx.NewPayloads()
	const limit = 256 << 20
	k := &keeper{memory: newMemory(limit, 1, payloads, nil)}
	k.look()
	if got := debug.SetMemoryLimit(-1); got != limit+limit/keepParts {
		t.Fatalf("Go may have %d bytes, want the limit and a little", got)
	}
	frame := make([]byte, 32<<20)
	var handles []zmqx.Handle
	for range 5 {
		handles = append(handles, payloads.New(frame))
	}
	k.look()
	if got := debug.SetMemoryLimit(-1); got != limit+limit/keepParts-5*32<<20 {
		t.Fatalf("Go may have %d bytes, want what the payload frames leave", got)
	}
	for _, h := range handles {
		payloads.Release(h)
	}
	k.look()
	if k.peak != 0 {
		t.Errorf("what payload frames left behind, of %d bytes, is not given back", k.peak)
	}
	k.parts[0].bytes.Store(10 * limit)
	k.look()
	if got := debug.SetMemoryLimit(-1); got < limit/4 {
		t.Errorf("Go may have %d bytes, want a quarter of the limit at least", got)
	}
}

func TestMallocKeepsLittleWhereThereIsLittle(t *testing.T) {
	if a, b := mallocKeeps(256<<20), mallocKeeps(1<<40); a != 16<<20 || b != zmqx.MallocKeep {
		t.Errorf("of 256 MiB %d are kept, of 1 TiB %d", a, b)
	}
}
