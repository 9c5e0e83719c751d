package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// batchSize is how many bytes of text go into one task: enough that sending it costs little beside counting it, and
// little enough that many tasks keep all instances busy to the end.
const batchSize = 1 << 20

// Texts is a task: the contents of some files.
type Texts [][]byte

// tree is a folder whose text files are to be counted. After a walk it says what was found.
type tree struct {
	root  string
	files int
	tasks int // that were made of them
	bytes int64
	err   error // why the last walk ended early
}

// batches walks the tree and yields the contents of its text files in tasks of about batchSize.
func (t *tree) batches() iter.Seq[Texts] {
	return func(yield func(Texts) bool) {
		t.files, t.bytes, t.tasks = 0, 0, 0
		var batch Texts
		size := 0
		t.err = filepath.WalkDir(t.root, func(path string, entry fs.DirEntry, err error) error {
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
			t.files++
			t.bytes += int64(len(text))
			batch = append(batch, text)
			if size += len(text); size < batchSize {
				return nil
			}
			full := batch
			batch, size = nil, 0
			t.tasks++
			if !yield(full) {
				return fs.SkipAll
			}
			return nil
		})
		if t.err != nil {
			t.err = fmt.Errorf("read the texts under %s: %w", t.root, t.err)
			return
		}
		if len(batch) > 0 {
			t.tasks++
			yield(batch)
		}
	}
}
