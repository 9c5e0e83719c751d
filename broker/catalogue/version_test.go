package catalogue_test

import (
	"testing"

	"pgregory.net/rapid"

	. "github.com/weft-fabric/weft/broker/catalogue"
)

func TestVersionsInTheirOrder(t *testing.T) {
	for _, chain := range [][]string{
		// as semver.org has them in its section 11
		{"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"},
		{"1.0.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0"},
		{"1.0.0-0.3.7", "1.0.0-1", "1.0.0"},
		// what people write otherwise
		{"1", "1.0", "1.0.0", "1.1", "2", "10", "100"}, // 1 and 1.0 are equal but for their text
		{"2-beta", "2-rc1", "2-rc9", "2-rc10", "2", "v2", "2.1"},
		{"2024-05-01", "2024-05-02", "2024-10-01", "2025-01-01"},
		{"20240501", "20240502"},
		{"1.2", "1.2a", "1.2b", "1.3"},
		{"1.0+build1", "1.0+build2"},
		{"1_9", "1_10"},
		{"7", "abc", "abd"},
		{"007", "7", "0008"},
	} {
		for i, a := range chain {
			for j, b := range chain {
				got := CompareVersions(a, b)
				if want := sign(i - j); got != want {
					t.Errorf("%s and %s: %d, want %d", a, b, got, want)
				}
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestVersionsHaveOneOrder(t *testing.T) {
	version := rapid.StringMatching(`[v0-2a](\.|-|_|\+)?[0-2a.v]{0,4}(-[a-c0-2.]{0,3})?(\+[ab])?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		ab, bc, ac := CompareVersions(a, b), CompareVersions(b, c), CompareVersions(a, c)
		switch {
		case (ab == 0) != (a == b):
			t.Fatalf("%q and %q: %d", a, b, ab)
		case ab != -CompareVersions(b, a):
			t.Fatalf("%q and %q: %d both ways", a, b, ab)
		case ab <= 0 && bc <= 0 && ac > 0:
			t.Fatalf("%q <= %q <= %q, and yet %q > %q", a, b, c, a, c)
		}
	})
}
