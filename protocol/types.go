package protocol

import (
	"fmt"
	"strings"
)

// Type is a type of tasks or results in a notation of no language: what [Interface] declares. The zero Type is "any".
// A Type is a value, and is not changed.
//
//	type   = base ["?"]                               ; with "?" it may be null
//	base   = "any" / "null" / "bool" / "string" / "bytes" / "time" / "float" / "float32"
//	       / "int" / "int8" / "int16" / "int32" / "uint" / "uint8" / "uint16" / "uint32"
//	       / "list<" type ">" / "map<" type "," type ">"
//	       / "[" [type *("," type)] "]"               ; an array of so many values
//	       / "{" [field *("," field)] "}"             ; a map with these keys
//	field  = name ["?"] ":" type                      ; with "?" the key may be missing
//
// int, uint and float have 64 bits; int64, uint64 and float64 are other names for them.
type Type struct {
	kind   typeKind
	parts  []Type // of a list: the elements; of a map: keys, values; of a tuple: its values; of an optional: what it is
	fields []typeField
}

type typeField struct {
	name    string
	missing bool // it may be
	of      Type
}

type typeKind uint8

const (
	kindAny typeKind = iota
	kindNull
	kindBool
	kindInt8
	kindInt16
	kindInt32
	kindInt
	kindUint8
	kindUint16
	kindUint32
	kindUint
	kindFloat32
	kindFloat
	kindString
	kindBytes
	kindTime
	kindList
	kindMap
	kindTuple
	kindRecord
	kindOptional
)

// scalars are the names of the kinds without parts, in the order of the kinds.
var scalars = [...]string{
	"any", "null", "bool", "int8", "int16", "int32", "int", "uint8", "uint16", "uint32", "uint", "float32", "float",
	"string", "bytes", "time",
}

// String gives the notation, in its one canonical spelling.
func (t Type) String() string {
	var b strings.Builder
	t.write(&b)
	return b.String()
}

func (t Type) write(b *strings.Builder) {
	list := func(open, end string) {
		b.WriteString(open)
		for i, p := range t.parts {
			if i > 0 {
				b.WriteString(", ")
			}
			p.write(b)
		}
		b.WriteString(end)
	}
	switch t.kind {
	case kindList:
		list("list<", ">")
	case kindMap:
		list("map<", ">")
	case kindTuple:
		list("[", "]")
	case kindOptional:
		list("", "?")
	case kindRecord:
		b.WriteString("{")
		for i, f := range t.fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.name)
			if f.missing {
				b.WriteString("?")
			}
			b.WriteString(": ")
			f.of.write(b)
		}
		b.WriteString("}")
	default:
		b.WriteString(scalars[t.kind])
	}
}

// Limits of the notation.
const (
	maxTypeText  = 16 << 10
	maxTypeDepth = 32
)

// ParseType reads the notation. The error says where it goes wrong, and what would be right.
func ParseType(text string) (Type, error) {
	if len(text) > maxTypeText {
		return Type{}, fmt.Errorf("a type of %d letters, at most %d are allowed", len(text), maxTypeText)
	}
	p := typeParser{text: text}
	t, err := p.parse(0)
	if err == nil && p.peek() != 0 {
		err = p.expected("the end")
	}
	if err != nil {
		return Type{}, fmt.Errorf("%q is not a type: %w", text, err)
	}
	return t, nil
}

type typeParser struct {
	text string
	at   int
}

// peek gives the next letter that is no blank, 0 at the end.
func (p *typeParser) peek() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *typeParser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

// word takes letters up to the next blank or mark.
func (p *typeParser) word() string {
	p.peek()
	n := strings.IndexAny(p.text[p.at:], nameEnds)
	if n < 0 {
		n = len(p.text) - p.at
	}
	p.at += n
	return p.text[p.at-n : p.at]
}

// nameEnds are the letters that no name of a field has.
const nameEnds = " \t\r\n,:?<>[]{}\""

func (p *typeParser) expected(what string) error {
	rest := p.text[p.at:]
	if rest == "" {
		return fmt.Errorf("it ends where %s is expected", what)
	}
	return fmt.Errorf("at letter %d there is %.20q where %s is expected", p.at+1, rest, what)
}

var errTypeDepth = fmt.Errorf("it has more than %d levels", maxTypeDepth)

func (p *typeParser) parse(depth int) (t Type, err error) {
	if depth > maxTypeDepth {
		return t, errTypeDepth
	}
	switch {
	case p.take('{'):
		t.kind = kindRecord
		t.fields, err = p.record(depth)
	case p.take('['):
		t.kind = kindTuple
		if !p.take(']') {
			t.parts, err = p.list(depth, ']', 0)
		}
	default:
		t, err = p.named(depth)
	}
	if err == nil && p.take('?') {
		if t.kind == kindAny || t.kind == kindNull {
			return t, nil // they may be null anyway
		}
		t = Type{kind: kindOptional, parts: []Type{t}}
	}
	return t, err
}

func (p *typeParser) named(depth int) (t Type, err error) {
	before := p.at
	switch name := p.word(); name {
	case "list":
		t.kind = kindList
	case "map":
		t.kind = kindMap
	case "int64", "uint64", "float64":
		return ParseType(strings.TrimSuffix(name, "64"))
	default:
		for k, s := range scalars {
			if s == name {
				return Type{kind: typeKind(k)}, nil
			}
		}
		p.at = before
		p.peek()
		return t, p.expected("one of " + strings.Join(scalars[:], ", ") + ", list<…>, map<…, …>, […], {name: type, …}")
	}
	if !p.take('<') {
		return t, p.expected(`"<"`)
	}
	t.parts, err = p.list(depth, '>', int(t.kind-kindList)+1)
	return t, err
}

// list reads types up to end: n of them, or as many as there are when n is 0.
func (p *typeParser) list(depth int, end byte, n int) ([]Type, error) {
	var all []Type
	for {
		t, err := p.parse(depth + 1)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
		switch {
		case len(all) != n && p.take(','):
		case (n == 0 || len(all) == n) && p.take(end):
			return all, nil
		case n > len(all):
			return nil, p.expected(`","`)
		default:
			return nil, p.expected(fmt.Sprintf("%q", string(end)))
		}
	}
}

func (p *typeParser) record(depth int) (all []typeField, err error) {
	if p.take('}') {
		return nil, nil
	}
	for {
		f := typeField{name: p.word()}
		if f.name == "" {
			return nil, p.expected("the name of a field")
		}
		for _, other := range all {
			if other.name == f.name {
				return nil, fmt.Errorf("it has the field %s twice", f.name)
			}
		}
		f.missing = p.take('?')
		if !p.take(':') {
			return nil, p.expected(`":"`)
		}
		if f.of, err = p.parse(depth + 1); err != nil {
			return nil, err
		}
		all = append(all, f)
		if p.take('}') {
			return all, nil
		}
		if !p.take(',') {
			return nil, p.expected(`"," or "}"`)
		}
	}
}
