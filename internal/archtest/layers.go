package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Layers says who may import whom.
type Layers struct {
	// Levels holds the folders of each level, lowest first. "dir/..." stands for
	// all folders below dir. Imports go from a level to lower ones only.
	Levels [][]string
	// Sideways are the imports within one level that are allowed all the same.
	Sideways []Arrow
	// Walls are imports that are forbidden whatever the levels say.
	Walls []Wall
	// Sole are outside modules that one package alone imports.
	Sole []Sole
}

// Arrow is an import of one folder by another, and why it is.
type Arrow struct{ From, To, Why string }

// Wall keeps a package from another, and from all below that, however long the way.
type Wall struct{ From, To, Why string }

// Sole gives an outside module, and all packages below it, to one package.
type Sole struct{ Module, By, Why string }

// CheckLayers returns what in the tree breaks the layers. External test packages
// are exempt from levels and walls, and from nothing else.
func CheckLayers(t *Tree, l Layers) []Finding {
	var found []Finding
	used := map[Arrow]bool{}
	for _, p := range t.Packages {
		level := l.level(p.Dir)
		if level < 0 {
			found = append(found, Finding{Where: p.Dir, Why: "is in no level: give it a level in the table, " +
				"so that it is known what it may import and who may import it"})
			continue
		}
		for _, f := range p.Files {
			if !f.External {
				found = append(found, l.checkFile(t, p, f, level, used)...)
			}
		}
	}
	for _, s := range l.Sideways {
		if t.Find(s.From) != nil && !used[s] {
			found = append(found, Finding{Where: s.From, Why: "no longer imports " + s.To +
				": take the exception out of the table"})
		}
	}
	found = append(found, l.checkWalls(t)...)
	return append(found, l.checkSole(t)...)
}

// level returns the level of a folder, or -1.
func (l Layers) level(dir string) int {
	for n, packages := range l.Levels {
		for _, p := range packages {
			if root, all := strings.CutSuffix(p, "/..."); p == dir || all && strings.HasPrefix(dir, root+"/") {
				return n
			}
		}
	}
	return -1
}

// checkFile checks that the imports of one file point down.
func (l Layers) checkFile(t *Tree, p *Package, f *File, level int, used map[Arrow]bool) []Finding {
	var found []Finding
	for _, spec := range f.AST.Imports {
		dir, ours := t.inModule(importOf(spec))
		if !ours || dir == p.Dir {
			continue
		}
		to := l.level(dir)
		if to < 0 || to < level { // what has no level is reported once, for itself
			continue
		}
		if to == level {
			if i := slices.IndexFunc(l.Sideways, func(a Arrow) bool { return a.From == p.Dir && a.To == dir }); i >= 0 {
				used[l.Sideways[i]] = true
				continue
			}
		}
		found = append(found, t.at(spec.Pos(), "%s (level %d) imports %s (level %d): arrows point down only, "+
			"so that every package can be understood, tested and simulated without those above it", p.Dir, level, dir, to))
	}
	return found
}

// checkWalls follows the imports of every walled package to their ends.
func (l Layers) checkWalls(t *Tree) []Finding {
	var found []Finding
	for _, w := range l.Walls {
		from := t.Find(w.From)
		if from == nil {
			continue
		}
		if way := findWay(t, from, w.To); way != nil {
			found = append(found, Finding{
				Where: w.From,
				Why:   fmt.Sprintf("must not know %s (by way of %s): %s", w.To, strings.Join(way, " -> "), w.Why),
			})
		}
	}
	return found
}

// findWay returns the folders by which from comes to import something in or below
// to, or nil. In-package tests count for from itself, not for what it imports.
func findWay(t *Tree, from *Package, to string) []string {
	seen := map[string]bool{from.Dir: true}
	ways := [][]string{{from.Dir}}
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		p := t.Find(way[len(way)-1])
		if p == nil {
			continue
		}
		for _, f := range p.Files {
			if f.External || f.Test && p != from {
				continue
			}
			for _, spec := range f.AST.Imports {
				dir, ours := t.inModule(importOf(spec))
				if !ours || seen[dir] {
					continue
				}
				seen[dir] = true
				next := append(slices.Clone(way), dir)
				if within(dir, to) {
					return next
				}
				ways = append(ways, next)
			}
		}
	}
	return nil
}

// checkSole checks that nobody else imports what one package has for itself.
func (l Layers) checkSole(t *Tree) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, spec := range f.AST.Imports {
				for _, s := range l.Sole {
					if within(importOf(spec), s.Module) && p.Dir != s.By {
						found = append(found, t.at(spec.Pos(), "%s imports %s, which only %s may: %s",
							p.Dir, importOf(spec), s.By, s.Why))
					}
				}
			}
		}
	}
	return found
}
