package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// sized is a type, an interface or a function, and how big it is.
type sized struct {
	name string // folder.Type, folder.Func or folder.Type.Method
	pos  token.Pos
	n    int // methods or lines
	most int
	why  string // what is wrong when n exceeds most; it takes both
}

// checkSizes rejects types, interfaces and functions of production code that have grown over their limits, and
// exceptions that nothing needs any more.
func (h House) checkSizes(t *Tree) []Finding {
	var found []Finding
	needed := map[string]bool{}
	for _, p := range t.Packages {
		for _, s := range slices.Concat(h.types(p), h.interfaces(t, p), h.functions(t, p)) {
			if s.n <= s.most {
				continue
			}
			needed[s.name] = true
			if h.Big[s.name] == "" {
				found = append(found, t.at(s.pos, "%s %s", s.name, fmt.Sprintf(s.why, s.n, s.most)))
			}
		}
	}
	for name := range h.Big { // order does not matter: tests sort what they compare
		if !needed[name] {
			found = append(found, Finding{name, "needs no exception for its size any more: take it out of the list"})
		}
	}
	return found
}

// production returns the files of a package that people wrote to be run.
func production(p *Package) []*File {
	return slices.DeleteFunc(slices.Clone(p.Files), func(f *File) bool { return f.Test || f.generated() })
}

// types returns the types of a package that have methods. A method that is written once for each platform counts once.
func (h House) types(p *Package) []sized {
	methods, first := map[string]map[string]bool{}, map[string]token.Pos{}
	var names []string
	for _, f := range production(p) {
		for _, decl := range f.AST.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || receiver(d) == nil {
				continue
			}
			name := receiver(d).Name
			if methods[name] == nil {
				methods[name], first[name] = map[string]bool{}, d.Pos()
				names = append(names, name)
			}
			methods[name][d.Name.Name] = true
		}
	}
	specs := declared(p)
	var all []sized
	for _, name := range names {
		if spec := specs[name]; spec != nil {
			first[name] = spec.Pos()
		}
		all = append(all, sized{
			p.Dir + "." + name, first[name], len(methods[name]), h.MaxMethods,
			"has %d methods, more than %d: it has several subjects; divide its state, not its files only, " +
				"among smaller types, or list it with the reason",
		})
	}
	return all
}

// interfaces returns the interfaces of a package, and how many methods each asks for.
func (h House) interfaces(t *Tree, p *Package) []sized {
	var all []sized
	for name, spec := range declared(p) { // order does not matter: tests sort what they compare
		i, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			continue
		}
		asked := map[string]bool{}
		t.methods(p, i, asked)
		all = append(all, sized{
			p.Dir + "." + name, spec.Pos(), len(asked), h.MaxInterface,
			"asks for %d methods, more than %d: nobody can stand in for it; divide it by who calls what, " +
				"or list it with the reason",
		})
	}
	return all
}

// methods adds the names of the methods of an interface to asked, with those of the interfaces that it embeds. One from
// outside of the module, whose methods are not in the tree, counts as one method.
func (t *Tree) methods(p *Package, i *ast.InterfaceType, asked map[string]bool) {
	for _, field := range i.Methods.List {
		for _, name := range field.Names {
			asked[name.Name] = true
		}
		if len(field.Names) > 0 {
			continue
		}
		switch e := plain(field.Type).(type) {
		case *ast.Ident:
			t.embedded(p, e.Name, asked)
		case *ast.SelectorExpr:
			if q := t.packageOf(p, e); q != nil {
				t.embedded(q, e.Sel.Name, asked)
			} else {
				asked["."+e.Sel.Name] = true
			}
		}
	}
}

// embedded adds the methods of the interface of that name in package p. What is not declared there is built in: any
// and comparable, that have none, and error.
func (t *Tree) embedded(p *Package, name string, asked map[string]bool) {
	spec := declared(p)[name]
	if spec == nil {
		if name == "error" {
			asked["Error"] = true
		}
		return
	}
	if i, ok := spec.Type.(*ast.InterfaceType); ok {
		t.methods(p, i, asked)
	}
}

// packageOf returns the package of the module that the left of sel names in a file of p, or nil.
func (t *Tree) packageOf(p *Package, sel *ast.SelectorExpr) *Package {
	i := slices.IndexFunc(p.Files, func(f *File) bool { return f.AST.FileStart <= sel.Pos() && sel.Pos() < f.AST.FileEnd })
	for _, q := range t.Packages {
		if i >= 0 && refersTo(p.Files[i], sel, q.Path) {
			return q
		}
	}
	return nil
}

// functions returns the functions and methods of a package. A function inside another is a part of it.
func (h House) functions(t *Tree, p *Package) []sized {
	var all []sized
	for _, f := range production(p) {
		for _, decl := range f.AST.Decls {
			var name string
			ast.Inspect(decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					name = n.Names[0].Name
					return true
				case *ast.FuncDecl:
					name = n.Name.Name
					if r := receiver(n); r != nil {
						name = r.Name + "." + name
					}
				case *ast.FuncLit: // in the value of a variable
				default:
					return true
				}
				all = append(all, sized{
					p.Dir + "." + name, n.Pos(), t.line(n.End()) - t.line(n.Pos()) + 1, h.MaxFunction,
					"has %d lines, more than %d: a reader cannot hold it; give its parts names, or list it with the reason",
				})
				return false
			})
		}
	}
	return all
}

// declared returns the types that a package declares for production, by name.
func declared(p *Package) map[string]*ast.TypeSpec {
	specs := map[string]*ast.TypeSpec{}
	for _, f := range production(p) {
		for _, decl := range f.AST.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					specs[s.Name.Name] = s
				}
			}
		}
	}
	return specs
}

// receiver returns the name of the type that d is a method of; nil when d is a function.
func receiver(d *ast.FuncDecl) *ast.Ident {
	if d.Recv == nil {
		return nil
	}
	id, _ := plain(d.Recv.List[0].Type).(*ast.Ident)
	return id
}

// plain returns what a type is of, or points to, without its type arguments.
func plain(expr ast.Expr) ast.Expr {
	for {
		switch e := expr.(type) {
		case *ast.ParenExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		default:
			return expr
		}
	}
}
