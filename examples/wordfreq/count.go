package main

import (
	"bytes"
	"cmp"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Counts says how often each word occurs.
type Counts map[string]int

// Count counts the words of a text: its runs of two letters or more, in lower case. This is the work that the fabric
// spreads.
func (c Counts) Count(text []byte) {
	var lower []byte
	for len(text) > 0 {
		start := bytes.IndexFunc(text, unicode.IsLetter)
		if start < 0 {
			return
		}
		text = text[start:]
		lower = lower[:0]
		letters := 0
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			if !unicode.IsLetter(r) {
				break
			}
			lower = utf8.AppendRune(lower, unicode.ToLower(r))
			text = text[size:]
			letters++
		}
		if letters > 1 {
			c[string(lower)]++
		}
	}
}

// Merge adds what others have counted.
func (c Counts) Merge(other Counts) {
	for word, n := range other {
		c[word] += n
	}
}

// WordCount is one line of the answer.
type WordCount struct {
	Word string
	N    int
}

// Top gives the n most frequent words, the most frequent first; words of equal frequency in alphabetical order.
func (c Counts) Top(n int) []WordCount {
	all := make([]WordCount, 0, len(c))
	for word, count := range c {
		all = append(all, WordCount{word, count})
	}
	slices.SortFunc(all, func(a, b WordCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Word, b.Word))
	})
	return all[:min(n, len(all))]
}

// Differences lists the words on which c and other do not agree.
func (c Counts) Differences(other Counts) []string {
	var words []string
	for word, n := range c {
		if other[word] != n {
			words = append(words, word)
		}
	}
	for word := range other {
		if _, ok := c[word]; !ok {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}
