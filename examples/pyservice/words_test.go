package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWordsAreCountedAndDivided(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.txt":     "frequent frequent frequent; fraquent once camelCaseWordthat short",
		"sub/b.txt": "frequent another another another\nzzzzzz",
		"binary":    "binarything\x00binarything",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := readWords(dir)
	if err != nil {
		t.Fatal(err)
	}
	if w.files != 2 {
		t.Errorf("%d texts, want 2", w.files)
	}
	frequent, rare := w.divide(3, 10)
	if got := strings.Join(frequent, " "); got != "frequent another" {
		t.Errorf("frequent: %s", got)
	}
	if got := strings.Join(rare, " "); got != "fraquent ordthat zzzzzz" {
		t.Errorf("rare: %s", got)
	}
	if _, few := w.divide(3, 2); len(few) != 2 || few[0] != "fraquent" || few[1] != "ordthat" {
		t.Errorf("2 of the rare ones are %q", few)
	}
	if _, err := readWords(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there can be read")
	}
}

// slow is the definition of the distance.
func slow(a, b string) int {
	switch {
	case a == "" || b == "":
		return len(a) + len(b)
	case a[0] == b[0]:
		return slow(a[1:], b[1:])
	}
	return 1 + min(slow(a[1:], b), slow(a, b[1:]), slow(a[1:], b[1:]))
}

func randomWord(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(7))
	for i := range b {
		b[i] = 'a' + byte(r.IntN(4))
	}
	return string(b)
}

func TestDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		a, b, limit := randomWord(r), randomWord(r), r.IntN(4)
		got, want := distance(a, b, limit), slow(a, b)
		if want <= limit && got != want || want > limit && got <= limit {
			t.Fatalf("%q to %q within %d: %d, want %d", a, b, limit, got, want)
		}
	}
}

func TestNearestIsTheMostFrequentOfTheNearest(t *testing.T) {
	frequent := []string{"receive", "receiver", "deceive", "believe"}
	for word, want := range map[string]Match{
		"renown":   {},
		"receivee": {"receivee", "receive", 1},
		"receiver": {"receiver", "receiver", 0},
		"eceive":   {"eceive", "receive", 1},
		"believes": {"believes", "believe", 1},
	} {
		if got, _ := nearest(word, frequent, 1); got != want {
			t.Errorf("%q: %v, want %v", word, got, want)
		}
	}
}

// TestTheServiceFindsTheSame runs the service's function itself, without a fabric.
func TestTheServiceFindsTheSame(t *testing.T) {
	const interpreter = "/usr/bin/python3"
	if out, err := exec.Command(interpreter, "-c", "import zmq, msgpack").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %s has no zmq or msgpack (make setup installs them): %v\n%s", interpreter, err, out)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var frequent, rare []string
	for len(frequent) < 60 {
		if word := randomWord(r); !slices.Contains(frequent, word) {
			frequent = append(frequent, word)
		}
	}
	for range 300 {
		rare = append(rare, randomWord(r)+"x")
	}
	var want strings.Builder
	for _, word := range rare {
		if m, ok := nearest(word, frequent, 2); ok {
			want.WriteString(word + " " + m.Near + "\n")
		}
	}
	script := `import sys
sys.path.insert(0, ".")
from typos import Index, Parameters
index = Index(Parameters(sys.argv[1].split(), 2))
for word in sys.argv[2].split():
    if found := index.nearest(word):
        print(word, found[0])
`
	cmd := exec.Command(interpreter, "-B", "-c", script, strings.Join(frequent, " "), strings.Join(rare, " "))
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() || strings.Count(want.String(), "\n") < 100 {
		t.Errorf("the service finds\n%s\nwant\n%s", got, &want)
	}
}
