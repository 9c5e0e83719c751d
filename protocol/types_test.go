package protocol_test

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/protocol"
)

func mustType(t testing.TB, text string) Type {
	t.Helper()
	v, err := ParseType(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseType(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"int", "int"},
		{" int64 ", "int"},
		{"uint64?", "uint?"},
		{"float64", "float"},
		{"any?", "any"},
		{"null?", "null"},
		{"list<float>", "list<float>"},
		{"map<string,list<int8?>>?", "map<string, list<int8?>>?"},
		{"[int,string , bytes]", "[int, string, bytes]"},
		{"[]", "[]"},
		{"{}", "{}"},
		{"{ symbol:string, price : float , at?: time? }", "{symbol: string, price: float, at?: time?}"},
		{"{Größe: {x-1: bool}}", "{Größe: {x-1: bool}}"},
	} {
		got := mustType(t, c.text).String()
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
		if again := mustType(t, got).String(); again != got {
			t.Errorf("%q is read as %q", got, again)
		}
	}
}

func TestParseTypeSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "it ends where one of any, null"},
		{"Trade", `at letter 1 there is "Trade" where one of any, null`},
		{"list", `it ends where "<" is expected`},
		{"list<int", `it ends where ">" is expected`},
		{"list<int,int>", `at letter 9 there is ",int>" where ">" is expected`},
		{"map<int>", `at letter 8 there is ">" where "," is expected`},
		{"map<int,int,int>", `where ">" is expected`},
		{"int int", `at letter 5 there is "int" where the end is expected`},
		{"int??", "where the end is expected"},
		{"[int", `where "]" is expected`},
		{"{: int}", "where the name of a field is expected"},
		{"{a int}", `where ":" is expected`},
		{"{a: int b: int}", `where "," or "}" is expected`},
		{"{a: int, a: bool}", "the field a twice"},
		{"{a: what}", `at letter 5 there is "what}"`},
		{strings.Repeat("list<", 40) + "int" + strings.Repeat(">", 40), "more than 32 levels"},
		{strings.Repeat(" ", 20_000), "at most 16384"},
	} {
		_, err := ParseType(c.text)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q: %v; want it to say %q", c.text, err, c.says)
		}
	}
}

func FuzzParseType(f *testing.F) {
	f.Add("{a?: map<string, list<[int, bytes?]>>}")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseType(text)
		if err != nil {
			return
		}
		if again, err := ParseType(v.String()); err != nil || again.String() != v.String() {
			t.Fatalf("%q is printed as %q, and that is read as %q, %v", text, v, again, err)
		}
		if err := errors.Join(v.Reads(v), v.Takes(v)); err != nil {
			t.Fatalf("%q does not read itself: %v", v, err)
		}
	})
}

func TestReads(t *testing.T) {
	for _, c := range []struct{ reader, writer, why string }{
		{"any", "{a: int}", ""},
		{"int", "any", ""},
		{"int", "int32", ""},
		{"int32", "int", "int cannot be read as int32"},
		{"int", "uint32", ""},
		{"int", "uint", "uint cannot be read as int"},
		{"uint", "int8", "int8 cannot be read as uint"},
		{"uint16", "uint8", ""},
		{"float", "float32", ""},
		{"float32", "float", "float cannot be read as float32"},
		{"float", "int32", ""},
		{"float", "int", "int cannot be read as float"},
		{"float32", "uint16", ""},
		{"float32", "int32", "int32 cannot be read as float32"},
		{"int", "float", "float cannot be read as int"},
		{"string", "bytes", "bytes cannot be read as string"},
		{"bool", "int", "int cannot be read as bool"},
		{"int?", "int8", ""},
		{"int?", "null", ""},
		{"int?", "int8?", ""},
		{"int", "int?", "int? may be null, and int may not"},
		{"int", "null", "null cannot be read as int"},
		{"list<float>", "list<float32>", ""},
		{"list<string>", "list<int>", " element: int cannot be read as string"},
		{"list<int>", "[int8, uint8]", ""},
		{"list<int>", "[int, bool]", " value 1: bool cannot be read as int"},
		{"[int, int]", "list<int>", "list<int> cannot be read as [int, int]"},
		{"[int]", "[int, int]", "[int, int] cannot be read as [int]"},
		{"[int, float]", "[int, int]", " value: int cannot be read as float"},
		{"map<string, int>", "map<string, int8>", ""},
		{"map<int, int>", "map<string, int>", " key: string cannot be read as int"},
		{"map<string, int>", "map<string, bool>", " value: bool cannot be read as int"},
		{"map<string, int>", "{a: int8, b: uint8}", ""},
		{"map<string, int>", "{a: int8, b: bool}", "b: bool cannot be read as int"},
		{"map<int, int>", "{a: int}", " key: string cannot be read as int"},
		{"{a: int}", "map<string, int>", "map<string, int> cannot be read as {a: int}"},
		{"{b: float, a: int}", "{a: int, b: float, c: bool}", ""},
		{"{a: int, b: float}", "{a: int}", "b: it is missing"},
		{"{a: int, b?: float}", "{a: int}", ""},
		{"{a: int}", "{a?: int}", "a: it may be missing, and has to be there"},
		{"{a: {b: list<int>}}", "{a: {b: list<string>}}", "a.b element: string cannot be read as int"},
	} {
		why := ""
		if err := mustType(t, c.reader).Reads(mustType(t, c.writer)); err != nil {
			why = err.Error()
		}
		if why != c.why {
			t.Errorf("%s read as %s: %q, want %q", c.writer, c.reader, why, c.why)
		}
	}
}

