package main

// nearest finds among the frequent words the one nearest to a word, as far away as limit at most; of equally near ones the
// first. It is what the service does, written plainly, to compare with.
func nearest(word string, frequent []string, limit int) (best Match, found bool) {
	for _, other := range frequent {
		if d := distance(word, other, limit); d <= limit && (!found || d < best.Distance) {
			best, found = Match{Word: word, Near: other, Distance: d}, true
		}
	}
	return best, found
}

// distance is how many letters have to be changed, added or left out to make b of a (Levenshtein's distance), or
// something above limit when it is more than that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var table [2][longest + 2]int
	row, next := table[0][:len(b)+1], table[1][:len(b)+1]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		least := next[0]
		for j := range len(b) {
			same := row[j]
			if a[i] != b[j] {
				same++
			}
			next[j+1] = min(same, row[j+1]+1, next[j]+1)
			least = min(least, next[j+1])
		}
		if least > limit {
			return limit + 1
		}
		row, next = next, row
	}
	return row[len(b)]
}
