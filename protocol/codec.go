package protocol

import (
	"bytes"

	"github.com/vmihailenco/msgpack/v5"
)

// Marshal encodes a body as a msgpack map, keys as in the json tags and in fixed order: equal bodies give equal bytes.
func Marshal(v any) []byte {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.SetCustomStructTag("json")
	enc.SetSortMapKeys(true)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		// Bodies are this package's own types, all of which msgpack can encode: a test walks them.
		panic("protocol: body " + err.Error())
	}
	return buf.Bytes()
}

// maxBodyDepth is how deep a body may nest.
const maxBodyDepth = 32

// Unmarshal decodes a body into v. Unknown keys are ignored. An error is a *[Error] with [CodeMalformed] that names
// the kind.
func Unmarshal(kind Kind, b []byte, v any) error {
	if len(b) > MaxBody {
		return Errorf(CodeMalformed, kind.String(), "body of %d bytes, at most %d are allowed", len(b), MaxBody)
	}
	if n := skip(b, maxBodyDepth); n != len(b) || n == 0 {
		return Errorf(CodeMalformed, kind.String(), "body of %d bytes is not one msgpack value (of at most %d values in %d levels)", len(b), MaxValues, maxBodyDepth)
	}
	dec := msgpack.NewDecoder(bytes.NewReader(b))
	dec.SetCustomStructTag("json")
	if err := dec.Decode(v); err != nil {
		return Errorf(CodeMalformed, kind.String(), "body: %v", err)
	}
	return nil
}

// AppendBody appends a control record with the msgpack encoding of body; nil is an empty payload.
func AppendBody(b []byte, kind Kind, session uint32, id uint64, body any) []byte {
	if body == nil {
		return AppendRecord(b, kind, session, id, nil)
	}
	return AppendRecord(b, kind, session, id, Marshal(body))
}
