package store_test

import (
	"errors"
	"testing"

	"github.com/weft-fabric/weft/broker/store"
)

func TestMemKeepsEntriesInOrder(t *testing.T) {
	m := store.NewMem()
	record := []byte("a")
	if err := m.Append([]store.Entry{{Index: 1, Core: 0, Records: [][]byte{record}}, {Index: 2, Core: 1, Records: [][]byte{[]byte("b"), []byte("c")}}}); err != nil {
		t.Fatal(err)
	}
	record[0] = 'x' // the store has a copy
	var got string
	if err := m.Read(1, func(e store.Entry) bool {
		for _, r := range e.Records {
			got += string(r)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if got != "abc" || m.Last() != 2 {
		t.Fatalf("read %q up to %d, want abc up to 2", got, m.Last())
	}
	got = ""
	if err := m.Read(2, func(e store.Entry) bool { got += string(e.Records[0]); return false }); err != nil || got != "b" {
		t.Fatalf("read %q from 2 and stopped (%v), want b", got, err)
	}
}

func TestMemRefusesGaps(t *testing.T) {
	m := store.NewMem()
	if err := m.Append([]store.Entry{{Index: 1}, {Index: 3}}); err == nil {
		t.Fatal("took index 3 after 1")
	}
	if m.Last() != 0 {
		t.Fatalf("kept %d entries of a refused batch", m.Last())
	}
}

func TestMemIsBounded(t *testing.T) {
	m := store.NewMem()
	for i := range uint64(100) {
		if err := m.Append([]store.Entry{{Index: i + 1, Records: [][]byte{make([]byte, 64<<10)}}}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := m.Read(0, func(store.Entry) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	if m.Last() != 100 || n == 0 || n > 17 {
		t.Fatalf("last %d, %d entries kept; want 100 and at most 17", m.Last(), n)
	}
}

func TestMemClosed(t *testing.T) {
	m := store.NewMem()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Append([]store.Entry{{Index: 1}}); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	if err := m.Read(1, nil); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
}
