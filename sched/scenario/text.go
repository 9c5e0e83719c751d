package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// kind is what a value of JSON is.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// String names the kind as messages do.
func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "text", "a list", "an object"}[k]
}

// value is a value of JSON with all that its text says: the keys of objects in their order, doubled ones too, and numbers
// digit by digit.
type value struct {
	kind   kind
	yes    bool     // of boolean
	text   string   // of number and text
	keys   []string // of object
	values []value  // of list and object
}

// parse reads one JSON document. An error names the line.
func parse(document []byte) (value, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(document, &whole); err != nil { // which also knows what may not follow it, and how deep it may be
		if len(bytes.TrimSpace(document)) == 0 {
			return value{}, errors.New("the document is empty")
		}
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			before := document[:min(int(syntax.Offset), len(document))]
			return value{}, fmt.Errorf("line %d: no JSON: %w", 1+bytes.Count(before, []byte("\n")), err)
		}
		return value{}, fmt.Errorf("no JSON: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	return next(d)
}

// next reads the next value.
func next(d *json.Decoder) (value, error) {
	token, err := d.Token()
	if err != nil {
		return value{}, fmt.Errorf("no JSON: %w", err)
	}
	switch t := token.(type) {
	case bool:
		return value{kind: boolean, yes: t}, nil
	case json.Number:
		return value{kind: number, text: t.String()}, nil
	case string:
		return value{kind: text, text: t}, nil
	case json.Delim:
		return nested(d, t)
	default:
		return value{}, nil
	}
}

// nested reads a list or an object after its bracket, up to and with the other one.
func nested(d *json.Decoder, open json.Delim) (value, error) {
	v := value{kind: list}
	if open == '{' {
		v.kind = object
	}
	for d.More() {
		if v.kind == object {
			key, err := next(d)
			if err != nil {
				return value{}, err
			}
			v.keys = append(v.keys, key.text)
		}
		element, err := next(d)
		if err != nil {
			return value{}, err
		}
		v.values = append(v.values, element)
	}
	if _, err := d.Token(); err != nil {
		return value{}, fmt.Errorf("no JSON: %w", err)
	}
	return v, nil
}
