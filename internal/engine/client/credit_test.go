package client

import (
	"math"
	"testing"
	"time"

	"github.com/weft-fabric/weft/protocol"
)

// live says whether what is consumed of a source still counts.
func live(w *world, from Source) bool {
	_, ok := w.e.Wanted(from)
	return ok
}

func TestTheBrokerIsToldWhenItAsks(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	for range 3 {
		w.submit(s, []byte("12345"))
	}
	w.answerAll()
	source := w.order[0].Source
	if n, _ := w.e.Wanted(source); n != math.MaxInt64 {
		t.Fatalf("%d bytes are wanted, and nobody has asked", n)
	}
	at := w.broker.routers["loop-0"].ends[42]
	ask := func(total uint64) {
		at.link.Append(protocol.KindAskCredit, 0, total, nil)
		w.broker.flush()
		w.route()
		w.settle()
	}
	ask(10)
	for i, want := range []int64{0, 10} {
		if n, _ := w.e.Wanted(source); n != 10-5*int64(i) {
			t.Errorf("%d bytes are wanted, want %d", n, 10-5*i)
		}
		w.e.Consumed(source, 5)
		w.settle()
		if at.consumed != want {
			t.Errorf("told %d, want %d", at.consumed, want)
		}
	}
	ask(10) // that was told; the model fails on it said twice
	if n, _ := w.e.Wanted(source); n != math.MaxInt64 {
		t.Errorf("%d bytes are wanted, and all is told", n)
	}
	w.e.Consumed(source, 5)
	w.settle()
	if at.consumed != 10 {
		t.Errorf("told %d, and nobody has asked", at.consumed)
	}
	ask(12)
	if at.consumed != 15 {
		t.Errorf("told %d of 15 that were consumed before it was asked", at.consumed)
	}
	ask(1000)
	w.restart()
	w.run(5 * time.Second)
	if n, _ := w.e.Wanted(source); n != math.MaxInt64 {
		t.Errorf("%d bytes of a conversation that is over are wanted", n)
	}
}
