package archtest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// Purity says what the packages that decide something may not do, and which of
// them may use which outside module.
type Purity struct {
	// Imports are forbidden packages of the standard library, with the reason;
	// "net/..." stands for all packages below net.
	Imports map[string]string
	// Except are packages that Imports would forbid by their place only.
	Except []string
	// Names are forbidden functions and methods by their full name, as go/types
	// writes it, with the reason.
	Names map[string]string
	// Outside are the modules that a folder may import from outside the standard
	// library and this module.
	Outside map[string][]string
}

// pleaseOrder is the remark that lets a line range over a map.
const pleaseOrder = "order does not matter:"

// Exports builds the packages of the module in dir that the patterns name, without
// cgo, and returns an importer for them and all that they import. A package that
// does not build so is an error, in the words of the go command.
func Exports(fset *token.FileSet, dir string, patterns ...string) (types.Importer, error) {
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export with CGO_ENABLED=0: %w\n%s", err, stderr.String())
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[name] = file
	}
	return importer.ForCompiler(fset, "gc", func(name string) (io.ReadCloser, error) {
		if files[name] == "" {
			return nil, fmt.Errorf("no export data of %s", name)
		}
		return os.Open(files[name])
	}), nil
}

// CheckPurity returns what in the package, tests apart, makes it depend on anything
// but its arguments. The importer must know all that the package imports.
func CheckPurity(t *Tree, p *Package, rules Purity, imp types.Importer) []Finding {
	c := purityCheck{
		tree: t, pkg: p, rules: rules,
		info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{},
			Uses:  map[*ast.Ident]types.Object{},
		},
	}
	var files []*ast.File
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		c.checkImports(f)
		if builds(f) {
			files = append(files, f.AST)
		}
	}
	conf := types.Config{Importer: imp, Error: func(err error) {
		var te types.Error
		if errors.As(err, &te) {
			c.add(te.Pos, "does not type-check, so that its purity is not known: %s", te.Msg)
		}
	}}
	_, _ = conf.Check(p.Path, t.Fset, files, c.info) // conf.Error gets every error
	for _, file := range files {
		c.allowed = c.findOrdered(file)
		c.remarks = findRemarks(t.Fset, file)
		ast.Inspect(file, c.visit)
	}
	return c.found
}

type purityCheck struct {
	tree    *Tree
	pkg     *Package
	rules   Purity
	info    *types.Info
	allowed map[*ast.Ident]bool // names of map iterators whose result is put in order at once
	remarks map[int]bool        // lines on which order does not matter
	found   []Finding
}

func (c *purityCheck) add(pos token.Pos, format string, args ...any) {
	c.found = append(c.found, c.tree.at(pos, format, args...))
}

// builds reports whether the file belongs to a build without cgo on this machine.
func builds(f *File) bool {
	ctxt := build.Default
	ctxt.CgoEnabled = false
	ctxt.OpenFile = func(string) (io.ReadCloser, error) {
		var head strings.Builder
		for _, group := range f.AST.Comments {
			for _, comment := range group.List {
				if comment.Pos() < f.AST.Package {
					head.WriteString(comment.Text + "\n\n")
				}
			}
		}
		return io.NopCloser(strings.NewReader(head.String() + "package p\n")), nil
	}
	ok, err := ctxt.MatchFile(path.Dir(f.Name), path.Base(f.Name))
	return ok && err == nil
}

// checkImports rejects imports of what reaches outside the package's arguments.
func (c *purityCheck) checkImports(f *File) {
	for _, spec := range f.AST.Imports {
		name := importOf(spec)
		if why := c.forbidden(name); why != "" {
			c.add(spec.Pos(), "pure package %s imports %s: %s", c.pkg.Dir, name, why)
		}
		first, _, _ := strings.Cut(name, "/")
		if _, ours := c.tree.inModule(name); ours || !strings.Contains(first, ".") {
			continue
		}
		known := false
		for _, module := range c.rules.Outside[c.pkg.Dir] {
			known = known || within(name, module)
		}
		if !known {
			c.add(spec.Pos(), "pure package %s imports %s: what another module does inside is not known; "+
				"list it if it keeps to the rules", c.pkg.Dir, name)
		}
	}
}

// forbidden returns why a package of the standard library is not to be imported, or "".
func (c *purityCheck) forbidden(name string) string {
	for _, except := range c.rules.Except {
		if name == except {
			return ""
		}
	}
	if why := c.rules.Imports[name]; why != "" {
		return why
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if why := c.rules.Imports[dir+"/..."]; why != "" {
			return why
		}
	}
	return ""
}

