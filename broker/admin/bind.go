package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-fabric/weft/protocol"
)

// fields splits the list of fields of a route.
func fields(list string) []string { return strings.Fields(list) }

// body makes the body of a route's request, encoded, from what was sent: the JSON object, then the query, then what is
// fixed by the route and its path. The error names the field, the value and what would be right.
func (r *route) body(req *http.Request) ([]byte, error) {
	op := r.method + " " + req.URL.Path
	v := protocol.NewBody(r.kind)
	if r.method == post || r.method == put {
		if err := decode(req.Body, op, v, r.method == post); err != nil {
			return nil, err
		}
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeInvalid, op, "query: %v", err)
	}
	var known []string
	for _, f := range fields(r.query) {
		name, value, _ := strings.Cut(f, "=")
		known = append(known, name)
		if given, ok := query[name]; ok {
			value = given[len(given)-1]
			if value == "" && kindOf(v, name) == reflect.Bool {
				value = "true" // ?all
			}
		}
		if value != "" {
			if err := set(v, op, name, value); err != nil {
				return nil, err
			}
		}
	}
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, protocol.Errorf(protocol.CodeInvalid, op, "%s: the query has no such field; there are: %s", name, orNone(known))
		}
	}
	for _, f := range fields(r.fixed) {
		name, value, _ := strings.Cut(f, "=")
		if err := fix(v, op, name, value); err != nil {
			return nil, err
		}
	}
	for _, name := range r.wildcards() {
		value := req.PathValue(name)
		if strings.ContainsAny(value, "*?") { // a pattern to a search of the catalogue
			return nil, protocol.Errorf(protocol.CodeInvalid, op, "%s: %q is no name", name, value)
		}
		if err := fix(v, op, name, value); err != nil {
			return nil, err
		}
	}
	if v == nil {
		return nil, nil
	}
	return protocol.Marshal(v), nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// wildcards gives the names of the fields in a route's path.
func (r *route) wildcards() []string {
	var names []string
	for part := range strings.SplitSeq(r.path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// decode reads one JSON object. An empty body is an empty one where it may be left out: what replaces something must be said.
func decode(from io.Reader, op string, v any, optional bool) error {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	switch {
	case errors.Is(err, io.EOF) && optional:
		return nil
	case errors.Is(err, io.EOF):
		err = errors.New("is empty; it is a JSON object")
	}
	if err == nil && d.More() {
		err = errors.New("there is more after the first value")
	}
	switch {
	case err == nil:
		return nil
	case errorIs[*http.MaxBytesError](err):
		return protocol.Errorf(protocol.CodePayloadTooLarge, op, "body: it is larger than %d bytes", maxBody)
	case errorIs[*protocol.Error](err):
		return protocol.Errorf(protocol.CodeInvalid, op, "body: %s", protocol.AsError(err, op).Msg)
	default:
		return protocol.Errorf(protocol.CodeInvalid, op, "body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

func errorIs[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// field finds the field of a body by its name on the wire.
func field(body any, name string) (reflect.Value, bool) {
	if body == nil {
		return reflect.Value{}, false
	}
	v := reflect.ValueOf(body).Elem()
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func kindOf(body any, name string) reflect.Kind {
	f, _ := field(body, name)
	return f.Kind()
}

// fix sets a field that must not be said otherwise.
func fix(body any, op, name, value string) error {
	f, ok := field(body, name)
	if !ok || f.IsZero() {
		return set(body, op, name, value)
	}
	said := f.Interface()
	if err := set(body, op, name, value); err != nil {
		return err
	}
	if !reflect.DeepEqual(said, f.Interface()) {
		return protocol.Errorf(protocol.CodeInvalid, op, "%s: the body says %v; here it is %s", name, said, value)
	}
	return nil
}

// set gives a field of a body the value that the text stands for.
func set(body any, op, name, text string) error {
	f, ok := field(body, name)
	if !ok {
		return protocol.Errorf(protocol.CodeInternal, op, "%T has no field %s", body, name)
	}
	bad := func(want string) error {
		return protocol.Errorf(protocol.CodeInvalid, op, "%s: %q is not %s", name, text, want)
	}
	if f.Kind() == reflect.Slice {
		list := reflect.MakeSlice(f.Type(), 0, 1)
		for part := range strings.SplitSeq(text, ",") {
			n, err := strconv.ParseUint(part, 10, f.Type().Elem().Bits())
			if err != nil {
				return bad("whole numbers with commas between them")
			}
			list = reflect.Append(list, reflect.ValueOf(n).Convert(f.Type().Elem()))
		}
		f.Set(list)
		return nil
	}
	switch {
	case f.Kind() == reflect.String:
		f.SetString(text)
	case f.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return bad("true or false")
		}
		f.SetBool(b)
	case f.CanInt():
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return bad("a whole number")
		}
		f.SetInt(n)
	case f.CanUint():
		n, err := strconv.ParseUint(text, 10, f.Type().Bits())
		if err != nil {
			return bad("a whole number that is not negative")
		}
		f.SetUint(n)
	default:
		return protocol.Errorf(protocol.CodeInternal, op, "%s: a %v cannot be said here", name, f.Type())
	}
	return nil
}
