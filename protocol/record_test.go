package protocol

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

func TestHeaderComesBack(t *testing.T) {
	for _, h := range []Header{
		{},
		{Version: 1, Epoch: NewEpoch(1<<56-1, 255), Incarnation: 1<<64 - 1, Sequence: NewStamp(1<<16-1, 1<<48-1), Acked: NewStamp(3, 4)},
	} {
		b := AppendHeader([]byte("before"), h)[len("before"):]
		if len(b) != HeaderSize {
			t.Fatalf("%d bytes", len(b))
		}
		got, rest, err := ParseHeader(append(b, "rest"...))
		if err != nil || got != h || string(rest) != "rest" {
			t.Errorf("%+v became %+v, %q, %v", h, got, rest, err)
		}
	}
}

func TestStampHeaderOverwrites(t *testing.T) {
	frame := AppendRecord(AppendHeader(nil, Header{}), KindTask, 1, 2, []byte("p"))
	want := Header{Version: 1, Epoch: 2, Incarnation: 3, Sequence: 4, Acked: 5}
	size := len(frame)
	StampHeader(frame, want)
	h, rest, err := ParseHeader(frame)
	if err != nil || h != want || len(frame) != size || len(rest) != RecordSize(1) {
		t.Errorf("%+v, %d bytes, %v", h, len(rest), err)
	}
}

func TestHeaderIsRefused(t *testing.T) {
	good := AppendHeader(nil, Header{Version: 1})
	for _, at := range []int{0, 1, 3, 12, 21, 30} {
		bad := slices.Clone(good)
		bad[at] = 0xc1
		wantMalformed(t, bad)
	}
	high := slices.Clone(good)
	high[2] = 0x80
	wantMalformed(t, high)
	for n := range HeaderSize {
		wantMalformed(t, good[:n])
	}
}

func wantMalformed(t *testing.T, frame []byte) {
	t.Helper()
	if _, _, err := ParseHeader(frame); CodeOf(err) != CodeMalformed || !strings.Contains(err.Error(), "header") {
		t.Errorf("% x: %v", frame, err)
	}
}

// someRecords is one record of each form, and what is to be read of it.
func someRecords() (frame []byte, want []Record) {
	frame = AppendRecord(frame, KindTask, 7, 1<<63|5, []byte("payload"))
	frame = AppendRecord(frame, KindBye, 0, 0, nil)
	frame = AppendExternal(frame, KindResult, 1<<32-1, 2, 1<<20)
	frame = AppendDispatch(frame, 3, 4, []byte("x"), &Execution{ID: NewTaskID(9, 8), Attempt: 1})
	frame = AppendDispatch(frame, 3, 4, nil, &Execution{ID: NewTaskID(9, 8), Attempt: 200})
	frame = AppendDispatchExternal(frame, 3, 5, 9000, &Execution{ID: NewTaskID(MaxTaskSequence, MaxTaskSlot), Attempt: 2})
	return frame, []Record{
		{Kind: KindTask, Session: 7, Task: 1<<63 | 5, Payload: []byte("payload"), Size: 7},
		{Kind: KindBye, Payload: []byte{}},
		{Kind: KindResult, Session: 1<<32 - 1, Task: 2, External: true, Size: 1 << 20},
		{Kind: KindDispatch, Session: 3, Task: 4, Payload: []byte("x"), Size: 1},
		{Kind: KindDispatch, Session: 3, Task: 4, Payload: []byte{}},
		{Kind: KindDispatch, Session: 3, Task: 5, External: true, Size: 9000},
	}
}

// readAll reads the records of a frame.
func readAll(records []byte) ([]Record, error) {
	var all []Record
	r := NewReader(records)
	var rec Record
	for {
		ok, err := r.Next(&rec)
		if err != nil || !ok {
			return all, err
		}
		all = append(all, rec)
	}
}

func TestRecordsComeBack(t *testing.T) {
	frame, want := someRecords()
	got, err := readAll(frame)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i, g := range got {
		w := want[i]
		if g.Kind != w.Kind || g.Session != w.Session || g.Task != w.Task || g.External != w.External || g.Size != w.Size ||
			!bytes.Equal(g.Payload, w.Payload) || (g.Payload == nil) != (w.Payload == nil) {
			t.Errorf("record %d: %+v, want %+v", i, g, w)
		}
	}
	for i, w := range map[int]struct {
		id      TaskID
		attempt uint8
	}{3: {NewTaskID(9, 8), 1}, 4: {NewTaskID(9, 8), 200}, 5: {NewTaskID(MaxTaskSequence, MaxTaskSlot), 2}} {
		if x, ok := got[i].Execution(); !ok || x != (Execution{ID: w.id, Attempt: w.attempt}) {
			t.Errorf("record %d: %+v, %t", i, x, ok)
		}
	}
	if _, ok := got[0].Execution(); ok {
		t.Error("a record without last element says how it is to be executed")
	}
}