// visit looks at one node of a file's syntax.
func (c *purityCheck) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.add(n.Pos(), "starts a goroutine: a core is a function of its events; shells have the goroutines")
	case *ast.ChanType:
		c.add(n.Pos(), "has a channel: what comes over it, and when, is not among the core's events")
	case *ast.SelectStmt:
		c.add(n.Pos(), "selects: which case runs is up to chance")
	case *ast.SendStmt:
		c.add(n.Arrow, "sends on a channel: a core's outputs are what Take returns")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.add(n.Pos(), "receives from a channel: a core's inputs are its events")
		}
	case *ast.RangeStmt:
		c.checkRange(n)
	case *ast.Ident:
		c.checkUse(n)
	}
	return true
}

// checkRange rejects loops over built-in maps, whose order is random.
func (c *purityCheck) checkRange(n *ast.RangeStmt) {
	if tv, ok := c.info.Types[n.X]; ok && isMap(tv.Type) && !c.remarked(n.Pos()) {
		c.add(n.Pos(), "ranges over a map: its order is random, and equal inputs must give equal outputs; "+
			"use internal/ordered, or say on the line why // %s", pleaseOrder)
	}
}

// isMap reports whether t is a map, or a type parameter that may be one.
func isMap(t types.Type) bool {
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		return constraintHasMap(p.Constraint())
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

func constraintHasMap(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for i := range u.NumEmbeddeds() {
			embedded := u.EmbeddedType(i)
			if union, ok := embedded.(*types.Union); ok {
				for j := range union.Len() {
					if constraintHasMap(union.Term(j).Type()) {
						return true
					}
				}
			} else if constraintHasMap(embedded) {
				return true
			}
		}
	}
	return false
}

// checkUse rejects names by which clocks, chance, output and order leak in or out.
func (c *purityCheck) checkUse(id *ast.Ident) {
	obj := c.info.Uses[id]
	if obj == nil {
		return
	}
	if b, ok := obj.(*types.Builtin); ok {
		if b.Name() == "print" || b.Name() == "println" {
			c.add(id.Pos(), "%s writes to the terminal: a core's outputs are what Take returns", b.Name())
		}
		return
	}
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pkg() == nil {
		return
	}
	name := fn.FullName()
	if why := c.rules.Names[name]; why != "" && !c.allowed[id] && !c.remarked(id.Pos()) {
		c.add(id.Pos(), "uses %s: %s", name, why)
	}
	p := fn.Pkg().Path()
	global := fn.Signature().Recv() == nil
	if global && (p == "math/rand" || p == "math/rand/v2") && !strings.HasPrefix(fn.Name(), "New") {
		c.add(id.Pos(), "uses %s: the global source is seeded by chance; take a *rand.Rand as an argument", name)
	}
	if global && p == "runtime" {
		c.add(id.Pos(), "uses %s: what it does or says depends on the machine and the moment", name)
	}
}

// findOrdered returns the names of calls such as maps.Keys in slices.Sorted(maps.Keys(m)).
func (c *purityCheck) findOrdered(file *ast.File) map[*ast.Ident]bool {
	allowed := map[*ast.Ident]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch c.callee(call) {
		case "slices.Sorted", "slices.SortedFunc", "maps.Collect", "maps.Insert":
			for _, arg := range call.Args {
				if inner, ok := arg.(*ast.CallExpr); ok && c.callee(inner) != "" {
					allowed[calleeIdent(inner)] = true
				}
			}
		}
		return true
	})
	return allowed
}

// callee returns the full name of the function that is called, or "".
func (c *purityCheck) callee(call *ast.CallExpr) string {
	if id := calleeIdent(call); id != nil {
		if fn, ok := c.info.Uses[id].(*types.Func); ok {
			return fn.FullName()
		}
	}
	return ""
}

func calleeIdent(call *ast.CallExpr) *ast.Ident {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		return fun
	case *ast.SelectorExpr:
		return fun.Sel
	default:
		return nil
	}
}

// findRemarks returns the lines for which a comment, on them or alone above them,
// says why order does not matter.
func findRemarks(fset *token.FileSet, file *ast.File) map[int]bool {
	code := map[int]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n.(type) {
		case nil, *ast.Comment, *ast.CommentGroup:
		default:
			code[fset.Position(n.Pos()).Line] = true
			code[fset.Position(n.End()-1).Line] = true
		}
		return true
	})
	lines := map[int]bool{}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			_, why, ok := strings.Cut(comment.Text, pleaseOrder)
			if !ok || strings.TrimSpace(why) == "" {
				continue
			}
			line := fset.Position(comment.Pos()).Line
			if !code[line] {
				line++
			}
			lines[line] = true
		}
	}
	return lines
}

func (c *purityCheck) remarked(pos token.Pos) bool {
	return c.remarks[c.tree.Fset.Position(pos).Line]
}
