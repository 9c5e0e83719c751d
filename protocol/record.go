package protocol

import "encoding/binary"

// Record is one record of a frame, as [Reader.Next] finds it. The slices point into the frame.
type Record struct {
	Kind    Kind
	Session uint32 // session number, or what the kind says
	Task    uint64 // task, request id, or what the kind says
	// Payload is the inline payload; nil when External.
	Payload []byte
	// External says that the payload is the next payload frame of the message; Size is then its length.
	External bool
	// Size is the length of the payload in bytes, inline or not.
	Size uint32
	// Ext is the last, optional element as it is encoded; nil when there is none.
	Ext []byte
}

// recordHead is what precedes an inline payload:
// 0x94 | kind | 0xce session u32 | 0xcf task u64 | 0xc6 length u32.
const recordHead = 1 + 1 + 5 + 9 + 5

// RecordSize is the length of the encoding of a record without last element whose inline payload has n bytes.
func RecordSize(n int) int { return recordHead + n }

func appendHead(b []byte, array byte, kind Kind, session uint32, task uint64, tag byte, n uint32) []byte {
	b = append(b, array, byte(kind), 0xce, 0, 0, 0, 0, 0xcf, 0, 0, 0, 0, 0, 0, 0, 0, tag, 0, 0, 0, 0)
	h := b[len(b)-recordHead:]
	binary.BigEndian.PutUint32(h[3:], session)
	binary.BigEndian.PutUint64(h[8:], task)
	binary.BigEndian.PutUint32(h[17:], n)
	return b
}

// AppendRecord appends a record with an inline payload, which may be empty.
func AppendRecord(b []byte, kind Kind, session uint32, task uint64, payload []byte) []byte {
	b = appendHead(b, 0x94, kind, session, task, 0xc6, uint32(len(payload)))
	return append(b, payload...)
}

// AppendExternal appends a record whose payload of size bytes travels in a payload frame of its own.
func AppendExternal(b []byte, kind Kind, session uint32, task uint64, size uint32) []byte {
	return appendHead(b, 0x94, kind, session, task, 0xce, size)
}

// AppendDispatch appends a [KindDispatch] record with an inline payload. The last element is the client's task id alone
// when x says nothing else and it is the first attempt, else a map.
func AppendDispatch(b []byte, session uint32, task uint64, payload []byte, x *Execution) []byte {
	b = appendHead(b, 0x95, KindDispatch, session, task, 0xc6, uint32(len(payload)))
	b = append(b, payload...)
	return x.append(b)
}

// AppendDispatchExternal is [AppendDispatch] for a payload that travels in a frame of its own.
func AppendDispatchExternal(b []byte, session uint32, task uint64, size uint32, x *Execution) []byte {
	b = appendHead(b, 0x95, KindDispatch, session, task, 0xce, size)
	return x.append(b)
}

// Withdraw turns the record that b begins with, which was appended by this package and has not left, into a CREDIT of 0
// bytes: it has no effect, whatever payload it keeps.
func Withdraw(b []byte) {
	b[1] = byte(KindCredit)
	binary.BigEndian.PutUint32(b[3:], 0)
	binary.BigEndian.PutUint64(b[8:], 0)
}

// Reader walks the records of a frame. The zero Reader has no records.
type Reader struct {
	records []byte
	payload int // where that of the last record begins
	next    int // where the next record begins
}

// NewReader reads the records that follow the header, as [ParseHeader] returned them.
func NewReader(records []byte) Reader { return Reader{records: records} }

// Next puts the next record into rec and says whether there was one. After an error (a *[Error] with
// [CodeMalformed]) the rest of the frame cannot be read.
func (r *Reader) Next(rec *Record) (bool, error) {
	b := r.records[r.next:]
	if len(b) < recordHead {
		return r.short()
	}
	if b[0]&0xf0 != 0x90 || b[0] < 0x94 || b[1] > 0x7f || b[2] != 0xce || b[7] != 0xcf {
		return false, r.malformed()
	}
	size := binary.BigEndian.Uint32(b[17:])
	end := recordHead
	switch b[16] {
	case 0xc6:
		if uint64(size) > uint64(len(b)-recordHead) {
			return false, r.malformed()
		}
		end += int(size)
		rec.External, rec.Payload = false, b[recordHead:end:end]
	case 0xce:
		rec.External, rec.Payload = true, nil
	default:
		return false, r.malformed()
	}
	rec.Kind = Kind(b[1])
	rec.Session = binary.BigEndian.Uint32(b[3:])
	rec.Task = binary.BigEndian.Uint64(b[8:])
	rec.Size = size
	switch {
	case b[0] == 0x94:
		rec.Ext = nil
	case b[0] == 0x95 && len(b) >= end+9 && b[end] == 0xcf: // a task id, as the last element mostly is
		rec.Ext = b[end : end+9 : end+9]
		end += 9
	default:
		n := rec.last(b[end:], int(b[0]-0x94))
		if n == 0 {
			return false, r.malformed()
		}
		end += n
	}
	r.payload = r.next + recordHead
	r.next += end
	return true, nil
}

