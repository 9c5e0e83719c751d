package broker

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/weft-fabric/weft/broker/control"
	"github.com/weft-fabric/weft/broker/manager"
	"github.com/weft-fabric/weft/internal/zmqx"
)

// memory adds up what the loops of a broker hold. It is safe for concurrent use.
type memory struct {
	limit    int64
	payloads *zmqx.Payloads
	parts    []part // by manager loop
	log      *zerolog.Logger
	said     bool // that it is full
}

// part is what one loop holds, as it told after its last turn.
type part struct {
	bytes    atomic.Int64 // beside payload frames
	promised atomic.Int64 // of results that are expected
	_        [48]byte     // loops do not share a line of the processor's cache
}

func newMemory(limit int64, loops int, payloads *zmqx.Payloads, log *zerolog.Logger) *memory {
	return &memory{limit: limit, parts: make([]part, loops), payloads: payloads, log: log}
}

// used is what all loops hold, with payload frames of so many bytes.
func (m *memory) used(payloads int64) int64 {
	for i := range m.parts {
		payloads += m.parts[i].bytes.Load()
	}
	return payloads
}

// tell gives what a loop is to know: with the payload frames that there were before it received.
func (m *memory) tell(loop int, payloads int64) (told manager.Memory) {
	told.Limit, told.Used = m.limit, m.used(payloads)
	for i := range m.parts {
		if i != loop {
			told.Promised += m.parts[i].promised.Load()
		}
	}
	return told
}

// note takes what a loop holds after a turn.
func (m *memory) note(loop int, bytes, promised int64) {
	m.parts[loop].bytes.Store(bytes)
	m.parts[loop].promised.Store(promised)
}

// pressure is what the control loop, which alone asks, is to know. People are told when tasks begin to be refused, and when
// no more are.
func (m *memory) pressure() control.Pressure {
	p := control.Pressure{Used: m.used(m.payloads.Size()), Limit: m.limit}
	switch part := float64(p.Used) / float64(p.Limit); {
	case part >= 0.9 && !m.said:
		m.said = true
		m.log.Warn().Int64("used", p.Used).Int64("limit", p.Limit).Msg("memory is full: tasks are refused")
	case part < 0.7 && m.said:
		m.said = false
		m.log.Info().Int64("used", p.Used).Int64("limit", p.Limit).Msg("there is memory again")
	}
	return p
}

// Times of the keeper.
const (
	keepEvery = 100 * time.Millisecond
	// keepParts is by which part of the limit something must have changed for the allocators to be told.
	keepParts = 16
)

// keeper has a process that is a broker and nothing else take hardly more memory than its loops hold. Go's collector lets
// a heap double, and the C allocator keeps what was freed: as long as there is plenty that is as it should be.
type keeper struct {
	*memory
	bound int64 // the last limit of Go's heap
	peak  int64 // of payload frames, since C memory was given back
}

// run looks after the allocators until stop is closed.
func (k *keeper) run(stop <-chan struct{}) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		k.look()
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// look bounds Go's heap by what payload frames leave of the limit, and gives back what they left behind in C memory when
// together with the rest it would be much.
func (k *keeper) look() {
	payloads := k.payloads.Size()
	k.peak = max(k.peak, payloads)
	step := k.limit / keepParts
	if bound := max(k.limit+step-payloads, k.limit/4); bound < k.bound-step || bound > k.bound+step {
		debug.SetMemoryLimit(bound)
		k.bound = bound
	}
	if k.peak-payloads > step && k.used(k.peak) > k.limit/2 {
		zmqx.TrimMalloc()
		k.peak = payloads
	}
}

// mallocKeeps is how much freed memory the C allocator may keep: for a broker with little memory, little.
func mallocKeeps(limit int64) int64 { return min(limit/keepParts, 1<<30) }
