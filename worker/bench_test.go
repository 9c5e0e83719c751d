package worker

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// BenchmarkNoopTask measures tasks of 16 bytes through one instance, 4,096 at a time, over tcp.
func BenchmarkNoopTask(b *testing.B) { benchmark(b, 16, 4096) }

// BenchmarkRoundTrip measures one task at a time.
func BenchmarkRoundTrip(b *testing.B) { benchmark(b, 16, 1) }

// Benchmark64KiB measures tasks whose payload and result have a frame of their own.
func Benchmark64KiB(b *testing.B) { benchmark(b, 64<<10, 64) }

func benchmark(b *testing.B, size, window int) {
	f := newBroker(b, "tcp://127.0.0.1:*")
	payload := bytes.Repeat([]byte{'x'}, size)
	s := serve(b, f, Func(func(_ context.Context, in []byte) ([]byte, error) { return in, nil }))
	f.ready()
	f.bind(1)
	done := make(chan struct{})
	sent, got := 0, 0
	var once sync.Once
	put := func() {
		for sent < b.N && sent < got+window {
			sent++
			f.put(1, uint64(sent), payload, 1)
		}
	}
	f.do(func() {
		f.count = func(kind protocol.Kind, _ []byte) {
			if kind != protocol.KindResult {
				return
			}
			if got++; got%max(window/8, 1) == 0 || got == sent {
				put()
			}
			if got == b.N {
				once.Do(func() { close(done) })
			}
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	f.do(put)
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	f.do(func() { f.count = nil })
	f.leave(s, 1)
}

// TestHotPathAllocates bounds what the SDK's part of a task costs in allocations: the payload is the one for its frame.
func TestHotPathAllocates(t *testing.T) {
	s := &server{service: Func(func(_ context.Context, in []byte) ([]byte, error) { return in, nil })}
	h := newHand(s)
	h.job.Session = boundSession(s)
	h.job.Payload, h.job.MaxPayload = binary.BigEndian.AppendUint64(nil, 7), 100
	payload := h.job.Payload
	if n := testing.AllocsPerRun(1000, func() {
		h.job.Payload = payload
		s.prepare(h)
		s.run(h)
		h.through()
	}); n != 0 {
		t.Errorf("%v allocations for a task, want none", n)
	}
	if string(h.out.Result) != string(payload) {
		t.Errorf("result %x", h.out.Result)
	}
}
