package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// House holds the limits that every package keeps, with the exceptions to them.
type House struct {
	// MaxLines is how many lines a file may have that a person wrote.
	MaxLines int
	// Long are files that may have more, with the reason.
	Long map[string]string
	// MaxMethods is how many methods a type may have, MaxInterface how many an interface may ask for, and MaxFunction
	// how many lines a function may have, in code that a person wrote and that is not a test.
	MaxMethods, MaxInterface, MaxFunction int
	// Big are types, interfaces and functions that may be bigger, with the reason: as folder.Type, folder.Type.Method,
	// folder.Func or, for a function in its value, folder.Variable.
	Big map[string]string
	// Sleepers are test files that may call time.Sleep, with the reason.
	Sleepers map[string]string
	// Vague are names that no package may bear, since they do not say what is in it.
	Vague []string
}

// CheckHouse returns what in the tree breaks the rules that hold for all packages.
func CheckHouse(t *Tree, h House) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		found = append(found, checkDocs(t, p)...)
		found = append(found, h.checkName(p)...)
		for _, f := range p.Files {
			found = append(found, checkInit(t, f)...)
			found = append(found, h.checkLength(f)...)
			if !f.Test && p.Name != "main" {
				found = append(found, checkExits(t, f)...)
			}
			if f.Test || strings.HasSuffix(p.Name, "test") || p.Name == "e2e" {
				found = append(found, h.checkSleeps(t, f)...)
			}
		}
	}
	return slices.Concat(found, h.checkSizes(t), h.checkExceptions(t))
}

// checkName rejects names of packages that say nothing.
func (h House) checkName(p *Package) []Finding {
	for _, name := range append(strings.Split(p.Dir, "/"), p.Name) {
		if slices.Contains(h.Vague, name) {
			return []Finding{{Where: p.Dir, Why: fmt.Sprintf("%q says nothing of what is in the package, "+
				"and so gathers everything: name it for what it provides", name)}}
		}
	}
	return nil
}

// checkLength rejects files that have grown over the limit.
func (h House) checkLength(f *File) []Finding {
	if f.Lines <= h.MaxLines || f.generated() || h.Long[f.Name] != "" {
		return nil
	}
	return []Finding{{Where: f.Name, Why: fmt.Sprintf("has %d lines, more than %d: a file is about one subject; "+
		"split it, or list it with the reason", f.Lines, h.MaxLines)}}
}

// checkExceptions rejects exceptions that nothing needs any more, or that give no reason.
func (h House) checkExceptions(t *Tree) []Finding {
	files := map[string]*File{}
	for _, p := range t.Packages {
		for _, f := range p.Files {
			files[f.Name] = f
		}
	}
	var found []Finding
	for name := range h.Long { // order does not matter: tests sort what they compare
		if f := files[name]; f == nil || f.Lines <= h.MaxLines {
			found = append(found, Finding{name, "needs no exception for its length any more: take it out of the list"})
		}
	}
	for name := range h.Sleepers { // order does not matter: tests sort what they compare
		if f := files[name]; f == nil || len(findSleeps(f)) == 0 {
			found = append(found, Finding{name, "needs no exception for sleeping any more: take it out of the list"})
		}
	}
	return found
}

// checkDocs asks for a comment on the package and on every exported name. A comment
// on a group of constants or variables serves all of them.
func checkDocs(t *Tree, p *Package) []Finding {
	var found []Finding
	hasCode, hasDoc := false, false
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		hasCode = true
		hasDoc = hasDoc || f.AST.Doc.Text() != ""
		if p.Name == "main" || f.generated() {
			continue
		}
		for _, name := range undocumented(f.AST) {
			found = append(found, t.at(name.Pos(), "exported %s has no comment: say what it guarantees "+
				"(units, errors, who may call it at once)", name.Name))
		}
	}
	if hasCode && !hasDoc {
		found = append(found, Finding{Where: p.Dir, Why: "package " + p.Name +
			" has no comment: say what it is for before anybody reads its code"})
	}
	return found
}

// undocumented returns the exported top-level names of a file without a comment.
func undocumented(file *ast.File) []*ast.Ident {
	var names []*ast.Ident
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc.Text() == "" && exportedReceiver(d) {
				names = append(names, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, undocumentedSpec(d, spec)...)
			}
		}
	}
	return names
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		alone := d.Doc.Text() != "" && len(d.Specs) == 1
		if s.Name.IsExported() && s.Doc.Text() == "" && s.Comment.Text() == "" && !alone {
			return []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		if d.Doc.Text() == "" && s.Doc.Text() == "" && s.Comment.Text() == "" {
			return slices.DeleteFunc(slices.Clone(s.Names), func(n *ast.Ident) bool { return !n.IsExported() })
		}
	}
	return nil
}

// exportedReceiver reports whether d is a function or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	r := receiver(d)
	return r == nil || r.IsExported()
}

// checkInit rejects init functions.
func checkInit(t *Tree, f *File) []Finding {
	var found []Finding
	for _, decl := range f.AST.Decls {
		if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
			found = append(found, t.at(d.Pos(), "func init runs because a package was imported, in an order that "+
				"nobody reads: do it where the program starts"))
		}
	}
	return found
}

// checkExits rejects calls by which a library would end the program.
func checkExits(t *Tree, f *File) []Finding {
	var found []Finding
	ast.Inspect(f.AST, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		name := sel.Sel.Name
		ends := refersTo(f, sel, "os") && name == "Exit" ||
			refersTo(f, sel, "log") && (strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Panic")) ||
			(refersTo(f, sel, "syscall") || refersTo(f, sel, "golang.org/x/sys/unix")) && name == "Exit" ||
			name == "Fatal" && len(call.Args) == 0 // of a zerolog.Logger
		if ends {
			found = append(found, t.at(call.Pos(), "%s ends the whole program from inside a library: "+
				"return an error, and let main decide", name))
		}
		return true
	})
	return found
}

// checkSleeps rejects tests that wait by the clock.
func (h House) checkSleeps(t *Tree, f *File) []Finding {
	if h.Sleepers[f.Name] != "" {
		return nil
	}
	var found []Finding
	for _, pos := range findSleeps(f) {
		found = append(found, t.at(pos, "time.Sleep in a test is either too short on a busy machine or too long on "+
			"all others: wait for the condition, step a fake clock, or use testing/synctest"))
	}
	return found
}

// findSleeps returns where a file uses time.Sleep, except inside the call of
// synctest.Test, where it is the fake clock that moves.
func findSleeps(f *File) []token.Pos {
	var found []token.Pos
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			return !ok || sel.Sel.Name != "Test" || !refersTo(f, sel, "testing/synctest")
		case *ast.SelectorExpr:
			if n.Sel.Name == "Sleep" && refersTo(f, n, "time") {
				found = append(found, n.Pos())
			}
		}
		return true
	})
	return found
}

// refersTo reports whether sel is a name of the package with this import path, as
// far as the file's imports tell.
func refersTo(f *File, sel *ast.SelectorExpr, importPath string) bool {
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	for _, spec := range f.AST.Imports {
		if importOf(spec) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name == id.Name
		}
		return path.Base(importPath) == id.Name
	}
	return false
}
