package client

import (
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// BenchmarkTask is what one task costs in the engine: submitted, written to a frame, its result found in a frame and
// passed on.
func BenchmarkTask(b *testing.B) {
	w := newWorld(b)
	s := w.open()
	s.taskCredit, s.byteCredit = 1<<16, 1<<30
	c := s.conn
	var (
		batch   Batch
		results []byte
		count   uint64 = 1 // the WELCOME
	)
	b.ReportAllocs()
	for n := 0; n < b.N; {
		results = protocol.AppendHeader(results[:0], protocol.Header{})
		for len(results) < protocol.CutFrame && n < b.N {
			id, err := w.e.Submit(s, small)
			if err != nil {
				b.Fatal(err)
			}
			results = protocol.AppendRecord(results, protocol.KindResult, s.number, uint64(id), small)
			n++
		}
		w.e.Take(&batch)
		for _, f := range batch.Frames {
			f.Leave()
			f.Sent()
		}
		batch.Frames = batch.Frames[:0]
		count++
		protocol.StampHeader(results, protocol.Header{
			Version: 1, Epoch: w.e.node.Epoch, Incarnation: c.link.Other(),
			Sequence: protocol.NewStamp(2, count), Acked: protocol.NewStamp(2, 1<<40),
		})
		w.e.Receive(w.now, c.id, results, nil)
		w.e.Take(&batch)
		batch.DropResults()
	}
	if w.e.Outstanding() != 0 {
		b.Fatalf("%d tasks are unfinished", w.e.Outstanding())
	}
}