type (
	inner struct {
		A int8
		B string `msgpack:"b"`
	}
	outer struct {
		inner
		Price  float64            `msgpack:"price"`
		Note   string             `msgpack:"note,omitempty"`
		Hidden int                `msgpack:"-"`
		Next   *inner             `msgpack:"next"`
		Tags   map[string]bool    `msgpack:"tags"`
		Raw    []byte             `msgpack:"raw"`
		When   time.Time          `msgpack:"when"`
		Any    any                `msgpack:"any"`
		Lists  [][]uint16         `msgpack:"lists"`
		Three  [3]float32         `msgpack:"three"`
		Addr   netip.Addr         `msgpack:"addr"`
		Self   msgpack.RawMessage `msgpack:"self"`
		secret int
	}
	pair struct {
		_msgpack struct{} `msgpack:",as_array"`
		X        int
		Y        string
	}
	tree struct {
		Value    int    `msgpack:"value"`
		Children []tree `msgpack:"children"`
	}
	shadow struct {
		B     int `msgpack:"b"`
		inner `msgpack:"inner"`
	}
	told struct {
		B     int `msgpack:"b"`
		inner `msgpack:",inline"`
	}
	odd struct {
		A int `msgpack:"a b"`
	}
)

func TestTypeOf(t *testing.T) {
	_ = outer{secret: 1}.secret
	_ = pair{}._msgpack
	for _, c := range []struct {
		of   any
		want string
	}{
		{int(0), "int"},
		{int64(0), "int"},
		{uint8(0), "uint8"},
		{time.Second, "int"},
		{float32(0), "float32"},
		{"", "string"},
		{[]byte(nil), "bytes"},
		{[4]byte{}, "bytes"},
		{struct{}{}, "{}"},
		{map[string]any(nil), "map<string, any>"},
		{(*int)(nil), "int?"},
		{(**int)(nil), "int?"},
		{(*any)(nil), "any"},
		{make(chan int), "any"},
		{time.Time{}, "time"},
		{inner{}, "{A: int8, b: string}"},
		{outer{}, "{A: int8, b: string, price: float, note?: string, next: {A: int8, b: string}?, tags: map<string, bool>, " +
			"raw: bytes, when: time, any: any, lists: list<list<uint16>>, three: list<float32>, addr: bytes, self: any}"},
		{pair{}, "[int, string]"},
		{tree{}, "{value: int, children: list<any>}"},
		{shadow{}, "{b: int, inner: {A: int8, b: string}}"},
		{told{}, "{b: int, A: int8}"},
		{odd{}, "any"},
		{Interface{}, "{Task: string, Result: string}"},
	} {
		got := TypeOf(reflect.TypeOf(c.of)).String()
		if got != c.want {
			t.Errorf("%T: %s, want %s", c.of, got, c.want)
		}
		mustType(t, got)
	}
	if got := TypeOf(reflect.TypeFor[error]()).String(); got != "string?" {
		t.Errorf("error: %s", got)
	}
}

