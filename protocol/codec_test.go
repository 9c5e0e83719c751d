package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// filled gives a body of the kind with every field set, through all levels.
func filled(k Kind) any {
	body := NewBody(k)
	if body != nil {
		n := 0
		fill(reflect.ValueOf(body).Elem(), &n)
	}
	return body
}

// fill sets v to something that is not zero and, in numbers, differs each time.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000, int64(*n)*1000)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 200))
	default:
		panic("a body has a " + v.Kind().String())
	}
}

func TestEveryBodyComesBack(t *testing.T) {
	bodies := 0
	for _, k := range Kinds() {
		body := filled(k)
		if body == nil {
			continue
		}
		bodies++
		b := Marshal(body)
		if again := Marshal(body); !bytes.Equal(b, again) {
			t.Errorf("%v: equal bodies give different bytes", k)
		}
		got := NewBody(k)
		if err := Unmarshal(k, b, got); err != nil {
			t.Errorf("%v: %v", k, err)
			continue
		}
		if textOf(got) != textOf(body) || !equal(got, body) {
			t.Errorf("%v: came back as\n%+v, was\n%+v", k, got, body)
		}
		empty := NewBody(k)
		if err := Unmarshal(k, Marshal(NewBody(k)), empty); err != nil || !equal(empty, NewBody(k)) {
			t.Errorf("%v: an empty body came back as %+v, %v", k, empty, err)
		}
	}
	if bodies != 65 {
		t.Errorf("%d kinds have bodies: adapt this test, the golden files and docs/rfc", bodies)
	}
}

// textOf spells a body out, through all pointers.
func textOf(body any) string {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// equal compares bodies as they are seen on the wire: times by their instant.
func equal(a, b any) bool { return bytes.Equal(Marshal(a), Marshal(b)) }

func TestUnknownKeysAreIgnored(t *testing.T) {
	for _, k := range Kinds() {
		body := filled(k)
		if body == nil {
			continue
		}
		var m map[string]any
		if err := msgpack.Unmarshal(Marshal(body), &m); err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		m["of_a_later_version"] = []any{1, map[string]any{"deep": []byte("x")}}
		b, err := msgpack.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := NewBody(k)
		if err := Unmarshal(k, b, got); err != nil || !equal(got, body) {
			t.Errorf("%v: %+v, %v", k, got, err)
		}
	}
}

// TestBodiesAreCutAndMutated cuts each body everywhere, and sets each of its bytes to what begins a value of another form:
// to each such value, or when time is short to one of them.
func TestBodiesAreCutAndMutated(t *testing.T) {
	for _, k := range Kinds() {
		body := filled(k)
		if body == nil {
			continue
		}
		b := Marshal(body)
		for n := range b {
			if err := Unmarshal(k, b[:n:n], NewBody(k)); CodeOf(err) != CodeMalformed || !strings.Contains(err.Error(), k.String()) {
				t.Fatalf("%v cut at %d: %v", k, n, err)
			}
		}
		if err := Unmarshal(k, append(bytes.Clone(b), 0xc0), NewBody(k)); CodeOf(err) != CodeMalformed {
			t.Errorf("%v with a value too many: %v", k, err)
		}
		values := []byte{0x00, 0x80, 0x90, 0xa0, 0xc0, 0xc1, 0xc6, 0xc7, 0xcf, 0xd6, 0xdb, 0xdd, 0xdf, 0xff}
		for at := range b {
			some := values
			if testing.Short() {
				some = values[at%len(values):][:1]
			}
			for _, v := range some {
				m := bytes.Clone(b)
				m[at] = v
				if err := Unmarshal(k, m, NewBody(k)); err != nil && !errors.Is(err, &Error{Code: CodeMalformed}) {
					t.Fatalf("%v, byte %d = %#x: %v", k, at, v, err)
				}
			}
		}
	}
}

// TestClaimsAllocateNothing sends bodies that claim more than they have, and bodies of many small values: what their
// decoding allocates is bounded.
func TestClaimsAllocateNothing(t *testing.T) {
	head := func(key string, tag byte, n uint32) []byte {
		b := append([]byte{0x81, 0xa0 | byte(len(key))}, key...)
		return append(b, tag, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	many := func(key string, n int, value ...byte) []byte {
		return append(head(key, 0xdd, uint32(n)), bytes.Repeat(value, n)...)
	}
	for _, c := range []struct {
		name  string
		kind  Kind
		body  []byte
		most  uint64
		valid bool
	}{
		{"array of 2^32-1", KindRegisterNode, head("containers", 0xdd, 1<<32-1), 4 << 10, false},
		{"map of 2^32-1", KindRegisterService, head("env", 0xdf, 1<<32-1), 4 << 10, false},
		{"string of 4 GiB", KindHello, head("name", 0xdb, 1<<32-1), 4 << 10, false},
		{"bytes of 4 GiB", KindBind, head("parameters", 0xc6, 1<<32-1), 4 << 10, false},
		{"ext of 4 GiB", KindServicePage, head("entries", 0xc9, 1<<32-1), 4 << 10, false},
		{"too many small values", KindRegisterService, many("requests", 1<<20-32, 0x80), 4 << 10, false},
		{"many small values", KindRegisterService, many("requests", MaxValues-3, 0x80), 160 << 20, true},
		{"too large", KindBind, make([]byte, MaxBody+1), 4 << 10, false},
		{"too deep", KindBind, append(bytes.Repeat([]byte{0x91}, 1000), 0xc0), 4 << 10, false},
	} {
		var before, after runtime.MemStats
		body := NewBody(c.kind)
		runtime.ReadMemStats(&before)
		err := Unmarshal(c.kind, c.body, body)
		runtime.ReadMemStats(&after)
		if c.valid != (err == nil) || err != nil && CodeOf(err) != CodeMalformed {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.most {
			t.Errorf("%s: %d bytes were allocated, at most %d are expected", c.name, got, c.most)
		}
	}
}

func TestAppendBody(t *testing.T) {
	b := AppendBody([]byte("x"), KindRefer, 4, 9, Refer{Service: "s", Endpoint: "tcp://h:1", Epoch: 3})
	b = AppendBody(b, KindDone, 0, 9, nil)
	got, err := readAll(b[1:])
	if err != nil || len(got) != 2 || got[1].Kind != KindDone || got[1].Size != 0 || got[0].Session != 4 || got[0].Task != 9 {
		t.Fatalf("%+v, %v", got, err)
	}
	var r Refer
	if err := Unmarshal(KindRefer, got[0].Payload, &r); err != nil || r.Endpoint != "tcp://h:1" || r.Epoch != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestDurationsAndTimes fixes how they travel: a time.Duration as nanoseconds, a Duration as text, a time as the
// timestamp extension.
func TestDurationsAndTimes(t *testing.T) {
	var m map[string]any
	if err := msgpack.Unmarshal(Marshal(StopContainer{Grace: 1500 * time.Millisecond}), &m); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m["grace"]); got != "1500000000" {
		t.Errorf("grace travels as %s", got)
	}
	if err := msgpack.Unmarshal(Marshal(Limits{Idle: Duration(90 * time.Second)}), &m); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%T %s", m["idle"], m["idle"]); got != "string 1m30s" {
		t.Errorf("idle travels as %s", got)
	}
	b := Marshal(ServiceInfo{Registered: time.Unix(1, 0)})
	if !bytes.Contains(b, append([]byte("registered"), 0xd6, 0xff, 0, 0, 0, 1)) {
		t.Errorf("a time travels as % x", b)
	}
}
