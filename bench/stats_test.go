package main

import (
	"testing"
)

func TestTally(t *testing.T) {
	y := newTally(3)
	if y.right() || y.missing() != 3 {
		t.Errorf("nothing came back: right %v, missing %d", y.right(), y.missing())
	}
	for n := range uint64(3) {
		y.result(n)
	}
	if !y.right() || y.Once != 3 {
		t.Errorf("each came once: %+v", *y)
	}
	for name, spoil := range map[string]func(*tally){
		"again": func(y *tally) { y.result(1) }, "strange": func(y *tally) { y.result(3) },
		"failed": func(y *tally) { y.Failed++ },
	} {
		z := newTally(3)
		for n := range uint64(3) {
			z.result(n)
		}
		if spoil(z); z.right() {
			t.Errorf("%s: taken for right: %+v", name, *z)
		}
	}
}

func TestCountsAdd(t *testing.T) {
	var c counts
	c.add(counts{Tasks: 2, Once: 2})
	c.add(counts{Tasks: 3, Once: 1, Again: 1, Failed: 1, Strange: 1, Failure: "the reason"})
	c.add(counts{Failure: "another"})
	if want := (counts{Tasks: 5, Once: 3, Again: 1, Failed: 1, Strange: 1, Failure: "the reason"}); c != want || c.missing() != 2 {
		t.Errorf("%+v, %d missing; want %+v", c, c.missing(), want)
	}
}