// keys gives the keys of what the library really wrote, in order; nil for what is no map.
func keys(t *testing.T, v any) []string {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	dec := msgpack.NewDecoder(strings.NewReader(string(b)))
	n, err := dec.DecodeMapLen()
	if err != nil {
		return nil
	}
	var all []string
	for range n {
		k, err := dec.DecodeString()
		if err != nil {
			t.Fatal(err)
		}
		if err := dec.Skip(); err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

// The fields that TypeOf names are those that the library writes.
func TestTypeOfAgreesWithTheLibrary(t *testing.T) {
	for _, v := range []any{inner{}, outer{Note: "n", Next: &inner{}, inner: inner{A: 1}}, shadow{}, told{}, tree{}} {
		text := TypeOf(reflect.TypeOf(v)).String()
		for _, k := range keys(t, v) {
			if !strings.Contains(text, k+": ") && !strings.Contains(text, k+"?: ") {
				t.Errorf("%T: key %q is not in %s", v, k, text)
			}
		}
	}
}

// What Reads accepts between Go types arrives unchanged by msgpack.
func TestWhatIsReadArrivesUnchanged(t *testing.T) {
	samples := []any{
		int8(-5), int16(math.MinInt16), int32(math.MaxInt32), int64(math.MinInt64), uint8(255), uint16(65535),
		uint32(math.MaxUint32), uint64(math.MaxUint64), float32(1.5), 2.5, "text", []byte("bytes"), true,
	}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom(samples).Draw(t, "from")
		to := rapid.SampledFrom(samples).Draw(t, "to")
		target := reflect.New(reflect.TypeOf(to))
		if TypeOf(target.Type().Elem()).Reads(TypeOf(reflect.TypeOf(from))) != nil {
			return
		}
		b, err := msgpack.Marshal(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := msgpack.Unmarshal(b, target.Interface()); err != nil {
			t.Fatalf("%T as %T: %v", from, to, err)
		}
		back := target.Elem().Convert(reflect.TypeOf(from)).Interface()
		if !reflect.DeepEqual(back, from) {
			t.Fatalf("%v (%T) as %T: %v", from, from, to, target.Elem())
		}
	})
}

// A service takes no key of a task that it does not know; a client reads the keys of a result that it knows.
func TestTakes(t *testing.T) {
	for _, c := range []struct{ reader, writer, takes, reads string }{
		{"{a: int}", "{a: int8}", "", ""},
		{"{a: int, b?: int}", "{a: int}", "", ""},
		{"{a: int}", "{a: int, c: int}", "c: it is not known there", ""},
		{"{a: int}", "{a: int, c?: int}", "c: it is not known there", ""},
		{"list<{a: [{b: int}]}>", "list<{a: [{b: int, c: int}]}>", " element.a value.c: it is not known there", ""},
		{"map<string, int>", "{a: int}", "", ""},
		{"any", "{a: int}", "", ""},
		{
			"{from: int}", "{From: int}",
			"from: it is missing; From is another key (a struct in Go names its keys by tags: `msgpack:\"from\"`)",
			"from: it is missing; From is another key (a struct in Go names its keys by tags: `msgpack:\"from\"`)",
		},
		{
			"{OrderID?: int}", "{order_id: int}",
			"order_id: it is not known there; OrderID is another key (a struct in Go names its keys by tags: `msgpack:\"order_id\"`)", "",
		},
	} {
		reader, writer := mustType(t, c.reader), mustType(t, c.writer)
		for _, got := range []struct {
			how  string
			why  error
			want string
		}{{"takes", reader.Takes(writer), c.takes}, {"reads", reader.Reads(writer), c.reads}} {
			if got.why == nil && got.want != "" || got.why != nil && got.why.Error() != got.want {
				t.Errorf("%v %s %v: %v, want %q", reader, got.how, writer, got.why, got.want)
			}
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		declared, instance Interface
		want               string
	}{
		{Interface{}, Interface{Task: "int", Result: "int"}, ""},
		{Interface{Task: "int", Result: "int"}, Interface{}, ""},
		{Interface{Task: "int8", Result: "list<int>"}, Interface{Task: "int", Result: "list<int8>"}, ""},
		{Interface{Task: "decimal<3>"}, Interface{Task: "int"}, ""},
		{
			Interface{Task: "{a: int, b: int}"},
			Interface{Task: "{a: int}"},
			"it is declared to take tasks of type {a: int, b: int}, and this instance takes {a: int}: b: it is not known there",
		},
		{
			Interface{Result: "string"},
			Interface{Result: "bytes"},
			"it is declared to give results of type string, and this instance gives bytes: bytes cannot be read as string",
		},
	} {
		err := c.declared.Fits(c.instance)
		if err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%v, %v: %v, want %q", c.declared, c.instance, err, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	if got, want := strings.Join(mustType(t, "{a: list<{b: int}>, c?: map<string, {d: int}>?}").Keys(), " "), "a c b d"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
