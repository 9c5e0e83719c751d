package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBatches(t *testing.T) {
	dir := t.TempDir()
	half := strings.Repeat("word ", batchSize/5/2+1)
	write(t, filepath.Join(dir, "a.txt"), half)
	write(t, filepath.Join(dir, "b", "b.txt"), half)
	write(t, filepath.Join(dir, "b", "binary"), "aa\x00bb")
	write(t, filepath.Join(dir, "c.txt"), "last words")
	if err := os.Symlink("a.txt", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	folder := tree{root: dir}
	for range 2 { // a second walk begins anew
		var sizes []int
		counts := Counts{}
		for texts := range folder.batches() {
			sizes = append(sizes, len(texts))
			for _, text := range texts {
				counts.Count(text)
			}
		}
		if folder.err != nil || folder.files != 3 || folder.bytes != int64(2*len(half)+len("last words")) {
			t.Errorf("found %d files, %d bytes, %v", folder.files, folder.bytes, folder.err)
		}
		if len(sizes) != 2 || sizes[0] != 2 || sizes[1] != 1 {
			t.Errorf("files in the tasks: %v, want [2 1]", sizes)
		}
		if counts["last"] != 1 || counts["bb"] != 0 {
			t.Errorf("counted %v", counts)
		}
	}
}

func TestBatchesEndEarly(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(dir, name), strings.Repeat("x", batchSize))
	}
	folder := tree{root: dir}
	for range folder.batches() {
		break
	}
	if folder.err != nil || folder.files != 1 {
		t.Errorf("after one task: %d files, %v", folder.files, folder.err)
	}
}

func TestBatchesOfNothing(t *testing.T) {
	folder := tree{root: filepath.Join(t.TempDir(), "missing")}
	for range folder.batches() {
		t.Error("a task of a folder that does not exist")
	}
	if folder.err == nil || !strings.Contains(folder.err.Error(), "missing") {
		t.Errorf("error: %v, want one that names the folder", folder.err)
	}
}
