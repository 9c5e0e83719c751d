package main

import (
	"reflect"
	"testing"
)

func TestCount(t *testing.T) {
	cases := []struct {
		text string
		want Counts
	}{
		{"", Counts{}},
		{"123 -- \n", Counts{}},
		{"if", Counts{"if": 1}},
		{"Return err; return nil", Counts{"return": 2, "err": 1, "nil": 1}},
		{"xs1ys xs_ys", Counts{"xs": 2, "ys": 2}},
		{"a b é", Counts{}},
		{"Größe größe GRÖSSE", Counts{"größe": 2, "grösse": 1}},
		{"aa\xffbb", Counts{"aa": 1, "bb": 1}},
		{"\xff\xfe", Counts{}},
		{"язык\tЯЗЫК", Counts{"язык": 2}},
	}
	for _, c := range cases {
		got := Counts{}
		got.Count([]byte(c.text))
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("Count(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

func TestMergeIsCountingAll(t *testing.T) {
	texts := []string{"to be or not to be", "that is the question", "To"}
	all, parts := Counts{}, Counts{}
	for _, text := range texts {
		all.Count([]byte(text))
		part := Counts{}
		part.Count([]byte(text))
		parts.Merge(part)
	}
	if d := parts.Differences(all); len(d) != 0 || parts["to"] != 3 {
		t.Errorf("merged counts differ on %q: %v, want %v", d, parts, all)
	}
}

func TestTop(t *testing.T) {
	c := Counts{"b": 2, "a": 2, "c": 3, "d": 1}
	want := []WordCount{{"c", 3}, {"a", 2}, {"b", 2}}
	if got := c.Top(3); !reflect.DeepEqual(got, want) {
		t.Errorf("Top(3) = %v, want %v", got, want)
	}
	if got := c.Top(9); len(got) != 4 {
		t.Errorf("Top(9) of 4 words = %v", got)
	}
}

func TestDifferences(t *testing.T) {
	a, b := Counts{"same": 1, "more": 2, "gone": 1}, Counts{"same": 1, "more": 3, "new": 1}
	want := []string{"gone", "more", "new"}
	if got := a.Differences(b); !reflect.DeepEqual(got, want) {
		t.Errorf("Differences = %q, want %q", got, want)
	}
	if got := a.Differences(a); got != nil {
		t.Errorf("Differences from itself = %q", got)
	}
}