// TestAnyMsgpackReadsAFrame holds a frame to being a stream of ordinary msgpack arrays.
func TestAnyMsgpackReadsAFrame(t *testing.T) {
	records, _ := someRecords()
	dec := msgpack.NewDecoder(bytes.NewReader(append(AppendHeader(nil, Header{Version: 1, Epoch: 2, Incarnation: 3}), records...)))
	dec.SetMapDecoder(func(d *msgpack.Decoder) (any, error) { return d.DecodeUntypedMap() })
	var kinds []int64
	for {
		v, err := dec.DecodeSlice()
		if err != nil {
			break
		}
		switch k := v[0].(type) {
		case int8:
			kinds = append(kinds, int64(k))
		default:
			t.Fatalf("a kind is a %T", k)
		}
	}
	if want := []int64{0, 16, 6, 18, 17, 17, 17}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
}

func TestOffsetIsWhereThePayloadBegins(t *testing.T) {
	frame, _ := someRecords()
	r := NewReader(frame)
	var rec Record
	for {
		ok, err := r.Next(&rec)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if at := r.Offset(); !rec.External && !bytes.Equal(frame[at:at+int(rec.Size)], rec.Payload) {
			t.Errorf("%v: offset %d is not of its payload", rec.Kind, at)
		}
	}
}

