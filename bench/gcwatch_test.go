package main

import (
	"runtime"
	"testing"

	"github.com/weft-fabric/weft/bench/party"
)

// A look counts what there was since the one before, and what it has forgotten it does not pass over.
func TestGCWatch(t *testing.T) {
	var g gcWatch
	runtime.GC()
	if c, err := g.look(); err != nil || c.Count < 1 || c.Longest <= 0 || c.Heap <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	before := g.seen
	runtime.GC()
	runtime.GC()
	c, err := g.look()
	if err != nil || c.Count < 2 || c.Count != g.seen-before {
		t.Errorf("%+v, %v; want 2 collections at least", c, err)
	}
	for range 300 {
		runtime.GC()
	}
	if c, err := g.look(); err == nil {
		t.Errorf("%+v of 300 collections, and no error", c)
	}
	if _, err := g.obey(t.Context(), party.Order{Do: "sing"}); err == nil {
		t.Error("the broker sings")
	}
	if a, err := g.obey(t.Context(), party.Order{Do: "collections"}); err != nil || len(a.Report) == 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAddCollections(t *testing.T) {
	var c collections
	c.add(collections{Count: 2, Longest: 5, Heap: 100})
	c.add(collections{Count: 1, Longest: 3, Heap: 200})
	c.add(collections{Heap: 50})
	if c != (collections{Count: 3, Longest: 5, Heap: 200}) {
		t.Errorf("%+v", c)
	}
}
