package archtest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weft-fabric/weft/internal/archtest"
)

// tree parses a module named "m" from a text of files, each after a line "-- name --".
func tree(t *testing.T, text string) *archtest.Tree {
	t.Helper()
	files := fstest.MapFS{}
	for _, part := range strings.Split("\n"+text, "\n-- ")[1:] {
		name, body, ok := strings.Cut(part, " --\n")
		if !ok {
			t.Fatalf("no file name in %q", part)
		}
		files[name] = &fstest.MapFile{Data: []byte(body + "\n")}
	}
	tr, err := archtest.Load(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func lines(found []archtest.Finding) []string {
	var out []string
	for _, f := range found {
		out = append(out, f.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wantFindings checks that each finding begins as one of want says, in order.
func wantFindings(t *testing.T, found []archtest.Finding, want ...string) {
	t.Helper()
	got := lines(found)
	if len(got) != len(want) {
		t.Errorf("%d findings, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		return
	}
	slices.Sort(want)
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) {
			t.Errorf("finding %q, want it to begin %q", got[i], w)
		}
	}
}

var layers = archtest.Layers{
	Levels: [][]string{{"low", "low2"}, {"mid", "mid/suite"}, {"top", "apps/..."}},
	Sideways: []archtest.Arrow{
		{From: "mid/suite", To: "mid", Why: "it tests it"},
	},
	Walls: []archtest.Wall{{From: "top", To: "low2", Why: "reasons."}},
	Sole:  []archtest.Sole{{Module: "example.org/lib", By: "low", Why: "one place."}},
}

func TestCheckLayers(t *testing.T) {
	for _, test := range []struct {
		name, files string
		want        []string
	}{
		{"imports that point down", `
-- low/a.go --
package low
import ("fmt"; "example.org/lib/v2"; "example.org/library")
-- mid/a.go --
package mid
import "m/low"
-- apps/x/a.go --
package main
import ("m/mid"; "m/low2")
`, nil},
		{"upward, and to the same level", `
-- low/a.go --
package low
import "m/mid"
-- low2/a.go --
package low2

import "m/low"
`, []string{
			"low/a.go:2: low (level 0) imports mid (level 1)",
			"low2/a.go:3: low2 (level 0) imports low (level 0): arrows point down only",
		}},
		{"an in-package test is bound, an external one is free", `
-- low/a.go --
package low
-- low/in_test.go --
package low
import "m/top"
-- low/ex_test.go --
package low_test
import ("m/top"; "m/low")
`, []string{"low/in_test.go:2: low (level 0) imports top (level 2)"}},
		{"sideways by exception, and only so", `
-- mid/a.go --
package mid
import "m/mid/suite"
-- mid/suite/a.go --
package suite
import "m/mid"
`, []string{"mid/a.go:2: mid (level 1) imports mid/suite (level 1)"}},
		{"an exception that is not needed", `
-- mid/suite/a.go --
package suite
`, []string{"mid/suite: no longer imports mid: take the exception out"}},
		{"a package without a level", `
-- new/thing/a.go --
package thing
import "m/top"
-- apps/x/y/a.go --
package y
import "m/new/thing"
`, []string{"new/thing: is in no level: give it a level"}},
		{"a wall, by a long way", `
-- top/a.go --
package top
import "m/mid"
-- mid/a.go --
package mid
import "m/low2"
`, []string{"top: must not know low2 (by way of top -> mid -> low2): reasons."}},
		{"a wall: tests of others do not count, own ones do", `
-- top/a.go --
package top
import "m/mid"
-- mid/a.go --
package mid
-- mid/a_test.go --
package mid
import "m/low2"
`, nil},
		{"a wall: own tests", `
-- top/a_test.go --
package top
import "m/low2"
-- top/b_test.go --
package top_test
import "m/low2"
`, []string{"top: must not know low2 (by way of top -> low2)"}},
		{"one importer, tests of all kinds included", `
-- low/a.go --
package low
import "example.org/lib"
-- top/b_test.go --
package top_test
import "example.org/lib/part"
`, []string{"top/b_test.go:2: top imports example.org/lib/part, which only low may: one place."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantFindings(t, archtest.CheckLayers(tree(t, test.files), layers), test.want...)
		})
	}
}

func TestLoadSkipsWhatTheGoCommandSkips(t *testing.T) {
	tr := tree(t, `
-- a.go --
package m
-- testdata/a.go --
this does not parse
-- .hidden/a.go --
nor this
-- _old/a.go --
nor this
-- tools/go.mod --
module m/tools
-- tools/a.go --
nor this
-- sub/_a.go --
nor this
-- sub/notes.txt --
nor this
`)
	if len(tr.Packages) != 1 || tr.Packages[0].Path != "m" || tr.Packages[0].Dir != "." || tr.Packages[0].Name != "m" {
		t.Errorf("packages %+v, want the root only", tr.Packages)
	}
}

func TestLoadFailsOnWhatDoesNotParse(t *testing.T) {
	_, err := archtest.Load(fstest.MapFS{"a/b.go": {Data: []byte("package")}}, "m")
	if err == nil || !strings.Contains(err.Error(), "a/b.go") {
		t.Errorf("err = %v, want one that names a/b.go", err)
	}
}
