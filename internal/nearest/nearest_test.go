package nearest

import (
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	keys := []string{"name", "version", "instances", "interface", "limits", "slots", "sessions", "From"}
	cases := map[string]string{
		"nam": "name", "Name": "name", "FROM": "From", "instance": "instances", "verion": "version", "inter": "interface",
		"limit": "limits", "slot": "slots", "xyz": "", "colour": "",
	}
	for in, want := range cases {
		if got, _ := Of(in, keys); got != want {
			t.Errorf("Of(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFew(t *testing.T) {
	got := Few("pric", slices.Values([]string{"square", "prices", "price", "wordfreq", "prime"}))
	if want := []string{"price", "prices", "prime"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Few("a", slices.Values([]string{})); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}
