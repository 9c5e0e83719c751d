package client

import (
	"slices"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

func TestNoAllocationPerTask(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	s.taskCredit = 4096
	c := s.conn
	var (
		b        Batch
		received        = make([]byte, 0, 1<<16)
		count    uint64 = 1 // frames of the other end; the first was its WELCOME
		finished int
	)
	round := func() {
		count++
		// The conversation is the engine's second, after that with the control loop. The other end has taken all over.
		received = protocol.AppendHeader(received[:0], protocol.Header{
			Version: 1, Epoch: w.e.node.Epoch, Incarnation: c.link.Other(),
			Sequence: protocol.NewStamp(2, count), Acked: protocol.NewStamp(2, 1<<40),
		})
		for range 1000 {
			id, err := w.e.Submit(s, small)
			if err != nil {
				t.Fatal(err)
			}
			received = protocol.AppendRecord(received, protocol.KindResult, s.number, uint64(id), small)
		}
		w.e.Take(&b)
		for _, f := range b.Frames {
			if _, _, _, ok := f.Leave(); !ok {
				t.Fatal("the link is down")
			}
			f.Sent()
		}
		b.Frames = b.Frames[:0]
		w.e.Receive(w.now, c.id, received, nil)
		w.e.Take(&b)
		finished += len(b.Results)
		b.DropResults()
	}
	for range 3 {
		round()
	}
	if per := testing.AllocsPerRun(20, round) / 1000; per > 0.005 {
		t.Errorf("%.3f allocations for a task", per)
	}
	if want := (3 + 21) * 1000; finished != want {
		t.Errorf("%d results, want %d", finished, want)
	}
}

// TestResultsKeepTheirOrder: results come in runs, apart from what needs more to be said, and are told in the order in which
// they came all the same.
func TestResultsKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	s, other := w.open(), w.open()
	var want, got []protocol.TaskID
	frame := protocol.AppendHeader(nil, protocol.Header{
		Version: 1, Epoch: w.e.node.Epoch, Incarnation: s.conn.link.Other(), Sequence: protocol.NewStamp(2, 2),
	})
	submit := func(s *Session) protocol.TaskID {
		id, err := w.e.Submit(s, small)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
		return id
	}
	for i := range 12 {
		of := s
		if i%4 == 3 {
			of = other
		}
		id := submit(of)
		if i%3 == 1 {
			frame = protocol.AppendBody(frame, protocol.KindFailure, of.number, uint64(id), protocol.Errorf(protocol.CodeTaskFailed, "task", "so"))
			continue
		}
		frame = protocol.AppendRecord(frame, protocol.KindResult, of.number, uint64(id), small)
	}
	frame = protocol.AppendRecord(frame, protocol.KindResult, s.number, uint64(want[0]), small) // once more
	w.e.Receive(w.now, s.conn.id, frame, nil)
	var b Batch
	w.e.Take(&b)
	if len(b.Results) != 8 || len(b.Completions) != 4 {
		t.Fatalf("%d results, %d completions", len(b.Results), len(b.Completions))
	}
	b.Unfold()
	for _, done := range b.Completions {
		got = append(got, done.Task)
		if (done.Err == nil) != (string(done.Payload) == string(small)) {
			t.Errorf("task %v: %q, %v", done.Task, done.Payload, done.Err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	if w.e.Outstanding() != 0 || s.Tasks() != 0 || s.bytes != 0 || len(b.Runs) != 0 {
		t.Errorf("%d outstanding, %d of the session with %d bytes, %d runs", w.e.Outstanding(), s.Tasks(), s.bytes, len(b.Runs))
	}
}
