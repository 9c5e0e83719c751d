package main

import "strings"

// nearest gives the candidate that s most likely stands for: the one with the fewest changed letters, if that is at
// most a third of them, or one that s begins.
func nearest(s string, candidates []string) (string, bool) {
	best, least := "", len(s)/3+1
	lower := strings.ToLower(s)
	for _, c := range candidates {
		d := distance(lower, c)
		if len(lower) >= 3 && (strings.HasPrefix(c, lower) || strings.HasPrefix(lower, c)) {
			d = min(d, 1)
		}
		if d < least || d == least && best == "" {
			best, least = c, d
		}
	}
	return best, best != ""
}

// distance counts the letters to be added, dropped, changed or swapped with their neighbour to get from a to b.
func distance(a, b string) int {
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
