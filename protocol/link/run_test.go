package link

import (
	"bytes"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// A run writes what single appends write, over the edges of frames too.
func TestRunIsLikeSingleAppends(t *testing.T) {
	write := func(run bool, kind protocol.Kind) (frames [][]byte, held int64) {
		n := NewNode(1, 5)
		l := n.Link()
		l.state = up
		payload := bytes.Repeat([]byte("x"), 100)
		const records = 3 * protocol.CutFrame / 121
		l.Append(protocol.KindCredit, 0, 1, nil)
		if run {
			r := NewRun(l, kind, 3)
			for i := range uint64(records) {
				if kind == protocol.KindDispatch {
					r.AddDispatch(i, payload, protocol.TaskID(i))
				} else if f, off := r.Add(i, payload); f != r.frame || off != len(r.bytes)-100 {
					t.Fatalf("record %d: payload at %d", i, off)
				}
			}
			r.End()
		} else {
			for i := range uint64(records) {
				if kind == protocol.KindDispatch {
					l.AppendDispatch(3, i, payload, &protocol.Execution{ID: protocol.TaskID(i), Attempt: 1})
				} else {
					l.Append(kind, 3, i, payload)
				}
			}
		}
		l.Append(protocol.KindCredit, 0, 2, nil)
		held = l.Held()
		for _, f := range n.Take(nil) {
			_, b, _, _ := f.Leave()
			frames = append(frames, bytes.Clone(b))
			f.Sent()
		}
		return frames, held
	}
	for _, kind := range []protocol.Kind{protocol.KindResult, protocol.KindDispatch} {
		got, held := write(true, kind)
		want, wantHeld := write(false, kind)
		if len(got) != len(want) || len(got) < 3 || held != wantHeld {
			t.Fatalf("%v: %d frames of %d bytes, want %d of %d", kind, len(got), held, len(want), wantHeld)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%v: frame %d differs", kind, i)
			}
		}
	}
}

// What is appended to a closed link goes nowhere, and keeps nothing.
func TestRunOfAClosedLink(t *testing.T) {
	n := NewNode(1, 5)
	l := n.Link()
	l.Close()
	for range 3 {
		r := NewRun(l, protocol.KindResult, 1)
		for i := range uint64(2000) {
			r.Add(i, make([]byte, 100))
		}
		r.End()
	}
	if frames := n.Take(nil); len(frames) != 0 || l.Unacked() > 1 || l.Held() > 2*protocol.CutFrame {
		t.Errorf("%d frames to send, %d kept, %d bytes", len(frames), l.Unacked(), l.Held())
	}
}
