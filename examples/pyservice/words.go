package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Lengths of the words that are looked at. Short ones are near too many others.
const (
	shortest = 6
	longest  = 24
)

// words are those of the texts of a folder, and how often each is there.
type words struct {
	counts map[string]int
	files  int
}

// readWords counts the words of all text files below a folder.
func readWords(root string) (*words, error) {
	w := &words{counts: map[string]int{}}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return nil // not a text
		}
		w.files++
		w.count(text)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the texts under %s: %w", root, err)
	}
	return w, nil
}

// count counts the words of a text: runs of small letters of English, since programs put words together by capitals.
func (w *words) count(text []byte) {
	begin := -1
	for i, c := range append(text, '\n') {
		switch letter := c >= 'a' && c <= 'z'; {
		case letter && begin < 0:
			begin = i
		case !letter && begin >= 0:
			if n := i - begin; n >= shortest && n <= longest {
				w.counts[string(text[begin:i])]++
			}
			begin = -1
		}
	}
}

// divide gives the words that are there often, most frequent first, and at most some of those that are there once, picked
// evenly in their order.
func (w *words) divide(often, some int) (frequent, rare []string) {
	for word, n := range w.counts { // order does not matter: both are sorted
		switch {
		case n >= often:
			frequent = append(frequent, word)
		case n == 1:
			rare = append(rare, word)
		}
	}
	slices.SortFunc(frequent, func(a, b string) int {
		return cmp.Or(cmp.Compare(w.counts[b], w.counts[a]), cmp.Compare(a, b))
	})
	slices.Sort(rare)
	if len(rare) <= some {
		return frequent, rare
	}
	picked := make([]string, some)
	for i := range picked {
		picked[i] = rare[i*len(rare)/some]
	}
	return frequent, picked
}
