package protocol

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// TypeOf gives the [Type] of the values of a Go type as msgpack encodes them: with the names, omitempty, inline and
// as_array of msgpack tags. What encodes itself, what contains itself and what cannot be encoded at all is "any" there.
func TypeOf(t reflect.Type) Type { return (&typeWalk{}).of(t) }

// PayloadTypeOf gives the [Type] of a task or result that is of a Go type: as [TypeOf], but that what is within msgpack's
// bytes without being []byte is "any", since a payload of type bytes is the bytes themselves.
func PayloadTypeOf(t reflect.Type) Type {
	of := TypeOf(t)
	if of.kind == kindBytes && t != reflect.TypeFor[[]byte]() {
		return Type{}
	}
	return of
}

// typeWalk turns a Go type into the notation.
type typeWalk struct {
	within []reflect.Type // structs that are being turned
}

var (
	timeType         = reflect.TypeFor[time.Time]()
	errorType        = reflect.TypeFor[error]()
	encodesItself    = []reflect.Type{reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.Marshaler]()}
	encodesItselfToo = []reflect.Type{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler]()}
)

func implements(t reflect.Type, any []reflect.Type) bool {
	for _, i := range any {
		if t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

var kindsOfGo = map[reflect.Kind]typeKind{
	reflect.Bool: kindBool, reflect.String: kindString, reflect.Float32: kindFloat32, reflect.Float64: kindFloat,
	reflect.Int: kindInt, reflect.Int8: kindInt8, reflect.Int16: kindInt16, reflect.Int32: kindInt32, reflect.Int64: kindInt,
	reflect.Uint: kindUint, reflect.Uint8: kindUint8, reflect.Uint16: kindUint16, reflect.Uint32: kindUint32, reflect.Uint64: kindUint,
}

func (w *typeWalk) of(t reflect.Type) Type {
	switch {
	case t == timeType:
		return Type{kind: kindTime}
	case t.Kind() == reflect.Pointer:
		of := w.of(t.Elem())
		if of.kind == kindAny || of.kind == kindOptional {
			return of
		}
		return Type{kind: kindOptional, parts: []Type{of}}
	case implements(t, encodesItself):
		return Type{}
	case implements(t, encodesItselfToo):
		return Type{kind: kindBytes}
	case t == errorType:
		return Type{kind: kindOptional, parts: []Type{{kind: kindString}}}
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return Type{kind: kindBytes}
		}
		return Type{kind: kindList, parts: []Type{w.of(t.Elem())}}
	case reflect.Map:
		return Type{kind: kindMap, parts: []Type{w.of(t.Key()), w.of(t.Elem())}}
	case reflect.Struct:
		return w.record(t)
	default:
		return Type{kind: kindsOfGo[t.Kind()]}
	}
}

func (w *typeWalk) record(t reflect.Type) Type {
	for _, outer := range w.within {
		if outer == t {
			return Type{}
		}
	}
	w.within = append(w.within, t)
	defer func() { w.within = w.within[:len(w.within)-1] }()
	fields, asArray, ok := w.fields(t)
	if !ok {
		return Type{}
	}
	if !asArray {
		return Type{kind: kindRecord, fields: fields}
	}
	tuple := Type{kind: kindTuple}
	for _, f := range fields {
		tuple.parts = append(tuple.parts, f.of)
	}
	return tuple
}

// fields gives the fields of a struct as the library sees them; ok is false when the notation cannot name one.
func (w *typeWalk) fields(t reflect.Type) (all []typeField, asArray, ok bool) {
	allMissing := false
	for f := range t.Fields() {
		tag := f.Tag.Get("msgpack")
		name, options, _ := strings.Cut(tag, ",")
		has := func(option string) bool { return strings.Contains(","+options+",", ","+option+",") }
		if f.Name == "_msgpack" {
			asArray = has("as_array") || has("asArray")
			allMissing = has("omitempty")
		}
		if name == "-" || f.PkgPath != "" && !f.Anonymous {
			continue
		}
		if f.Anonymous && !has("noinline") {
			if inner, inline := w.inlined(f.Type, all, has("inline")); inline {
				all = append(all, inner...)
				continue
			}
		}
		if name == "" {
			name = f.Name
		}
		if strings.ContainsAny(name, nameEnds) {
			return nil, false, false
		}
		all = append(all, typeField{name: name, missing: (allMissing || has("omitempty")) && !asArray, of: w.of(f.Type)})
	}
	return all, asArray, true
}

// inlined gives the fields of an embedded struct that become the outer one's; of a name that the outer has, its own
// counts if told to inline, and otherwise nothing is inlined.
func (w *typeWalk) inlined(t reflect.Type, outer []typeField, told bool) (inner []typeField, ok bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == timeType || implements(t, encodesItself) || implements(t, encodesItselfToo) {
		return nil, false
	}
	for _, around := range w.within {
		if around == t {
			return nil, false
		}
	}
	w.within = append(w.within, t)
	defer func() { w.within = w.within[:len(w.within)-1] }()
	fields, _, ok := w.fields(t)
	if !ok {
		return nil, false
	}
	for _, f := range fields {
		shadowed := false
		for _, o := range outer {
			shadowed = shadowed || o.name == f.name
		}
		switch {
		case shadowed && !told:
			return nil, false
		case !shadowed:
			inner = append(inner, f)
		}
	}
	return inner, true
}
