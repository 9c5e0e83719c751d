package client

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/protocol"
)

// declare makes a session with a service that declares its types.
func declare(t *testing.T, task, result string) (*fakeBroker, *Session) {
	t.Helper()
	b := newFakeBroker(t, "inproc")
	b.do(func() {
		b.credits.Interface = protocol.Interface{Task: task, Result: result}
		b.credits.Version = "3"
	})
	_, s := b.connect()
	return b, s
}

type (
	order struct {
		Symbol string `msgpack:"symbol"`
		Days   int32  `msgpack:"days"`
	}
	longOrder struct {
		Symbol string `msgpack:"symbol"`
		Days   int64  `msgpack:"days"`
	}
)

func TestTypesAreComparedBeforeAnythingIsSent(t *testing.T) {
	b, s := declare(t, "{symbol: string, days: int32}", "{symbol: string, days: int32}")
	if out, err := (Method[order, order]{}).Call(soon(t), s, order{"WFT", 3}); err != nil || out.Days != 3 {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := (Method[order, longOrder]{}).Call(soon(t), s, order{"WFT", 3}); err != nil || out.Days != 3 {
		t.Fatalf("a wider result: %+v, %v", out, err)
	}
	want := "service echo 3: Interface: it takes tasks of type {symbol: string, days: int32}, and this client sends " +
		"{symbol: string, days: int} (client.longOrder): days: int cannot be read as int32"
	for range 2 { // the answer is remembered, and the same
		_, err := (Method[longOrder, order]{}).Call(soon(t), s, longOrder{})
		if !errors.Is(err, ErrInterface) || err.Error() != want {
			t.Fatalf("got %v, want %s", err, want)
		}
	}
	if _, err := (Method[longOrder, order]{}).Submit(soon(t), s, longOrder{}); !errors.Is(err, ErrInterface) {
		t.Fatal(err)
	}
	n := 0
	for _, err := range (Method[order, string]{}).Map(soon(t), s, slices.Values([]order{{}, {}})) {
		n++
		if !errors.Is(err, ErrInterface) || !strings.Contains(err.Error(), "it gives results of type {symbol: string, days: int32}, and this client expects string (string)") {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Errorf("Map goes on %d times", n)
	}
	if _, err := (Method[order, order]{}).Call(soon(t), s, order{}); err != nil {
		t.Fatal(err)
	}
	b.do(func() {
		if runs := b.sessions[s.core.Number()].runs; runs != 3 {
			t.Errorf("%d tasks were sent, want 3", runs)
		}
	})
}

func TestWhatIsNotDeclaredIsNotCompared(t *testing.T) {
	_, s := declare(t, "", "string")
	if out, err := (Method[string, string]{}).Call(soon(t), s, "x"); err != nil || out != "x" {
		t.Fatal(err)
	}
	_, err := (Method[int, int]{}).Call(soon(t), s, 1)
	if !errors.Is(err, ErrInterface) || strings.Contains(err.Error(), "tasks") {
		t.Fatal(err)
	}
	_, s = declare(t, "bytes", "")
	if _, err := s.Call(soon(t), []byte("\x01anything")); err != nil {
		t.Fatalf("calls without types are nobody's: %v", err)
	}
}

// Bytes travel as they are, and what only looks like bytes does not pass for them.
func TestBytesAreThePayload(t *testing.T) {
	type named []byte
	_, s := declare(t, "bytes", "bytes")
	out, err := (Method[[]byte, []byte]{}).Call(soon(t), s, []byte("plain"))
	if err != nil || string(out) != "plain" {
		t.Fatalf("%q, %v", out, err)
	}
	if got := protocol.PayloadTypeOf(reflect.TypeFor[named]()).String(); got != "any" {
		t.Errorf("%s", got)
	}
	raw, err := (Method[named, []byte]{}).Call(soon(t), s, named("plain"))
	if err != nil || string(raw) != "\xc4\x05plain" {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestDeclarationsOfALaterNotation(t *testing.T) {
	_, s := declare(t, "decimal<10>", "int")
	if _, err := (Method[int, int]{}).Call(soon(t), s, 1); err != nil {
		t.Fatalf("what cannot be read is not compared: %v", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	broker := newFakeBroker(b, "inproc")
	broker.do(func() { broker.credits.Interface = protocol.Interface{Task: "int", Result: "int"} })
	_, s := broker.connect()
	b.ReportAllocs()
	for b.Loop() {
		if err := check[int, int](s); err != nil {
			b.Fatal(err)
		}
	}
}
