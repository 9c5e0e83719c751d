package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	cases := []struct {
		template template
		args     string
		want     string
	}{
		{template{words: []string{"gzip", "-k", "{}"}}, "a b", "[gzip -k a b]"},
		{template{words: []string{"gzip", "-k"}}, "a b", "[gzip -k a b]"},
		{template{words: []string{"cp", "{}", "{}.bak"}}, "a", "[cp a a.bak]"},
		{template{words: []string{"echo", "<{}>"}}, "a b", "[echo <a b>]"},
		{template{words: []string{"echo", "{}", "%"}, place: "%"}, "a", "[echo {} a]"},
		{template{words: []string{"cat"}, asInput: true}, "a b", "[cat] <a\nb\n>"},
		{template{words: []string{"echo", "{}"}, asInput: true}, "a", "[echo {}] <a\n>"},
		{template{words: []string{"sort {} | uniq > {}.out"}, shell: true}, "it's", `[/bin/sh -c sort 'it'\''s' | uniq > 'it'\''s'.out]`},
		{template{words: []string{"wc", "-l"}, shell: true}, "a b", "[/bin/sh -c wc -l 'a' 'b']"},
		{template{words: []string{"wc {}"}, shell: true, asInput: true}, "a", "[/bin/sh -c wc {}] <a\n>"},
	}
	for _, c := range cases {
		if c.template.place == "" {
			c.template.place = "{}"
		}
		j := c.template.job(strings.Fields(c.args))
		got := fmt.Sprint(j.args)
		if len(j.input) > 0 {
			got += fmt.Sprintf(" <%s>", j.input)
		}
		if got != c.want || j.label != c.args {
			t.Errorf("%+v of %q: %s (%q), want %s", c.template, c.args, got, j.label, c.want)
		}
	}
}

// broken gives a text, then fails.
type broken struct{ r io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the disk is gone")
	}
	return n, err
}

func TestLines(t *testing.T) {
	cases := []struct {
		text  string
		zeros bool
		want  []string
	}{
		{"a\nb c\n", false, []string{"a", "b c"}},
		{"a\r\n\n\nb", false, []string{"a", "b"}},
		{"", false, nil},
		{"a\nb\x00\x00c", true, []string{"a\nb", "", "c"}},
		{strings.Repeat("x", 100_000) + "\n", false, []string{strings.Repeat("x", 100_000)}},
	}
	for _, c := range cases {
		var got []string
		for a, err := range lines(strings.NewReader(c.text), c.zeros) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, a)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%.80q: %.80q, want %.80q", c.text, got, c.want)
		}
	}
	var got []string
	var failed error
	for j, err := range (template{words: []string{"echo"}, place: "{}"}).jobs(lines(broken{strings.NewReader("a\nb\nc\nd")}, false), 2) {
		if err != nil {
			failed = err
			continue
		}
		got = append(got, j.label)
	}
	if !slices.Equal(got, []string{"a b"}) || failed == nil || !strings.Contains(failed.Error(), "the disk is gone") {
		t.Errorf("%q, %v", got, failed)
	}
}

func TestJobsOfSeveralArguments(t *testing.T) {
	var got []string
	for j, err := range (template{words: []string{"echo"}, place: "{}"}).jobs(given(strings.Fields("a b c d e")), 2) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, j.label)
		if len(got) == 4 {
			break
		}
	}
	if !slices.Equal(got, []string{"a b", "c d", "e"}) {
		t.Errorf("%q", got)
	}
}

func TestShelf(t *testing.T) {
	s := newShelf(10)
	texts := map[int]string{0: "0123", 1: "456789", 2: "in the file", 3: "", 4: "this too"}
	for round := range 3 {
		for i := range texts {
			if err := s.put(i, []byte(texts[i])); err != nil {
				t.Fatal(err)
			}
		}
		if round > 0 && s.end > 60 {
			t.Errorf("the file grows to %d", s.end)
		}
		for _, i := range []int{4, 0, 3, 2, 1} {
			text, ok, err := s.take(i)
			if !ok || err != nil || string(text) != texts[i] {
				t.Errorf("%d: %q, %v, %v", i, text, ok, err)
			}
			if _, ok, _ := s.take(i); ok {
				t.Errorf("%d is still there", i)
			}
		}
		if s.room != 10 || s.end != 0 || s.filed != 0 {
			t.Errorf("empty, it has room %d, a file of %d bytes with %d", s.room, s.end, s.filed)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", "/nowhere")
	if err := newShelf(0).put(0, []byte("x")); err == nil {
		t.Error("a file in no folder")
	}
}
