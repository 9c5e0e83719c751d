package protocol

import (
	"bytes"
	"testing"
)

func TestPlainRecordsAreThoseOfAppend(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("p"), []byte("sixteen bytes..."), bytes.Repeat([]byte("long"), 2000)} {
		for _, session := range []uint32{0, 1, 0x01020304, 1<<32 - 1} {
			for _, kind := range []Kind{KindTask, KindResult, KindFailure} {
				want := AppendRecord([]byte("before"), kind, session, 1<<63+5, payload)
				got := AppendPlain([]byte("before"), NewPlainHead(kind, session), 1<<63+5, payload)
				if !bytes.Equal(got, want) {
					t.Fatalf("%v of session %#x: % x, want % x", kind, session, got, want)
				}
				r := NewReader(got[6:])
				s, task, p, ok := r.Plain(kind)
				if !ok || s != session || task != 1<<63+5 || !bytes.Equal(p, payload) || cap(p) != len(p) || r.Offset() != RecordSize(0) {
					t.Errorf("read back: %d, %#x, %q, %v", s, task, p, ok)
				}
				if more, err := r.Next(&Record{}); more || err != nil {
					t.Errorf("after the last: %v, %v", more, err)
				}
			}
			want := AppendDispatch(nil, session, 7, payload, &Execution{ID: 9, Attempt: 1})
			got := AppendPlainDispatch(nil, NewPlainHead(KindDispatch, session), 7, payload, 9)
			if !bytes.Equal(got, want) {
				t.Fatalf("Dispatch of session %#x: % x, want % x", session, got, want)
			}
			r := NewReader(got)
			s, task, p, id, ok := r.PlainDispatch()
			if !ok || s != session || task != 7 || id != 9 || !bytes.Equal(p, payload) || cap(p) != len(p) {
				t.Errorf("read back: %d, %d, %q, %d, %v", s, task, p, id, ok)
			}
		}
	}
}

// What is not plain is left for Next, byte for byte.
func TestPlainLeavesTheRestToNext(t *testing.T) {
	options := &TaskOptions{Priority: 3}
	for name, b := range map[string][]byte{
		"another kind":    AppendRecord(nil, KindFailure, 1, 2, []byte("p")),
		"external":        AppendExternal(nil, KindResult, 1, 2, 9000),
		"a last element":  AppendNumbered(nil, KindResult, 1, 2, []byte("p"), 1, 2),
		"options":         AppendTask(nil, 1, 2, []byte("p"), options),
		"execution":       AppendDispatch(nil, 1, 2, []byte("p"), &Execution{ID: 9, Attempt: 2}),
		"large execution": AppendDispatchExternal(nil, 1, 2, 9000, &Execution{ID: 9, Attempt: 1}),
		"nothing":         {},
	} {
		r := NewReader(b)
		if _, _, _, ok := r.Plain(KindResult); ok {
			t.Errorf("%s: taken as a plain result", name)
		}
		if _, _, _, _, ok := r.PlainDispatch(); ok {
			t.Errorf("%s: taken as a plain dispatch", name)
		}
		var rec Record
		if ok, err := r.Next(&rec); err != nil || ok != (len(b) > 0) {
			t.Errorf("%s: Next says %v, %v", name, ok, err)
		}
	}
	whole := AppendPlainDispatch(nil, NewPlainHead(KindDispatch, 1), 7, []byte("payload"), 9)
	plain := AppendPlain(nil, NewPlainHead(KindResult, 1), 7, []byte("payload"))
	for n := range len(whole) {
		r := NewReader(whole[:n])
		if _, _, _, _, ok := r.PlainDispatch(); ok {
			t.Errorf("%d of %d bytes are taken as a dispatch", n, len(whole))
		}
	}
	for n := range len(plain) {
		r := NewReader(plain[:n])
		if _, _, _, ok := r.Plain(KindResult); ok {
			t.Errorf("%d of %d bytes are taken as a result", n, len(plain))
		}
	}
}
