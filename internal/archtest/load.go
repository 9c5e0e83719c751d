// Package archtest enforces the rules of the house that a compiler does not know:
// who may import whom, what pure packages may not do, and what every package owes
// its readers. Its tests run the rules over the whole module; each finding says
// where, what, and why the rule is there.
//
// The rules read source text by way of an fs.FS, so they see every file whatever
// its build tags, and each of them is tested with a few lines that break it. What
// they are told about weft (levels, walls, exceptions and their reasons) is in
// weft.go. Nothing here is safe for concurrent use.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is the parsed source of one module: every package in it, but for testdata,
// hidden folders and modules inside the module.
type Tree struct {
	Module   string // the module's path
	Fset     *token.FileSet
	Packages []*Package // by folder
}

// Package is one folder of a Tree that holds Go files.
type Package struct {
	Dir   string // within the module, with slashes; "." is the root
	Path  string // import path
	Name  string // without the _test of external tests
	Files []*File
}

// File is one Go file of a Package.
type File struct {
	Name     string // within the module, with slashes
	AST      *ast.File
	Lines    int
	Test     bool // its name ends in _test.go
	External bool // a test of another package than the one beside it
}

// Finding is one breach of a rule.
type Finding struct {
	Where string // file:line, a file, or a package's folder
	Why   string // what is wrong, and why it is
}

// String gives "where: why".
func (f Finding) String() string { return f.Where + ": " + f.Why }

// Load parses all Go files of the module whose path is module and whose root is
// the root of fsys. It fails when one of them cannot be read or parsed.
func Load(fsys fs.FS, module string) (*Tree, error) {
	t := &Tree{Module: module, Fset: token.NewFileSet()}
	packages := map[string]*Package{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && skip(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasPrefix(path.Base(name), "_") || strings.HasPrefix(path.Base(name), ".") {
			return nil
		}
		f, err := t.parse(fsys, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		p := packages[dir]
		if p == nil {
			p = &Package{Dir: dir, Path: path.Join(module, dir)}
			packages[dir] = p
			t.Packages = append(t.Packages, p)
		}
		p.Files = append(p.Files, f)
		p.Name = strings.TrimSuffix(f.AST.Name.Name, "_test")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load module %s: %w", module, err)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

// skip reports whether the go command would leave out the folder.
func skip(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func (t *Tree) parse(fsys fs.FS, name string) (*File, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(t.Fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	test := strings.HasSuffix(name, "_test.go")
	return &File{
		Name:     name,
		AST:      file,
		Lines:    strings.Count(string(src), "\n"),
		Test:     test,
		External: test && strings.HasSuffix(file.Name.Name, "_test"),
	}, nil
}

// Find returns the package in the folder dir, or nil.
func (t *Tree) Find(dir string) *Package {
	for _, p := range t.Packages {
		if p.Dir == dir {
			return p
		}
	}
	return nil
}

// at makes a Finding at a place in the source.
func (t *Tree) at(pos token.Pos, format string, args ...any) Finding {
	p := t.Fset.Position(pos)
	return Finding{Where: p.Filename + ":" + strconv.Itoa(p.Line), Why: fmt.Sprintf(format, args...)}
}

// line is the line of a place in the source.
func (t *Tree) line(pos token.Pos) int { return t.Fset.Position(pos).Line }

// inModule returns the folder of an import path of the module itself.
func (t *Tree) inModule(importPath string) (dir string, ok bool) {
	if importPath == t.Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.Module+"/")
}

// importOf returns the path that an import names.
func importOf(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value // the parser does not let this happen
	}
	return p
}

// within reports whether an import path or folder is root or lies below it.
func within(p, root string) bool {
	return p == root || strings.HasPrefix(p, root+"/")
}

// generated reports whether a machine wrote the file.
func (f *File) generated() bool { return ast.IsGenerated(f.AST) }