func TestFurtherElementsAreSkipped(t *testing.T) {
	for _, c := range []struct {
		name  string
		array byte
		tail  []byte
		ext   []byte
	}{
		{"one", 0x95, []byte{0x01}, []byte{0x01}},
		{"a map", 0x95, []byte{0x81, 0xa1, 'k', 0x93, 1, 2, 3}, []byte{0x81, 0xa1, 'k', 0x93, 1, 2, 3}},
		{"three", 0x97, []byte{0xc0, 0xc4, 1, 9, 0xca, 1, 2, 3, 4}, []byte{0xc0}},
		{"the most", 0x9f, bytes.Repeat([]byte{0xc3}, 11), []byte{0xc3}},
	} {
		b := AppendRecord(nil, KindTask, 1, 2, []byte("pp"))
		b[0] = c.array
		b = AppendRecord(append(b, c.tail...), KindBye, 0, 9, nil)
		got, err := readAll(b)
		if err != nil || len(got) != 2 || got[1].Kind != KindBye || !bytes.Equal(got[0].Ext, c.ext) || string(got[0].Payload) != "pp" {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestIdentityForms(t *testing.T) {
	for _, c := range []struct {
		name    string
		ext     []byte
		id      TaskID
		attempt uint8
		ok      bool
	}{
		{"none", nil, 0, 0, false},
		{"number", []byte{0xcf, 0, 0, 0, 0, 0, 0, 1, 2}, 258, 1, true},
		{"map with narrow numbers", []byte{0x82, 1, 5, 2, 3}, 5, 3, true},
		{"map with wide numbers", []byte{0x82, 0xcc, 1, 0xcd, 1, 0, 0xcd, 0, 2, 0xce, 0, 0, 0, 4}, 256, 4, true},
		{"further keys", []byte{0x83, 9, 0xa2, 'h', 'i', 1, 7, 0xcd, 1, 0, 0x91, 0x80}, 7, 1, true},
		{"no attempt", []byte{0x81, 1, 7}, 7, 1, true},
		{"attempt of 0", []byte{0x82, 1, 7, 2, 0}, 7, 1, true},
		{"no id", []byte{0x81, 2, 7}, 0, 7, false},
		{"id of another type", []byte{0x81, 1, 0xc0}, 0, 1, false},
		{"key of another type", []byte{0x81, 0xa1, 'k', 1}, 0, 0, false},
		{"cut short", []byte{0x82, 1, 7, 2}, 0, 0, false},
		{"another type", []byte{0xc0}, 0, 0, false},
	} {
		rec := Record{Kind: KindDispatch, Ext: c.ext}
		x, ok := rec.Execution()
		if ok != c.ok || ok && (x.ID != c.id || x.Attempt != c.attempt) {
			t.Errorf("%s: %+v, %t", c.name, x, ok)
		}
	}
}

func TestTruncatedRecordsAreRefused(t *testing.T) {
	frame, want := someRecords()
	whole := map[int]bool{0: true}
	r := NewReader(frame)
	var rec Record
	for ok, _ := r.Next(&rec); ok; ok, _ = r.Next(&rec) {
		whole[r.next] = true
	}
	if len(whole) != len(want)+1 {
		t.Fatalf("%d ends of records", len(whole))
	}
	for n := range len(frame) + 1 {
		_, err := readAll(frame[:n:n])
		if whole[n] != (err == nil) {
			t.Errorf("cut at %d: %v", n, err)
		}
		if err != nil && CodeOf(err) != CodeMalformed {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestMutatedRecordsDoNotPanic(t *testing.T) {
	frame, _ := someRecords()
	refused := 0
	for at := range frame {
		for v := range 256 {
			b := slices.Clone(frame)
			b[at] = byte(v)
			got, err := readAll(b)
			if err != nil {
				refused++
				if !errors.Is(err, &Error{Code: CodeMalformed}) {
					t.Fatalf("byte %d = %#x: %v", at, v, err)
				}
			}
			for i := range got {
				got[i].Execution()
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestNothingFollowsAnError(t *testing.T) {
	r := NewReader([]byte("not a record, and rather long"))
	var rec Record
	if _, err := r.Next(&rec); err == nil {
		t.Fatal("no error")
	}
	if ok, err := r.Next(&rec); ok || err != nil {
		t.Errorf("after the error: %t, %v", ok, err)
	}
}

func TestSkip(t *testing.T) {
	str := func(head []byte, n int) []byte { return append(head, make([]byte, n)...) }
	for _, c := range []struct {
		name string
		b    []byte
		want int
	}{
		{"nothing", nil, 0},
		{"reserved", []byte{0xc1}, 0},
		{"positive", []byte{0x7f, 1}, 1},
		{"negative", []byte{0xe0}, 1},
		{"nil", []byte{0xc0}, 1},
		{"bool", []byte{0xc3}, 1},
		{"u8", []byte{0xcc, 1}, 2},
		{"u64", str([]byte{0xcf}, 8), 9},
		{"u64 cut", str([]byte{0xcf}, 7), 0},
		{"i16", []byte{0xd1, 1, 2}, 3},
		{"f32", str([]byte{0xca}, 4), 5},
		{"f64", str([]byte{0xcb}, 8), 9},
		{"fixstr", str([]byte{0xa3}, 3), 4},
		{"fixstr cut", str([]byte{0xa3}, 2), 0},
		{"str8", str([]byte{0xd9, 3}, 3), 5},
		{"str16", str([]byte{0xda, 0, 3}, 3), 6},
		{"str32", str([]byte{0xdb, 0, 0, 0, 3}, 3), 8},
		{"bin8", str([]byte{0xc4, 3}, 3), 5},
		{"bin32 that claims 4 GiB", str([]byte{0xc6, 255, 255, 255, 255}, 9), 0},
		{"fixext1", str([]byte{0xd4}, 2), 3},
		{"fixext16", str([]byte{0xd8}, 17), 18},
		{"ext8", str([]byte{0xc7, 3}, 4), 6},
		{"ext16", str([]byte{0xc8, 0, 3}, 4), 7},
		{"ext32", str([]byte{0xc9, 0, 0, 0, 3}, 4), 9},
		{"ext8 without its type", []byte{0xc7, 0}, 0},
		{"fixarray", []byte{0x92, 1, 2, 3}, 3},
		{"array16", []byte{0xdc, 0, 2, 1, 2}, 5},
		{"array32", []byte{0xdd, 0, 0, 0, 1, 2}, 6},
		{"array32 that claims 2^32", append([]byte{0xdd, 255, 255, 255, 255}, make([]byte, 99)...), 0},
		{"fixmap", []byte{0x81, 1, 2}, 3},
		{"map16", []byte{0xde, 0, 1, 1, 2}, 5},
		{"map32", []byte{0xdf, 0, 0, 0, 1, 1, 2}, 7},
		{"map32 that claims 2^31", append([]byte{0xdf, 128, 0, 0, 0}, make([]byte, 99)...), 0},
		{"map without its value", []byte{0x81, 1}, 0},
		{"length cut", []byte{0xdf, 0, 0}, 0},
		{"as deep as allowed", append(bytes.Repeat([]byte{0x91}, 7), 1), 8},
		{"too deep", append(bytes.Repeat([]byte{0x91}, 8), 1), 0},
	} {
		if got := skip(c.b, 8); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSkipBoundsTheValues(t *testing.T) {
	many := func(n int) []byte {
		b := []byte{0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return append(b, bytes.Repeat([]byte{0x80}, n)...)
	}
	if n := MaxValues - 1; skip(many(n), 3) != n+5 {
		t.Error("as many values as allowed are refused")
	}
	if skip(many(MaxValues), 3) != 0 {
		t.Error("more values than allowed are taken")
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	frame, _ := someRecords()
	frame = append(AppendHeader(nil, Header{}), frame...)
	buf := make([]byte, 0, 4096)
	payload := make([]byte, 16)
	var rec Record
	for name, f := range map[string]func(){
		"AppendRecord":   func() { AppendRecord(buf, KindTask, 1, 2, payload) },
		"AppendExternal": func() { AppendExternal(buf, KindTask, 1, 2, 9000) },
		"AppendDispatch": func() { AppendDispatch(buf, 1, 2, payload, &Execution{ID: 3, Attempt: 4}) },
		"StampHeader":    func() { StampHeader(frame, Header{Version: 1}) },
		"reading": func() {
			_, rest, err := ParseHeader(frame)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(rest)
			for ok, err := r.Next(&rec); ok; ok, err = r.Next(&rec) {
				if err != nil {
					t.Fatal(err)
				}
				rec.Execution()
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	var frame []byte
	for i := range uint64(1000) {
		frame = AppendDispatch(frame, 1, i, make([]byte, 16), &Execution{ID: TaskID(i), Attempt: 1})
	}
	var rec Record
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(frame)
		for ok, err := r.Next(&rec); ok; ok, err = r.Next(&rec) {
			if err != nil {
				b.Fatal(err)
			}
			rec.Execution()
		}
	}
}
