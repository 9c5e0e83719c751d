package protocol

import (
	"errors"
	"fmt"
	"strings"
)

// Reads says whether a reader of type t understands everything that a writer of type from sends; the error says in what
// it does not. It is so for equal types, and where every msgpack library reads the one as the other without loss:
//
//   - any on either side: nothing is known, and nothing is checked;
//   - an integer of fewer bits, or an unsigned one of fewer bits as a signed one;
//   - float32 as float; integers of at most 32 bits as float, of at most 16 as float32;
//   - T as T?, and null as T?;
//   - a record that has more keys; one that lacks a key which may be missing for the reader;
//   - a record as map<string, T> when all its values can be read as T, and [A, B] as list<T> in the same way.
func (t Type) Reads(from Type) error { return reading{}.of(t, from) }

// Takes says whether a service whose tasks are of type t takes those of type from: as [Type.Reads], but that a record of a
// task has no key that the service does not know. What a client asks for is done, or refused.
func (t Type) Takes(from Type) error { return reading{exact: true}.of(t, from) }

// Fits says whether an instance whose functions have the types of is what a service with the interface i promises. The
// error names the types of both. What either does not tell, or tells in a notation of a later day, is not compared.
func (i Interface) Fits(of Interface) error {
	declared, takes, ok := bothTypes(i.Task, of.Task)
	if why := takes.Takes(declared); ok && why != nil {
		return fmt.Errorf("it is declared to take tasks of type %v, and this instance takes %v: %w", declared, takes, why)
	}
	declared, gives, ok := bothTypes(i.Result, of.Result)
	if why := declared.Reads(gives); ok && why != nil {
		return fmt.Errorf("it is declared to give results of type %v, and this instance gives %v: %w", declared, gives, why)
	}
	return nil
}

func bothTypes(one, other string) (a, b Type, ok bool) {
	a, errA := ParseType(one)
	b, errB := ParseType(other)
	return a, b, errA == nil && errB == nil
}

// Keys gives the keys of the records in a type, from the outermost to the innermost; a key of several is there as often.
func (t Type) Keys() []string {
	var keys []string
	for _, f := range t.fields {
		keys = append(keys, f.name)
	}
	for _, f := range t.fields {
		keys = append(keys, f.of.Keys()...)
	}
	for _, p := range t.parts {
		keys = append(keys, p.Keys()...)
	}
	return keys
}

// reading is how one type is compared with another.
type reading struct {
	exact bool // a record of the writer has no key that the reader does not know
}

func (r reading) of(t, from Type) error {
	if why := r.reads(t, from, ""); why != "" {
		return errors.New(why)
	}
	return nil
}

// reads gives the reason why not, "" when there is none; at is the path to t from the outermost type.
func (r reading) reads(t, from Type, at string) string {
	no := func(format string, args ...any) string {
		why := fmt.Sprintf(format, args...)
		if at != "" {
			return at + ": " + why
		}
		return why
	}
	all := func(element string, parts []Type) string {
		for i, p := range parts {
			if why := r.reads(t.parts[len(t.parts)-1], p, fmt.Sprintf("%s%s%d", at, element, i)); why != "" {
				return why
			}
		}
		return ""
	}
	switch {
	case t.kind == kindAny || from.kind == kindAny:
		return ""
	case t.kind == kindOptional && from.kind == kindNull:
		return ""
	case t.kind == kindOptional && from.kind == kindOptional:
		return r.reads(t.parts[0], from.parts[0], at)
	case t.kind == kindOptional:
		return r.reads(t.parts[0], from, at)
	case from.kind == kindOptional:
		return no("%v may be null, and %v may not", from, t)
	case t.kind == kindRecord && from.kind == kindRecord:
		return r.fields(t, from, at)
	case t.kind == kindList && from.kind == kindTuple:
		return all(" value ", from.parts)
	case t.kind == kindTuple && from.kind == kindTuple && len(t.parts) != len(from.parts),
		t.kind != from.kind && !t.wider(from) && (t.kind != kindMap || from.kind != kindRecord):
		return no("%v cannot be read as %v", from, t)
	case t.kind == kindMap && from.kind == kindRecord:
		if why := r.reads(t.parts[0], Type{kind: kindString}, at+" key"); why != "" {
			return why
		}
		for _, f := range from.fields {
			if why := r.reads(t.parts[1], f.of, inside(at, f.name)); why != "" {
				return why
			}
		}
		return ""
	case t.kind == kindTuple || t.kind == kindList || t.kind == kindMap:
		for i := range t.parts {
			if why := r.reads(t.parts[i], from.parts[i], at+partNames[t.kind][min(i, 1)]); why != "" {
				return why
			}
		}
	}
	return ""
}

var partNames = map[typeKind][2]string{
	kindList: {" element", ""}, kindMap: {" key", " value"}, kindTuple: {" value", " value"},
}

func inside(at, field string) string {
	if at == "" {
		return field
	}
	return at + "." + field
}

// fields compares records.
func (r reading) fields(t, from Type, at string) string {
	for _, f := range t.fields {
		g := from.field(f.name)
		switch {
		case g == nil && f.missing:
		case g == nil:
			return inside(at, f.name) + ": it is missing" + alike(f.name, from)
		case g.missing && !f.missing:
			return inside(at, f.name) + ": it may be missing, and has to be there"
		default:
			if why := r.reads(f.of, g.of, inside(at, f.name)); why != "" {
				return why
			}
		}
	}
	if !r.exact {
		return ""
	}
	for _, g := range from.fields {
		if t.field(g.name) == nil {
			return inside(at, g.name) + ": it is not known there" + alike(g.name, t)
		}
	}
	return ""
}

// field gives the field of a record under a key, nil when there is none.
func (t Type) field(key string) *typeField {
	for i := range t.fields {
		if t.fields[i].name == key {
			return &t.fields[i]
		}
	}
	return nil
}

// alike says which key of a record differs from this one only in how it is spelt, and what a programmer does about it.
func alike(key string, of Type) string {
	for _, f := range of.fields {
		if unspelt(f.name) == unspelt(key) {
			return fmt.Sprintf("; %s is another key (a struct in Go names its keys by tags: `msgpack:%q`)", f.name, max(key, f.name))
		}
	}
	return ""
}

// unspelt gives a key without what conventions of languages differ in.
func unspelt(key string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
}

// wider says whether all values of one kind of number are values of another.
func (t Type) wider(from Type) bool {
	bits := func(k, first typeKind) int { return 8 << (k - first) }
	signed := func(k typeKind) bool { return k >= kindInt8 && k <= kindInt }
	unsigned := func(k typeKind) bool { return k >= kindUint8 && k <= kindUint }
	to, of := t.kind, from.kind
	switch {
	case signed(to) && signed(of), unsigned(to) && unsigned(of):
		return to >= of
	case signed(to) && unsigned(of):
		return bits(to, kindInt8) > bits(of, kindUint8)
	case to == kindFloat:
		return of == kindFloat32 || signed(of) && of <= kindInt32 || unsigned(of) && of <= kindUint32
	case to == kindFloat32:
		return signed(of) && of <= kindInt16 || unsigned(of) && of <= kindUint16
	}
	return false
}
