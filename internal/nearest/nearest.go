// Package nearest finds what somebody most likely meant who wrote a name that there is not. It is pure.
package nearest

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Of gives the candidate that s most likely stands for: the one with the fewest changed letters, if those are at most a
// third of its letters, or one, or one that s begins or that begins s. Case does not count.
func Of(s string, candidates []string) (string, bool) {
	best, least := "", max(1, len(s)/3)+1
	lower := strings.ToLower(s)
	for _, original := range candidates {
		c := strings.ToLower(original)
		d := distance(lower, c)
		if len(lower) >= 3 && (strings.HasPrefix(c, lower) || strings.HasPrefix(lower, c)) {
			d = min(d, 1)
		}
		if d < least {
			best, least = original, d
		}
	}
	return best, best != ""
}

// few is how many names [Few] gives.
const few = 3

// Few gives the few of the known names that look most like name, the most alike first, for an error that offers them.
func Few(name string, known iter.Seq[string]) []string {
	type candidate struct {
		name string
		far  int
	}
	var list []candidate
	for k := range known {
		list = append(list, candidate{k, distance(name, k)})
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.far, b.far) })
	list = list[:min(len(list), few)]
	names := make([]string, len(list))
	for i, l := range list {
		names[i] = l.name
	}
	return names
}

// longest is how many bytes of a name count.
const longest = 64

// distance counts the letters to be added, dropped, changed or swapped with their neighbour to get from a to b.
func distance(a, b string) int {
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
