package archtest_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weft-fabric/weft/internal/archtest"
)

const root = "../.."

// loadWeft parses the module that this test is in.
func loadWeft(t *testing.T) *archtest.Tree {
	t.Helper()
	gomod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(gomod), "\n"); first != "module "+archtest.Module {
		t.Fatalf("go.mod says %q, the rules are for %s", first, archtest.Module)
	}
	tree, err := archtest.Load(os.DirFS(root), archtest.Module)
	if err != nil {
		t.Fatal(err)
	}
	if tree.Find("internal/archtest") == nil {
		t.Fatal("the tree lacks this very package: nothing was checked")
	}
	return tree
}

func report(t *testing.T, found []archtest.Finding) {
	t.Helper()
	for _, line := range lines(found) {
		t.Error(line)
	}
}

func TestLayers(t *testing.T) {
	report(t, archtest.CheckLayers(loadWeft(t), archtest.WeftLayers()))
}

func TestHouse(t *testing.T) {
	report(t, archtest.CheckHouse(loadWeft(t), archtest.WeftHouse()))
}

// TestPurity builds the pure packages without cgo, and reads what they do.
func TestPurity(t *testing.T) {
	tree := loadWeft(t)
	checked := 0
	for _, dir := range slices.Concat(archtest.WeftLayers().Levels[:archtest.PureLevels]...) {
		p := tree.Find(dir)
		if p == nil {
			continue
		}
		checked++
		t.Run(dir, func(t *testing.T) {
			imports, err := archtest.Exports(tree.Fset, root, p.Path)
			if err != nil {
				t.Fatalf("a pure package builds without cgo, to run on every platform and in the simulator: %v", err)
			}
			report(t, archtest.CheckPurity(tree, p, archtest.WeftPurity(), imports))
		})
	}
	if checked == 0 {
		t.Error("no pure packages: nothing was checked")
	}
}

// TestTablesGiveReasons checks that the tables themselves say why.
func TestTablesGiveReasons(t *testing.T) {
	layers, purity, house := archtest.WeftLayers(), archtest.WeftPurity(), archtest.WeftHouse()
	if len(layers.Levels) != 8 {
		t.Errorf("%d levels, want 8", len(layers.Levels))
	}
	seen := map[string]bool{}
	for n, level := range layers.Levels {
		for _, p := range level {
			if seen[p] {
				t.Errorf("%s is twice in the levels, the second time in %d", p, n)
			}
			seen[p] = true
		}
	}
	for _, a := range layers.Sideways {
		if a.Why == "" {
			t.Errorf("%s -> %s has no reason", a.From, a.To)
		}
	}
	for _, w := range layers.Walls {
		if w.Why == "" || !seen[w.From] {
			t.Errorf("wall %s | %s: reason %q, in the levels: %t", w.From, w.To, w.Why, seen[w.From])
		}
	}
	for _, s := range layers.Sole {
		if s.Why == "" || !seen[s.By] {
			t.Errorf("sole importer %s of %s: reason %q, in the levels: %t", s.By, s.Module, s.Why, seen[s.By])
		}
	}
	for _, reasons := range []map[string]string{purity.Imports, purity.Names, house.Long, house.Big, house.Sleepers} {
		for what, why := range reasons {
			if why == "" {
				t.Errorf("%s has no reason", what)
			}
		}
	}
}
