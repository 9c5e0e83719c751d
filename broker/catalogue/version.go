package catalogue

import (
	"cmp"
	"strings"
)

// version is a version's text, taken apart for comparison.
type version struct {
	text  string
	parts []string // of the release
	pre   []string // of the pre-release; nil when it is none
}

// parseVersion takes any text apart; see [CompareVersions].
func parseVersion(text string) version {
	v := version{text: text}
	rest, _, _ := strings.Cut(text, "+")
	if len(rest) > 1 && (rest[0] == 'v' || rest[0] == 'V') && digit(rest[1]) {
		rest = rest[1:]
	}
	if release, pre, ok := strings.Cut(rest, "-"); ok && pre != "" && (!digit(pre[0]) || threeNumbers(release)) {
		rest, v.pre = release, strings.FieldsFunc(pre, divides)
	}
	v.parts = strings.FieldsFunc(rest, divides)
	return v
}

func divides(r rune) bool { return r == '.' || r == '_' || r == '-' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

// threeNumbers says whether s is of the form 1.2.3, which makes the version a semantic one.
func threeNumbers(s string) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 3
}

// CompareVersions orders versions: as Semantic Versioning does, and others by their parts, numbers by their value
// (docs/rfc, section 7.1). It is 0 for equal texts only.
func CompareVersions(a, b string) int { return parseVersion(a).compare(parseVersion(b)) }

func (v version) compare(o version) int {
	if c := compareParts(v.parts, o.parts, "0"); c != 0 {
		return c
	}
	switch {
	case v.pre == nil && o.pre != nil:
		return 1
	case v.pre != nil && o.pre == nil:
		return -1
	}
	return cmp.Or(compareParts(v.pre, o.pre, ""), cmp.Compare(v.text, o.text))
}

// compareParts compares part by part, a missing one being as absent; of absent "" the longer is higher.
func compareParts(a, b []string, absent string) int {
	for i := range max(len(a), len(b)) {
		x, y := absent, absent
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := comparePart(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// comparePart compares runs of digits by their value and other letters by their bytes. A number comes before what is
// none, and nothing before both.
func comparePart(a, b string) int {
	for a != "" && b != "" {
		x, y := run(a), run(b)
		a, b = a[len(x):], b[len(y):]
		numbers := digit(x[0])
		if numbers != digit(y[0]) {
			if numbers {
				return -1
			}
			return 1
		}
		if numbers {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Compare(len(x), len(y)); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// run is the longest beginning of s that is all digits, or has none.
func run(s string) string {
	n := 1
	for n < len(s) && digit(s[n]) == digit(s[0]) {
		n++
	}
	return s[:n]
}