// last takes the elements after the payload, of which the first counts, and returns their length in bytes; 0 when b does not
// hold them whole.
func (rec *Record) last(b []byte, elements int) (size int) {
	for i := range elements {
		n := skip(b[size:], maxDepth)
		if n == 0 {
			return 0
		}
		if i == 0 {
			rec.Ext = b[:n:n]
		}
		size += n
	}
	return size
}

// Offset is where the inline payload of the last record begins in the records given to [NewReader].
func (r *Reader) Offset() int { return r.payload }

// Rest is the records that were not read.
func (r *Reader) Rest() []byte { return r.records[r.next:] }

// short says that the frame is at its end, or ends within a record.
func (r *Reader) short() (bool, error) {
	if r.next == len(r.records) {
		return false, nil
	}
	return false, r.malformed()
}

func (r *Reader) malformed() error {
	rest := r.records[r.next:]
	r.next = len(r.records)
	return Errorf(CodeMalformed, "record", "no record begins with % x (%d bytes left)", rest[:min(len(rest), 24)], len(rest))
}

const maxDepth = 8

// readUint reads a msgpack unsigned integer of any width.
func readUint(b []byte) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	n := 0
	switch c := b[0]; {
	case c <= 0x7f:
		return uint64(c), b[1:], true
	case c == 0xcc:
		n = 1
	case c == 0xcd:
		n = 2
	case c == 0xce:
		n = 4
	case c == 0xcf:
		n = 8
	default:
		return 0, nil, false
	}
	if len(b) < 1+n {
		return 0, nil, false
	}
	for _, c := range b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	return v, b[1+n:], true
}

// fixedSize holds, for the formats 0xc0 to 0xdf of msgpack, the bytes after the first; -1 for those with a length.
var fixedSize = [32]int8{
	0, -2, 0, 0, -1, -1, -1, -1, -1, -1, 4, 8, 1, 2, 4, 8, // c0 .. cf
	1, 2, 4, 8, 2, 3, 5, 9, 17, -1, -1, -1, -1, -1, -1, -1, // d0 .. df
}

// skip returns the length in bytes of the msgpack value that b begins with; 0 when b does not hold a whole value,
// nests deeper than depth, or has more than MaxValues values.
func skip(b []byte, depth int) int {
	values := MaxValues
	return skipValue(b, depth, &values)
}

func skipValue(b []byte, depth int, values *int) int {
	if len(b) == 0 || depth == 0 || *values == 0 {
		return 0
	}
	*values--
	n, items, used := 0, 0, 1
	switch c := b[0]; {
	case c <= 0x7f || c >= 0xe0:
	case c <= 0x8f:
		items = 2 * int(c&0x0f)
	case c <= 0x9f:
		items = int(c & 0x0f)
	case c <= 0xbf:
		n = int(c & 0x1f)
	default:
		size := fixedSize[c-0xc0]
		if size >= 0 {
			n = int(size)
			break
		}
		var ok bool
		if used, n, items, ok = lengthOf(b); !ok {
			return 0
		}
	}
	if n > len(b)-used {
		return 0
	}
	used += n
	for range items {
		m := skipValue(b[used:], depth-1, values)
		if m == 0 {
			return 0
		}
		used += m
	}
	return used
}

// lengthOf reads the head of a str, bin, ext, array or map with a length field: the bytes of the head, the bytes of
// content and the number of items that follow.
func lengthOf(b []byte) (used, n, items int, ok bool) {
	width, extra, per := 0, 0, 0
	switch b[0] {
	case 0xc4, 0xd9:
		width = 1
	case 0xc5, 0xda:
		width = 2
	case 0xc6, 0xdb:
		width = 4
	case 0xc7:
		width, extra = 1, 1
	case 0xc8:
		width, extra = 2, 1
	case 0xc9:
		width, extra = 4, 1
	case 0xdc:
		width, per = 2, 1
	case 0xdd:
		width, per = 4, 1
	case 0xde:
		width, per = 2, 2
	case 0xdf:
		width, per = 4, 2
	default:
		return 0, 0, 0, false
	}
	if len(b) < 1+width {
		return 0, 0, 0, false
	}
	v := uint64(0)
	for _, c := range b[1 : 1+width] {
		v = v<<8 | uint64(c)
	}
	if v > uint64(len(b)) { // each item has a byte at least
		return 0, 0, 0, false
	}
	if per > 0 {
		return 1 + width, 0, int(v) * per, true
	}
	return 1 + width, int(v) + extra, 0, true
}
