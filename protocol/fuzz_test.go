package protocol

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzHeader(f *testing.F) {
	f.Add(AppendHeader(nil, Header{Version: 1, Epoch: 2, Incarnation: 3, Sequence: 4, Acked: 5}))
	f.Add([]byte{0x96, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := ParseHeader(b)
		if err != nil {
			if CodeOf(err) != CodeMalformed {
				t.Fatal(err)
			}
			return
		}
		if again := append(AppendHeader(nil, h), rest...); !bytes.Equal(again, b) {
			t.Fatalf("% x was read as % x", b, again)
		}
	})
}

func FuzzReader(f *testing.F) {
	frame, _ := someRecords()
	f.Add(frame)
	f.Add(append(AppendRecord(nil, KindTask, 1, 2, []byte("p")), 0xc1))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		left := len(b)
		var rec Record
		for {
			ok, err := r.Next(&rec)
			if err != nil && CodeOf(err) != CodeMalformed {
				t.Fatal(err)
			}
			if !ok || err != nil {
				return
			}
			if len(r.records)-r.next >= left {
				t.Fatal("a record without bytes")
			}
			left = len(r.records) - r.next
			if !rec.External && (int(rec.Size) != len(rec.Payload) || !bytes.Equal(rec.Payload, b[r.Offset():r.Offset()+int(rec.Size)])) {
				t.Fatalf("payload of %d bytes at %d: %+v", rec.Size, r.Offset(), rec)
			}
			if x, ok := rec.Execution(); ok && x.Attempt == 0 {
				t.Fatal("attempt 0")
			}
		}
	})
}

func FuzzExecution(f *testing.F) {
	f.Add((&Execution{ID: 5, Attempt: 1}).append(nil))
	f.Add((&Execution{ID: 5, Attempt: 7, Timeout: time.Second, Run: time.Hour, Watch: true}).append(nil))
	f.Add([]byte{0x83, 9, 0xa2, 'h', 'i', 1, 7, 0xcd, 1, 0, 0x91, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		rec := Record{Ext: b}
		x, ok := rec.Execution()
		if !ok {
			return
		}
		again := Record{Ext: x.append(nil)}
		if y, ok := again.Execution(); !ok || y != x {
			t.Fatalf("%+v became %+v", x, y)
		}
	})
}

func FuzzOptions(f *testing.F) {
	f.Add((&TaskOptions{Timeout: time.Second, Priority: -128}).append(nil))
	f.Add((&TaskOptions{Run: 1, Priority: 127, Attempts: 3, HostLosses: 2, Backoff: 5, MaxBackoff: 6}).append(nil))
	f.Add([]byte{0x83, 9, 0xa2, 'h', 'i', 1, 7, 0xcd, 1, 0, 0x91, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		rec := Record{Ext: b}
		o, ok := rec.Options()
		if !ok {
			return
		}
		again := Record{Ext: o.append(nil)}
		if p, ok := again.Options(); !ok || p != o {
			t.Fatalf("%+v became %+v", o, p)
		}
	})
}

func FuzzSkip(f *testing.F) {
	f.Add([]byte{0x82, 1, 0x93, 1, 2, 3, 0xa1, 'k', 0xc4, 1, 9})
	f.Add([]byte{0xdd, 255, 255, 255, 255, 0})
	f.Add([]byte{0xc8, 0, 2, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := skip(b, 8)
		if n < 0 || n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if n > 0 && skip(b[:n:n], 8) != n {
			t.Fatal("the value depends on what follows it")
		}
		if n > 0 && skip(b[:n-1:n-1], 8) != 0 {
			t.Fatal("a value that was cut is taken for whole")
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	for _, k := range Kinds() {
		if body := filled(k); body != nil {
			f.Add(uint8(k), Marshal(body))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		body := NewBody(Kind(kind))
		if body == nil {
			return
		}
		if err := Unmarshal(Kind(kind), b, body); err != nil {
			if CodeOf(err) != CodeMalformed {
				t.Fatal(err)
			}
			return
		}
		first := Marshal(body)
		again := NewBody(Kind(kind))
		if err := Unmarshal(Kind(kind), first, again); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		if second := Marshal(again); !bytes.Equal(first, second) {
			t.Fatalf("% x became % x", first, second)
		}
	})
}

func FuzzService(f *testing.F) {
	f.Add(Marshal(Service{Name: "s"}))
	f.Add(Marshal(*filled(KindRegisterService).(*Service)))
	f.Add(Marshal(Service{Name: "s", Artefacts: map[string]Artefact{"linux/amd64": {Command: "/x"}}, Env: map[string]string{"A": "b"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Service
		if Unmarshal(KindRegisterService, b, &s) != nil {
			return
		}
		s = s.WithDefaults()
		err := s.Validate()
		if err != nil && CodeOf(err) != CodeInvalid {
			t.Fatal(err)
		}
		if err == nil && s.WithDefaults().Validate() != nil {
			t.Fatal("a good service is bad after its defaults")
		}
	})
}

func FuzzNumbers(f *testing.F) {
	f.Add(uint64(1<<24|5), uint16(3), uint64(7))
	f.Fuzz(func(t *testing.T, v uint64, conversation uint16, count uint64) {
		if id := TaskID(v); NewTaskID(id.Sequence(), id.Slot()) != id {
			t.Fatalf("task id %x", v)
		}
		if e := Epoch(v); NewEpoch(e.Counter(), e.Node()) != e {
			t.Fatalf("epoch %x", v)
		}
		count &= 1<<48 - 1
		if s := NewStamp(conversation, count); s.Conversation() != conversation || s.Count() != count {
			t.Fatalf("stamp %x", uint64(s))
		}
	})
}

func FuzzEndpoints(f *testing.F) {
	f.Add("tcp://10.0.0.1:7700,10.0.0.2")
	f.Add("ipc:///run/weft/control")
	f.Add("[::1]:7,inproc://x")
	f.Fuzz(func(t *testing.T, list string) {
		all, err := ParseEndpoints(list)
		if err != nil {
			if CodeOf(err) != CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseEndpoints(strings.Join(all, ","))
		if err != nil || !slices.Equal(again, all) {
			t.Fatalf("%q became %q, %v", all, again, err)
		}
	})
}
